"""A sampler from words like ``steps=8 guidance=2``: how tools name what they vary."""

from collections.abc import Sequence
from typing import Any

from resgen_tts.common.config import from_plain, to_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.core.sampler_config import SamplerConfig

GUIDANCE = "guidance"  # one weight of all steps, or FIRST:LAST


def changed(base: SamplerConfig, words: Sequence[str]) -> SamplerConfig:
    """``base`` with the values of ``NAME=VALUE`` words.

    Names are the sampler's own, and ``guidance``: one weight for all steps (1 = off), or the first and the last one's.

    Raises:
        ConfigError: a word is no setting, its name is unknown, or its value makes no sense.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not value:
            raise ConfigError(f"{word!r} is not NAME=VALUE", code="USAGE")
        if name == GUIDANCE:
            first, _, last = value.partition(":")
            values |= {"guidance_start": _number(first, word), "guidance_end": _number(last or first, word)}
        elif name not in vars(base):
            raise ConfigError(f"no setting {name!r}; there are {', '.join([GUIDANCE, *vars(base)])}", code="USAGE")
        elif isinstance(getattr(base, name), str):
            values[name] = value
        else:
            values[name] = _number(value, word)
    return from_plain(SamplerConfig, to_plain(base) | values)  # which refuses a value of a wrong type


def _number(value: str, word: str) -> int | float | bool:
    if value in ("true", "false"):
        return value == "true"
    try:
        return int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError as error:
        raise ConfigError(f"{word!r}: {value!r} is no number", code="USAGE") from error
