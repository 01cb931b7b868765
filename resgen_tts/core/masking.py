"""Which codes are hidden: suffixes of depth, counts drawn by the multivariate hypergeometric law."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from resgen_tts.core.schedule import Schedule, num_hidden_slots


def spread_over_frames(
    total: Int[Tensor, " B"], capacity: Int[Tensor, "B T"], depth: int, rng: torch.Generator
) -> Int[Tensor, "B T"]:
    """Share ``total`` slots out over frames that can take ``capacity`` each (0..depth), uniformly.

    The counts follow the multivariate hypergeometric law
    ``P(k) = prod_i C(capacity_i, k_i) / C(sum_i capacity_i, n)`` (method 3.1): every slot gets a uniform
    number, the ``n`` smallest are taken, and only the count per frame is kept.

    Raises:
        ValueError: an item asks for more slots than its frames can take.
    """
    batch, frames = capacity.shape
    if bool((total > capacity.sum(1)).any()):
        raise ValueError(f"cannot take {total.tolist()} slots from frames that hold {capacity.sum(1).tolist()}")
    exists = torch.arange(depth, device=capacity.device) < capacity[..., None]  # [B, T, D]
    # Double precision: with single, ties among a few thousand draws would break the exact total now and then.
    draws = torch.rand(batch, frames, depth, generator=rng, dtype=torch.double).to(capacity.device)
    draws = draws.masked_fill(~exists, 2.0).reshape(batch, -1)
    rank = draws.argsort(dim=1).argsort(dim=1)  # rank of each slot among the item's draws
    taken = rank < total[:, None]
    return taken.reshape(batch, frames, depth).sum(-1)


def draw_num_hidden(
    schedule: Schedule,
    is_target: Bool[Tensor, "B T"],
    depth: int,
    rng: torch.Generator,
) -> Int[Tensor, "B T"]:
    """Draw a training mask: how many of the finest codes of each frame are hidden.

    ``r ~ U[0, 1)`` per item, ``n = ceil(gamma(r) L D)`` over the item's target frames only (neither padding nor
    a visible prompt enters L), counts by :func:`spread_over_frames`.

    Args:
        is_target: frames that are to be predicted; at least one per item.
        depth: levels D.
    Source: ResGen (arXiv:2412.10208), training mask; method 3.1 and A13.
    """
    capacity = is_target.long() * depth
    slots = capacity.sum(1)
    ratio = torch.rand(len(slots), generator=rng, dtype=torch.double).to(slots.device)
    return spread_over_frames(num_hidden_slots(schedule, ratio, slots), capacity, depth, rng)


def hidden_mask(num_hidden: Int[Tensor, "B T"], depth: int) -> Bool[Tensor, "B T D"]:
    """True at each frame's ``num_hidden`` finest levels."""
    return torch.arange(depth, device=num_hidden.device) >= depth - num_hidden[..., None]
