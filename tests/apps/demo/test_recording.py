"""Cutting by numbers, and the verdict."""

import numpy as np
import pytest

from resgen_tts.apps.demo.recording import cut, judge
from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.audio.load import LoadedAudio

RATE = 16_000


def speech(seconds=5.0, level=0.1, noise=1e-4):
    """Bursts of a tone with pauses between them, as words have them."""
    time = np.arange(round(seconds * RATE)) / RATE
    is_spoken = np.sin(2 * np.pi * time) > -0.5
    wave = level * np.sqrt(2) * np.sin(2 * np.pi * 220 * time) * is_spoken
    return (wave + np.random.default_rng(0).normal(0, noise, len(time))).astype(np.float32)


def test_a_cut_is_those_samples():
    whole = LoadedAudio(speech(), RATE, ("AUDIO_X: kept",))
    part = cut(whole, 1.25, 3.5)
    np.testing.assert_array_equal(part.samples, whole.samples[20_000:56_000])
    assert part.warnings == whole.warnings
    np.testing.assert_array_equal(cut(whole, None, None).samples, whole.samples)
    assert len(cut(whole, 4.0, 5.004).samples) == RATE  # the end, rounded up


@pytest.mark.parametrize(
    "start, end", [(3.0, 2.0), (2.0, 2.0), (-1.0, 2.0), (0.0, 6.0), (float("nan"), 2.0), (6.0, None)]
)
def test_what_is_no_part_is_refused(start, end):
    with pytest.raises(ConfigError) as told:
        cut(LoadedAudio(speech(), RATE), start, end)
    assert told.value.code == "REFERENCE_RANGE"


def test_a_good_recording_is_told_so_with_its_level():
    verdict = judge(speech(level=0.1), RATE)
    assert verdict.is_good and abs(verdict.level_db + 20) < 1 and abs(verdict.peak_db + 17) < 0.5


@pytest.mark.parametrize(
    "wave, word",
    [
        (speech(level=0.01), "quiet"),
        (speech(level=0.002, noise=1e-5), "very quiet"),
        (np.clip(speech(level=3.0), -1, 1), "overdriven"),
        (speech(noise=0.05), "noisy"),
        (speech(2.0), "short"),
        (speech(0.5), "too short"),
    ],
)
def test_each_fault_is_named(wave, word):
    verdict = judge(wave, RATE)
    assert word in verdict.words and not verdict.is_good


def test_a_long_one_is_good_and_will_be_cut():
    verdict = judge(speech(20.0), RATE)
    assert verdict.is_good and "cut off" in verdict.words
