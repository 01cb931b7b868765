"""What happens to a recording on its way through the world: other codecs, rates, noise, speed, pieces of it."""

import io
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from resgen_tts.common.errors import require
from resgen_tts.common.randomness import seed_of

Wave = Float32[np.ndarray, "N"]
Attack = Callable[[Wave, int, int], Wave]  # samples, rate in Hz, seed of what is drawn -> samples at the same rate

AS_IT_IS = "as it is"
VOICED_PEAK = 0.1  # of the whole's: where a piece is cut out, something is said


def attacks() -> dict[str, Attack]:
    """Name -> what is done; the first does nothing."""
    return {
        AS_IT_IS: lambda wave, rate, seed: wave,
        "MP3 128k": _coded("libmp3lame", "mp3", 128_000),
        "MP3 64k": _coded("libmp3lame", "mp3", 64_000),
        "MP3 32k": _coded("libmp3lame", "mp3", 32_000),
        "Opus 24k": _coded("libopus", "ogg", 24_000),
        "Opus 12k": _coded("libopus", "ogg", 12_000),
        "AAC 64k": _coded("aac", "adts", 64_000),
        "8 kHz and back": lambda wave, rate, seed: resampled(resampled(wave, rate, 8000), 8000, rate),
        "22.05 kHz and back": lambda wave, rate, seed: resampled(resampled(wave, rate, 22_050), 22_050, rate),
        "noise at 20 dB": lambda wave, rate, seed: noisy(wave, 20, seed),
        "noise at 10 dB": lambda wave, rate, seed: noisy(wave, 10, seed),
        "speed +5 %, with pitch": lambda wave, rate, seed: resampled(wave, 105, 100),
        "speed -5 %, with pitch": lambda wave, rate, seed: resampled(wave, 95, 100),
        "speed +5 %, pitch kept": lambda wave, rate, seed: stretched(wave, 1.05),
        "speed -5 %, pitch kept": lambda wave, rate, seed: stretched(wave, 0.95),
        "20 dB quieter": lambda wave, rate, seed: wave * np.float32(0.1),
        "12 dB louder, clipped": lambda wave, rate, seed: np.clip(wave * np.float32(4), -1, 1),
        "cut to 2 s": lambda wave, rate, seed: piece(wave, 2.0, rate, seed),
        "cut to 1 s": lambda wave, rate, seed: piece(wave, 1.0, rate, seed),
        "cut to 0.5 s": lambda wave, rate, seed: piece(wave, 0.5, rate, seed),
    }


def resampled(wave: Wave, rate: float, wanted: float) -> Wave:
    """At another rate; played at the old one it is the same recording at another speed and pitch."""
    import soxr

    return soxr.resample(wave, rate, wanted)


def noisy(wave: Wave, decibels: float, seed: int) -> Wave:
    """With white noise so far below the mean power of the whole."""
    noise = np.random.default_rng(seed).standard_normal(len(wave))
    power = np.mean(np.square(wave, dtype=np.float64)) / 10 ** (decibels / 10)
    return (wave + noise * np.sqrt(power)).astype(np.float32)


def stretched(wave: Wave, speed: float) -> Wave:
    """Faster or slower at the same pitch, by a phase vocoder."""
    import librosa

    return librosa.effects.time_stretch(wave, rate=speed, n_fft=1024).astype(np.float32)


def piece(wave: Wave, seconds: float, rate: int, seed: int) -> Wave:
    """A piece out of the middle of speech; the whole where it is no longer."""
    length = round(seconds * rate)
    spoken = np.flatnonzero(np.abs(wave) > VOICED_PEAK * np.abs(wave).max())
    last = min(spoken[-1], len(wave)) - length
    if last <= spoken[0]:
        start = max(0, min(int(spoken[0]), len(wave) - length))
    else:
        start = int(np.random.default_rng(seed_of(seed, "piece")).integers(spoken[0], last))
    return wave[start : start + length]


def coded(wave: Wave, rate: int, codec: str, container: str, bit_rate: int) -> Wave:
    """Encoded and decoded again, both by FFmpeg's libraries."""
    av = require("av", extra="formats")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as written:
        stream = written.add_stream(codec, rate=48_000 if codec == "libopus" else rate)
        stream.bit_rate = bit_rate
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=stream.rate, frame_size=stream.frame_size
        )
        for given in (frame, None):
            for part in resampler.resample(given):
                written.mux(stream.encode(part))
        written.mux(stream.encode(None))
    file.seek(0)
    blocks = []
    with av.open(file) as read:
        to_float = av.AudioResampler(format="flt", layout="mono", rate=rate)
        for part in read.decode(audio=0):
            blocks += [block.to_ndarray()[0] for block in to_float.resample(part)]
        blocks += [block.to_ndarray()[0] for block in to_float.resample(None)]
    return np.concatenate(blocks)


def _coded(codec: str, container: str, bit_rate: int) -> Attack:
    return lambda wave, rate, seed: coded(wave, rate, codec, container, bit_rate)
