"""Intervals and tests by simulation: how often they hold the truth, and how often they cry wolf."""

import itertools
import math

import numpy as np
import pytest

from resgen_tts.evaluation.measures import statistics
from resgen_tts.evaluation.measures.statistics import (
    holm,
    mean_interval,
    median_interval,
    paired_difference,
    permutation_test,
    ratio_interval,
    seeds_interval,
    share_interval,
    spread,
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
    assert found.value == 5 and (found.low, found.high) == statistics.percentile_bounds(np.array(plain), 3, 0.95)


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


def enumerated(first, second):
    """The p-value by a plain loop over every exchange."""
    items = list(zip(*first, *second, strict=True))

    def difference(swaps):
        rows = [(c, d, a, b) if swap else (a, b, c, d) for swap, (a, b, c, d) in zip(swaps, items, strict=True)]
        top, bottom, other_top, other_bottom = (sum(column) for column in zip(*rows, strict=True))
        return abs(top / bottom - other_top / other_bottom)

    found = [difference(swaps) for swaps in itertools.product((0, 1), repeat=len(items))]
    return sum(one >= found[0] - 1e-12 for one in found) / len(found)


def test_a_small_set_is_enumerated():
    first, second = ([1, 0, 4, 2, 3], [4, 9, 6, 5, 3]), ([0, 1, 2, 0, 1], [5, 9, 6, 4, 3])
    exact = permutation_test(first, second, seed=0)
    assert exact == pytest.approx(enumerated(first, second)) and 0.05 < exact < 0.5
    assert permutation_test(second, first, seed=9) == exact  # two-sided, and nothing is drawn
    # Five items that all say the same: of 32 exchanges only none and all of them give as much.
    assert permutation_test(([1] * 5, [9] * 5), ([0] * 5, [9] * 5), seed=0) == pytest.approx(2 / 32)
    assert permutation_test(([1, 2], [3, 4]), ([1, 2], [3, 4]), seed=0) == 1.0


def test_drawn_exchanges_come_near_the_enumeration():
    rng = np.random.default_rng(4)
    words = rng.integers(4, 12, size=12)
    first, second = (rng.binomial(words, share).tolist() for share in (0.3, 0.2))
    exact = permutation_test((first, words.tolist()), (second, words.tolist()), seed=0)
    drawn = [
        permutation_test((first, words.tolist()), (second, words.tolist()), seed=seed, draws=3999) for seed in (0, 1)
    ]
    assert drawn == pytest.approx([exact] * 2, abs=4 * (exact * (1 - exact) / 3999) ** 0.5 + 1 / 4000)
    assert drawn[0] != drawn[1]
    far = permutation_test(([1.0] * 40, [1] * 40), ([0.0] * 40, [1] * 40), seed=0, draws=500)
    assert far == 1 / 501  # never 0


def test_p_values_of_equal_systems_are_uniform():
    """40 items whose difficulty both systems share: of similarities, which have no ties, exactly."""
    rng = np.random.default_rng(5)
    found = []
    for trial in range(TRIALS):
        easy = rng.beta(4, 1, size=40)
        first, second = ((easy + rng.normal(0, 0.1, size=40)).tolist() for _ in range(2))
        found.append(permutation_test((first, [1.0] * 40), (second, [1.0] * 40), seed=trial, draws=400))
    for level in (0.05, 0.2, 0.5, 0.8):
        assert abs(np.mean(np.array(found) <= level) - level) < 4 * (level * (1 - level) / TRIALS) ** 0.5 + 1 / 401


def test_word_errors_raise_few_false_alarms_and_a_difference_is_found():
    """40 items of 4 to 12 words, whose ties make the test a little shy; then one system has 12 points more errors."""
    rng = np.random.default_rng(5)
    alarms = found = 0
    for trial in range(TRIALS):
        words = rng.integers(4, 13, size=40)
        hard = rng.beta(1, 4, size=40)
        first, second, worse = (rng.binomial(words, np.clip(hard + more, 0, 1)).tolist() for more in (0, 0, 0.12))
        words = words.tolist()
        alarms += permutation_test((first, words), (second, words), seed=trial, draws=400) < 0.05
        found += permutation_test((worse, words), (second, words), seed=trial, draws=400) < 0.05
    assert alarms / TRIALS < 0.05 + 4 * (0.05 * 0.95 / TRIALS) ** 0.5
    assert found / TRIALS > 0.9


def test_speakers_are_exchanged_whole_when_their_items_are_alike():
    """8 speakers x 10 items, the difference a whim of each speaker: exchanged item by item it is taken for certain."""
    rng = np.random.default_rng(6)
    groups = [str(speaker) for speaker in range(8) for _ in range(10)]
    wrong = right = 0
    for trial in range(TRIALS):
        difference = np.repeat(rng.normal(0, 0.1, size=8), 10).tolist()
        systems = (difference, [1] * 80), ([0] * 80, [1] * 80)
        wrong += permutation_test(*systems, seed=trial, draws=400) < 0.05
        right += permutation_test(*systems, seed=trial, draws=400, groups=groups) < 0.05
    assert right / TRIALS < 0.05 + 4 * (0.05 * 0.95 / TRIALS) ** 0.5
    assert wrong / TRIALS > 0.3


def test_many_tests_are_corrected_step_by_step():
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, none smaller than the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0] and holm([0.2]) == [0.2] and holm([]) == []
    with pytest.raises(ValueError, match=r"0\.\.1"):
        holm([1.2])


def test_one_lucky_test_of_ten_is_no_longer_one_in_two():
    rng = np.random.default_rng(7)
    alarms = sum(min(holm(rng.uniform(size=10).tolist())) < 0.05 for _ in range(2000))
    assert abs(alarms / 2000 - 0.05) < 4 * (0.05 * 0.95 / 2000) ** 0.5


def test_seeds_of_an_item_are_not_items():
    """30 items, 3 seeds that hardly differ: as 90 items the interval misses the truth, drawn by item it holds."""
    rng = np.random.default_rng(8)
    covered = pooled = 0
    for trial in range(TRIALS):
        items = rng.normal(0.5, 0.2, size=30)
        by_seed = [((items + rng.normal(0, 0.02, size=30)).tolist(), [1.0] * 30) for _ in range(3)]
        found = seeds_interval(by_seed, seed=trial, draws=600)
        covered += found.low <= 0.5 <= found.high
        flat = mean_interval([value for values, _ in by_seed for value in values], seed=trial, draws=600)
        pooled += flat.low <= 0.5 <= flat.high
    assert covered / TRIALS > allowed(0.95)
    assert pooled / TRIALS < 0.85


def test_seeds_count_alike_and_one_seed_is_itself():
    first, second = ([1, 2], [10, 10]), ([3, 0], [5, 10])
    found = seeds_interval([first, second], seed=0)
    assert found.value == pytest.approx((3 / 20 + 3 / 15) / 2)
    assert seeds_interval([first], seed=3) == ratio_interval(*first, seed=3)
    with pytest.raises(ValueError, match="same items"):
        seeds_interval([first, ([1], [2])], seed=0)
    assert spread([1.0, 2.0, 3.0]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="two values"):
        spread([1.0])


def test_unpaired_systems_are_refused():
    with pytest.raises(ValueError, match="same items"):
        permutation_test(([1], [1]), ([1, 2], [1, 2]), seed=0)
