"""A small judge of pictures, trained on the spot on real pictures of the same data: for work without published weights.

Its Frechet distances, scores, precision and recall compare systems with one another; they are no FID and cannot be
compared with published ones.
"""

import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from resgen_tts.common.errors import CheckpointError, DataError
from resgen_tts.common.run_dir import read_json, staged_folder, write_json
from resgen_tts.evaluation.measures.image_quality import PictureActivations, flat

_WEIGHTS, _FACTS = "judge.safetensors", "judge.json"


@dataclass(frozen=True)
class PictureJudge:
    """A `PictureFeatures`: a classifier of flattened pictures, linear layers with rectifiers between them.

    Args:
        weights: of each layer, [inputs, outputs].
        biases: of each layer, [outputs].
        facts: how it was trained and how well it does on real pictures that it never saw.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    facts: dict

    is_embedded = True

    @property
    def name(self) -> str:
        units = "-".join(str(weight.shape[1]) for weight in self.weights)
        return f"picture judge {units}, {self.weights_sha256[:12]}"

    @cached_property
    def weights_sha256(self) -> str:
        """Hex SHA-256 of weights and biases, layer by layer."""
        digest = hashlib.sha256()
        for weight, bias in zip(self.weights, self.biases, strict=True):
            for layer in (weight, bias):
                digest.update(repr(layer.shape).encode() + np.ascontiguousarray(layer, "<f4").tobytes())
        return digest.hexdigest()

    def activations(self, images: np.ndarray) -> PictureActivations:
        """Features and class probabilities of pictures [N, ...] in bytes."""
        features = self.features(images)
        logits = (features @ self.weights[-1] + self.biases[-1]).astype(np.float64)
        likelihood = np.exp(logits - logits.max(1, keepdims=True))
        return PictureActivations(features, likelihood / likelihood.sum(1, keepdims=True))

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Probability of each class, [N, classes], of pictures [N, ...] in bytes."""
        return self.activations(images).probabilities

    def features(self, images: np.ndarray) -> np.ndarray:
        """Activations of the last hidden layer, [N, features], of pictures [N, ...] in bytes."""
        hidden = flat(images)
        if hidden.shape[1] != len(self.weights[0]):
            raise DataError(f"the judge reads {len(self.weights[0])} pixels, the pictures have {hidden.shape[1]}.")
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.maximum(hidden @ weight + bias, 0)
        return hidden

    def classes(self, images: np.ndarray) -> np.ndarray:
        """The likeliest class of each picture, [N]."""
        return (self.features(images) @ self.weights[-1] + self.biases[-1]).argmax(1)

    def agreement(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Share of pictures that are taken for the class they were asked to be."""
        if len(images) != len(labels):
            raise DataError(f"{len(images)} pictures, {len(labels)} labels.")
        return float((self.classes(images) == labels).mean())

    def save(self, folder: Path) -> None:
        """Write weights and facts."""
        from safetensors.numpy import save_file

        with staged_folder(folder) as staged:
            layers = {f"weight_{place}": np.ascontiguousarray(weight) for place, weight in enumerate(self.weights)}
            layers |= {f"bias_{place}": np.ascontiguousarray(bias) for place, bias in enumerate(self.biases)}
            save_file(layers, staged / _WEIGHTS)
            write_json(staged / _FACTS, self.facts)


def load_judge(folder: Path) -> PictureJudge:
    """Read what ``PictureJudge.save`` wrote.

    Raises:
        CheckpointError: weights are missing or broken.
    """
    import safetensors
    from safetensors.numpy import load_file

    try:
        layers = load_file(Path(folder) / _WEIGHTS)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{folder} holds no judge of pictures: {error}.") from error
    count = len(layers) // 2
    return PictureJudge(
        tuple(layers[f"weight_{place}"] for place in range(count)),
        tuple(layers[f"bias_{place}"] for place in range(count)),
        read_json(Path(folder) / _FACTS),
    )


def train_judge(
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    *,
    hidden: tuple[int, ...] = (256, 64),
    epochs: int = 12,
    seed: int = 0,
) -> PictureJudge:
    """Train a judge on real pictures (bytes) with scikit-learn's MLPClassifier.

    Args:
        images, labels: to learn from; the labels are 0, 1, 2, ... without a gap.
        test_images, test_labels: never learnt from; their accuracy is written into the facts.
        hidden: units of each hidden layer; the last one's are the features.
        epochs: passes over the pictures.
        seed: of first weights and order.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    classes = np.unique(labels)
    if len(classes) < 3 or not np.array_equal(classes, np.arange(len(classes))):
        raise DataError(f"a judge needs pictures of three or more classes 0, 1, 2, ..., got {classes.tolist()}.")
    network = MLPClassifier(hidden, batch_size=128, max_iter=epochs, random_state=seed, alpha=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs, not convergence, are what is asked for
        network.fit(flat(images), labels)
    judge = PictureJudge(
        tuple(weight.astype(np.float32) for weight in network.coefs_),
        tuple(bias.astype(np.float32) for bias in network.intercepts_),
        {},
    )
    facts = {
        "trained_on": len(images),
        "tested_on": len(test_images),
        "test_accuracy": judge.agreement(test_images, test_labels),
        "hidden": list(hidden),
        "epochs": epochs,
        "seed": seed,
    }
    return PictureJudge(judge.weights, judge.biases, facts)
