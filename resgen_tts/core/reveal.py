"""The parallel sampling loop: propose all hidden codes, keep some, hide the rest again."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.confidence import add_gumbel
from resgen_tts.core.masking import hidden_mask, spread_over_frames
from resgen_tts.core.schedule import reveal_plan, schedule_by_name


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How codes are revealed at synthesis time."""

    steps: int = 16  # network calls per utterance (twice that with guidance)
    schedule: str = "circle"  # one of core.schedule.SCHEDULES
    order: str = "confidence"  # or "random": which codes are kept first
    choice_temperature: float = 0.4375  # Gumbel noise on confidences per latent dimension; paper's 28 / 64
    top_p: float = 0.9  # mass of the mixture components that may be drawn; 1.0 = all
    noise_temperature: float = 1.0  # scale of the Gaussian noise of z; 0 = the component's mean
    guidance_start: float = 1.0  # w in  null + w * (cond - null)  at the first step; 1.0 = off
    guidance_end: float = 1.0  # w at the last step

    def __post_init__(self):
        schedule_by_name(self.schedule)
        if self.steps < 1:
            raise ConfigError(f"sampler.steps must be at least 1, got {self.steps}")
        if self.order not in ("confidence", "random"):
            raise ConfigError(f"sampler.order must be confidence or random, got {self.order!r}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"sampler.top_p must be in (0, 1], got {self.top_p}")
        if self.noise_temperature < 0 or self.choice_temperature < 0:
            raise ConfigError("sampler temperatures must not be negative")


@dataclass(frozen=True)
class RevealState:
    """What a model is shown at one step: codes, of which the finest ``num_hidden`` of each frame are hidden."""

    codes: Int[Tensor, "B T D"]  # entries at hidden slots carry no information
    num_hidden: Int[Tensor, "B T"]
    step: int
    steps: int


Proposal = tuple[Int[Tensor, "B T D"], Float[Tensor, "B T D"]]
"""Codes for every hidden slot, and how confident they are (higher is revealed first)."""


def reveal(
    propose: Callable[[RevealState], Proposal],
    codes: Int[Tensor, "B T D"],
    is_target: Bool[Tensor, "B T"],
    config: SamplerConfig,
    rng: torch.Generator,
    on_step: Callable[[RevealState], None] | None = None,
) -> Int[Tensor, "B T D"]:
    """Reveal every code of the target frames in at most ``config.steps`` steps.

    Each step asks ``propose`` for all hidden codes, keeps as many as the plan ``n_t = ceil(gamma(t/T) L D)``
    says, and hides the rest again; kept codes are final. Within a frame codes are kept coarsest first, so what
    is hidden stays a suffix.

    Args:
        propose: the model's part of a step.
        codes: prompt codes at frames outside ``is_target``; anything at target frames.
        is_target: frames to generate; padding and prompt frames are False and never change.
        on_step: called with the state before every step and once with the finished one.
    Returns:
        Codes with every target slot filled.
    Source: ResGen (arXiv:2412.10208), sampling; method 7.1, prefix rule A11 (a).
    """
    depth = codes.shape[-1]
    codes = codes.clone()
    num_hidden = is_target.long() * depth
    plan = reveal_plan(schedule_by_name(config.schedule), num_hidden.sum(1), config.steps)
    steps = plan.shape[1]
    for step in range(steps):
        state = RevealState(codes, num_hidden, step, steps)
        if on_step is not None:
            on_step(state)
        proposed, confidence = propose(state)
        num_kept = num_hidden.sum(1) - plan[:, step]
        kept = (
            spread_over_frames(num_kept, num_hidden, depth, rng)
            if config.order == "random"
            else _most_confident(add_gumbel(confidence, config.choice_temperature, rng), num_hidden, num_kept)
        )
        is_kept = hidden_mask(num_hidden, depth) & ~hidden_mask(num_hidden - kept, depth)
        codes = torch.where(is_kept, proposed, codes)
        num_hidden = num_hidden - kept
    if on_step is not None:
        on_step(RevealState(codes, num_hidden, steps, steps))
    return codes


def _most_confident(
    scores: Float[Tensor, "B T D"], num_hidden: Int[Tensor, "B T"], num_kept: Int[Tensor, " B"]
) -> Int[Tensor, "B T"]:
    """Count, per frame, how many of the item's ``num_kept`` best scores fall there (A11 (a))."""
    batch, frames, depth = scores.shape
    flat = scores.masked_fill(~hidden_mask(num_hidden, depth), -torch.inf).reshape(batch, -1)
    rank = flat.argsort(dim=1, descending=True).argsort(dim=1)
    return (rank < num_kept[:, None]).reshape(batch, frames, depth).sum(-1)
