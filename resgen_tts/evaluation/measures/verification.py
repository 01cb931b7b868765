"""Speaker verification: how well the scores of a speaker encoder tell "the same voice" from "another voice".

It says how far a similarity can be trusted on a set of recordings. The bootstrap is over speakers, since all trials of
a speaker stand and fall together: a few hundred recordings make ten thousands of trials, and no more than some dozens
of independent voices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from resgen_tts.common.errors import DataError
from resgen_tts.common.randomness import generator
from resgen_tts.evaluation.measures.statistics import CONFIDENCE, DRAWS, Interval, percentile_bounds

_EXACT = 1e-12  # what sums of shares that are equal may differ by


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Pairs of recordings, each pair once, in any order of its two."""

    first: Int[np.ndarray, "N"]  # place of a recording
    second: Int[np.ndarray, "N"]
    speakers: Int[np.ndarray, "R"]  # of each recording, 0 to their number - 1

    @property
    def is_same(self) -> Bool[np.ndarray, "N"]:
        """True where both recordings are of one speaker."""
        return self.speakers[self.first] == self.speakers[self.second]

    @property
    def num_speakers(self) -> int:
        return int(self.speakers.max()) + 1


@dataclass(frozen=True, kw_only=True)
class EqualError:
    """The point at which as many pairs of one voice are rejected as pairs of two voices are accepted."""

    rate: float
    threshold: float  # pairs of this score and above are taken for one voice


def all_trials(speakers: Sequence[str], *, groups: Sequence[str] | None = None) -> Trials:
    """All pairs of recordings, also those of one speaker.

    Args:
        speakers: of each recording.
        groups: e.g. the corpus of each recording; pairs from two groups are then left out, which a room or a
            microphone would tell apart without any voice.
    Raises:
        DataError: there is no pair of one speaker, or none of two.
    """
    names, known = np.unique(np.asarray(speakers, dtype=object).astype(str), return_inverse=True)
    first, second = np.triu_indices(len(speakers), k=1)
    if groups is not None:
        label = np.asarray(groups, dtype=object).astype(str)
        inside = label[first] == label[second]
        first, second = first[inside], second[inside]
    trials = Trials(first=first, second=second, speakers=known)
    is_same = trials.is_same
    if not is_same.any() or is_same.all():
        raise DataError(
            f"verification needs pairs of one speaker and of two; {len(speakers)} recordings of {len(names)} speakers "
            f"make {int(is_same.sum())} and {int((~is_same).sum())}."
        )
    return trials


def scores_of(prints: Float[np.ndarray, "R E"], trials: Trials) -> Float[np.ndarray, "N"]:
    """Cosine of every pair; 0 with the zero vector of silence."""
    norms = np.linalg.norm(prints, axis=1, keepdims=True)
    units = np.divide(prints, norms, out=np.zeros_like(prints, dtype=np.float64), where=norms > 0)
    return (units @ units.T)[trials.first, trials.second]


def equal_error(same: Float[np.ndarray, "S"], different: Float[np.ndarray, "D"]) -> EqualError:
    """Equal error rate and its threshold.

    With a threshold of each score that occurs there is a pair (false rejections, false acceptances); between two
    neighbours lies the straight line of tossing a coin over the pairs of the score that they differ by. Where the two
    rates meet on such a line that score is the threshold; where they meet in a point, it is the middle of the gap
    between the two scores beside it.

    Args:
        same: scores of pairs of one speaker, high for alike.
        different: scores of pairs of two speakers.
    Raises:
        ValueError: one of the two is empty, or a score is not a number.
    """
    if not len(same) or not len(different) or not (np.isfinite(same).all() and np.isfinite(different).all()):
        raise ValueError(f"an equal error rate needs finite scores of both kinds, got {len(same)} and {len(different)}")
    steps = _Steps(np.concatenate([same, different]), np.arange(len(same) + len(different)) < len(same))
    rate, place, is_on_line = steps.meet(np.ones(len(same) + len(different)))
    low = steps.values[place - 1]
    threshold = low if is_on_line else (low + steps.values[place]) / 2
    return EqualError(rate=rate, threshold=float(threshold))


def equal_error_interval(
    scores: Float[np.ndarray, "N"],
    trials: Trials,
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
) -> Interval:
    """Equal error rate of scored trials, with its interval over the choice of speakers.

    Speakers are drawn with replacement; a pair of one speaker counts as often as that speaker was drawn, a pair of two
    as often as both were, together. Two draws of one speaker make no pair: it would be their recordings against
    themselves.

    Args:
        scores: one per trial, high for alike.
        trials: see `all_trials`.
        seed, confidence, draws: as in `measures.statistics`.
    Raises:
        ValueError: as in `equal_error`.
    Source: the bootstrap of a network's nodes, Snijders and Borgatti, Non-Parametric Standard Errors and Tests for
        Network Statistics (Connections, 1999).
    """
    is_same = trials.is_same
    value = equal_error(scores[is_same], scores[~is_same]).rate
    steps, size = _Steps(scores, is_same), trials.num_speakers
    one, other = trials.speakers[trials.first], trials.speakers[trials.second]
    drawn = torch.randint(size, (draws, size), generator=generator(seed, "verification", size)).numpy()
    rates = np.full(draws, np.nan)
    for place, picked in enumerate(drawn):
        count = np.bincount(picked, minlength=size).astype(np.float64)
        weights = count[one] * np.where(is_same, 1.0, count[other])
        # A draw of speakers with one recording each has no pair of one speaker, and says nothing.
        if weights[is_same].any() and weights[~is_same].any():
            rates[place] = steps.meet(weights)[0]
    low, high = percentile_bounds(rates, size, confidence)
    return Interval(value=value, low=low, high=high)


class _Steps:
    """Scores in rising order, sorted once for many weights."""

    def __init__(self, scores: Float[np.ndarray, "N"], is_same: Bool[np.ndarray, "N"]):
        self.order = np.argsort(scores, kind="stable")
        rising = scores[self.order]
        self.last = np.append(np.flatnonzero(rising[1:] > rising[:-1]), len(rising) - 1)  # of each score's run
        self.values = rising[self.last]
        self.is_same = is_same[self.order]

    def meet(self, weights: Float[np.ndarray, "N"]) -> tuple[float, int, bool]:
        """Where the two error rates meet: their common value, the number of scores below, and whether the last one of
        those is partly rejected only."""
        weights = weights[self.order]
        # Shares of both kinds at or below each score. Point k rejects the k lowest scores; point 0 rejects nothing.
        rejected = np.append(0.0, np.cumsum(weights * self.is_same)[self.last])
        refused = np.append(0.0, np.cumsum(weights * ~self.is_same)[self.last])
        misses, alarms = rejected / rejected[-1], 1 - refused / refused[-1]
        lead = misses - alarms  # rises from -1 to 1
        place = int(np.searchsorted(lead, -_EXACT))
        if lead[place] <= _EXACT:
            return float(misses[place]), place, False
        share = lead[place - 1] / (lead[place - 1] - lead[place])
        return float(misses[place - 1] + share * (misses[place] - misses[place - 1])), place, True
