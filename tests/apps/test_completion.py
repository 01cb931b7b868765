"""``resgen-tts completion``: the scripts complete what the parsers take, in the shells that are installed."""

import shutil
import subprocess

import pytest

from resgen_tts.apps.cli import VERBS, main
from resgen_tts.apps.completion import FILES, NOTHING, SCRIPTS, VOICES, caught_parser, read_places
from resgen_tts.speech.audio.encode import FORMATS

CASES = [  # words, the last one begun; what is offered
    (["syn"], {"synth", "synthesize-list"}),
    (["synth", "--cont"], {"--context"}),
    (["synth", "--context", ""], {"reference", "previous"}),
    (["synth", "--format", ""], set(FORMATS)),
    (["voice", ""], {"save", "list", "show", "remove"}),
    (["voice", "save", "--ref-"], {"--ref-audio", "--ref-text"}),
    (["train", "voc"], {"vocoder"}),
    (["train", "vocoder", "--train.ste"], {"--train.steps"}),
    (["bench", ""], {"schemes"}),
    (["completion", ""], {"bash", "zsh", "fish"}),
    (["synth", "--text", ""], set()),
    (["synth", "--output", "my"], {"my recording.wav"}),
    (["detect", "my"], {"my recording.wav"}),
]


@pytest.fixture(scope="module")
def places():
    return read_places()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, places):
    """The three scripts, beside a file that can be named."""
    folder = tmp_path_factory.mktemp("shell")
    for shell, script in SCRIPTS.items():
        (folder / f"script.{shell}").write_text(script(places), encoding="utf-8")
    (folder / "my recording.wav").touch()
    return folder


def shell(name):
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def test_every_verb_and_every_option_is_there(places):
    assert {words[0] for words in places} == set(VERBS)
    for words in (("synth",), ("batch",), ("serve",), ("train", "generator"), ("export",)):
        options = {
            name for action in caught_parser(words[0], list(words[1:]))._actions for name in action.option_strings
        }
        assert len(options) > 5 and set(places[words].options) == options
    synth = places[("synth",)].options
    assert synth["--ref-audio"] == FILES and synth["--voice"] == VOICES and synth["--seed"] == NOTHING
    assert synth["--json"] is None and synth["--device"] == ["auto", "cpu", "cuda"]


@pytest.mark.parametrize(("words", "offered"), CASES)
def test_bash_offers_what_fits(folder, words, offered):
    code = (
        "source script.bash; compopt() { :; }; "  # there is nothing to complete on in a script
        'COMP_WORDS=(resgen-tts "$@"); COMP_CWORD=$#; _resgen_tts; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = run([shell("bash"), "-c", code, "bash", *words], folder)
    assert set(filter(None, done.splitlines())) == offered


def test_bash_completes_behind_an_equals_sign(folder):
    words = "COMP_WORDS=(resgen-tts synth --format = f); COMP_CWORD=4"
    code = f"source script.bash; {words}; _resgen_tts; echo ${{COMPREPLY[@]}}"
    assert run([shell("bash"), "-c", code], folder).split() == ["flac"]


@pytest.mark.parametrize(("words", "offered"), CASES)
def test_zsh_offers_what_fits(folder, words, offered):
    code = (  # its own builtins work only inside its editor; compadd leaves out what does not fit
        "compadd() { shift; print -rl -- $@ }; _files() { print -rl -- *(N) }; compset() { : }; compdef() { : }; "
        'source ./script.zsh; words=(resgen-tts "$@"); CURRENT=$#words; _resgen_tts'
    )
    done = run([shell("zsh"), "-f", "-c", code, "zsh", *words], folder)
    assert {word for word in done.splitlines() if word.startswith(words[-1])} == offered


@pytest.mark.parametrize(("words", "offered"), CASES)
def test_fish_offers_what_fits(folder, words, offered):
    line = " ".join(["resgen-tts", *words])
    done = run([shell("fish"), "--no-config", "-c", f"source script.fish; complete -C '{line}'"], folder)
    assert {row.partition("\t")[0].replace("\\ ", " ") for row in done.splitlines()} == offered


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_unknown_shell_is_refused(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "USAGE" in capsys.readouterr().err
