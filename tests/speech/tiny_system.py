"""A whole system of a few thousand random weights that reads bytes: for tests of everything but quality."""

import numpy as np
import torch

from resgen_tts.models.resgen import ResGenConfig
from resgen_tts.speech.alignment import AlignerConfig
from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig
from resgen_tts.speech.synthesizer import Synthesizer
from resgen_tts.speech.text.encoder import TextEncoderConfig
from resgen_tts.speech.text.symbols import Inventory, collect_inventory
from resgen_tts.speech.text.units import TextUnits
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig

LOG_FRAMES = 2.0  # log(1 + frames) of every symbol, nearly: some 6 mel frames of 12.5 ms


def tiny_parts() -> tuple[MelVAE, Vocoder, SpeechGenerator, Inventory]:
    """Mel-VAE, vocoder and generator, the same at every call; a code frame lasts 0.1 s."""
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
        with torch.no_grad():
            generator.aligner.to_log_duration.weight.mul_(0.3)
            generator.aligner.to_log_duration.bias.copy_(torch.tensor([LOG_FRAMES, -1.0]))
    return mel_vae, vocoder, generator, inventory


def tiny_synthesizer() -> Synthesizer:
    """The parts as one system."""
    mel_vae, vocoder, generator, inventory = tiny_parts()
    return Synthesizer(MelTokenizer(mel_vae, vocoder), generator, TextUnits(inventory))


def wobble(seconds: float = 3.0) -> np.ndarray:
    """A wobbling tone of 16 kHz, as somebody's recording."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    wave = 0.3 * np.sin(2 * np.pi * 150 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
    return wave.astype(np.float32)
