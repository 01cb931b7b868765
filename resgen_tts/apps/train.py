"""``resgen-tts train PART``: build a part from its configuration and let the engine train it.

Configuration is a named preset, overridden by YAML files (``--config``, repeatable), overridden by dotted options
(``--train.steps 100``); an unknown key is an error.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import commit_hash

PARTS = ("mel_vae", "vocoder", "aligner", "generator")


def main(arguments: list[str]) -> None:
    """Train one part.

    Raises:
        ConfigError: an unknown part, preset or key, or a value that makes no sense.
    """
    if not arguments or arguments[0] not in PARTS:
        wanted = "" if not arguments or arguments[0].startswith("-") else f", not {arguments[0]!r}"
        print(f"usage: resgen-tts train {{{','.join(PARTS)}}} [--help | options]", file=sys.stderr)
        if arguments and arguments[0] in ("-h", "--help"):
            return
        raise ConfigError(f"train needs one of {', '.join(PARTS)}{wanted}.", code="USAGE")
    part, rest = arguments[0], arguments[1:]
    _TRAINERS[part](rest)


def _train_mel_vae(arguments: list[str]) -> None:
    from resgen_tts.speech.tokenizer_task import MelVAETask, MelVAETaskConfig
    from resgen_tts.tokenizers.discriminators import MelDiscriminatorConfig
    from resgen_tts.tokenizers.mel_vae import MEL_VAES, MelVAE, MelVAEConfig

    options = _parse(
        "mel_vae", arguments, MEL_VAES,
        model=MelVAEConfig, task=MelVAETaskConfig, discriminator=MelDiscriminatorConfig, crops=_crop_config(),
    )  # fmt: skip
    rate = options.model.mel.sample_rate
    train, dev = _crops(options, rate)
    with _seeded(options.train.seed):
        task = MelVAETask(
            options.task, MelVAE(options.model), options.discriminator,
            train=train, validation=dev, seed=options.train.seed,
        )  # fmt: skip
    _fit("mel_vae", task, options, {})


def _train_vocoder(arguments: list[str]) -> None:
    from resgen_tts.apps.pretrained import load_mel_vae
    from resgen_tts.speech.vocoder_task import VocoderTask, VocoderTaskConfig
    from resgen_tts.tokenizers.discriminators import WaveDiscriminatorConfig
    from resgen_tts.tokenizers.vocoder import VOCODERS, Vocoder, VocoderConfig

    options = _parse(
        "vocoder", arguments, VOCODERS, paths=("mel_vae",),
        model=VocoderConfig, task=VocoderTaskConfig, discriminator=WaveDiscriminatorConfig, crops=_crop_config(),
    )  # fmt: skip
    train, dev = _crops(options, options.model.mel.sample_rate)
    with _seeded(options.train.seed):
        task = VocoderTask(
            options.task, Vocoder(options.model), options.discriminator,
            train=train, validation=dev, mel_vae=load_mel_vae(options.mel_vae),
        )  # fmt: skip
    _fit("vocoder", task, options, {})


def _train_aligner(arguments: list[str]) -> None:
    from resgen_tts.apps.encode import read_codes_info
    from resgen_tts.apps.text import read_inventory
    from resgen_tts.speech.alignment import ALIGNERS, Aligner, AlignerConfig
    from resgen_tts.speech.corpus import CodeBatches, CodeShards
    from resgen_tts.speech.generation_task import AlignerTask, TextDataConfig

    options = _parse("aligner", arguments, ALIGNERS, paths=("codes",), model=AlignerConfig, batches=TextDataConfig)
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
    with _seeded(options.train.seed):
        task = AlignerTask(Aligner(options.model), train, dev, options.batches)
    _fit("aligner", task, options, _plain_inventory(inventory))


def _train_generator(arguments: list[str]) -> None:
    import torch

    from resgen_tts.apps.encode import read_codes_info
    from resgen_tts.apps.pretrained import load_aligner, load_mel_vae
    from resgen_tts.models.catalog import GENERATORS
    from resgen_tts.models.resgen import ResGenConfig, measure_hidden_scale
    from resgen_tts.speech.corpus import CodeBatches, CodeShards
    from resgen_tts.speech.generation_task import GenerationTask, TextDataConfig
    from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig

    options = _parse(
        "generator", arguments, GENERATORS, paths=("codes", "aligner", "mel_vae"),
        model=ResGenConfig, batches=TextDataConfig,
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
    options.model = SpeechGeneratorConfig(
        aligner=aligner.config, resgen=options.model, frames_per_code=info["frames_per_code"]
    )
    with _seeded(options.train.seed):
        model = SpeechGenerator(options.model, space, measure_hidden_scale(space, measured))
    model.aligner.load_state_dict(aligner.state_dict())
    _fit("generator", GenerationTask(model, train, dev, options.batches), options, _plain_inventory(inventory))


_TRAINERS: dict[str, Callable[[list[str]], None]] = {
    "mel_vae": _train_mel_vae,
    "vocoder": _train_vocoder,
    "aligner": _train_aligner,
    "generator": _train_generator,
}


def _parse(part: str, arguments: list[str], presets: dict[str, Any], paths: tuple[str, ...] = (), **sections: type):
    """Read preset, YAML and options into dataclasses; ``model`` starts from the preset."""
    from jsonargparse import ArgumentError, ArgumentParser

    from resgen_tts.engine.config import TrainConfig

    parser = ArgumentParser(prog=f"resgen-tts train {part}", exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file; may be given several times")
    parser.add_argument("--preset", default="mini", choices=sorted(presets), help="named size to start from")
    parser.add_argument("--data", type=Path, required=True, help="folder that the stage 'prepare' filled")
    parser.add_argument("--output", type=Path, required=True, help="run folder; a run that is there is continued")
    for path in paths:
        parser.add_argument(f"--{path}", type=Path, required=True, help="folder that an earlier stage left")
    parser.add_argument("--train", type=TrainConfig, default=TrainConfig())
    for name, kind in sections.items():
        default = presets[_preset_of(arguments, presets)] if name == "model" else kind()
        parser.add_argument(f"--{name}", type=kind, default=default)
    try:
        return parser.instantiate(parser.parse_args(arguments))
    except ArgumentError as error:
        raise ConfigError(str(error), hint=f"See: resgen-tts train {part} --help") from error


def _preset_of(arguments: list[str], presets: dict[str, Any]) -> str:
    """The preset's name must be known before its values can be defaults: last option, else last YAML, else mini."""
    import yaml

    named, files = None, []
    for place, argument in enumerate(arguments):
        name, given, value = argument.partition("=")
        value = value if given else (arguments[place + 1] if place + 1 < len(arguments) else "")
        if name == "--preset":
            named = value
        elif name == "--config":
            files.append(value)
    for file in reversed(files):
        if named is None and Path(file).is_file():
            named = (yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}).get("preset")
    named = named or "mini"
    if named not in presets:
        raise ConfigError(f"unknown preset {named!r}; there are {', '.join(sorted(presets))}")
    return named


