"""A wave file that is written while it is spoken."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.speech.audio.load import shown_name
from resgen_tts.speech.audio.save import clipped_notes, to_pcm


class WavStream:
    """Samples written so far; see :func:`open_wav_stream`."""

    def __init__(self, file, name: str):
        self._file, self._name = file, name
        self.num_samples = self.num_clipped = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """AUDIO_CLIPPED, where samples written so far were clipped."""
        return clipped_notes(self.num_clipped, self.num_samples)

    def write(self, samples: Float[np.ndarray, " N"]) -> None:
        """Write the next samples as 16-bit PCM; those beyond [-1, 1] are clipped, as a player does.

        Raises:
            AudioError: AUDIO_NONFINITE.
        """
        if not np.isfinite(samples).all():
            raise AudioError(f"{self._name} would hold NaN or infinity.", code="AUDIO_NONFINITE")
        pcm, num_clipped = to_pcm(samples)
        self._file.write(pcm)
        self.num_clipped += num_clipped
        self.num_samples += len(samples)


@contextlib.contextmanager
def open_wav_stream(path: Path, sample_rate: int) -> Iterator[WavStream]:
    """A mono WAV that appears under its name when it is complete: on an error or a stop nothing is left.

    Raises:
        ConfigError: OUTPUT_NOT_WRITABLE.
        AudioError: AUDIO_NO_SAMPLES, where nothing was written.
    """
    with staged_file(path) as raw, wav_stream(raw, sample_rate, shown_name(path)) as stream:
        yield stream


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


@contextlib.contextmanager
def wav_stream(raw: BinaryIO, sample_rate: int, name: str) -> Iterator[WavStream]:
    """A mono WAV in an open file, complete at the end.

    Args:
        raw: seekable, as the header is written last.
        name: of the file, for messages.
    Raises:
        AudioError: AUDIO_NO_SAMPLES, where nothing was written.
    """
    import soundfile

    with soundfile.SoundFile(raw, "w", samplerate=sample_rate, channels=1, format="WAV", subtype="PCM_16") as file:
        stream = WavStream(file, name)
        yield stream
    if not stream.num_samples:
        raise AudioError(f"{name} would hold no samples.", code="AUDIO_NO_SAMPLES")
