"""``resgen-tts synth``: what is refused at once, where the wave goes, and what is told about it."""

import io
import json
import os
import signal
import sys
import time

import numpy as np
import pytest
import soundfile

from resgen_tts import TTS
from resgen_tts.apps.cli import main
from resgen_tts.apps.speaking.synth_options import RANGES
from resgen_tts.apps.speaking.voice import voice as voice_door
from resgen_tts.common.errors import ConfigError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.long_text import SHORTEST_CHARACTERS
from resgen_tts.speech.self_check import candidate_seed


class Ears:
    """Hears what a list says, one after the other, and always the same voice."""

    name, is_embedded = "ears", True

    def __init__(self, *heard: str):
        self.heard = list(heard)

    def transcribe(self, paths):
        return [self.heard.pop(0) for _ in paths]

    def embed(self, path):
        return np.array([1.0], np.float32)


@pytest.fixture
def line(model, reference, tmp_path):
    return [
        "synth", "--model", str(model), "--text", "hello", "--ref-audio", str(reference), "--ref-text", "la la la",
        "--output", str(tmp_path / "a.wav"), "--seed", "3", "--steps", "1",
    ]  # fmt: skip


def refused(arguments, capsys):
    """What is said by a run that must not come to load a model: there is none."""
    arguments = [*arguments, "--model", "no model"]
    assert main(arguments) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--speed", "9"], "USAGE: --speed must be between 0.25 and 4, got 9.0."),
        (["--speed", "nan"], "USAGE: --speed must be between 0.25 and 4, got nan."),
        (["--spread", "2.5"], "USAGE: --spread must be between 0 and 2, got 2.5."),
        (["--duration", "-1"], "USAGE: --duration must be more than 0 seconds, got -1.0."),
        (["--duration", "inf"], "USAGE: --duration must be more than 0 seconds, got inf."),
        (["--steps", "0"], "USAGE: --steps must be at least 1, got 0."),
        (["--first-characters", "3"], "USAGE: --first-characters must be at least 20, got 3."),
        (["--candidates", "17"], "USAGE: --candidates must be between 1 and 16, got 17."),
        (["--text", ""], "TEXT_EMPTY"),
        (["--text", "?!"], "TEXT_NO_SPEECH: nothing in '?!' can be spoken. Pass words"),
        (["--output", "/proc/a.wav"], "OUTPUT_NOT_WRITABLE: /proc/a.wav cannot be written: "),
        (["--output", "/dev/null", "--force"], "OUTPUT_NOT_A_FILE"),
        (["--output", "-", "--json"], "USAGE: --output - and --json"),
        (["--voices", "folder"], "USAGE: --voices goes with --voice."),
    ],
)
def test_what_cannot_work_is_told_by_its_option_before_the_model_is_loaded(line, capsys, tmp_path, change, said):
    assert said in refused([*line, *change], capsys)
    assert not list(tmp_path.iterdir())


def test_the_ranges_are_those_of_the_configs_behind_them():
    makers = {
        "speed": lambda value: LengthConfig(speed=float(value)),
        "spread": lambda value: LengthConfig(spread=float(value)),
        "steps": lambda value: SamplerConfig(steps=value),
    }
    for name, make in makers.items():
        low, high = RANGES[name]
        make(low)
        with pytest.raises(ConfigError):
            make(low - 1)
        if high < float("inf"):
            make(high)
            with pytest.raises(ConfigError):
                make(high + 0.1)
    assert RANGES["first_characters"][0] == SHORTEST_CHARACTERS


def test_help_tells_ranges_and_defaults(capsys):
    assert main(["synth", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("between 0.25 and 4", "between 0 and 2", "default: 1.0", "default: 0.0", "the model's own"):
        assert words in said
    assert "the reference, or also the chunk before" in said and "as many again where none passes" in said


def test_a_text_file_that_is_missing_a_folder_or_of_another_encoding(line, capsys, tmp_path, monkeypatch):
    place = line.index("--text")
    line = line[:place] + line[place + 2 :]
    odd = tmp_path / "latin.txt"
    odd.write_bytes("caf\xe9".encode("latin-1"))
    for path, words in ((tmp_path / "no.txt", "was not found"), (tmp_path, "is a folder"), (odd, "byte 3 is 0xe9")):
        said = refused([*line, "--text-file", str(path)], capsys)
        assert said.startswith(f"TEXT_FILE: {path} ") and words in said
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8"))
    assert "standard input is not UTF-8" in refused([*line, "--text-file", "-"], capsys)


def test_the_wave_on_standard_output_is_that_of_the_file(line, tmp_path, capsysbinary, monkeypatch):
    assert main(line) == 0
    capsysbinary.readouterr()
    assert main([*line, "--output", "-"]) == 0
    said = capsysbinary.readouterr()
    assert said.out == (tmp_path / "a.wav").read_bytes() and b"standard output: " in said.err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main([*line, "--output", "-"]) == 2
    assert b"USAGE: standard output is a terminal" in capsysbinary.readouterr().err


def test_the_seed_that_is_told_is_that_of_the_file(line, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(TTS, "_listeners", lambda self, asr: (Ears("no", "hello", "no", "no"), Ears()))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    line = [*line, "--text", "hello there"]
    assert main([*line, "--candidates", "2", "--json"]) == 0
    said, best = capsys.readouterr(), candidate_seed(3, 1)
    facts = json.loads(said.out)
    assert f"seed {best} (best of 4, drawn from 3)" in said.err
    assert (facts["seed"], facts["drawn_from_seed"], facts["candidates_spoken"]) == (best, 3, 4)
    assert [row for row in said.err.splitlines() if row.startswith("candidate")] == [
        f"candidate {place + 1}: seed {candidate_seed(3, place)}, word error rate {wer}, similarity 1.00, does not pass"
        for place, wer in enumerate(("1.00", "0.50", "1.00", "1.00"))
    ]
    kept = (tmp_path / "a.wav").read_bytes()
    assert main([*line, "--seed", str(best), "--force"]) == 0
    assert (tmp_path / "a.wav").read_bytes() == kept


def test_each_chunk_names_its_phonemes(line, capsys):
    assert main([*line, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["chunks"]
    assert "".join(row["phonemes"][1:-1]) == "hello"


def test_a_voice_of_another_folder(line, model, reference, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RESGEN_TTS_VOICES", str(tmp_path / "others"))
    folder = ["--voices", str(tmp_path / "mine")]
    voice_door(["save", "me", "--model", str(model), "--ref-audio", str(reference), "--ref-text", "la la la", *folder])
    capsys.readouterr()
    named = ["synth", "--voice", "me", *line[1 : line.index("--ref-audio")], *line[line.index("--output") :]]
    assert "VOICE_UNKNOWN" in refused(named, capsys)
    assert main([*named, *folder]) == 0
    assert soundfile.info(tmp_path / "a.wav").samplerate == 16_000


def test_sigterm_leaves_no_file_and_the_handler_is_put_back(line, tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        assert [path.name for path in tmp_path.iterdir()] == [f".a.wav.{os.getpid()}.tmp"]
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(TTS, "from_pretrained", stopped)
    before = signal.getsignal(signal.SIGTERM)
    assert main(line) == 143
    assert "terminated" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()) and signal.getsignal(signal.SIGTERM) == before
