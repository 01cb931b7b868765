"""Training of the Mel-VAE: the loss falls, refused steps change nothing, scores and pictures."""

import copy
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.engine.task import AdversarialTask
from resgen_tts.speech.corpus import AudioBatch, AudioCrops
from resgen_tts.speech.tokenizer_task import MelVAETask, MelVAETaskConfig
from resgen_tts.tokenizers.log_mel import MelConfig
from resgen_tts.tokenizers.mel_discriminators import MelDiscriminatorConfig
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig


class Tones(AudioCrops):
    """Crops that need no files: gliding tones in noise."""

    def __init__(self, samples=6400, items=4):
        self.samples, self.items = samples, items

    def batch(self, epoch, index):
        rng = generator(0, epoch, index)
        time = torch.arange(self.samples) / 16_000
        pitch = 100 + 300 * torch.rand(self.items, 2, generator=rng)
        phase = (pitch[:, :1] + pitch[:, 1:] * time) * time * 6.283
        wave = 0.2 * torch.sin(phase) + 0.1 * torch.sin(3 * phase)
        wave = wave + 0.003 * torch.randn(self.items, self.samples, generator=rng)
        ids = tuple(f"{epoch}-{index}-{item}" for item in range(self.items))
        return AudioBatch(ids, wave, self.items * self.samples / 16_000)

    def epoch(self, epoch):
        return (self.batch(epoch, index) for index in range(10))

    def fixed(self, num_batches):
        return [self.batch(-1, index) for index in range(num_batches)]


QUANTIZER = QuantizerConfig(depth=4, codebook_size=8, dim=6, warmup_vectors=32, decay=0.9)


def task_of(quantizer=None, **changes):
    torch.manual_seed(0)
    config = MelVAEConfig(
        mel=MelConfig(num_mels=20),
        quantizer=quantizer or QUANTIZER,
        strides=(2, 2, 2),
        widths=(12, 12, 16, 16),
        blocks=(1, 1, 1, 1),
        expansion=2,
    )
    return MelVAETask(
        MelVAETaskConfig(validation_batches=2, **changes),
        MelVAE(config),
        MelDiscriminatorConfig(window_frames=(8,), poolings=((2, 2),), width=4, layers=2),
        train=Tones(),
        validation=Tones(),
        seed=0,
    )


@pytest.fixture(scope="module")
def trained():
    task = task_of()
    optimizer = torch.optim.Adam(task.model.parameters(), lr=3e-3)
    losses = []
    for epoch in range(10):
        for index, batch in enumerate(task.train_batches(epoch)):
            output = task.step(task.model, batch, generator(0, epoch, index), 10 * epoch + index)
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
            task.accept(task.model, {name: value.detach() for name, value in output.outputs.items()})
            losses.append(float(output.logs["mel_l1"]))
    return task, losses


def test_it_is_a_task_of_the_engine():
    assert isinstance(task_of(), AdversarialTask)


def test_training_lowers_the_loss(trained):
    _, losses = trained
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_scores_begin_with_the_headline_and_name_every_level(trained):
    task, _ = trained
    with torch.no_grad():
        scores = task.validate(task.model.eval(), generator(0))
    assert next(iter(scores)) == "mel_l1"
    assert scores["mel_l1"] < scores["mel_l1/depth_01"]
    assert {"mel_l1/depth_02", "usage/level_00", "perplexity/level_03", "residual/level_03"} <= scores.keys()
    assert all(1 <= scores[f"perplexity/level_{level:02d}"] <= 8 for level in range(4))


def test_scores_of_levels_and_agreement_are_those_of_the_codes(trained):
    """Counted one by one over the validation batches."""
    task, _ = trained
    model, used, left, same = task.model.eval(), set(), [], []
    with torch.no_grad():
        scores = task.validate(model, generator(0))
        for batch in Tones().fixed(2):
            mel = task.log_mel(batch.wave)
            latents = model.encode_latent(mel)
            codes = model.quantize(latents)
            again = model.quantize(
                model.encode_latent(model.decode_latent(model.code_space.total(codes), mel.shape[1]))
            )
            same.append(again[..., 0] == codes[..., 0])
            used |= set(codes[..., 0].flatten().tolist())
            left.append((latents - model.code_space.codebooks[0][codes[..., 0]]).square())
    assert scores["agreement/level_00"] == pytest.approx(float(torch.cat(same).float().mean()))
    assert scores["usage/level_00"] == pytest.approx(len(used) / 8)
    assert scores["residual/level_00"] == pytest.approx(float(torch.cat(left).mean()), rel=1e-4)
    assert scores["residual/level_03"] < scores["residual/level_00"]


