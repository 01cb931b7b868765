"""The judge of pictures: closed forms, files, and the contract of features."""

import numpy as np
import pytest

from resgen_tts.common.errors import CheckpointError, DataError
from resgen_tts.evaluation.judges.picture_judge import PictureJudge, load_judge, train_judge
from resgen_tts.evaluation.measures.image_quality import PictureFeatures


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


def test_a_judge_of_fixed_weights():
    judge = PictureJudge((np.eye(2), np.eye(2)), (np.array([0, -0.5]), np.zeros(2)), {})
    images = np.array([[255, 255], [51, 255]], dtype=np.uint8)
    np.testing.assert_allclose(judge.features(images), [[1, 0.5], [0.2, 0.5]])
    assert judge.classes(images).tolist() == [0, 1]


def test_probabilities_are_those_of_the_last_layer():
    judge = PictureJudge((np.eye(2), np.log([[1.0, 3.0], [5.0, 1.0]])), (np.zeros(2), np.zeros(2)), {})
    images = np.array([[255, 0], [0, 255]], dtype=np.uint8)
    np.testing.assert_allclose(judge.probabilities(images), [[1 / 4, 3 / 4], [5 / 6, 1 / 6]])
    seen = judge.activations(images)
    assert np.array_equal(seen.features, judge.features(images)) and seen.spatial is None


def test_a_judge_keeps_the_contract_and_its_name_tells_it_from_others(judge):
    assert isinstance(judge, PictureFeatures) and judge.is_embedded
    changed = PictureJudge((judge.weights[0] * 1.001, *judge.weights[1:]), judge.biases, judge.facts)
    same = PictureJudge(judge.weights, judge.biases, {})
    assert judge.name.startswith("picture judge 32-8-3, ") and same.name == judge.name != changed.name
