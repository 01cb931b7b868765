"""Distances of waves whose answer is known."""

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.measures.reconstruction import STFT_SIZES, length_ratio, log_mel, mel_l1, spectral_distance
from resgen_tts.evaluation.waves import is_silent, read_wave, wave_seconds

RATE = 16_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def test_a_wave_against_itself_is_perfect():
    assert mel_l1(noise(1.0), noise(1.0)) == 0.0
    assert length_ratio(2.0, 2.0) == 1.0


def test_half_the_level_is_log_two_away_in_every_band():
    wave = noise(1.0)
    assert mel_l1(wave, wave / 2) == pytest.approx(np.log(2), abs=1e-4)


def test_extra_length_does_not_hide_in_the_distance():
    wave = noise(1.0)
    longer = np.concatenate([wave, np.zeros(RATE, np.float32)])
    assert mel_l1(wave, longer) < 0.03  # only the last frames see the seam


def test_log_mel_agrees_with_librosa():
    import librosa

    wave = noise(0.5)
    power = librosa.feature.melspectrogram(
        y=wave, sr=RATE, n_fft=1024, hop_length=256, n_mels=80, power=1.0, pad_mode="constant"
    )
    np.testing.assert_allclose(log_mel(wave), np.log(np.maximum(power, 1e-5)).T, atol=1e-4)


def test_spectral_distance_agrees_with_plain_loops():
    wave, copy = noise(0.3), noise(0.3, seed=1)[:4500]
    convergence, log_magnitude = [], []
    for size in STFT_SIZES:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        spectra = []
        for each in (wave[:4500], copy):
            each = np.concatenate([np.zeros(size // 2), each, np.zeros(size // 2)])
            starts = range(0, len(each) - size + 1, size // 4)
            spectra.append(np.array([np.abs(np.fft.rfft(each[start : start + size] * window)) for start in starts]))
        truth, made = spectra
        convergence.append(np.sqrt(((truth - made) ** 2).sum()) / np.sqrt((truth**2).sum()))
        log_magnitude.append(np.abs(np.log(truth.clip(1e-5)) - np.log(made.clip(1e-5))).mean())
    found = spectral_distance(wave, copy)
    assert found.convergence == pytest.approx(np.mean(convergence), rel=1e-4)
    assert found.log_magnitude == pytest.approx(np.mean(log_magnitude), rel=1e-4)


def test_spectral_distances_with_closed_forms():
    wave = noise(0.5)
    same, half = spectral_distance(wave, wave), spectral_distance(wave, wave / 2)
    assert same.convergence == same.log_magnitude == 0
    assert half.convergence == pytest.approx(0.5, abs=1e-5)
    assert half.log_magnitude == pytest.approx(np.log(2), abs=1e-4)
    assert spectral_distance(wave, np.zeros_like(wave)).convergence == pytest.approx(1)
    with pytest.raises(AudioError) as caught:
        spectral_distance(np.zeros_like(wave), wave)
    assert caught.value.code == "AUDIO_SILENT"


def test_very_short_waves_have_a_mel():
    assert log_mel(np.ones(1, np.float32)).shape[1] == 80


def test_waves_are_mixed_down_and_resampled(tmp_path):
    time = np.arange(44_100) / 44_100
    stereo = np.stack([np.sin(2 * np.pi * 440 * time), np.zeros_like(time)], axis=1) * 0.8
    soundfile.write(str(tmp_path / "a b.flac"), stereo, 44_100)
    wave = read_wave(tmp_path / "a b.flac")
    assert wave.dtype == np.float32 and len(wave) == RATE
    assert np.abs(np.fft.rfft(wave)).argmax() == 440
    assert wave.max() == pytest.approx(0.4, abs=0.02)
    assert wave_seconds(tmp_path / "a b.flac") == pytest.approx(1.0)
    assert not is_silent(wave) and is_silent(np.zeros(10, np.float32))


def test_bad_audio_is_refused_by_name(tmp_path):
    soundfile.write(str(tmp_path / "none.wav"), np.zeros(0, np.float32), RATE)
    soundfile.write(str(tmp_path / "nan.wav"), np.array([0, np.nan], np.float32), RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("not audio")
    for name, code in [
        ("none.wav", "AUDIO_NO_SAMPLES"),
        ("nan.wav", "AUDIO_NONFINITE"),
        ("text.wav", "AUDIO_CORRUPT"),
        ("gone.wav", "AUDIO_NOT_FOUND"),
    ]:
        with pytest.raises(AudioError, match=name) as caught:
            read_wave(tmp_path / name)
        assert caught.value.code == code
