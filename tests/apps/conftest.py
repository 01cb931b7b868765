"""A whole system of a few thousand random weights, in the folders that the recipe leaves."""

import numpy as np
import pytest
import soundfile
import torch

from resgen_tts.common.config import to_plain
from resgen_tts.engine.checkpoint import save_model
from resgen_tts.models.resgen import ResGenConfig
from resgen_tts.speech.alignment import AlignerConfig
from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig
from resgen_tts.speech.text.encoder import TextEncoderConfig
from resgen_tts.speech.text.symbols import collect_inventory
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
    """exp/{mel_vae,vocoder,generator}/final of an untrained system that reads bytes."""
    root = tmp_path_factory.mktemp("system") / "exp with blanks"
    inventory = collect_inventory([], "bytes")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mel_vae = MelVAE(
            MelVAEConfig(
                quantizer=QuantizerConfig(depth=3, codebook_size=8, dim=6), strides=(4, 2), widths=(8, 8, 8),
                blocks=(0, 0, 1), final_blocks=0,
            )
        )  # fmt: skip
        mel_vae.quantizer.codebooks.copy_(torch.randn(3, 8, 6))
        mel_vae.quantizer.started.fill_(True)
        vocoder = Vocoder(VocoderConfig(dim=16, hidden=16, blocks=1))
        config = SpeechGeneratorConfig(
            aligner=AlignerConfig(
                encoder=TextEncoderConfig(width=16, layers=1, heads=2), num_symbols=len(inventory.symbols)
            ),
            generator=ResGenConfig(width=16, layers=1, heads=2, components=4, rank=2, condition_dim=8),
        )
        generator = SpeechGenerator(config, mel_vae.code_space)
        torch.nn.init.constant_(generator.aligner.to_log_duration.bias, 2.0)  # some 6 mel frames a symbol
    more = {"scheme": "resgen", "inventory": {"units": inventory.units, "symbols": list(inventory.symbols)}}
    for part, module in (("mel_vae", mel_vae), ("vocoder", vocoder), ("generator", generator)):
        resolved = {"part": part, "model": to_plain(module.config), **(more if part == "generator" else {})}
        save_model(root / part / "final", module.state_dict(), resolved)
    return root


@pytest.fixture(scope="session")
def model(experiment):
    """The exported folder."""
    from resgen_tts.apps.export import export

    export(experiment, experiment.parent / "model", name="toy")
    return experiment.parent / "model"


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Three seconds of a wobbling tone, as somebody's recording."""
    path = tmp_path_factory.mktemp("reference") / "it's me $(x).wav"
    time = np.arange(3 * 16_000) / 16_000
    wave = 0.3 * np.sin(2 * np.pi * 150 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
    soundfile.write(path, wave.astype(np.float32), 16_000)
    return path
