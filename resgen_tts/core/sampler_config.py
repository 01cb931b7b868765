"""How codes are generated: every option of every scheme, and its neutral value."""

import math
from dataclasses import dataclass

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.schedule import schedule_by_name

GUIDED_QUANTITIES = ("components", "density", "weights", "outputs", "hidden")

GUIDANCE_NULLS = ("condition", "prompt", "both", "levels")
"""What the null pass lacks. condition: text, or class. prompt: the prompt and its text. both: condition and prompt (as
MaskGCT). levels: the finest visible levels."""


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How codes are generated. Presets of the paper in method 7.4; its guidance weight is ours minus 1."""

    steps: int = 16  # reveal steps: network calls of an utterance (of ar_resgen: inner steps of each frame)
    schedule: str = "circle"  # one of core.schedule.SCHEDULES, or power:P; need not be that of training
    order: str = "confidence"  # or "random": which codes are kept first
    choice_temperature: float = 0.4375  # Gumbel noise on confidences: per latent dimension (28 / 64), or nats of codes
    choice_annealing: bool = False  # let the choice temperature fall to 0 over the steps, as MaskGIT does
    level_penalty: float = 0.0  # taken from the confidence once per level, so that coarse levels come first
    top_p: float = 0.9  # mass of the mixture components, or codes, that may be drawn; 1.0 = all
    temperature: float = 1.0  # scale of z's Gaussian noise, or divisor of logits; 0 = the mean, or the likeliest code
    guidance_start: float = 1.0  # w in  null + w * (cond - null)  at the first step; 1.0 = off
    guidance_end: float = 1.0  # w at the last step, linear between
    guidance_from: float = 0.0  # share of the steps after which guidance begins
    guidance_to: float = 1.0  # share of the steps after which guidance ends
    guidance_on: str = "components"  # what is guided, see core.guidance
    guidance_null: str = "condition"  # what the null pass lacks, one of GUIDANCE_NULLS
    guidance_null_levels: int = 1  # levels taken away for guidance_null "levels"
    remask_share: float = 0.0  # share of frames whose finest visible codes are hidden again before a step; 0 = off
    remask_levels: int = 1  # codes hidden again in each of them
    level_steps: tuple[int, ...] | None = None  # steps of each level, for masks of kind "level"; None = equal shares

    def __post_init__(self):
        schedule_by_name(self.schedule)
        if self.level_steps is not None:
            object.__setattr__(self, "level_steps", tuple(self.level_steps))  # a list, where it comes from YAML
            if not self.level_steps or min(self.level_steps) < 1:
                raise ConfigError(f"sampler.level_steps must all be at least 1, got {self.level_steps}")
        for name, low in (("steps", 1), ("guidance_null_levels", 1), ("remask_levels", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"sampler.{name} must be at least {low}, got {getattr(self, name)}")
        for name, choices in (
            ("order", ("confidence", "random")),
            ("guidance_on", GUIDED_QUANTITIES),
            ("guidance_null", GUIDANCE_NULLS),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(f"sampler.{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"sampler.top_p must be in (0, 1], got {self.top_p}")
        for name in ("temperature", "choice_temperature", "level_penalty"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"sampler.{name} must be finite and not negative, got {getattr(self, name)}")
        if not (math.isfinite(self.guidance_start) and math.isfinite(self.guidance_end)):
            raise ConfigError("sampler.guidance_start and guidance_end must be finite")
        if not 0 <= self.guidance_from <= self.guidance_to <= 1:
            raise ConfigError("sampler.guidance_from and guidance_to must be shares, 0 <= from <= to <= 1")
        if not 0 <= self.remask_share < 1:
            raise ConfigError(f"sampler.remask_share must be in [0, 1), got {self.remask_share}")

    @property
    def is_guided(self) -> bool:
        """Whether any step may be guided."""
        return not self.guidance_start == self.guidance_end == 1.0 and self.guidance_from < self.guidance_to
