"""Vocoder: exact lengths, the inverse STFT against a known signal, padding; Griffin-Lim."""

import math

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.tokenizers.log_mel import LogMel, MelConfig
from resgen_tts.tokenizers.vocoder import VOCODERS, InverseSTFT, Vocoder, VocoderConfig, griffin_lim

TOY = VocoderConfig(mel=MelConfig(num_mels=10), dim=16, hidden=24, blocks=2, kernel_size=3)


@pytest.mark.parametrize("frames", [1, 2, 7, 30])
def test_length_is_exact(frames):
    wave = Vocoder(TOY)(torch.randn(2, frames, 10))
    assert wave.shape == (2, frames * 200)
    assert wave.isfinite().all()


@pytest.mark.parametrize(("fft_size", "hop"), [(800, 200), (64, 16), (64, 32)])
def test_inverse_reproduces_a_known_signal(fft_size, hop):
    """The forward transform on the same grid (frame t centred on (t + 1/2) hop), then back: the signal itself."""
    time = torch.arange(12 * fft_size // hop * hop) / 16_000
    wave = (0.5 * torch.sin(2 * math.pi * 440 * time) + 0.1 * torch.cos(2 * math.pi * 3000 * time**2))[None]
    margin = (fft_size - hop) // 2
    padded = torch.nn.functional.pad(wave, (margin, margin))
    spectra = torch.fft.rfft(padded.unfold(-1, fft_size, hop) * torch.hann_window(fft_size))
    again = InverseSTFT(fft_size, hop)(spectra.real, spectra.imag)
    assert again.shape == wave.shape
    torch.testing.assert_close(again, wave, atol=1e-5, rtol=1e-4)


def test_padded_batch_equals_items():
    torch.manual_seed(0)
    vocoder, mel = Vocoder(TOY).eval(), torch.randn(3, 12, 10)
    lengths = torch.tensor([12, 5, 1])
    together = vocoder(mel, padding_mask(lengths, 12))
    for item, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(together[item, : length * 200], vocoder(mel[item : item + 1, :length])[0])
        assert (together[item, length * 200 :] == 0).all()


def test_magnitudes_are_clipped():
    vocoder = Vocoder(TOY)
    with torch.no_grad():
        vocoder.head.bias.fill_(50.0)  # exp(50) without the clip
    assert vocoder(torch.randn(1, 4, 10)).abs().max() < 1e3


def test_presets():
    with torch.device("meta"):
        sizes = {name: sum(p.numel() for p in Vocoder(config).parameters()) for name, config in VOCODERS.items()}
    assert 1e6 < sizes["mini"] < 3.5e6
    assert 12e6 < sizes["paper"] < 15e6


def test_griffin_lim_keeps_length_mel_and_place():
    config = MelConfig()
    time = torch.arange(40 * config.hop_samples) / config.sample_rate
    wave = sum(torch.sin(2 * math.pi * 150 * k * time) / k for k in range(1, 12))[None] * 0.1
    wave[:, :4000] = 0  # silence, then a voice: its onset must stay where it was
    mel = LogMel(config)(wave)
    made = griffin_lim(mel, config)
    assert made.shape == wave.shape
    assert float((LogMel(config)(made)[:, 22:] - mel[:, 22:]).abs().mean()) < 0.6
    onset = (made[0].abs() > 0.05).nonzero()[0]
    assert abs(int(onset) - 4000) < 1.5 * config.hop_samples


@pytest.mark.parametrize("wrong", [{"fft_size": 700}, {"kernel_size": 4}, {"blocks": 0}, {"max_magnitude": 0.0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        VocoderConfig(**wrong)
