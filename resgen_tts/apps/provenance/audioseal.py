"""AudioSeal's watermark, from files of its weights: a second back end, for whoever has marked with it before.

The folder holds ``generator.safetensors`` and ``detector.safetensors``, which ``tools/convert_audioseal.py`` makes of
what is published. Networks of another layout than the published 16-bit ones have ``generator.yaml`` and
``detector.yaml`` beside them, in the form of the package's own cards.
"""

import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import soxr
import torch
import yaml
from jaxtyping import Float32
from torch import Tensor, nn

from resgen_tts.common.errors import MissingExtraError, ResGenError, WatermarkError, require
from resgen_tts.common.weight_files import read_weights

SAMPLE_RATE = 16_000  # of all that is published
THRESHOLD = 0.5  # of the share of samples that the detector takes to be marked
PARTS = {"generator": "audioseal_wm_16bits.yaml", "detector": "audioseal_detector_16bits.yaml"}  # and their cards
_SHORTEST_SAMPLES = 1600  # the networks halve a wave many times
_WEIGHT_NORM = {  # two ways to write one weight as a length and a direction
    ".weight_g": ".weight",
    ".weight_v": ".weight",
    ".parametrizations.weight.original0": ".weight",
    ".parametrizations.weight.original1": ".weight",
}


class AudioSealWatermarker:
    """Marks and detects with AudioSeal's networks, on the CPU.

    Args:
        generator: its ``get_watermark`` gives the mark of [1, 1, N] samples, which is added to them.
        detector: its ``detect_watermark`` gives the share of samples that are taken to be marked.
    """

    name = "audioseal"
    sample_rate = SAMPLE_RATE
    threshold = THRESHOLD

    def __init__(self, generator: nn.Module, detector: nn.Module):
        self._generator, self._detector = generator.eval(), detector.eval()
        # What the mark says beside that it is there. The package would draw it.
        self._message = torch.zeros(1, generator.msg_processor.nbits, dtype=torch.long)

    def mark(self, samples: Float32[np.ndarray, "N"], sample_rate: int) -> Float32[np.ndarray, "N"]:
        """The same speech with the mark in it.

        Digital silence stays silent, and a peak within full scale stays within it.
        """
        if not np.any(samples):
            return samples.copy()
        wave = _resampled(samples, sample_rate, SAMPLE_RATE)
        with torch.inference_mode():
            mark = self._generator.get_watermark(_row(wave), message=self._message)[0, 0, : len(wave)].numpy()
        mark = _resampled(mark, SAMPLE_RATE, sample_rate)[: len(samples)]
        limit = max(1.0, float(np.abs(samples).max()))
        return np.clip(samples + np.pad(mark, (0, len(samples) - len(mark))), -limit, limit)

    def detect(self, samples: Float32[np.ndarray, "N"], sample_rate: int) -> float:
        """The share of samples that are taken to be marked; 0 for silence."""
        if not np.any(samples):
            return 0.0
        with torch.inference_mode():
            share, _ = self._detector.detect_watermark(_row(_resampled(samples, sample_rate, SAMPLE_RATE)))
        return float(share[0])


def load_audioseal(folder: Path | str) -> AudioSealWatermarker:
    """The watermarker of a folder's files.

    Raises:
        WatermarkError: WATERMARK_MISSING, the package is not installed, or a file is not there; WATERMARK_FAILED,
            a file is broken or of other networks.
    """
    folder = Path(folder)
    library = _package()
    for part in PARTS:
        if not (folder / f"{part}.safetensors").is_file():
            raise WatermarkError(
                f"the watermark audioseal needs {folder / part}.safetensors, which is not there.",
                code="WATERMARK_MISSING",
                hint="Make it of what AudioSeal publishes with tools/convert_audioseal.py.",
            )
    return AudioSealWatermarker(*(_network(library, folder, part) for part in PARTS))


def _package() -> ModuleType:
    """AudioSeal's package, without torch.compile, which it would use on every layer: minutes, for every new length."""
    before = os.environ.get("NO_TORCH_COMPILE")
    os.environ["NO_TORCH_COMPILE"] = "1"  # it is read while the package is imported
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, which it uses
            return require("audioseal", extra="audioseal")
    except MissingExtraError as error:
        raise WatermarkError(error.message, code="WATERMARK_MISSING", hint=error.hint) from error
    finally:
        if before is None:
            del os.environ["NO_TORCH_COMPILE"]
        else:
            os.environ["NO_TORCH_COMPILE"] = before


def _network(library: ModuleType, folder: Path, part: str) -> nn.Module:
    """One of the two, with the weights of its file."""
    file = folder / f"{part}.safetensors"
    try:
        network = _built(library, part, _card(library, folder, part))
        state = read_weights(file)
        if not any(".inner_conv." in name for name in state):  # as published; names that are new already it would spoil
            state = library.loader.convert_state_dict_for_scriptable_model(state)
        _check_names(network, state, file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the package uses torch's older weight_norm
            library.loader.load_state_dict(network, state)
        return network
    except WatermarkError:
        raise
    except ResGenError as error:
        raise WatermarkError(error.message, hint=error.hint) from error
    except Exception as error:  # of a card that is broken, or of weights of other sizes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WatermarkError(f"the watermark audioseal cannot be made of {file}: {reason}.") from error


def _card(library: ModuleType, folder: Path, part: str) -> dict[str, Any]:
    own = folder / f"{part}.yaml"
    card = own if own.is_file() else Path(library.__file__).parent / "cards" / PARTS[part]
    return yaml.safe_load(card.read_text(encoding="utf-8"))


def _built(library: ModuleType, part: str, card: dict[str, Any]) -> nn.Module:
    builder = library.builder
    kind = builder.AudioSealWMConfig if part == "generator" else builder.AudioSealDetectorConfig
    create = builder.create_generator if part == "generator" else builder.create_detector
    return create(library.AudioSeal.parse_config(card, config_type=kind))


def _check_names(network: nn.Module, state: dict[str, Tensor], file: Path) -> None:
    """The package's loader leaves out in silence what it does not find."""
    given = set()
    for name in state:
        ending = next((ending for ending in _WEIGHT_NORM if name.endswith(ending)), "")
        given.add(name.removesuffix(ending) + _WEIGHT_NORM.get(ending, ""))
    if odd := sorted(given ^ set(network.state_dict())):
        raise WatermarkError(
            f"{file} is not of the network that its card describes: {len(odd)} names differ, the first is {odd[0]}.",
            hint="Put the card of these weights beside them, or convert the right file.",
        )


def _row(wave: Float32[np.ndarray, "N"]) -> Float32[Tensor, "1 1 M"]:
    """A wave as the networks take it, with silence behind one that is too short for them."""
    return torch.from_numpy(np.pad(wave, (0, max(0, _SHORTEST_SAMPLES - len(wave)))))[None, None]


def _resampled(samples: Float32[np.ndarray, "N"], rate: int, wanted: int) -> Float32[np.ndarray, "M"]:
    return samples if rate == wanted else soxr.resample(samples, rate, wanted)
