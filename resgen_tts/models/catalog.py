"""Every scheme, and every generator that can be asked for by name."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.models.ar_resgen import ArResGen, ArResGenConfig
from resgen_tts.models.direct_tokens import DirectTokens, DirectTokensConfig
from resgen_tts.models.maskgit_rvq import MaskgitRvq, MaskgitRvqConfig
from resgen_tts.models.resgen import ResGen, ResGenConfig
from resgen_tts.models.rq_transformer import RqTransformer, RqTransformerConfig
from resgen_tts.models.trunk import CodeGenerator, TrunkConfig


@dataclass(frozen=True)
class Scheme:
    """A way of generating codes: its configuration and its model."""

    config: type[TrunkConfig]
    model: type[CodeGenerator]


SCHEMES: dict[str, Scheme] = {
    "resgen": Scheme(ResGenConfig, ResGen),
    "direct_tokens": Scheme(DirectTokensConfig, DirectTokens),
    "maskgit_rvq": Scheme(MaskgitRvqConfig, MaskgitRvq),
    "ar_resgen": Scheme(ArResGenConfig, ArResGen),
    "rq_transformer": Scheme(RqTransformerConfig, RqTransformer),
}

GENERATORS: dict[str, TrunkConfig] = {
    # speech; conditioned by aligned text
    "mini": ResGenConfig(width=256, layers=6, heads=4, components=128, rank=24, condition_dim=192),
    "mini_direct_tokens": DirectTokensConfig(width=256, layers=6, heads=4, condition_dim=192),
    "mini_maskgit_rvq": MaskgitRvqConfig(width=256, layers=6, heads=4, condition_dim=192),
    "mini_ar_resgen": ArResGenConfig(width=256, layers=6, heads=4, components=128, rank=24, condition_dim=192),
    "mini_rq_transformer": RqTransformerConfig(width=256, layers=6, heads=4, depth_layers=2, condition_dim=192),
    "small": ResGenConfig(width=384, layers=10, heads=6, components=256, rank=32, condition_dim=256),
    # method 8.1, 8.2: a DiT-XL body; K and h as published for audio
    "paper": ResGenConfig(width=1152, layers=28, heads=16, components=1024, rank=64, condition_dim=1536),
    # the same bodies over a text that they attend to, the DiTTo way (method 11.11, 13.25)
    "mini_cross": ResGenConfig(width=256, layers=6, heads=4, components=128, rank=24, cross_dim=192),
    "paper_cross": ResGenConfig(width=1152, layers=28, heads=16, components=1024, rank=64, cross_dim=1536),
    # pictures of digits, 4 x 4 frames; conditioned by class; about 2.5 M parameters each
    "digits_resgen": ResGenConfig(
        width=160, layers=6, heads=4, components=256, rank=None, num_classes=10, grid_width=4
    ),
    "digits_direct_tokens": DirectTokensConfig(width=176, layers=6, heads=4, num_classes=10, grid_width=4),
    "digits_maskgit_rvq": MaskgitRvqConfig(width=176, layers=6, heads=4, num_classes=10, grid_width=4),
    "digits_ar_resgen": ArResGenConfig(
        width=160, layers=4, heads=4, components=256, rank=None, mlp_layers=3, num_classes=10, grid_width=4
    ),
    "digits_rq_transformer": RqTransformerConfig(
        width=160, layers=5, heads=4, depth_layers=2, num_classes=10, grid_width=4
    ),
}


def scheme_of(config: TrunkConfig) -> str:
    """The name of a configuration's scheme."""
    return next(name for name, scheme in SCHEMES.items() if scheme.config is type(config))


def config_of(scheme: str, plain: dict[str, Any]) -> TrunkConfig:
    """A scheme's configuration from plain values.

    Raises:
        ConfigError: no such scheme, or a key that it does not have.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"unknown scheme {scheme!r}; there are {', '.join(SCHEMES)}")
    return from_plain(SCHEMES[scheme].config, plain)


def build_generator(
    config: TrunkConfig, code_space: CodeSpace, level_energy: Float[Tensor, " D"] | None = None
) -> CodeGenerator:
    """A generator with fresh weights."""
    return SCHEMES[scheme_of(config)].model(config, code_space, level_energy)
