"""Log-mel: against librosa, lengths and padding, and configurations of earlier versions."""

import numpy as np
import pytest
import torch

from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.tokenizers.log_mel import MELS, LogMel, MelConfig, silence, spectrum_magnitude

CONFIGS = {**MELS, "odd": MelConfig(sample_rate=24_000, fft_size=512, window_samples=480, hop_samples=120, num_mels=40)}
named = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def by_librosa(wave, config):
    """The whole chain in librosa's own words, but for the small number under HiFi-GAN's root."""
    import librosa

    if config.padding == "same":
        wave = np.pad(wave, (config.fft_size - config.hop_samples) // 2, mode="reflect")
    spectrum = librosa.stft(
        wave.astype(np.float64),
        n_fft=config.fft_size,
        hop_length=config.hop_samples,
        win_length=config.window_samples,
        center=config.padding == "center",
        pad_mode="reflect",
    )
    mel = librosa.feature.melspectrogram(
        S=np.sqrt(np.abs(spectrum) ** 2 + config.magnitude_epsilon), **filters_by_librosa(config)
    )
    return np.log(np.maximum(mel, config.floor)).T


def filters_by_librosa(config):
    return {
        "sr": config.sample_rate,
        "n_fft": config.fft_size,
        "n_mels": config.num_mels,
        "fmin": config.low_hz,
        "fmax": config.high_hz,
        "htk": config.mel_scale == "htk",
        "norm": "slaney" if config.normalize_bands else None,
    }


@named
def test_equals_librosa(config):
    rng = np.random.default_rng(0)
    wave = (0.3 * rng.standard_normal(9000) * np.linspace(0, 1, 9000)).astype(np.float32)
    ours = LogMel(config)(torch.from_numpy(wave)[None])[0].numpy()
    assert len(ours) == config.num_frames(9000)
    np.testing.assert_allclose(ours, by_librosa(wave, config), atol=3e-4)


@pytest.mark.filterwarnings("ignore:Empty filters detected")  # bands narrower than a bin, in BigVGAN's own settings
@named
def test_filters_equal_librosas(config):
    import librosa

    theirs = librosa.filters.mel(**filters_by_librosa(config))
    np.testing.assert_allclose(LogMel(config).filters.numpy().T, theirs, atol=1e-6)


def test_presets_are_the_published_settings():
    """The values that differ between the families; the rest is their common ground."""
    assert MELS["mini"] == MelConfig()
    assert MELS["hifigan_22khz"].high_hz == 8000
    assert MELS["bigvgan_24khz"].num_mels == 100 and MELS["bigvgan_24khz"].floor == 1e-5
    vocos = MELS["vocos_24khz"]
    assert (vocos.mel_scale, vocos.normalize_bands, vocos.padding, vocos.floor) == ("htk", False, "center", 1e-7)


def test_a_configuration_of_an_earlier_version_means_the_same():
    """Folders written before there were scales and paddings state the first seven values only."""
    before = {
        "sample_rate": 16_000, "fft_size": 1024, "window_samples": 800, "hop_samples": 200,
        "num_mels": 80, "low_hz": 0.0, "high_hz": 8000.0,
    }  # fmt: skip
    assert from_plain(MelConfig, before) == MelConfig()


@pytest.mark.parametrize("config", [MelConfig(), MELS["vocos_24khz"]], ids=["same", "center"])
def test_padded_waves_have_their_own_frames_and_then_silence(config):
    mel = LogMel(config)
    lengths = torch.tensor([4000, 3111, 412, 413, 260, 201])  # the last four are reflected more than once
    waves = 0.1 * torch.randn(6, 4000)
    waves = waves.masked_fill(padding_mask(lengths, 4000), 0)
    together = mel(waves, lengths)
    for item, length in enumerate(lengths.tolist()):
        frames = config.num_frames(length)
        torch.testing.assert_close(together[item, :frames], mel(waves[item : item + 1, :length])[0])
        assert (together[item, frames:] == silence(config.floor)).all()


@pytest.mark.parametrize("size", [300, 150, 3, 1])
def test_very_short_waves_are_reflected_to_and_fro_like_numpys(size):
    config = MelConfig(padding="center")
    wave = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    ours = LogMel(config)(torch.from_numpy(wave)[None])
    reflected = torch.from_numpy(np.pad(wave, 512, mode="reflect"))[None]
    magnitude = spectrum_magnitude(reflected, 1024, 200, torch.hann_window(800))
    torch.testing.assert_close(ours, (magnitude @ LogMel(config).filters).clamp(min=1e-5).log())


@pytest.mark.parametrize("config", [MelConfig(), MELS["vocos_24khz"]], ids=["same", "center"])
def test_frames_and_samples_fit_each_other(config):
    frames = torch.arange(20)
    samples = config.num_samples(frames)
    if config.padding == "same":
        assert (config.num_frames(samples) == frames).all()
    else:  # a single centred frame makes no sample
        assert (config.num_frames(samples)[2:] == frames[2:]).all() and samples[1] == 0
    assert [config.num_frames(size) for size in samples.tolist()] == config.num_frames(samples).tolist()
    for size in (0, 1, config.hop_samples - 1, config.hop_samples, 5000):
        assert LogMel(config)(torch.zeros(2, size)).shape == (2, config.num_frames(size), config.num_mels)


def test_silence_is_the_floor():
    mel = LogMel(MelConfig())(torch.zeros(1, 2000))
    # every bin holds sqrt(1e-9): above the clamp where a filter is wide and high enough, never far from it
    assert float(mel.min()) >= silence()
    assert float(mel.max()) < silence() + 1
    assert (LogMel(MELS["vocos_24khz"])(torch.zeros(1, 2000)) == silence(1e-7)).all()


@pytest.mark.parametrize("epsilon", [0.0, 1e-9])
def test_gradient_at_silence_is_finite(epsilon):
    wave = torch.zeros(1, 2000, requires_grad=True)
    LogMel(MelConfig(magnitude_epsilon=epsilon, floor=1e-20))(wave).sum().backward()
    assert wave.grad.isfinite().all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop_samples": 0},
        {"window_samples": 2000},
        {"hop_samples": 199},
        {"high_hz": 9000.0},
        {"num_mels": 0},
        {"floor": 0.0},
        {"magnitude_epsilon": -1e-9},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        MelConfig(**wrong)
