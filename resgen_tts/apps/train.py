"""``resgen-tts train PART``: build a part from its configuration and let the engine train it.

Configuration is a named preset, overridden by YAML files (``--config``, repeatable), overridden by dotted options
(``--train.steps 100``); an unknown key is an error.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from resgen_tts.apps.train_codec import train_codec
from resgen_tts.apps.train_image import TRAINERS as IMAGE_TRAINERS
from resgen_tts.apps.training import fit_part, parse, seeded, speech_crops
from resgen_tts.common.errors import ConfigError


def main(arguments: list[str]) -> None:
    """Train one part.

    Raises:
        ConfigError: an unknown part, preset or key, or a value that makes no sense.
    """
    if not arguments or arguments[0] not in _TRAINERS:
        wanted = "" if not arguments or arguments[0].startswith("-") else f", not {arguments[0]!r}"
        print(f"usage: resgen-tts train {{{','.join(_TRAINERS)}}} [--help | options]", file=sys.stderr)
        if arguments and arguments[0] in ("-h", "--help"):
            return
        raise ConfigError(f"train needs one of {', '.join(_TRAINERS)}{wanted}.", code="USAGE")
    part, rest = arguments[0], arguments[1:]
    _TRAINERS[part](rest)


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
    from resgen_tts.apps.pretrained import load_mel_vae
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


def _train_aligner(arguments: list[str]) -> None:
    from resgen_tts.apps.encode import read_codes_info
    from resgen_tts.apps.text import read_inventory
    from resgen_tts.speech.alignment import ALIGNERS, Aligner, AlignerConfig
    from resgen_tts.speech.corpus import CodeBatches, CodeShards
    from resgen_tts.speech.generation_task import AlignerTask, TextDataConfig

    options = parse("aligner", arguments, ALIGNERS, paths=("codes",), model=AlignerConfig, batches=TextDataConfig)
    inventory, info = read_inventory(options.data), read_codes_info(options.codes)
    options.model = replace(options.model, num_symbols=len(inventory.symbols), num_mels=info["num_mels"])
    no_prompts = replace(options.batches.prompts, pair_share=0.0, prefix_share=0.0)
    train, dev = (
        CodeBatches(
            CodeShards(options.codes, split, aligned=False),
            batch_seconds=options.batches.batch_seconds, prompts=no_prompts, seed=options.train.seed,
        )
        for split in ("train", "dev")
    )  # fmt: skip
    with seeded(options.train.seed):
        task = AlignerTask(Aligner(options.model), train, dev, options.batches)
    fit_part("aligner", task, options, _plain_inventory(inventory))


def _train_generator(arguments: list[str]) -> None:
    import torch

    from resgen_tts.apps.encode import read_codes_info
    from resgen_tts.apps.pretrained import load_aligner, load_mel_vae
    from resgen_tts.models.catalog import GENERATORS, scheme_of
    from resgen_tts.models.trunk import TrunkConfig, measure_level_energy
    from resgen_tts.speech.corpus import CodeBatches, CodeShards
    from resgen_tts.speech.generation_task import GenerationTask, TextDataConfig
    from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig

    options = parse(
        "generator", arguments, GENERATORS, paths=("codes", "aligner", "mel_vae"),
        model=TrunkConfig, batches=TextDataConfig,
    )  # fmt: skip
    aligner, inventory = load_aligner(options.aligner)
    info, space = read_codes_info(options.codes), load_mel_vae(options.mel_vae).code_space
    shards = {split: CodeShards(options.codes, split) for split in ("train", "dev")}
    train, dev = (
        CodeBatches(
            shards[split], batch_seconds=options.batches.batch_seconds, prompts=options.batches.prompts,
            seed=options.train.seed, longest_seconds=options.batches.longest_seconds,
        )
        for split in ("train", "dev")
    )  # fmt: skip
    names = list(shards["train"].rows)
    measured = torch.cat([shards["train"][name].codes for name in names[:: max(1, len(names) // 500)]])
    scheme = scheme_of(options.model)
    options.model = SpeechGeneratorConfig(
        aligner=aligner.config, generator=options.model, frames_per_code=info["frames_per_code"]
    )
    with seeded(options.train.seed):
        model = SpeechGenerator(options.model, space, measure_level_energy(space, measured))
    model.aligner.load_state_dict(aligner.state_dict())
    task = GenerationTask(model, train, dev, options.batches)
    fit_part("generator", task, options, {"scheme": scheme, **_plain_inventory(inventory)})


_TRAINERS: dict[str, Callable[[list[str]], None]] = {
    "mel_vae": _train_mel_vae,
    "codec": train_codec,
    "vocoder": _train_vocoder,
    "aligner": _train_aligner,
    "generator": _train_generator,
    **IMAGE_TRAINERS,
}


def _crop_config() -> type:
    from resgen_tts.speech.corpus import CropConfig

    return CropConfig


def _plain_inventory(inventory) -> dict[str, Any]:
    return {"inventory": {"units": inventory.units, "symbols": list(inventory.symbols)}}
