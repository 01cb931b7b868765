"""The verb ``score-images``: pictures and a reference in; FID, inception score, precision and recall out."""

import inspect
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import commit_hash, hardware_line, sha256_file, write_json, write_text
from resgen_tts.evaluation.measures.image_quality import NEIGHBOURS, SPLITS, PictureFeatures
from resgen_tts.evaluation.picture_scores import (
    RealPictures,
    look_at,
    real_pictures,
    score_cells,
    score_header,
    score_notes,
    score_pictures,
)
from resgen_tts.evaluation.protocols.picture_sets import (
    ArrayPictures,
    PictureSet,
    Reference,
    batches,
    read_picture_set,
    read_reference,
    write_reference,
)
from resgen_tts.image.dataset import DIGITS, LABELS, load_pictures, to_signed
from resgen_tts.image.dataset import SPLITS as DATA_SPLITS
from resgen_tts.image.sheets import draw_sheet

LEAST_PICTURES = 100  # of a set: with fewer, all of these figures are of chance
SHOWN = 10  # pictures of a row of the sheet, which has two rows of each set
KEPT = 10_000  # pictures of a saved reference, for precision and recall
_OWN_SIZES = {DIGITS: 8}  # pixels of a side; MNIST's otherwise
_MNIST_SIZE = 28


def score_images(
    samples: str,
    reference: str,
    output: Path,
    *,
    inception: Path | None = None,
    judge: Path | None = None,
    train_judge: str = "",
    allow_pickle: bool = False,
    splits: int = SPLITS,
    neighbours: int = NEIGHBOURS,
    limit: int = 0,
    image_size: int = 0,
    batch: int = 50,
    device: str = "cpu",
    seed: int = 0,
    save_reference: Path | None = None,
) -> None:
    """Score pictures beside a reference: Frechet distance (FID), inception score, precision and recall.

    A set is an .npz file with arr_0 (bytes [N, height, width, 3]), a folder of PNG or JPEG files, or data as training
    reads it: a folder of MNIST's files or of photographs with labels.tsv, or the name digits, with :train or :test
    behind it (:test where left out). A reference may also be an .npz of statistics, mu and sigma. Copies beside their
    originals give rFID. Writes report.md, score.json and pictures.png.

    Args:
        samples: the pictures.
        reference: what they are compared with.
        output: folder to write into.
        inception: weights of the Inception network, for figures that stand beside published ones.
        judge: folder of a small judge of pictures, for figures of its own.
        train_judge: data whose training pictures a judge is trained on first and saved in the judge's folder.
        allow_pickle: whether the weights may be a pickle; it is read as plain tensors only.
        splits: parts of the inception score.
        neighbours: of precision and recall.
        limit: so many pictures of each set, drawn by the seed; 0: all.
        image_size: pixels of a side that data as training reads it is padded or scaled to; 0: its own.
        batch: pictures looked at at once.
        device: where the Inception network works.
        seed: of the draws and of the parts' order.
        save_reference: .npz file for the reference's statistics and up to 10,000 of its pictures, ready to be a
            reference of the same network.
    Raises:
        ConfigError: not one of --inception and --judge, too few pictures, or sets of different sizes.
        CheckpointError, DataError: weights, pictures or statistics that cannot be used.
    """
    if batch < 1 or limit < 0 or splits < 1 or neighbours < 1:
        raise ConfigError("--batch, --splits and --neighbours must be at least 1, --limit not negative.")
    shown = {name: value for name, value in locals().items() if _is_given(name, value)}
    made, real = _open(samples, image_size), _open_reference(reference, image_size)
    chosen = _draw(made, "--samples", limit, splits, neighbours, seed)
    known = [] if real.pictures is None else _draw(real.pictures, "--reference", limit, 1, neighbours, seed)
    if real.pictures is not None and real.pictures.shape[1:] != made.shape[1:]:
        raise ConfigError(
            f"{samples} has pictures of {_size(made)}, {reference} of {_size(real.pictures)}.",
            hint="Scale one of them first: how that is done changes the figures.",
        )
    network = picture_features(
        inception, judge, allow_pickle=allow_pickle, device=device, train_judge=train_judge, side=made.shape[1],
        seed=seed,
    )  # fmt: skip
    _check_statistics(real, network, reference)
    looked = look_at(network, batches(made, chosen, batch), len(chosen), "samples")
    seen = _look_at_reference(network, real, known, batch)
    score = score_pictures(looked, seen, splits=splits, neighbours=neighbours, seed=seed)
    if save_reference is not None:
        kept = None if real.pictures is None else np.stack(list(real.pictures.rows(known[:KEPT])))
        write_reference(save_reference, seen.pool, seen.spatial, features=network.name, images=kept)
    facts = {
        "command": shlex.join(["resgen-tts", "score-images", *_words(shown)]),
        "commit": commit_hash(),
        "seed": seed,
        "hardware": hardware_line(),
        "features": _network_facts(network, inception),
        "samples": {"from": samples, **_set_facts(made, chosen)},
        "reference": _reference_facts(reference, real, known),
        "splits": splits,
        "neighbours": neighbours,
    }
    _draw_sheet(Path(output) / "pictures.png", {"samples": (made, chosen), "reference": (real.pictures, known)})
    write_text(Path(output) / "report.md", _markdown(score, facts, network.is_embedded))
    write_json(Path(output) / "score.json", {**facts, "figures": score.to_json()})
    print(f"{Path(output) / 'report.md'}: {len(chosen)} pictures", file=sys.stderr)


