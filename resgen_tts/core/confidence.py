"""How well drawn vectors are explained by codes: the order in which codes are revealed."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace


def quantization_confidence(
    code_space: CodeSpace,
    latents: Float[Tensor, "B T C"],
    codes: Int[Tensor, "B T D"],
    num_hidden: Int[Tensor, "B T"],
) -> Float[Tensor, "B T D"]:
    """Cumulative log-fit of each hidden code, divided by the latent dimension; 0 at visible codes.

    ``l_ij = -|z_i - sum_{hidden d <= j} e(x_id; d)|^2 / (2 sigma_j^2)`` without its normalizer (A10b), summed over
    the hidden levels up to j. Dividing by C makes one choice temperature serve every latent size: the paper's
    28 at C = 64 is 0.4375 here (method 7.2).
    """
    depth, dim = code_space.depth, code_space.dim
    scores = latents.new_zeros(*codes.shape)
    residual, running = latents.clone(), latents.new_zeros(codes.shape[:2])
    for level in range(depth):
        hidden = (level >= depth - num_hidden).to(latents.dtype)  # [B, T]
        residual = residual - code_space.codebooks[level][codes[..., level]] * hidden[..., None]
        fit = -residual.square().sum(-1) / (2 * dim * code_space.level_variance[level].clamp_min(1e-12))
        running = running + fit * hidden
        scores[..., level] = running * hidden
    return scores


def add_gumbel(scores: Float[Tensor, "B T D"], temperature: float, rng: torch.Generator) -> Float[Tensor, "B T D"]:
    """Add ``temperature`` times standard Gumbel noise to every score (the choice temperature)."""
    if temperature == 0:
        return scores
    uniform = torch.rand(scores.shape, generator=rng, dtype=torch.double).clamp_(1e-12, 1 - 1e-12)
    return scores + temperature * -torch.log(-torch.log(uniform)).to(scores)
