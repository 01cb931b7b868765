"""Sets of pictures to be compared: sample batches, folders, and reference statistics, as others' evaluations keep them.

A sample batch is an .npz file with ``arr_0``, bytes [N, height, width, 3]. A reference is the same, or ``mu`` and
``sigma`` (mean and covariance of the features of a whole data set), with ``mu_s`` and ``sigma_s`` of the spatial
features where sFID is wanted, or both: statistics of all pictures, and some of them for precision and recall.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import sha256_file, write_bytes
from resgen_tts.evaluation.measures.image_quality import FeatureStatistics

SUFFIXES = (".png", ".jpg", ".jpeg")
_GREY_MODES = ("1", "L")
_PICTURES, _NAME = "arr_0", "features"
_POOL, _SPATIAL = ("mu", "sigma"), ("mu_s", "sigma_s")
_BROKEN = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)  # of a file that is no whole .npz


@runtime_checkable
class PictureSet(Protocol):
    """Pictures of one size that are read as they are needed."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels (1 or 3), height and width of each."""

    def sha256(self) -> str:
        """Hash of what was read."""

    def __len__(self) -> int: ...

    def rows(self, chosen: Sequence[int]) -> Iterator[UInt8[np.ndarray, "C H W"]]:
        """The chosen pictures, in ascending order of their places."""


@dataclass(frozen=True)
class Reference:
    """What a set of pictures is compared with: statistics, pictures, or both."""

    pool: FeatureStatistics | None
    spatial: FeatureStatistics | None
    pictures: PictureSet | None
    features: str  # name of the features that the statistics are of; "" where the file does not say


class ArrayPictures:
    """A `PictureSet` in memory, [N, C, H, W]."""

    def __init__(self, images: UInt8[np.ndarray, "N C H W"]):
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self._images.shape[1:]
        return channels, height, width

    def sha256(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self._images).tobytes()).hexdigest()

    def rows(self, chosen: Sequence[int]) -> Iterator[UInt8[np.ndarray, "C H W"]]:
        """The chosen pictures."""
        for place in chosen:
            yield self._images[place]


