"""Every generator that can be asked for by name."""

from resgen_tts.common.errors import ConfigError
from resgen_tts.models.resgen import ResGenConfig

GENERATORS: dict[str, ResGenConfig] = {
    "mini": ResGenConfig(width=256, layers=6, heads=4, components=128, rank=24, condition_dim=192),
    "small": ResGenConfig(width=384, layers=10, heads=6, components=256, rank=32, condition_dim=256),
    # method 8.1, 8.2: a DiT-XL body; K and h as published for audio
    "paper": ResGenConfig(width=1152, layers=28, heads=16, components=1024, rank=64, condition_dim=1536),
}


def generator_by_name(name: str) -> ResGenConfig:
    """Look a generator's size up.

    Raises:
        ConfigError: no generator of that name.
    """
    if name not in GENERATORS:
        raise ConfigError(f"unknown generator {name!r}; there are {', '.join(GENERATORS)}")
    return GENERATORS[name]
