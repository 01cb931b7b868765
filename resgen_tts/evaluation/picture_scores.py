"""Figures of a set of pictures beside a reference, and their table; those of a small judge are marked."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from resgen_tts.common.randomness import generator
from resgen_tts.evaluation.measures.image_quality import (
    NEIGHBOURS,
    SPLITS,
    FeatureStatistics,
    InceptionScore,
    PictureActivations,
    PictureFeatures,
    coverage,
    feature_statistics,
    frechet_of_statistics,
    inception_score,
)
from resgen_tts.evaluation.measures.statistics import Interval, share_interval
from resgen_tts.evaluation.reports.report import EMBEDDED_MARK, NOT_MEASURED


@dataclass(frozen=True, kw_only=True)
class PictureScore:
    """What one set of pictures comes to; None where the reference does not allow a figure."""

    pictures: int
    frechet: float  # FID where the features are the Inception network's
    spatial_frechet: float | None  # sFID
    inception_score: InceptionScore
    precision: Interval | None  # over pictures, with both manifolds as they are
    recall: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PictureScore":
        """Of `to_json`; what else is there is left out."""
        shares = {name: values[name] and Interval(**values[name]) for name in ("precision", "recall")}
        return cls(
            pictures=values["pictures"], frechet=values["frechet"], spatial_frechet=values["spatial_frechet"],
            inception_score=InceptionScore(**values["inception_score"]), **shares,
        )  # fmt: skip


@dataclass(frozen=True)
class RealPictures:
    """A reference as a network sees it: statistics, and the activations of its pictures where there are any."""

    pool: FeatureStatistics
    spatial: FeatureStatistics | None
    activations: PictureActivations | None


def look_at(
    network: PictureFeatures, batches: Iterable[UInt8[np.ndarray, "B C H W"]], total: int, title: str
) -> PictureActivations:
    """Put batches of pictures through a network, with a progress bar of so many pictures in all."""
    from tqdm import tqdm

    found = []
    with tqdm(total=total, desc=title, unit="picture", file=sys.stderr, disable=None) as bar:
        for batch in batches:
            found.append(network.activations(batch))
            bar.update(len(batch))
    has_spatial = all(one.spatial is not None for one in found)
    return PictureActivations(
        np.concatenate([one.features for one in found]),
        np.concatenate([one.probabilities for one in found]),
        np.concatenate([one.spatial for one in found]) if has_spatial else None,
    )


def real_pictures(activations: PictureActivations) -> RealPictures:
    """A reference of pictures alone."""
    spatial = None if activations.spatial is None else feature_statistics(activations.spatial)
    return RealPictures(feature_statistics(activations.features), spatial, activations)


def score_pictures(
    made: PictureActivations,
    real: RealPictures,
    *,
    splits: int = SPLITS,
    neighbours: int = NEIGHBOURS,
    seed: int = 0,
) -> PictureScore:
    """Figures of pictures beside a reference.

    Args:
        made: of the pictures.
        real: what they are compared with.
        splits: parts of the inception score; the pictures are put in an order that the seed draws first.
        neighbours: of precision and recall.
        seed: of that order.
    Raises:
        DataError: too few pictures, or features of another network.
    """
    order = _order(len(made.features), seed)
    spatial = None
    if made.spatial is not None and real.spatial is not None:
        spatial = frechet_of_statistics(feature_statistics(made.spatial), real.spatial)
    frechet = frechet_of_statistics(feature_statistics(made.features), real.pool)
    precision = recall = None
    if real.activations is not None:
        near = coverage(real.activations.features, made.features, neighbours=neighbours)
        precision, recall = (share_interval(hits.tolist()) for hits in (near.made_is_real, near.real_is_covered))
    return PictureScore(
        pictures=len(made.features), frechet=frechet, spatial_frechet=spatial,
        inception_score=inception_score(made.probabilities, splits=splits, order=order),
        precision=precision, recall=recall,
    )  # fmt: skip


def _order(count: int, seed: int) -> np.ndarray:
    """The order of pictures that a seed draws."""
    import torch

    return torch.randperm(count, generator=generator(seed, "order of pictures")).numpy()


def score_header(is_embedded: bool) -> list[str]:
    """Names of the columns of `score_cells`; a small judge's are marked, and have no name of a published figure."""
    if is_embedded:
        names = ["Frechet", "score of classes", "precision, %", "recall, %"]
        return [f"{name} {EMBEDDED_MARK}" for name in names]
    return ["FID", "sFID", "IS", "precision, %", "recall, %"]


def score_cells(score: PictureScore, is_embedded: bool) -> list[str]:
    """One row of figures."""
    spatial = NOT_MEASURED if score.spatial_frechet is None else f"{score.spatial_frechet:.3f}"
    shown = score.inception_score
    return [
        f"{score.frechet:.3f}", *([] if is_embedded else [spatial]), f"{shown.mean:.3f} ± {shown.std:.3f}",
        *(_share(share) for share in (score.precision, score.recall)),
    ]  # fmt: skip


def score_notes(is_embedded: bool, *, splits: int = SPLITS, neighbours: int = NEIGHBOURS) -> Sequence[str]:
    """What has to stand below a table of these figures."""
    name = "The Frechet distance" if is_embedded else "FID"
    notes = [
        f"{name} is too large by about a constant over the number of pictures (arXiv:1911.07023): only sets of equal "
        "size may be compared. It has no interval: that would need hundreds of roots of large matrices.",
        f"The score of classes is the mean ± standard deviation of {splits} parts; precision and recall (k = "
        f"{neighbours}) stand with exact 95 % intervals over pictures, both manifolds taken as they are.",
    ]
    if is_embedded:
        notes.append(
            f"{EMBEDDED_MARK} of a small judge trained on pictures of the same data: for comparing rows of one table, "
            "never with published FIDs or inception scores."
        )
    return notes


def _share(share: Interval | None) -> str:
    if share is None:
        return NOT_MEASURED
    return f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"
