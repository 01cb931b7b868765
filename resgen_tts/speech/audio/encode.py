"""Speech as a file of one of six formats: all at once, or piece by piece while it is being made."""

import contextlib
import fcntl
import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.speech.audio.av_write import AacBytes, Mp3Bytes, OpusBytes
from resgen_tts.speech.audio.load import shown_name
from resgen_tts.speech.audio.lossless import FlacBytes, PcmBytes, WavBytes
from resgen_tts.speech.audio.save import clipped_notes, staged_file, to_pcm
from resgen_tts.speech.audio.tags import check_tags

HIGHEST_RATE = 192_000
"""Hz, of a file that goes out; the loader takes no more either."""


@dataclass(frozen=True, kw_only=True)
class AudioFormat:
    """A format that speech is written in, always mono.

    Attributes:
        name: as ``--format`` and ``response_format`` call it.
        media_type: for HTTP.
        suffixes: of file names; the first one is the usual one.
        rates: in Hz, rising, where only some are possible; speech of another rate is resampled to the next higher one.
        usual_rate: in Hz, of a format that does not say its rate.
        has_tags: it can say what made the speech. The others are bare samples or frames: a mark in the sound, such as a
            watermark, is all that they can carry.
        is_lossless: 16 bits of every sample are kept.
        comes_early: its bytes come while speech is added; the others' all come at the end.
        bit_rate: bits a second of a lossy one.
        extra: of the installation that writes it; none where the base does.
    """

    name: str
    media_type: str
    suffixes: tuple[str, ...]
    rates: tuple[int, ...] | None = None
    usual_rate: int | None = None
    has_tags: bool = True
    is_lossless: bool = True
    comes_early: bool = True
    bit_rate: int | None = None
    extra: str | None = None

    def output_rate(self, sample_rate: int) -> int:
        """The rate in Hz that speech of this one is written with unless asked otherwise: no lower, where possible."""
        if self.usual_rate is not None:
            return self.usual_rate
        if self.rates is None or sample_rate in self.rates:
            return sample_rate
        return next((rate for rate in self.rates if rate > sample_rate), self.rates[-1])


_LOSSY_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

FORMATS: Mapping[str, AudioFormat] = {
    one.name: one
    for one in (
        AudioFormat(name="wav", media_type="audio/wav", suffixes=(".wav", ".wave")),
        AudioFormat(name="flac", media_type="audio/flac", suffixes=(".flac",), comes_early=False),
        AudioFormat(
            name="mp3", media_type="audio/mpeg", suffixes=(".mp3",), rates=_LOSSY_RATES,
            is_lossless=False, bit_rate=96_000, extra="formats",
        ),
        AudioFormat(
            name="opus", media_type="audio/ogg", suffixes=(".opus", ".ogg", ".oga"),
            rates=(8000, 12000, 16000, 24000, 48000), is_lossless=False, bit_rate=64_000, extra="formats",
        ),
        AudioFormat(
            name="aac", media_type="audio/aac", suffixes=(".aac", ".adts"), rates=_LOSSY_RATES, has_tags=False,
            is_lossless=False, bit_rate=96_000, extra="formats",
        ),
        AudioFormat(name="pcm", media_type="audio/pcm", suffixes=(".pcm", ".raw"), usual_rate=24000, has_tags=False),
    )
}  # fmt: skip
"""By name. wav and pcm: 16 bits, little-endian; pcm has no header, so it is 24 kHz unless asked otherwise. flac: 16
bits, the same samples in 44 % of the bytes. opus: in Ogg; below 56 kbit/s libopus mixes in its other codec, and speech
comes back 1 sample early, with a correlation of 0.93 instead of 0.998. aac: AAC-LC with ADTS headers."""


def format_for(path: Path | None, format: str | None = None) -> str:
    """The format of a file that is to be written: what is asked for, else what its name says, else wav.

    Args:
        path: none, or "-", for standard output.
        format: a key of FORMATS, where one is asked for.
    Raises:
        ConfigError: OUTPUT_FORMAT, where there is no such format, or the name says another one.
    """
    if format is not None and format not in FORMATS:
        raise ConfigError(
            f"there is no format {format!r}.", code="OUTPUT_FORMAT", hint=f"The formats are {', '.join(FORMATS)}."
        )
    if path is None or str(path) == "-" or not path.suffix:
        return format or "wav"
    named = next((one.name for one in FORMATS.values() if path.suffix.lower() in one.suffixes), None)
    if named is None:
        suffixes = " ".join(one.suffixes[0] for one in FORMATS.values())
        raise ConfigError(
            f"{shown_name(path)} ends in {path.suffix}, which is none of the formats that are written.",
            code="OUTPUT_FORMAT",
            hint=f"End its name in one of {suffixes}.",
        )
    if format is not None and format != named:
        raise ConfigError(
            f"{shown_name(path)} ends in {path.suffix}, and the format that is asked for is {format}.",
            code="OUTPUT_FORMAT",
            hint=f"Write {shown_name(path.with_suffix(FORMATS[format].suffixes[0]))}, or leave the format out.",
        )
    return named


