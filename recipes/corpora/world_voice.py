"""New speakers out of recorded ones: WORLD analysis, then another pitch, vocal tract length, rate and tilt.

Source: WORLD (Morise et al., 2016); the frequency axis of the spectral envelope is scaled as in vocal tract length
normalisation (Eide and Gish, 1996).
"""

import warnings
from dataclasses import dataclass

import numpy as np

from resgen_tts.common.errors import ConfigError, DataError, require

FRAME_PERIOD_MS = 5.0


@dataclass(frozen=True, kw_only=True)
class Transform:
    """How a speaker differs from the base voice; every neutral value is 1, those of tilt and breathiness 0."""

    pitch: float = 1.0  # factor of the fundamental frequency
    formant: float = 1.0  # factor of the formant frequencies; above 1 is a shorter vocal tract
    rate: float = 1.0  # factor of the speed; above 1 is faster
    tilt_db: float = 0.0  # dB per octave added above 500 Hz; below 0 is darker
    intonation: float = 1.0  # factor of the pitch's movement about its median, in log frequency
    breathiness: float = 0.0  # share of the periodic part that becomes noise at the highest frequency, less below

    def __post_init__(self):
        for name in ("pitch", "formant", "rate", "intonation"):
            if not 0.3 <= getattr(self, name) <= 3:
                raise ConfigError(f"transform.{name} must lie in 0.3..3, got {getattr(self, name)}")
        if not 0 <= self.breathiness < 1:
            raise ConfigError(f"transform.breathiness must be at least 0 and below 1, got {self.breathiness}")


@dataclass(frozen=True)
class Analysis:
    """What WORLD finds in a recording: pitch [T] in Hz (0 = unvoiced), envelope and aperiodicity [T, F]."""

    pitch_hz: np.ndarray
    envelope: np.ndarray
    aperiodicity: np.ndarray
    sample_rate: int


def _world():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyworld imports the deprecated pkg_resources
        return require("pyworld", extra="corpus")


def analyse(wave: np.ndarray, sample_rate: int) -> Analysis:
    """Split a recording [N] into pitch, envelope and aperiodicity, every 5 ms.

    Raises:
        DataError: nothing in it is voiced.
    """
    world = _world()
    wave = np.ascontiguousarray(wave, dtype=np.float64)
    coarse, times = world.dio(wave, sample_rate, f0_floor=60.0, f0_ceil=400.0, frame_period=FRAME_PERIOD_MS)
    pitch = world.stonemask(wave, coarse, times, sample_rate)
    if not (pitch > 0).any():
        raise DataError("no voiced frame was found.", code="AUDIO_SILENT")
    envelope = world.cheaptrick(wave, pitch, times, sample_rate)
    aperiodicity = world.d4c(wave, pitch, times, sample_rate)
    return Analysis(pitch, envelope, aperiodicity, sample_rate)


def _warp(spectrum: np.ndarray, factor: float) -> np.ndarray:
    """Move what stands at frequency f to f * factor; the last bin is held where the source ends."""
    num_bins = spectrum.shape[1]
    source = np.minimum(np.arange(num_bins) / factor, num_bins - 1)
    low = np.minimum(source.astype(int), num_bins - 2)
    part = source - low
    return spectrum[:, low] * (1 - part) + spectrum[:, low + 1] * part


def render(analysis: Analysis, transform: Transform) -> np.ndarray:
    """Speak an analysed recording as another speaker.

    Returns:
        float64 wave [N / rate], not normalised in level.
    """
    pitch, voiced = analysis.pitch_hz.copy(), analysis.pitch_hz > 0
    median = np.median(pitch[voiced])
    pitch[voiced] = median * (pitch[voiced] / median) ** transform.intonation * transform.pitch
    log_envelope = _warp(np.log(analysis.envelope), transform.formant)
    frequency_hz = np.arange(log_envelope.shape[1]) * analysis.sample_rate / 2 / (log_envelope.shape[1] - 1)
    octaves = np.log2(np.maximum(frequency_hz, 500.0) / 500.0)
    log_envelope += transform.tilt_db * octaves * np.log(10) / 10  # the envelope is a power
    aperiodicity = np.clip(_warp(analysis.aperiodicity, transform.formant), 0.0, 1.0)
    if transform.breathiness:  # breath is noise of the high frequencies: nothing at 0 Hz, all of it from 4 kHz on
        share = transform.breathiness * np.minimum(frequency_hz / 4000.0, 1.0)
        aperiodicity = aperiodicity + (1 - aperiodicity) * share
    wave = _world().synthesize(
        np.ascontiguousarray(pitch),
        np.ascontiguousarray(np.exp(log_envelope)),
        np.ascontiguousarray(aperiodicity),
        analysis.sample_rate,
        FRAME_PERIOD_MS / transform.rate,
    )
    return np.asarray(wave)