def picture_features(
    inception: Path | None,
    judge: Path | None,
    *,
    allow_pickle: bool = False,
    device: str = "cpu",
    train_judge: str = "",
    side: int = 0,
    seed: int = 0,
) -> PictureFeatures:
    """The network that options name: exactly one of the Inception network and a small judge.

    Args:
        inception: weights.
        judge: folder to read, or to write where one is trained.
        train_judge: data to train a judge on; "": none.
        side: pixels of a side of its pictures.
    Raises:
        ConfigError: both or neither, or a judge to train without a folder.
        CheckpointError: weights that cannot be used.
    """
    if (inception is None) == (judge is None):
        raise ConfigError(
            "give one of --inception FILE and --judge DIR: figures of two networks do not mix.", code="USAGE"
        )
    if judge is None:
        if train_judge:
            raise ConfigError("--train_judge needs --judge DIR, where the judge is kept.", code="USAGE")
        from resgen_tts.evaluation.judges.inception_features import InceptionFeatures

        return InceptionFeatures(inception, allow_pickle=allow_pickle, device=device)
    from resgen_tts.evaluation.judges.picture_judge import load_judge
    from resgen_tts.evaluation.judges.picture_judge import train_judge as trained

    if train_judge:
        train, test = (load_pictures(train_judge, split, side) for split in ("train", "test"))
        print(f"training a judge on {len(train)} pictures of {train_judge}", file=sys.stderr)
        parts = (part.numpy() for pictures in (train, test) for part in (pictures.images, pictures.labels))
        trained(*parts, seed=seed).save(judge)
    elif not Path(judge).is_dir():
        raise CheckpointError(
            f"{judge}: there is no judge of pictures.", code="MODEL_MISSING", hint="--train_judge DATA trains one."
        )
    return load_judge(judge)


def _open(source: str, image_size: int) -> PictureSet:
    path, split = source, "test"
    for name in DATA_SPLITS:
        if source.endswith(f":{name}"):
            path, split = source.removesuffix(f":{name}"), name
    is_photographs = (Path(path) / LABELS).is_file()
    if not (path == DIGITS or is_photographs or any(Path(path).glob(f"{DATA_SPLITS[split]}-images-idx3-ubyte*"))):
        return read_picture_set(Path(source))
    if is_photographs and not image_size:
        raise ConfigError(f"{path} has photographs of many sizes: --image_size N scales them.")
    return ArrayPictures(load_pictures(path, split, image_size or _OWN_SIZES.get(path, _MNIST_SIZE)).images.numpy())


def _open_reference(source: str, image_size: int) -> Reference:
    if Path(source).is_file():
        return read_reference(Path(source))
    return Reference(None, None, _open(source, image_size), "")


