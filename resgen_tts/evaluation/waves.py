"""Reading recordings and outputs for scoring: any rate in, mono float32 at the scorer's rate out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError

SCORING_RATE = 16_000  # Hz; what every scorer of this package listens to
SILENCE_PEAK = 1e-4  # a wave that never reaches -80 dBFS holds no speech
SEARCHED_SECONDS = 5.0  # a longer wave is cut at the quietest moment of a window's last so many seconds
# To be raised whenever a judge would hear other samples in a file: reading, resampling, windows. What judges remember
# of an earlier version is not used again.
LISTENING_VERSION = 1


def read_wave(path: Path, *, sample_rate: int = SCORING_RATE, start_seconds: float = 0.0) -> Float[np.ndarray, "N"]:
    """Read a sound file as mono float32 in [-1, 1].

    Several channels are averaged, another rate is resampled, float samples outside [-1, 1] are clipped as a player
    would clip them.

    Args:
        path: a file that libsndfile reads.
        sample_rate: rate of the result in Hz.
        start_seconds: what comes before is left out, e.g. the prompt of a continuation.
    Raises:
        AudioError: the file is missing, is no audio, holds no samples (from that time on), or holds NaN or infinity.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path} does not exist.", code="AUDIO_NOT_FOUND")
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioError(f"{path} cannot be decoded: {error}") from error
    wave = samples.mean(axis=1)
    wave = wave[round(start_seconds * rate) :]
    if not len(wave):
        behind = f" after {start_seconds:.2f} s" if start_seconds else ""
        raise AudioError(f"{path} holds no samples{behind}.", code="AUDIO_NO_SAMPLES")
    if not np.isfinite(wave).all():
        raise AudioError(f"{path} holds samples that are not finite.", code="AUDIO_NONFINITE")
    if rate != sample_rate:
        import soxr

        wave = soxr.resample(wave, rate, sample_rate)
    return np.clip(wave, -1.0, 1.0).astype(np.float32)


def wave_seconds(path: Path) -> float:
    """Length of a sound file in seconds, from its header.

    Raises:
        AudioError: the file is missing, is no audio, or holds no samples.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path} does not exist.", code="AUDIO_NOT_FOUND")
    try:
        header = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioError(f"{path} cannot be decoded: {error}") from error
    if not header.frames:
        raise AudioError(f"{path} holds no samples.", code="AUDIO_NO_SAMPLES")
    return header.frames / header.samplerate


def is_silent(wave: Float[np.ndarray, "N"]) -> bool:
    """True when the wave stays below the level at which speech can be heard."""
    return bool(np.abs(wave).max(initial=0.0) < SILENCE_PEAK)


def windows(wave: Float[np.ndarray, "N"], longest_seconds: float) -> Iterator[Float[np.ndarray, "K"]]:
    """A wave at 16 kHz in pieces of at most so many seconds, each cut at the quietest 0.2 s of its last 5 s; they join
    to the wave."""
    size, searched, quiet = (round(s * SCORING_RATE) for s in (longest_seconds, SEARCHED_SECONDS, 0.2))
    while len(wave) > size:
        energy = np.square(wave[size - searched : size], dtype=np.float64)
        smooth = np.convolve(energy.reshape(-1, quiet // 20).sum(1), np.ones(20), mode="valid")
        end = size - searched + int(smooth.argmin()) * (quiet // 20) + quiet // 2
        yield wave[:end]
        wave = wave[end:]
    yield wave
