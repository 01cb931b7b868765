"""Decoding by libsndfile: WAV, FLAC, OGG (Vorbis, Opus), MP3 and AIFF."""

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.container import counts_its_frames
from resgen_tts.speech.audio.limits import AudioLimits, Decoded, Gathered, corrupt

# What libsndfile calls each container. It looks at the file by itself, and knows more formats than are let in here.
FORMATS = {
    "WAV": ("WAV", "WAVEX", "RF64", "W64"),
    "FLAC": ("FLAC",),
    "OGG": ("OGG",),
    "MP3": ("MP3", "MPEG"),
    "AIFF": ("AIFF",),
}

_BLOCK_FRAMES = 1 << 16
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's "I cannot tell"
_UNSUPPORTED_ENCODING = 4  # libsndfile's error number


def read_by_sndfile(file: io.FileIO, container: str, name: str, limits: AudioLimits) -> Decoded:
    """Read the header, then all samples, of a file at its beginning.

    Args:
        container: a key of FORMATS, as it was sniffed.
    Raises:
        AudioError: AUDIO_FORMAT_UNSUPPORTED, AUDIO_CORRUPT, AUDIO_SAMPLE_RATE, AUDIO_CHANNELS, AUDIO_TOO_LONG,
            AUDIO_TOO_LARGE, AUDIO_NO_SAMPLES.
    """
    with _quiet_mpg123() if container in ("MP3", "WAV") else contextlib.nullcontext():
        return _read(file, container, name, limits)


def _read(file: io.FileIO, container: str, name: str, limits: AudioLimits) -> Decoded:
    import soundfile

    is_counted = container != "MP3" or counts_its_frames(file)
    file.seek(0)
    try:
        # A descriptor of its own: libsndfile reads and closes it, odd names never reach it.
        source = soundfile.SoundFile(os.dup(file.fileno()))
    except soundfile.LibsndfileError as error:
        if error.code == _UNSUPPORTED_ENCODING:
            raise AudioError(
                f"{name} is {container} with an encoding that is not read here.",
                code="AUDIO_FORMAT_UNSUPPORTED",
                hint="Convert it to 16-bit WAV or FLAC.",
            ) from error
        raise corrupt(name, container, _said(error)) from error
    with source:
        if source.format not in FORMATS[container]:
            raise corrupt(name, container, f"inside it is {source.format_info}.")
        announced = source.frames if is_counted and 0 <= source.frames < _UNKNOWN_FRAMES else 0
        if source.frames == 0:
            raise AudioError(f"{name} holds a header and no samples.", code="AUDIO_NO_SAMPLES", hint="Record it again.")
        gathered = Gathered(
            rate=source.samplerate, channels=source.channels, frames=announced, name=name, limits=limits
        )  # fmt: skip
        _read_blocks(source, gathered, name, container)
        return Decoded(gathered.samples(), source.samplerate, gathered.num_frames >= announced)


def _said(error: Any) -> str:
    """libsndfile's words, where they are about the file."""
    words = error.error_string
    return "it cannot be opened" if "does not exist" in words else words


@contextlib.contextmanager
def _quiet_mpg123() -> Iterator[None]:
    """libsndfile's MP3 decoder talks to the process's standard error about frames that it can do without.

    The descriptor belongs to all threads: where there are others, nothing is done.
    """
    if threading.active_count() > 1:
        yield
        return
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # the process has none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _read_blocks(source: Any, gathered: Gathered, name: str, container: str) -> None:
    import soundfile

    while True:
        try:
            block = source.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise corrupt(name, container, _said(error)) from error
        if not len(block):
            break
        gathered.add(block)
    if not gathered.num_frames:
        raise corrupt(name, container, "no sample of it can be decoded.")