def _draw(pictures: PictureSet, option: str, limit: int, splits: int, neighbours: int, seed: int) -> list[int]:
    """Places of the pictures to use, in ascending order."""
    count = min(limit or len(pictures), len(pictures))
    least = max(LEAST_PICTURES, splits, neighbours + 1)
    if count < least:
        raise ConfigError(
            f"{option} leaves {count} pictures; these figures mean nothing below {least}.",
            code="TOO_FEW_PICTURES",
            hint="Published figures are of 50,000.",
        )
    order = torch.randperm(len(pictures), generator=generator(seed, "score-images", option))
    return order[:count].sort().values.tolist()


def _check_statistics(real: Reference, network: PictureFeatures, reference: str) -> None:
    """Statistics of one network say nothing about another's features."""
    if real.pool is None:
        return
    if real.features and real.features != network.name:
        raise ConfigError(f"{reference} holds statistics of {real.features}; this is {network.name}.")
    if not real.features and network.is_embedded:
        raise ConfigError(
            f"{reference} holds statistics of a network that it does not name; they cannot be those of this judge."
        )


def _look_at_reference(network: PictureFeatures, real: Reference, known: list[int], batch: int) -> RealPictures:
    if real.pictures is None:
        assert real.pool is not None  # read_reference sees to it
        return RealPictures(real.pool, real.spatial, None)
    seen = real_pictures(look_at(network, batches(real.pictures, known, batch), len(known), "reference"))
    return seen if real.pool is None else RealPictures(real.pool, real.spatial, seen.activations)


def _network_facts(network: PictureFeatures, inception: Path | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": network.name, "is_embedded": network.is_embedded}
    facts["weights_sha256"] = network.weights_sha256
    if inception is not None:
        return {**facts, "weights": str(inception), "is_published_file": network.is_published}
    return {**facts, "judge": network.facts}


def _reference_facts(source: str, real: Reference, known: list[int]) -> dict[str, Any]:
    facts: dict[str, Any] = {"from": source, "has_statistics": real.pool is not None}
    if real.pictures is None:
        return {**facts, "sha256": sha256_file(Path(source))}
    return {**facts, **_set_facts(real.pictures, known)}


def _set_facts(pictures: PictureSet, chosen: list[int]) -> dict[str, Any]:
    return {"used": len(chosen), "of": len(pictures), "size": _size(pictures), "sha256": pictures.sha256()}


def _is_given(name: str, value: Any) -> bool:
    return value != inspect.signature(score_images).parameters[name].default


def _words(options: dict[str, Any]) -> list[str]:
    shown = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in options.items()}
    return [word for name, value in shown.items() for word in (f"--{name}", value)]


def _size(pictures: PictureSet) -> str:
    channels, height, width = pictures.shape
    return f"{width} x {height} x {channels}"


def _draw_sheet(path: Path, sets: dict[str, tuple[PictureSet | None, list[int]]]) -> None:
    rows = []
    for name, (pictures, chosen) in sets.items():
        if pictures is not None:
            shown = torch.from_numpy(np.stack(list(pictures.rows(chosen[: 2 * SHOWN]))))
            rows += [(name, to_signed(part)) for part in shown.split(SHOWN)]
    draw_sheet(path, rows)


def _markdown(score: Any, facts: dict[str, Any], is_embedded: bool) -> str:
    from resgen_tts.evaluation.reports.scheme_table import table

    samples = facts["samples"]
    row = [f"{samples['from']} ({samples['used']})", *score_cells(score, is_embedded)]
    told = [f"* {name}: {value}" for name, value in facts.items() if name != "command"]
    notes = list(score_notes(is_embedded, splits=facts["splits"], neighbours=facts["neighbours"]))
    if facts["reference"]["has_statistics"]:
        notes.append("The reference's mean and covariance are those of its file.")
    if facts["features"].get("is_published_file") is False:
        notes.append("The hash of the weights' file is not that of the published pickle: check where it is from.")
    return "\n".join([
        "# Scores of pictures", "", f"`{facts['command']}`", "",
        table(["pictures", *score_header(is_embedded)], [row]), "", "\n\n".join(notes), "", *told, "",
    ])  # fmt: skip
