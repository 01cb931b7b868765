"""Audio files that come in: what is damaged, unfit or not audio at all is refused with a code, or read with a warning.

The order is fixed, cheap before dear: the directory entry, the first bytes, the header, the samples in blocks, and only
then arithmetic on all of them. Nothing is decoded that the header does not allow.
"""

import io
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.speech.audio import checks
from resgen_tts.speech.audio.container import SNIFFED_BYTES, SUFFIXES, ogg_is_cut_short, sniff, wav_is_cut_short

MIN_REFERENCE_SECONDS = 1.0
GOOD_REFERENCE_SECONDS = 3.0
MAX_REFERENCE_SECONDS = 120.0  # of a recording that is cut where its text allows
MAX_UNCUT_SECONDS = 30.0  # of one that is used whole
SCALABLE_PEAK = 8.0  # float samples up to here are loud; beyond, they are in other units

_BLOCK_FRAMES = 1 << 16
_OGG_TAIL_BYTES = 1 << 17
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's "I cannot tell"
_UNSUPPORTED_ENCODING = 4  # libsndfile's error number


@dataclass(frozen=True, kw_only=True)
class AudioLimits:
    """What is accepted. The values are those for a file that a user hands in."""

    max_bytes: int = 50_000_000
    max_seconds: float = 600.0
    max_decoded_bytes: int = 256 * 2**20  # as float32, all channels
    min_rate: int = 8000  # Hz
    max_rate: int = 192_000  # Hz
    max_channels: int = 8
    max_wall_seconds: float = 10.0  # for decoding one file
    follow_links: bool = False  # True where the caller has checked where a symbolic link leads

    def __post_init__(self):
        for name in ("max_bytes", "max_seconds", "max_decoded_bytes", "max_channels", "max_wall_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"limits.{name} must be positive, got {getattr(self, name)}")
        if not 0 < self.min_rate <= self.max_rate:
            raise ConfigError(f"limits.min_rate {self.min_rate} must be positive and at most max_rate {self.max_rate}")


@dataclass(frozen=True)
class LoadedAudio:
    """A recording, ready to use.

    Attributes:
        samples: float32 mono [N], finite, in [-1, 1].
        sample_rate: Hz, the one asked for.
        warnings: "CODE: words" for each thing that a user should know.
    """

    samples: Float[np.ndarray, "N"]
    sample_rate: int
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.sample_rate


def shown_name(path: Path | str | bytes) -> str:
    """A file's name for a message: one line, printable, whatever bytes it is made of."""
    name = (os.path.basename(os.fsencode(path)) or os.fsencode(path)).decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def load_audio(path: Path | str, *, sample_rate: int, limits: AudioLimits | None = None) -> LoadedAudio:
    """Read a WAV, FLAC, OGG (Vorbis, Opus), MP3 or AIFF file as mono float32 at a rate.

    Args:
        path: any name that the file system takes.
        sample_rate: of the result, in Hz.
        limits: what is accepted.
    Raises:
        AudioError: AUDIO_NOT_FOUND, AUDIO_PERMISSION, AUDIO_NOT_A_FILE, AUDIO_EMPTY, AUDIO_TOO_LARGE, AUDIO_NOT_AUDIO,
            AUDIO_FORMAT_UNSUPPORTED, AUDIO_CORRUPT, AUDIO_SAMPLE_RATE, AUDIO_CHANNELS, AUDIO_TOO_LONG,
            AUDIO_NO_SAMPLES, AUDIO_NONFINITE, AUDIO_OUT_OF_RANGE, AUDIO_SILENT.
    """
    limits = limits or AudioLimits()
    name = shown_name(path)
    warnings: list[str] = []
    with _open_regular(path, name, limits) as file:
        size = os.fstat(file.fileno()).st_size
        channels, rate = _decode(file, size, name, Path(os.fsdecode(path)).suffix.lower(), limits, warnings)
    samples = _clean(channels, name, warnings)
    if rate < sample_rate or checks.is_telephone_band(samples, rate):
        warnings.append(f"AUDIO_LOW_BANDWIDTH: {name} has no high frequencies (recorded at {rate} Hz); it sounds dull.")
    if rate != sample_rate:
        samples = _resample(samples, rate, sample_rate)
    if not len(samples):
        raise AudioError(f"{name} is shorter than one sample at {sample_rate} Hz.", code="AUDIO_NO_SAMPLES")
    return LoadedAudio(samples, sample_rate, tuple(warnings))


def load_reference(
    path: Path | str, *, sample_rate: int, is_cut: bool = True, limits: AudioLimits | None = None
) -> LoadedAudio:
    """Read a reference recording, of which 3 to 12 s are best.

    Shorter than 1 s is refused, shorter than 3 s warned about (AUDIO_SHORT). Nothing is cut off: only beside its text,
    aligned, can a recording be shortened together with it.

    Args:
        is_cut: what is too long for a prompt will be cut with its text; else no more than 30 s are taken.
    Raises:
        AudioError: AUDIO_TOO_SHORT, AUDIO_TOO_LONG, and those of `load_audio`.
    """
    loaded = load_audio(path, sample_rate=sample_rate, limits=limits)
    name, warnings = shown_name(path), list(loaded.warnings)
    if loaded.seconds < MIN_REFERENCE_SECONDS:
        raise AudioError(
            f"{name} is {loaded.seconds:.2f} s; a reference needs at least {MIN_REFERENCE_SECONDS:.0f} s (3 to 12 s "
            "works best).",
            code="AUDIO_TOO_SHORT",
            hint="Record a longer clip.",
        )
    if loaded.seconds < GOOD_REFERENCE_SECONDS:
        warnings.append(f"AUDIO_SHORT: {name} is {loaded.seconds:.2f} s; 3 to 12 s give a better likeness.")
    longest = MAX_REFERENCE_SECONDS if is_cut else MAX_UNCUT_SECONDS
    if loaded.seconds > longest:
        raise AudioError(
            f"{name} is {loaded.seconds:.1f} s; a reference may last {longest:.0f} s"
            f"{'' if is_cut else ' where it is taken as it is'}.",
            code="AUDIO_TOO_LONG",
            hint="Pass a part of it, 3 to 12 s work best, with what is said in that part"
            + ("." if is_cut else ", or leave out --no-hygiene: then it is cut at a pause, and its text with it."),
        )
    return LoadedAudio(loaded.samples, sample_rate, tuple(warnings))


def _open_regular(path: Path | str, name: str, limits: AudioLimits) -> io.FileIO:
    """Open a regular file of an acceptable size; what is opened is what was looked at."""
    try:
        entry = os.lstat(path)
        if stat.S_ISLNK(entry.st_mode) and limits.follow_links:
            entry = os.stat(path)
    except PermissionError as error:
        raise AudioError(f"{name} may not be looked at.", code="AUDIO_PERMISSION", hint="Check its folder.") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{name} does not exist.", code="AUDIO_NOT_FOUND", hint="Check the path.") from error
    if not stat.S_ISREG(entry.st_mode):
        kind = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}.get(stat.S_IFMT(entry.st_mode), "a device")
        raise AudioError(f"{name} is {kind}, not a file.", code="AUDIO_NOT_A_FILE", hint="Give the recording itself.")
    if entry.st_size == 0:
        raise AudioError(f"{name} is empty (0 bytes).", code="AUDIO_EMPTY", hint="Copy or record it again.")
    if entry.st_size > limits.max_bytes:
        raise AudioError(
            f"{name} has {entry.st_size / 1e6:.1f} MB, the limit is {limits.max_bytes / 1e6:.0f} MB.",
            code="AUDIO_TOO_LARGE",
            hint="Cut it, or store it as FLAC.",
        )
    try:
        # Never wait on a pipe that has taken the file's place; a link that has is not followed.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if limits.follow_links else os.O_NOFOLLOW))
    except PermissionError as error:
        raise AudioError(f"{name} may not be read.", code="AUDIO_PERMISSION", hint="Check its permissions.") from error
    except OSError as error:
        raise AudioError(f"{name} cannot be opened: {error.strerror}.", code="AUDIO_NOT_FOUND") from error
    opened = os.fstat(descriptor)
    if (opened.st_dev, opened.st_ino) != (entry.st_dev, entry.st_ino):
        os.close(descriptor)
        raise AudioError(f"{name} was replaced while it was being opened.", code="AUDIO_NOT_A_FILE", hint="Try again.")
    return os.fdopen(descriptor, "rb", buffering=0)  # libsndfile shares the position: no read-ahead


