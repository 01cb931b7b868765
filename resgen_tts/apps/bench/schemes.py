"""The verb ``bench``: the ways of generating codes side by side, fresh ones for speed and trained ones for quality."""

import argparse
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from resgen_tts.apps.options import underscored
from resgen_tts.common.errors import ConfigError

WHAT = ("schemes",)
_SPEED = {
    "positions": "frames of an item",
    "depth": "levels of codes",
    "dim": "latent channels",
    "codebook_size": "codes of a level",
    "parameters": "trainable numbers of every scheme",
    "layers": "of the trunk; others are tried where no width fits",
    "components": "of the mixtures of resgen and ar_resgen",
    "rank": "of their means",
    "batch": "items generated at once",
    "rounds": "generations that are timed; 0: none",
    "depths": "depths of the sweep; empty: no sweep",
    "schemes": "which ones",
    "device": "of the speed: cpu, cuda, ...",
    "seed": "of weights and draws",
}
_QUALITY = {
    "judge": "folder of a saved judge of pictures; else one is trained on the data",
    "samples": "pictures of each checkpoint and guidance weight",
    "guidance_end": "weights at the last step, from 1 at the first; 1: off",
}
_SAMPLER = {
    "steps": "reveal steps",
    "schedule": "how many codes are hidden after each step",
    "order": "confidence or random",
    "top_p": "mass of components or codes that may be drawn",
    "temperature": "of what is drawn",
    "choice_temperature": "of the order",
}


def main(arguments: list[str]) -> None:
    """``bench schemes``: measure, write schemes.json, schemes.md and pictures, print the tables.

    Raises:
        ConfigError: not ``schemes``, or a value that makes no sense.
        CheckpointError, DataError: a checkpoint or pictures that cannot be used.
    """
    if not arguments or arguments[0] not in (*WHAT, "-h", "--help"):
        got = repr(arguments[0]) if arguments else "nothing"
        raise ConfigError(f"bench measures {', '.join(WHAT)}; got {got}.", code="USAGE")
    from resgen_tts.apps.bench.speed import SpeedOptions
    from resgen_tts.core.sampler_config import SamplerConfig

    options = _parser().parse_args(underscored(arguments[1:]))
    given = {**vars(options), "checkpoints": tuple(options.checkpoints)}
    speed = SpeedOptions(**{field.name: given[field.name] for field in fields(SpeedOptions)})
    sampler = SamplerConfig(**{name: given[name] for name in _SAMPLER})
    if options.inner_steps < 1:
        raise ConfigError(f"--inner_steps must be at least 1, got {options.inner_steps}")
    if options.checkpoints and (options.image_vae is None or options.data is None):
        raise ConfigError("--checkpoints needs --image_vae and --data: pictures to be held against.", code="USAGE")
    if not options.checkpoints and not speed.rounds:
        raise ConfigError("--rounds 0 without --checkpoints leaves nothing to measure.", code="USAGE")
    trained = None
    if options.checkpoints:
        from resgen_tts.apps.bench.checkpoints import CheckpointOptions

        trained = CheckpointOptions(**{field.name: given[field.name] for field in fields(CheckpointOptions)})
    report: dict[str, Any] = {"command": shlex.join(["resgen-tts", "bench", *arguments]), "options": _plain(given)}
    _bench_schemes(options, report, speed, trained, sampler)


def _bench_schemes(options: argparse.Namespace, report: dict[str, Any], speed, trained, sampler) -> None:
    import torch

    from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json, write_text
    from resgen_tts.evaluation.reports.scheme_table import depth_table, draw_depths, quality_table, speed_table

    if options.threads:
        torch.set_num_threads(options.threads)
    report |= {"commit": commit_hash(), "seed": options.seed, "hardware": hardware_line()}
    report |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
    texts = []
    if speed.rounds:
        report |= _speed_report(options, speed, sampler)
        reference = "resgen" if "resgen" in speed.schemes else speed.schemes[0]
        texts.append(speed_table(report["speed"], reference))
        if speed.depths:
            texts.append(depth_table(report["depths"]))
            draw_depths(options.output / "depths.png", report["depths"])
    if trained is not None:
        from resgen_tts.apps.bench.checkpoints import measure_checkpoints

        report["quality"] = measure_checkpoints(trained, sampler, options.inner_steps, options.output)
        texts.append(quality_table(report["quality"]))
    facts = f"commit {report['commit']}, seed {options.seed}, {report['hardware']}, {report['threads']} threads"
    write_text(options.output / "schemes.md", "\n\n".join([f"`{report['command']}`", facts, *texts]) + "\n")
    write_json(options.output / "schemes.json", report)
    print("\n\n".join(texts))


def _speed_report(options: argparse.Namespace, speed, sampler) -> dict[str, Any]:
    from dataclasses import replace

    from resgen_tts.apps.bench.speed import fitted_config, measure_speed, peak_memory

    sampler = replace(sampler, guidance_start=options.guidance, guidance_end=options.guidance)
    configs = {scheme: fitted_config(scheme, speed) for scheme in speed.schemes}
    found = measure_speed(configs, sorted({speed.depth, *speed.depths}), sampler, options.inner_steps, speed)
    report = {"speed": found[speed.depth]}
    if options.memory:
        for scheme, config in configs.items():
            peak = peak_memory(scheme, config, sampler, options.inner_steps, speed)
            report["speed"][scheme] = {**report["speed"][scheme], "peak_bytes": peak}
    report["depths"] = {scheme: {str(depth): found[depth][scheme] for depth in speed.depths} for scheme in configs}
    return report


def _parser() -> argparse.ArgumentParser:
    from resgen_tts.apps.bench.checkpoints import CheckpointOptions
    from resgen_tts.apps.bench.speed import SpeedOptions
    from resgen_tts.core.sampler_config import SamplerConfig

    parser = argparse.ArgumentParser(
        prog="resgen-tts bench schemes", description="Measure the schemes of generating codes beside one another.",
        allow_abbrev=False,
    )  # fmt: skip
    add = parser.add_argument
    add("--output", type=Path, required=True, help="folder of schemes.json, schemes.md and pictures")
    add("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's choice")
    add("--inner_steps", type=int, default=2, help="reveal steps of each frame, of ar_resgen (2)")
    add("--guidance", type=float, default=1.0, help="weight while speed is measured; 1: off (1.0)")
    add("--no_memory", dest="memory", action="store_false", help="leave out peak memory, and its processes")
    add("--checkpoints", type=Path, nargs="+", default=[], help="runs of 'train image_generator', to be compared")
    add("--image_vae", type=Path, help="the image VAE whose codes they were trained on")
    add("--data", help="folder of MNIST's IDX files, or the name 'digits'")
    for kind, helps in ((SpeedOptions, _SPEED), (SamplerConfig, _SAMPLER), (CheckpointOptions, _QUALITY)):
        defaults = {field.name: field.default for field in fields(kind)}
        for name, text in helps.items():
            default = defaults[name]
            add(f"--{name}", type=_reader(name, default), default=default, help=f"{text} ({_shown(default)})")
    return parser


def _reader(name: str, default: Any):
    """How the text of an option becomes a value like its default; several values are divided by commas."""
    if name == "judge":
        return Path
    if not isinstance(default, tuple):
        return type(default)
    kind = type(default[0])

    def values(text: str) -> tuple:
        return tuple(kind(part) for part in text.split(",") if part)

    return values


def _shown(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _plain(value: Any) -> Any:
    """Ready for JSON."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value
