"""The bench of the watermark: what its attacks do, what is compared with what, and its tables by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.provenance.watermark import load_watermarker
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import read_json
from resgen_tts.evaluation.protocols.recordings import Recording
from tests.apps.provenance.sounds import voice_like

sys.path.insert(0, str(Path(__file__).parents[3] / "tools" / "bench"))
import audio_attacks
import watermark_robustness as bench

RATE = 16_000


def test_every_attack_gives_back_a_recording_of_about_that_length():
    wave = voice_like(2.0)
    times = {
        "speed +5 %, with pitch": 1 / 1.05, "speed -5 %, with pitch": 1 / 0.95, "speed +5 %, pitch kept": 1 / 1.05,
        "speed -5 %, pitch kept": 1 / 0.95, "cut to 1 s": 1 / 2, "cut to 0.5 s": 1 / 4,
    }  # fmt: skip
    for name, attack in audio_attacks.attacks().items():
        done = attack(wave, RATE, 0)
        assert done.dtype == np.float32 and np.isfinite(done).all(), name
        # Codecs put up to 0.1 s of silence before and behind.
        assert len(done) / len(wave) == pytest.approx(times.get(name, 1.0), abs=0.06), name
        assert np.array_equal(done, wave) == (name in (audio_attacks.AS_IT_IS, "cut to 2 s")), name
    noisy = audio_attacks.attacks()["noise at 20 dB"]
    assert np.array_equal(noisy(wave, RATE, 0), noisy(wave, RATE, 0))
    assert not np.array_equal(noisy(wave, RATE, 0), noisy(wave, RATE, 1))


@pytest.mark.parametrize("decibels", [20, 10])
def test_noise_is_so_far_below_the_speech(decibels):
    wave = voice_like(3.0)
    noise = audio_attacks.noisy(wave, decibels, seed=1) - wave
    ratio = np.mean(wave.astype(float) ** 2) / np.mean(noise.astype(float) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(decibels, abs=0.1)


def test_codecs_keep_the_speech():
    """Its spectrum over time stays, whatever the delay."""
    wave = voice_like(3.0)
    for codec, container, rate in (("libmp3lame", "mp3", 64_000), ("libopus", "ogg", 24_000), ("aac", "adts", 64_000)):
        done = audio_attacks.coded(wave, RATE, codec, container, rate)
        lag = int(np.argmax(np.correlate(done[:8000], wave[2000:6000], "valid"))) - 2000
        size = min(len(wave), len(done) - lag)
        aligned = done[max(0, lag) : lag + size]
        assert np.corrcoef(aligned, wave[max(0, -lag) : max(0, -lag) + len(aligned)])[0, 1] > 0.9, codec


def test_pieces_are_out_of_what_is_said():
    wave = np.zeros(5 * RATE, np.float32)
    wave[2 * RATE : 4 * RATE] = 0.5
    for seed in range(5):
        assert (audio_attacks.piece(wave, 1.0, RATE, seed) == 0.5).all()
    short = np.full(RATE // 2, 0.5, np.float32)
    assert np.array_equal(audio_attacks.piece(short, 1.0, RATE, 0), short)


def recordings(folder, speakers):
    found = []
    for name, own in speakers.items():
        for number, (seconds, text) in enumerate(own):
            file = folder / f"{name}{number}.wav"
            soundfile.write(file, voice_like(seconds), RATE)
            found.append(Recording(id=file.stem, file=file, speaker=name, text=text))
    return found


def test_items_take_speakers_in_turn_and_words_of_others(tmp_path):
    long = "a text of more than forty letters that somebody said to"
    found = recordings(
        tmp_path, {"a": [(3.5, f"{long} a"), (4.0, f"{long} aa"), (2.0, "no")], "b": [(3.5, f"{long} b")]}
    )
    chosen = bench.choose_items(found, 3)
    assert [one.id for one, _ in chosen] == ["a0", "b0", "a1"]
    assert [text[-1] for _, text in chosen] == ["b", "a", "b"]
    with pytest.raises(ConfigError):
        bench.choose_items([one for one in found if one.speaker == "a"], 3)


def test_tables_by_hand():
    assert bench.share_row("MP3", [0.1, 0.6, 0.9, 1.0], 0.6) == "| MP3 | 3 of 4 | [19.4, 99.4] | 0.10 | 1.00 |"
    figure = {"plain": 0.5, "marked": 0.25, "difference": {"value": -0.25, "low": -0.3, "high": 0.1}}
    text = bench.report({"quality": {"SIM": figure}}, 0.6)
    assert "| SIM | 0.500 | 0.250 | -0.250 | [-0.300, +0.100] |" in text


def test_a_small_system_from_speaking_to_the_table(tmp_path, model, capsys):
    """Its random weights say nothing of the figures; that marked waves are told from plain ones is real."""
    long = "la lo la lo la lo la lo la lo la lo la lo la lo la lo "
    rows = ["id\tfile\tspeaker\ttext"]
    for one in recordings(tmp_path, {"a": [(3.2, f"{long} la")], "b": [(3.4, f"{long} lo")]}):
        rows.append(f"{one.id}\t{one.file.name}\t{one.speaker}\t{one.text}")
    (tmp_path / "utterances.tsv").write_text("\n".join(rows) + "\n")
    table, out = str(tmp_path / "utterances.tsv"), tmp_path / "out"
    line = ["--model", str(model), "--references", table, "--recordings", table, "--items", "1", "--output", str(out)]
    assert bench.main([*line, "--stages", "recordings"]) == 0
    found = read_json(out / "recordings.json")["recordings"][tmp_path.name]
    assert {name: len(scores) for name, scores in found.items()} == dict.fromkeys(bench.PIECES, 2)
    assert max(found["whole"]) < 0.5
    from resgen_tts.apps.speaking.tts import TTS

    marker = load_watermarker("perth")
    tts = TTS.from_pretrained(model, watermark="none", device="cpu", say=lambda line: None)
    chosen = bench.choose_items(bench.read_recordings(tmp_path / "utterances.tsv"), 1)
    (item,) = bench.speak(tts, chosen, marker, out)
    plain, marked = soundfile.read(item.plain)[0], soundfile.read(item.marked)[0]
    assert len(plain) == len(marked) and not np.array_equal(plain, marked)
    before = item.marked.stat().st_mtime_ns
    assert bench.speak(tts, chosen, marker, out) == [item] and item.marked.stat().st_mtime_ns == before
    assert bench.costs([replace(item)], marker)["mark"] > 0
    assert bench.main([*line, "--stages", "dreams"]) == 2
    assert "USAGE" in capsys.readouterr().err
