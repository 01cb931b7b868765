"""Real-time factor: seconds of computing for one second of audio; and what the first output costs.

Every figure of these names in reports, logs and tables is the one of `REAL_TIME_FACTOR`, `COLD`, `WARM`, `FIRST_AUDIO`
or `PEAK_MEMORY`, and stands with its threads.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resgen_tts.common.errors import DataError

REAL_TIME_FACTOR = (
    "wall time from the prompt's samples and the text to the output's samples, the model being loaded and nothing of "
    "the prompt kept from before, over the output's length; all items' time over all items' length"
)
COLD = (
    "wall time from the start of loading the model to the first output's last sample; as a real-time factor, over that "
    "output's length"
)
WARM = "the real-time factor of all items but the first, which also pays for what libraries set up once"
FIRST_AUDIO = "wall time from the text to a stream's first samples, the model being loaded and having spoken before"
PEAK_MEMORY = "most memory that the process held at once (resident set), libraries and model included, in MiB"
_OLD_FIRST_OUTPUT = "first_audio_seconds_of_output"  # too near to first_audio_seconds, which is another figure


@dataclass(frozen=True, kw_only=True)
class SpeedSummary:
    """How fast a system speaks; a factor below 1 is faster than the audio plays. None: not measured."""

    real_time_factor: float  # all computing over all audio
    median: float  # of the items
    slowest: float  # of the items
    seconds_of_audio: float
    seconds_to_generate: float
    warm_real_time_factor: float | None = None  # WARM
    cold_seconds: float | None = None  # COLD
    cold_real_time_factor: float | None = None
    first_audio_seconds: float | None = None  # FIRST_AUDIO
    peak_memory_mib: float | None = None  # PEAK_MEMORY


def summarize_speed(
    seconds_of_audio: Sequence[float | int],
    seconds_to_generate: Sequence[float | int],
    run: Mapping[str, Any] | None = None,
) -> SpeedSummary:
    """Summarize one system's speed.

    Args:
        seconds_of_audio: length of each output, in the order they were made.
        seconds_to_generate: wall time spent on each.
        run: what run.json says of the process that made them, for the figures that the items cannot tell. Of its entry
            ``speed`` are read ``first_seconds`` (from the start of loading to the end of the first output),
            ``first_output_seconds`` (that output's length; older runs have it as ``first_audio_seconds_of_output``),
            ``first_audio_seconds`` (of a stream) and ``peak_memory_mib``; what is not there stays None.
    Raises:
        DataError: no items, unequal counts, an output without length or a time below zero; or a figure of ``speed``
            that is no positive number.
    """
    if not seconds_of_audio or len(seconds_of_audio) != len(seconds_to_generate):
        raise DataError(f"speed needs a time per item, got {len(seconds_to_generate)} for {len(seconds_of_audio)}.")
    if min(seconds_of_audio) <= 0 or min(seconds_to_generate) < 0:
        raise DataError("an output has no length or took less than no time; was the request log edited?")
    factors = [spent / length for length, spent in zip(seconds_of_audio, seconds_to_generate, strict=True)]
    told = (run or {}).get("speed") or {}
    cold = _told(told, "first_seconds")
    first_length = _told(told, "first_output_seconds" if "first_output_seconds" in told else _OLD_FIRST_OUTPUT)
    return SpeedSummary(
        real_time_factor=sum(seconds_to_generate) / sum(seconds_of_audio),
        median=statistics.median(factors),
        slowest=max(factors),
        seconds_of_audio=sum(seconds_of_audio),
        seconds_to_generate=sum(seconds_to_generate),
        warm_real_time_factor=sum(seconds_to_generate[1:]) / sum(seconds_of_audio[1:]) if len(factors) > 1 else None,
        cold_seconds=cold,
        cold_real_time_factor=None if cold is None or first_length is None else cold / first_length,
        first_audio_seconds=_told(told, "first_audio_seconds"),
        peak_memory_mib=_told(told, "peak_memory_mib"),
    )


def told_threads(run: Mapping[str, Any]) -> str:
    """The threads that outputs were made with, from their run.json, e.g. ``2 threads``."""
    counts = run.get("threads")
    if not isinstance(counts, list) or not counts:
        return "threads not recorded"
    return f"{' and '.join(map(str, counts))} thread{'' if counts == [1] else 's'}"


def _told(speed: Mapping[str, Any], name: str) -> float | None:
    """A figure of run.json's ``speed``, where there is one.

    Raises:
        DataError: it is no positive number.
    """
    value = speed.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise DataError(f"speed.{name} of run.json must be a positive number, got {value!r}; was the file edited?")
    return float(value)
