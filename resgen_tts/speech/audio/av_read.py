"""Decoding by FFmpeg's libraries (PyAV, an extra): MP4 and M4A, WebM and Matroska, AAC, AMR, Core Audio.

FFmpeg reads some hundred formats, playlists and addresses among them. Here it is given an open file, the one demuxer
that the file's first bytes call for, and the decoders of sound alone; of a film nothing but the sound is decoded.
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError, MissingExtraError, require
from resgen_tts.speech.audio.limits import AudioLimits, Decoded, Gathered, corrupt

DEMUXERS = {"MP4": "mov", "Matroska": "matroska", "AAC": "aac", "AMR": "amr", "Core Audio": "caf"}
DECODERS = (
    "aac", "alac", "opus", "libopus", "vorbis", "mp3", "mp3float", "flac", "amrnb", "amrwb", "pcm_alaw", "pcm_mulaw",
    "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le",
    "pcm_f32be", "pcm_f64le", "pcm_f64be",
)  # fmt: skip

_SCALES = {"u": 1 / 2**7, "i2": 1 / 2**15, "i4": 1 / 2**31}
_GUESSED = ("AAC", "AMR")  # their lengths are no part of the file: FFmpeg estimates them from the first bit rate
_SLACK_SECONDS = 0.1  # a container's length is rounded, and may count what an encoder put before the sound


def read_by_ffmpeg(file: io.FileIO, container: str, name: str, limits: AudioLimits) -> Decoded:
    """Read the header, then all samples of the first sound track, of a file at its beginning.

    Args:
        container: a key of DEMUXERS, as it was sniffed.
    Raises:
        AudioError: AUDIO_FORMAT_UNSUPPORTED (also where the library is not installed), AUDIO_CORRUPT,
            AUDIO_SAMPLE_RATE, AUDIO_CHANNELS, AUDIO_TOO_LONG, AUDIO_TOO_LARGE, AUDIO_NO_SAMPLES.
    """
    try:
        av = require("av", extra="formats")
    except MissingExtraError as error:
        raise AudioError(
            f"{name} is {container}, which is read by PyAV, and that is not installed.",
            code="AUDIO_FORMAT_UNSUPPORTED",
            hint=f"{error.hint}; or convert the file to WAV, FLAC, OGG or MP3.",
        ) from error
    try:
        with av.open(
            file,
            "r",
            format=DEMUXERS[container],
            options={
                "codec_whitelist": ",".join(DECODERS),
                "format_whitelist": DEMUXERS[container],
                "protocol_whitelist": "none",
            },
            metadata_errors="ignore",
        ) as source:
            return _read_track(source, container, name, limits)
    except (av.FFmpegError, OSError) as error:  # or a place that the file does not have
        raise corrupt(name, container, error.strerror or str(error)) from error


def _read_track(source: Any, container: str, name: str, limits: AudioLimits) -> Decoded:
    if not source.streams.audio:
        raise AudioError(
            f"{name} is {container} without a sound track.", code="AUDIO_NO_SAMPLES", hint="Choose a recording."
        )
    track = source.streams.audio[0]
    if track.codec_context is None or track.codec_context.codec.name not in DECODERS:
        kind = "unknown" if track.codec_context is None else track.codec_context.codec.name
        raise AudioError(
            f"{name} is {container} with sound of a kind that is not read here ({kind}).",
            code="AUDIO_FORMAT_UNSUPPORTED",
            hint="Convert it to WAV, FLAC, OGG or MP3.",
        )
    context = track.codec_context
    announced_seconds = _announced_seconds(source, track, container)
    if context.sample_rate:  # 0 where only the sound itself says so
        limits.check_layout(context.sample_rate, context.layout.nb_channels, name)
        frames = max(0, round(announced_seconds * context.sample_rate))
        limits.check_amount(frames, context.sample_rate, context.layout.nb_channels, name)
    gathered = None
    frames_since_fault, faults = 0, 0
    for frame in _frames(source, track):
        if frame is None:
            frames_since_fault, faults = 0, faults + 1
            if gathered is not None:
                gathered.check_time()
            continue
        block = _as_float(frame, name, container)
        if gathered is None:
            # What the sound says holds: a header may know only the half of it, the lower half of the spectrum.
            gathered = Gathered(
                rate=frame.sample_rate, channels=block.shape[1], frames=0, name=name, limits=limits
            )  # fmt: skip
            layout = frame.sample_rate, block.shape[1]
        if (frame.sample_rate, block.shape[1]) != layout:
            raise corrupt(name, container, "its sample rate or its channels change within it.")
        gathered.add(block)
        frames_since_fault += 1
    if gathered is None or not gathered.num_frames:
        if faults:
            raise corrupt(name, container, "no sample of it can be decoded.")
        raise AudioError(f"{name} holds a header and no samples.", code="AUDIO_NO_SAMPLES", hint="Record it again.")
    if faults and frames_since_fault:
        raise corrupt(name, container, f"{faults} of its packets cannot be decoded.")
    seconds = gathered.num_frames / gathered.rate
    return Decoded(gathered.samples(), gathered.rate, not faults and seconds >= announced_seconds - _SLACK_SECONDS)


def _announced_seconds(source: Any, track: Any, container: str) -> float:
    """Length by the header; 0.0 where it says nothing."""
    if container in _GUESSED:
        return 0.0
    if track.duration and track.time_base:
        return max(0.0, float(track.duration * track.time_base))
    has_sound_alone = len(source.streams) == 1  # the length of a film may be that of its pictures
    return max(0.0, source.duration / 1e6) if source.duration and has_sound_alone else 0.0


def _frames(source: Any, track: Any) -> Iterator[Any]:
    """Decoded frames; None for a packet that cannot be decoded."""
    from av import FFmpegError

    for packet in source.demux(track):
        try:
            yield from packet.decode()
        except FFmpegError:
            yield None


def _as_float(frame: Any, name: str, container: str) -> Float[np.ndarray, "N K"]:
    """A frame's samples as they are, whole numbers as parts of full scale."""
    samples, channels = frame.to_ndarray(), frame.layout.nb_channels
    # Planes are [K, N]; one packed plane is [1, N K].
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
    kind, size = samples.dtype.kind, samples.dtype.itemsize
    if kind == "f":
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite then, and refused as that
            return samples.astype(np.float32)
    if kind == "u" and size == 1:
        return (samples.astype(np.float32) - 128) * np.float32(_SCALES["u"])
    if kind == "i" and f"i{size}" in _SCALES:
        return samples.astype(np.float32) * np.float32(_SCALES[f"i{size}"])
    raise corrupt(name, container, f"samples of type {samples.dtype}.")