class AudioEncoder:
    """Speech in, the bytes of a file out, as early as the format allows.

    What comes out, one behind the other, is the same however the speech is divided among the calls, and can be played
    from a pipe. Same samples, tags and libraries: same bytes. A decoder gives back the speech from its first sample on,
    with these exceptions: AAC has nowhere to say how much its coder put before and behind the sound (1024 samples, and
    less than a frame of 1024), and neither has MP3 until its head is patched (at most 1105 samples, and two frames).

    Args:
        format: a key of FORMATS.
        sample_rate: of the speech, in Hz.
        tags: "software", "comment", written at the head of the formats that can carry them (`AudioFormat.has_tags`).
        output_rate: of the file, in Hz; by default that of the speech or, where the format cannot have it, the next
            higher one that it can.
        name: of the file, for messages.
    Attributes:
        num_samples: taken so far, at `sample_rate`.
        num_written, num_clipped: samples at `output_rate` so far, and how many of them were beyond [-1, 1] and cut off
            there, as a player does.
    Raises:
        ConfigError: OUTPUT_FORMAT, no such format, or OUTPUT_RATE, one that the format cannot have.
        MissingExtraError: EXTRA_MISSING or ENCODER_MISSING, the format needs what is not installed.
    """

    def __init__(
        self,
        format: str,
        sample_rate: int,
        tags: Mapping[str, str] | None = None,
        *,
        output_rate: int | None = None,
        name: str = "the audio",
    ):
        self.format = FORMATS[format_for(None, format)]
        self.sample_rate = sample_rate
        self.output_rate = self.format.output_rate(sample_rate) if output_rate is None else output_rate
        self.num_samples = self.num_written = self.num_clipped = 0
        self._name, self._has_lost_tags = name, bool(tags) and not self.format.has_tags
        check_tags(tags or {})
        _check_rate(self.format, self.output_rate)
        self._resampler = None
        if self.output_rate != sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(sample_rate, self.output_rate, 1, dtype="float32")
        options = {}
        if self.format.bit_rate is not None:
            options["bit_rate"] = min(self.format.bit_rate, 4 * self.output_rate)  # no codec takes more than 4 a sample
        self._bytes: _Bytes = _BYTES[self.format.name](self.output_rate, tags or {}, **options)

    @property
    def warnings(self) -> tuple[str, ...]:
        """AUDIO_CLIPPED, where samples written so far were; TAGS_NOT_CARRIED, where tags have no place."""
        notes = clipped_notes(self.num_clipped, self.num_written)
        if self._has_lost_tags:
            notes += (f"TAGS_NOT_CARRIED: {self.format.name} has no place to say what made the speech",)
        return notes

    @property
    def patches(self) -> tuple[tuple[int, bytes], ...]:
        """(offset, bytes) pairs that make the head of a finished file say how long it is; a pipe does without them."""
        return self._bytes.patches

    def add(self, samples: Float[np.ndarray, " N"]) -> bytes:
        """Take the next samples; what comes back may be empty, as formats work in frames.

        At most 0.25 s of speech are kept back; all of it where the format does not come early.

        Raises:
            AudioError: AUDIO_NONFINITE.
        """
        if not np.isfinite(samples).all():
            raise AudioError(f"{self._name} would hold NaN or infinity.", code="AUDIO_NONFINITE")
        self.num_samples += len(samples)
        samples = np.asarray(samples, np.float32)
        return self._write(samples if self._resampler is None else self._resampler.resample_chunk(samples))

    def finish(self) -> bytes:
        """The last bytes; nothing can be added after it.

        Raises:
            AudioError: AUDIO_NO_SAMPLES, where nothing was added.
        """
        data = b""
        if self._resampler is not None:
            data = self._write(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        if not self.num_written:
            raise AudioError(f"{self._name} would hold no samples.", code="AUDIO_NO_SAMPLES")
        return data + self._bytes.finish()

    def _write(self, samples: Float[np.ndarray, " M"]) -> bytes:
        if not len(samples):
            return b""
        self.num_written += len(samples)
        self.num_clipped += to_pcm(samples)[1]
        return self._bytes.add(np.clip(samples, -1, 1))


@runtime_checkable
class _Bytes(Protocol):
    """What a format makes of samples at its own rate, all within [-1, 1]."""

    @property
    def patches(self) -> tuple[tuple[int, bytes], ...]: ...
    def add(self, samples: Float[np.ndarray, " N"]) -> bytes: ...
    def finish(self) -> bytes: ...


_BYTES: Mapping[str, Callable[..., _Bytes]] = {
    "wav": WavBytes, "flac": FlacBytes, "mp3": Mp3Bytes, "opus": OpusBytes, "aac": AacBytes, "pcm": PcmBytes
}  # fmt: skip


def _check_rate(format: AudioFormat, rate: int) -> None:
    if format.rates is None:
        if 1 <= rate <= HIGHEST_RATE:
            return
        hint = f"Ask for at most {HIGHEST_RATE} Hz."
    else:
        if rate in format.rates:
            return
        hint = f"It can have {', '.join(map(str, format.rates))} Hz."
    raise ConfigError(f"{format.name} cannot have {rate} Hz.", code="OUTPUT_RATE", hint=hint)


def encode(
    samples: Float[np.ndarray, " N"],
    format: str,
    sample_rate: int,
    tags: Mapping[str, str] | None = None,
    output_rate: int | None = None,
) -> bytes:
    """The bytes of a whole file: arguments and errors of :class:`AudioEncoder`.

    They are those that it gives, one behind the other, with its patches: equal to them but for the head of WAV and MP3,
    which here says how long the sound is.
    """
    encoder = AudioEncoder(format, sample_rate, tags, output_rate=output_rate)
    data = bytearray(encoder.add(samples) + encoder.finish())
    for offset, patch in encoder.patches:
        data[offset : offset + len(patch)] = patch
    return bytes(data)


OpenFile = BinaryIO | io.BytesIO
"""What can be written into; at run time one in memory is no BinaryIO."""


class AudioFileWriter:
    """A file that is being written; see :func:`open_audio_file`.

    Attributes:
        encoder: what makes its bytes, with num_samples and num_clipped so far.
    """

    def __init__(self, file: OpenFile, encoder: AudioEncoder):
        self._file, self.encoder = file, encoder

    @property
    def num_samples(self) -> int:
        """Taken so far, at the rate that they came with."""
        return self.encoder.num_samples

    @property
    def seconds(self) -> float:
        """Of speech taken so far."""
        return self.encoder.num_samples / self.encoder.sample_rate

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the encoder; complete when the file is."""
        return self.encoder.warnings

    def write(self, samples: Float[np.ndarray, " N"]) -> None:
        """Write the next samples; an open pipe gets what there is of them at once.

        Raises:
            AudioError: AUDIO_NONFINITE.
        """
        self._file.write(self.encoder.add(samples))
        self._file.flush()


@contextlib.contextmanager
def open_audio_file(
    target: Path | str | OpenFile,
    format: str | None,
    sample_rate: int,
    tags: Mapping[str, str] | None = None,
    *,
    output_rate: int | None = None,
    name: str | None = None,
) -> Iterator[AudioFileWriter]:
    """Write speech into a file while it is made.

    Args:
        target: a path, under which the file appears when it is complete: on an error or a stop nothing is left, and an
            older file of that name stays. Or a binary file that is open, such as standard output: written to at once,
            never closed, and the head mended at the end where one can go back to it.
        format: none for what the path's name says.
        sample_rate, tags, output_rate: as for :class:`AudioEncoder`.
        name: of an open file, for messages.
    Raises:
        ConfigError: OUTPUT_NOT_WRITABLE, OUTPUT_FORMAT, OUTPUT_RATE.
        AudioError: AUDIO_NO_SAMPLES, where nothing was written.
        MissingExtraError: the format needs what is not installed.
    """
    path = Path(target) if isinstance(target, (str, os.PathLike)) else None
    name = name or ("the audio" if path is None else shown_name(path))
    encoder = AudioEncoder(format_for(path, format), sample_rate, tags, output_rate=output_rate, name=name)
    with contextlib.ExitStack() as stack:
        if isinstance(target, (str, os.PathLike)):
            file: OpenFile = stack.enter_context(staged_file(Path(target)))
        else:
            file = target
        start = file.tell() if _can_go_back(file) else None
        yield AudioFileWriter(file, encoder)
        file.write(encoder.finish())
        if start is not None:
            end = file.tell()
            for offset, data in encoder.patches:
                file.seek(start + offset)
                file.write(data)
            file.seek(end)
        file.flush()


def _can_go_back(file: OpenFile) -> bool:
    """Whether what was written can be written over: not in a pipe, nor where all that is written goes to the end."""
    if not file.seekable():
        return False
    try:
        descriptor = file.fileno()
    except io.UnsupportedOperation:  # in memory
        return True
    return not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND


def save_audio(
    path: Path | str,
    samples: Float[np.ndarray, " N"],
    sample_rate: int,
    format: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Write speech as a file, whole or not at all; arguments and errors of :func:`open_audio_file`.

    Returns:
        warnings: AUDIO_CLIPPED, TAGS_NOT_CARRIED.
    """
    with open_audio_file(path, format, sample_rate, tags) as file:
        file.write(samples)
    return file.warnings
