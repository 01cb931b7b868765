"""Trained generators of pictures beside one another, beside their tokenizer, and beside real pictures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from resgen_tts.apps.bench.quality import measure_quality
from resgen_tts.apps.bench.speed import scheme_sampler
from resgen_tts.apps.weights.parts import read_part
from resgen_tts.apps.weights.pretrained_image import load_image_vae
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.evaluation.judges.picture_judge import PictureJudge, load_judge, train_judge
from resgen_tts.evaluation.measures.image_quality import frechet_distance
from resgen_tts.image.codes import code_space_hash
from resgen_tts.image.dataset import Pictures, load_pictures, to_bytes, to_signed
from resgen_tts.tokenizers.image_vae import ImageVAE

LEAST_SAMPLES = 100  # for a Frechet distance
BATCH = 250  # pictures put through the tokenizer at once


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """Trained generators, and what they are held against."""

    checkpoints: tuple[Path, ...]  # runs of ``train image_generator``
    image_vae: Path  # whose codes they were trained on
    data: str  # folder of MNIST's IDX files, or the name "digits"
    judge: Path | None = None  # a saved judge of pictures; None = trained here on the data's training pictures
    samples: int = 2000  # of each checkpoint and guidance weight
    guidance_end: tuple[float, ...] = (1.0, 2.0, 3.0)  # weights at the last step, from 1 at the first; 1.0 = off
    seed: int = 0

    def __post_init__(self):
        if self.samples < LEAST_SAMPLES:
            raise ConfigError(f"--samples must be at least {LEAST_SAMPLES}, got {self.samples}")
        if not self.guidance_end:
            raise ConfigError("--guidance_end needs a weight; 1.0 is off")


def measure_checkpoints(
    options: CheckpointOptions, sampler: SamplerConfig, inner_steps: int, output: Path
) -> dict[str, Any]:
    """Figures of every checkpoint and weight, and of real pictures on the same scale; sheets of samples in ``output``.

    Raises:
        ConfigError: a checkpoint that was trained on another tokenizer's codes, or fewer test pictures than samples.
        CheckpointError, DataError: something is missing or broken.
    """
    vae = load_image_vae(options.image_vae)
    plans = [(run, _samplers(run, vae, options, sampler, inner_steps)) for run in options.checkpoints]
    train, test = (load_pictures(options.data, split, vae.config.image_size) for split in ("train", "test"))
    order = torch.randperm(len(test), generator=generator(options.seed, "test pictures"))  # MNIST's first are the easy
    test = Pictures(test.images[order], test.labels[order])
    if options.samples > len(test):
        raise ConfigError(f"--samples {options.samples}: {options.data} has {len(test)} test pictures")
    if options.judge is None:
        judge = train_judge(train.images.numpy(), train.labels.numpy(), test.images.numpy(), test.labels.numpy())
    else:
        judge = load_judge(options.judge)
    rows = [
        row
        for run, samplers in plans
        for row in measure_quality(
            run, options.image_vae, judge, test.images.numpy(), samplers,
            samples=options.samples, seed=options.seed, sheets=output,
        )
    ]  # fmt: skip
    real = _real_figures(judge, vae, test, options.samples)
    return {"samples": options.samples, "judge": judge.facts, "real": real, "checkpoints": rows}


def _samplers(
    run: Path, vae: ImageVAE, options: CheckpointOptions, sampler: SamplerConfig, inner_steps: int
) -> list[SamplerConfig]:
    """One sampler a weight; of a generator without classes the one without guidance."""
    _, config = read_part(run, "image_generator")
    if config["codes"]["code_space"] != code_space_hash(vae.code_space):
        raise ConfigError(f"{run} was trained on the codes of another image VAE than {options.image_vae}")
    own, _ = scheme_sampler(config["scheme"], sampler, inner_steps, vae.code_space.depth)
    weights = options.guidance_end if config["batches"]["conditional"] else (1.0,)
    return [replace(own, guidance_start=1.0, guidance_end=weight) for weight in weights]


def _real_figures(judge: PictureJudge, vae: ImageVAE, test: Pictures, samples: int) -> dict[str, dict[str, float]]:
    """What no generator can pass: test pictures through the tokenizer, and as many other test pictures if there are.

    Pictures that the judge was trained on would not do: to it they look unlike all others.
    """
    known = test.images[:samples]
    with torch.inference_mode():
        decoded = torch.cat([to_bytes(vae.decode(vae.encode(to_signed(part)))) for part in known.split(BATCH)])
    compared = {"through the tokenizer": (decoded, test.labels[:samples])}
    if len(test) >= 2 * samples:
        compared["others"] = (test.images[samples : 2 * samples], test.labels[samples : 2 * samples])
    features = judge.features(known.numpy())
    return {
        name: {
            "frechet": frechet_distance(features, judge.features(images.numpy())),
            "agreement": judge.agreement(images.numpy(), labels.numpy()),
        }
        for name, (images, labels) in compared.items()
    }
