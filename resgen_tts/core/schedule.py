"""Masking schedules gamma(r), decreasing from 1 to 0, their inverses, and the integer plans of sampling."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """One schedule.

    Args:
        share: (r in [0, 1], number of slots U = L * D) -> share of slots that is hidden.
        inverse: (share in [0, 1], U) -> the smallest r at which no more than this share is hidden.
    """

    share: Callable[[Tensor, Tensor], Tensor]
    inverse: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, ratio: Float[Tensor, "*shape"], slots: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Share of slots that is hidden at ``ratio``."""
        return self.share(ratio, slots)


def _power(exponent: float) -> Schedule:
    return Schedule(
        lambda ratio, slots: 1 - ratio**exponent,
        lambda share, slots: (1 - share).clamp_min(0) ** (1 / exponent),
    )


def _exponential(ratio: Tensor, slots: Tensor) -> Tensor:
    # Reading (a) of method A4: 1 - U^-(1-r).
    return 1 - slots.to(ratio.dtype) ** -(1 - ratio)


def _exponential_inverse(share: Tensor, slots: Tensor) -> Tensor:
    return (1 + torch.log1p(-share) / slots.to(share.dtype).log()).clamp(0, 1)


def _log(ratio: Tensor, slots: Tensor) -> Tensor:
    # Above 1 for r < 1 / U, where everything is hidden; and never -0.
    return (-ratio.clamp_min(1e-300).log() / slots.to(ratio.dtype).log()).clamp(0, 1)


RATE_B = 5.0  # reading (b) of "exponential", eMIGM's

SCHEDULES: dict[str, Schedule] = {
    "circle": Schedule(
        lambda ratio, slots: (1 - ratio.square()).clamp_min(0).sqrt(),
        lambda share, slots: (1 - share.square()).clamp_min(0).sqrt(),
    ),
    "cosine": Schedule(
        lambda ratio, slots: torch.cos(math.pi / 2 * ratio), lambda share, slots: torch.acos(share) * 2 / math.pi
    ),
    "exponential": Schedule(_exponential, _exponential_inverse),
    "exponential_b": Schedule(
        lambda ratio, slots: -torch.expm1(-RATE_B * (1 - ratio)),
        lambda share, slots: (1 + torch.log1p(-share) / RATE_B).clamp(0, 1),
    ),
    "linear": _power(1.0),
    "log": Schedule(_log, lambda share, slots: slots.to(share.dtype) ** -share),
    "arccos": Schedule(
        lambda ratio, slots: torch.acos(ratio) * 2 / math.pi, lambda share, slots: torch.cos(math.pi / 2 * share)
    ),
}
"""By name; ``power:P`` (1 - r^P) beside them. Sources: method 3.2."""


def schedule_by_name(name: str) -> Schedule:
    """Look a schedule up.

    Raises:
        ConfigError: no schedule of that name, or a power that is not a positive number.
    """
    if name.startswith("power:"):
        try:
            exponent = float(name.removeprefix("power:"))
        except ValueError:
            exponent = math.nan
        if not 0 < exponent < math.inf:
            raise ConfigError(f"schedule {name!r}: power:P needs a positive number P")
        return _power(exponent)
    if name not in SCHEDULES:
        raise ConfigError(f"unknown schedule {name!r}; there are {', '.join(SCHEDULES)} and power:P")
    return SCHEDULES[name]


def num_hidden_slots(
    schedule: Schedule, ratio: Float[Tensor, "*shape"], slots: Int[Tensor, "*shape"]
) -> Int[Tensor, "*shape"]:
    """Hidden slots ``n = ceil(gamma(r) * L * D)``: exactly 0 at ``r = 1``, at least 1 before (method 3.1).

    Computed in double precision: a rounding error above a whole number would hide one slot too many.
    """
    share = schedule(ratio.double(), slots)
    hidden = torch.ceil(share * slots - 1e-9).long()
    return torch.where(ratio >= 1, torch.zeros_like(hidden), hidden.clamp(min=1)).minimum(slots)


def reveal_plan(schedule: Schedule, slots: Int[Tensor, " B"], steps: int) -> Int[Tensor, "B S"]:
    """Hidden slots left after each sampling step, ``n_t = ceil(gamma(t / T) L D)``, for every item; the last is 0.

    Because of the ceil some steps reveal nothing (method 3.2); who follows the plan passes over them.
    """
    ratio = torch.arange(1, steps + 1, dtype=torch.double, device=slots.device) / steps  # r_t = t / T
    return num_hidden_slots(schedule, ratio.expand(len(slots), steps), slots[:, None].expand(-1, steps))
