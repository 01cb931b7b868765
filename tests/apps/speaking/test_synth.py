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
import torch

from resgen_tts import TTS
from resgen_tts.apps.cli import main
from resgen_tts.apps.options import RANGES
from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.apps.speaking import from_options
from resgen_tts.apps.speaking.asked import seed_or_drawn
from resgen_tts.apps.speaking.voice import voice as voice_door
from resgen_tts.common.errors import ConfigError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.audio.tags import read_tags
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
        (["--seed", "-1"], "USAGE: --seed must be between 0 and 9223372036854775807, got -1."),
        (["--seed", str(2**63)], "USAGE: --seed must be between 0 and 9223372036854775807, got 9223372036854775808."),
        (["--ref-audio", "lost.wav"], "AUDIO_NOT_FOUND: lost.wav "),
        (["--ref-audio", __file__], "AUDIO_NOT_AUDIO: test_synth.py "),
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
    for seed in RANGES["seed"]:
        assert seed_or_drawn(seed) == seed
    for seed in (RANGES["seed"][0] - 1, RANGES["seed"][1] + 1):
        with pytest.raises(ConfigError):
            seed_or_drawn(seed)


def test_a_text_that_cannot_be_spoken_is_told_before_a_missing_output(capsys):
    assert refused(["synth", "--text", ""], capsys).startswith("TEXT_EMPTY")
    assert refused(["synth", "--text", "hello"], capsys).startswith("USAGE: there is no output. Pass -o FILE")


def test_help_tells_ranges_and_defaults(capsys):
    assert main(["synth", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("between 0.25 and 4", "between 0 and 2", "default: 1.0", "default: 0.0", "the model's own"):
        assert words in said
    assert "the reference, or also the chunk before" in said and "as many again where none passes" in said


def test_a_text_file_that_is_missing_a_folder_or_of_another_encoding(line, capsys, tmp_path, monkeypatch):
    line = without_text(line)
    odd = tmp_path / "latin.txt"
    odd.write_bytes("caf\xe9".encode("latin-1"))
    for path, words in ((tmp_path / "no.txt", "was not found"), (tmp_path, "is a folder"), (odd, "byte 3 is 0xe9")):
        said = refused([*line, "--text-file", str(path)], capsys)
        assert said.startswith(f"TEXT_FILE: {path} ") and words in said
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8"))
    assert "standard input is not UTF-8" in refused([*line, "--text-file", "-"], capsys)


def test_the_speech_on_standard_output_is_that_of_the_file(line, tmp_path, capsys, monkeypatch):
    assert main(line) == 0
    capsys.readouterr()
    ends = os.pipe()
    with open(ends[0], "rb") as heard, open(ends[1], "w", encoding="utf-8") as said:
        monkeypatch.setattr(sys, "stdout", said)
        assert main([*line, "--output", "-"]) == 0
        said.close()
        piped = heard.read()
    kept = (tmp_path / "a.wav").read_bytes()
    samples = 2 * soundfile.info(tmp_path / "a.wav").frames
    assert piped.startswith(b"RIFF") and piped[-samples:] == kept[-samples:]  # the head of a pipe knows no length
    assert "standard output: " in capsys.readouterr().err


def test_no_sound_goes_to_a_terminal(line, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "USAGE: standard output is a terminal" in refused([*line, "--output", "-"], capsys)


def test_whoever_stops_reading_ends_it_quietly(line, monkeypatch, capsys):
    ends = os.pipe()
    os.close(ends[0])
    with open(ends[1], "w", encoding="utf-8") as said:
        monkeypatch.setattr(sys, "stdout", said)
        assert main([*line, "--output", "-"]) == 141
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("OUTPUT_CLOSED") and not any("Traceback" in row for row in told)


def without_text(line):
    place = line.index("--text")
    return line[:place] + line[place + 2 :]


def test_a_text_from_standard_input(line, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeffhello\n".encode())))
    assert main([*without_text(line), "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["normalized_text"].strip() == "hello"
    assert "not allowed with" in refused([*line, "-"], capsys)


@pytest.mark.parametrize("more", [[], ["-"], ["--text-file", "-"]])
def test_a_terminal_without_a_text_gets_the_help(line, capsys, monkeypatch, more):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    said = refused([*without_text(line), *more], capsys)
    assert said.startswith("usage: resgen-tts synth") and "USAGE: there is no text" in said


@pytest.mark.parametrize(("name", "format"), [("b.flac", None), ("b.mp3", None), ("b", "opus"), ("b.pcm", None)])
def test_a_file_has_the_format_of_its_name_and_says_that_it_was_made(line, tmp_path, capsys, name, format):
    more = [] if format is None else ["--format", format]
    assert main([*line, "--output", str(tmp_path / name), "--json", *more]) == 0
    facts = json.loads(capsys.readouterr().out)
    path = tmp_path / name
    assert facts["format"] == (format or path.suffix[1:])
    if path.suffix == ".pcm":
        assert abs(path.stat().st_size / 2 / 24_000 - facts["seconds"]) < 0.01
        assert any(note.startswith("TAGS_NOT_CARRIED") for note in facts["warnings"])
        return
    assert Provenance.from_tags(read_tags(path)).to_json() == facts["provenance"]
    assert facts["provenance"]["seed"] == 3 and facts["provenance"]["watermark"] == "perth"


def test_leaving_out_the_watermark_is_said_and_written_down(line, tmp_path, capsys):
    assert main([*line, "--json"]) == 0
    assert "watermark: none" not in capsys.readouterr().err
    marked, _ = soundfile.read(tmp_path / "a.wav")
    assert main([*line, "--json", "--no-watermark", "--force"]) == 0
    said = capsys.readouterr()
    assert "watermark: none" in said.err and json.loads(said.out)["provenance"]["watermark"] == "none"
    assert Provenance.from_tags(read_tags(tmp_path / "a.wav")).watermark == "none"
    assert not np.array_equal(soundfile.read(tmp_path / "a.wav")[0], marked)


def test_what_is_missing_here_is_status_3(line, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*line, "--device", "cuda"]) == 3
    assert "DEVICE_MISSING" in capsys.readouterr().err
    assert main([*line, "--watermark", "audioseal:/no/such/folder"]) == 3
    assert "WATERMARK_MISSING" in capsys.readouterr().err


def test_quiet_says_nothing_but_warnings(line, capsys):
    assert main([*line, "--quiet", "--device", "cpu"]) == 0
    assert all(row.startswith("warning: ") for row in capsys.readouterr().err.splitlines())


def test_quiet_does_not_keep_back_what_is_unmarked_or_unpinned(line, model, capsys, monkeypatch):
    def resolve(name, revision, sha256, say):
        say(f"model: {name}@abc, sha256 def. It was not pinned\n")  # as the hub's does, which tests/apps/weights asks
        return model

    monkeypatch.setattr(from_options, "resolve_model", resolve)
    assert main([*line, "--quiet", "--device", "cpu", "--no-watermark", "--model", "o/n"]) == 0
    told = [row for row in capsys.readouterr().err.splitlines() if not row.startswith("warning: ")]
    assert told == ["model: o/n@abc, sha256 def. It was not pinned", from_options.UNMARKED.rstrip()]


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