def _crop_config() -> type:
    from resgen_tts.speech.corpus import CropConfig

    return CropConfig


def _crops(options, sample_rate: int):
    from resgen_tts.speech.corpus import AudioCrops, load_cuts

    return (
        AudioCrops(
            load_cuts(options.data, split), sample_rate=sample_rate, crop_seconds=options.crops.seconds,
            batch_size=options.crops.batch_size, seed=options.train.seed,
        )
        for split in ("train", "dev")
    )  # fmt: skip


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Initial weights from the run's seed; torch's own initialisers know only the global generator."""
    import torch

    from resgen_tts.common.randomness import seed_of

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "init"))
        yield


def _plain_inventory(inventory) -> dict[str, Any]:
    return {"inventory": {"units": inventory.units, "symbols": list(inventory.symbols)}}


def _fit(part: str, task, options, more: dict[str, Any]) -> None:
    from resgen_tts.engine.loop import fit

    sections = {
        name: to_plain(value)
        for name, value in vars(options).items()
        if hasattr(value, "__dataclass_fields__") and name != "config"
    }
    resolved = {"part": part, **sections, **more}
    count = sum(parameter.numel() for parameter in task.model.parameters())
    print(f"train {part}: {count / 1e6:.2f} M parameters, commit {commit_hash()}", file=sys.stderr)
    fit(task, options.train, options.output, resolved)
