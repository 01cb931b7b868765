"""How near a copy is to its recording: log-mel distance and length ratio."""

import functools

import numpy as np
from jaxtyping import Float

from resgen_tts.evaluation.waves import SCORING_RATE

FFT_SIZE = 1024
HOP_SAMPLES = 256  # 16 ms at 16 kHz
NUM_MELS = 80
FLOOR = 1e-5  # magnitudes below it count as silence


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
    padded = np.pad(wave.astype(np.float32), FFT_SIZE // 2)
    padded = np.pad(padded, (0, max(0, FFT_SIZE - len(padded))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::HOP_SAMPLES]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(FFT_SIZE + 1)[:-1].astype(np.float32), axis=-1))
    return np.log(np.maximum(magnitude @ _filters().T, FLOOR)).astype(np.float32)


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


def length_ratio(reference_seconds: float, output_seconds: float) -> float:
    """Length of an output over that of the recording of the same words; 1 is the recording's pace."""
    return output_seconds / reference_seconds