def _decode(
    file: io.FileIO, size: int, name: str, suffix: str, limits: AudioLimits, warnings: list[str]
) -> tuple[Float[np.ndarray, "N K"], int]:
    """Sniff, read the header, then all samples."""
    import soundfile

    head = file.read(SNIFFED_BYTES)
    container = sniff(head, name)
    if any(suffix in suffixes for kind, suffixes in SUFFIXES.items() if kind != container):
        warnings.append(f"AUDIO_EXTENSION: {name} is {container}, not what its ending says.")
    cut_short = container == "WAV" and wav_is_cut_short(head, size)
    if container == "OGG":
        file.seek(max(0, size - _OGG_TAIL_BYTES))
        cut_short = ogg_is_cut_short(file.read())
    file.seek(0)
    try:
        # A descriptor of its own: libsndfile reads and closes it, odd names never reach it.
        source = soundfile.SoundFile(os.dup(file.fileno()))
    except soundfile.LibsndfileError as error:
        if error.code == _UNSUPPORTED_ENCODING:
            raise AudioError(
                f"{name} is {container} with an encoding that is not read here: {error}",
                code="AUDIO_FORMAT_UNSUPPORTED",
                hint="Convert it to 16-bit WAV or FLAC.",
            ) from error
        raise _corrupt(name, container, str(error)) from error
    with source:
        _check_header(source, name, limits)
        channels, complete = _read_blocks(source, name, container, limits)
        if cut_short or not complete:
            seconds = len(channels) / source.samplerate
            warnings.append(f"AUDIO_TRUNCATED: {name} ends too early; its first {seconds:.2f} s are used.")
        return channels, source.samplerate


