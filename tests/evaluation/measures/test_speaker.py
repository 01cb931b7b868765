"""Voice prints: the arithmetic on known vectors, Resemblyzer on real voices."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from resgen_tts.evaluation.measures.speaker import cosine, similarity

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "vctk-mini"
VECTOR = arrays.arrays(np.float32, 4, elements=st.floats(-10, 10, width=32))


def unit(*values):
    return np.asarray(values, np.float32)


@settings(deadline=None)
@given(VECTOR, VECTOR)
def test_cosine_is_symmetric_and_bounded(first, second):
    assert cosine(first, second) == pytest.approx(cosine(second, first))
    assert -1.0001 <= cosine(first, second) <= 1.0001


def test_silence_resembles_nobody():
    assert cosine(unit(0, 0), unit(1, 0)) == 0.0
    found = similarity(unit(0, 0), unit(1, 0), {"a": [unit(1, 0)], "b": [unit(0, 1)]}, "a")
    assert not found.is_own_first


def test_another_speaker_counts_by_the_mean_of_their_prompts():
    prompts = {"a": [unit(1, 0)], "b": [unit(0, 1), unit(0.6, 0.8)], "c": [unit(-1, 0)]}
    found = similarity(unit(1, 0), unit(0.8, 0.6), prompts, "a", unit(0, 1))
    assert found.own == pytest.approx(0.8) and found.own_copy == pytest.approx(0.0)
    assert found.nearest_other_speaker == "b" and found.nearest_other == pytest.approx(0.3)
    assert found.others == pytest.approx((0.3 - 1) / 2)
    assert found.is_own_first
    assert found.nearest_other_prompt == pytest.approx(0.6) and found.is_own_prompt_first
    nearer = similarity(unit(1, 0), unit(0.5, 0.8), prompts, "a")
    assert nearer.is_own_first and not nearer.is_own_prompt_first


def test_a_tie_is_not_a_win():
    assert not similarity(unit(1, 0), unit(0, 1), {"a": [unit(0, 1)], "b": [unit(0, 1)]}, "a").is_own_first


def test_one_speaker_has_nobody_to_compare_with():
    found = similarity(unit(1, 0), unit(1, 0), {"a": [unit(1, 0)]}, "a")
    assert found.own == 1 and found.others is found.nearest_other is found.nearest_other_prompt is None
    assert found.is_own_first is found.is_own_prompt_first is None


@pytest.fixture(scope="module")
def resemblyzer():
    pytest.importorskip("webrtcvad", reason="the extra 'eval' is not installed; voice prints are NOT tested")
    from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer

    return Resemblyzer()


def test_a_wave_resembles_itself_perfectly_and_silence_nothing(resemblyzer, tmp_path):
    time = np.arange(32_000) / 16_000
    buzz = 0.3 * np.sign(np.sin(2 * np.pi * 120 * time)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
    for name, wave in [("buzz", buzz), ("silent", np.zeros(16_000)), ("click", np.full(50, 0.9))]:
        soundfile.write(str(tmp_path / f"{name}.wav"), wave, 16_000)
    threads = torch.get_num_threads()
    one, same = resemblyzer.embed(tmp_path / "buzz.wav"), resemblyzer.embed(tmp_path / "buzz.wav")
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(one, same)
    assert cosine(one, same) == pytest.approx(1.0, abs=1e-5)
    assert not resemblyzer.embed(tmp_path / "silent.wav").any()
    assert np.isfinite(resemblyzer.embed(tmp_path / "click.wav")).all()


def test_flite_voices_are_told_apart(resemblyzer, speak):
    said = "where did the teacher find the silver basket", "six hungry rabbits waited near the quiet river"
    prints = {voice: [resemblyzer.embed(speak(text, voice)) for text in said] for voice in ("rms", "slt", "awb")}
    for voice, (first, second) in prints.items():
        assert all(cosine(first, second) > cosine(first, other[1]) for name, other in prints.items() if name != voice)


@pytest.mark.data
def test_a_real_speaker_is_nearer_to_himself_than_to_others(resemblyzer):
    if not DATA.is_dir():
        pytest.skip(f"{DATA.name} is not beside the checkout; real voices are NOT tested")
    with open(DATA / "utterances.tsv", encoding="utf-8", newline="") as file:
        waves = {row["utt"]: (row["speaker"], DATA / row["flac"]) for row in csv.DictReader(file, delimiter="\t")}
    by_speaker: dict[str, list] = {}
    for speaker, path in waves.values():
        by_speaker.setdefault(speaker, []).append(path)
    chosen = {name: paths[:2] for name, paths in sorted(by_speaker.items()) if len(paths) > 1}
    chosen = dict(list(chosen.items())[:10])
    assert len(chosen) > 4
    prints = {name: [resemblyzer.embed(path) for path in paths] for name, paths in chosen.items()}
    right = [
        similarity(own[0], own[1], {other: [pair[1]] for other, pair in prints.items()}, name).is_own_first
        for name, own in prints.items()
    ]
    assert np.mean(right) >= 0.8
