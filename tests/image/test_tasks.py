"""Training of the image parts: resumed equals uninterrupted, refused steps change nothing, curves, codes on disk."""

import copy

import pytest
import torch
from torch import nn

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import read_jsonl
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.engine.checkpoint import load_model
from resgen_tts.engine.config import TrainConfig
from resgen_tts.engine.loop import fit
from resgen_tts.engine.task import Task
from resgen_tts.image.codes import (
    PictureCodeBatches,
    PictureCodes,
    code_space_hash,
    read_code_space,
    read_codes,
    read_info,
    write_codes,
)
from resgen_tts.image.dataset import ImageBatches, Pictures
from resgen_tts.image.generation_task import ImageGenerationTask
from resgen_tts.image.generator import ImageGenerator
from resgen_tts.image.tokenizer_task import ImageVAETask, ImageVAETaskConfig, psnr
from resgen_tts.tokenizers.image_vae import ImageVAE, ImageVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig


def pictures(count=32):
    rng = generator(0, "pictures")
    small = torch.randint(0, 2, (count, 1, 2, 2), generator=rng, dtype=torch.uint8) * 255
    return Pictures(small.repeat_interleave(4, -1).repeat_interleave(4, -2), small.flatten(1).argmax(1))


def vae_task(**changes):
    torch.manual_seed(0)
    quantizer = QuantizerConfig(depth=3, codebook_size=8, dim=4, warmup_vectors=128, decay=0.9)
    model = ImageVAE(ImageVAEConfig(image_size=8, widths=(8, 16), blocks=(0, 1), quantizer=quantizer))
    batches = ImageBatches(pictures(), batch_size=8, seed=0)
    return ImageVAETask(
        ImageVAETaskConfig(validation_batches=2, depth_dropout=0.5, **changes),
        model,
        train=batches,
        validation=batches,
        seed=0,
    )


class Tally(nn.Module):
    """The least model of codes: logits of each level by class; hidden are as many levels as chance says."""

    def __init__(self, depth=3, size=5, classes=4):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(classes, depth, size))
        self.told = []

    def loss(self, codes, is_target, is_padding, condition, rng):
        assert is_target.all() and not is_padding.any()
        self.told.append(condition)
        depth = codes.shape[-1]
        classes = torch.zeros(len(codes), dtype=torch.long) if condition is None else condition
        log_probs = self.logits.log_softmax(-1)[classes][:, None].expand(*codes.shape, -1)
        nats = -log_probs.gather(-1, codes[..., None])[..., 0]  # [B, T, D]
        num_hidden = torch.randint(1, depth + 1, codes.shape[:2], generator=rng)
        hidden = torch.arange(depth) >= depth - num_hidden[..., None]
        per_frame = (nats * hidden).sum(-1)
        logs = {
            "hidden_share": hidden.float().mean(),
            "nats_per_code": (per_frame.sum() / hidden.sum()).detach(),
            "nats_by_num_hidden": torch.zeros(depth + 1).index_add_(
                0, num_hidden.flatten(), per_frame.flatten().detach()
            ),
            "frames_by_num_hidden": torch.bincount(num_hidden.flatten(), minlength=depth + 1).float(),
        }
        return per_frame.mean(), logs


def coded(count=24, frames=4, depth=3, size=5):
    labels = torch.arange(count) % 4
    codes = (labels[:, None, None] + torch.arange(depth)).expand(count, frames, depth) % size  # the class decides all
    return PictureCodes(codes.contiguous(), labels)


def generation_task(conditional=True):
    batches = PictureCodeBatches(coded(), batch_size=6, seed=0)
    model = ImageGenerator(Tally(), (2, 2), conditional)
    return ImageGenerationTask(model, batches, batches, validation_batches=2)


def settings(**changes):
    return TrainConfig(**({"steps": 12, "learning_rate": 0.01, "log_every": 1, "tensorboard": False} | changes))


