"""``resgen-tts train PART``: build a part from its configuration and let the engine train it.

Configuration is a named preset, overridden by YAML files (``--config``, repeatable), overridden by dotted options
(``--train.steps 100``); an unknown key is an error.
"""

import sys
from collections.abc import Callable

from resgen_tts.apps.training.aligner import train_aligner
from resgen_tts.apps.training.codec import train_codec
from resgen_tts.apps.training.generator import train_generator
from resgen_tts.apps.training.image import TRAINERS as IMAGE_TRAINERS
from resgen_tts.apps.training.part import fit_part, parse, seeded, speech_crops
from resgen_tts.common.errors import ConfigError


def main(arguments: list[str]) -> None:
    """Train one part.

    Raises:
        ConfigError: an unknown part, preset or key, or a value that makes no sense.
    """
    if not arguments or arguments[0] not in TRAINERS:
        wanted = "" if not arguments or arguments[0].startswith("-") else f", not {arguments[0]!r}"
        print(f"usage: resgen-tts train {{{','.join(TRAINERS)}}} [--help | options]", file=sys.stderr)
        if arguments and arguments[0] in ("-h", "--help"):
            return
        raise ConfigError(f"train needs one of {', '.join(TRAINERS)}{wanted}.", code="USAGE")
    part, rest = arguments[0], arguments[1:]
    TRAINERS[part](rest)


def _train_mel_vae(arguments: list[str]) -> None:
    from resgen_tts.speech.tokenizer_task import MelVAETask, MelVAETaskConfig
    from resgen_tts.tokenizers.mel_discriminators import MEL_DISCRIMINATORS, MelDiscriminatorConfig
    from resgen_tts.tokenizers.mel_vae import MEL_VAES, MelVAE, MelVAEConfig

    options = parse(
        "mel_vae", arguments, MEL_VAES,
        model=MelVAEConfig, task=MelVAETaskConfig, discriminator=MelDiscriminatorConfig, crops=_crop_config(),
        discriminators=MEL_DISCRIMINATORS, init=True,
    )  # fmt: skip
    rate = options.model.mel.sample_rate
    train, dev = speech_crops(options, rate)
    with seeded(options.train.seed):
        task = MelVAETask(
            options.task, MelVAE(options.model), options.discriminator,
            train=train, validation=dev, seed=options.train.seed,
        )  # fmt: skip
    fit_part("mel_vae", task, options, {})


def _train_vocoder(arguments: list[str]) -> None:
    from resgen_tts.apps.weights.pretrained import load_mel_vae
    from resgen_tts.speech.vocoder_task import VocoderTask, VocoderTaskConfig
    from resgen_tts.tokenizers.discriminators import WAVE_DISCRIMINATORS, WaveDiscriminatorConfig
    from resgen_tts.tokenizers.vocoder import VOCODERS, Vocoder, VocoderConfig

    options = parse(
        "vocoder", arguments, VOCODERS, paths=("mel_vae",),
        model=VocoderConfig, task=VocoderTaskConfig, discriminator=WaveDiscriminatorConfig, crops=_crop_config(),
        discriminators=WAVE_DISCRIMINATORS, init=True,
    )  # fmt: skip
    train, dev = speech_crops(options, options.model.mel.sample_rate)
    with seeded(options.train.seed):
        task = VocoderTask(
            options.task, Vocoder(options.model), options.discriminator,
            train=train, validation=dev, mel_vae=load_mel_vae(options.mel_vae),
        )  # fmt: skip
    fit_part("vocoder", task, options, {})


TRAINERS: dict[str, Callable[[list[str]], None]] = {
    "mel_vae": _train_mel_vae,
    "codec": train_codec,
    "vocoder": _train_vocoder,
    "aligner": train_aligner,
    "generator": train_generator,
    **IMAGE_TRAINERS,
}


def _crop_config() -> type:
    from resgen_tts.speech.corpus import CropConfig

    return CropConfig
