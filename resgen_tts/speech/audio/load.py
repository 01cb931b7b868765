"""Audio files that come in: what is damaged, unfit or not audio at all is refused with a code, or read with a warning.

The order is fixed, cheap before dear: the directory entry, the first bytes, the header, the samples in blocks, and only
then arithmetic on all of them. Nothing is decoded that the header does not allow.
"""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio import checks
from resgen_tts.speech.audio.av_read import DEMUXERS, read_by_ffmpeg
from resgen_tts.speech.audio.container import SNIFFED_BYTES, SUFFIXES, is_cut_short, sniff
from resgen_tts.speech.audio.limits import AudioLimits, Decoded
from resgen_tts.speech.audio.sndfile_read import read_by_sndfile

MIN_REFERENCE_SECONDS = 1.0
GOOD_REFERENCE_SECONDS = 3.0
MAX_REFERENCE_SECONDS = 120.0  # of a recording that is cut where its text allows
MAX_UNCUT_SECONDS = 30.0  # of one that is used whole
SCALABLE_PEAK = 8.0  # float samples up to here are loud; beyond, they are in other units

_SHOWN_LETTERS = 100


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
    """A file's name for a message: one line, printable, not too long, whatever bytes it is made of."""
    try:
        whole = os.fsencode(path)
    except UnicodeEncodeError:  # no file has such a name
        whole = str(path).encode(errors="surrogatepass")
    name = (os.path.basename(whole) or whole).decode(errors="backslashreplace")
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)
    if len(shown) > _SHOWN_LETTERS:
        return f"{shown[: _SHOWN_LETTERS - 23]}...{shown[-20:]}"
    return shown


