"""Quality of trained image generators: how near their samples come to real pictures, and at what cost."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resgen_tts.apps.weights.pretrained_image import load_image_generator, load_image_vae
from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator as named_generator
from resgen_tts.common.run_dir import read_json, read_jsonl
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.evaluation.judges.picture_judge import PictureJudge
from resgen_tts.evaluation.measures.image_quality import coverage, frechet_distance, inception_score
from resgen_tts.evaluation.protocols.picture_sets import write_npz
from resgen_tts.image.dataset import to_bytes
from resgen_tts.image.sheets import draw_sheet
from resgen_tts.image.synthesizer import draw_codes, draw_pictures

BATCH = 250  # pictures sampled at once
RESAMPLES = 40  # of the bootstrap over pictures


def measure_quality(
    run: Path,
    image_vae: Path,
    judge: PictureJudge,
    real: np.ndarray,
    samplers: Iterable[SamplerConfig],
    *,
    samples: int,
    seed: int,
    sheets: Path | None = None,
) -> list[dict[str, Any]]:
    """Sample a trained generator with each sampler and compare with real pictures.

    Args:
        run: folder that ``train image_generator`` left.
        real: as many real pictures as samples, or more, in bytes [N, channels, height, width]; the first are used.
        samples: how many pictures, classes in equal shares.
        sheets: folder for one sheet of samples per sampler, and for the samples themselves, ``.npz`` as
            ``score-images`` reads them.
    Returns:
        One row a sampler: Frechet distance with a bootstrap interval over pictures, share of pictures that the judge
        takes for the asked class, its score of classes, precision, recall, network calls, seconds.
    Raises:
        ConfigError: more samples than real pictures.
    """
    if samples > len(real):
        raise ConfigError(f"{samples} samples need as many real pictures, there are {len(real)}.")
    generator, vae = load_image_generator(run), load_image_vae(image_vae)
    facts = read_json(_final(run) / "config.json")
    scored = [row for row in read_jsonl(Path(run) / "metrics.jsonl") if row["kind"] == "validate"]
    num_classes = facts["model"]["num_classes"] or 1
    labels = torch.arange(samples) % num_classes
    real_features = judge.features(real[:samples])
    rows = []
    for place, sampler in enumerate(samplers):
        rng = named_generator(seed, "quality", place)
        start = time.perf_counter()
        made = [to_bytes(draw_pictures(generator, vae, part, sampler, rng)).numpy() for part in labels.split(BATCH)]
        seconds = (time.perf_counter() - start) / samples
        pictures = np.concatenate(made)
        seen = judge.activations(pictures)
        features, near = seen.features, coverage(real_features, seen.features)
        low, high = _bootstrap(real_features, features, seed)
        calls, alone = _one(generator, labels[:1], sampler, seed)
        rows.append({
            "run": Path(run).name, "scheme": facts["scheme"], "depth": generator.codes_model.code_space.depth,
            "seed": facts["train"]["seed"], "steps": scored[-1]["step"] if scored else None,
            "parameters": sum(parameter.numel() for parameter in generator.parameters()),
            "nats_per_code": scored[-1]["nats_per_code"] if scored else None,
            "guidance_start": sampler.guidance_start, "guidance_end": sampler.guidance_end,
            "schedule": sampler.schedule, "frechet": frechet_distance(real_features, features),
            "frechet_low": low, "frechet_high": high, "agreement": judge.agreement(pictures, labels.numpy()),
            "score_of_classes": inception_score(seen.probabilities, splits=1).mean, "precision": near.precision,
            "recall": near.recall, "network_calls": calls, "seconds_alone": alone, "seconds_in_batch": seconds,
            "samples": samples, "sampler": to_plain(sampler),
        })  # fmt: skip
        print(
            f"{rows[-1]['run']:28} w {sampler.guidance_start:.1f} -> {sampler.guidance_end:.1f} {sampler.schedule:12} "
            f"Frechet {rows[-1]['frechet']:.3f} [{low:.3f}, {high:.3f}]  agrees {100 * rows[-1]['agreement']:.1f} %  "
            f"calls {calls}  {alone * 1e3:.0f} ms alone, {seconds * 1e3:.1f} ms in batches",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        if sheets is not None:
            shown = torch.from_numpy(pictures[: 10 * num_classes]).float() / 127.5 - 1
            draw_sheet(
                sheets / f"{Path(run).name}_{place}.png",
                [(str(one), shown[one::num_classes]) for one in range(num_classes)],
            )
            write_npz(sheets / f"{Path(run).name}_{place}.npz", {"arr_0": pictures.transpose(0, 2, 3, 1)})
    return rows


def _one(generator, labels: torch.Tensor, sampler: SamplerConfig, seed: int) -> tuple[str, float]:
    """Network calls (trunk, and depth transformer where there is one) and seconds of one picture's codes alone."""
    model = generator.codes_model
    parts = [model.trunk] + ([model.depth] if hasattr(model, "depth") else [])
    counts = [0] * len(parts)

    def count(place: int):
        def hook(*_) -> None:
            counts[place] += 1

        return hook

    hooks = [part.register_forward_hook(count(place)) for place, part in enumerate(parts)]
    draw_codes(generator, labels, sampler, named_generator(seed, "calls"))
    for hook in hooks:
        hook.remove()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        draw_codes(generator, labels, sampler, named_generator(seed, "alone"))
        times.append(time.perf_counter() - start)
    return " + ".join(map(str, counts)), sorted(times)[1]


def _bootstrap(real: np.ndarray, made: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % interval of the Frechet distance under resampling of the made pictures, centred on the estimate.

    Resampling adds a bias of its own, which moves both ends alike; the basic interval takes it off.
    """
    rng = np.random.default_rng(seed)
    found = frechet_distance(real, made)
    drawn = [frechet_distance(real, made[rng.integers(0, len(made), len(made))]) for _ in range(RESAMPLES)]
    centred = np.array(drawn) - np.mean(drawn) + found
    low, high = np.quantile(centred, [0.025, 0.975])
    return float(low), float(high)


def _final(run: Path) -> Path:
    from resgen_tts.apps.weights.parts import final_folder

    return final_folder(run)
