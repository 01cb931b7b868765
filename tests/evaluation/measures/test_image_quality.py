"""The judge of pictures and its figures: closed forms, copies, files."""

import numpy as np
import pytest

from resgen_tts.common.errors import CheckpointError, DataError
from resgen_tts.evaluation.measures.image_quality import (
    PictureJudge,
    frechet_distance,
    load_judge,
    nearest_real_distance,
    train_judge,
)


def bars(count, seed):
    """Pictures of 6 x 6 with a bright row, one of three; the row is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 60, (count, 6, 6))
    images[np.arange(count), 2 * labels] += 150
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module")
def judge():
    return train_judge(*bars(400, 0), *bars(100, 1), hidden=(32, 8), epochs=80)


def test_the_judge_knows_unseen_real_pictures(judge):
    images, labels = bars(200, 2)
    assert judge.agreement(images, labels) > 0.98 and judge.facts["test_accuracy"] > 0.98
    assert judge.agreement(images, (labels + 1) % 3) < 0.02
    assert judge.features(images).shape == (200, 8) and (judge.features(images) >= 0).all()


def test_features_and_classes_are_scikit_learns(judge):
    """Rectified layers by hand for one picture."""
    image = bars(1, 3)[0]
    hidden = image.reshape(-1) / 255
    for weight, bias in zip(judge.weights[:-1], judge.biases[:-1], strict=True):
        hidden = np.maximum(np.array([hidden @ column for column in weight.T]) + bias, 0)
    np.testing.assert_allclose(judge.features(image)[0], hidden, rtol=1e-4, atol=1e-5)
    assert judge.classes(image)[0] == (hidden @ judge.weights[-1] + judge.biases[-1]).argmax()


def test_a_judge_comes_back_from_its_folder(judge, tmp_path):
    judge.save(tmp_path / "judge")
    again, images = load_judge(tmp_path / "judge"), bars(20, 4)[0]
    assert np.array_equal(again.features(images), judge.features(images)) and again.facts == judge.facts
    with pytest.raises(CheckpointError, match="holds no judge"):
        load_judge(tmp_path)


def test_the_judge_refuses_what_it_cannot_judge(judge):
    with pytest.raises(DataError, match="reads 36 pixels, the pictures have 49"):
        judge.features(np.zeros((2, 7, 7), dtype=np.uint8))
    with pytest.raises(DataError, match="2 pictures, 3 labels"):
        judge.agreement(np.zeros((2, 6, 6), dtype=np.uint8), np.zeros(3))
    images, labels = bars(30, 0)
    with pytest.raises(DataError, match=r"three or more classes 0, 1, 2"):
        train_judge(images, labels + 1, images, labels)


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


def test_a_copy_is_told():
    real = bars(50, 0)[0]
    near = real[[7, 3]].astype(int)
    near[1, 0, 0] += 36  # one pixel of 36: root mean square 36 / 6
    found = nearest_real_distance(near.astype(np.uint8), real, chunk=1)
    np.testing.assert_allclose(found, [0, 6], atol=1e-4)


def test_a_judge_of_fixed_weights():
    judge = PictureJudge((np.eye(2), np.eye(2)), (np.array([0, -0.5]), np.zeros(2)), {})
    images = np.array([[255, 255], [51, 255]], dtype=np.uint8)
    np.testing.assert_allclose(judge.features(images), [[1, 0.5], [0.2, 0.5]])
    assert judge.classes(images).tolist() == [0, 1]
