"""Watermarks by name."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from resgen_tts.common.errors import ConfigError


@runtime_checkable
class Watermarker(Protocol):
    """Puts a mark into speech that is not heard, and finds it again; the same samples give the same result."""

    name: str
    sample_rate: int  # Hz that it works at; whatever else it is given is resampled
    threshold: float  # of `detect`: from here on the mark is taken to be there

    def mark(self, samples: Float32[np.ndarray, "N"], sample_rate: int) -> Float32[np.ndarray, "N"]:
        """The same speech with the mark in it; where there is silence, silence stays."""

    def detect(self, samples: Float32[np.ndarray, "N"], sample_rate: int) -> float:
        """How sure it is that the mark is in the samples, 0 to 1; 0 for silence."""


def load_watermarker(name: str) -> Watermarker | None:
    """The watermarker of a name.

    Args:
        name: "perth", which comes with the installation; "audioseal:FOLDER", from files; "none", and None is given.
    Raises:
        ConfigError: there is no such name.
        WatermarkError: WATERMARK_MISSING, what it needs is not installed or not there; WATERMARK_FAILED, it is broken.
    """
    if name == "none":
        return None
    if name == "perth":
        from resgen_tts.apps.provenance.perth import load_perth

        return load_perth()
    kind, _, folder = name.partition(":")
    if kind == "audioseal" and folder:
        from resgen_tts.apps.provenance.audioseal import load_audioseal

        return load_audioseal(folder)
    raise ConfigError(
        f"there is no watermark {name!r}.", code="WATERMARK_UNKNOWN", hint="There are: perth, audioseal:FOLDER, none."
    )
