"""Weights that others published: safetensors, or a pickle where the user allows it, read as plain tensors."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from resgen_tts.common.errors import CheckpointError

_LONGEST_REASON = 120  # letters


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
            hint="If you trust it, allow it: --allow_pickle true. It is then read as plain tensors only.",
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other ways to write a pickle: it is read, or an error tells why not
            plain = torch.load(path, map_location="cpu", weights_only=True)
    except broken as error:
        raise CheckpointError(f"{path} cannot be read as plain tensors: {_reason(error)}.") from error
    tensors = plain.get(inside, plain) if isinstance(plain, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path} holds something else than named tensors.")
    return dict(tensors)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """One digest over names, shapes and values: that of a file does not depend on its format, nor on how precise its
    numbers are written as long as they are the same in float32."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {list(value.shape)}\n".encode())
        plain = value.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy()
        digest.update(plain.astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """The line of a reader's message that tells what is wrong: torch's is inside a page of advice."""
    if isinstance(error, LookupError | EOFError):  # what the reader tripped over says nothing
        return "it is cut short, or something else than weights"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("Unsupported", "Trying to load", "Can only"))]
    told = (telling or lines or [type(error).__name__])[0]
    return told.partition(". ")[0].rstrip(".")[:_LONGEST_REASON]
