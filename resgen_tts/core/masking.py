"""Which codes are hidden: the method's suffixes of depth, and the masks that it is compared with."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.draws import Rng, draw_uniform, draw_uniform_items
from resgen_tts.core.schedule import Schedule, num_hidden_slots

MASKINGS = ("suffix", "level", "full_random")
"""suffix: the finest codes of each frame (ResGen). level: one level partly, all finer ones (SoundStorm, MaskGCT).
full_random: any codes (OmniVoice)."""


def check_masking(masking: str) -> None:
    """Refuse an unknown kind of mask.

    Raises:
        ConfigError: no masking of that name.
    """
    if masking not in MASKINGS:
        raise ConfigError(f"unknown masking {masking!r}; there are {', '.join(MASKINGS)}")


def suffix_mask(num_hidden: Int[Tensor, "*shape"], depth: int) -> Bool[Tensor, "*shape D"]:
    """True at each frame's ``num_hidden`` finest levels."""
    return torch.arange(depth, device=num_hidden.device) >= depth - num_hidden[..., None]


def smallest(
    draws: Float[Tensor, "B N"], allowed: Bool[Tensor, "B N"], count: Int[Tensor, " B"]
) -> Bool[Tensor, "B N"]:
    """True at each row's ``count`` smallest allowed draws.

    Raises:
        ValueError: a row asks for more than it allows.
    """
    if bool((count > allowed.sum(1)).any()):
        raise ValueError(f"cannot take {count.tolist()} of {allowed.sum(1).tolist()} slots")
    ordered = draws.masked_fill(~allowed, torch.inf).argsort(dim=1, stable=True)  # ties: the first
    taken = torch.zeros_like(allowed)
    return taken.scatter_(1, ordered, torch.arange(draws.shape[1], device=draws.device) < count[:, None])


def spread_over_frames(
    total: Int[Tensor, " B"], capacity: Int[Tensor, "B T"], depth: int, rng: Rng
) -> Int[Tensor, "B T"]:
    """Share ``total`` slots out over frames that can take ``capacity`` each (0..depth), uniformly.

    The counts follow the multivariate hypergeometric law
    ``P(k) = prod_i C(capacity_i, k_i) / C(sum_i capacity_i, n)`` (method 3.1): every slot gets a uniform
    number, the ``n`` smallest are taken, and only the count per frame is kept.

    Raises:
        ValueError: an item asks for more slots than its frames can take.
    """
    exists = suffix_mask(capacity, depth)
    # Double precision: with single, ties among a few thousand draws would break the exact total now and then.
    draws = draw_uniform(capacity > 0, (depth,), rng)
    return smallest(draws.flatten(1), exists.flatten(1), total).unflatten(1, exists.shape[1:]).sum(-1)


def draw_hidden_mask(
    masking: str, schedule: Schedule, is_target: Bool[Tensor, "B T"], depth: int, rng: Rng
) -> Bool[Tensor, "B T D"]:
    """Draw a training mask: ``r ~ U[0, 1)`` per item, then hide the share gamma(r) of its target frames' codes.

    Neither padding nor a visible prompt enters L. By kind:

    * suffix: ``n = ceil(gamma(r) L D)``, counts per frame by :func:`spread_over_frames`, each frame's finest hidden.
    * level: a level q, uniform; all finer levels hidden, and ``ceil(gamma(r) L)`` frames of level q.
    * full_random: ``n = ceil(gamma(r) L D)`` codes anywhere.

    Args:
        is_target: frames that are to be predicted; at least one per item.
    Source: ResGen (arXiv:2412.10208), training mask, method 3.1 and A13; SoundStorm (arXiv:2305.09636); OmniVoice
    (arXiv:2604.00688).
    """
    check_masking(masking)
    ratio = draw_uniform_items(len(is_target), rng).to(is_target.device)
    frames = is_target.sum(1)
    if masking == "level":
        level = (draw_uniform_items(len(is_target), rng) * depth).long().to(is_target.device)
        order = draw_uniform(is_target, (), rng)
        partly = smallest(order, is_target, num_hidden_slots(schedule, ratio, frames))
        num_hidden = (depth - 1 - level)[:, None] + partly.long()
        return suffix_mask(num_hidden * is_target, depth)
    total = num_hidden_slots(schedule, ratio, frames * depth)
    if masking == "suffix":
        return suffix_mask(spread_over_frames(total, is_target * depth, depth, rng), depth)
    exists = is_target[..., None].expand(-1, -1, depth)
    draws = draw_uniform(is_target, (depth,), rng)
    return smallest(draws.flatten(1), exists.flatten(1), total).unflatten(1, exists.shape[1:])


def current_level(hidden_mask: Bool[Tensor, "B T D"]) -> Int[Tensor, " B"]:
    """The coarsest level of each item that has anything hidden; D where nothing is."""
    depth = hidden_mask.shape[-1]
    level = torch.arange(depth, device=hidden_mask.device)
    return torch.where(hidden_mask.any(1), level, depth).amin(-1)


def at_current_level(hidden_mask: Bool[Tensor, "B T D"]) -> Bool[Tensor, "B T D"]:
    """The hidden slots of each item's coarsest level that has any."""
    level = torch.arange(hidden_mask.shape[-1], device=hidden_mask.device)
    return hidden_mask & (level == current_level(hidden_mask)[:, None, None])
