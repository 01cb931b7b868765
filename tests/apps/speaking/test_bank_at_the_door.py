"""The bank of odd and broken recordings through the command line: the same outcomes, each in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from resgen_tts import TTS
from resgen_tts.apps.cli import main
from tests.speech.audio.broken_bank import Case, bank


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> list[Case]:
    return bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture
def speak(model, tmp_path, monkeypatch):
    """``synth`` with a reference, in this process; the model is loaded once."""
    tts = TTS.from_pretrained(model, device="cpu")
    monkeypatch.setattr(TTS, "from_pretrained", lambda *arguments, **options: tts)

    def run(path: Path) -> int:
        output = tmp_path / "out.wav"
        output.unlink(missing_ok=True)
        words = ["synth", "--model", str(model), "--text", "lo", "--ref-text", "la la la la", "--seed", "1"]
        return main([*words, f"--ref-audio={path}", "--output", str(output), "--steps", "1", "--quiet"])

    return run


def test_what_is_refused_is_refused_in_one_line(cases, speak, tmp_path, capfd):
    for case in cases:
        if any(outcome.startswith("ok") for outcome in case.outcomes):
            continue
        assert speak(case.path) == 2, case.path
        out, err = capfd.readouterr()
        # A decoder's own words are kept back where there is one thread; other tests may have left some here.
        err = "".join(line for line in err.splitlines(keepends=True) if "libmpg123" not in line)
        code = err.split(":")[0]
        assert case.allows(code), f"{case.path.name!r}: {err} instead of {case.outcomes}"
        assert err.count("\n") == 1 and err.rstrip("\n").isprintable() and out == "", err
        assert not (tmp_path / "out.wav").exists()


def test_what_is_accepted_speaks_and_its_warnings_are_told(cases, speak, tmp_path, capfd):
    """All sorts of warnings and names; the formats are the loader's business."""
    told = set()
    names = [case for case in cases if case.outcomes == ("ok",)][:40:5]
    warned = {case.outcomes: case for case in cases if len(case.outcomes) == 1 and case.outcomes[0].startswith("ok ")}
    for case in [*names, *warned.values()]:
        assert speak(case.path) == 0, (case.path, capfd.readouterr().err)
        out, err = capfd.readouterr()
        codes = {line.split(": ")[1] for line in err.splitlines() if line.startswith("warning: AUDIO_")}
        wanted = set(case.outcomes[0].split()[1:])
        assert wanted <= codes, f"{case.path.name!r}: {err}"
        assert out == "" and (tmp_path / "out.wav").stat().st_size > 44
        told |= wanted
    assert told == {
        "AUDIO_EXTENSION", "AUDIO_TRUNCATED", "AUDIO_LOW_BANDWIDTH", "AUDIO_CLIPPED", "AUDIO_DC_OFFSET",
        "AUDIO_PHASE_CANCEL", "AUDIO_OUT_OF_RANGE",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["is html.wav", "head cut.mp3", "circle.wav", "line\nbreak.wav"])
def test_a_process_of_its_own_does_the_same(cases, tmp_path, name):
    """With the bundled model, which takes the buzz of the bank as it is."""
    (case,) = (case for case in cases if case.path.name == name)
    verb = "import sys; from resgen_tts.apps.cli import main; sys.exit(main())"
    words = ["synth", "--text", "Hello.", "--ref-text", "Hello there.", f"--ref-audio={case.path}", "--no-hygiene"]
    done = subprocess.run(
        [sys.executable, "-c", verb, *words, "--steps", "2", "--output", str(tmp_path / "out.wav")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "mpg123" not in done.stderr and done.stdout == ""
    if case.is_accepted:
        assert done.returncode == 0 and (tmp_path / "out.wav").stat().st_size > 44
        return
    assert done.returncode == 2 and not (tmp_path / "out.wav").exists()
    assert case.allows(done.stderr.splitlines()[-1].split(":")[0]), done.stderr
