"""DNSMOS: the package's figures, noise is heard, the same each time, and a reason where no figure is defined."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.judges.dnsmos import BACKGROUND, OVERALL, P808, SIGNAL, WINDOW_SECONDS, Dnsmos
from resgen_tts.evaluation.measures.naturalness import Rater
from resgen_tts.evaluation.waves import SCORING_RATE, read_wave

pytest.importorskip("onnxruntime", reason="the extra 'eval' is not installed; DNSMOS is NOT tested")
pytest.importorskip("speechmos", reason="the extra 'eval' is not installed; DNSMOS is NOT tested")

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def rater() -> Dnsmos:
    return Dnsmos()


def write(folder: Path, name: str, samples: np.ndarray) -> Path:
    soundfile.write(folder / f"{name}.wav", samples.astype(np.float32), SCORING_RATE, subtype="FLOAT")
    return folder / f"{name}.wav"


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=round(seconds * SCORING_RATE))).clip(-1, 1)


def test_it_is_the_packages_figure_and_the_same_each_time(rater, tmp_path):
    from speechmos import dnsmos

    path = write(tmp_path, "a", noise(5))
    found = rater.rate(path)
    theirs = dnsmos.run(read_wave(path), SCORING_RATE)
    for name, key in ((SIGNAL, "sig_mos"), (BACKGROUND, "bak_mos"), (OVERALL, "ovrl_mos"), (P808, "p808_mos")):
        assert found[name] == pytest.approx(float(theirs[key]), abs=1e-3)
    assert list(found) == list(rater.figures) and rater.rate(path) == found == Dnsmos().rate(path)
    assert isinstance(rater, Rater) and rater.is_embedded and "speechmos 0." in rater.name


def test_a_short_wave_is_doubled_and_the_end_of_a_long_one_is_not_heard(rater, tmp_path):
    short = noise(4.6)  # twice this fills one window
    once, twice = (rater.rate(write(tmp_path, f"{n}", np.tile(short, n))) for n in (1, 2))
    assert once == twice
    window = round(WINDOW_SECONDS * SCORING_RATE)
    long = np.concatenate([noise(10.9)[:window], np.zeros(round(1.8 * SCORING_RATE))])
    assert rater.rate(write(tmp_path, "long", long)) == rater.rate(write(tmp_path, "window", long[:window]))


def test_what_comes_before_a_time_is_not_heard(rater, tmp_path):
    samples = noise(6)
    samples[:16_000] *= 3
    whole, rest = write(tmp_path, "whole", samples), write(tmp_path, "rest", samples[16_000:])
    assert rater.rate(whole, 1.0) == rater.rate(rest) != rater.rate(whole)
    with pytest.raises(AudioError, match=r"0\.40 s after 5\.60 s") as caught:
        rater.rate(whole, start_seconds=5.6)
    assert caught.value.code == "AUDIO_TOO_SHORT"


def test_what_is_not_defined_has_a_reason(rater, tmp_path):
    for name, samples, code in (
        ("short", noise(0.4), "AUDIO_TOO_SHORT"),
        ("silent", np.zeros(SCORING_RATE), "AUDIO_SILENT"),
        ("nothing", np.zeros(0), "AUDIO_NO_SAMPLES"),
    ):
        with pytest.raises(AudioError, match=name) as caught:
            rater.rate(write(tmp_path, name, samples))
        assert caught.value.code == code
    with pytest.raises(AudioError):
        rater.rate(tmp_path / "gone.wav")


@pytest.mark.data
@pytest.mark.parametrize("folder", ["vctk-mini/flac", "libri-eval/test-clean"])
def test_noise_on_real_speech_lowers_all_but_the_figure_of_the_speech(rater, folder, tmp_path):
    if not (DATA / folder).is_dir():
        pytest.skip("shared/data is not beside the checkout; DNSMOS of real speech and of noise on it is NOT tested")
    for path in sorted((DATA / folder).glob("*.flac"))[:2]:
        speech = read_wave(path)[: 5 * SCORING_RATE]
        power = float(np.square(speech).mean())
        ratings = [rater.rate(write(tmp_path, "clean", speech))]
        for decibel in (10, 0):
            level = (power / 10 ** (decibel / 10)) ** 0.5
            noisy = speech + level * np.random.default_rng(0).normal(size=len(speech))
            ratings.append(rater.rate(write(tmp_path, "noisy", noisy.clip(-1, 1))))
        for name in (BACKGROUND, OVERALL, P808):
            clean, ten, zero = (rating[name] for rating in ratings)
            assert clean > ten > zero, (path.name, name, clean, ten, zero)
        assert ratings[0][OVERALL] > ratings[1][OVERALL] + 0.3


def test_flite_is_rated_as_it_was_before(rater, speak):
    """In a survey of free voices flite's rms had 3.10 overall and 3.42 by P.808."""
    texts = (
        "The birch canoe slid on the smooth planks, and the boy was there when the sun rose over the quiet water.",
        "A rod is used to catch pink salmon, and the source of the huge river is the clear spring behind the hill.",
    )
    found = [rater.rate(speak(text)) for text in texts]
    assert np.mean([rating[OVERALL] for rating in found]) == pytest.approx(3.10, abs=0.5)
    assert np.mean([rating[P808] for rating in found]) == pytest.approx(3.42, abs=0.5)
