"""How near a copy is to its recording: log-mel distance, distances of spectra at three resolutions, length ratio."""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent

FFT_SIZE = 1024
HOP_SAMPLES = 256  # 16 ms at 16 kHz
NUM_MELS = 80
FLOOR = 1e-5  # magnitudes below it count as silence
STFT_SIZES = (512, 1024, 2048)  # Hann windows of 32, 64, 128 ms at 16 kHz, each moved by a quarter of itself


@dataclass(frozen=True, kw_only=True)
class SpectralDistance:
    """Distances of magnitude spectra, each the mean over the transforms of ``STFT_SIZES``; 0 for equal waves."""

    convergence: float  # |S - S'| / |S|, Frobenius norms: what is loud weighs most; 1 for a silent copy
    log_magnitude: float  # mean |ln S - ln S'| over frames and bins: what is quiet weighs as much


@functools.cache
def _filters() -> Float[np.ndarray, "M F"]:
    import librosa

    return librosa.filters.mel(sr=SCORING_RATE, n_fft=FFT_SIZE, n_mels=NUM_MELS)


def log_mel(wave: Float[np.ndarray, "N"]) -> Float[np.ndarray, "T M"]:
    """Natural-log mel magnitudes for scoring and pictures: [frames, bands], 16 ms a frame.

    This is the scorer's own measure, the same for every system; a tokenizer's mel may have other settings.

    Args:
        wave: samples at 16 kHz.
    """
    return np.log(np.maximum(_magnitudes(wave, FFT_SIZE, HOP_SAMPLES) @ _filters().T, FLOOR)).astype(np.float32)


def mel_l1(reference: Float[np.ndarray, "N"], copy: Float[np.ndarray, "P"]) -> float:
    """Mean absolute difference of the log-mels over the frames that both have; 0 for equal waves.

    Only for a copy that keeps the recording's timing (copy-synthesis). What one of them is longer by is left out here
    and shows in `length_ratio`.

    Args:
        reference: the recording at 16 kHz.
        copy: the same passed through tokenizer and vocoder, at 16 kHz.
    """
    truth, made = log_mel(reference), log_mel(copy)
    frames = min(len(truth), len(made))
    return float(np.abs(truth[:frames] - made[:frames]).mean())


def spectral_distance(reference: Float[np.ndarray, "N"], copy: Float[np.ndarray, "P"]) -> SpectralDistance:
    """Multi-resolution STFT distance over the samples that both have, for a copy that keeps the recording's timing.

    ``(1/3) sum_r |S_r - S'_r| / |S_r|`` and ``(1/3) sum_r mean |ln S_r - ln S'_r|`` with magnitudes S_r of the Hann
    windows ``STFT_SIZES``, hop a quarter; logarithms of magnitudes below 1e-5 are taken of 1e-5.
    Source: the two terms of the STFT loss of Parallel WaveGAN (arXiv:1910.11480), as a measure.

    Args:
        reference: the recording at 16 kHz.
        copy: the same passed through a tokenizer, at 16 kHz.
    Raises:
        AudioError: AUDIO_SILENT, the recording is, so that nothing is left to divide by.
    """
    size = min(len(reference), len(copy))
    if is_silent(reference[:size]):
        raise AudioError("the recording is silent; its spectrum has no size to compare with.", code="AUDIO_SILENT")
    convergence, log_magnitude = [], []
    for window in STFT_SIZES:
        truth, made = (_magnitudes(wave[:size], window, window // 4) for wave in (reference, copy))
        convergence.append(np.linalg.norm(truth - made) / np.linalg.norm(truth))
        log_magnitude.append(np.abs(np.log(np.maximum(truth, FLOOR)) - np.log(np.maximum(made, FLOOR))).mean())
    return SpectralDistance(convergence=float(np.mean(convergence)), log_magnitude=float(np.mean(log_magnitude)))


def length_ratio(reference_seconds: float, output_seconds: float) -> float:
    """Length of an output over that of the recording of the same words; 1 is the recording's pace."""
    return output_seconds / reference_seconds


def _magnitudes(wave: Float[np.ndarray, "N"], window: int, hop: int) -> Float[np.ndarray, "T F"]:
    """Magnitudes of Hann-windowed frames; frame t is centred on sample t hop, zeros stand beyond the ends."""
    padded = np.pad(wave.astype(np.float32), window // 2)
    padded = np.pad(padded, (0, max(0, window - len(padded))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return np.abs(np.fft.rfft(frames * np.hanning(window + 1)[:-1].astype(np.float32), axis=-1))
