"""Training of the vocoder: the loss falls, decoded mels, scores and pictures."""

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.engine.task import AdversarialTask
from resgen_tts.speech.corpus import AudioBatch, AudioCrops
from resgen_tts.speech.vocoder_task import VocoderTask, VocoderTaskConfig
from resgen_tts.tokenizers.discriminators import WaveDiscriminatorConfig
from resgen_tts.tokenizers.log_mel import MelConfig
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig

MEL = MelConfig(num_mels=20)


class Tones(AudioCrops):
    """Crops that need no files: harmonic tones of random pitch; 3 samples more than whole frames."""

    def __init__(self):
        pass

    def batch(self, epoch, index):
        rng = generator(0, "tones", epoch, index)
        time = torch.arange(3203) / 16_000
        phase = (100 + 200 * torch.rand(4, 1, generator=rng)) * time * 6.283
        wave = sum(torch.sin(k * phase) / k for k in range(1, 8)) * 0.1
        return AudioBatch(("a", "b", "c", "d"), wave, 0.8)

    def epoch(self, epoch):
        return (self.batch(epoch, index) for index in range(10))

    def fixed(self, num_batches):
        return [self.batch(-1, index) for index in range(num_batches)]


def mel_vae():
    torch.manual_seed(1)
    vae = MelVAE(
        MelVAEConfig(
            mel=MEL,
            quantizer=QuantizerConfig(depth=2, codebook_size=8, dim=4, warmup_vectors=16),
            strides=(2, 2, 2),
            widths=(8, 8, 8, 8),
            blocks=(0, 0, 0, 0),
        )
    )
    latents = vae.encode_latent(torch.randn(8, 16, 20) - 5)
    vae.quantizer.update(vae.quantizer(latents).statistics, generator(0))
    return vae


def task_of(vae=None, **changes):
    torch.manual_seed(0)
    return VocoderTask(
        VocoderTaskConfig(resolutions=((256, 64, 256), (128, 32, 128)), validation_batches=1, **changes),
        Vocoder(VocoderConfig(mel=MEL, dim=24, hidden=48, blocks=2, kernel_size=3)),
        WaveDiscriminatorConfig(periods=(3,), fft_sizes=(128,), width=4, max_width=8),
        train=Tones(),
        validation=Tones(),
        mel_vae=vae,
    )


def test_training_lowers_the_loss_and_the_scores_follow(tmp_path):
    task = task_of()
    assert isinstance(task, AdversarialTask)
    with torch.no_grad():
        before = task.validate(task.model, generator(0))
    optimizer = torch.optim.Adam(task.model.parameters(), lr=2e-3)
    for epoch in range(6):
        for index, batch in enumerate(task.train_batches(epoch)):
            output = task.step(task.model, batch, generator(0, epoch, index), 0)
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
    with torch.no_grad():
        after = task.validate(task.model.eval(), generator(0))
        task.plots(task.model, tmp_path, 3)
    assert list(after) == ["mel_l1", "stft"]
    assert after["mel_l1"] < 0.7 * before["mel_l1"]
    assert after["stft"] < 0.9 * before["stft"]
    assert [path.name for path in tmp_path.iterdir()] == ["vocoder_0000003.png"]


def test_decoded_mels_are_fed_in_the_stated_share_and_the_mel_vae_stays_frozen():
    vae = mel_vae()
    task, batch = task_of(vae, decoded_share=0.5), Tones().batch(0, 0)
    given = []
    task.model.register_forward_pre_hook(lambda module, arguments: given.append(arguments[0]))
    task.step(task.model, batch, generator(0), 0).loss.backward()
    mel = task.log_mel(batch.wave[:, :3200])
    changed = [not torch.equal(given[0][item], mel[item]) for item in range(4)]
    assert changed == [True, True, False, False]
    assert all(not p.requires_grad and p.grad is None for p in vae.parameters())
    with torch.no_grad():
        scores = task.validate(task.model, generator(0))
    assert list(scores) == ["mel_l1", "stft", "decoded/mel_l1", "decoded/stft"]
    assert scores["decoded/mel_l1"] > 0


def test_adversarial_sides():
    task, batch = task_of(), Tones().batch(0, 0)
    output = task.step(task.model, batch, generator(0), 0)
    against = task.adversarial(task.discriminator, batch, output.outputs)
    expected = against.logs["adversarial"] + 2 * against.logs["feature_matching"]
    torch.testing.assert_close(against.loss.detach(), expected)
    (gradient,) = torch.autograd.grad(against.loss, task.model.head.weight, retain_graph=True)
    assert float(gradient.abs().sum()) > 0
    task.discriminator_step(task.discriminator, batch, output.outputs).loss.backward()
    assert all(parameter.grad is not None for parameter in task.discriminator.parameters())


def test_parts_of_different_mels_are_refused():
    vae = MelVAE(
        MelVAEConfig(quantizer=QuantizerConfig(dim=4), strides=(2, 2, 2), widths=(4, 4, 4, 4), blocks=(0, 0, 0, 0))
    )
    with pytest.raises(ConfigError, match="Mel-VAE"):
        task_of(vae)


@pytest.mark.parametrize("wrong", [{"decoded_share": -0.1}, {"validation_batches": 0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        VocoderTaskConfig(**wrong)
