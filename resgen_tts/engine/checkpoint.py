"""Checkpoints: folders that are whole or not there, in safetensors and JSON, checked when they are read.

A folder is filled under a temporary name, its ``manifest.json`` (names, sizes, hashes, step, configuration hash) is
written last, everything is synced, and the folder is renamed into place.
"""

import errno
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resgen_tts.common.errors import CheckpointError, DataError
from resgen_tts.common.run_dir import read_json, sha256_file, staged_folder, write_json

MANIFEST, STATE, CONFIG, MODEL = "manifest.json", "state.json", "config.json", "model.safetensors"
_STEP_FOLDER = re.compile(r"step-(\d{8,})$")
_OVERHEAD_BYTES = 1 << 20  # headers and JSON of one checkpoint, generously


@dataclass(frozen=True)
class Checkpoint:
    """One training checkpoint, as read back.

    Args:
        folder: where it lies.
        state: step, place in the data, counters.
        config: the resolved configuration of the run.
        tensors: ``{"model": {name: tensor}, "optimizer": ..., ...}``, on the CPU.
    """

    folder: Path
    state: dict[str, Any]
    config: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


def save_model(folder: Path, state_dict: Mapping[str, Tensor], config: dict[str, Any], *, step: int = 0) -> None:
    """Write the exported form of a model: weights, resolved configuration, manifest. An older one is replaced.

    Raises:
        CheckpointError: CHECKPOINT_DISK_FULL, with path, needed and free bytes.
    """
    write_folder(Path(folder), {"model": state_dict}, {CONFIG: config}, {"step": step})


