"""Random numbers for the frames of a batch: from one generator, or from one an item.

With one generator an item, its numbers depend neither on how far it is padded, nor on its neighbours, so that a request
gives the same result alone and in company. All draws are made on the CPU: a seed means the same on every device.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Rng = torch.Generator | Sequence[torch.Generator]
"""One generator for a batch, or one for each of its items."""


def draw_uniform(is_target: Bool[Tensor, "B T"], size: tuple[int, ...], rng: Rng) -> Float[Tensor, "B T ..."]:
    """Uniform numbers in [0, 1), ``size`` of them a frame, [B, T, *size] in double precision.

    Args:
        is_target: with one generator an item, only these frames are given numbers; others hold 0.
    """
    return _draw(torch.rand, is_target, size, rng, torch.double)


def draw_normal(is_target: Bool[Tensor, "B T"], size: tuple[int, ...], rng: Rng) -> Float[Tensor, "B T ..."]:
    """Standard normal numbers, ``size`` of them a frame, [B, T, *size] in single precision."""
    return _draw(torch.randn, is_target, size, rng, torch.float)


def draw_uniform_items(batch: int, rng: Rng) -> Float[Tensor, " B"]:
    """One uniform number in [0, 1) an item, in double precision."""
    if isinstance(rng, torch.Generator):
        return torch.rand(batch, generator=rng, dtype=torch.double)
    assert len(rng) == batch, f"{len(rng)} generators for {batch} items"
    return torch.cat([torch.rand(1, generator=one, dtype=torch.double) for one in rng])


def _draw(law, is_target: Tensor, size: tuple[int, ...], rng: Rng, dtype: torch.dtype) -> Tensor:
    batch, frames = is_target.shape
    if isinstance(rng, torch.Generator):
        return law(batch, frames, *size, generator=rng, dtype=dtype).to(is_target.device)
    assert len(rng) == batch, f"{len(rng)} generators for {batch} items"
    drawn = torch.zeros(batch, frames, *size, dtype=dtype)
    for item, (one, target) in enumerate(zip(rng, is_target.cpu(), strict=True)):
        drawn[item, target] = law(int(target.sum()), *size, generator=one, dtype=dtype)
    return drawn.to(is_target.device)
