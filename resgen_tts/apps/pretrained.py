"""Trained parts and whole systems from folders: safetensors and a resolved configuration, nothing else."""

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import CheckpointError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.engine.checkpoint import load_into, load_model
from resgen_tts.speech.alignment import Aligner, AlignerConfig
from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig
from resgen_tts.speech.synthesizer import Synthesizer
from resgen_tts.speech.text.symbols import Inventory
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.vocoder import GriffinLim, Vocoder, VocoderConfig

PARTS = ("mel_vae", "vocoder", "generator")  # folders of a whole system
GRIFFIN_LIM = "griffin_lim"  # in the place of a vocoder's folder
Module = TypeVar("Module", bound=nn.Module)


def final_folder(folder: Path) -> Path:
    """The exported model of a part: the folder itself, or ``final`` of a training run."""
    folder = Path(folder)
    return folder / "final" if (folder / "final").is_dir() else folder


def load_mel_vae(folder: Path) -> MelVAE:
    """A trained Mel-VAE."""
    tensors, config = _read(folder, "mel_vae")
    model = _filled(MelVAE(from_plain(MelVAEConfig, config["model"])), tensors, folder)
    if not model.quantizer.started:
        raise CheckpointError(
            f"{folder}: the codebooks of this Mel-VAE were never laid.",
            hint="Train it for longer, or lower model.quantizer.warmup_vectors.",
        )
    return model


def load_vocoder(folder: Path) -> Vocoder:
    """A trained vocoder."""
    tensors, config = _read(folder, "vocoder")
    return _filled(Vocoder(from_plain(VocoderConfig, config["model"])), tensors, folder)


def load_aligner(folder: Path) -> tuple[Aligner, Inventory]:
    """A trained aligner and the symbols that it knows."""
    tensors, config = _read(folder, "aligner")
    return _filled(Aligner(from_plain(AlignerConfig, config["model"])), tensors, folder), inventory_of(config)


def load_generator(folder: Path) -> tuple[SpeechGenerator, Inventory]:
    """A trained generator and the symbols that it knows."""
    tensors, config = _read(folder, "generator")
    space = CodeSpace(tensors["resgen.codebooks"], tensors["resgen.level_variance"])
    model = SpeechGenerator(from_plain(SpeechGeneratorConfig, config["model"]), space)
    return _filled(model, tensors, folder), inventory_of(config)


def load_system(mel_vae: Path, vocoder: Path, generator: Path) -> Synthesizer:
    """Tokenizer, vocoder and generator as one synthesizer; ``vocoder`` may be the name ``griffin_lim``."""
    model, inventory = load_generator(generator)
    tokenizer = load_mel_vae(mel_vae)
    wave_maker = GriffinLim(tokenizer.config.mel) if str(vocoder) == GRIFFIN_LIM else load_vocoder(vocoder)
    return Synthesizer(MelTokenizer(tokenizer, wave_maker), model, inventory)


def load_exported(folder: Path) -> Synthesizer:
    """A system that the stage ``export`` wrote.

    Raises:
        CheckpointError: MODEL_MISSING where the folder or one of its parts is not there.
    """
    folder = Path(folder)
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise CheckpointError(
            f"{folder} is not an exported model: {', '.join(missing)} missing.",
            code="MODEL_MISSING",
            hint="Pass the folder that the recipe's last stage wrote, e.g. exp/mini/model.",
        )
    return load_system(*(folder / part for part in PARTS))


def inventory_of(config: dict[str, Any]) -> Inventory:
    """The text symbols in a part's configuration."""
    return Inventory(config["inventory"]["units"], tuple(config["inventory"]["symbols"]))


def _read(folder: Path, part: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors, config = load_model(final_folder(folder))
    if config.get("part") != part:
        raise CheckpointError(f"{folder} holds a {config.get('part', 'nameless part')}, not a {part}.")
    return tensors, config


def _filled(module: Module, tensors: dict[str, torch.Tensor], folder: Path) -> Module:
    load_into(module, tensors, str(folder))
    return module.eval().requires_grad_(False)