def load_model(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``save_model`` wrote, verified: (state_dict on the CPU, configuration).

    Raises:
        CheckpointError: a file is missing, of another size, or of another content.
    """
    folder = Path(folder)
    verify(folder)
    return load_tensors(folder / MODEL), read_json(folder / CONFIG)


def save_checkpoint(
    root: Path,
    *,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: dict[str, Any],
    config: dict[str, Any],
    config_hash: str = "",
    keep: int = 2,
) -> Path:
    """Write ``root/step-XXXXXXXX`` and then remove all but the newest ``keep``.

    Raises:
        CheckpointError: CHECKPOINT_DISK_FULL; what was saved before is untouched.
    """
    folder = Path(root) / f"step-{step:08d}"
    write_folder(folder, tensors, {STATE: state, CONFIG: config}, {"step": step, "config_hash": config_hash})
    for old in checkpoint_folders(root)[keep:]:
        trash = old.with_name(f".{old.name}.old")  # a half-removed folder must not look like a checkpoint
        old.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
    return folder


def load_checkpoint(folder: Path, *, verified: bool = False) -> Checkpoint:
    """Read one checkpoint, verifying it first unless ``newest_good`` just did.

    Raises:
        CheckpointError: a file is missing, of another size, or of another content.
    """
    folder = Path(folder)
    if not verified:
        verify(folder)
    return Checkpoint(
        folder=folder,
        state=read_json(folder / STATE),
        config=read_json(folder / CONFIG),
        tensors={file.stem: load_tensors(file) for file in sorted(folder.glob("*.safetensors"))},
    )


def newest_good(root: Path, say: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that verifies; a bad one before it is skipped, and ``say`` is told why.

    Raises:
        CheckpointError: there are checkpoints, but not one is good.
    """
    folders = checkpoint_folders(root)
    for folder in folders:
        try:
            verify(folder)
            return folder
        except CheckpointError as error:
            say(f"warning: checkpoint {folder.name} is skipped: {error}")
    if folders:
        raise CheckpointError(
            f"{root} holds {len(folders)} checkpoints and none of them is whole.",
            hint="Remove the folder to start again from nothing.",
        )
    return None


def checkpoint_folders(root: Path) -> list[Path]:
    """All checkpoints of a run, newest first, unverified."""
    root = Path(root)
    found = [path for path in root.iterdir() if _STEP_FOLDER.fullmatch(path.name)] if root.is_dir() else []
    return sorted(found, key=lambda path: int(path.name.split("-")[1]), reverse=True)


def remove_leftovers(root: Path) -> None:
    """Remove what a killed save or removal left behind (temporary names). Only for the run that owns the folder."""
    for path in Path(root).glob(".step-*"):
        shutil.rmtree(path, ignore_errors=True)


def verify(folder: Path) -> dict[str, Any]:
    """Check a checkpoint or exported model against its manifest; returns the manifest.

    Raises:
        CheckpointError: CHECKPOINT_MISSING or CHECKPOINT_INVALID, naming the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder.", code="CHECKPOINT_MISSING", hint="Train or download it.")
    try:
        manifest = read_json(folder / MANIFEST)
        entries = [(entry["name"], entry["bytes"], entry["sha256"]) for entry in manifest["files"]]
    except (DataError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: no readable {MANIFEST}: {error}") from error
    for name, size, digest in entries:
        file = folder / name
        if file.parent != folder or not file.is_file():
            raise CheckpointError(f"{file} is missing.")
        if file.stat().st_size != size:
            raise CheckpointError(f"{file} has {file.stat().st_size} bytes, its manifest says {size}.")
        if sha256_file(file) != digest:
            raise CheckpointError(f"{file} has another content than its manifest says.")
    return manifest


def tensor_bytes(tensors: Mapping[str, Mapping[str, Tensor]]) -> int:
    """Bytes that these tensors take on disk."""
    return sum(value.numel() * value.element_size() for group in tensors.values() for value in group.values())


def require_space(path: Path, needed: int) -> None:
    """Refuse early when a disk cannot take ``needed`` bytes.

    Raises:
        CheckpointError: CHECKPOINT_DISK_FULL, with path, needed and free bytes.
    """
    free = shutil.disk_usage(path).free
    if free < needed:
        raise _disk_full(path, needed, free)


def _disk_full(path: Path, needed: int, free: int) -> CheckpointError:
    return CheckpointError(
        f"no room for a checkpoint in {path}: {needed} bytes are needed, {free} are free. Earlier ones are whole.",
        code="CHECKPOINT_DISK_FULL",
        hint="Free some space and run the same command; it continues.",
    )


def write_folder(
    folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], texts: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Write ``{name}.safetensors`` for each group, the JSON files, and last the manifest with ``facts``; then rename.

    Raises:
        CheckpointError: CHECKPOINT_DISK_FULL, with path, needed and free bytes.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed = tensor_bytes(tensors) + _OVERHEAD_BYTES
    require_space(folder.parent, needed)
    try:
        with staged_folder(folder) as staged:
            for name, group in tensors.items():
                _save_file(group, staged / f"{name}.safetensors")
            for name, content in texts.items():
                write_json(staged / name, content)
            files = [
                {"name": file.name, "bytes": file.stat().st_size, "sha256": sha256_file(file)}
                for file in sorted(staged.iterdir())
            ]
            write_json(staged / MANIFEST, {**facts, "files": files})
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(folder.parent, needed, shutil.disk_usage(folder.parent).free) from error
        raise


def _save_file(tensors: Mapping[str, Tensor], path: Path) -> None:
    import safetensors
    from safetensors.torch import save_file

    ready, seen = {}, set()
    for name, value in tensors.items():
        value = value.detach().to("cpu").contiguous()
        storage = value.untyped_storage()
        # safetensors refuses tensors that share memory (tied weights): each name gets its own copy.
        if storage.data_ptr() in seen or storage.nbytes() != value.numel() * value.element_size():
            value = value.clone()
        seen.add(storage.data_ptr())
        ready[name] = value
    try:
        save_file(ready, path)
    except safetensors.SafetensorError as error:  # how a failing disk looks through this library
        code = errno.ENOSPC if "No space left" in str(error) or "StorageFull" in str(error) else errno.EIO
        raise OSError(code, str(error), str(path)) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read one safetensors file to the CPU.

    Raises:
        CheckpointError: it cannot be read.
    """
    import safetensors
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error


def load_into(module: torch.nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Load weights strictly.

    Raises:
        CheckpointError: names or shapes differ; the message says which.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{where} does not fit {type(module).__name__}: {error}") from error
