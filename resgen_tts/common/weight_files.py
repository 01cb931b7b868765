"""Weights that others published: safetensors, or a pickle where the user allows it, read as plain tensors."""

import pickle
from pathlib import Path

import torch
from torch import Tensor

from resgen_tts.common.errors import CheckpointError


def read_weights(path: Path, *, allow_pickle: bool = False, inside: str = "") -> dict[str, Tensor]:
    """Names and tensors of a ``.safetensors`` file, else of a file that ``torch.save`` wrote.

    Args:
        path: the file.
        allow_pickle: whether a pickle may be read; even then nothing in it is run (``weights_only``).
        inside: entry of a pickle that holds the weights; the whole where left out or where it has no such entry.
    Raises:
        CheckpointError: missing, a pickle that was not allowed (PICKLE_REFUSED), or something else than tensors.
    """
    import safetensors
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist.", code="CHECKPOINT_MISSING")
    if path.suffix != ".safetensors" and not allow_pickle:
        raise CheckpointError(
            f"{path} is a pickle, which is not read without being asked to.",
            code="PICKLE_REFUSED",
            hint="If you trust it, allow it (allow_pickle); it is then read as plain tensors only.",
        )
    # What the readers raise for files that are cut short, or are something else.
    broken = (
        safetensors.SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        LookupError,
        ValueError,
    )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        plain = torch.load(path, map_location="cpu", weights_only=True)
    except broken as error:
        raise CheckpointError(f"{path} cannot be read as plain tensors: {error}") from error
    tensors = plain.get(inside, plain) if isinstance(plain, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path} holds something else than named tensors.")
    return dict(tensors)
