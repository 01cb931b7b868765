"""BigVGAN's parts against closed forms and plain numpy; lengths and padding. The whole: test_published_vocoders.py."""

import numpy as np
import pytest
import torch
from scipy import signal

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.tokenizers.bigvgan import BigVGAN, BigVGANConfig, PeriodicActivation, low_pass
from resgen_tts.tokenizers.log_mel import MelConfig

MEL = MelConfig(num_mels=6, fft_size=64, window_samples=64, hop_samples=8)
TOY = BigVGANConfig(
    mel=MEL, channels=16, rates=(4, 2), rate_kernels=(8, 4), block_kernels=(3, 5), dilations=((1, 3), (1, 2))
)


def snake(x, alpha, beta):
    return x + np.sin(alpha * x) ** 2 / beta


def activate_plainly(x, alpha, beta):
    """Zeros between the samples, low-pass, snake, low-pass, every second sample; ends go on as they are."""
    filter = low_pass().double().numpy()
    x = np.pad(x, 5, mode="edge")
    doubled = np.zeros(2 * len(x) - 1)
    doubled[::2] = x
    doubled = 2 * np.convolve(doubled, filter)[15:-15]
    active = np.pad(snake(doubled, alpha, beta), (5, 6), mode="edge")
    return np.correlate(active, filter, mode="valid")[::2]


def test_low_pass_is_scipys_kaiser_design():
    """Scipy's own formulas for attenuation and beta, at half the taps and the full transition as published."""
    beta = signal.kaiser_beta(signal.kaiser_atten(6, 1.2))
    np.testing.assert_allclose(low_pass().numpy(), signal.firwin(12, 0.5, window=("kaiser", beta)), atol=1e-7)


def test_low_pass_passes_and_stops():
    frequency, response = signal.freqz(low_pass().numpy(), worN=512, fs=1.0)
    gain = np.abs(response)
    assert gain[0] == pytest.approx(1)
    assert np.interp(0.25, frequency, gain) == pytest.approx(0.5, abs=0.01)
    assert gain[frequency < 0.1].min() > 0.95
    assert gain[frequency > 0.4].max() < 0.05


@pytest.mark.parametrize("logarithms", [True, False])
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 5, 40])
def test_activation_equals_plain_numpy(frames, apart, logarithms):
    config = BigVGANConfig(separate_height=apart, log_parameters=logarithms)
    layer = PeriodicActivation(3, config)
    torch.manual_seed(frames)
    alpha, beta = torch.rand(3) + 0.5, torch.rand(3) + 0.5
    beta = beta if apart else alpha
    with torch.no_grad():
        layer.alpha.copy_(alpha.log() if logarithms else alpha)
        if apart:
            layer.beta.copy_(beta.log() if logarithms else beta)
    x = torch.randn(2, 3, 1, frames)
    with torch.no_grad():
        ours = layer(x)
    for item in range(2):
        for channel in range(3):
            plain = activate_plainly(x[item, channel, 0].double().numpy(), float(alpha[channel]), float(beta[channel]))
            np.testing.assert_allclose(ours[item, channel, 0].numpy(), plain, atol=2e-6)


def test_harmonics_above_the_band_do_not_fold_back():
    """sin^2 of a wave at 0.35 cycles per sample makes 0.7, which a plain snake mirrors to 0.3."""
    time = torch.arange(2000)
    wave = 0.5 * torch.sin(2 * torch.pi * 0.35 * time)
    with torch.no_grad():
        active = PeriodicActivation(1, BigVGANConfig())(wave[None, None, None])[0, 0, 0]
    naive = torch.from_numpy(snake(wave.numpy(), 1.0, 1.0))
    mirrored = [float(np.abs(np.fft.rfft(x.numpy() * np.hanning(2000)))[600]) for x in (active, naive)]
    assert mirrored[0] < 0.25 * mirrored[1]


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_length_is_exact_and_values_are_bounded(frames):
    for tanh in (True, False):
        model = BigVGAN(BigVGANConfig(**{**vars(TOY), "final_tanh": tanh}))
        with torch.no_grad():
            model.last.weight.mul_(1e4)
            wave = model(torch.randn(2, frames, 6))
        assert wave.shape == (2, frames * 8)
        assert wave.numel() == 0 or float(wave.abs().max()) <= 1


def test_padded_batch_equals_items():
    torch.manual_seed(0)
    model, mel = BigVGAN(TOY).eval(), torch.randn(5, 12, 6)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    lengths = torch.tensor([12, 5, 5, 1, 0])
    with torch.no_grad():
        together = model(mel, padding_mask(lengths, 12))
        for item, length in enumerate(lengths.tolist()):
            alone = model(mel[item : item + 1, :length])[0]
            torch.testing.assert_close(together[item, : length * 8], alone, atol=1e-4, rtol=1e-3)
            assert (together[item, length * 8 :] == 0).all()
    assert float(together[0].abs().max()) > 0.01


def test_every_parameter_learns():
    model = BigVGAN(TOY)
    model(torch.randn(1, 4, 6)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    "wrong",
    [
        {"mel": MelConfig(padding="center")},
        {"rates": (4, 4)},
        {"rate_kernels": (8, 3)},
        {"rate_kernels": (8,)},
        {"block_kernels": (3, 4)},
        {"dilations": ((1,),)},
        {"dilations": ((1,), ())},
        {"channels": 6},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        BigVGANConfig(**{**vars(TOY), **wrong})
