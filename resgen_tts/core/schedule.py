"""Masking schedules gamma(r), decreasing from 1 to 0, and the integer plans of sampling."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError

Schedule = Callable[[Tensor, Tensor], Tensor]
"""(r in [0, 1], number of slots L * D) -> share of slots that is hidden."""


def _exponential(ratio: Tensor, slots: Tensor) -> Tensor:
    # Reading (a) of method A4: 1 - U^-(1-r); it alone needs the number of slots U.
    return 1 - slots.to(ratio.dtype) ** -(1 - ratio)


SCHEDULES: dict[str, Schedule] = {
    "circle": lambda ratio, slots: (1 - ratio.square()).clamp_min(0).sqrt(),
    "cosine": lambda ratio, slots: torch.cos(math.pi / 2 * ratio),
    "exponential": _exponential,
    "linear": lambda ratio, slots: 1 - ratio,
}


def schedule_by_name(name: str) -> Schedule:
    """Look a schedule up.

    Raises:
        ConfigError: no schedule of that name.
    """
    if name not in SCHEDULES:
        raise ConfigError(f"unknown schedule {name!r}; there are {', '.join(SCHEDULES)}")
    return SCHEDULES[name]


def num_hidden_slots(
    schedule: Schedule, ratio: Float[Tensor, "*shape"], slots: Int[Tensor, "*shape"]
) -> Int[Tensor, "*shape"]:
    """Hidden slots ``n = ceil(gamma(r) * L * D)``, exactly 0 at ``r = 1`` (method 3.1).

    Computed in double precision: a rounding error above a whole number would hide one slot too many.
    """
    share = schedule(ratio.double(), slots)
    hidden = torch.ceil(share * slots - 1e-9).long()
    return torch.where(ratio >= 1, torch.zeros_like(hidden), hidden.clamp(min=0)).minimum(slots)


def reveal_plan(schedule: Schedule, slots: Int[Tensor, " B"], steps: int) -> Int[Tensor, "B S"]:
    """Hidden slots left after each of S sampling steps, for every item; the last is 0.

    Steps that would reveal nothing in any item (the ceil of method 3.2) are left out: S <= ``steps``.
    """
    ratio = torch.arange(1, steps + 1, dtype=torch.double) / steps  # r_t = t / T
    plan = num_hidden_slots(schedule, ratio.expand(len(slots), steps), slots.cpu()[:, None].expand(-1, steps))
    before = torch.cat([slots.cpu()[:, None], plan[:, :-1]], dim=1)
    return plan[:, (plan < before).any(0)].to(slots.device)
