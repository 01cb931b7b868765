"""The verb ``score-image-tokenizer``: pictures in, their copies at every depth, PSNR and rFID out."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json, write_text
from resgen_tts.evaluation.measures.image_quality import NEIGHBOURS, SPLITS, PictureFeatures
from resgen_tts.evaluation.picture_scores import RealPictures, look_at, real_pictures, score_pictures

BATCH = 250  # pictures copied at once
LOOKED = 50  # pictures that the network of the figures sees at once
SHOWN = 10  # pictures on the sheet
# Rounding to bytes alone leaves this squared error (a step of 1, evenly spread): 58.9 dB, the most that can be told.
_LEAST_SQUARED_ERROR = 1 / 12


def score_image_tokenizer(
    image_vae: Path,
    data: str,
    output: Path,
    *,
    judge: Path | None = None,
    inception: Path | None = None,
    allow_pickle: bool = False,
    depths: str = "",
    limit: int = 0,
    device: str = "cpu",
    seed: int = 0,
) -> None:
    """Score an image tokenizer's copies of test pictures beside the pictures, at each depth.

    Writes report.md, score.json and copies.png. Frechet distance (rFID), precision and recall are of features of the
    Inception network, or of a small judge that was trained on pictures of the same data: for comparing rows of one
    table, never with published figures.

    Args:
        image_vae: trained image VAE.
        data: folder with MNIST's IDX files or of photographs with labels.tsv, or the name "digits".
        output: folder to write into.
        judge: folder of the judge of pictures.
        inception: weights of the Inception network, in the place of a judge.
        allow_pickle: whether those weights may be a pickle; it is read as plain tensors only.
        depths: levels to decode, e.g. 1,2,4; none: powers of two and all.
        limit: so many pictures, drawn by the seed; 0: all of the test split.
        device: where the Inception network works.
        seed: of the draw and of the intervals.
    Raises:
        ConfigError: depths that the tokenizer does not have, too few pictures, or not one of judge and inception.
        CheckpointError: weights that cannot be used.
    """
    from tqdm import tqdm

    from resgen_tts.apps.scoring.score_images import picture_features
    from resgen_tts.apps.scoring.score_tokenizer import depths_to_decode
    from resgen_tts.apps.weights.pretrained_image import load_image_vae
    from resgen_tts.image.dataset import load_pictures, to_bytes, to_signed
    from resgen_tts.image.sheets import draw_sheet

    critic = picture_features(inception, judge, allow_pickle=allow_pickle, device=device)
    model = load_image_vae(image_vae)
    space, config = model.code_space, model.config
    pictures = load_pictures(data, "test", config.image_size)
    chosen = torch.randperm(len(pictures), generator=generator(seed, "score-image-tokenizer"))
    chosen = chosen[: limit or None].sort().values
    if len(chosen) <= NEIGHBOURS:
        raise ConfigError(f"--limit must leave at least {NEIGHBOURS + 1} pictures, got {limit}")
    images, labels = pictures.images[chosen], pictures.labels[chosen].numpy()
    truth = images.numpy()
    real = real_pictures(look_at(critic, _parts(truth), len(truth), "pictures"))
    rows: dict[str, dict[str, Any]] = {"pictures": _figures(truth, truth, real, labels, critic, seed)}
    sheet = [("pictures", to_signed(images[:SHOWN]))]
    with torch.inference_mode():
        codes = torch.cat([model.encode(to_signed(part)) for part in tqdm(images.split(BATCH), "encode", disable=None)])
        for depth in depths_to_decode(depths, space.depth):
            copies = torch.cat([to_bytes(model.decode(part[..., :depth])) for part in codes.split(BATCH)])
            bits = codes.shape[1] * depth * np.log2(space.codebook_size) / config.image_size**2
            figures = _figures(truth, copies.numpy(), real, labels, critic, seed)
            rows[f"depth {depth}"] = {"bits_per_pixel": float(bits), **figures}
            sheet.append((f"depth {depth}", to_signed(copies[:SHOWN])))
    facts = {
        "tokenizer": str(image_vae),
        "data": f"{data}, {len(images)} of {len(pictures)} test pictures",
        "features": critic.name,
        "weights": f"{inception or judge}, SHA-256 {critic.weights_sha256}",
        **({"judge": critic.facts} if critic.is_embedded else {"is_published_file": critic.is_published}),
        "commit": commit_hash(),
        "hardware": hardware_line(),
        "seed": seed,
    }
    draw_sheet(Path(output) / "copies.png", sheet)
    write_text(Path(output) / "report.md", _markdown(rows, facts, critic.is_embedded))
    write_json(Path(output) / "score.json", {**facts, "rows": rows})
    print(f"{Path(output) / 'report.md'}: {len(images)} pictures", file=sys.stderr)


def psnr(pictures: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Peak signal to noise ratio of each copy [N, ...] in bytes, dB: ``10 log10(255^2 / mean squared error)``."""
    difference = pictures.astype(np.float64) - copies
    squares = (difference**2).reshape(len(pictures), -1).mean(1)
    return 10 * np.log10(255**2 / np.maximum(squares, _LEAST_SQUARED_ERROR))


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    return (images[start : start + LOOKED] for start in range(0, len(images), LOOKED))


def _figures(
    pictures: np.ndarray, copies: np.ndarray, real: RealPictures, labels: np.ndarray, critic: PictureFeatures, seed: int
) -> dict[str, Any]:
    from resgen_tts.evaluation.measures.statistics import mean_interval

    seen = look_at(critic, _parts(copies), len(copies), "copies")
    score = score_pictures(seen, real, splits=min(SPLITS, len(copies)), seed=seed)
    found = {"psnr": asdict(mean_interval(psnr(pictures, copies).tolist(), seed=seed)), **score.to_json()}
    if critic.is_embedded:  # the Inception network knows other classes
        found["agreement"] = critic.agreement(copies, labels)
    return found


def _markdown(rows: dict[str, dict[str, Any]], facts: dict[str, Any], is_embedded: bool) -> str:
    from resgen_tts.evaluation.picture_scores import PictureScore, score_cells, score_header, score_notes
    from resgen_tts.evaluation.reports.report import EMBEDDED_MARK, NOT_MEASURED
    from resgen_tts.evaluation.reports.scheme_table import table

    lines = []
    for name, row in rows.items():
        rate, noise = row.get("bits_per_pixel"), row["psnr"]
        lines.append([
            name, NOT_MEASURED if rate is None else f"{rate:.4f}",
            f"{noise['value']:.2f} [{noise['low']:.2f}, {noise['high']:.2f}]",
            *score_cells(PictureScore.from_json(row), is_embedded),
            *([f"{100 * row['agreement']:.2f} %"] if is_embedded else []),
        ])  # fmt: skip
    figures = score_header(is_embedded)
    figures[0] = f"rFID {EMBEDDED_MARK}" if is_embedded else "rFID"
    header = ["copies", "bits / pixel", "PSNR, dB", *figures]
    header += [f"class as labelled {EMBEDDED_MARK}"] if is_embedded else []
    told = [f"* {name}: {value}" for name, value in facts.items()]
    notes = [*score_notes(is_embedded), "PSNR: 95 % intervals, bootstrap over pictures."]
    text = ["# Scores of an image tokenizer", "", table(header, lines), "", "\n\n".join(notes), "", *told, ""]
    return "\n".join(text)