def _corrupt(name: str, container: str, why: str) -> AudioError:
    return AudioError(f"{name} looks like {container} but is damaged: {why}", hint="Copy or convert it again.")


def _check_header(source: Any, name: str, limits: AudioLimits) -> None:
    rate, channels, frames = source.samplerate, source.channels, source.frames
    if not limits.min_rate <= rate <= limits.max_rate:
        raise AudioError(
            f"{name} has a sample rate of {rate} Hz; {limits.min_rate} to {limits.max_rate} Hz are accepted.",
            code="AUDIO_SAMPLE_RATE",
            hint="Resample it to 16 kHz or more.",
        )
    if channels > limits.max_channels:
        raise AudioError(
            f"{name} has {channels} channels, at most {limits.max_channels} are accepted.",
            code="AUDIO_CHANNELS",
            hint="Mix it down.",
        )
    if frames == 0:
        raise AudioError(f"{name} holds a header and no samples.", code="AUDIO_NO_SAMPLES", hint="Record it again.")
    if frames < _UNKNOWN_FRAMES:
        _check_amount(frames, rate, channels, name, limits)


def _check_amount(frames: int, rate: int, channels: int, name: str, limits: AudioLimits) -> None:
    if frames > limits.max_seconds * rate:
        raise AudioError(
            f"{name} is {frames / rate:.0f} s long, the limit is {limits.max_seconds:.0f} s.",
            code="AUDIO_TOO_LONG",
            hint="Cut it into pieces.",
        )
    if frames * channels * 4 > limits.max_decoded_bytes:
        raise AudioError(
            f"{name} takes {frames * channels * 4 / 2**20:.0f} MiB decoded, the limit is "
            f"{limits.max_decoded_bytes / 2**20:.0f} MiB.",
            code="AUDIO_TOO_LARGE",
            hint="Cut it, mix it down, or lower its rate.",
        )


def _read_blocks(source: Any, name: str, container: str, limits: AudioLimits) -> tuple[Float[np.ndarray, "N K"], bool]:
    """All samples, and whether as many came as the header announced."""
    import soundfile

    deadline = time.monotonic() + limits.max_wall_seconds
    blocks, total, failure = [], 0, ""
    while True:
        try:
            block = source.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            failure = str(error)
            break
        if not len(block):
            break
        blocks.append(block)
        total += len(block)
        _check_amount(total, source.samplerate, source.channels, name, limits)
        if time.monotonic() > deadline:
            raise AudioError(
                f"{name} was not decoded within {limits.max_wall_seconds:.0f} s.",
                code="AUDIO_TOO_LARGE",
                hint="Cut it.",
            )
    if failure or not blocks:
        raise _corrupt(name, container, failure or "no sample of it can be decoded.")
    complete = source.frames >= _UNKNOWN_FRAMES or total >= source.frames
    return np.concatenate(blocks), complete


def _clean(channels: Float[np.ndarray, "N K"], name: str, warnings: list[str]) -> Float[np.ndarray, "N"]:
    """Refuse what is no sound, repair what can be repaired, mix down."""
    if not np.isfinite(channels).all():
        count = int((~np.isfinite(channels)).sum())
        raise AudioError(
            f"{name} has {count} samples that are NaN or infinite.", code="AUDIO_NONFINITE", hint="Export it again."
        )
    peak = float(np.abs(channels).max())
    if peak > SCALABLE_PEAK:
        raise AudioError(
            f"{name} has samples up to {peak:.3g}, where 1 is full scale.",
            code="AUDIO_OUT_OF_RANGE",
            hint="It may hold integers stored as floats: divide by 32768.",
        )
    if checks.is_silent(channels.reshape(-1)):
        raise AudioError(
            f"{name} is silent (peak {peak:.1e}).", code="AUDIO_SILENT", hint="Check the microphone or the channel."
        )
    # Before any scaling: full scale is where the recorder stopped, and flattened peaks are what is left of it.
    clipped = any(checks.is_clipped(channels[:, channel]) for channel in range(channels.shape[1]))
    samples, cancelled = checks.mix_down(channels)
    if cancelled:
        warnings.append(f"AUDIO_PHASE_CANCEL: the channels of {name} cancel each other; only the loudest is used.")
    if clipped:
        warnings.append(f"AUDIO_CLIPPED: {name} is overdriven; its loud parts are distorted.")
    if checks.has_dc_offset(samples):
        warnings.append(f"AUDIO_DC_OFFSET: {name} is off centre by {samples.mean():+.3f}; this was taken out.")
        samples = samples - samples.mean(dtype=np.float64).astype(np.float32)
    peak = float(np.abs(samples).max())
    if peak > 1:
        warnings.append(f"AUDIO_OUT_OF_RANGE: {name} has peaks of {peak:.2f}; it was made quieter.")
        samples = samples / np.float32(peak)
    return samples


def _resample(samples: Float[np.ndarray, "N"], rate: int, sample_rate: int) -> Float[np.ndarray, "N2"]:
    import soxr

    # The filter may ring a little over full scale; that is rounding, not content.
    return np.clip(soxr.resample(samples, rate, sample_rate), -1.0, 1.0).astype(np.float32)
