"""Small checks and repairs on samples in memory; none of them knows about files."""

import numpy as np
from jaxtyping import Float

CLIPPED_RUN = 3  # so many neighbours at full scale are no accident
CLIPPED_SHARE = 1e-3  # of the samples; below it nobody hears it
FULL_SCALE = 0.999
DC_OFFSET = 0.01
PHASE_CANCEL = 0.1  # mixing two equal channels keeps their energy; this much of it left is a cancellation
SILENT_PEAK = 1e-4  # -80 dBFS
TELEPHONE_BAND_HZ = 4200.0
EMPTY_BAND_SHARE = 1e-6  # of the energy above TELEPHONE_BAND_HZ; recorded speech has far more
FRAME_SECONDS = 0.01


def is_clipped(samples: Float[np.ndarray, "N"]) -> bool:
    """True when audibly many samples lie in runs at full scale, or at the highest level where that is above it."""
    level = np.abs(samples)
    at_limit = level >= FULL_SCALE * max(1.0, level.max(initial=0.0))
    if not at_limit.any():
        return False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], at_limit, [False]])))
    runs = edges[1::2] - edges[::2]
    return bool(runs[runs >= CLIPPED_RUN].sum() > CLIPPED_SHARE * len(samples))


def has_dc_offset(samples: Float[np.ndarray, "N"]) -> bool:
    """True when the mean is far from zero: a fault of the sound card, heard as a click at each end."""
    return bool(abs(samples.mean(dtype=np.float64)) > DC_OFFSET)


def is_silent(samples: Float[np.ndarray, "N"]) -> bool:
    """True when nothing rises above -80 dBFS."""
    return bool(np.abs(samples).max(initial=0.0) < SILENT_PEAK)


def mix_down(channels: Float[np.ndarray, "N K"]) -> tuple[Float[np.ndarray, "N"], bool]:
    """Average K channels; where they cancel each other out, take the loudest one instead.

    Returns:
        mono samples, and whether they cancelled.
    """
    if channels.shape[1] == 1:
        return channels[:, 0], False
    mixed = channels.mean(axis=1)
    energies = np.square(channels, dtype=np.float64).mean(axis=0)
    loud = energies[energies > 0.01 * energies.max(initial=0.0)]  # an unused channel does not cancel, it is only quiet
    if len(loud) > 1 and np.square(mixed, dtype=np.float64).mean() < PHASE_CANCEL * loud.mean():
        return np.ascontiguousarray(channels[:, int(energies.argmax())]), True
    return mixed, False


def is_telephone_band(samples: Float[np.ndarray, "N"], sample_rate: int) -> bool:
    """True when there is nothing above 4.2 kHz although the rate has room for it: speech from a telephone."""
    if sample_rate / 2 < TELEPHONE_BAND_HZ * 1.2 or len(samples) < 1024:
        return False
    size = 1024
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    frames = frames[:: max(1, len(frames) // 200)]  # 200 frames tell as much as all
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1))).sum(axis=0)
    frequency_hz = np.fft.rfftfreq(size, 1 / sample_rate)
    return bool(power[frequency_hz > TELEPHONE_BAND_HZ].sum() < EMPTY_BAND_SHARE * power.sum())


def frame_levels_db(samples: Float[np.ndarray, "N"], sample_rate: int) -> Float[np.ndarray, "T"]:
    """Level of each whole frame of 10 ms, in dB relative to full scale; -120 for digital silence."""
    size = max(1, round(FRAME_SECONDS * sample_rate))
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    return 10 * np.log10(np.maximum(power, 1e-12))


def speech_span(
    samples: Float[np.ndarray, "N"], sample_rate: int, *, below_loud_db: float = 35.0, keep_seconds: float = 0.1
) -> tuple[int, int]:
    """Where the speech begins and ends, with some of the silence around it.

    A frame is speech when its level is at most `below_loud_db` under that of the loud frames (the 95th percentile, or
    12 dB under the loudest 30 ms where a few words stand in much silence); three such frames in a row are needed, so
    that a click does not count. In noise that is louder than this nothing is cut.

    Returns:
        start and stop in samples, 0 <= start < stop <= N.
    """
    levels = frame_levels_db(samples, sample_rate)
    size = max(1, round(FRAME_SECONDS * sample_rate))
    if len(levels) < 3:
        return 0, len(samples)
    held = np.minimum(np.minimum(levels[:-2], levels[1:-1]), levels[2:])
    loud = max(np.percentile(levels, 95), held.max() - 12)
    steady = np.flatnonzero(held > loud - below_loud_db)
    if not len(steady):  # one click and nothing else: the percentile is above all that lasts
        return 0, len(samples)
    keep = round(keep_seconds * sample_rate)
    return max(0, int(steady[0]) * size - keep), min(len(samples), int(steady[-1] + 3) * size + keep)
