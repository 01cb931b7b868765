"""Scores of copies: what each measure is given, what is left out, and corpus figures counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.copy_scores import (
    FIGURES,
    RECORDING,
    CopyScore,
    KnownRecording,
    TextCounts,
    score_copy,
    summarize,
    worse_when_deeper,
)
from resgen_tts.evaluation.judges.pesq_quality import pesq_quality
from resgen_tts.evaluation.judges.stoi_intelligibility import intelligibility
from resgen_tts.evaluation.judges.world_f0 import world_f0
from resgen_tts.evaluation.measures.f0_error import f0_error
from resgen_tts.evaluation.measures.reconstruction import mel_l1, spectral_distance
from resgen_tts.evaluation.measures.text_error import ErrorCounts, text_error
from resgen_tts.evaluation.waves import read_wave

for module in ("pesq", "pystoi", "pyworld"):
    pytest.importorskip(module, reason="the extra 'eval' is not installed; scores of copies are NOT tested")

PERFECT = CopyScore(
    is_silent=False, mel_l1=0.0, spectral_convergence=0.0, log_magnitude=0.0, pesq=4.6, stoi=1.0, extended_stoi=1.0,
    similarity=1.0, f0_cents=0.0, voicing=0.0, naturalness=None,
)  # fmt: skip


class Loudness:
    """A voice print of two numbers: the root mean square and 1; silence has none."""

    name, is_embedded = "loudness", True

    def embed(self, path):
        size = float(np.sqrt((read_wave(path) ** 2).mean()))
        return np.array([size, 1.0] if size else [0.0, 0.0], np.float32)


class Peaks:
    """A rater that gives the peak, and none to waves of less than a second."""

    name, is_embedded, figures = "peaks", True, ("DNSMOS OVRL",)

    def rate(self, path):
        wave = read_wave(path)
        if len(wave) < 16_000:
            raise AudioError("too short", code="AUDIO_TOO_SHORT")
        return {"DNSMOS OVRL": float(np.abs(wave).max())}


def scored(recording, copy, rater=None):
    return score_copy(KnownRecording.of(recording, Loudness()), copy, Loudness(), rater)


@pytest.fixture
def waves(tmp_path):
    """Bursts of a buzz at 110 Hz with noise in it, so that they have a pitch."""
    rng, found = np.random.default_rng(0), {}
    buzz = np.arange(24_000) * 110 / 16_000 % 1 - 0.5
    speech = (0.4 * buzz + 0.05 * rng.normal(size=24_000)) * (np.arange(24_000) % 8000 < 5000)
    for name, wave, rate in (
        ("speech", speech, 16_000), ("silence", 0 * speech, 16_000), ("short", speech[:2000], 16_000),
        ("copy", speech + 0.02 * rng.normal(size=24_000), 16_000), ("rate", np.repeat(speech, 3), 48_000),
        ("noise", 0.1 * rng.normal(size=24_000), 16_000),
    ):  # fmt: skip
        found[name] = tmp_path / f"{name}.wav"
        soundfile.write(found[name], wave.astype(np.float32), rate, subtype="FLOAT")
    return found


def test_every_figure_is_that_of_its_measure(waves):
    reference, made = read_wave(waves["speech"]), read_wave(waves["copy"])
    found = scored(waves["speech"], waves["copy"])
    spectra, heard = spectral_distance(reference, made), intelligibility(reference, made)
    assert found.mel_l1 == mel_l1(reference, made)
    assert (found.spectral_convergence, found.log_magnitude) == (spectra.convergence, spectra.log_magnitude)
    assert found.pesq == pesq_quality(reference, made)
    assert (found.stoi, found.extended_stoi) == (heard.stoi, pytest.approx(heard.extended))
    first, second = Loudness().embed(waves["speech"]), Loudness().embed(waves["copy"])
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert found.similarity == pytest.approx(cosine)
    pitch = f0_error(world_f0(reference), world_f0(made))
    assert (found.f0_cents, found.voicing) == (pitch.cents, pitch.voicing) and pitch.cents < 100
    assert found.naturalness is None  # was not asked for
    assert not found.left_out and not found.is_silent


def test_copies_at_another_rate_are_heard_at_16_khz(waves):
    found = scored(waves["rate"], waves["rate"])
    assert found.mel_l1 == 0 and found.pesq == pytest.approx(4.644, abs=1e-3)


def test_what_is_not_defined_is_left_out_with_its_reason(waves):
    silent_copy = scored(waves["speech"], waves["silence"])
    assert silent_copy.is_silent and silent_copy.spectral_convergence == pytest.approx(1)
    assert silent_copy.pesq is silent_copy.stoi is None and silent_copy.similarity == 0
    assert silent_copy.left_out == {"pesq": "AUDIO_SILENT", "stoi": "AUDIO_SILENT", "f0_cents": "AUDIO_NO_SPEECH"}
    assert silent_copy.f0_cents is None and 0.2 < silent_copy.voicing < 0.7  # the bursts
    silent = scored(waves["silence"], waves["copy"])
    reasons = {"pesq": "AUDIO_SILENT", "stoi": "AUDIO_SILENT", "stft": "AUDIO_SILENT", "similarity": "AUDIO_NO_SPEECH"}
    reasons["f0"] = "AUDIO_NO_SPEECH"
    assert (
        silent.left_out == reasons
        and silent.f0_cents is silent.voicing is silent.similarity is silent.log_magnitude is None
    )
    short = scored(waves["short"], waves["copy"])
    assert short.left_out == {"pesq": "AUDIO_TOO_SHORT", "stoi": "AUDIO_TOO_SHORT"} and short.log_magnitude > 0
    hiss = scored(waves["noise"], waves["noise"])
    assert hiss.left_out == {"f0": "AUDIO_NO_SPEECH"} and hiss.f0_cents is hiss.voicing is None


def test_a_rater_hears_the_copy_alone_and_may_decline(waves):
    found = scored(waves["short"], waves["copy"], Peaks())
    assert found.naturalness == float(np.abs(read_wave(waves["copy"])).max()) and "naturalness" not in found.left_out
    declined = scored(waves["speech"], waves["short"], Peaks())
    assert declined.naturalness is None and declined.left_out["naturalness"] == "AUDIO_TOO_SHORT"


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
    assert copy.left_out == {"pesq": {"AUDIO_TOO_SHORT": 1}} and copy.figures["naturalness"] is None
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
