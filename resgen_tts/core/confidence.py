"""How well drawn vectors are explained by codes: the order in which codes are revealed."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace


def gumbel(uniform: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Standard Gumbel noise from uniform numbers."""
    return -torch.log(-torch.log(uniform.clamp(1e-12, 1 - 1e-12)))


def search_by_confidence(
    code_space: CodeSpace,
    latents: Float[Tensor, "B T C"],
    codes: Int[Tensor, "B T D"],
    hidden_mask: Bool[Tensor, "B T D"],
    offset: Float[Tensor, "B T D"],
    num_kept: Int[Tensor, " B"] | None = None,
) -> tuple[Int[Tensor, "B T D"], Float[Tensor, "B T D"]]:
    """Quantize hidden levels coarse to fine and score them, no deeper than the best ``num_kept`` scores reach.

    ``c_ij = sum_{hidden d <= j} l_id + offset_ij`` with
    ``l_ij = -|z_i - sum_{hidden d <= j} e(x_id; d)|^2 / (2 C sigma_j^2)``: the cumulative log-fit without its
    normalizer (A10b), divided by C so that one choice temperature serves every latent size (the paper's 28 at C = 64
    is 0.4375 here). As l is never positive, no level below j can score more than the running sum plus the largest
    offset to come: a frame whose bound is under the ``num_kept`` best known scores is finished, exactly.

    Args:
        latents: drawn sums over the hidden levels.
        codes: what stays at all other levels.
        offset: choice noise, or any other bias of the order; not looked at where nothing is hidden.
        num_kept: how many scores of each item must be found; all where left out.
    Returns:
        Codes, and scores: -inf at slots that are visible, or were left out as none of the best.
    """
    batch, frames, depth = codes.shape
    codes = codes.reshape(-1, depth).clone()
    hidden = hidden_mask.reshape(-1, depth)
    residual = latents.reshape(batch * frames, -1).to(code_space.codebooks.dtype).clone()
    running = residual.new_zeros(batch * frames)
    offset = offset.to(residual.dtype).reshape(-1, depth)
    scores = torch.full_like(offset, -torch.inf)
    # The largest offset at this level or below, among hidden slots; -inf where none is left.
    ahead = offset.masked_fill(~hidden, -torch.inf).flip(1).cummax(1).values.flip(1)
    widest, fewest = (0, 0) if num_kept is None else (int(num_kept.max()), int(num_kept.min()))
    known = 0
    is_open = hidden.any(1)
    for level, book in enumerate(code_space.codebooks):
        rows = (hidden[:, level] & is_open).nonzero().squeeze(1)
        if len(rows):
            part = residual[rows]
            chosen = code_space.search(level, part)
            part = part - book[chosen]
            variance = code_space.level_variance[level].clamp_min(1e-12)
            fit = running[rows] - part.square().sum(-1) / (2 * code_space.dim * variance)
            codes[rows, level], residual[rows], running[rows] = chosen, part, fit
            scores[rows, level] = fit + offset[rows, level]
        known += len(rows)
        if level + 1 == depth or num_kept is None or known < fewest:
            continue
        best = scores.view(batch, -1).topk(min(widest, frames * depth), dim=1).values
        weakest = best.gather(1, (num_kept - 1).clamp_min(0)[:, None])  # -inf while fewer are known
        bound = running + ahead[:, level + 1]
        is_open = is_open & ~(bound < weakest.expand(-1, frames).reshape(-1)) & (ahead[:, level + 1] > -torch.inf)
        if not bool(is_open.any()):
            break
    return codes.view(batch, frames, depth), scores.view(batch, frames, depth)
