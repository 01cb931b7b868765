"""Encoded pictures: the folder that ``encode-images`` writes, and batches of its codes."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import commit_hash, read_json, staged_folder, write_json
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.space_kinds import code_space_from
from resgen_tts.image.dataset import shuffled

INFO, SPACE = "info.json", "code_space.safetensors"


@dataclass(frozen=True)
class PictureCodes:
    """Codes and labels of one split."""

    codes: Int[Tensor, "N T D"]
    labels: Int[Tensor, " N"]

    def __len__(self) -> int:
        return len(self.labels)


def code_space_hash(space: CodeSpace) -> str:
    """A short hash of the codebooks: codes may be decoded only by the tokenizer that has the same one."""
    return hashlib.sha256(space.codebooks.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()[:16]


def write_codes(output: Path, splits: dict[str, PictureCodes], space: CodeSpace, info: dict[str, Any]) -> None:
    """Write codes and labels of each split, the code space, and what is known of them; an older folder is replaced.

    Args:
        output: the folder.
        splits: name: codes and labels.
        space: the tokenizer's frozen codebooks, all that a generator needs of it.
        info: further facts; ``grid`` (height, width) among them.
    """
    from safetensors.torch import save_file

    small = torch.int16 if space.codebook_size <= 2**15 else torch.int32
    with staged_folder(output) as folder:
        for name, split in splits.items():
            tensors = {"codes": split.codes.to(small).contiguous(), "labels": split.labels.contiguous()}
            save_file(tensors, str(folder / f"{name}.safetensors"))
        books = {name: value.detach().cpu().clone() for name, value in space.tensors().items()}
        save_file(books, str(folder / SPACE))
        facts = {
            "depth": space.depth,
            "codebook_size": space.codebook_size,
            "num_classes": 1 + max(int(split.labels.max()) for split in splits.values()),
            "items": {name: len(split) for name, split in splits.items()},
            "code_space": code_space_hash(space),
            "commit": commit_hash(),
        }
        write_json(folder / INFO, info | facts)


def read_codes(folder: Path, split: str) -> PictureCodes:
    """Codes and labels of one split.

    Raises:
        DataError: the file is missing or is not what ``info.json`` says.
    """
    tensors, info = _read(Path(folder) / f"{split}.safetensors"), read_info(folder)
    if tensors.keys() != {"codes", "labels"}:
        raise DataError(f"{folder}/{split}.safetensors holds {', '.join(sorted(tensors))}, not codes and labels.")
    codes, labels = tensors["codes"].long(), tensors["labels"].long()
    height, width = info["grid"]
    if codes.shape != (len(labels), height * width, info["depth"]):
        raise DataError(f"{folder}/{split}.safetensors: codes are {tuple(codes.shape)}, {INFO} says otherwise.")
    return PictureCodes(codes, labels)


def read_code_space(folder: Path) -> CodeSpace:
    """The code space that the codes of a folder live in."""
    return code_space_from(_read(Path(folder) / SPACE))


def read_info(folder: Path) -> dict[str, Any]:
    """Grid, depth, codebook size, number of classes, hash of the code space, commit."""
    return read_json(Path(folder) / INFO)


def _read(path: Path) -> dict[str, Tensor]:
    import safetensors
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING", hint="Run: resgen-tts encode-images")
    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        raise DataError(f"{path} cannot be read: {error}.", hint="Run encode-images again.") from error


@dataclass(frozen=True)
class PictureCodeBatch:
    """Encoded pictures for the generator; ``seconds`` is their number, which is what the engine counts."""

    ids: tuple[str, ...]
    codes: Int[Tensor, "B T D"]
    labels: Int[Tensor, " B"]
    seconds: float

    def to(self, device: torch.device) -> "PictureCodeBatch":
        """The same batch on another device."""
        return replace(self, codes=self.codes.to(device), labels=self.labels.to(device))


class PictureCodeBatches:
    """Shuffled batches of encoded pictures; which ones depends on seed and epoch alone."""

    def __init__(self, pictures: PictureCodes, *, batch_size: int, seed: int):
        self.pictures, self.batch_size, self.seed = pictures, batch_size, seed

    def epoch(self, epoch: int) -> Iterator[PictureCodeBatch]:
        """All batches of an epoch."""
        for chosen in shuffled(len(self.pictures), self.batch_size, self.seed, epoch):
            ids = tuple(map(str, chosen.tolist()))
            yield PictureCodeBatch(ids, self.pictures.codes[chosen], self.pictures.labels[chosen], float(len(ids)))

    def fixed(self, num_batches: int) -> list[PictureCodeBatch]:
        """The same few batches at every call, for validation."""
        return list(itertools.islice(self.epoch(-1), num_batches))
