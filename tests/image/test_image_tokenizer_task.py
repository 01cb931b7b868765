"""Training of the image VAE with all of its losses: what they sum up to, and the judge's part in a run."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import read_jsonl
from resgen_tts.engine.checkpoint import load_model
from resgen_tts.engine.config import TrainConfig
from resgen_tts.engine.loop import fit
from resgen_tts.engine.task import AdversarialTask
from resgen_tts.image.dataset import ImageBatches, Pictures, to_signed
from resgen_tts.image.tokenizer_task import ImageVAETask, ImageVAETaskConfig
from resgen_tts.tokenizers.image_discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from resgen_tts.tokenizers.image_vae import ImageVAE, ImageVAEConfig
from resgen_tts.tokenizers.perceptual import LPIPS
from resgen_tts.tokenizers.quantizer import QuantizerConfig

SIZES = ImageVAEConfig(
    image_size=8, channels_in=3, widths=(8, 16), blocks=(0, 1),
    quantizer=QuantizerConfig(depth=3, codebook_size=8, dim=4, warmup_vectors=128, decay=0.9),
)  # fmt: skip


class Blur(LPIPS):
    """In the place of LPIPS: half the squared difference of the pictures' means."""

    def __init__(self):
        nn.Module.__init__(self)  # without VGG16

    def forward(self, pictures, others):
        return (pictures - others).mean((1, 2, 3)).square() / 2


def task(sizes=SIZES, judged=True, perceptual=None, **changes):
    torch.manual_seed(0)
    rng = generator(0, "pictures")
    small = torch.randint(0, 2, (32, 3, 2, 2), generator=rng, dtype=torch.uint8) * 255
    pictures = Pictures(small.repeat_interleave(4, -1).repeat_interleave(4, -2), torch.zeros(32, dtype=torch.long))
    batches = ImageBatches(pictures, batch_size=8, seed=0)
    judge = PatchDiscriminator(PatchDiscriminatorConfig(layers=1, width=8), 3, 8) if judged else None
    return ImageVAETask(
        ImageVAETaskConfig(validation_batches=2, **changes), ImageVAE(sizes), train=batches, validation=batches,
        seed=0, discriminator=judge, perceptual=perceptual,
    )  # fmt: skip


def settings(**changes):
    same = {"steps": 12, "learning_rate": 0.01, "log_every": 1, "tensorboard": False, "adversarial_start": 6}
    return TrainConfig(**(same | changes))


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_the_loss_is_the_weighted_sum_of_its_parts(update):
    sizes = replace(SIZES, quantizer=replace(SIZES.quantizer, update=update))
    made = task(sizes, perceptual=Blur(), pixel_weight=2.0, perceptual_weight=3.0, codebook_weight=0.5)
    for index, batch in enumerate(made.train_batches(0)):
        output = made.step(made.model, batch, generator(0, index), index)
        made.accept(made.model, output.outputs)
    logs = {name: float(value) for name, value in output.logs.items()}
    images, decoded = to_signed(batch.images), output.outputs["decoded"].detach()
    assert logs["mse"] == pytest.approx(float((images - decoded).square().mean()))
    assert logs["lpips"] == pytest.approx(float(Blur()(images, decoded).mean()))
    assert logs["commitment"] > 0 and (logs["codebook"] > 0) == (update == "gradient")
    reconstruction = 2 * logs["mse"] + 3 * logs["lpips"]
    assert float(output.outputs["reconstruction"].detach()) == pytest.approx(reconstruction)
    whole = reconstruction + 0.25 * logs["commitment"] + 0.5 * logs["codebook"]
    assert float(output.loss.detach()) == pytest.approx(whole, rel=1e-5)


def test_the_judges_pull_at_the_last_layer_is_the_reconstructions_times_its_weight():
    """That is what the adaptive weight is for."""
    made = task(adversarial_weight=0.75)
    batch = next(iter(made.train_batches(0)))
    outputs = made.step(made.model, batch, generator(0), 0).outputs
    verdict = made.adversarial(made.discriminator, batch, outputs)
    last = made.model.last_layer
    pulls = [
        torch.autograd.grad(loss, last, retain_graph=True)[0].norm()
        for loss in (verdict.loss, outputs["reconstruction"])
    ]
    torch.testing.assert_close(pulls[0], 0.75 * pulls[1], rtol=0.01, atol=0)
    scores = made.discriminator(outputs["decoded"])
    assert float(verdict.logs["adversarial"]) == pytest.approx(-float(scores.detach().mean()), rel=1e-5)


def test_the_judge_learns_to_tell_pictures_from_copies():
    made = task()
    batch = next(iter(made.train_batches(0)))
    outputs = {name: value.detach() for name, value in made.step(made.model, batch, generator(0), 0).outputs.items()}
    optimizer = torch.optim.Adam(made.discriminator.parameters(), lr=0.01)
    first = None
    for _ in range(30):
        output = made.discriminator_step(made.discriminator, batch, outputs)
        first = first or float(output.loss.detach())
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    assert float(output.loss.detach()) < 0.2 < first
    assert output.logs["score_real"] > 0 > output.logs["score_decoded"]


def test_a_run_with_a_judge_that_joins_late_resumes_as_if_it_had_not_stopped(tmp_path):
    assert isinstance(task(), AdversarialTask)
    before = copy.deepcopy(task().discriminator.state_dict())
    whole = task()
    fit(whole, settings(), tmp_path / "whole", {})
    for steps in (8, 12):
        parts = task()
        fit(parts, settings(steps=steps), tmp_path / "parts", {})
    ends = [load_model(tmp_path / run / "final")[0] for run in ("whole", "parts")]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    after = whole.discriminator.state_dict()
    assert all(torch.equal(value, parts.discriminator.state_dict()[name]) for name, value in after.items())
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
    rows = {
        row["step"]: row for row in read_jsonl(tmp_path / "whole" / "metrics.jsonl") if row.get("kind") != "validate"
    }
    assert "adaptive_weight" not in rows[5] and rows[12]["adaptive_weight"] > 0
    assert list((tmp_path / "whole" / "plots").glob("levels_*.png"))


def test_validation_says_how_each_level_is_used_and_the_perceptual_distance():
    made = task(judged=False, perceptual=Blur(), perceptual_weight=1.0)
    for batch in made.train_batches(0):
        made.accept(made.model, made.step(made.model, batch, generator(0), 0).outputs)
    with torch.no_grad():
        scores = made.validate(made.model.eval(), generator(0))
    left = [scores[f"residual/level_0{level}"] for level in range(3)]
    assert left == sorted(left, reverse=True) and left[-1] > 0
    assert scores["lpips"] > 0 and list(scores)[:2] == ["mse", "psnr"]
    with torch.no_grad():
        silent = task(judged=False)
        assert "lpips" not in silent.validate(silent.model, generator(0))


def test_lpips_without_its_weights_is_refused():
    with pytest.raises(ConfigError, match="there is no LPIPS"):
        task(perceptual_weight=1.0)
    with pytest.raises(ConfigError, match="must not be negative"):
        ImageVAETaskConfig(perceptual_weight=-1.0)
