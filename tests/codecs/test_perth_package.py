"""Our way to mark and to detect, against the ``resemble-perth`` package with its real torchaudio."""

import contextlib
import io
import warnings

import numpy as np
import pytest
import soxr
import torch

from resgen_tts.apps.provenance.perth import load_perth
from tests.apps.provenance.sounds import voice_like


@pytest.fixture(scope="module")
def theirs():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of pkg_resources, which it imports
        from perth import PerthImplicitWatermarker

        return PerthImplicitWatermarker()


@pytest.mark.parametrize("rate", [24_000, 32_000, 44_100])
def test_marks_are_the_packages(theirs, rate):
    """Ours sends the mark alone through the resampler; at these rates what the speech loses there is nothing."""
    plain = soxr.resample(voice_like(3.0, 16_000), 16_000, rate)  # nothing near half the rate, where filters differ
    with torch.inference_mode():
        expected = theirs.apply_watermark(plain, rate)
    marked = load_perth().mark(plain, rate)
    size = min(len(expected), len(marked))
    assert len(plain) - size <= 1 and np.abs(marked - plain).max() > 0.01
    inner = slice(100, size - 100)  # where they have other zeros before and behind the speech
    np.testing.assert_allclose(marked[inner], expected[inner], atol=5e-5)
    if rate == 32_000:
        np.testing.assert_allclose(marked, expected, atol=1e-6)


def test_detections_are_the_packages(theirs):
    marker = load_perth()
    plain = voice_like(2.8, 32_000)
    with torch.inference_mode():
        for share in (0.0, 0.3, 0.5, 1.0):  # of the mark
            wave = (plain + share * (marker.mark(plain, 32_000) - plain)).astype(np.float32)
            expected = float(theirs.get_watermark(wave, 32_000, round=False)[()])
            assert marker.detect(wave, 32_000) == pytest.approx(expected, abs=1e-4)
        other = soxr.resample(marker.mark(plain, 32_000), 32_000, 24_000)
        expected = float(theirs.get_watermark(other, 24_000, round=False)[()])
        assert marker.detect(other, 24_000) == pytest.approx(expected, abs=0.01)
