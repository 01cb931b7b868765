"""What the trainers of all parts share: configuration from preset, YAML and options; first weights; the run itself."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import commit_hash


def parse(
    part: str,
    arguments: list[str],
    presets: dict[str, Any],
    paths: tuple[str, ...] = (),
    *,
    preset: str = "mini",
    data: str | None = "folder that the stage 'prepare' filled",
    discriminators: dict[str, Any] | None = None,
    init: bool = False,
    **sections: type,
):
    """Read preset, YAML and options into dataclasses; ``model`` starts from the preset.

    Args:
        part: name of the part, for messages.
        arguments: options of the command line.
        presets: named values of ``model``.
        paths: further options that name folders of earlier stages, all required.
        preset: the one taken where none is named.
        data: what ``--data`` is, for the help; None where the part has no such option.
        discriminators: named values of ``discriminator``, where the part has one.
        init: whether the part can start from the weights of a finished one.
        sections: option group: its dataclass; that of ``model`` may be a base of the presets' own.
    Raises:
        ConfigError: an unknown preset or key, or a value that makes no sense.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from resgen_tts.engine.config import TrainConfig

    parser = ArgumentParser(prog=f"resgen-tts train {part}", exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file; may be given several times")
    parser.add_argument("--preset", default=preset, choices=sorted(presets), help="named size to start from")
    if data is not None:
        parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("--output", type=Path, required=True, help="run folder; a run that is there is continued")
    if init:
        parser.add_argument(
            "--init", type=Path, help="trained part of the same network, whose weights the run starts from"
        )
    for path in paths:
        parser.add_argument(f"--{path}", type=Path, required=True, help="folder that an earlier stage left")
    parser.add_argument("--train", type=TrainConfig, default=TrainConfig())
    defaults = {name: kind() for name, kind in sections.items() if name != "model"}
    defaults["model"] = presets[_preset_of("preset", arguments, presets, preset)]
    if discriminators is not None:
        named = "discriminator_preset"
        parser.add_argument(f"--{named}", default="mini", choices=sorted(discriminators), help="its named size")
        defaults["discriminator"] = discriminators[_preset_of(named, arguments, discriminators, "mini")]
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    try:
        return parser.instantiate(parser.parse_args(arguments))
    except ArgumentError as error:
        raise ConfigError(str(error), hint=f"See: resgen-tts train {part} --help") from error


def _preset_of(option: str, arguments: list[str], presets: dict[str, Any], default: str) -> str:
    """The preset's name must be known before its values can be defaults: last option, else last YAML, else default."""
    import yaml

    named, files = None, []
    for place, argument in enumerate(arguments):
        name, given, value = argument.partition("=")
        value = value if given else (arguments[place + 1] if place + 1 < len(arguments) else "")
        if name == f"--{option}":
            named = value
        elif name == "--config":
            files.append(value)
    for file in reversed(files):
        if named is None and Path(file).is_file():
            named = (yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}).get(option)
    named = named or default
    if named not in presets:
        raise ConfigError(f"unknown {option} {named!r}; there are {', '.join(sorted(presets))}")
    return named


def speech_crops(options, sample_rate: int):
    """Crops of the prepared recordings, to train on and for scores."""
    from resgen_tts.speech.corpus import AudioCrops, load_cuts

    return (
        AudioCrops(
            load_cuts(options.data, split), sample_rate=sample_rate, crop_seconds=options.crops.seconds,
            batch_size=options.crops.batch_size, seed=options.train.seed,
        )
        for split in ("train", "dev")
    )  # fmt: skip


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial weights from the run's seed; torch's own initialisers know only the global generator."""
    import torch

    from resgen_tts.common.randomness import seed_of

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "init"))
        yield


def fit_part(part: str, task, options, more: dict[str, Any]) -> None:
    """Train, or go on training; the sections of ``options`` and ``more`` are saved with the weights.

    Raises:
        CheckpointError: the part of ``--init`` is broken, or another one.
        ConfigError: it has other sizes.
    """
    from resgen_tts.engine.loop import fit

    sections = {
        name: to_plain(value)
        for name, value in vars(options).items()
        if hasattr(value, "__dataclass_fields__") and name != "config"
    }
    resolved = {"part": part, **sections, **more}
    if getattr(options, "init", None) is not None:
        resolved["init"] = start_from(options.init, part, task.model)
    count = sum(parameter.numel() for parameter in task.model.parameters())
    print(f"train {part}: {count / 1e6:.2f} M parameters, commit {commit_hash()}", file=sys.stderr)
    fit(task, options.train, options.output, resolved)


def start_from(folder: Path, part: str, model) -> str:
    """Fill a model that will be trained with the weights of a finished part; returns the hash of its file.

    How the codebooks learn (``model.quantizer``) may differ, as far as the weights are the same.
    """
    from resgen_tts.apps.weights.parts import final_folder, read_part
    from resgen_tts.common.config import from_plain
    from resgen_tts.common.run_dir import sha256_file
    from resgen_tts.engine.checkpoint import MODEL, load_into

    tensors, config = read_part(folder, part)
    theirs, ours = to_plain(from_plain(type(model.config), config["model"])), to_plain(model.config)
    differing = [name for name in ours if name != "quantizer" and ours[name] != theirs[name]]
    if differing:
        raise ConfigError(f"--init {folder}: that {part} has another {', '.join(differing)} than this run's model.")
    load_into(model, tensors, str(folder))
    return sha256_file(final_folder(folder) / MODEL)