def load_audio(path: Path | str, *, sample_rate: int, limits: AudioLimits | None = None) -> LoadedAudio:
    """Read a WAV, FLAC, OGG (Vorbis, Opus), MP3 or AIFF file as mono float32 at a rate.

    With the extra `formats` also MP4 (M4A, MOV, 3GP), WebM and Matroska, AAC, AMR and Core Audio.

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
    name, suffix = shown_name(path), os.path.splitext(path)[1].lower()
    with open_regular(path, name, limits) as file:
        return load_opened(file, name, suffix, sample_rate=sample_rate, limits=limits)


def check_recording(path: Path | str, *, limits: AudioLimits | None = None) -> None:
    """Refuse what its directory entry and its first bytes tell, in no time: before a model is loaded, say.

    Raises:
        AudioError: AUDIO_NOT_FOUND, AUDIO_PERMISSION, AUDIO_NOT_A_FILE, AUDIO_EMPTY, AUDIO_TOO_LARGE, AUDIO_NOT_AUDIO
            or AUDIO_FORMAT_UNSUPPORTED.
    """
    name = shown_name(path)
    with open_regular(path, name, limits or AudioLimits()) as file:
        sniff(file.read(SNIFFED_BYTES), name)


def load_opened(file: io.FileIO, name: str, suffix: str, *, sample_rate: int, limits: AudioLimits) -> LoadedAudio:
    """The same of a regular file that is open, at its beginning; see `open_regular`.

    Args:
        name: for messages.
        suffix: with its dot, in small letters; a warning says where it is another format's.
    """
    warnings: list[str] = []
    decoded = _decode(file, name, suffix, limits, warnings)
    samples, rate = _clean(decoded.channels, name, warnings), decoded.rate
    del decoded  # of several channels only the mix is needed now
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
    return as_reference(load_audio(path, sample_rate=sample_rate, limits=limits), shown_name(path), is_cut=is_cut)


def as_reference(loaded: LoadedAudio, name: str, *, is_cut: bool = True) -> LoadedAudio:
    """The same of a recording that is in memory already.

    Args:
        name: of the file, for messages.
    Raises:
        AudioError: AUDIO_TOO_SHORT or AUDIO_TOO_LONG.
    """
    warnings = list(loaded.warnings)
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
    return LoadedAudio(loaded.samples, loaded.sample_rate, tuple(warnings))


def open_regular(path: Path | str, name: str, limits: AudioLimits) -> io.FileIO:
    """Open a regular file of an acceptable size; what is opened is what was looked at.

    Raises:
        AudioError: AUDIO_NOT_FOUND, AUDIO_PERMISSION, AUDIO_NOT_A_FILE, AUDIO_EMPTY or AUDIO_TOO_LARGE.
    """
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
        raise AudioError(
            f"{name} cannot be opened: {error.strerror}.", code="AUDIO_NOT_FOUND", hint="Check the path."
        ) from error
    opened = os.fstat(descriptor)
    if (opened.st_dev, opened.st_ino) != (entry.st_dev, entry.st_ino):
        os.close(descriptor)
        raise AudioError(f"{name} was replaced while it was being opened.", code="AUDIO_NOT_A_FILE", hint="Try again.")
    return os.fdopen(descriptor, "rb", buffering=0)  # libsndfile shares the position: no read-ahead


def _decode(file: io.FileIO, name: str, suffix: str, limits: AudioLimits, warnings: list[str]) -> Decoded:
    """Sniff, then let the one decoder that the first bytes call for read the header and the samples."""
    container = sniff(file.read(SNIFFED_BYTES), name)
    if any(suffix in suffixes for kind, suffixes in SUFFIXES.items() if kind != container):
        warnings.append(f"AUDIO_EXTENSION: {name} is {container}, not what its ending says.")
    cut_short = is_cut_short(file, container)
    file.seek(0)
    read = read_by_ffmpeg if container in DEMUXERS else read_by_sndfile
    decoded = read(file, container, name, limits)
    if cut_short or not decoded.is_complete:
        seconds = len(decoded.channels) / decoded.rate
        warnings.append(f"AUDIO_TRUNCATED: {name} was cut off or has gaps; what is left, {seconds:.2f} s, is used.")
    return decoded


def _clean(channels: Float[np.ndarray, "N K"], name: str, warnings: list[str]) -> Float[np.ndarray, "N"]:
    """Refuse what is no sound, repair what can be repaired, mix down; the channels are used up."""
    count = checks.count_nonfinite(channels)
    if count:
        raise AudioError(
            f"{name} has {count} samples that are NaN or infinite.", code="AUDIO_NONFINITE", hint="Export it again."
        )
    peak = checks.peak(channels)
    if peak > SCALABLE_PEAK:
        raise AudioError(
            f"{name} has samples up to {peak:.3g}, where 1 is full scale.",
            code="AUDIO_OUT_OF_RANGE",
            hint="It may hold integers stored as floats: divide by 32768.",
        )
    if peak < checks.SILENT_PEAK:
        raise _silent(name, peak)
    # Before any scaling: full scale is where the recorder stopped, and flattened peaks are what is left of it.
    clipped = any(checks.is_clipped(channels[:, channel]) for channel in range(channels.shape[1]))
    samples, cancelled = checks.mix_down(channels)
    if cancelled:
        warnings.append(f"AUDIO_PHASE_CANCEL: the channels of {name} cancel each other; only the loudest is used.")
    if clipped:
        warnings.append(f"AUDIO_CLIPPED: {name} is overdriven; its loud parts are distorted.")
    if checks.has_dc_offset(samples):
        mean = samples.mean(dtype=np.float64)
        warnings.append(f"AUDIO_DC_OFFSET: {name} is off centre by {mean:+.3f}; this was taken out.")
        samples -= mean.astype(np.float32)
    peak = checks.peak(samples)
    if peak < checks.SILENT_PEAK:
        raise _silent(name, peak)
    if peak > 1:
        warnings.append(f"AUDIO_OUT_OF_RANGE: {name} has peaks of {peak:.2f}; it was made quieter.")
        samples /= np.float32(peak)
    return samples


def _silent(name: str, peak: float) -> AudioError:
    return AudioError(
        f"{name} is silent (peak {peak:.1e}).", code="AUDIO_SILENT", hint="Check the microphone or the channel."
    )


def _resample(samples: Float[np.ndarray, "N"], rate: int, sample_rate: int) -> Float[np.ndarray, "N2"]:
    import soxr

    # The filter may ring a little over full scale; that is rounding, not content.
    resampled = soxr.resample(samples, rate, sample_rate)
    return np.clip(resampled, -1.0, 1.0, out=resampled)
