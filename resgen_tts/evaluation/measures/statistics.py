"""Bootstrap intervals for ratios, means and medians, over items or speakers, and paired; exact ones for rare events.
Paired tests by exchange of two systems, and what several seeds of one system come to.

A corpus-level error rate is a ratio of sums (errors over reference words), so it is resampled as one: items (or whole
speakers) are drawn with replacement and both sums are taken anew. A mean is the ratio whose denominators are all one.
Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993); the widening for few items is the "expanded
percentile interval" of Hesterberg, What Teachers Should Know About the Bootstrap (arXiv:1411.5279), section 5.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from resgen_tts.common.randomness import generator

DRAWS = 4_000
EXCHANGES = 10_000
CONFIDENCE = 0.95
CHUNK_VALUES = 4_000_000  # numbers that are held at once while draws are summed

Ratio = tuple[Sequence[float | int], Sequence[float | int]]  # numerators and denominators, item by item


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its confidence bounds."""

    value: float
    low: float
    high: float


def ratio_interval(
    numerators: Sequence[float | int],
    denominators: Sequence[float | int],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
) -> Interval:
    """Interval of sum(numerators) / sum(denominators).

    Args:
        numerators: one per item, e.g. word errors.
        denominators: one per item, not negative, e.g. reference words.
        seed: the same seed and items give the same bounds.
        groups: a group per item, e.g. its speaker; whole groups are then resampled, which is right when items of
            one group resemble each other. Without groups items are resampled.
        confidence: coverage aimed at.
        draws: bootstrap draws.
    Raises:
        ValueError: no items, unequal counts, or denominators that sum to zero.
    """
    top, bottom = _summed(numerators, denominators, groups)
    value = top.sum() / bottom.sum()
    drawn = _draw(len(top), seed, draws)
    ratios = _ratio(top[drawn].sum(axis=1), bottom[drawn].sum(axis=1))
    low, high = percentile_bounds(ratios, len(top), confidence)
    return Interval(value=float(value), low=low, high=high)


def mean_interval(
    values: Sequence[float | int],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
) -> Interval:
    """Interval of the mean over items; arguments as in `ratio_interval`."""
    return ratio_interval(values, [1.0] * len(values), seed=seed, groups=groups, confidence=confidence, draws=draws)


def share_interval(
    hits: Sequence[bool], *, confidence: float = CONFIDENCE, seed: int = 0, groups: Sequence[str] | None = None
) -> Interval:
    """Interval of the share of items that something is true of: the exact one of a binomial law, from below and above.

    A bootstrap of no hit at all knows no other share than 0; here 0 of 100 items still allow 3.6 %. Items of one group
    resemble each other and count for less than as many by themselves: groups are then drawn by bootstrap, and where all
    items agree, the exact law is that of as many items as there are groups.

    Args:
        hits: of each item.
        confidence: coverage aimed at.
        seed: of the bootstrap over groups.
        groups: a group per item, e.g. the target of each trial.

    Raises:
        ValueError: no items.
    Source: Clopper and Pearson, The Use of Confidence or Fiducial Limits (Biometrika, 1934).
    """
    from scipy import stats

    count, size, tail = sum(map(bool, hits)), len(hits), (1 - confidence) / 2
    if not size:
        raise ValueError("a share needs at least one item")
    if groups is not None:
        if 0 < count < size:
            return mean_interval([float(hit) for hit in hits], seed=seed, groups=groups, confidence=confidence)
        size = len(set(groups))
        count = size if count else 0
    low = float(stats.beta.ppf(tail, count, size - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1 - tail, count + 1, size - count)) if count < size else 1.0
    return Interval(value=count / size, low=low, high=high)


