"""Sound files made by hand, byte for byte, and by the libraries that write them: the material of tests."""

import functools
import importlib.util
import io
import struct
from collections.abc import Sequence

import numpy as np

RATE = 24_000
HAS_FFMPEG = importlib.util.find_spec("av") is not None


@functools.cache
def voice(seconds: float = 3.2, rate: int = RATE, peak: float = 0.5) -> np.ndarray:
    """A buzz with harmonics up to half the rate, and some noise, so that it fills its band like speech; not to be
    changed."""
    num_samples = round(seconds * rate)
    harmonic = np.arange(1, int(rate / 2 / 120))
    spectrum = np.zeros(num_samples // 2 + 1, complex)
    spectrum[np.round(120 * harmonic * seconds).astype(int)] = np.exp(1j * harmonic**2) / harmonic
    buzz = np.fft.irfft(spectrum, num_samples)
    wave = buzz / np.abs(buzz).max() + 0.02 * np.random.default_rng(0).standard_normal(num_samples)
    wave = (peak * wave / np.abs(wave).max()).astype(np.float32)
    wave.flags.writeable = False
    return wave


def encoded(samples: np.ndarray, rate: int = RATE, format: str = "WAV", **options) -> bytes:
    """What libsndfile writes."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, **options)
    return buffer.getvalue()


def encoded_by_ffmpeg(
    samples: np.ndarray, format: str, codec: str, rate: int = RATE, with_picture: bool = False, **options: str
) -> bytes:
    """What FFmpeg's libraries write.

    Args:
        samples: [N], or [N, 2].
        with_picture: a film: a track of pictures before that of the sound.
    """
    import av

    pcm = np.round(samples.reshape(len(samples), -1) * 32767).astype(np.int16)
    layout = "mono" if pcm.shape[1] == 1 else "stereo"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format, options=options) as target:
        pictures = target.add_stream("mpeg4", rate=5) if with_picture else None
        track = target.add_stream(codec, rate=rate, layout=layout)
        if pictures is not None:
            _show_grey(target, pictures, 5 * len(samples) // rate)
        resampler = av.AudioResampler(format=track.format, layout=layout, rate=rate, frame_size=track.frame_size or 960)
        for start in range(0, len(pcm), 9600):
            frame = av.AudioFrame.from_ndarray(pcm[start : start + 9600].reshape(1, -1), format="s16", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            for piece in resampler.resample(frame):
                target.mux(track.encode(piece))
        for piece in resampler.resample(None):
            target.mux(track.encode(piece))
        target.mux(track.encode(None))
    return buffer.getvalue()


def film_without_sound() -> bytes:
    """An MP4 of one grey second."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as target:
        _show_grey(target, target.add_stream("mpeg4", rate=5), 5)
    return buffer.getvalue()


def _show_grey(target, pictures, count: int) -> None:
    import av

    pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
    for number in range(count):
        grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * number, np.uint8), format="rgb24")
        target.mux(pictures.encode(grey.reformat(format="yuv420p")))
    target.mux(pictures.encode(None))


def chunk(name: bytes, body: bytes, announced: int | None = None, order: str = "<") -> bytes:
    """One chunk of a RIFF file, with padding."""
    size = len(body) if announced is None else announced
    return name + struct.pack(f"{order}I", size) + body + bytes(len(body) % 2)


def wav_format(
    *, tag: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16, align: int | None = None, order: str = "<"
) -> bytes:
    """The body of a ``fmt`` chunk."""
    align = channels * bits // 8 if align is None else align
    return struct.pack(f"{order}HHIIHH", tag, channels, rate, rate * align % 2**32, align, bits)


def wav(chunks: Sequence[bytes], *, kind: bytes = b"RIFF", announced: int | None = None, order: str = "<") -> bytes:
    """A RIFF file of these chunks."""
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack(f"{order}I", len(body) if announced is None else announced) + body


def pcm16(samples: np.ndarray, order: str = "<") -> bytes:
    """16-bit samples."""
    return np.round(samples * 32767).astype(f"{order}i2").tobytes()


def wave64(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Sony's Wave64: sizes of 64 bits, which count their headers."""
    return encoded(samples, rate, "W64")


def flipped(content: bytes, start: float, stop: float, every: int = 7) -> bytes:
    """The bytes from one part of a file to another, every so manieth of them turned over."""
    changed = bytearray(content)
    for place in range(int(start * len(content)), int(stop * len(content)), every):
        changed[place] ^= 0xFF
    return bytes(changed)
