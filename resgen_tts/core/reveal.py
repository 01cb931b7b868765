"""The parallel sampling loop: propose all hidden codes, keep some, hide the rest again."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.confidence import gumbel
from resgen_tts.core.draws import Rng, draw_uniform
from resgen_tts.core.masking import at_current_level, check_masking, smallest, spread_over_frames, suffix_mask
from resgen_tts.core.proposal import Proposal
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.core.schedule import reveal_plan, schedule_by_name


@dataclass(frozen=True)
class RevealState:
    """What a model is shown at one step.

    Args:
        codes: entries at hidden slots carry no information.
        hidden_mask: True = hidden.
        is_drawn: frames that have something hidden, of items that keep something at this step: a model draws for them
            alone, so that an item's random numbers do not depend on its neighbours.
        step: 0-based; steps that reveal nothing are passed over, hence numbers may be missing.
        steps: as asked for.
    """

    codes: Int[Tensor, "B T D"]
    hidden_mask: Bool[Tensor, "B T D"]
    is_drawn: Bool[Tensor, "B T"]
    step: int
    steps: int

    @property
    def num_hidden(self) -> Int[Tensor, "B T"]:
        """Hidden codes of each frame."""
        return self.hidden_mask.sum(-1)


def reveal(
    propose: Callable[[RevealState], Proposal],
    codes: Int[Tensor, "B T D"],
    is_target: Bool[Tensor, "B T"],
    config: SamplerConfig,
    rng: Rng,
    on_step: Callable[[RevealState], None] | None = None,
    masking: str = "suffix",
) -> Int[Tensor, "B T D"]:
    """Reveal every code of the target frames in at most ``config.steps`` calls of ``propose``.

    Each step asks for all hidden codes, keeps as many as the plan ``n_t = ceil(gamma(t/T) L D)`` says, and hides the
    rest again; kept codes are final, unless remasking is on. For masks of kind "suffix" a frame's codes are kept
    coarsest first, so that what is hidden stays a suffix; "level" goes level after level; "full_random" keeps any.

    Args:
        propose: the model's part of a step.
        codes: prompt codes at frames outside ``is_target``; anything at target frames.
        is_target: frames to generate; padding and prompt frames are False and never change.
        on_step: called with the state before every step and once with the finished one.
        masking: the kind of masks that the model was trained with.
    Returns:
        Codes with every target slot filled.
    Raises:
        ConfigError: remasking with masks that it would break, or fewer steps than levels for masks of kind "level".
    Source: ResGen (arXiv:2412.10208), sampling; method 7.1, prefix rule A11 (a); remasking by method 13.13.
    """
    check_masking(masking)
    if config.remask_share and masking != "suffix":
        raise ConfigError(f"remasking goes with masks of kind suffix, not {masking}")
    depth = codes.shape[-1]
    codes = codes.clone()
    hidden = is_target[..., None].expand(-1, -1, depth)
    fit = torch.zeros(is_target.shape, device=codes.device)  # of each frame's codes that were last kept
    plan = _plan(config, is_target.sum(1), depth, masking)
    steps = plan.shape[1]
    for step in range(steps):
        is_active = plan[:, step] < hidden.sum((1, 2))
        if not bool(is_active.any()):
            continue
        if config.remask_share:
            frames = is_target & is_active[:, None]
            hidden = hidden | _hidden_again(hidden, frames, fit, config, rng)
        is_drawn = hidden.any(-1) & is_active[:, None]
        state = RevealState(codes, hidden, is_drawn, step, steps)
        if on_step is not None:
            on_step(state)
        proposal = propose(state)
        eligible = hidden & is_drawn[..., None]
        if masking == "level":
            eligible = at_current_level(eligible)
        num_kept = torch.where(is_active, hidden.sum((1, 2)) - plan[:, step], 0)
        if config.order == "random":
            kept = _random(eligible, num_kept, masking, rng)
            proposed = proposal.codes_at(kept)
        else:
            offset = _offset(config, is_drawn, depth, step, steps, rng)
            proposed, scores = proposal.ranked(eligible, offset, num_kept)
            kept = _best(scores, eligible, num_kept, masking)
            if config.remask_share:
                fit = _fit(scores - offset, kept, fit)
        codes = torch.where(kept, proposed, codes)
        hidden = hidden & ~kept
    if on_step is not None:
        on_step(RevealState(codes, hidden, hidden.any(-1), steps, steps))
    return codes


def _plan(config: SamplerConfig, frames: Int[Tensor, " B"], depth: int, masking: str) -> Int[Tensor, "B S"]:
    """Hidden slots left after every step."""
    schedule = schedule_by_name(config.schedule)
    if masking != "level":
        return reveal_plan(schedule, frames * depth, config.steps)
    shares = config.level_steps or tuple(
        config.steps // depth + (level < config.steps % depth) for level in range(depth)
    )
    if len(shares) != depth or min(shares) < 1:
        raise ConfigError(
            f"level after level needs at least one step for each of {depth} levels, got "
            f"{len(config.level_steps) if config.level_steps else config.steps}."
        )
    return torch.cat(
        [
            reveal_plan(schedule, frames, share) + (depth - 1 - level) * frames[:, None]
            for level, share in enumerate(shares)
        ],
        dim=1,
    )


def _offset(
    config: SamplerConfig, is_drawn: Bool[Tensor, "B T"], depth: int, step: int, steps: int, rng: Rng
) -> Float[Tensor, "B T D"]:
    """What is added to confidences: Gumbel noise at the choice temperature, minus the penalty of deeper levels."""
    level = torch.arange(depth, device=is_drawn.device, dtype=torch.double)
    offset = (-config.level_penalty * level).expand(*is_drawn.shape, depth)
    temperature = config.choice_temperature * (1 - (step + 1) / steps if config.choice_annealing else 1.0)
    if temperature == 0:
        return offset.float()
    return (offset + temperature * gumbel(draw_uniform(is_drawn, (depth,), rng))).float()


def _random(eligible: Bool[Tensor, "B T D"], num_kept: Int[Tensor, " B"], masking: str, rng: Rng) -> Tensor:
    """Slots to keep, drawn uniformly; for suffixes only the count in each frame is drawn so."""
    depth = eligible.shape[-1]
    if masking == "suffix":
        return _coarsest(eligible, spread_over_frames(num_kept, eligible.sum(-1), depth, rng))
    draws = draw_uniform(eligible.any(-1), (depth,), rng)
    return smallest(draws.flatten(1), eligible.flatten(1), num_kept).view_as(eligible)


def _best(scores: Tensor, eligible: Bool[Tensor, "B T D"], num_kept: Int[Tensor, " B"], masking: str) -> Tensor:
    """Slots to keep: the best, of which for suffixes only the count in each frame matters (A11 (a))."""
    best = smallest(-scores.flatten(1), eligible.flatten(1), num_kept).view_as(eligible)
    return best if masking == "full_random" else _coarsest(eligible, best.sum(-1))


def _fit(
    scores: Float[Tensor, "B T D"], kept: Bool[Tensor, "B T D"], before: Float[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """Mean score a level of the codes just kept: the cumulative one of the finest, without noise, by their number."""
    finest = kept & (kept.flip(-1).cumsum(-1).flip(-1) == 1)
    fit = torch.where(finest, scores, 0.0).sum(-1) / kept.sum(-1).clamp_min(1)
    return torch.where(kept.any(-1), fit, before)


def _coarsest(hidden: Bool[Tensor, "B T D"], count: Int[Tensor, "B T"]) -> Bool[Tensor, "B T D"]:
    """The ``count`` coarsest hidden slots of each frame."""
    return hidden & (hidden.cumsum(-1) <= count[..., None])


def _hidden_again(
    hidden: Bool[Tensor, "B T D"], is_target: Bool[Tensor, "B T"], fit: Float[Tensor, "B T"], config: SamplerConfig,
    rng: Rng,
) -> Bool[Tensor, "B T D"]:  # fmt: skip
    """The finest visible codes of the frames that fit worst (of random frames, where the order is random)."""
    depth = hidden.shape[-1]
    has_some = is_target & ~hidden.all(-1)
    count = (has_some.sum(1) * config.remask_share).ceil().long()
    order = draw_uniform(has_some, (), rng) if config.order == "random" else fit.double()
    worst = smallest(order, has_some, count)
    num_hidden = (hidden.sum(-1) + config.remask_levels * worst).clamp(max=depth)
    return suffix_mask(num_hidden, depth) & worst[..., None]