def median_interval(
    values: Sequence[Sequence[float]], *, seed: int, confidence: float = CONFIDENCE, draws: int = DRAWS
) -> Interval:
    """Interval of the median of all values, drawing items with all their values.

    Args:
        values: those of each item, e.g. the errors of all borders in one recording; an item may have none.
        seed, confidence, draws: as in `ratio_interval`.
    Raises:
        ValueError: there is no value.
    """
    pooled = np.concatenate([np.asarray(own, dtype=np.float64) for own in values]) if len(values) else np.empty(0)
    if not len(pooled):
        raise ValueError("a median needs at least one value")
    order = np.argsort(pooled, kind="stable")
    item = np.repeat(np.arange(len(values)), [len(own) for own in values])[order]
    medians = np.empty(draws)
    for place, drawn in enumerate(_draw(len(values), seed, draws)):
        # How often each value was drawn, in the order of the values: the median is where half of them is reached.
        reached = np.bincount(drawn, minlength=len(values))[item].cumsum()
        medians[place] = pooled[order[np.searchsorted(reached, reached[-1] / 2)]] if reached[-1] else np.nan
    low, high = percentile_bounds(medians, len(values), confidence)
    return Interval(value=float(np.median(pooled)), low=low, high=high)


def paired_difference(
    first: Ratio,
    second: Ratio,
    *,
    seed: int,
    groups: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
) -> Interval:
    """Interval of ratio(first) - ratio(second) for two systems measured on the same items.

    The same items are drawn for both, so what is hard for both cancels and the interval is narrower than that of two
    separate intervals.

    Args:
        first, second: (numerators, denominators), item by item in one order.
    Raises:
        ValueError: as in `ratio_interval`, or the two systems have unequal numbers of items.
    """
    if len(first[0]) != len(second[0]):
        raise ValueError(f"a paired difference needs the same items, got {len(first[0])} and {len(second[0])}")
    (top_a, bottom_a), (top_b, bottom_b) = _summed(*first, groups), _summed(*second, groups)
    value = top_a.sum() / bottom_a.sum() - top_b.sum() / bottom_b.sum()
    drawn = _draw(len(top_a), seed, draws)
    differences = _ratio(top_a[drawn].sum(axis=1), bottom_a[drawn].sum(axis=1)) - _ratio(
        top_b[drawn].sum(axis=1), bottom_b[drawn].sum(axis=1)
    )
    low, high = percentile_bounds(differences, len(top_a), confidence)
    return Interval(value=float(value), low=low, high=high)


