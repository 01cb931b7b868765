"""Labelled pictures from files, and batches of them."""

import csv
import gzip
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.randomness import generator

DIGITS = "digits"  # the name, in the place of a folder, of scikit-learn's bundled 8x8 digits
SPLITS = {"train": "train", "test": "t10k"}  # split: how MNIST's files begin
LABELS = "labels.tsv"  # beside photographs: a line "file<tab>label" each, with these two words as the first line
_DIGITS_TEST = 360  # of 1797; the last ones are other writers' than the first, so the split is by writer, mostly
_TEST_SHARE = 10  # of photographs, one in so many of each class: the last by name, so that neighbours stay together
_UNSIGNED_BYTE = 0x08  # IDX's code for the type of values; the only one that pictures use


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures of one split, channels first."""

    images: UInt8[Tensor, "N channels height width"]
    labels: Int[Tensor, " N"]

    def __len__(self) -> int:
        return len(self.labels)


def load_pictures(data: Path | str, split: str, image_size: int) -> Pictures:
    """The pictures of one split.

    Args:
        data: a folder of MNIST's four IDX files (plain or gzip), or one of photographs with ``labels.tsv``, or the name
            ``digits``.
        split: ``train`` or ``test``; of photographs, the last tenth of each class by name is the test.
        image_size: pixels of each side. Photographs are scaled to it and cut in the middle; others must not be larger
            and are padded with black.
    Raises:
        DataError: a file is missing or broken, images and labels differ in number, or pictures are larger.
    """
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
    if (Path(data) / LABELS).is_file():
        return _photographs(Path(data), split, image_size)
    if str(data) == DIGITS:
        images, labels = _digits(split)
    else:
        images, labels = (_mnist_file(Path(data), split, kind) for kind in ("images-idx3", "labels-idx1"))
        if len(images) != len(labels):
            raise DataError(f"{data}: the {split} split has {len(images)} pictures and {len(labels)} labels.")
    missing = [image_size - side for side in images.shape[1:]]
    if min(missing) < 0:
        raise DataError(
            f"{data}: pictures of {images.shape[1]} x {images.shape[2]} are larger than {image_size} x {image_size}.",
            hint="Set model.image_size.",
        )
    images = np.pad(images, [(0, 0), *((pad // 2, pad - pad // 2) for pad in missing)])
    return Pictures(torch.from_numpy(images)[:, None], torch.from_numpy(labels.astype(np.int64)))


def to_signed(images: UInt8[Tensor, "B channels height width"]) -> Float[Tensor, "B channels height width"]:
    """Bytes to [-1, 1]."""
    return images.float() / 127.5 - 1


def to_bytes(images: Float[Tensor, "B channels height width"]) -> UInt8[Tensor, "B channels height width"]:
    """[-1, 1] to bytes."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or gzip.

    Layout: two zero bytes, the type, the number of axes, each axis as a big-endian 32-bit number, the values.

    Raises:
        DataError: missing, not gzip, of another type or number of axes, or shorter or longer than its header says.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING")
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is not whole gzip: {error}.", hint="Fetch it again.") from error
    start = 4 + 4 * ndim
    if len(content) < start or content[:4] != bytes((0, 0, _UNSIGNED_BYTE, ndim)):
        raise DataError(f"{path} is not an IDX file of bytes with {ndim} axes: it begins {content[:4].hex()}.")
    shape = [int(side) for side in np.frombuffer(content, dtype=">u4", count=ndim, offset=4)]
    if len(content) - start != np.prod(shape, dtype=object):
        raise DataError(f"{path} holds {len(content) - start} values, its header says {' x '.join(map(str, shape))}.")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _mnist_file(folder: Path, split: str, kind: str) -> np.ndarray:
    plain = folder / f"{SPLITS[split]}-{kind}-ubyte"
    return read_idx(plain if plain.is_file() else plain.with_name(f"{plain.name}.gz"), int(kind[-1]))


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)  # 0..16 as stored
    part = slice(-_DIGITS_TEST, None) if split == "test" else slice(None, -_DIGITS_TEST)
    return images[part], digits.target[part]


def _photographs(folder: Path, split: str, image_size: int) -> Pictures:
    """Colour pictures [N, 3, H, W] that ``labels.tsv`` lists, of any format that Pillow reads."""
    with open(folder / LABELS, encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    classes: dict[int, list[str]] = {}
    for number, row in enumerate(rows, 2):
        if not row.get("file") or not (row.get("label") or "").isdecimal():
            raise DataError(f"{folder / LABELS}:{number}: not a file and a label of digits, separated by a tab: {row}")
        classes.setdefault(int(row["label"]), []).append(row["file"])
    chosen: list[tuple[str, int]] = []
    for label, files in sorted(classes.items()):
        num_test = -(-len(files) // _TEST_SHARE)
        part = slice(-num_test, None) if split == "test" else slice(None, -num_test)
        chosen += [(file, label) for file in sorted(files)[part]]
    if not chosen:
        raise DataError(f"{folder / LABELS} lists no picture for the {split} split.")
    images = np.stack([_photograph(folder / file, image_size) for file, _ in chosen])
    return Pictures(torch.from_numpy(images).movedim(-1, 1), torch.tensor([label for _, label in chosen]))


def _photograph(path: Path, image_size: int) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.fit(image.convert("RGB"), (image_size, image_size), Image.Resampling.LANCZOS))
    except OSError as error:
        raise DataError(f"{path} is not a picture that can be read: {error}") from error


@dataclass(frozen=True, kw_only=True)
class ImageBatchConfig:
    """Batches of pictures, or of their codes."""

    batch_size: int = 64

    def __post_init__(self):
        if self.batch_size < 1:
            raise ConfigError(f"batches.batch_size must be at least 1, got {self.batch_size}")


@dataclass(frozen=True)
class ImageBatch:
    """Some pictures; ``seconds`` is their number, which is what the engine counts."""

    ids: tuple[str, ...]
    images: UInt8[Tensor, "B channels height width"]
    seconds: float

    def to(self, device: torch.device) -> "ImageBatch":
        """The same batch on another device."""
        return replace(self, images=self.images.to(device))


def shuffled(size: int, batch_size: int, seed: int, epoch: int) -> Iterator[Tensor]:
    """Indices of an epoch's batches, the same each time; the last, incomplete one is left out unless it is the only."""
    order = torch.randperm(size, generator=generator(seed, "pictures", epoch))
    batch_size = min(batch_size, size)
    yield from (order[first : first + batch_size] for first in range(0, size - batch_size + 1, batch_size))


class ImageBatches:
    """Shuffled batches of pictures; which ones depends on seed and epoch alone."""

    def __init__(self, pictures: Pictures, *, batch_size: int, seed: int):
        self.pictures, self.batch_size, self.seed = pictures, batch_size, seed

    def epoch(self, epoch: int) -> Iterator[ImageBatch]:
        """All batches of an epoch."""
        for chosen in shuffled(len(self.pictures), self.batch_size, self.seed, epoch):
            ids = tuple(map(str, chosen.tolist()))
            yield ImageBatch(ids, self.pictures.images[chosen], float(len(ids)))

    def fixed(self, num_batches: int) -> list[ImageBatch]:
        """The same few batches at every call, for validation."""
        return list(itertools.islice(self.epoch(-1), num_batches))
