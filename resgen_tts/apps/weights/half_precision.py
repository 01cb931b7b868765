"""Trained parts at half the size: float16 weights, and nothing that only training needs."""

from pathlib import Path

import torch
from torch import Tensor

from resgen_tts.common.errors import CheckpointError
from resgen_tts.engine.checkpoint import load_model, save_model, verify
from resgen_tts.tokenizers.quantizer import TRAINING_STATE

LEFT_OUT = {"mel_vae": tuple(f"quantizer.{name}" for name in TRAINING_STATE)}  # part: what speaking does without


def save_halved(source: Path, folder: Path, part: str) -> None:
    """Write a finished part again at half precision; what reads it brings the weights back to float32.

    Raises:
        CheckpointError: the part is broken; EXPORT_OVERFLOW, a weight is too large for float16, or no number.
    """
    tensors, config = load_model(source)
    left_out = sorted(set(tensors) & set(LEFT_OUT.get(part, ())))
    kept = {name: halved(value, f"{part}: {name}") for name, value in tensors.items() if name not in left_out}
    step = verify(source)["step"]
    save_model(folder, kept, {**config, "precision": "half", "left_out": left_out}, step=step)


def halved(value: Tensor, name: str) -> Tensor:
    """A float32 weight of two axes or more as float16.

    Biases, norms and variances stay as they are: hardly one value in a hundred, and some of them are smaller than
    float16 resolves.

    Raises:
        CheckpointError: EXPORT_OVERFLOW.
    """
    if value.dtype != torch.float32 or value.ndim < 2:
        return value
    largest = float(value.abs().max()) if value.numel() else 0.0
    # Beyond the largest float16 rounding gives infinity; not a number is not smaller than anything.
    if not largest <= torch.finfo(torch.float16).max:
        raise CheckpointError(
            f"{name} has a value of {largest:g}, which float16 cannot hold.",
            code="EXPORT_OVERFLOW",
            hint="Export at full precision.",
        )
    return value.half()


def restored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as modules compute with them: float16 brought back to float32."""
    return {name: value.float() if value.dtype == torch.float16 else value for name, value in tensors.items()}
