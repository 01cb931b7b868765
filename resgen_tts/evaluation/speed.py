"""Real-time factor: seconds of computing for one second of audio."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from resgen_tts.common.errors import DataError


@dataclass(frozen=True, kw_only=True)
class SpeedSummary:
    """How fast a system speaks; below 1 is faster than the audio plays."""

    real_time_factor: float  # all computing over all audio
    median: float  # of the items
    slowest: float  # of the items
    seconds_of_audio: float
    seconds_to_generate: float


def summarize_speed(
    seconds_of_audio: Sequence[float | int], seconds_to_generate: Sequence[float | int]
) -> SpeedSummary:
    """Summarize one system's speed.

    Args:
        seconds_of_audio: length of each output.
        seconds_to_generate: wall time spent on each.
    Raises:
        DataError: no items, unequal counts, an output without length or a time below zero.
    """
    if not seconds_of_audio or len(seconds_of_audio) != len(seconds_to_generate):
        raise DataError(f"speed needs a time per item, got {len(seconds_to_generate)} for {len(seconds_of_audio)}.")
    if min(seconds_of_audio) <= 0 or min(seconds_to_generate) < 0:
        raise DataError("an output has no length or took less than no time; was the request log edited?")
    factors = [spent / length for length, spent in zip(seconds_of_audio, seconds_to_generate, strict=True)]
    return SpeedSummary(
        real_time_factor=sum(seconds_to_generate) / sum(seconds_of_audio),
        median=statistics.median(factors),
        slowest=max(factors),
        seconds_of_audio=sum(seconds_of_audio),
        seconds_to_generate=sum(seconds_to_generate),
    )
