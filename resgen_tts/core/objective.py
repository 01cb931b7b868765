"""The evidence lower bound (ELBO) of a masked generator: how much every hidden code counts under one drawn mask.

The generative chain reveals one code a step, from everything hidden to nothing hidden, in the random order of its
masking. With ``c`` the chance that a hidden code is the next one to be revealed,

    -log p(x)  <=  sum_{n = 1..LD}  E_{mask with n hidden}  sum_slots  c(slot) * -log p(x_slot | visible),

an equality for a model that knows the data. A training mask has n hidden codes with probability P(n); its terms
divided by P(n) are an unbiased estimate of the sum (method 6, without dropping the per-step weights).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.masking import at_current_level, check_masking
from resgen_tts.core.schedule import Schedule, num_hidden_slots


def check_objective(objective: str, schedule: str) -> None:
    """Refuse an unknown objective, and the bound with a schedule that never draws its first steps.

    Raises:
        ConfigError: one of both.
    """
    if objective not in ("simple", "elbo"):
        raise ConfigError(f"generator.objective must be simple or elbo, got {objective!r}")
    if objective == "elbo" and schedule.startswith("exponential"):
        raise ConfigError(
            f"schedule {schedule} never hides everything, so the bound would lack its first steps; "
            "linear weighs all steps alike"
        )


def chance_of_reveal(
    hidden_mask: Bool[Tensor, "B T D"], num_revealed: Int[Tensor, " B"], masking: str
) -> Float[Tensor, "B T D"]:
    """Probability that each hidden code is among the next ``num_revealed`` in random order; 0 at visible ones.

    * suffix: frame i reveals its k_i coarsest hidden codes, k_i hypergeometric (n hidden in the item, K_i of them
      here), so its r-th has the chance ``P(k_i > r)``, r = 0, 1, ..
    * full_random: ``num_revealed / n`` for every hidden code.
    * level: the same among the hidden codes of the item's current level, 0 at finer ones.

    Args:
        num_revealed: codes revealed in this step; more than can be revealed means all of them.
    Source: ResGen (arXiv:2412.10208), posterior of the reverse process; method 6.
    """
    check_masking(masking)
    if masking == "suffix":
        return _chance_in_suffix(hidden_mask, num_revealed)
    candidates = at_current_level(hidden_mask) if masking == "level" else hidden_mask
    available = candidates.sum((1, 2))
    return candidates * (num_revealed.minimum(available) / available.clamp_min(1))[:, None, None]


def elbo_weight(
    schedule: Schedule, num_hidden_total: Int[Tensor, " B"], slots: Int[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """``1 / P(n)``, where ``P(n)`` is the measure of r in [0, 1) with ``ceil(gamma(r) U) = n`` for U slots.

    ``P(n) = inverse((n - 1) / U) - inverse(n / U)``, the last term 0 at n = U, where gamma may exceed its share.

    A schedule that starts below 1 (exponential: n <= U - 1; exponential_b: n <= 0.993 U) never draws the most hidden
    states: P(n) = 0 and the weight is infinite there. The estimate then lacks their terms, and is the bound of
    ``-log p(x | the first few codes in random order)``. No longer step makes up for them, since the chain starts where
    everything is hidden and the model must be asked there.

    Args:
        num_hidden_total: n, hidden codes of each item, 1..U.
        slots: U, target frames times depth.
    """
    number, slots_double = num_hidden_total.double(), slots.double()
    start = schedule.inverse((number - 1) / slots_double, slots)
    end = schedule.inverse(number / slots_double, slots) * (num_hidden_total < slots)
    is_drawn = num_hidden_total <= num_hidden_slots(schedule, torch.zeros_like(number), slots)
    return torch.where(is_drawn, 1 / (start - end), torch.inf).float()


def code_weights(
    schedule: Schedule, hidden_mask: Bool[Tensor, "B T D"], is_target: Bool[Tensor, "B T"], masking: str
) -> Float[Tensor, "B T D"]:
    """What each code's ``-log p(code | visible)`` counts in an unbiased estimate of the item's ELBO, in nats.

    :func:`elbo_weight` times :func:`chance_of_reveal` of a single code. With level masking the law draws one of D
    levels first, so that ``P = P_level(n) / D`` with n and U counted within the level.

    Args:
        hidden_mask: drawn by :func:`resgen_tts.core.masking.draw_hidden_mask` with the same schedule and masking.
    """
    chance = chance_of_reveal(hidden_mask, torch.ones_like(is_target.sum(1)), masking)
    frames, depth = is_target.sum(1), hidden_mask.shape[-1]
    if masking == "level":
        weight = depth * elbo_weight(schedule, at_current_level(hidden_mask).sum((1, 2)), frames)
    else:
        weight = elbo_weight(schedule, hidden_mask.sum((1, 2)), frames * depth)
    return weight[:, None, None] * chance


def latent_weights(
    schedule: Schedule, hidden_mask: Bool[Tensor, "B T D"], is_target: Bool[Tensor, "B T"], masking: str
) -> Float[Tensor, "B T"]:
    """What each frame's ``-log p(z | visible)``, z the sum of all its hidden codes, counts in an estimate of the ELBO.

    One step reveals one code of a frame, never its whole z. The weight is the expected *share* of the frame's hidden
    codes that the step reveals (1/n for suffix and full_random, whatever the frame hides) over P(n): exact where the
    hidden codes of a frame share its nats equally, and otherwise an approximation, not a bound: coarser codes count
    less and finer ones more than they should. Times the number of hidden codes of the frame it is a bound, because
    ``-log p(one hidden code) <= -log p(all of them)``, but one that counts a frame up to D times over.
    Either way z's density stands for the probability of its codes, true up to the constant of method 6.
    """
    weights = code_weights(schedule, hidden_mask, is_target, masking)
    return weights.sum(-1) / hidden_mask.sum(-1).clamp_min(1)


def by_num_hidden(
    nats: Float[Tensor, "*frames"], num_hidden: Int[Tensor, "*frames"], depth: int
) -> tuple[Float[Tensor, " E"], Float[Tensor, " E"]]:
    """Sums of nats and numbers of frames by how many codes the frame hides, 0..depth; for loss curves.

    Both add up over batches and devices, means do not.
    """
    flat, place = nats.detach().float().flatten(), num_hidden.flatten()
    empty = flat.new_zeros(depth + 1)
    return empty.index_add(0, place, flat), empty.index_add(0, place, torch.ones_like(flat))


def _chance_in_suffix(hidden_mask: Tensor, num_revealed: Tensor) -> Tensor:
    held = hidden_mask.sum(-1).double()[..., None]  # K_i, [B, T, 1]
    total = hidden_mask.sum((1, 2)).double()[:, None, None]  # n
    taken = num_revealed.double()[:, None, None].minimum(total)
    count = torch.arange(hidden_mask.shape[-1] + 1, device=hidden_mask.device, dtype=torch.double)  # [D + 1]
    log_ways = _log_choose(held, count) + _log_choose(total - held, taken - count) - _log_choose(total, taken)
    at_least = log_ways.exp().flip(-1).cumsum(-1).flip(-1)  # P(k_i >= count), [B, T, D + 1]
    return (at_least.gather(-1, hidden_mask.long().cumsum(-1)) * hidden_mask).float()  # the r-th: k_i >= r + 1


def _log_choose(number: Tensor, chosen: Tensor) -> Tensor:
    """log C(number, chosen) in the precision of its arguments; -inf where it is impossible."""
    possible = (chosen >= 0) & (chosen <= number)
    safe = torch.where(possible, chosen, 0)
    ways = torch.lgamma(number + 1) - torch.lgamma(safe + 1) - torch.lgamma(number - safe + 1)
    return torch.where(possible, ways, -torch.inf)
