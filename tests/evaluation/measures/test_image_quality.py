"""Figures of pictures' features: closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.image_quality import (
    FeatureStatistics,
    coverage,
    feature_statistics,
    frechet_distance,
    frechet_of_statistics,
    inception_score,
    nearest_real_distance,
)


def gaussian(mean, covariance, count=4000):
    """Points whose sample mean and covariance are exactly these."""
    points = np.random.default_rng(0).standard_normal((count, len(mean)))
    points -= points.mean(0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T
    return points @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians_whose_covariances_commute():
    """|m1 - m2|^2 + sum (s1 - s2)^2."""
    first = gaussian(np.array([1.0, 0.0, -2.0]), np.diag([1.0, 4.0, 9.0]))
    second = gaussian(np.array([0.0, 2.0, -2.0]), np.diag([4.0, 4.0, 0.25]))
    assert frechet_distance(first, second) == pytest.approx(1 + 4 + 1 + 0 + 2.5**2, rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(12.25, rel=1e-9)


def test_frechet_distance_of_two_dimensional_gaussians_in_general():
    """For 2 x 2: tr (S1 S2)^(1/2) = sqrt(tr(S1 S2) + 2 sqrt(det S1 det S2))."""
    one, two = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    shared = np.sqrt(np.trace(one @ two) + 2 * np.sqrt(np.linalg.det(one) * np.linalg.det(two)))
    expected = np.trace(one) + np.trace(two) - 2 * shared
    assert frechet_distance(gaussian(np.zeros(2), one), gaussian(np.zeros(2), two)) == pytest.approx(expected)


def test_frechet_distance_of_a_set_to_itself_is_nothing():
    points = np.random.default_rng(0).standard_normal((5, 8))  # fewer points than dimensions
    assert abs(frechet_distance(points, points)) < 1e-6
    with pytest.raises(DataError, match=r"\[N >= 2, F\]"):
        frechet_distance(points, points[:, :4])


def test_statistics_give_the_distance_of_their_features():
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((40, 5)).astype(np.float32), rng.standard_normal((30, 5)).astype(np.float32) + 1
    one, two = feature_statistics(first), feature_statistics(second)
    assert frechet_of_statistics(one, two) == frechet_distance(first, second)
    np.testing.assert_allclose(one.mean, first.mean(0), atol=1e-6)
    centred = first - first.mean(0)
    np.testing.assert_allclose(one.covariance, centred.T @ centred / 39, atol=1e-5)
    with pytest.raises(DataError, match="of 5 and of 4 numbers"):
        frechet_of_statistics(one, FeatureStatistics(np.zeros(4), np.eye(4)))
    with pytest.raises(DataError, match="at least 2 pictures"):
        feature_statistics(first[:1])
    with pytest.raises(DataError, match="no finite numbers"):
        feature_statistics(np.array([[1.0, np.nan], [0.0, 1.0]]))


def test_few_pictures_make_the_distance_too_large_by_a_constant_over_their_number():
    """Of two sets of n from one standard Gaussian in F dimensions: F (1/n + 1/n) of the means alone."""
    rng = np.random.default_rng(0)
    found = {
        size: np.mean([frechet_distance(*rng.standard_normal((2, size, 4))) for _ in range(100)]) for size in (50, 200)
    }
    assert found[50] > 4 * 2 / 50 and found[200] > 4 * 2 / 200
    assert found[50] / found[200] == pytest.approx(4, rel=0.25)


def test_inception_score_in_closed_form():
    certain = np.eye(5)[np.arange(100) % 5]
    assert inception_score(certain, splits=10).mean == pytest.approx(5) and inception_score(certain).std < 1e-9
    for sure_of_one in (np.tile([0.2, 0.3, 0.5], (30, 1)), np.tile([0.0, 1.0, 0.0], (30, 1))):
        assert inception_score(sure_of_one, splits=3).mean == pytest.approx(1)
    # Two answers that are never the same class, in shares of 1 to 3: the entropy of the shares.
    two = np.eye(2)[[0, 1, 1, 1] * 10]
    expected = np.exp(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert inception_score(two, splits=1).mean == pytest.approx(expected)
    # (p, 1 - p) and (1 - p, p) in equal shares: log 2 - H(p).
    p = 0.9
    mixed = np.array([[p, 1 - p], [1 - p, p]] * 8)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert inception_score(mixed, splits=4).mean == pytest.approx(np.exp(np.log(2) - entropy))


def test_inception_score_of_parts():
    """Sorted by class each part has one class; in an order that mixes them, all."""
    sorted_ones = np.eye(4)[np.repeat(np.arange(4), 10)]
    mixed = np.arange(40).reshape(4, 10).T.reshape(-1)
    assert inception_score(sorted_ones, splits=4).mean == pytest.approx(1)
    assert inception_score(sorted_ones, splits=4, order=mixed).mean > 3
    parts = np.concatenate([np.eye(4)[np.arange(20) % 4], np.eye(4)[np.zeros(20, int)]])
    found = inception_score(parts, splits=2)
    assert found.mean == pytest.approx((4 + 1) / 2) and found.std == pytest.approx(1.5)
    with pytest.raises(DataError, match="over 41 parts"):
        inception_score(parts, splits=41)
    with pytest.raises(DataError, match="sums to 1"):
        inception_score(2 * parts, splits=2)


def brute_force(real, made, neighbours):
    """Balls by plain distances, one pair at a time."""

    def radius(place, points):
        others = [np.linalg.norm(points[place] - other) for spot, other in enumerate(points) if spot != place]
        return sorted(others)[neighbours - 1]

    def within(point, points):
        return any(np.linalg.norm(point - one) <= radius(place, points) for place, one in enumerate(points))

    return [within(one, real) for one in made], [within(one, made) for one in real]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), neighbours=st.integers(1, 4), chunk=st.integers(1, 12), shift=st.floats(0, 3))
def test_precision_and_recall_are_those_of_brute_force(seed, neighbours, chunk, shift):
    rng = np.random.default_rng(seed)
    real, made = rng.standard_normal((11, 3)), shift + rng.standard_normal((7, 3)) / 2
    found = coverage(real, made, neighbours=neighbours, chunk=chunk)
    inside, covered = brute_force(real, made, neighbours)
    assert found.made_is_real.tolist() == inside and found.real_is_covered.tolist() == covered
    assert found.precision == np.mean(inside) and found.recall == np.mean(covered)


def test_precision_and_recall_on_a_line():
    """k = 1: balls of the reference reach 1 around 0 and 1 and 9 around 10; of the others, 0.5 around 0 and 0.5."""
    found = coverage(np.array([[0.0], [1.0], [10.0]]), np.array([[0.5], [0.0]]), neighbours=1)
    assert found.made_is_real.tolist() == [True, True]
    assert found.real_is_covered.tolist() == [True, True, False]  # 1 is 0.5 away from 0.5
    far = coverage(np.array([[0.0], [1.0]]), np.array([[5.0], [6.0]]), neighbours=1)
    assert (far.precision, far.recall) == (0, 0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_set_covers_itself_even_where_it_repeats_itself(scale):
    rng = np.random.default_rng(0)
    points = (scale * (100 + rng.standard_normal((60, 40)))).astype(np.float32)
    points[:20] = points[0]  # more copies than neighbours: their balls have no size
    for chunk in (7, 1000):
        found = coverage(points, points[rng.permutation(60)], chunk=chunk)
        assert (found.precision, found.recall) == (1, 1)


def test_one_half_of_the_world_has_half_the_recall():
    """Two islands; the generated pictures know one of them."""
    rng = np.random.default_rng(0)
    islands = rng.standard_normal((200, 2)) + np.repeat([[0, 0], [50, 0]], 100, axis=0)
    known = rng.standard_normal((100, 2))
    found = coverage(islands, known)
    assert found.precision > 0.85 and 0.4 < found.recall <= 0.5


def test_sets_that_cannot_be_compared_are_refused():
    points = np.random.default_rng(0).standard_normal((5, 2))
    with pytest.raises(DataError, match="3 neighbours need more pictures than that in each set, got 3 and 5"):
        coverage(points, points[:3])
    with pytest.raises(DataError, match="of 2 and of 1 numbers"):
        coverage(points, points[:, :1])


def test_a_copy_is_told():
    real = np.random.default_rng(0).integers(0, 200, (50, 6, 6)).astype(np.uint8)
    near = real[[7, 3]].astype(int)
    near[1, 0, 0] += 36  # one pixel of 36: root mean square 36 / 6
    found = nearest_real_distance(near.astype(np.uint8), real, chunk=1)
    np.testing.assert_allclose(found, [0, 6], atol=1e-4)
