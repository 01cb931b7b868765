"""Intervals by simulation: how often they hold the truth."""

import math

import numpy as np
import pytest

from resgen_tts.evaluation.measures import statistics
from resgen_tts.evaluation.measures.statistics import (
    mean_interval,
    median_interval,
    paired_difference,
    ratio_interval,
    share_interval,
)

TRIALS = 400


def allowed(cover: float) -> float:
    """Four standard errors below the aim, and three points for skewness that no percentile interval repairs."""
    return 0.95 - 0.03 - 4 * (cover * (1 - cover) / TRIALS) ** 0.5


def test_error_rate_interval_covers_the_truth():
    """Items of 4 to 12 words; each item has its own difficulty, so that errors come in bursts as they do."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(TRIALS):
        words = rng.integers(4, 13, size=40)
        errors = rng.binomial(words, rng.beta(1, 4, size=40))
        found = ratio_interval(errors.tolist(), words.tolist(), seed=trial, draws=600)
        covered += found.low <= 0.2 <= found.high
    assert allowed(0.95) < covered / TRIALS <= 0.995


def test_few_items_are_not_overconfident():
    """With 6 items a plain percentile interval covers some 86 % only."""
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(TRIALS):
        found = mean_interval(rng.normal(3.0, 1.0, size=6).tolist(), seed=trial, draws=1500)
        covered += found.low <= 3.0 <= found.high
    assert allowed(0.95) < covered / TRIALS


def test_speakers_are_the_units_when_items_of_a_speaker_are_alike():
    """8 speakers x 10 items, all variance between speakers: item intervals are too narrow, speaker intervals hold."""
    rng = np.random.default_rng(2)
    by_item = by_speaker = 0
    groups = [str(speaker) for speaker in range(8) for _ in range(10)]
    for trial in range(TRIALS):
        values = np.repeat(rng.normal(0.5, 0.1, size=8), 10).tolist()
        narrow = mean_interval(values, seed=trial, draws=600)
        wide = mean_interval(values, seed=trial, draws=600, groups=groups)
        by_item += narrow.low <= 0.5 <= narrow.high
        by_speaker += wide.low <= 0.5 <= wide.high
    assert by_speaker / TRIALS > allowed(0.95)
    assert by_item / TRIALS < 0.7


def test_pairing_removes_what_is_hard_for_both():
    rng = np.random.default_rng(3)
    words = np.full(60, 10)
    hard = rng.beta(1, 2, size=60)
    first = np.round(10 * hard) + 1
    second = np.round(10 * hard)
    found = paired_difference((first.tolist(), words.tolist()), (second.tolist(), words.tolist()), seed=0)
    assert found.value == pytest.approx(0.1) and found.low == pytest.approx(0.1) and found.high == pytest.approx(0.1)
    alone = ratio_interval(first.tolist(), words.tolist(), seed=0)
    assert alone.high - alone.low > 0.05


def test_seeds_reproduce_and_the_value_is_the_ratio_of_sums():
    top, bottom = [1, 0, 5], [4, 10, 6]
    one, same, other = (ratio_interval(top, bottom, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.value == other.value == pytest.approx(6 / 20)


def test_one_item_has_no_spread():
    found = mean_interval([0.4], seed=0)
    assert found.value == found.low == found.high == 0.4


@pytest.mark.parametrize(
    ("top", "bottom", "groups"), [([], [], None), ([1], [1, 2], None), ([1], [0], None), ([1, 1], [1, 1], ["a"])]
)
def test_nonsense_is_refused(top, bottom, groups):
    with pytest.raises(ValueError):
        ratio_interval(top, bottom, seed=0, groups=groups)


def test_a_median_is_drawn_with_all_values_of_an_item():
    equal = median_interval([[3.0] * 5, [3.0], []], seed=0)
    assert (equal.value, equal.low, equal.high) == (3, 3, 3)
    # One item has most values: drawn at least once among three items, which is 19 of 27 times, it sets the median.
    spread = median_interval([[1.0] * 90, [0.0], [9.0]], seed=0)
    assert spread.value == 1 and spread.low == 0 and spread.high == 9
    with pytest.raises(ValueError, match="at least one"):
        median_interval([[], []], seed=0)


def test_medians_are_those_of_a_plain_loop():
    values = [[1.0, 5.0, 2.0], [4.0], [8.0, 9.0, 3.0, 7.0, 6.0]]
    plain = []
    for row in statistics._draw(3, 5, statistics.DRAWS):
        pooled = sorted(value for item in row for value in values[item])
        plain.append(pooled[(len(pooled) - 1) // 2])  # the lower of two middle ones
    found = median_interval(values, seed=5)
    assert found.value == 5 and (found.low, found.high) == statistics._bounds(np.array(plain), 3, 0.95)


def test_shares_have_the_exact_binomial_bounds():
    """0 of n: the upper bound u has (1 - u)^n = 0.025; and whatever the true share, 95 % of all counts cover it."""
    none = share_interval([False] * 100)
    assert (none.value, none.low) == (0.0, 0.0) and (1 - none.high) ** 100 == pytest.approx(0.025)
    everything = share_interval([True] * 100)
    assert everything.high == 1.0 and everything.low == pytest.approx(1 - none.high)
    size = 30
    found = [share_interval([True] * count + [False] * (size - count)) for count in range(size + 1)]
    for share in (0.01, 0.1, 0.37, 0.5, 0.9):
        covered = sum(
            math.comb(size, count) * share**count * (1 - share) ** (size - count)
            for count, interval in enumerate(found)
            if interval.low <= share <= interval.high
        )
        assert covered >= 0.95
    with pytest.raises(ValueError, match="at least one"):
        share_interval([])
