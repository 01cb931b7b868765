"""A recording as somebody brought it to the page: cut by numbers, and a verdict on how it was recorded."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.audio import checks
from resgen_tts.speech.audio.load import GOOD_REFERENCE_SECONDS, MIN_REFERENCE_SECONDS, LoadedAudio
from resgen_tts.speech.reference import speech_level_db

BEST_SECONDS = 12.0  # a longer one is cut at a pause
QUIET_DB, VERY_QUIET_DB = -36.0, -48.0  # of the speech; public corpora have -20 to -26
LEAST_NOISE_GAP_DB = 20.0  # between the speech and the quietest tenth of the recording
NOISE_SHARE = 10  # percent of the frames that are taken for pauses


@dataclass(frozen=True)
class Verdict:
    """How a recording was made.

    Attributes:
        level_db: RMS of the speech, relative to full scale.
        peak_db: of the loudest sample.
        gap_db: how far the quietest tenth lies under the speech.
        is_good: nothing stands in the way of a good likeness.
        words: what to do, or that all is well.
    """

    seconds: float
    level_db: float
    peak_db: float
    gap_db: float
    is_good: bool
    words: str


def cut(recording: LoadedAudio, start_seconds: float | None, end_seconds: float | None) -> LoadedAudio:
    """The part of a recording between two times; None is its beginning or its end.

    Raises:
        ConfigError: REFERENCE_RANGE, they do not name a part of it.
    """
    start = 0.0 if start_seconds is None else start_seconds
    end = recording.seconds if end_seconds is None else end_seconds
    if not 0 <= start < end <= recording.seconds + 0.01:  # a number that was rounded up still means the end
        raise ConfigError(
            f"{start:g} to {end:g} s is no part of a recording of {recording.seconds:.2f} s.",
            code="REFERENCE_RANGE",
            hint="Let the start lie before the end, and both in the recording.",
        )
    first, last = round(start * recording.sample_rate), round(end * recording.sample_rate)
    return replace(recording, samples=recording.samples[first:last])


def judge(samples: Float[np.ndarray, " N"], sample_rate: int) -> Verdict:
    """How loud, how noisy and how long a recording is, and what should be done about it."""
    seconds = len(samples) / sample_rate
    peak = float(np.abs(samples).max(initial=0.0))
    level, frames = speech_level_db(samples, sample_rate), checks.frame_levels_db(samples, sample_rate)
    gap = level - float(np.percentile(frames, NOISE_SHARE)) if len(frames) else 0.0
    told = []
    if seconds < MIN_REFERENCE_SECONDS:
        told.append(f"too short: at least {MIN_REFERENCE_SECONDS:.0f} s are needed")
    elif seconds < GOOD_REFERENCE_SECONDS:
        told.append(f"short: {GOOD_REFERENCE_SECONDS:.0f} to {BEST_SECONDS:.0f} s give a better likeness")
    if checks.is_clipped(samples):
        told.append("overdriven: lower the microphone's gain or step back")
    if level < VERY_QUIET_DB:
        told.append("very quiet: its noise will be heard; come closer to the microphone")
    elif level < QUIET_DB:
        told.append("quiet: come closer to the microphone")
    if gap < LEAST_NOISE_GAP_DB:
        told.append("noisy, or without a pause: a quiet room gives a better likeness")
    words = "; ".join(told) or "good level, little noise"
    if not told and seconds > BEST_SECONDS:
        words += f"; what is beyond {BEST_SECONDS:.0f} s is cut off at a pause"
    return Verdict(seconds, level, 20 * float(np.log10(max(peak, 1e-6))), gap, not told, words)
