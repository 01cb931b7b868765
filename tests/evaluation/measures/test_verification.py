"""Equal error rates: by hand, by a closed form, and how often the interval holds the truth."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.verification import (
    Trials,
    all_trials,
    equal_error,
    equal_error_interval,
    scores_of,
)


def rate_of(same, different):
    found = equal_error(np.asarray(same, float), np.asarray(different, float))
    return found.rate, found.threshold


def test_hand_counted_cases():
    # Everything apart: the middle of the gap.
    assert rate_of([0.8, 0.9], [0.1, 0.4]) == pytest.approx((0, 0.6))
    # One of four on the wrong side, either way: above 0.5 and up to 0.6, a quarter is missed and a quarter let in.
    assert rate_of([0.5, 0.7, 0.8, 0.9], [0.1, 0.2, 0.3, 0.6]) == pytest.approx((1 / 4, 0.55))
    # One of two against one of three. Up to 0.5 nothing is missed and a third let in; above, half is missed: the coin
    # is tossed at 0.5, for two thirds of it.
    assert rate_of([0.5, 0.9], [0.1, 0.2, 0.6]) == pytest.approx((1 / 3, 0.5))
    # All alike: only the coin.
    assert rate_of([0.5], [0.5, 0.5]) == pytest.approx((1 / 2, 0.5))
    # Exactly the wrong way around.
    assert rate_of([0.1, 0.2], [0.8, 0.9]) == pytest.approx((1, 0.5))
    # One tie between the kinds: from (0, 1/2) to (1/2, 0).
    assert rate_of([0.5, 0.9], [0.1, 0.5]) == pytest.approx((1 / 4, 0.5))


def slowly(same, different):
    """The same in fractions, by trying all thresholds."""
    points = [
        (Fraction(sum(x < at for x in same), len(same)), Fraction(sum(x >= at for x in different), len(different)))
        for at in [*sorted({*same, *different}), math.inf]
    ]
    for (miss, alarm), (miss_next, alarm_next) in itertools.pairwise(points):
        if miss <= alarm and miss_next >= alarm_next:
            gap, gap_next = alarm - miss, miss_next - alarm_next
            share = gap / (gap + gap_next)
            return miss + share * (miss_next - miss)
    raise AssertionError("the rates must meet")


@given(*[st.lists(st.integers(0, 8), min_size=1, max_size=12)] * 2)
def test_it_is_exact_with_ties(same, different):
    rate, threshold = rate_of(same, different)
    assert rate == pytest.approx(float(slowly(same, different)), abs=1e-12)
    # Up to the pairs of the threshold's own score, as many are missed there, or let in, as the rate says.
    assert np.mean(np.array(same) < threshold) <= rate + 1e-9 <= np.mean(np.array(same) <= threshold) + 2e-9
    assert np.mean(np.array(different) > threshold) <= rate + 1e-9 <= np.mean(np.array(different) >= threshold) + 2e-9


def test_only_the_order_of_scores_matters():
    rng = np.random.default_rng(0)
    same, different = rng.normal(1, 1, 50), rng.normal(0, 1, 80)
    rate, threshold = rate_of(same, different)
    assert rate_of(np.exp(same), np.exp(different))[0] == pytest.approx(rate)
    assert rate_of(same + 5, different + 5) == pytest.approx((rate, threshold + 5))
    assert rate_of(-different, -same) == pytest.approx((rate, -threshold))


def test_two_normal_laws_meet_where_the_closed_form_says():
    """N(2, 1) and N(0, 0.5): the threshold lies in between in the ratio of the deviations, and the rate is the tail
    beyond (2 - 0) / (1 + 0.5) deviations."""
    rng = np.random.default_rng(1)
    size = 200_000
    rate, threshold = rate_of(rng.normal(2, 1, size), rng.normal(0, 0.5, size))
    expected = 0.5 * math.erfc((2 / 1.5) / math.sqrt(2))
    assert rate == pytest.approx(expected, abs=4 * math.sqrt(expected / size))
    assert threshold == pytest.approx(2 * 0.5 / 1.5, abs=0.01)


def test_nonsense_is_refused():
    for same, different in (([], [0.1]), ([0.1], []), ([math.nan], [0.1])):
        with pytest.raises(ValueError, match="finite scores of both kinds"):
            rate_of(same, different)
    for speakers in (["a"], ["a", "a"], ["a", "b"], []):
        with pytest.raises(DataError, match="pairs of one speaker and of two"):
            all_trials(speakers)


def test_all_pairs_once_and_pairs_of_two_groups_left_out():
    speakers, groups = ["a", "b", "a", "c", "b"], ["x", "x", "x", "y", "y"]
    trials = all_trials(speakers)
    pairs = {frozenset(pair) for pair in zip(trials.first.tolist(), trials.second.tolist(), strict=True)}
    assert pairs == {frozenset(pair) for pair in itertools.combinations(range(5), 2)} and len(trials.first) == 10
    same = trials.is_same
    assert list(zip(trials.first[same].tolist(), trials.second[same].tolist(), strict=True)) == [(0, 2), (1, 4)]
    assert trials.num_speakers == 3
    inside = all_trials(speakers, groups=groups)
    assert list(zip(inside.first.tolist(), inside.second.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2), (3, 4)]
    assert inside.is_same.tolist() == [False, True, False, False]


def test_scores_are_cosines_and_silence_resembles_nobody():
    prints = np.array([[3.0, 4.0], [4.0, 3.0], [0.0, 0.0]])
    assert scores_of(prints, all_trials(["a", "a", "b"])) == pytest.approx([24 / 25, 0, 0])


def test_a_draw_counts_pairs_as_often_as_their_speakers_were_drawn(monkeypatch):
    """Three speakers drawn twice, once, and not at all: the rate of a list with those pairs written out."""
    from resgen_tts.evaluation.measures import verification

    rng = np.random.default_rng(2)
    speakers = [name for name in "abc" for _ in range(4)]
    trials = all_trials(speakers)
    scores = rng.normal(trials.is_same.astype(float), 1.0)
    times = dict(zip("abc", (2, 1, 0), strict=True))
    drawn = [index for index, name in enumerate("abc") for _ in range(times[name])]
    seen = []
    monkeypatch.setattr(verification.torch, "randint", lambda *_, **__: verification.torch.tensor([drawn]))
    monkeypatch.setattr(verification, "percentile_bounds", lambda rates, *_: seen.extend(rates) or (0.0, 0.0))
    equal_error_interval(scores, trials, seed=0, draws=1)
    same, different = [], []
    for i, j, score in zip(trials.first, trials.second, scores, strict=True):
        one, other = speakers[i], speakers[j]
        (same if one == other else different).extend([score] * (times[one] * (1 if one == other else times[other])))
    assert seen == [pytest.approx(rate_of(same, different)[0])]


VOICES, CLIPS, AXES = 16, 3, 6


def simulated(rng, voices: int) -> tuple[Trials, np.ndarray]:
    """Voices that differ in how alike their own clips are, so that the pairs of a speaker stand and fall together."""
    centres = rng.normal(size=(voices, 1, AXES))
    spread = rng.uniform(0.3, 1.6, size=(voices, 1, 1))
    prints = (centres + spread * rng.normal(size=(voices, CLIPS, AXES))).reshape(-1, AXES)
    trials = all_trials([str(voice) for voice in range(voices) for _ in range(CLIPS)])
    return trials, scores_of(prints, trials)


def test_the_interval_over_speakers_covers_and_one_over_trials_would_not():
    rng = np.random.default_rng(3)
    many, scores = simulated(rng, 400)
    truth = equal_error(scores[many.is_same], scores[~many.is_same]).rate
    runs, by_speaker, by_trial = 150, 0, 0
    for run in range(runs):
        trials, scores = simulated(rng, VOICES)
        found = equal_error_interval(scores, trials, seed=run, draws=150)
        by_speaker += found.low <= truth <= found.high
        same, different = scores[trials.is_same], scores[~trials.is_same]
        plain = [
            equal_error(rng.choice(same, len(same)), rng.choice(different, len(different))).rate for _ in range(50)
        ]
        low, high = np.quantile(plain, [0.025, 0.975])
        by_trial += low <= truth <= high
    error = (0.95 * 0.05 / runs) ** 0.5
    assert 0.95 - 0.03 - 4 * error < by_speaker / runs
    assert by_trial / runs < 0.85


def test_seeds_reproduce_and_the_value_is_that_of_all_trials():
    trials, scores = simulated(np.random.default_rng(4), 8)
    one, same, other = (equal_error_interval(scores, trials, seed=seed, draws=300) for seed in (1, 1, 2))
    assert one == same and one != other and one.value == other.value
    assert one.value == equal_error(scores[trials.is_same], scores[~trials.is_same]).rate
    assert one.low < one.value < one.high


def test_draws_without_a_pair_of_one_speaker_are_left_out():
    """Only one of four speakers has two recordings; a third of all draws misses it."""
    trials = all_trials(["a", "a", "b", "c", "d"])
    found = equal_error_interval(np.linspace(1, 0, len(trials.first)), trials, seed=0, draws=200)
    assert (found.value, found.low, found.high) == (0, 0, 0)
