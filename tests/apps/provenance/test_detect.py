"""``detect``: what it says of files, marked and not, tagged and not, broken and oddly named."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.cli import main
from resgen_tts.apps.provenance import detect
from resgen_tts.apps.provenance.detect import PIECE_SECONDS, find_watermark
from resgen_tts.apps.provenance.watermark import load_watermarker
from resgen_tts.speech.audio.encode import save_audio
from tests.apps.provenance.sounds import voice_like
from tests.apps.provenance.test_facts import FACTS


@pytest.fixture(scope="module")
def waves():
    """Rate 16 kHz: with the mark, and without."""
    plain = voice_like(2.8)
    return {"marked": load_watermarker("perth").mark(plain, 16_000), "plain": plain}


def told(capsys):
    """The lines of JSON on standard output, and standard error."""
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "opus"])
def test_mark_and_tags_are_found_in_every_format_that_carries_both(tmp_path, waves, capsys, format):
    save_audio(tmp_path / f"a.{format}", waves["marked"], 16_000, tags=FACTS.tags())
    save_audio(tmp_path / f"b.{format}", waves["plain"], 16_000)
    assert main(["detect", "--json", str(tmp_path / f"a.{format}"), str(tmp_path / f"b.{format}")]) == 0
    (marked, plain), err = told(capsys)
    assert marked["watermark"]["found"] is True and marked["watermark"]["score"] > 0.9
    assert marked["watermark"]["marked_seconds"] == marked["watermark"]["seconds"] == pytest.approx(2.8, abs=0.1)
    assert marked["tags"] == FACTS.to_json()
    assert plain["watermark"]["found"] is False and plain["tags"] is None
    assert not err


def test_one_line_for_people(tmp_path, waves, capsys, monkeypatch):
    save_audio(tmp_path / "a b.wav", waves["marked"], 16_000, tags=FACTS.tags())
    save_audio(tmp_path / "-p\n.wav", waves["plain"], 16_000)
    monkeypatch.chdir(tmp_path)
    assert main(["detect", "a b.wav", "--", "-p\n.wav"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("a b.wav: marked (perth 1.00, all of 2.8 s); header: resgen_tts 0.1.0, model mini, seed 7")
    assert second.startswith("-p\\n.wav: no mark found (perth 0.0") and second.endswith("header: nothing of ours")


def test_a_file_that_says_it_is_unmarked_is_told_so(tmp_path, waves, capsys):
    from dataclasses import replace

    save_audio(tmp_path / "a.flac", waves["plain"], 16_000, tags=replace(FACTS, watermark="none").tags())
    assert main(["detect", str(tmp_path / "a.flac")]) == 0
    assert capsys.readouterr().out.endswith("seed 7, watermark none\n")


def test_one_refused_file_hides_no_other_and_is_no_success(tmp_path, waves, capsys):
    save_audio(tmp_path / "a.wav", waves["marked"], 16_000)
    (tmp_path / "b.wav").write_bytes(b"RIFF0000WAVE and nothing")
    files = [str(tmp_path / name) for name in ("b.wav", "missing.wav", "a.wav")]
    assert main(["detect", "--json", *files]) == 2
    (broken, missing, marked), err = told(capsys)
    assert broken["error"]["code"].startswith("AUDIO_") and missing["error"]["code"] == "AUDIO_NOT_FOUND"
    assert marked["watermark"]["found"] is True
    assert "AUDIO_NOT_FOUND: missing.wav" in err and "DETECT_INCOMPLETE: 2 of 3 recordings were refused." in err
    assert main(["detect", files[1]]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("AUDIO_NOT_FOUND: missing.wav") and len(err.splitlines()) == 1


def test_short_recordings_are_heard_with_a_warning(tmp_path, waves, capsys):
    save_audio(tmp_path / "a.wav", waves["marked"][:16_000], 16_000)
    assert main(["detect", "--json", str(tmp_path / "a.wav")]) == 0
    (short,), err = told(capsys)
    assert short["watermark"]["found"] is True
    assert short["warnings"][0].startswith("AUDIO_SHORT: a.wav is 1.00 s") and short["warnings"][0] in err


def test_a_mark_in_a_part_of_a_long_recording_is_found_and_measured(monkeypatch):
    monkeypatch.setattr(detect, "PIECE_SECONDS", 2.8)
    long = voice_like(7.0, seed=1)
    part = slice(0, round(16_000 * 7.0 / 3))  # the first of three equal pieces
    marker = load_watermarker("perth")
    long[part] = marker.mark(long[part], 16_000)
    heard = find_watermark(long, 16_000, marker)
    assert heard.is_marked and heard.score > 0.95 and heard.seconds == 7.0
    assert heard.marked_seconds == pytest.approx(heard.seconds / 3, abs=0.01)


def test_what_cannot_be_asked(tmp_path, capsys):
    assert main(["detect"]) == 2
    assert main(["detect", "--watermark", "none", "a.wav"]) == 2
    assert main(["detect", "--watermark", "dummy", "a.wav"]) == 2
    assert main(["detect", "--watermark", f"audioseal:{tmp_path}", "a.wav"]) == 3
    err = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in err] == ["USAGE", "USAGE", "WATERMARK_UNKNOWN", "WATERMARK_MISSING"]


def test_without_the_package_it_is_an_error_and_no_verdict(tmp_path, waves, monkeypatch, capsys):
    import importlib.util

    from resgen_tts.apps.provenance import perth

    soundfile.write(tmp_path / "a.wav", waves["plain"], 16_000)
    perth._load.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["detect", str(tmp_path / "a.wav")]) == 3
    out, err = capsys.readouterr()
    assert not out and err.startswith("WATERMARK_MISSING: ")


def test_no_model_of_speech_is_loaded(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice_like(1.0), 16_000)
    code = (
        "import sys\nfrom resgen_tts.apps.cli import main\n"
        f"assert main(['detect', {str(tmp_path / 'a.wav')!r}]) == 0\n"
        "heavy = ('resgen_tts.models', 'resgen_tts.tokenizers', 'resgen_tts.nn', 'transformers', 'librosa')\n"
        "assert not set(heavy) & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a.wav: no mark found")


def test_pieces_are_equal_so_that_no_short_rest_decides():
    lengths = []

    class Counts:
        name, sample_rate, threshold = "counts", 100, 0.5

        def mark(self, samples, sample_rate):
            return samples

        def detect(self, samples, sample_rate):
            lengths.append(len(samples))
            return 0.0

    heard = find_watermark(np.ones(round(100 * (2 * PIECE_SECONDS + 0.5)), np.float32), 100, Counts())
    assert not heard.is_marked and heard.marked_seconds == 0
    assert len(lengths) == 3 and max(lengths) - min(lengths) <= 1
