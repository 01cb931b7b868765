"""Where a run runs: device, processes, and the folder that it has to itself."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from resgen_tts.common.errors import CheckpointError, DeviceError
from resgen_tts.engine.config import TrainConfig


def ranks() -> int:
    """How many processes train together (torchrun says so; otherwise one)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def make_fabric(config: TrainConfig) -> Any:
    """Lightning Fabric on one device, or over torchrun's processes. It is imported here: that takes seconds.

    Raises:
        DeviceError: DEVICE_MISSING.
    """
    accelerator = config.device
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise DeviceError("train.device is cuda, but torch sees no GPU.", hint="Use auto or cpu.")
    from lightning_fabric import Fabric

    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fabric = Fabric(
        accelerator=accelerator,
        devices=here,
        num_nodes=max(1, ranks() // here),
        strategy="ddp" if ranks() > 1 else "auto",
        precision={"fp32": "32-true", "bf16": "bf16-mixed"}[config.precision],
    )
    fabric.launch()
    return fabric


def seed_global(seed: int, device: torch.device) -> None:
    """Seed the generators that dropout draws from; it knows no other. (torch.manual_seed would, without a GPU, queue
    a note for each kind of device at each call, with a stack trace.)"""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextlib.contextmanager
def eval_mode(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards each part is as it was (a frozen part may have been in eval mode all along)."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextlib.contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """Two runs in one folder would overwrite each other: the second is refused.

    Raises:
        CheckpointError: RUN_LOCKED.
    """
    import fcntl

    path = run_dir / f".lock-{os.environ.get('RANK', '0')}"
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(
                f"another process is training in {run_dir}.", code="RUN_LOCKED", hint="Wait for it, or stop it."
            ) from error
        yield
