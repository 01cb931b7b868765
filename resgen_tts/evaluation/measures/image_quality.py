"""How good generated pictures are: Frechet distance, inception score, precision and recall, distance to real pictures.

All but the last are figures of features, which a network takes from the pictures: the Inception network for figures
that stand beside published ones, a small judge trained on the same data otherwise. Figures of different networks are
never compared, and a Frechet distance depends on the number of pictures too: it is too large by about a constant over
that number (arXiv:1911.07023), so that only sets of equal size may be compared. It has no interval here: a bootstrap of
2048 features would decompose two large matrices for each draw.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from resgen_tts.common.errors import DataError

NEIGHBOURS = 3  # of arXiv:1904.06991, and of the evaluations that published figures come from
SPLITS = 10  # of arXiv:1606.03498
# Squared distances below this share of the squared lengths are what rounding leaves of 0, in 64 bits.
_ROUNDING = 1e-11


@dataclass(frozen=True)
class PictureActivations:
    """What a network says of pictures."""

    features: Float[np.ndarray, "N F"]
    probabilities: Float[np.ndarray, "N K"]  # of its classes, each row sums to 1
    spatial: Float[np.ndarray, "N S"] | None = None  # features that keep places, for sFID, where the network has them


@runtime_checkable
class PictureFeatures(Protocol):
    """What turns pictures, bytes with the channels first, into features and class probabilities."""

    @property
    def name(self) -> str:
        """Network and the hash of its weights: figures of different networks are never compared."""

    @property
    def weights_sha256(self) -> str:
        """Hex hash of the weights."""

    @property
    def is_embedded(self) -> bool:
        """True for a small judge trained on the spot; its figures never stand beside those of the Inception network."""

    def activations(self, images: UInt8[np.ndarray, "N C H W"]) -> PictureActivations:
        """All of it in one pass."""

    def features(self, images: UInt8[np.ndarray, "N C H W"]) -> Float[np.ndarray, "N F"]:
        """The features alone."""

    def probabilities(self, images: UInt8[np.ndarray, "N C H W"]) -> Float[np.ndarray, "N K"]:
        """The class probabilities alone."""


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean and covariance of features: all that a Frechet distance needs of a set of pictures."""

    mean: Float[np.ndarray, "F"]
    covariance: Float[np.ndarray, "F F"]


@dataclass(frozen=True)
class InceptionScore:
    """Mean and standard deviation over the parts of a set."""

    mean: float
    std: float


@dataclass(frozen=True)
class Coverage:
    """Which pictures of each of two sets lie near the other set."""

    made_is_real: Bool[np.ndarray, "N"]  # generated pictures inside the reference's manifold
    real_is_covered: Bool[np.ndarray, "M"]  # pictures of the reference inside the generated ones' manifold

    @property
    def precision(self) -> float:
        """Share of generated pictures that look like the reference."""
        return float(self.made_is_real.mean())

    @property
    def recall(self) -> float:
        """Share of the reference that the generated pictures reach."""
        return float(self.real_is_covered.mean())