@pytest.mark.parametrize("make", [vae_task, generation_task])
def test_resumed_equals_uninterrupted(make, tmp_path):
    assert isinstance(make(), Task)
    fit(make(), settings(), tmp_path / "whole", {})
    for steps in (5, 12):
        fit(make(), settings(steps=steps), tmp_path / "parts", {})
    whole, parts = (load_model(tmp_path / run / "final")[0] for run in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_the_vae_learns_and_says_how_well(tmp_path):
    task = vae_task()
    before = copy.deepcopy(task.model.state_dict())
    fit(task, settings(steps=60, ema_decay=0.0), tmp_path, {})
    assert task.model.quantizer.started
    with torch.no_grad():
        scores = task.validate(task.model, generator(0))
        task.model.load_state_dict(before)
        untrained = task.validate(task.model, generator(0))
    assert next(iter(scores)) == "mse" and scores["mse"] < untrained["mse"] / 2
    assert scores["psnr"] == pytest.approx(psnr(scores["mse"])) and scores["psnr"] > scores["psnr/depth_01"]
    assert all(0 <= scores[f"usage/level_0{level}"] <= 1 for level in range(3))
    assert all(1 <= scores[f"perplexity/level_0{level}"] <= 8 for level in range(3))
    assert list((tmp_path / "plots").glob("pictures_*.png"))


def test_a_step_of_the_vae_moves_no_codebook_until_it_is_accepted():
    task = vae_task()
    batch = next(iter(task.train_batches(0)))
    for _ in range(3):
        output = task.step(task.model, batch, generator(0), 0)
        task.accept(task.model, output.outputs)
    before = copy.deepcopy(task.model.quantizer.state_dict())
    output = task.step(task.model, batch, generator(0), 0)
    assert all(torch.equal(value, before[name]) for name, value in task.model.quantizer.state_dict().items())
    task.accept(task.model, output.outputs)
    assert not torch.equal(task.model.quantizer.mean_sums, before["mean_sums"])


def test_psnr_of_an_error_of_a_tenth_of_the_range():
    assert psnr(0.2**2) == pytest.approx(20.0)


def test_the_generators_logs_hold_scalars_only():
    task = generation_task()
    batch = next(iter(task.train_batches(0)))
    output = task.step(task.model, batch, generator(0), 0)
    assert set(output.logs) == {"nats_per_code", "hidden_share"}
    assert torch.equal(task.model.codes_model.told[-1], batch.labels)


def test_an_unconditional_generator_is_told_nothing():
    task = generation_task(conditional=False)
    task.step(task.model, next(iter(task.train_batches(0))), generator(0), 0)
    assert task.model.codes_model.told == [None]


def test_the_curve_is_the_mean_over_all_frames(tmp_path):
    """Uniform logits cost log V per hidden code, so a frame with n hidden codes costs n log V."""
    task = generation_task()
    with torch.no_grad():
        scores = task.validate(task.model, generator(0))
        task.plots(task.model, tmp_path, 7)
    assert list(scores)[:2] == ["nats_per_code", "loss"]
    nats = torch.tensor(5.0).log()
    assert scores["nats_per_code"] == pytest.approx(float(nats), rel=1e-5)
    (row,) = read_jsonl(tmp_path / "curve.jsonl")
    assert row["step"] == 7 and sum(row["frames"]) == 2 * 6 * 4
    torch.testing.assert_close(torch.tensor(row["nats_per_frame"]), nats * torch.arange(4.0))
    assert (tmp_path / "curve_0000007.png").stat().st_size > 1000


def test_validation_sees_the_same_pictures_and_masks_each_time():
    task = generation_task()
    with torch.no_grad():
        assert task.validate(task.model, generator(1)) == task.validate(task.model, generator(1))


def test_the_class_is_learnt(tmp_path):
    task = generation_task()
    fit(task, settings(steps=60, learning_rate=0.3, ema_decay=0.0), tmp_path, {})
    with torch.no_grad():
        assert task.validate(task.model, generator(0))["nats_per_code"] < 0.05


def test_codes_on_disk(tmp_path):
    space = CodeSpace(torch.randn(3, 5, 2, generator=generator(0)), torch.ones(3))
    write_codes(tmp_path / "codes", {"train": coded(), "test": coded(8)}, space, {"grid": [2, 2]})
    info = read_info(tmp_path / "codes")
    assert info["items"] == {"train": 24, "test": 8}
    assert (info["depth"], info["codebook_size"], info["num_classes"]) == (3, 5, 4)
    again = read_codes(tmp_path / "codes", "test")
    assert torch.equal(again.codes, coded(8).codes) and torch.equal(again.labels, coded(8).labels)
    assert code_space_hash(read_code_space(tmp_path / "codes")) == info["code_space"] == code_space_hash(space)
    other = CodeSpace(space.codebooks + 1e-6, space.level_variance)
    assert code_space_hash(other) != info["code_space"]
    with pytest.raises(DataError, match=r"dev\.safetensors does not exist.*encode-images"):
        read_codes(tmp_path / "codes", "dev")
    (tmp_path / "codes" / "test.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be read"):
        read_codes(tmp_path / "codes", "test")


@pytest.mark.parametrize("change", [{"depth_dropout": 1.5}, {"validation_batches": 0}], ids=str)
def test_nonsense_is_refused(change):
    with pytest.raises(ConfigError, match="image_vae_task"):
        ImageVAETaskConfig(**change)
