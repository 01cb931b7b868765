"""Every named generator can be built, at the size that its name promises."""

import pytest
import torch

from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.models.catalog import GENERATORS, SCHEMES, build_generator, config_of, scheme_of
from resgen_tts.models.resgen import ResGenConfig


def millions(name: str, space: CodeSpace) -> float:
    with torch.device("meta"):
        model = build_generator(GENERATORS[name], space)
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("mini", 4, 9), ("small", 15, 30), ("paper", 440, 560), ("mini_cross", 6, 12), ("paper_cross", 600, 760)],
)
def test_speech_sizes(name, low, high):
    assert low < millions(name, CodeSpace(torch.empty(32, 1024, 512), torch.empty(32))) < high


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_configuration_survives_being_saved(name):
    config = GENERATORS[name]
    assert config_of(scheme_of(config), to_plain(config)) == config


def test_schemes_of_pictures_are_of_equal_size():
    sizes = {name: millions(f"digits_{name}", CodeSpace(torch.empty(8, 256, 16), torch.empty(8))) for name in SCHEMES}
    assert max(sizes.values()) / min(sizes.values()) < 1.1, sizes


def test_what_is_unknown_is_named_with_what_is_known():
    with pytest.raises(ConfigError, match="resgen, direct_tokens"):
        config_of("diffusion", {})
    with pytest.raises(ConfigError, match="heads"):
        ResGenConfig(width=100, heads=16)
    with pytest.raises(ConfigError, match="not by both"):
        ResGenConfig(condition_dim=3, num_classes=2)