def feature_statistics(features: Float[np.ndarray, "N F"]) -> FeatureStatistics:
    """Mean and unbiased covariance of features, in 64 bits.

    Raises:
        DataError: fewer than two pictures, or a feature that is no finite number.
    """
    if len(features) < 2:
        raise DataError(f"statistics of features need at least 2 pictures, got {len(features)}.")
    features = features.astype(np.float64)
    if not np.isfinite(features).all():
        raise DataError("features of pictures hold values that are no finite numbers.")
    return FeatureStatistics(features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Frechet distance of two sets of features [N, F], each taken for a Gaussian: `frechet_of_statistics` of theirs.

    Raises:
        DataError: fewer than two vectors, or sets of different dimension.
    """
    for features in (first, second):
        if features.ndim != 2 or len(features) < 2 or features.shape[1] != first.shape[1]:
            raise DataError(f"a Frechet distance needs two sets of [N >= 2, F], got {first.shape} and {second.shape}.")
    return frechet_of_statistics(feature_statistics(first), feature_statistics(second))


def frechet_of_statistics(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """Frechet distance of two Gaussians.

    ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))``; the trace of the root is the sum of the roots of the eigenvalues of
    ``S1^(1/2) S2 S1^(1/2)``, which is symmetric, so that no complex root of a matrix is needed.
    Source: arXiv:1706.08500.

    Raises:
        DataError: statistics of different dimension.
    """
    if first.mean.shape != second.mean.shape:
        raise DataError(f"features of {len(first.mean)} and of {len(second.mean)} numbers cannot be compared.")
    means = first.mean - second.mean
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ second.covariance @ root).clip(min=0)).sum()
    return float(means @ means + np.trace(first.covariance) + np.trace(second.covariance) - 2 * shared)


def inception_score(
    probabilities: Float[np.ndarray, "N K"], *, splits: int = SPLITS, order: np.ndarray | None = None
) -> InceptionScore:
    """``exp(mean KL(p(y|x) || p(y)))`` of each part of a set, ``p(y)`` being the part's own mean.

    1 where all pictures get the same answer, K where each gets one class and all classes equal shares.

    Args:
        probabilities: of the classes, one picture a row.
        splits: parts of (nearly) equal size, one behind the other.
        order: the pictures' order; None: as given. Pictures in order of their classes must be shuffled.
    Raises:
        DataError: fewer pictures than parts, or rows that are no probabilities.
    Source: arXiv:1606.03498.
    """
    count = len(probabilities)
    if not 1 <= splits <= count:
        raise DataError(f"an inception score over {splits} parts needs at least as many pictures, got {count}.")
    given = probabilities.astype(np.float64)
    if (given < 0).any() or not np.allclose(given.sum(1), 1, atol=1e-3):
        raise DataError("an inception score needs class probabilities: each row sums to 1.")
    given = given if order is None else given[order]
    logs = np.log(np.where(given > 0, given, 1))  # p log p is 0 at 0
    scores = []
    for part in range(splits):
        rows = slice(part * count // splits, (part + 1) * count // splits)
        mean = given[rows].mean(0)
        mean_logs = np.log(np.where(mean > 0, mean, 1))
        scores.append(np.exp((given[rows] * (logs[rows] - mean_logs)).sum(1).mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def coverage(
    real: Float[np.ndarray, "M F"], made: Float[np.ndarray, "N G"], *, neighbours: int = NEIGHBOURS, chunk: int = 1000
) -> Coverage:
    """Improved precision and recall: which pictures of one set lie within the other's manifold.

    The manifold of a set is the union of balls around its features, each reaching to its k-th nearest neighbour in the
    set, itself left out. It takes ``chunk x (N or M)`` numbers of memory, and time as N x M.

    Args:
        real, made: features of the reference and of the generated pictures.
        neighbours: k.
        chunk: pictures whose distances are held at once.
    Raises:
        DataError: a set of k pictures or fewer, or features of different dimension.
    Source: arXiv:1904.06991.
    """
    if real.shape[1] != made.shape[1]:
        raise DataError(f"features of {real.shape[1]} and of {made.shape[1]} numbers cannot be compared.")
    if not 1 <= neighbours < min(len(real), len(made)):
        raise DataError(
            f"precision and recall with {neighbours} neighbours need more pictures than that in each set, got "
            f"{len(made)} and {len(real)}."
        )
    real, made = real.astype(np.float64), made.astype(np.float64)
    return Coverage(
        _within(made, real, _radii(real, neighbours, chunk), chunk),
        _within(real, made, _radii(made, neighbours, chunk), chunk),
    )


def nearest_real_distance(images: np.ndarray, real: np.ndarray, chunk: int = 500) -> np.ndarray:
    """Root mean squared difference of each picture [N, ...] to the nearest real one, in bytes (0..255).

    Distances near 0 tell copies; compare with the distances of unseen real pictures to the same ones.
    """
    pictures, known = flat(images), flat(real)
    squares = (known**2).sum(1)
    found = []
    for start in range(0, len(pictures), chunk):
        part = pictures[start : start + chunk]
        distance = (part**2).sum(1)[:, None] - 2 * part @ known.T + squares
        found.append(((part - known[distance.argmin(1)]) ** 2).mean(1))  # exact for the nearest: 0 for a copy
    return 255 * np.sqrt(np.concatenate(found))


def flat(images: np.ndarray) -> np.ndarray:
    """Pictures [N, ...] in bytes as rows of numbers from 0 to 1."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of each row of one set to each of another, [N, M]; 0 for equal rows, whatever rounding leaves."""
    lengths = (first**2).sum(1)[:, None] + (second**2).sum(1)
    squares = lengths - 2 * first @ second.T
    squares[squares < _ROUNDING * lengths] = 0
    return squares


def _radii(features: np.ndarray, neighbours: int, chunk: int) -> np.ndarray:
    """Squared distance of each row to its k-th nearest neighbour: the (k + 1)-th smallest, for it finds itself too."""
    parts = (features[start : start + chunk] for start in range(0, len(features), chunk))
    return np.concatenate([
        np.partition(_squared_distances(part, features), neighbours, axis=1)[:, neighbours] for part in parts
    ])  # fmt: skip


def _within(points: np.ndarray, centres: np.ndarray, radii: np.ndarray, chunk: int) -> np.ndarray:
    parts = (points[start : start + chunk] for start in range(0, len(points), chunk))
    return np.concatenate([(_squared_distances(part, centres) <= radii).any(1) for part in parts])
