"""The verb ``score-image-tokenizer``: pictures in, their copies at every depth, PSNR and Frechet distance out."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json, write_text

BATCH = 250  # pictures copied at once
SHOWN = 10  # pictures on the sheet
# Rounding to bytes alone leaves this squared error (a step of 1, evenly spread): 58.9 dB, the most that can be told.
_LEAST_SQUARED_ERROR = 1 / 12


def score_image_tokenizer(
    image_vae: Path, data: str, judge: Path, output: Path, depths: str = "", limit: int = 0, seed: int = 0
) -> None:
    """Score an image tokenizer's copies of test pictures beside the pictures, at each depth.

    Writes report.md, score.json and copies.png. The Frechet distance (rFID) is that of features of a small judge that
    was trained on pictures of the same data: for comparing rows of one table, never with published figures.

    Args:
        image_vae: trained image VAE.
        data: folder with MNIST's IDX files, or the name "digits".
        judge: folder of the judge of pictures.
        output: folder to write into.
        depths: levels to decode, e.g. 1,2,4; none: powers of two and all.
        limit: so many pictures, drawn by the seed; 0: all of the test split.
        seed: of the draw and of the intervals.
    Raises:
        ConfigError: depths that the tokenizer does not have, or fewer than two pictures.
    """
    from tqdm import tqdm

    from resgen_tts.apps.pretrained_image import load_image_vae
    from resgen_tts.apps.score_tokenizer import depths_to_decode
    from resgen_tts.evaluation.measures.image_quality import load_judge
    from resgen_tts.image.dataset import load_pictures, to_bytes, to_signed
    from resgen_tts.image.sheets import draw_sheet

    model, critic = load_image_vae(image_vae), load_judge(judge)
    space, config = model.code_space, model.config
    pictures = load_pictures(data, "test", config.image_size)
    chosen = torch.randperm(len(pictures), generator=generator(seed, "score-image-tokenizer"))
    chosen = chosen[: limit or None].sort().values
    if len(chosen) < 2:
        raise ConfigError(f"--limit must leave at least 2 pictures, got {limit}")
    images, labels = pictures.images[chosen], pictures.labels[chosen].numpy()
    truth = images.numpy()
    rows: dict[str, dict[str, Any]] = {"pictures": _figures(truth, truth, labels, critic, seed)}
    sheet = [("pictures", to_signed(images[:SHOWN]))]
    with torch.inference_mode():
        codes = torch.cat([model.encode(to_signed(part)) for part in tqdm(images.split(BATCH), "encode", disable=None)])
        for depth in depths_to_decode(depths, space.depth):
            copies = torch.cat([to_bytes(model.decode(part[..., :depth])) for part in codes.split(BATCH)])
            bits = codes.shape[1] * depth * np.log2(space.codebook_size) / config.image_size**2
            figures = _figures(truth, copies.numpy(), labels, critic, seed)
            rows[f"depth {depth}"] = {"bits_per_pixel": float(bits), **figures}
            sheet.append((f"depth {depth}", to_signed(copies[:SHOWN])))
    facts = {
        "tokenizer": str(image_vae),
        "data": f"{data}, {len(images)} of {len(pictures)} test pictures",
        "judge": f"{judge}, {critic.facts}",
        "commit": commit_hash(),
        "hardware": hardware_line(),
        "seed": seed,
    }
    draw_sheet(Path(output) / "copies.png", sheet)
    write_text(Path(output) / "report.md", _markdown(rows, facts))
    write_json(Path(output) / "score.json", {**facts, "rows": rows})
    print(f"{Path(output) / 'report.md'}: {len(images)} pictures", file=sys.stderr)


def psnr(pictures: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Peak signal to noise ratio of each copy [N, ...] in bytes, dB: ``10 log10(255^2 / mean squared error)``."""
    difference = pictures.astype(np.float64) - copies
    squares = (difference**2).reshape(len(pictures), -1).mean(1)
    return 10 * np.log10(255**2 / np.maximum(squares, _LEAST_SQUARED_ERROR))


def _figures(pictures: np.ndarray, copies: np.ndarray, labels: np.ndarray, critic, seed: int) -> dict[str, Any]:
    from resgen_tts.evaluation.measures.image_quality import frechet_distance
    from resgen_tts.evaluation.measures.statistics import mean_interval

    return {
        "psnr": asdict(mean_interval(psnr(pictures, copies).tolist(), seed=seed)),
        "frechet": frechet_distance(critic.features(pictures), critic.features(copies)),
        "agreement": critic.agreement(copies, labels),
    }


def _markdown(rows: dict[str, dict[str, Any]], facts: dict[str, Any]) -> str:
    from resgen_tts.evaluation.reports.report import EMBEDDED_MARK, NOT_MEASURED
    from resgen_tts.evaluation.reports.scheme_table import table

    lines = []
    for name, row in rows.items():
        rate, noise = row.get("bits_per_pixel"), row["psnr"]
        lines.append([
            name, NOT_MEASURED if rate is None else f"{rate:.4f}",
            f"{noise['value']:.2f} [{noise['low']:.2f}, {noise['high']:.2f}]", f"{row['frechet']:.3f}",
            f"{100 * row['agreement']:.2f} %",
        ])  # fmt: skip
    header = ["copies", "bits / pixel", "PSNR, dB", f"rFID {EMBEDDED_MARK}", f"class as labelled {EMBEDDED_MARK}"]
    told = [f"* {name}: {value}" for name, value in facts.items()]
    return "\n".join([
        "# Scores of an image tokenizer", "", table(header, lines), "",
        f"{EMBEDDED_MARK} a small judge trained on pictures of the same data: for comparing rows of this table, never",
        "with published FIDs. Intervals: 95 %, bootstrap over pictures.", "", *told, "",
    ])  # fmt: skip
