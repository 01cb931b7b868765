"""How good generated pictures are: class agreement, Frechet distance of features, and distance to real pictures.

Judge and features are a small classifier that was trained on real pictures of the same data. Its Frechet distances
compare systems with one another; they are no FID and cannot be compared with published ones.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resgen_tts.common.errors import CheckpointError, DataError
from resgen_tts.common.run_dir import read_json, staged_folder, write_json

_WEIGHTS, _FACTS = "judge.safetensors", "judge.json"


@dataclass(frozen=True)
class PictureJudge:
    """A classifier of flattened pictures: linear layers with rectifiers between them.

    Args:
        weights: of each layer, [inputs, outputs].
        biases: of each layer, [outputs].
        facts: how it was trained and how well it does on real pictures that it never saw.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    facts: dict

    def features(self, images: np.ndarray) -> np.ndarray:
        """Activations of the last hidden layer, [N, features], of pictures [N, ...] in bytes."""
        hidden = _flat(images)
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
        network.fit(_flat(images), labels)
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


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Frechet distance of two sets of features [N, F], each taken for a Gaussian.

    ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))``; the trace of the root is the sum of the roots of the eigenvalues of
    ``S1^(1/2) S2 S1^(1/2)``, which is symmetric, so that no complex root of a matrix is needed.
    Source: arXiv:1706.08500.

    Raises:
        DataError: fewer than two vectors, or sets of different dimension.
    """
    for features in (first, second):
        if features.ndim != 2 or len(features) < 2 or features.shape[1] != first.shape[1]:
            raise DataError(f"a Frechet distance needs two sets of [N >= 2, F], got {first.shape} and {second.shape}.")
    first, second = first.astype(np.float64), second.astype(np.float64)
    means = first.mean(0) - second.mean(0)
    one, two = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (first, second))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ two @ root).clip(min=0)).sum()
    return float(means @ means + np.trace(one) + np.trace(two) - 2 * shared)


def nearest_real_distance(images: np.ndarray, real: np.ndarray, chunk: int = 500) -> np.ndarray:
    """Root mean squared difference of each picture [N, ...] to the nearest real one, in bytes (0..255).

    Distances near 0 tell copies; compare with the distances of unseen real pictures to the same ones.
    """
    pictures, known = _flat(images), _flat(real)
    squares = (known**2).sum(1)
    found = []
    for start in range(0, len(pictures), chunk):
        part = pictures[start : start + chunk]
        distance = (part**2).sum(1)[:, None] - 2 * part @ known.T + squares
        found.append(((part - known[distance.argmin(1)]) ** 2).mean(1))  # exact for the nearest: 0 for a copy
    return 255 * np.sqrt(np.concatenate(found))


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255