class NpzPictures:
    """A `PictureSet` in an .npz file, read from the front without holding more than one picture.

    Raises:
        DataError: no .npz, no ``arr_0`` in it, or something else than bytes [N, height, width, 1 or 3].
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{_PICTURES}.npy") as stream:
                shape, is_fortran, kind = _header(stream)
        except KeyError as error:
            raise DataError(f"{self.path} has no array {_PICTURES}: pictures are kept under that name.") from error
        except _BROKEN as error:
            raise DataError(f"{self.path} cannot be read as .npz: {error}.") from error
        if kind != np.uint8 or len(shape) != 4 or shape[-1] not in (1, 3) or is_fortran:
            raise DataError(
                f"{self.path}: {_PICTURES} must be bytes [N, height, width, 1 or 3] in C order, got {kind} {shape}."
            )
        self._shape = shape

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self._shape
        return channels, height, width

    def sha256(self) -> str:
        return sha256_file(self.path)

    def rows(self, chosen: Sequence[int]) -> Iterator[UInt8[np.ndarray, "C H W"]]:
        """The chosen pictures.

        Raises:
            DataError: the file ends before its header says.
        """
        size = int(np.prod(self._shape[1:]))
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{_PICTURES}.npy") as stream:
                _header(stream)
                wanted, place = list(chosen), 0
                for next_one in wanted:
                    while place <= next_one:
                        content, place = stream.read(size), place + 1
                    yield np.frombuffer(content, np.uint8).reshape(self._shape[1:]).transpose(2, 0, 1)
        except _BROKEN as error:
            raise DataError(f"{self.path} is broken behind picture {place}: {error}.") from error


class FolderPictures:
    """A `PictureSet` of the PNG and JPEG files below a folder, in the order of their names; grey only if all are.

    Raises:
        DataError: no picture, one that cannot be read, or pictures of different sizes.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._paths = sorted(path for path in self.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not self._paths:
            raise DataError(f"{self.folder} holds no pictures ({', '.join(SUFFIXES)}).")
        heads = [self._head(path) for path in self._paths]
        (width, height), _ = heads[0]
        for path, (size, _) in zip(self._paths, heads, strict=True):
            if size != (width, height):
                raise DataError(
                    f"{path} has {size[0]} x {size[1]} pixels, {self._paths[0].name} has {width} x {height}.",
                    hint="Scale them to one size first: how that is done changes the figures.",
                )
        self._mode = "L" if all(mode in _GREY_MODES for _, mode in heads) else "RGB"
        self._shape = (1 if self._mode == "L" else 3, height, width)

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._shape

    def sha256(self) -> str:
        lines = (f"{path.relative_to(self.folder).as_posix()} {sha256_file(path)}\n" for path in self._paths)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def rows(self, chosen: Sequence[int]) -> Iterator[UInt8[np.ndarray, "C H W"]]:
        """The chosen pictures.

        Raises:
            DataError: a file that cannot be read.
        """
        from PIL import Image

        for place in chosen:
            try:
                with Image.open(self._paths[place]) as image:
                    yield np.array(image.convert(self._mode)).reshape(*self._shape[1:], -1).transpose(2, 0, 1)
            except OSError as error:
                raise DataError(f"{self._paths[place]} is not a picture that can be read: {error}") from error

    @staticmethod
    def _head(path: Path) -> tuple[tuple[int, int], str]:
        from PIL import Image

        try:
            with Image.open(path) as image:
                return image.size, image.mode
        except OSError as error:
            raise DataError(f"{path} is not a picture that can be read: {error}") from error


def read_picture_set(path: Path) -> PictureSet:
    """Pictures of an .npz file or below a folder.

    Raises:
        DataError: it is missing, or holds no pictures of one size.
    """
    path = Path(path)
    if path.is_dir():
        return FolderPictures(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING")
    return NpzPictures(path)


def read_reference(path: Path) -> Reference:
    """Pictures, statistics, or both, of an .npz file; pictures of a folder.

    Raises:
        DataError: it is missing, holds neither, or statistics that are none.
    """
    path = Path(path)
    if path.is_dir() or not path.is_file():
        return Reference(None, None, read_picture_set(path), "")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it is one array")
            names = set(arrays.files)
            pool = _statistics(path, arrays, _POOL) if _POOL[0] in names else None
            spatial = _statistics(path, arrays, _SPATIAL) if _SPATIAL[0] in names else None
            features = str(arrays[_NAME]) if _NAME in names else ""
    except (*_BROKEN, TypeError) as error:  # a bare array is no context
        raise DataError(f"{path} cannot be read as .npz: {error}.") from error
    if pool is None and _PICTURES not in names:
        raise DataError(f"{path} holds neither statistics (mu, sigma) nor pictures ({_PICTURES}), but {sorted(names)}.")
    return Reference(pool, spatial, NpzPictures(path) if _PICTURES in names else None, features)


def write_reference(
    path: Path,
    pool: FeatureStatistics,
    spatial: FeatureStatistics | None,
    *,
    features: str,
    images: UInt8[np.ndarray, "N C H W"] | None = None,
) -> None:
    """Write statistics of features, with the network's name and, for precision and recall, some of the pictures.

    Args:
        path: file to write, ending in .npz.
        pool, spatial: of the features, and of the spatial ones where there are any.
        features: name of the network, so that they are never compared with another's.
        images: pictures to go with them.
    """
    arrays: dict[str, np.ndarray] = {_NAME: np.array(features)}
    for names, statistics in ((_POOL, pool), (_SPATIAL, spatial)):
        if statistics is not None:
            arrays |= dict(zip(names, (statistics.mean, statistics.covariance), strict=True))
    if images is not None:
        arrays[_PICTURES] = images.transpose(0, 2, 3, 1)
    write_npz(path, arrays)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays compressed and atomically; pictures go under ``arr_0``, bytes [N, height, width, channels]."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: np.asarray(array, order="C") for name, array in arrays.items()})
    write_bytes(path, buffer.getvalue())


def batches(pictures: PictureSet, chosen: Sequence[int], size: int) -> Iterator[UInt8[np.ndarray, "B C H W"]]:
    """The chosen pictures, so many at a time."""
    held: list[np.ndarray] = []
    for row in pictures.rows(chosen):
        held.append(row)
        if len(held) == size:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)


def _header(stream) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and type of the .npy that a stream is at the front of."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format is not known")
    return read(stream)


def _statistics(path: Path, arrays, names: tuple[str, str]) -> FeatureStatistics:
    if names[1] not in arrays.files:
        raise DataError(f"{path} has {names[0]}, but no {names[1]}.")
    mean, covariance = (np.asarray(arrays[name]) for name in names)
    is_number = all(np.issubdtype(array.dtype, np.floating) for array in (mean, covariance))
    if not is_number or mean.ndim != 1 or covariance.shape != 2 * mean.shape:
        raise DataError(
            f"{path}: {names[0]} and {names[1]} must be a mean [F] and a covariance [F, F], got "
            f"{mean.dtype} {mean.shape} and {covariance.dtype} {covariance.shape}."
        )
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"{path}: {names[0]} and {names[1]} hold values that are no finite numbers.")
    return FeatureStatistics(mean, covariance)
