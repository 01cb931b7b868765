"""What a call asks for, checked before anything is computed."""

import secrets
from dataclasses import replace

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.length import LengthConfig


def draw_seed() -> int:
    """A seed for a run that was given none."""
    return secrets.randbelow(2**31)


def seed_or_drawn(seed: int | None) -> int:
    """The seed that was asked for, or a drawn one.

    Raises:
        ConfigError: USAGE, it is none of 0 to 2**63 - 1, which every door takes.
    """
    if seed is None:
        return draw_seed()
    if not 0 <= seed < 2**63:
        raise ConfigError(f"a seed is a whole number from 0 to 2**63 - 1, got {seed}.", code="USAGE")
    return seed


def check_text(text: object, name: str = "the text") -> None:
    """Refuse what is no text.

    Raises:
        TextError: TEXT_TYPE.
    """
    if not isinstance(text, str):
        raise TextError(f"{name} is of type {type(text).__name__}, not str.", code="TEXT_TYPE", hint="Pass a str.")


def length_of(length: LengthConfig | None, speed: float, duration_seconds: float | None, spread: float) -> LengthConfig:
    """What decides about lengths, from either way of saying it.

    Raises:
        ConfigError: USAGE, it was said both ways; or a value makes no sense.
    """
    if length is None:
        return LengthConfig(speed=float(speed), duration_seconds=duration_seconds, spread=float(spread))
    if (speed, duration_seconds, spread) != (1.0, None, 0.0):
        raise ConfigError("give length, or speed, duration_seconds and spread, not both", code="USAGE")
    return length


def sampler_of(own: SamplerConfig, sampler: SamplerConfig | None, steps: int | None) -> SamplerConfig:
    """The sampler of a call: the model's own, another one, or the model's own with other steps.

    Raises:
        ConfigError: USAGE, both were given; or there is less than one step.
    """
    if sampler is not None and steps is not None:
        raise ConfigError("give sampler, which has steps of its own, or steps, not both", code="USAGE")
    chosen = own if sampler is None else sampler
    return chosen if steps is None else replace(chosen, steps=steps)
