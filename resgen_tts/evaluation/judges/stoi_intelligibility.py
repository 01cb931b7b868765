"""Intelligibility of a copy by STOI and extended STOI, through the package ``pystoi``."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError, require
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent

SHORTEST_SECONDS = 0.4  # 30 frames of 25.6 ms, half overlapping: one segment of the measure


@dataclass(frozen=True, kw_only=True)
class Intelligibility:
    """Correlations of short-time band envelopes with the recording's; 1 for equal waves."""

    stoi: float  # Taal et al., IEEE TASLP 2011
    extended: float  # Jensen and Taal, IEEE TASLP 2016: harder on what varies between bands


def intelligibility(reference: Float[np.ndarray, "N"], copy: Float[np.ndarray, "P"]) -> Intelligibility:
    """STOI and extended STOI of a copy over the samples that both have.

    Args:
        reference: the recording at 16 kHz.
        copy: the same passed through a tokenizer, at 16 kHz.
    Raises:
        AudioError: there is no score: AUDIO_TOO_SHORT, less than 0.4 s are left without the recording's pauses;
            AUDIO_SILENT, one of the two has no sound.
        MissingExtraError: the extra ``eval`` is not installed.
    """
    library = require("pystoi", extra="eval")
    size = min(len(reference), len(copy))
    if size < SHORTEST_SECONDS * SCORING_RATE:
        raise _too_short(size)
    for name, wave in (("recording", reference), ("copy", copy)):
        if is_silent(wave[:size]):
            raise AudioError(f"STOI is not defined where the {name} is silent.", code="AUDIO_SILENT")
    with warnings.catch_warnings(), _numpy_seeded():
        warnings.simplefilter("error", RuntimeWarning)  # with fewer frames it warns, and returns 1e-5 for a score
        try:
            plain, extended = (
                library.stoi(reference[:size], copy[:size], SCORING_RATE, extended=kind) for kind in (False, True)
            )
        except RuntimeWarning as warning:
            raise _too_short(size) from warning
    return Intelligibility(stoi=float(plain), extended=float(extended))


@contextlib.contextmanager
def _numpy_seeded() -> Iterator[None]:
    """The package adds noise of numpy's global generator to the extended measure, which is all there is of a silent
    frame: the figure is made the same each time, and the generator left as it was."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _too_short(size: int) -> AudioError:
    return AudioError(
        f"STOI needs {SHORTEST_SECONDS} s of speech without pauses, got {size / SCORING_RATE:.2f} s with them.",
        code="AUDIO_TOO_SHORT",
    )
