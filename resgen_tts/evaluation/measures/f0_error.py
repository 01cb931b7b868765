"""How far a copy's pitch is from its recording's: error in cents where both are voiced, and voicing that differs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError

CENTS_PER_OCTAVE = 1200
LEAST_VOICED = 0.1  # share; a second of white noise has up to 0.065 by chance, read speech half of its frames or more


@dataclass(frozen=True, kw_only=True)
class F0Error:
    """Distances of two tracks of the fundamental frequency; 0 for equal waves."""

    cents: float | None  # root mean square over the frames voiced in both; None where the copy has lost the voice
    voicing: float  # share of frames that are voiced in one of the two only


def f0_error(reference: Float[np.ndarray, "T"], copy: Float[np.ndarray, "U"]) -> F0Error:
    """Compare tracks of a recording and a copy that keeps its timing, over the frames that both have.

    ``sqrt(mean (1200 log2(f'_t / f_t))^2)`` over the frames t voiced in both: a semitone is 100 cents. Octave errors of
    the estimator count as such, so that a perfect copy by another way than the same samples has some 50 cents, not 0.

    A recording with less than a tenth of its frames voiced has no pitch; a copy that is voiced in less than a tenth of
    those has lost it.

    Args:
        reference: Hz of each frame of the recording, 0 where unvoiced (see ``judges.world_f0``).
        copy: the same of the copy, at the same frame rate.
    Raises:
        AudioError: AUDIO_NO_SPEECH, the recording has no pitch to keep.
    """
    frames = min(len(reference), len(copy))
    truth, made = reference[:frames], copy[:frames]
    is_voiced, is_voiced_copy = truth > 0, made > 0
    if not frames or is_voiced.mean() < LEAST_VOICED:
        raise AudioError("hardly a frame of the recording is voiced; it has no pitch.", code="AUDIO_NO_SPEECH")
    both = is_voiced & is_voiced_copy
    off = CENTS_PER_OCTAVE * np.log2(made[both] / truth[both])
    return F0Error(
        cents=float(np.sqrt(np.square(off).mean())) if both.sum() >= LEAST_VOICED * is_voiced.sum() else None,
        voicing=float((is_voiced != is_voiced_copy).mean()),
    )
