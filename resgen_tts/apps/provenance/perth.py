"""The watermark of the package resemble-perth, whose weights come with it: gains below 2 kHz that its decoder knows.

Only the package's two networks are taken. What is around them needs torchaudio, which a CPU build of torch cannot load,
and prints; the arithmetic around them is short and stands here. It differs in one thing: only the *difference* that the
mark makes goes through the resampler and is added to the speech, so that the speech itself, its band above 16 kHz, its
length and its silence stay as they were.
"""

import functools
import importlib
import importlib.util
import math
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
import yaml
from jaxtyping import Complex64, Float32
from torch import Tensor, nn

from resgen_tts.common.errors import ResGenError, WatermarkError
from resgen_tts.common.weight_files import read_weights

THRESHOLD = 0.6  # of `detect`: no whole recording without a mark came to more than 0.51; see README.md
SPEEDS = tuple(1 + 0.015 * step for step in range(-6, 7) if step)  # that a detection tries beside the recording's own
CERTAIN = 0.9  # at one of these: so many more chances to be wrong need more to be believed
MIN_SEARCH_SECONDS, MAX_SEARCH_SECONDS = 3.0, 10.0  # below, other speeds find marks in chance; above is only cost
STEADY_DB = 4.0  # how little a sound's spectrum moves that is no speech; half a second of speech moves by 5.6 and more

_HEADROOM_DB = 15.0  # of the package's scale: 0 is stft_magnitude_min, 1 is 15 dB above a magnitude of 1
_RANGE_DB = 40.0  # below the loudest; what is quieter is taken to be as quiet as that
_WEIGHTS = "perth_net_*.pth.tar"
_PACKAGE = "_resgen_perth_networks"  # the name under which the package's networks are imported
_loading = threading.Lock()


class PerthWatermarker:
    """Marks and detects with the networks of resemble-perth, on the CPU; safe to share between threads.

    Args:
        encoder: [1, F, T] magnitudes on the package's scale -> the same with the mark, and the mask of marked frames.
        decoder: [1, F, T] magnitudes -> [1], about 1 where they are marked and 0 where not.
        facts: the package's ``hparams.yaml``.
    """

    name = "perth"
    threshold = THRESHOLD

    def __init__(self, encoder: nn.Module, decoder: nn.Module, facts: Mapping[str, Any]):
        self.sample_rate: int = facts["sample_rate"]
        self._encoder, self._decoder = encoder.eval(), decoder.eval()
        self._fft, self._hop = facts["n_fft"], facts["hop_size"]
        self._floor = facts["stft_magnitude_min"]
        self._scale_db = _HEADROOM_DB - 20 * math.log10(self._floor)
        self._window = torch.hann_window(facts["window_size"])

    def mark(self, samples: Float32[np.ndarray, "N"], sample_rate: int) -> Float32[np.ndarray, "N"]:
        """The same speech with the mark in it.

        Digital silence stays silent, and a peak within full scale stays within it.
        """
        if not np.any(samples):
            return samples.copy()
        wave = _resampled(samples, sample_rate, self.sample_rate)
        with torch.inference_mode():
            spectrum = self._spectrum(wave)
            magnitude = self._magnitude(spectrum)
            marked, _ = self._encoder(magnitude[None])
            gain_db = (marked[0] - magnitude) * self._scale_db
            changed = spectrum * (10 ** (gain_db / 20) - 1)
            length = max(len(wave), self._fft)
            difference = torch.istft(changed, self._fft, self._hop, window=self._window, length=length).numpy()
        added = _fitted(_resampled(difference[: len(wave)], self.sample_rate, sample_rate), len(samples))
        limit = max(1.0, float(np.abs(samples).max()))
        return np.clip(samples + added, -limit, limit)

    def detect(self, samples: Float32[np.ndarray, "N"], sample_rate: int) -> float:
        """How sure the decoder is that the mark is in the samples, 0 to 1; 0 for silence, which holds no mark.

        A recording that plays up to 9 % faster or slower, its pitch along with it, is found, too, from
        MIN_SEARCH_SECONDS on: the networks know frequencies, so the spectrum is taken as it was before.
        """
        if not np.any(samples):
            return 0.0
        wave = _resampled(samples, sample_rate, self.sample_rate)
        with torch.inference_mode():
            found = self._score(wave, 1.0)
            seconds = len(wave) / self.sample_rate
            if found >= self.threshold or seconds < MIN_SEARCH_SECONDS:
                return found
            rest = max(0, len(wave) - round(MAX_SEARCH_SECONDS * self.sample_rate)) // 2
            middle = wave[rest : len(wave) - rest]
            for speed in SPEEDS:
                other = self._score(middle, speed)
                if other >= CERTAIN:
                    return other
        return found

    def _score(self, wave: Float32[np.ndarray, "N"], speed: float) -> float:
        """The decoder's answer; 0 for steady tones, which it knows nothing of and takes to be marked."""
        magnitude = self._magnitude(self._spectrum(wave, speed) * speed)
        score = float(self._decoder(magnitude[None]))
        if math.isnan(score) or (score >= self.threshold and self._movement_db(magnitude) < STEADY_DB):
            return 0.0  # not a number: every frame is as quiet as the floor
        return min(max(score, 0.0), 1.0)

    def _movement_db(self, magnitude: Float32[Tensor, "F T"]) -> float:
        """How much the bands of the mark that are ever loud move against each other, as a deviation over time.

        Neither the level of a frame nor what is far below it counts.
        """
        decibels = magnitude[: self._encoder.subband] * self._scale_db
        level = decibels.amax(dim=0)
        is_heard = level > level.max() - _RANGE_DB
        shape = (decibels[:, is_heard] - level[is_heard]).clamp(min=-_RANGE_DB)
        return float(shape[shape.amax(dim=1) > -_RANGE_DB / 2].std(dim=1, correction=0).mean())

    def _spectrum(self, wave: Float32[np.ndarray, "N"], speed: float = 1.0) -> Complex64[Tensor, "F T"]:
        """Short-time spectrum of a wave at the networks' rate, on the bins and hops that it had before a speed."""
        size, hop = 2 * round(self._fft / speed / 2), round(self._hop / speed)
        # Mirrored half a window at both ends, which takes more samples than that.
        padded = torch.from_numpy(_fitted(wave, max(len(wave), size)))
        window = self._window if size == self._fft else torch.hann_window(size)
        return torch.stft(padded, size, hop, window=window, return_complex=True)

    def _magnitude(self, spectrum: Complex64[Tensor, "F T"]) -> Float32[Tensor, "F T"]:
        """Decibels over the floor, on the scale that the networks know."""
        return (20 * spectrum.abs().clamp(min=self._floor).log10() - 20 * math.log10(self._floor)) / self._scale_db


