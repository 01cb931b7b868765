"""Log-mel: against librosa's filters and a plain numpy transform; lengths and padding."""

import numpy as np
import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.tokenizers.log_mel import LogMel, MelConfig, silence

CONFIGS = [
    MelConfig(),
    MelConfig(sample_rate=22_050, fft_size=1024, window_samples=1024, hop_samples=256, num_mels=80),
    MelConfig(sample_rate=24_000, fft_size=512, window_samples=480, hop_samples=120, num_mels=40, low_hz=50.0),
]


def plain(wave, config):
    """The definition, frame by frame, in float64."""
    import librosa

    filters = librosa.filters.mel(
        sr=config.sample_rate, n_fft=config.fft_size, n_mels=config.num_mels, fmin=config.low_hz, fmax=config.high_hz
    )
    margin = (config.fft_size - config.hop_samples) // 2
    wave = np.pad(wave.astype(np.float64), margin, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.window_samples) / config.window_samples)
    around = config.fft_size - config.window_samples
    window = np.pad(window, (around // 2, around - around // 2))
    rows = []
    for start in range(0, len(wave) - config.fft_size + 1, config.hop_samples):
        spectrum = np.fft.rfft(wave[start : start + config.fft_size] * window)
        rows.append(np.log(np.maximum(filters @ np.sqrt(np.abs(spectrum) ** 2 + 1e-9), 1e-5)))
    return np.stack(rows)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: str(config.sample_rate))
def test_equals_librosa_filters_and_plain_numpy(config):
    rng = np.random.default_rng(0)
    wave = (0.3 * rng.standard_normal(5000) * np.linspace(0, 1, 5000)).astype(np.float32)
    ours = LogMel(config)(torch.from_numpy(wave)[None])[0].numpy()
    assert len(ours) == 5000 // config.hop_samples
    np.testing.assert_allclose(ours, plain(wave, config), atol=2e-4)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: str(config.sample_rate))
def test_filters_equal_librosas(config):
    import librosa

    theirs = librosa.filters.mel(
        sr=config.sample_rate, n_fft=config.fft_size, n_mels=config.num_mels, fmin=config.low_hz, fmax=config.high_hz
    )
    np.testing.assert_allclose(LogMel(config).filters.numpy().T, theirs, atol=1e-7)


def test_padded_waves_have_their_own_frames_and_then_silence():
    config = MelConfig()
    mel = LogMel(config)
    waves, lengths = 0.1 * torch.randn(3, 4000), torch.tensor([4000, 3111, 250])
    waves = waves.masked_fill(padding_mask(lengths, 4000), 0)
    together = mel(waves, lengths)
    for item, length in enumerate(lengths.tolist()):
        frames = length // config.hop_samples
        torch.testing.assert_close(together[item, :frames], mel(waves[item : item + 1, :length])[0])
        assert (together[item, frames:] == silence()).all()


def test_silence_is_the_floor():
    mel = LogMel(MelConfig())(torch.zeros(1, 2000))
    # every bin holds sqrt(1e-9): above the clamp where a filter is wide and high enough, never far from it
    assert float(mel.min()) >= silence()
    assert float(mel.max()) < silence() + 1


@pytest.mark.parametrize(
    "wrong", [{"hop_samples": 0}, {"window_samples": 2000}, {"hop_samples": 199}, {"high_hz": 9000.0}, {"num_mels": 0}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        MelConfig(**wrong)
