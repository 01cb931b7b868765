"""Scores of copies: what each measure is given, what is left out, and corpus figures counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from resgen_tts.evaluation.copy_scores import (
    FIGURES,
    RECORDING,
    CopyScore,
    TextCounts,
    score_copy,
    summarize,
    worse_when_deeper,
)
from resgen_tts.evaluation.judges.pesq_quality import pesq_quality
from resgen_tts.evaluation.judges.stoi_intelligibility import intelligibility
from resgen_tts.evaluation.measures.reconstruction import mel_l1, spectral_distance
from resgen_tts.evaluation.measures.text_error import ErrorCounts, text_error
from resgen_tts.evaluation.waves import read_wave

for module in ("pesq", "pystoi"):
    pytest.importorskip(module, reason="the extra 'eval' is not installed; scores of copies are NOT tested")

PERFECT = CopyScore(
    is_silent=False, mel_l1=0.0, spectral_convergence=0.0, log_magnitude=0.0, pesq=4.6, stoi=1.0, extended_stoi=1.0,
    similarity=1.0,
)  # fmt: skip


class Loudness:
    """A voice print of two numbers: the root mean square and 1; silence has none."""

    name, is_embedded = "loudness", True

    def embed(self, path):
        size = float(np.sqrt((read_wave(path) ** 2).mean()))
        return np.array([size, 1.0] if size else [0.0, 0.0], np.float32)


@pytest.fixture
def waves(tmp_path):
    rng, found = np.random.default_rng(0), {}
    speech = 0.2 * rng.normal(size=24_000) * (np.arange(24_000) % 8000 < 5000)
    for name, wave, rate in (
        ("speech", speech, 16_000), ("silence", 0 * speech, 16_000), ("short", speech[:2000], 16_000),
        ("copy", speech + 0.02 * rng.normal(size=24_000), 16_000), ("rate", np.repeat(speech, 3), 48_000),
    ):  # fmt: skip
        found[name] = tmp_path / f"{name}.wav"
        soundfile.write(found[name], wave.astype(np.float32), rate, subtype="FLOAT")
    return found


def test_every_figure_is_that_of_its_measure(waves):
    reference, made = read_wave(waves["speech"]), read_wave(waves["copy"])
    found = score_copy(waves["speech"], waves["copy"], Loudness())
    spectra, heard = spectral_distance(reference, made), intelligibility(reference, made)
    assert found.mel_l1 == mel_l1(reference, made)
    assert (found.spectral_convergence, found.log_magnitude) == (spectra.convergence, spectra.log_magnitude)
    assert found.pesq == pesq_quality(reference, made)
    assert (found.stoi, found.extended_stoi) == (heard.stoi, pytest.approx(heard.extended))
    first, second = Loudness().embed(waves["speech"]), Loudness().embed(waves["copy"])
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert found.similarity == pytest.approx(cosine)
    assert not found.left_out and not found.is_silent


def test_copies_at_another_rate_are_heard_at_16_khz(waves):
    found = score_copy(waves["rate"], waves["rate"], Loudness())
    assert found.mel_l1 == 0 and found.pesq == pytest.approx(4.644, abs=1e-3)


def test_what_is_not_defined_is_left_out_with_its_reason(waves):
    silent_copy = score_copy(waves["speech"], waves["silence"], Loudness())
    assert silent_copy.is_silent and silent_copy.spectral_convergence == pytest.approx(1)
    assert silent_copy.pesq is silent_copy.stoi is None and silent_copy.similarity == 0
    assert silent_copy.left_out == {"pesq": "AUDIO_SILENT", "stoi": "AUDIO_SILENT"}
    silent = score_copy(waves["silence"], waves["copy"], Loudness())
    reasons = {"pesq": "AUDIO_SILENT", "stoi": "AUDIO_SILENT", "stft": "AUDIO_SILENT", "similarity": "AUDIO_NO_SPEECH"}
    assert silent.left_out == reasons and silent.similarity is silent.log_magnitude is None
    short = score_copy(waves["short"], waves["copy"], Loudness())
    assert short.left_out == {"pesq": "AUDIO_TOO_SHORT", "stoi": "AUDIO_TOO_SHORT"} and short.log_magnitude > 0


def counts(said: str, heard: str) -> TextCounts:
    found = text_error(said, heard)
    return TextCounts(words=found.words, characters=found.characters)


def test_corpus_figures_by_hand():
    scores = [
        {RECORDING: PERFECT, "depth_01": replace(PERFECT, mel_l1=1.0, pesq=None, left_out={"pesq": "AUDIO_TOO_SHORT"})},
        {RECORDING: PERFECT, "depth_01": replace(PERFECT, mel_l1=0.5, pesq=2.0)},
        {RECORDING: PERFECT, "depth_01": replace(PERFECT, mel_l1=0.0, pesq=3.0, is_silent=True)},
    ]
    texts = [
        {RECORDING: counts("a b", "a b"), "depth_01": counts("a b", "a c")},
        {RECORDING: counts("a b c d", "a b c"), "depth_01": counts("a b c d", "a")},
        {},  # no text
    ]
    found = summarize([RECORDING, "depth_01"], scores, texts, seed=0)
    copy = found["depth_01"]
    assert copy.figures["mel_l1"].value == pytest.approx(0.5)
    assert copy.figures["pesq"].value == pytest.approx(2.5)  # over the two that have one
    assert copy.left_out == {"pesq": {"AUDIO_TOO_SHORT": 1}}
    assert copy.wer.value == pytest.approx(4 / 6) and found[RECORDING].wer.value == pytest.approx(1 / 6)
    assert copy.wer_difference.value == pytest.approx(3 / 6) and found[RECORDING].wer_difference is None
    assert (copy.items, copy.items_with_text, copy.silent) == (3, 2, 1)
    unheard = summarize(["depth_01"], scores, [{}, {}, {}], seed=0)["depth_01"]
    assert unheard.wer is unheard.cer is unheard.wer_difference is None
    assert set(copy.figures) == set(FIGURES) and isinstance(texts[0][RECORDING].words, ErrorCounts)


def test_a_deeper_prefix_that_is_worse_is_told():
    depths = ["depth_01", "depth_02", "depth_04"]
    values = {"depth_01": (1.0, 2.0), "depth_02": (0.5, 2.5), "depth_04": (0.6, 3.0)}
    scores = [
        {name: replace(PERFECT, mel_l1=mel + shift, pesq=pesq + shift) for name, (mel, pesq) in values.items()}
        for shift in (0.0, 0.1)
    ]
    found = worse_when_deeper(depths, scores, seed=0)
    assert set(found) == {"mel_l1"}
    ((shallow, deep, change),) = found["mel_l1"]
    assert (shallow, deep) == ("depth_02", "depth_04") and change.value == pytest.approx(0.1)
    scores[0]["depth_04"] = replace(scores[0]["depth_04"], pesq=None)  # then only the other item speaks
    scores[1]["depth_04"] = replace(scores[1]["depth_04"], pesq=1.0)
    assert worse_when_deeper(depths, scores, seed=0)["pesq"][0][2].value == pytest.approx(1.0 - 2.6)