def _resampled(samples: Float32[np.ndarray, "N"], rate: int, wanted: int) -> Float32[np.ndarray, "N2"]:
    return samples if rate == wanted else soxr.resample(samples, rate, wanted)


def _fitted(samples: Float32[np.ndarray, "N"], length: int) -> Float32[np.ndarray, "N2"]:
    """Cut, or zeros after it, to a length."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def load_perth() -> PerthWatermarker:
    """The watermarker with the package's own weights; one for the process.

    Raises:
        WatermarkError: WATERMARK_MISSING, the package is not installed; WATERMARK_FAILED, it is not as it is known.
    """
    with _loading:
        return _load()


@functools.cache
def _load() -> PerthWatermarker:
    found = importlib.util.find_spec("perth")  # looks for it and runs nothing of it
    if found is None or not found.submodule_search_locations:
        raise WatermarkError(
            "the watermark perth cannot be used: resemble-perth is not installed.",
            code="WATERMARK_MISSING",
            hint="Install it with: pip install resemble-perth (or, where an unmarked wave is meant: --no-watermark).",
        )
    net = Path(found.submodule_search_locations[0]) / "perth_net"
    try:
        _import_networks(net / "perth_net_implicit")
        facts = yaml.safe_load((net / "pretrained" / "implicit" / "hparams.yaml").read_text())
        encoder = importlib.import_module(f"{_PACKAGE}.model.encoder").Encoder
        decoder = importlib.import_module(f"{_PACKAGE}.model.decoder").Decoder
        weights = max((net / "pretrained" / "implicit").glob(_WEIGHTS), default=None)
        if weights is None:
            raise FileNotFoundError(f"no file {_WEIGHTS}")
        state = read_weights(weights, allow_pickle=True, inside="model")  # as plain tensors only
        bands = round((facts["n_fft"] // 2 + 1) * facts["max_wmark_freq"] / (facts["sample_rate"] / 2))
        networks = [kind(facts["hidden_size"], bands) for kind in (encoder, decoder)]
        for network, part in zip(networks, ("encoder.", "decoder."), strict=True):
            network.load_state_dict(
                {key.removeprefix(part): value for key, value in state.items() if key.startswith(part)}
            )
        return PerthWatermarker(*networks, facts)
    except Exception as error:  # whatever is broken in a stranger's package
        reason = error.message if isinstance(error, ResGenError) else f"{type(error).__name__}: {error}."
        raise WatermarkError(
            f"the watermark perth cannot be loaded: {' '.join(reason.split())}",
            hint="Install the version that is known: pip install --force-reinstall resemble-perth==1.0.1",
        ) from error


def _import_networks(folder: Path) -> None:
    """Let the networks' folder be imported as a package of its own, without the package around it."""
    if not (folder / "model").is_dir():
        raise FileNotFoundError(f"{folder.name} has no folder model")
    for name in [name for name in sys.modules if name.split(".")[0] == _PACKAGE]:  # of an attempt that failed
        del sys.modules[name]
    spec = importlib.machinery.ModuleSpec(_PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
