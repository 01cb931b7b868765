"""Vocoder: exact lengths, the inverse STFT against known signals, padding, chunks; Griffin-Lim."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.tokenizers.griffin_lim import GriffinLim, griffin_lim
from resgen_tts.tokenizers.inverse_stft import InverseSTFT
from resgen_tts.tokenizers.log_mel import LogMel, MelConfig
from resgen_tts.tokenizers.vocoder import VOCODERS, Vocoder, VocoderConfig

PADDINGS = ["same", "center"]
TOYS = {
    padding: VocoderConfig(mel=MelConfig(num_mels=10, padding=padding), dim=16, hidden=24, blocks=2, kernel_size=3)
    for padding in PADDINGS
}


def causal_toy(padding, seed=0):
    torch.manual_seed(seed)
    mel = MelConfig(num_mels=6, fft_size=64, window_samples=64, hop_samples=16, padding=padding)
    return Vocoder(VocoderConfig(mel=mel, fft_size=64, dim=8, hidden=12, blocks=2, kernel_size=4, causal=True)).eval()


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("frames", [0, 1, 2, 7, 30])
def test_length_is_exact(frames, padding):
    wave = Vocoder(TOYS[padding])(torch.randn(2, frames, 10))
    assert wave.shape == (2, max(frames - (padding == "center"), 0) * 200)
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


@pytest.mark.parametrize(("fft_size", "hop"), [(1024, 256), (64, 16), (64, 32)])
def test_centred_inverse_equals_torchs(fft_size, hop):
    """Of spectra that no signal has, too: there the edges and the window sum decide."""
    spectra = torch.randn(3, 9, fft_size // 2 + 1, dtype=torch.complex64)
    spectra[..., [0, -1]] = spectra[..., [0, -1]].real + 0j
    theirs = torch.istft(spectra.transpose(1, 2), fft_size, hop, window=torch.hann_window(fft_size), center=True)
    ours = InverseSTFT(fft_size, hop, "center")(spectra.real, spectra.imag)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("padding", PADDINGS)
def test_padded_batch_equals_items(padding):
    torch.manual_seed(0)
    vocoder, mel = Vocoder(TOYS[padding]).eval(), torch.randn(4, 12, 10)
    lengths = torch.tensor([12, 5, 2, 1])
    together = vocoder(mel, padding_mask(lengths, 12))
    for item, length in enumerate(lengths.tolist()):
        alone = vocoder(mel[item : item + 1, :length])[0]
        torch.testing.assert_close(together[item, : len(alone)], alone)
        assert (together[item, len(alone) :] == 0).all()


@given(chunks=st.lists(st.integers(0, 6), min_size=1, max_size=6), padding=st.sampled_from(PADDINGS))
@settings(max_examples=30, deadline=None)
def test_chunks_give_the_whole_wave(chunks, padding):
    vocoder, frames = causal_toy(padding), sum(chunks)
    mel = torch.randn(2, frames, 6)
    memory, parts = None, []
    with torch.no_grad():
        for place, chunk in enumerate(mel.split(chunks, dim=1)):
            part, memory = vocoder.stream(chunk, memory)
            parts.append(part)
            settled = max(sum(chunks[: place + 1]) * 16 - vocoder.delay_samples, 0)
            assert sum(part.shape[1] for part in parts) == settled
        rest, _ = vocoder.stream(mel[:, :0], memory, last=True)
        torch.testing.assert_close(torch.cat([*parts, rest], dim=1), vocoder(mel), atol=1e-6, rtol=1e-4)


def test_the_last_chunk_may_bring_frames():
    vocoder, mel = causal_toy("same"), torch.randn(1, 9, 6)
    with torch.no_grad():
        start, memory = vocoder.stream(mel[:, :4])
        rest, _ = vocoder.stream(mel[:, 4:], memory, last=True)
        torch.testing.assert_close(torch.cat([start, rest], dim=1), vocoder(mel), atol=1e-6, rtol=1e-4)


def test_delay_is_no_larger_than_it_must_be():
    """The first sample that a stream holds back does change with the next frame."""
    vocoder, mel = causal_toy("same"), torch.randn(1, 8, 6)
    changed = mel.clone()
    changed[:, 5:] += 1
    differs = (vocoder(mel) != vocoder(changed))[0]
    settled = 5 * 16 - vocoder.delay_samples
    assert not differs[:settled].any()
    assert differs[settled : settled + 2].any()  # the window is zero at its very first sample


def test_only_a_causal_vocoder_streams():
    with pytest.raises(ConfigError, match="causal"):
        Vocoder(TOYS["same"]).stream(torch.randn(1, 4, 10))


def test_magnitudes_are_clipped():
    vocoder = Vocoder(TOYS["same"])
    with torch.no_grad():
        vocoder.head.bias.fill_(50.0)  # exp(50) without the clip
    assert vocoder(torch.randn(1, 4, 10)).abs().max() < 1e3


def test_presets():
    with torch.device("meta"):
        sizes = {name: sum(p.numel() for p in Vocoder(config).parameters()) for name, config in VOCODERS.items()}
    assert 1e6 < sizes["mini"] < 3.5e6
    assert 12e6 < sizes["paper"] < 15e6


@pytest.mark.parametrize("padding", PADDINGS)
def test_griffin_lim_keeps_length_mel_and_place(padding):
    config = MelConfig(padding=padding)
    time = torch.arange(40 * config.hop_samples) / config.sample_rate
    wave = sum(torch.sin(2 * math.pi * 150 * k * time) / k for k in range(1, 12))[None] * 0.1
    wave[:, :4000] = 0  # silence, then a voice: its onset must stay where it was
    mel = LogMel(config)(wave)
    made = griffin_lim(mel, config)
    assert made.shape == wave.shape
    assert float((LogMel(config)(made)[:, 22:] - mel[:, 22:]).abs().mean()) < 0.6
    onset = (made[0].abs() > 0.05).nonzero()[0]
    assert abs(int(onset) - 4000) < 1.5 * config.hop_samples


@pytest.mark.parametrize("padding", PADDINGS)
def test_griffin_lim_of_a_padded_batch_equals_items(padding):
    maker = GriffinLim(MelConfig(num_mels=20, padding=padding), iterations=3)
    mel, lengths = torch.randn(3, 8, 20), torch.tensor([8, 5, 1])
    together = maker(mel, padding_mask(lengths, 8))
    for item, length in enumerate(lengths.tolist()):
        alone = maker(mel[item : item + 1, :length])[0]
        # products of few rows are summed in another order, and small spectra turn by more
        torch.testing.assert_close(together[item, : len(alone)], alone, atol=1e-3 * float(together.abs().max()), rtol=0)
        assert (together[item, len(alone) :] == 0).all()


@pytest.mark.parametrize("wrong", [{"fft_size": 700}, {"kernel_size": 4}, {"blocks": 0}, {"max_magnitude": 0.0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        VocoderConfig(**wrong)


@pytest.mark.parametrize("wrong", [{"iterations": -1}, {"momentum": 1.0}, {"mel": MelConfig(window_samples=1000)}])
def test_griffin_lim_refuses_nonsense(wrong):
    with pytest.raises(ConfigError):
        GriffinLim(**{"mel": MelConfig(), **wrong})
