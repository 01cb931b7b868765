"""K-means: where codebooks and mixture components start."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.nearest import nearest_code


@torch.no_grad()
def k_means(
    vectors: Float[Tensor, "N C"], size: int, rounds: int, rng: torch.Generator
) -> tuple[Float[Tensor, "V C"], Int[Tensor, " N"]]:
    """Centres, and the nearest centre of each vector.

    Starts from random vectors; a centre that is nobody's nearest stays where it is.

    Args:
        size: V, centres; at most the number of vectors.
        rounds: of Lloyd's two steps; 0 keeps the random vectors.
    """
    centres = vectors[torch.randperm(len(vectors), generator=rng)[:size].to(vectors.device)].clone()
    for _ in range(rounds):
        nearest = nearest_code(vectors, centres)
        counts = torch.bincount(nearest, minlength=size)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return centres, nearest_code(vectors, centres)
