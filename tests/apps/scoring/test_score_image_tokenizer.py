"""Scoring an image tokenizer: the noise ratio in closed form, and a report of every depth."""

import json

import numpy as np
import pytest
import torch

from resgen_tts.apps.scoring.score_image_tokenizer import psnr, score_image_tokenizer
from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.checkpoint import save_model
from resgen_tts.evaluation.judges.picture_judge import PictureJudge
from resgen_tts.image.dataset import load_pictures, to_bytes, to_signed
from resgen_tts.tokenizers.image_vae import ImageVAE, ImageVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig


def test_noise_ratio_in_closed_form():
    pictures = np.full((3, 1, 4, 4), 100, np.uint8)
    copies = np.stack([pictures[0], pictures[0] + np.uint8(5), pictures[0]])
    copies[2, 0, 0, 0] = 84  # one pixel of 16 off by 16: mean squared error 16
    expected = [10 * np.log10(255**2 * 12), 20 * np.log10(255 / 5), 20 * np.log10(255 / 4)]
    np.testing.assert_allclose(psnr(pictures, copies), expected)


@pytest.fixture
def parts(tmp_path):
    """An untrained tokenizer of scikit-learn's digits, and an untrained judge of them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = ImageVAEConfig(
            image_size=8, widths=(8, 8), blocks=(1, 1), norm_groups=4,
            quantizer=QuantizerConfig(depth=3, codebook_size=16, dim=4),
        )  # fmt: skip
        model = ImageVAE(sizes)
        model.quantizer.codebooks.copy_(torch.randn(3, 16, 4))
        model.quantizer.started.fill_(True)
    save_model(tmp_path / "vae" / "final", model.state_dict(), {"part": "image_vae", "model": to_plain(sizes)})
    rng = np.random.default_rng(0)
    weights = tuple(rng.normal(size=size).astype(np.float32) for size in ((64, 6), (6, 10)))
    judge = PictureJudge(weights, (np.zeros(6, np.float32), np.zeros(10, np.float32)), {"trained_on": 0})
    judge.save(tmp_path / "judge")
    return tmp_path, model.eval()


def test_every_depth_stands_in_the_report(parts):
    folder, model = parts
    output = folder / "scores"
    score_image_tokenizer(folder / "vae", "digits", output, judge=folder / "judge", depths="1,3", limit=50)
    rows = json.loads((output / "score.json").read_text())["rows"]
    assert list(rows) == ["pictures", "depth 1", "depth 3"]
    assert rows["pictures"]["frechet"] == pytest.approx(0, abs=1e-2)
    assert rows["pictures"]["precision"]["value"] == rows["pictures"]["recall"]["value"] == 1
    assert all(rows[name]["inception_score"]["mean"] >= 1 for name in rows)
    assert [rows[f"depth {depth}"]["bits_per_pixel"] for depth in (1, 3)] == [1, 3]  # 16 codes of 4 bits, 64 pixels
    report = (output / "report.md").read_text()
    assert "depth 3" in report and "rFID †" in report and "recall, % †" in report and "FID |" not in report
    assert (output / "copies.png").is_file()
    score_image_tokenizer(folder / "vae", "digits", folder / "all", judge=folder / "judge", depths="2")
    pictures = load_pictures("digits", "test", 8).images
    with torch.no_grad():
        copies = to_bytes(model.decode(model.encode(to_signed(pictures))[..., :2]))
    row = json.loads((folder / "all" / "score.json").read_text())["rows"]["depth 2"]
    assert row["psnr"]["value"] == pytest.approx(psnr(pictures.numpy(), copies.numpy()).mean(), abs=1e-3)


def test_nonsense_is_refused(parts):
    folder, _ = parts
    for wrong in ({"depths": "4"}, {"limit": 3}, {"inception": folder / "weights.safetensors"}):
        with pytest.raises(ConfigError):
            score_image_tokenizer(folder / "vae", "digits", folder / "none", judge=folder / "judge", **wrong)
    with pytest.raises(ConfigError, match="one of --inception FILE and --judge DIR"):
        score_image_tokenizer(folder / "vae", "digits", folder / "none")
