"""Adversarial losses by hand, and the distances of spectra over several transforms."""

import torch

from resgen_tts.tokenizers.discriminators import Judgement
from resgen_tts.tokenizers.losses import (
    MultiResolutionSTFT,
    MultiScaleMel,
    discriminator_loss,
    feature_matching,
    generator_loss,
)

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


def test_multi_scale_mel_is_the_sum_over_windows_written_out():
    """With librosa's filters and torch.stft, one window after the other."""
    import librosa

    wave, target = (
        0.1 * torch.randn(2, 4000, generator=torch.Generator().manual_seed(seed)) * torch.linspace(0, 1, 4000)
        for seed in (0, 1)
    )
    expected = 0.0
    for window, bands in ((32, 5), (256, 40), (2048, 320)):
        filters = torch.from_numpy(librosa.filters.mel(sr=16_000, n_fft=window, n_mels=bands))
        logs = []
        for each in (wave, target):
            spectrum = torch.stft(
                each, window, window // 4, window=torch.hann_window(window), center=True, return_complex=True
            )
            logs.append((filters @ spectrum.abs()).clamp(min=1e-5).log10())
        expected += (logs[0] - logs[1]).abs().mean()
    found = MultiScaleMel(16_000, windows=(32, 256, 2048), bands=(5, 40, 320))(wave, target)
    torch.testing.assert_close(found, expected, atol=0, rtol=1e-5)


def test_multi_scale_mel_of_a_gain_and_at_the_target():
    loss, wave = MultiScaleMel(16_000), torch.randn(2, 6000, generator=torch.Generator().manual_seed(2))
    assert float(loss(wave, wave)) == 0
    # a tenth of the gain is 1 in base-10 logarithms, for each of the seven windows, but for bands that hold no bin
    distance = float(loss(wave / 10, wave))
    assert 6.5 < distance <= 7.0001


def test_multi_scale_mel_gives_finite_gradients_for_silence_and_none_to_the_target():
    loss = MultiScaleMel(16_000)
    target = (0.1 * torch.randn(1, 3000)).requires_grad_()
    for wave in (torch.zeros(1, 3000), 0.1 * torch.randn(1, 3000)):
        wave.requires_grad_()
        loss(wave, target).backward()
        assert wave.grad.isfinite().all()
    assert (wave.grad != 0).float().mean() > 0.99
    assert target.grad is None
