"""A step with a non-finite loss or gradient changes nothing, and ten in a row leave something to look at."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import CheckpointError, ResGenError
from resgen_tts.common.run_dir import read_json
from resgen_tts.engine import checkpoint
from resgen_tts.engine.task import Batch

LIMIT_IN_A_ROW = 10


class NonFiniteError(ResGenError):
    """Ten steps in a row gave a non-finite loss or gradient; the last one was written down."""

    default_code = "TRAIN_NONFINITE"
    exit_code = 1

    def __init__(self, message: str, *, code: str = "", hint: str = "", dump: Path | None = None):
        super().__init__(message, code=code, hint=hint)
        self.dump = dump


class BufferGuard:
    """Remembers a module's buffers so that a forward pass can be undone.

    Only buffers that changed since the last look are copied (torch counts the in-place writes of every tensor), so
    masks and filter banks cost nothing per step. Batch norm's running statistics are written past that count and are
    copied each time. A write through ``.data`` is not seen.
    """

    def __init__(self, *modules: nn.Module):
        self._owners = [
            (part._buffers, name, isinstance(part, nn.modules.batchnorm._NormBase))
            for module in modules
            for part in module.modules()
            for name, value in part._buffers.items()
            if value is not None
        ]
        self._kept: list[tuple[Tensor, int, Tensor] | None] = [None] * len(self._owners)

    @torch.no_grad()
    def remember(self) -> None:
        """Take the present values as the good ones."""
        for index, (buffers, name, uncounted) in enumerate(self._owners):
            value, kept = buffers[name], self._kept[index]
            if kept is None or kept[0] is not value or kept[1] != value._version or uncounted:
                self._kept[index] = (value, value._version, value.clone())

    @torch.no_grad()
    def restore(self) -> None:
        """Put the remembered values back."""
        for index, (buffers, name, uncounted) in enumerate(self._owners):
            value, version, copy = self._kept[index]
            if buffers[name] is not value or value._version != version or uncounted:
                value.copy_(copy)
                buffers[name] = value
                self._kept[index] = (value, value._version, copy)


def write_dump(folder: Path, *, batches: list[Batch], models: dict[str, nn.Module], facts: dict[str, Any]) -> None:
    """Write what is needed to run a step again: batches, weights with buffers, and the facts (seed, step, losses)."""
    groups: dict[str, dict[str, Tensor]] = {name: dict(model.state_dict()) for name, model in models.items()}
    plain = []
    for index, batch in enumerate(batches):
        tensors, rest = {}, {}
        for name, value in _contents(batch):
            if isinstance(value, Tensor):
                tensors[name] = value
            else:
                rest[name] = value if isinstance(value, (str, int, float, bool, list, tuple)) else repr(value)
        groups[f"batch-{index}"] = tensors
        plain.append({"class": type(batch).__name__, **rest})
    checkpoint.write_folder(Path(folder), groups, {"dump.json": {**facts, "batches": plain}}, {})


def load_dump(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Read a dump: ({"model": ..., "batch-0": ..., ...}, facts). To replay it, load the model, build the batch from
    its tensors and call the task's ``step`` with ``generator(facts["seed"], "step", facts["step"])``.

    Raises:
        CheckpointError: the folder is not whole.
    """
    folder = Path(folder)
    checkpoint.verify(folder)
    if not (folder / "dump.json").is_file():
        raise CheckpointError(f"{folder} is not a dump of a step.")
    tensors = {file.stem: checkpoint.load_tensors(file) for file in sorted(folder.glob("*.safetensors"))}
    return tensors, read_json(folder / "dump.json")


def _contents(batch: Batch) -> list[tuple[str, Any]]:
    """A batch's fields, with tensors inside tuples and dicts given dotted names."""
    items = (
        [(f.name, getattr(batch, f.name)) for f in fields(batch)] if is_dataclass(batch) else list(vars(batch).items())
    )
    flat = []
    while items:
        name, value = items.pop(0)
        if isinstance(value, dict):
            items[:0] = [(f"{name}.{key}", part) for key, part in value.items()]
        elif isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
            items[:0] = [(f"{name}.{key}", part) for key, part in enumerate(value)]
        else:
            flat.append((name, value))
    return flat
