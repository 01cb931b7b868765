"""Naturalness: the opinion score that listeners would give a wave, predicted by a network that hears the wave alone."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent, read_wave

SHORTEST_SECONDS = 0.5  # raters learned from sentences; what they answer about less is no rating of speech


@runtime_checkable
class Rater(Protocol):
    """What predicts opinion scores of a wave, without a recording to compare it with; higher is better."""

    @property
    def name(self) -> str:
        """Model and version: ratings of different models are never compared."""

    @property
    def is_embedded(self) -> bool:
        """True for a small model that comes inside a package; False for one whose weights are a file of their own."""

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the scores that `rate` gives, in the order to show them, e.g. ``DNSMOS OVRL``."""

    def rate(self, path: Path, start_seconds: float = 0.0) -> dict[str, float]:
        """The scores of a wave, one of each of `figures`, on the scale 1 (bad) to 5.

        Args:
            path: the wave.
            start_seconds: what comes before is not heard, e.g. the prompt of a continuation.
        Raises:
            AudioError: the wave cannot be read, or no score is defined for it: AUDIO_TOO_SHORT, AUDIO_SILENT.
        """


def read_rated(
    path: Path, *, start_seconds: float = 0.0, shortest_seconds: float = SHORTEST_SECONDS
) -> Float[np.ndarray, "N"]:
    """A wave that a rater may hear, from a time on: mono float32 at 16 kHz in [-1, 1], neither too short nor silent.

    Raises:
        AudioError: it cannot be read, AUDIO_TOO_SHORT, or AUDIO_SILENT.
    """
    wave = read_wave(path, start_seconds=start_seconds)
    behind = f" after {start_seconds:.2f} s" if start_seconds else ""
    if len(wave) < shortest_seconds * SCORING_RATE:
        raise AudioError(
            f"{path} is {len(wave) / SCORING_RATE:.2f} s{behind}; a rating of naturalness needs {shortest_seconds} s.",
            code="AUDIO_TOO_SHORT",
        )
    if is_silent(wave):
        raise AudioError(f"{path} is silent{behind}; its naturalness is not defined.", code="AUDIO_SILENT")
    return wave
