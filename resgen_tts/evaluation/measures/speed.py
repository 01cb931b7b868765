"""Real-time factor: seconds of computing for one second of audio.

Every figure of this name in reports, logs and tables is the one of `REAL_TIME_FACTOR`, and stands with its threads.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resgen_tts.common.errors import DataError

REAL_TIME_FACTOR = (
    "wall time from the prompt's samples and the text to the output's samples, the model being loaded and nothing of "
    "the prompt kept from before, over the output's length; all items' time over all items' length"
)


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


def told_threads(run: Mapping[str, Any]) -> str:
    """The threads that outputs were made with, from their run.json, e.g. ``2 threads``."""
    counts = run.get("threads")
    if not isinstance(counts, list) or not counts:
        return "threads not recorded"
    return f"{' and '.join(map(str, counts))} thread{'' if counts == [1] else 's'}"
