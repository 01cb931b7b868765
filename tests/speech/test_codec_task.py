"""Training of the waveform codec: the loss falls, refused steps change nothing, scores and pictures."""

import copy

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.engine.task import AdversarialTask
from resgen_tts.speech.codec_task import WaveCodecTask, WaveCodecTaskConfig
from resgen_tts.speech.corpus import AudioBatch, AudioCrops
from resgen_tts.tokenizers.discriminators import WaveDiscriminatorConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig
from resgen_tts.tokenizers.wave_codec import WaveCodec, WaveCodecConfig


class Tones(AudioCrops):
    """Crops that need no files: harmonic tones of random pitch and loudness; 7 samples more than whole code frames."""

    def __init__(self):
        pass

    def batch(self, epoch, index):
        rng = generator(0, "tones", epoch, index)
        time = torch.arange(2567) / 16_000
        phase = (100 + 200 * torch.rand(4, 1, generator=rng)) * time * 6.283
        wave = sum(torch.sin(k * phase) / k for k in range(1, 8)) * (0.02 + 0.1 * torch.rand(4, 1, generator=rng))
        return AudioBatch(("a", "b", "c", "d"), wave, 0.64)

    def epoch(self, epoch):
        return (self.batch(epoch, index) for index in range(10))

    def fixed(self, num_batches):
        return [self.batch(-1, index) for index in range(num_batches)]


def task_of(**changes):
    torch.manual_seed(0)
    config = WaveCodecConfig(
        fft_size=64,
        stft_hop_samples=16,
        quantizer=QuantizerConfig(depth=4, codebook_size=8, dim=6, warmup_vectors=32, decay=0.9),
        strides=(5, 2),
        widths=(16, 16),
        blocks_per_stage=1,
        expansion=2,
    )
    return WaveCodecTask(
        WaveCodecTaskConfig(validation_batches=2, **changes),
        WaveCodec(config),
        WaveDiscriminatorConfig(periods=(3,), fft_sizes=(128,), width=4, max_width=8),
        train=Tones(),
        validation=Tones(),
        seed=0,
    )


@pytest.fixture(scope="module")
def trained():
    task = task_of()
    optimizer = torch.optim.Adam(task.model.parameters(), lr=5e-3)
    losses = []
    for epoch in range(3):
        for index, batch in enumerate(task.train_batches(epoch)):
            output = task.step(task.model, batch, generator(0, epoch, index), 10 * epoch + index)
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
            task.accept(task.model, {name: value.detach() for name, value in output.outputs.items()})
            losses.append(float(output.logs["mel"]))
    return task, losses


def test_it_is_a_task_of_the_engine():
    assert isinstance(task_of(), AdversarialTask)


def test_training_lowers_the_loss(trained):
    _, losses = trained
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_scores_are_those_of_the_tokenizer(trained):
    """Computed again by way of the contract: encode and decode of the crops cut to whole code frames."""
    task, _ = trained
    with torch.no_grad():
        scores = task.validate(task.model.eval(), generator(0))
    assert next(iter(scores)) == "mel_l1"
    distances, same, used = {1: [], 4: []}, [], set()
    for batch in Tones().fixed(2):
        wave, lengths = batch.wave[:, :2560], torch.full((4,), 2560)
        codes, frames = task.model.encode(wave, lengths)
        for levels, found in distances.items():
            made, _ = task.model.decode(codes[..., :levels], frames)
            found.append((task.log_mel(made) - task.log_mel(wave)).abs().mean())
        again, _ = task.model.encode(made, lengths)
        same.append((again == codes)[..., 0].float().mean())
        used |= set(codes[..., 0].flatten().tolist())
    assert scores["mel_l1"] == pytest.approx(float(sum(distances[4]) / 2), rel=1e-4)
    assert scores["mel_l1/depth_01"] == pytest.approx(float(sum(distances[1]) / 2), rel=1e-4)
    assert scores["mel_l1"] < scores["mel_l1/depth_01"]
    assert scores["agreement/level_00"] == pytest.approx(float(sum(same) / 2))
    assert scores["usage/level_00"] == pytest.approx(len(used) / 8)
    assert scores["residual/level_03"] < scores["residual/level_00"]
    assert {"stft", "mel_l1/depth_02", "perplexity/level_03"} <= scores.keys()


def test_the_loss_is_the_weighted_sum_of_its_parts(trained):
    task, _ = trained
    changed = copy.copy(task)
    changed.config = WaveCodecTaskConfig(mel_weight=2.0, commitment_weight=0.5, codebook_weight=3.0)
    logs = (output := changed.step(task.model, Tones().batch(0, 0), generator(0), 0)).logs
    expected = 2.0 * logs["mel"] + 0.5 * logs["commitment"] + 3.0 * logs["codebook"]
    torch.testing.assert_close(output.loss.detach(), expected)
    assert float(logs["commitment"]) > 0


def test_the_wave_keeps_its_length_and_place(trained):
    task, _ = trained
    batch = Tones().batch(0, 0)
    outputs = task.step(task.model, batch, generator(0), 0).outputs
    assert torch.equal(outputs["wave"], batch.wave)
    assert outputs["made"].shape == batch.wave.shape


def test_plots_are_written(trained, tmp_path):
    task, _ = trained
    with torch.no_grad():
        task.plots(task.model.eval(), tmp_path, 7)
    assert {path.name for path in tmp_path.iterdir()} == {"codec_0000007.png", "levels_0000007.png"}


def test_a_step_that_is_not_accepted_changes_nothing():
    task = task_of()
    before = copy.deepcopy(task.model.state_dict())
    batch = Tones().batch(0, 0)
    poisoned = AudioBatch(batch.ids, batch.wave * float("nan"), batch.seconds)
    assert not task.step(task.model, poisoned, generator(0), 0).loss.isfinite()
    output = task.step(task.model, batch, generator(0), 0)
    assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())
    task.accept(task.model, output.outputs)
    assert int(task.model.quantizer.num_recent) > 0


def test_adversarial_sides_are_sums_over_judges_and_layers(trained):
    task, _ = trained
    batch = Tones().batch(0, 0)
    output = task.step(task.model, batch, generator(0), 0)
    against = task.adversarial(task.discriminator, batch, output.outputs)
    torch.testing.assert_close(
        against.loss.detach(), 1.0 * against.logs["adversarial"] + 2.0 * against.logs["feature_matching"]
    )
    with torch.no_grad():
        real, made = task.discriminator(batch.wave), task.discriminator(output.outputs["made"])
        fooled = sum((1 - each.score).square().mean() for each in made)
        pairs = [pair for r, g in zip(real, made, strict=True) for pair in zip(r.features, g.features, strict=True)]
        matched = sum((a - b).abs().mean() for a, b in pairs)
    torch.testing.assert_close(against.logs["adversarial"], fooled)
    torch.testing.assert_close(against.logs["feature_matching"], matched)
    gradients = torch.autograd.grad(against.loss, list(task.model.decoder.parameters()))
    assert all(float(gradient.abs().sum()) > 0 for gradient in gradients)
    task.discriminator_step(task.discriminator, batch, output.outputs).loss.backward()
    assert all(parameter.grad is not None for parameter in task.discriminator.parameters())


@pytest.mark.parametrize("wrong", [{"depth_dropout": 1.5}, {"validation_batches": 0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        WaveCodecTaskConfig(**wrong)
