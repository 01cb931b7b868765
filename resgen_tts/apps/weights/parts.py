"""One trained part in a folder: its weights, its configuration, and a module filled with them."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from resgen_tts.apps.weights.half_precision import restored
from resgen_tts.common.errors import CheckpointError
from resgen_tts.engine.checkpoint import load_into, load_model

Module = TypeVar("Module", bound=nn.Module)


def final_folder(folder: Path) -> Path:
    """The exported model of a part: the folder itself, or ``final`` of a training run."""
    folder = Path(folder)
    return folder / "final" if (folder / "final").is_dir() else folder


def read_part(folder: Path, part: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights, float32 also where they were saved at half precision, and resolved configuration of an exported part.

    Raises:
        CheckpointError: the folder is broken or holds another part.
    """
    tensors, config = load_model(final_folder(folder))
    if config.get("part") != part:
        raise CheckpointError(f"{folder} holds a {config.get('part', 'nameless part')}, not a {part}.")
    return restored(tensors), config


def scheme_in(config: dict[str, Any], folder: Path) -> str:
    """The scheme that a generator's configuration names.

    Raises:
        CheckpointError: the generator is of a version that knew no schemes.
    """
    if "scheme" not in config:
        raise earlier_version("generator", folder)
    return config["scheme"]


def earlier_version(what: str, folder: Path) -> CheckpointError:
    """The error for a part whose weights have another form now."""
    return CheckpointError(
        f"{folder} holds a part of an earlier version, a {what} that this one cannot read.",
        code="CHECKPOINT_VERSION",
        hint="Train it again, or use the version that trained it.",
    )


def filled(module: Module, tensors: dict[str, torch.Tensor], folder: Path, not_needed: Collection[str] = ()) -> Module:
    """The module with these weights, frozen and in eval mode.

    Args:
        not_needed: names that may be missing, as an export for speaking alone leaves them out.
    """
    own = module.state_dict()
    spare = {name: own[name] for name in not_needed if name in own and name not in tensors}
    load_into(module, tensors | spare, str(folder))
    return module.eval().requires_grad_(False)


def check_codebooks(started: torch.Tensor, what: str, folder: Path) -> None:
    """Refuse a tokenizer that was stopped before its quantizer began.

    Raises:
        CheckpointError: its codebooks were never laid.
    """
    if not started:
        raise CheckpointError(
            f"{folder}: the codebooks of this {what} were never laid.",
            hint="Train it for longer, or lower model.quantizer.warmup_vectors.",
        )
