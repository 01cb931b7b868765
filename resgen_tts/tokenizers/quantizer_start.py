"""Where residual codebooks start: k-means on what the coarser levels leave."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from resgen_tts.core.k_means import k_means


@dataclass(frozen=True)
class CodebookStart:
    """Codebooks laid through latents, and how the latents fall on them."""

    codebooks: Float[Tensor, "D V C"]
    shares: Float[Tensor, "D V"]  # of the latents, that each code is the nearest of
    level_variance: Float[Tensor, " D"]  # mean square per dimension of what is left after each level


@torch.no_grad()
def residual_k_means(
    latents: Float[Tensor, "N C"], depth: int, size: int, rounds: int, rng: torch.Generator
) -> CodebookStart:
    """K-means on the residual of each level in turn, from random vectors of that residual.

    A code that is nobody's nearest stays where it is.

    Args:
        size: codes per level, at most the number of latents.
        rounds: of Lloyd's two steps; 0 keeps the random vectors.
    """
    residual, found = latents, []
    for _ in range(depth):
        book, codes = k_means(residual, size, rounds, rng)
        residual = residual - book[codes]
        found.append((book, torch.bincount(codes, minlength=size) / len(residual), residual.square().mean()))
    return CodebookStart(*(torch.stack(column) for column in zip(*found, strict=True)))
