"""Drawing from categorical laws, by uniform numbers that the caller brings."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BELOW_ONE = 1 - 2**-53  # the largest double below 1


def draw_index(
    log_weights: Float[Tensor, "*shape K"], top_p: float, uniform: Float[Tensor, "*shape"]
) -> Int[Tensor, "*shape"]:
    """Draw from the smallest set of the likeliest indices whose mass reaches ``top_p``.

    An index is in that set where all that are likelier weigh less than ``top_p``: the likeliest always is, and equally
    likely ones are in or out together. Nothing is sorted, which takes several times as long on a CPU: an index is drawn
    from all, and kept if it is in the set. If not, it and all that are no likelier are struck out, and where in its
    interval the uniform number fell, which is uniform again, draws from the rest.

    Args:
        log_weights: logarithms of weights, up to a constant.
        top_p: mass that may be drawn, in (0, 1].
        uniform: in [0, 1), in double precision.
    Source: nucleus sampling (arXiv:1904.09751); method 7.1, steps 2a and 2b.
    """
    weights = torch.softmax(log_weights.float(), dim=-1).reshape(-1, log_weights.shape[-1])
    place = uniform.double().reshape(-1, 1)
    drawn = torch.empty(len(weights), dtype=torch.long, device=weights.device)
    rows = torch.arange(len(weights), device=weights.device)
    while len(rows):
        mass = weights.cumsum(-1, dtype=torch.double)
        place = place.clamp(max=_BELOW_ONE) * mass[:, -1:]
        index = torch.searchsorted(mass, place, right=True).clamp(max=weights.shape[1] - 1)  # behind the end for NaN
        weight = weights.gather(1, index)
        drawn[rows] = index[:, 0]
        if top_p == 1:
            break
        is_out = (weights * (weights > weight)).sum(-1) >= top_p
        rows, weights, mass, place, index, weight = (x[is_out] for x in (rows, weights, mass, place, index, weight))
        start = mass.gather(1, index) - weight
        place = ((place - start) / weight).clamp(min=0)
        weights = weights.masked_fill(weights <= weight, 0.0)
    return drawn.view(log_weights.shape[:-1])


def draw_code(
    logits: Float[Tensor, "*shape V"], top_p: float, temperature: float, uniform: Float[Tensor, "*shape"]
) -> tuple[Int[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Draw codes: first the temperature, then the nucleus, as language models do.

    Args:
        temperature: divides the logits; 0 = the likeliest code.
        uniform: in [0, 1), in double precision; not looked at where the temperature is 0.
    Returns:
        Codes, and the log-probability of each under the plain softmax, neither tempered nor cut: the confidence of
        MaskGIT (arXiv:2202.04200).
    """
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    codes = log_probs.argmax(-1) if temperature == 0 else draw_index(log_probs / temperature, top_p, uniform)
    return codes, log_probs.gather(-1, codes[..., None]).squeeze(-1)
