"""F0 error: a copy has none, a known shift is found, and what has no pitch is left out with a reason."""

from pathlib import Path

import numpy as np
import pytest

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.judges.world_f0 import FRAME_SECONDS, world_f0
from resgen_tts.evaluation.measures.f0_error import f0_error
from resgen_tts.evaluation.waves import SCORING_RATE, read_wave

pyworld = pytest.importorskip("pyworld", reason="the extra 'eval' is not installed; F0 is NOT tested")

DATA = Path(__file__).parents[4] / "shared" / "data"
SEMITONE = 2 ** (1 / 12)


def voice(hertz: float, seconds: float = 1.0) -> np.ndarray:
    """A tone with the harmonics of a voice."""
    times = np.arange(round(seconds * SCORING_RATE)) / SCORING_RATE
    parts = [np.sin(2 * np.pi * hertz * k * times) / k for k in range(1, int(7000 / hertz))]
    return (0.1 * np.sum(parts, 0)).astype(np.float32)


def noise(seconds: float = 1.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).normal(size=round(seconds * SCORING_RATE))).astype(np.float32)


def test_by_hand():
    recording = np.array([0, 100, 100, 200, 0, 100.0])
    copy = np.array([100, 100, 200, 200 * SEMITONE, 0, 0, 300.0])  # and a frame too many
    found = f0_error(recording, copy)
    assert found.cents == pytest.approx(((0 + 1200**2 + 100**2) / 3) ** 0.5)
    assert found.voicing == pytest.approx(2 / 6)
    same = f0_error(recording, recording)
    assert (same.cents, same.voicing) == (0, 0)


@pytest.mark.parametrize("hertz", [80, 110, 150, 220, 400])
def test_a_shifted_tone(hertz):
    track = world_f0(voice(hertz))
    assert np.median(track) == pytest.approx(hertz, rel=0.01)
    assert len(track) == pytest.approx(1 / FRAME_SECONDS, abs=1)
    for steps in (1, -2):
        found = f0_error(track, world_f0(voice(hertz * SEMITONE**steps)))
        assert found.cents == pytest.approx(100 * abs(steps), abs=5) and found.voicing < 0.02


def test_what_has_no_pitch_is_left_out():
    tone = world_f0(voice(150))
    for track in (world_f0(noise()), world_f0(noise(3.0)), world_f0(np.zeros(SCORING_RATE, np.float32)), np.zeros(0)):
        with pytest.raises(AudioError) as caught:
            f0_error(track, tone[: len(track)])
        assert caught.value.code == "AUDIO_NO_SPEECH"
    for lost in (world_f0(noise()), np.zeros(len(tone))):  # of the copy: nearly all frames differ in their voicing
        found = f0_error(tone, lost)
        assert found.cents is None and found.voicing > 0.9


def test_half_a_copy_without_voice_is_half_of_the_voicing():
    tone = world_f0(voice(150, 2))
    found = f0_error(tone, np.where(np.arange(len(tone)) < 200, tone, 0))
    assert found.cents == 0 and found.voicing == pytest.approx(0.5, abs=0.01)


@pytest.mark.data
def test_speech_that_world_speaks_a_semitone_higher():
    if not (DATA / "vctk-mini" / "flac").is_dir():
        pytest.skip("shared/data is not beside the checkout; F0 errors of real speech are NOT tested")
    medians = []
    for path in sorted((DATA / "vctk-mini" / "flac").glob("*.flac"))[:3]:
        wave = read_wave(path)
        samples, track = wave.astype(np.float64), world_f0(wave)
        times = np.arange(len(track)) * FRAME_SECONDS
        parts = (
            pyworld.cheaptrick(samples, track, times, SCORING_RATE),
            pyworld.d4c(samples, track, times, SCORING_RATE),
        )
        low, high = (
            world_f0(pyworld.synthesize(track * factor, *parts, SCORING_RATE)[: len(wave)].astype(np.float32))
            for factor in (1, SEMITONE)
        )
        assert f0_error(track, track).cents == 0
        found = f0_error(low, high)
        # A few frames at the edges of voice, or an octave off, weigh much in a root mean square.
        assert 97 < found.cents < 115 and found.voicing < 0.1, path.name
        both = (low > 0) & (high > 0)
        medians.append(float(np.median(1200 * np.log2(high[both] / low[both]))))
    assert medians == pytest.approx([100, 100, 100], abs=5)
