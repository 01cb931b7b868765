"""Small checks and repairs on samples in memory; none of them knows about files."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

BLOCK = 1 << 20  # samples that are looked at together
CLIPPED_RUN = 3  # so many neighbours at full scale are no accident
CLIPPED_SHARE = 1e-3  # of the samples; below it nobody hears it
FULL_SCALE = 0.999
DC_OFFSET = 0.01
PHASE_CANCEL = 0.1  # mixing two equal channels keeps their energy; this much of it left is a cancellation
SILENT_PEAK = 1e-4  # -80 dBFS
TELEPHONE_BAND_HZ = 4200.0
EMPTY_BAND_SHARE = 1e-6  # of the energy above TELEPHONE_BAND_HZ; recorded speech has far more
FRAME_SECONDS = 0.01


def _blocks(samples: Float[np.ndarray, "N *K"]) -> Iterator[Float[np.ndarray, "n *K"]]:
    """Pieces of a long recording, so that what is computed of it takes no memory of its length."""
    for start in range(0, len(samples), BLOCK):
        yield samples[start : start + BLOCK]


def peak(samples: Float[np.ndarray, "N *K"]) -> float:
    """The largest magnitude; 0.0 of nothing."""
    return max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))


def count_nonfinite(samples: Float[np.ndarray, "N *K"]) -> int:
    """How many samples are NaN or infinite."""
    return sum(int(np.count_nonzero(~np.isfinite(block))) for block in _blocks(samples))


def is_clipped(samples: Float[np.ndarray, "N"]) -> bool:
    """True when audibly many samples lie in runs at full scale, or at the highest level where that is above it."""
    highest = peak(samples)
    if highest < FULL_SCALE:
        return False
    limit = FULL_SCALE * max(1.0, highest)
    in_runs, carried = 0, 0  # carried: length of the run that the last block ended in
    for block in _blocks(samples):
        at_limit = np.abs(block) >= limit
        edges = np.flatnonzero(np.diff(np.concatenate([[False], at_limit, [False]])))
        starts, runs = edges[::2], edges[1::2] - edges[::2]
        if len(runs) and starts[0] == 0:
            runs[0] += carried
        elif carried >= CLIPPED_RUN:
            in_runs += carried
        carried = int(runs[-1]) if len(runs) and at_limit[-1] else 0
        finished = runs[:-1] if carried else runs
        in_runs += int(finished[finished >= CLIPPED_RUN].sum())
    if carried >= CLIPPED_RUN:
        in_runs += carried
    return in_runs > CLIPPED_SHARE * len(samples)


def has_dc_offset(samples: Float[np.ndarray, "N"]) -> bool:
    """True when the mean is far from zero: a fault of the sound card, heard as a click at each end."""
    return bool(abs(samples.mean(dtype=np.float64)) > DC_OFFSET)


def mix_down(channels: Float[np.ndarray, "N K"]) -> tuple[Float[np.ndarray, "N"], bool]:
    """Average K channels; where they cancel each other out, take the loudest one instead.

    Returns:
        mono samples, and whether they cancelled.
    """
    if channels.shape[1] == 1:
        return channels[:, 0], False
    mixed = np.empty(len(channels), channels.dtype)
    energies = np.zeros(channels.shape[1])
    place = 0
    for block in _blocks(channels):
        mixed[place : place + len(block)] = block.mean(axis=1)
        energies += np.square(block, dtype=np.float64).sum(axis=0)
        place += len(block)
    loud = energies[energies > 0.01 * energies.max(initial=0.0)]  # an unused channel does not cancel, it is only quiet
    left = sum(float(np.square(block, dtype=np.float64).sum()) for block in _blocks(mixed))
    if len(loud) > 1 and left < PHASE_CANCEL * loud.mean():
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
