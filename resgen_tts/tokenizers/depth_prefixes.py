"""Depth of residual codes in training: random prefixes to decode from, prefixes to score, and how levels are used."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.tokenizers.level_report import count_codes


def draw_prefixes(size: int, depth: int, share: float, rng: torch.Generator) -> Int[Tensor, " size"]:
    """Coarsest levels to decode each item from: all, but for a ``share`` of items uniform in 1..depth.

    Source: quantizer dropout of SoundStream (arXiv:2107.03312), with DAC's share (arXiv:2306.06546).
    """
    dropped = torch.rand(size, generator=rng) < share
    prefix = torch.randint(1, depth + 1, (size,), generator=rng)
    return torch.where(dropped, prefix, torch.full_like(prefix, depth))


def scored_prefixes(depth: int) -> list[int]:
    """Powers of two up to the depth, and the depth itself: the prefixes that validation reports."""
    return sorted({2**power for power in range(depth.bit_length())} | {depth})


def level_use(
    space: CodeSpace, coded: Iterable[tuple[Float[Tensor, "B T C"], Int[Tensor, "B T D"]]]
) -> tuple[Float[Tensor, "D V"], Float[Tensor, " D"]]:
    """Times each code was chosen, and the mean square per dimension left after each level (see ``level_report``).

    Args:
        coded: latents and their codes, batch by batch.
    """
    counts, squares, values = torch.zeros(space.depth, space.codebook_size), torch.zeros(space.depth), 0
    for latents, codes in coded:
        left = latents[:, :, None] - space.embed(codes).cumsum(2)  # [B, T, D, C]
        counts += count_codes(codes.flatten(0, 1), space.codebook_size).cpu()
        squares += left.square().sum((0, 1, 3)).cpu()
        values += latents.numel()
    return counts, squares / values