def permutation_test(
    first: Ratio, second: Ratio, *, seed: int, groups: Sequence[str] | None = None, draws: int = EXCHANGES
) -> float:
    """Two-sided p-value of ratio(first) - ratio(second): how often a difference as large comes of chance alone.

    Were the two systems one, it would not matter which of an item's two measurements is called the first. So they are
    exchanged, item by item, with probability 1/2, and the difference is taken anew. All 2^n exchanges are gone through
    where there are no more of them than ``draws``; else p = (1 + as large) / (1 + draws), which is never 0. A
    difference that is not defined because one side has no denominators left counts as large.

    Args:
        first, second: item by item in one order.
        seed: of the exchanges that are drawn.
        groups: a group per item, e.g. its speaker; whole groups are then exchanged.
        draws: exchanges to draw.
    Raises:
        ValueError: as in `paired_difference`.
    Source: Noreen, Computer-Intensive Methods for Testing Hypotheses (1989): approximate randomisation; Phipson and
        Smyth, Permutation P-values Should Never Be Zero (2010).
    """
    if len(first[0]) != len(second[0]):
        raise ValueError(f"a paired test needs the same items, got {len(first[0])} and {len(second[0])}")
    own, other = np.stack(_summed(*first, groups), axis=1), np.stack(_summed(*second, groups), axis=1)  # [G, 2]
    sums, halves = (own + other).sum(axis=0) / 2, (own - other) / 2
    size = len(own)
    is_exact = 2**size <= draws
    total = 2**size if is_exact else draws

    def differences(signs: Float[np.ndarray, "N G"]) -> Float[np.ndarray, "N"]:
        moved = signs @ halves  # [N, 2]
        one, two = sums + moved, sums - moved
        return _ratio(one[:, 0], one[:, 1]) - _ratio(two[:, 0], two[:, 1])

    observed = abs(float(differences(np.ones((1, size)))[0]))
    tolerance = 1e-9 * (abs(own[:, 0]).sum() / own[:, 1].sum() + abs(other[:, 0]).sum() / other[:, 1].sum())
    rng = generator(seed, "exchanges", size)
    hits, step = 0, max(1, CHUNK_VALUES // size)
    for start in range(0, total, step):
        count = min(step, total - start)
        if is_exact:
            swaps = (np.arange(start, start + count)[:, None] >> np.arange(size)) & 1
        else:
            swaps = torch.randint(2, (count, size), generator=rng).numpy()
        hits += count - int((abs(differences(1.0 - 2.0 * swaps)) < observed - tolerance).sum())
    return hits / total if is_exact else (1 + hits) / (1 + total)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values for as many tests at once: the chance of any false alarm among them stays below the level.

    Raises:
        ValueError: a value outside 0..1.
    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure (1979).
    """
    if not all(0 <= value <= 1 for value in p_values):
        raise ValueError(f"p-values lie in 0..1, got {list(p_values)}")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def seeds_interval(
    by_seed: Sequence[Ratio],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
) -> Interval:
    """Interval of the mean of several seeds' ratios, where every seed says the same items.

    What one item gives under all seeds is drawn together: a second seed of an item is no second item. The bounds thus
    tell how far other items would lie; how far another seed lies tells `spread`.

    Args:
        by_seed: of each seed, item by item in one order.
        seed: of the bootstrap.
        groups, confidence, draws: as in `ratio_interval`.
    Raises:
        ValueError: no seed, unequal numbers of items, or as in `ratio_interval`.
    """
    if not by_seed or len({len(tops) for tops, _ in by_seed}) != 1:
        raise ValueError(f"every seed must say the same items, got {[len(tops) for tops, _ in by_seed]} items")
    sums = [_summed(*one, groups) for one in by_seed]
    drawn = _draw(len(sums[0][0]), seed, draws)
    means = np.mean([_ratio(top[drawn].sum(axis=1), bottom[drawn].sum(axis=1)) for top, bottom in sums], axis=0)
    low, high = percentile_bounds(means, len(sums[0][0]), confidence)
    return Interval(value=float(np.mean([top.sum() / bottom.sum() for top, bottom in sums])), low=low, high=high)


def spread(values: Sequence[float]) -> float:
    """Standard deviation of a figure over seeds, with n - 1.

    Raises:
        ValueError: fewer than two values, which have none.
    """
    if len(values) < 2:
        raise ValueError(f"a spread needs at least two values, got {len(values)}")
    return float(np.std(np.asarray(values, dtype=np.float64), ddof=1))


def _summed(
    numerators: Sequence[float | int], denominators: Sequence[float | int], groups: Sequence[str] | None
) -> tuple[Float[np.ndarray, "G"], Float[np.ndarray, "G"]]:
    top, bottom = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if not len(top) or len(top) != len(bottom) or (groups is not None and len(groups) != len(top)):
        raise ValueError(f"got {len(top)} numerators and {len(bottom)} denominators; one of each per item is needed")
    if (bottom < 0).any() or bottom.sum() == 0:
        raise ValueError("denominators must not be negative and must not sum to zero")
    if groups is None:
        return top, bottom
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(index, weights=top), np.bincount(index, weights=bottom)


def _draw(size: int, seed: int, draws: int) -> np.ndarray:
    return torch.randint(size, (draws, size), generator=generator(seed, "bootstrap", size)).numpy()


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    # A draw of items that all have an empty denominator says nothing; it is left out of the quantiles.
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def percentile_bounds(drawn: np.ndarray, size: int, confidence: float) -> tuple[float, float]:
    """Percentiles of the draws, set further out when there are few units: a bootstrap draw of n units is narrower
    than the truth by sqrt((n - 1) / n), and the tails are those of Student's t."""
    from scipy import stats

    tail = (1 - confidence) / 2
    if size > 1:
        tail = float(stats.norm.cdf(np.sqrt(size / (size - 1)) * stats.t.ppf(tail, size - 1)))
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return float(low), float(high)
