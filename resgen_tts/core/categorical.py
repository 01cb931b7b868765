"""Drawing from categorical laws, by uniform numbers that the caller brings."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BELOW_ONE = 1 - 2**-53  # the largest double below 1
_SECOND_HALF = 2.0**26  # what follows this many binary digits of a uniform number is a uniform number by itself


def draw_index(
    log_weights: Float[Tensor, "*shape K"], top_p: float, uniform: Float[Tensor, "*shape"]
) -> Int[Tensor, "*shape"]:
    """Draw from the smallest set of the likeliest indices whose mass reaches ``top_p``.

    An index is in that set where all that are likelier weigh less than ``top_p``: the likeliest always is, and equally
    likely ones are in or out together. An index is drawn from all, and kept if it is in the set; only where it is not
    are the weights sorted, which takes longest, and an index drawn from the set. That draw takes the later digits of
    the same number, not its place in the interval that it fell in: dividing by the interval's length would blow the
    weights' rounding up, and a request alone and in a batch would now and then draw another index.

    Args:
        log_weights: logarithms of weights, up to a constant.
        top_p: mass that may be drawn, in (0, 1].
        uniform: in [0, 1), in double precision.
    Source: nucleus sampling (arXiv:1904.09751); method 7.1, steps 2a and 2b.
    """
    weights = torch.softmax(log_weights.float(), dim=-1).reshape(-1, log_weights.shape[-1])
    place = uniform.double().reshape(-1, 1)
    drawn = _index_at(weights, place)
    if top_p < 1:
        weight = weights.gather(1, drawn[:, None])
        is_out = (weights * (weights > weight)).sum(-1) >= top_p
        if bool(is_out.any()):
            weights, place = weights[is_out], (place[is_out] * _SECOND_HALF).frac()
            ranked = weights.sort(-1, descending=True).values
            is_in = ranked.cumsum(-1, dtype=torch.double) - ranked < top_p
            least = ranked.gather(1, is_in.sum(-1, keepdim=True) - 1)
            drawn[is_out] = _index_at(weights.where(weights >= least, 0.0), place)
    return drawn.view(log_weights.shape[:-1])


def _index_at(weights: Float[Tensor, "N K"], place: Float[Tensor, "N 1"]) -> Int[Tensor, " N"]:
    """The index whose interval holds ``place``, where intervals as long as the weights fill [0, 1)."""
    mass = weights.cumsum(-1, dtype=torch.double)
    index = torch.searchsorted(mass, place.clamp(max=_BELOW_ONE) * mass[:, -1:], right=True)
    return index.clamp(max=weights.shape[1] - 1)[:, 0]  # behind the end for NaN


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
