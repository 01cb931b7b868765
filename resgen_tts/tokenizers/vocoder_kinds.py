"""The trained vocoders by kind: what a folder's configuration builds."""

from typing import Any

from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.tokenizers.bigvgan import BigVGAN, BigVGANConfig
from resgen_tts.tokenizers.griffin_lim import GriffinLim
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig

AnyVocoder = Vocoder | BigVGAN | GriffinLim  # what makes waves of log-mels: ``config.mel`` says of which
KINDS = {"vocos": (VocoderConfig, Vocoder), "bigvgan": (BigVGANConfig, BigVGAN)}


def kind_of(vocoder: Vocoder | BigVGAN) -> str:
    """The name of a vocoder's class, as its folder's configuration says it."""
    return next(name for name, (_, built) in KINDS.items() if type(vocoder) is built)


def vocoder_of(config: dict[str, Any]) -> Vocoder | BigVGAN:
    """The vocoder, not yet filled, of a part's configuration: ``model``, and ``kind`` (vocos where left out).

    Raises:
        ConfigError: an unknown kind, or sizes that are not its own.
    """
    kind = config.get("kind", "vocos")
    if kind not in KINDS:
        raise ConfigError(f"unknown vocoder kind {kind!r}; there are {', '.join(KINDS)}")
    sizes, built = KINDS[kind]
    return built(from_plain(sizes, config["model"]))
