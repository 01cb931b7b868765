"""The table of verbs, and what becomes of an error: a line, a status, a traceback where it is wanted."""

import subprocess
import sys

import pytest

from resgen_tts.apps import cli
from resgen_tts.apps.cli import VERBS, Verb, main
from resgen_tts.apps.completion import caught_parser
from resgen_tts.apps.options import Parser
from resgen_tts.common.errors import ConfigError, DeviceError, MissingExtraError

OWN = ["synth", "batch", "voice", "demo", "serve", "detect", "doctor", "bugreport", "completion"]


@pytest.fixture
def failing(monkeypatch):
    """Makes the verb ``sing`` raise what it is given, and runs it with the words that follow."""

    def run(error, *words):
        def verb(arguments):
            heard.append(arguments)
            raise error

        monkeypatch.setitem(VERBS, "sing", Verb("a", "b", "sing"))
        monkeypatch.setattr(cli, "call_verb", lambda name, words: verb(words))
        return main(["sing", *words])

    heard: list[list[str]] = []
    run.heard = heard
    return run


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("no.", code="USAGE", hint="Yes?"), 2, "USAGE: no. Yes?"),
        (DeviceError("no GPU."), 3, "DEVICE_MISSING: no GPU."),
        (MissingExtraError("no av."), 3, "EXTRA_MISSING: no av."),
        (FileNotFoundError(2, "No such file", "a.wav"), 2, "OS_ERROR: [Errno 2] No such file: 'a.wav'"),
        (
            OSError(28, "No space left on device"),
            3,
            "DISK_FULL: [Errno 28] No space left on device. Make room, or write elsewhere.",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_error_is_one_line_and_a_status(failing, capsys, error, status, said):
    assert failing(error) == status
    assert capsys.readouterr().err == f"{said}\n"
    assert failing(error, "-v") == status
    told = capsys.readouterr().err
    assert told.endswith(f"{said}\n") and ("Traceback" in told) == (status != 130)
    assert failing.heard == [[], []]  # -v is not the verb's affair


def test_a_mistake_of_the_program_is_status_1_and_told_in_full(failing, capsys):
    assert failing(ZeroDivisionError("division by zero")) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told and told.splitlines()[-1].startswith("INTERNAL: ZeroDivisionError")


def test_words_behind_two_dashes_are_no_options(failing):
    failing(ConfigError("no"), "a", "-v", "--", "-v")
    assert failing.heard == [["a", "--", "-v"]]


def test_help_names_every_verb_and_an_unknown_one_is_told_what_it_may_mean(capsys):
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {verb} " in listed for verb in VERBS)
    assert main([]) == 2
    assert "synth" in capsys.readouterr().err
    assert main(["sinth"]) == 2
    assert "did you mean synth?" in capsys.readouterr().err
    assert main(["--version"]) == 0


@pytest.mark.parametrize("verb", OWN)
def test_every_door_refuses_an_unknown_option_with_a_code(verb, capsys):
    assert main([verb, "--sing-along"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("USAGE: ") and f"See: resgen-tts {verb}" in said


@pytest.mark.parametrize("verb", OWN)
def test_no_option_can_be_shortened(verb):
    parser = caught_parser(verb, [])
    assert isinstance(parser, Parser) and not parser.allow_abbrev


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["synth", "--help"],
        ["batch", "--help"],
        ["voice", "list"],
        ["synth", "--text", "?!", "-o", "a.wav"],
        ["synth", "--text", "hi", "-o", "a.wav", "--voice", "nobody"],
        ["synth", "--text", "hi", "-o", "a.wav", "--model", "no_model"],
    ],
)
def test_help_and_refusals_wait_for_no_torch(words, tmp_path):
    code = (
        "import sys; from resgen_tts.apps.cli import main; main(sys.argv[1:]); "
        "sys.exit(7 if {'torch', 'librosa', 'numba'} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
