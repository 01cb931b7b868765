"""Audio files that go out: whole or not at all, and what had to be clipped is told."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float, Int16

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.common.run_dir import write_bytes
from resgen_tts.speech.audio.load import shown_name


def save_wav(path: Path | str, samples: Float[np.ndarray, "N"], sample_rate: int) -> tuple[str, ...]:
    """Write [N] as mono 16-bit PCM WAV, whole or not at all. Samples beyond [-1, 1] are clipped, as a player does.

    Returns:
        The warning AUDIO_CLIPPED where any were.
    Raises:
        AudioError: AUDIO_NONFINITE or AUDIO_NO_SAMPLES; nothing is written.
    """
    import soundfile

    name = shown_name(path)
    if not len(samples):
        raise AudioError(f"{name} would hold no samples; nothing was written.", code="AUDIO_NO_SAMPLES")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} would hold NaN or infinity; nothing was written.", code="AUDIO_NONFINITE")
    buffer = io.BytesIO()
    pcm, num_clipped = to_pcm(samples)
    soundfile.write(buffer, pcm, sample_rate, format="WAV", subtype="PCM_16")
    write_bytes(Path(path), buffer.getvalue())
    return clipped_notes(num_clipped, len(samples))


@contextlib.contextmanager
def staged_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name at the end, or not at all; a path that cannot be written is told at once.

    Raises:
        ConfigError: OUTPUT_NOT_WRITABLE.
    """
    path = Path(path)
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            raw = open(staged, "wb")  # noqa: SIM115, closed below
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}.",
                code="OUTPUT_NOT_WRITABLE",
                hint="Name a file in a folder of yours.",
            ) from error
        with raw:
            yield raw
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)


def to_pcm(samples: Float[np.ndarray, "N"]) -> tuple[Int16[np.ndarray, "N"], int]:
    """16-bit samples, and how many of them had to be clipped."""
    scaled = np.round(samples * 32767)
    return np.clip(scaled, -32767, 32767).astype(np.int16), int((np.abs(scaled) > 32767).sum())


def clipped_notes(num_clipped: int, num_samples: int) -> tuple[str, ...]:
    """A warning where speech was, or when it is written will be, louder than 16 bits hold."""
    if not num_clipped:
        return ()
    return (f"AUDIO_CLIPPED: {num_clipped} of {num_samples} samples are beyond full scale, where a file cuts them off",)
