"""Adversarial losses by hand, the multi-resolution STFT distance, and what the discriminators see."""

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.tokenizers.discriminators import (
    Judgement,
    MelDiscriminator,
    MelDiscriminatorConfig,
    WaveDiscriminator,
    WaveDiscriminatorConfig,
)
from resgen_tts.tokenizers.losses import MultiResolutionSTFT, discriminator_loss, feature_matching, generator_loss

REAL = [
    Judgement(torch.tensor([1.0, 0.5]), [torch.tensor([1.0, 2.0]), torch.tensor([0.0])]),
    Judgement(torch.tensor([0.0]), []),
]
FAKE = [
    Judgement(torch.tensor([0.0, 1.0]), [torch.tensor([0.0, 4.0]), torch.tensor([3.0])]),
    Judgement(torch.tensor([2.0]), []),
]


def test_adversarial_losses_by_hand():
    # judge 1: real ((0)^2 + (.5)^2) / 2 = .125, fake (0 + 1) / 2 = .5; judge 2: real 1, fake 4
    torch.testing.assert_close(discriminator_loss(REAL, FAKE), torch.tensor((0.625 + 5.0) / 2))
    # judge 1: (1 + 0) / 2 = .5; judge 2: 1
    torch.testing.assert_close(generator_loss(FAKE), torch.tensor(0.75))
    # layers: (1 + 2) / 2 = 1.5 and 3
    torch.testing.assert_close(feature_matching(REAL, FAKE), torch.tensor(2.25))


def test_feature_matching_gives_the_real_side_no_gradient():
    real, fake = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    feature_matching([Judgement(real, [real * 2])], [Judgement(fake, [fake * 2])]).backward()
    assert real.grad is None
    torch.testing.assert_close(fake.grad, torch.full((3,), -2 / 3))


def test_stft_distance_is_zero_at_the_target_and_known_for_a_gain():
    loss = MultiResolutionSTFT([(64, 16, 64), (32, 8, 24)])
    wave = torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    assert float(loss(wave, wave)) < 1e-6
    # at half the gain: convergence 1/2, log distance log 2
    torch.testing.assert_close(loss(wave / 2, wave), 0.5 + torch.tensor(2.0).log(), atol=1e-3, rtol=0)


def test_stft_distance_of_silence_has_finite_gradients():
    loss = MultiResolutionSTFT([(64, 16, 64)])
    wave = torch.zeros(1, 300, requires_grad=True)
    loss(wave, torch.zeros(1, 300)).backward()
    assert wave.grad.isfinite().all()


@pytest.mark.parametrize("frames", [10, 40, 97])
def test_mel_discriminator_judges_every_window_and_resolution(frames):
    config = MelDiscriminatorConfig(window_frames=(20, 40), poolings=((1, 1), (4, 2)), width=4)
    judged = MelDiscriminator(config)(torch.randn(2, frames, 80))
    assert len(judged) == 4
    assert judged[0].score.shape[0] == 2 * max(1, frames // 20)
    assert judged[2].score.shape[0] == 2
    assert judged[3].score.shape[2] < judged[2].score.shape[2] or frames == 10
    assert all(len(each.features) == 3 for each in judged)


def test_wave_discriminator_has_a_judge_per_view_and_reaches_the_wave():
    config = WaveDiscriminatorConfig(periods=(2, 5), fft_sizes=(128,), width=4, max_width=8)
    wave = torch.randn(2, 1203, requires_grad=True)
    judged = WaveDiscriminator(config)(wave)
    assert len(judged) == 3
    for judgement in judged:
        (grad,) = torch.autograd.grad(judgement.score.sum(), wave, retain_graph=True)
        assert (grad != 0).float().mean() > 0.9


def test_a_discriminator_learns_to_tell_noise_from_tone():
    torch.manual_seed(0)
    judge = WaveDiscriminator(WaveDiscriminatorConfig(periods=(2, 3), fft_sizes=(128,), width=4, max_width=8))
    optimizer = torch.optim.Adam(judge.parameters(), lr=3e-3)
    tone = torch.sin(torch.arange(800) * 0.2).expand(4, -1)
    losses = []
    for _ in range(30):
        loss = discriminator_loss(judge(tone), judge(torch.randn(4, 800)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_nonsense_is_refused():
    for wrong in ({"window_frames": (0,)}, {"window_frames": (), "poolings": ()}, {"width": 0}):
        with pytest.raises(ConfigError):
            MelDiscriminatorConfig(**wrong)
    for wrong in ({"periods": (), "fft_sizes": ()}, {"bands": (0.0, 0.5)}, {"width": 8, "max_width": 4}):
        with pytest.raises(ConfigError):
            WaveDiscriminatorConfig(**wrong)