def test_the_loss_is_the_weighted_sum_of_its_parts(trained):
    task, _ = trained
    changed = copy.copy(task)
    changed.config = MelVAETaskConfig(
        mel_weight=2.0, commitment_weight=0.5, codebook_weight=3.0, stability_weight=0.7, stability_margin=2.0
    )
    output = changed.step(task.model, Tones().batch(0, 0), generator(0), 0)
    logs = output.logs
    expected = 2.0 * logs["mel_l1"] + 0.5 * logs["commitment"] + 3.0 * logs["codebook"] + 0.7 * logs["stability"]
    torch.testing.assert_close(output.loss.detach(), expected)
    assert float(logs["stability"]) > 0
    assert "stability" not in task.step(task.model, Tones().batch(0, 0), generator(0), 0).logs


def test_codebooks_that_learn_by_gradient_get_it_from_the_loss():
    task = task_of(replace(QUANTIZER, update="gradient"))
    codebooks = task.model.quantizer.codebooks
    for index in range(3):  # 3 x 4 items x 4 code frames start it
        output = task.step(task.model, Tones().batch(0, index), generator(0, index), index)
        task.accept(task.model, {name: value.detach() for name, value in output.outputs.items()})
    output = task.step(task.model, Tones().batch(0, 9), generator(0, 9), 9)
    (gradient,) = torch.autograd.grad(output.loss, codebooks)
    assert (gradient.abs().sum((1, 2)) > 0).all()
    assert float(output.logs["codebook"]) > 0


def test_plots_are_written(trained, tmp_path):
    task, _ = trained
    with torch.no_grad():
        task.plots(task.model.eval(), tmp_path, 7)
    assert {path.name for path in tmp_path.iterdir()} == {"mel_0000007.png", "levels_0000007.png"}


def test_a_step_that_is_not_accepted_changes_nothing():
    task = task_of()
    before = copy.deepcopy(task.model.state_dict())
    batch = next(iter(task.train_batches(0)))
    poisoned = AudioBatch(batch.ids, batch.wave * float("nan"), batch.seconds)
    assert not task.step(task.model, poisoned, generator(0), 0).loss.isfinite()
    output = task.step(task.model, batch, generator(0), 0)
    assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())
    task.accept(task.model, output.outputs)
    assert int(task.model.quantizer.num_recent) > 0


def test_the_same_draw_gives_the_same_step():
    batch = Tones().batch(0, 0)
    first, second, other = (
        float(task.step(task.model, batch, generator(seed), 0).loss.detach())
        for task, seed in ((task_of(), 1), (task_of(), 1), (task_of(), 1))
    )
    assert first == second == other


def test_adversarial_sides(trained):
    task, _ = trained
    batch = next(iter(task.train_batches(0)))
    output = task.step(task.model, batch, generator(0), 0)
    against = task.adversarial(task.discriminator, batch, output.outputs)
    gradients = torch.autograd.grad(against.loss, list(task.model.decoder.parameters()))
    assert any(float(gradient.abs().sum()) > 0 for gradient in gradients)
    expected = 1.0 * against.logs["adversarial"] + 2.0 * against.logs["feature_matching"]
    torch.testing.assert_close(against.loss.detach(), expected)
    task.discriminator_step(task.discriminator, batch, output.outputs).loss.backward()
    assert all(parameter.grad is not None for parameter in task.discriminator.parameters())


@pytest.mark.parametrize(
    "wrong", [{"depth_dropout": 1.5}, {"validation_batches": 0}, {"stability_weight": -1.0}, {"stability_margin": -0.1}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        MelVAETaskConfig(**wrong)
