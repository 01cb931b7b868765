"""Perceived quality of a copy by wide-band PESQ, ITU-T P.862.2, through the package ``pesq``."""

import itertools
import math

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError, require
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent

SHORTEST_SECONDS = 0.25  # the measure's own limit
# The measure was made for 8 to 12 s. The package keeps 50 utterances and crashes, with the whole process, where it
# finds more; an utterance and the pause behind it last 0.4 s at least, so that 20 s cannot hold as many.
LONGEST_SECONDS = 20.0


def pesq_quality(reference: Float[np.ndarray, "N"], copy: Float[np.ndarray, "P"]) -> float:
    """Mean opinion score that listeners would give the copy, 1.04 (bad) to 4.64 (the recording itself).

    What one of the two is longer by is cut off. A recording of more than 20 s is scored in equal pieces of at most
    20 s, those without speech left out, and the mean of the pieces is given.

    Args:
        reference: the recording at 16 kHz.
        copy: the same passed through a tokenizer, at 16 kHz.
    Raises:
        AudioError: there is no score: AUDIO_TOO_SHORT, less than 0.25 s; AUDIO_SILENT, one of the two has no sound;
            AUDIO_NO_SPEECH, no utterance is found in the recording.
        MissingExtraError: the extra ``eval`` is not installed.
    """
    library = require("pesq", extra="eval")
    size = min(len(reference), len(copy))
    if size < SHORTEST_SECONDS * SCORING_RATE:
        raise AudioError(f"PESQ needs {SHORTEST_SECONDS} s, got {size / SCORING_RATE:.2f} s.", code="AUDIO_TOO_SHORT")
    for name, wave in (("recording", reference), ("copy", copy)):
        if is_silent(wave[:size]):
            raise AudioError(f"PESQ is not defined where the {name} is silent.", code="AUDIO_SILENT")
    edges = np.linspace(0, size, 1 + math.ceil(size / (LONGEST_SECONDS * SCORING_RATE))).astype(int)
    scores = []
    for start, stop in itertools.pairwise(edges):
        truth, made = reference[start:stop], copy[start:stop]
        if is_silent(truth):
            continue
        if is_silent(made):
            raise AudioError("PESQ is not defined where the copy is silent for long.", code="AUDIO_SILENT")
        try:
            scores.append(library.pesq(SCORING_RATE, truth, made, "wb"))
        except library.NoUtterancesError:
            continue
    if not scores:
        raise AudioError("PESQ finds no utterance in the recording.", code="AUDIO_NO_SPEECH")
    return float(np.mean(scores))
