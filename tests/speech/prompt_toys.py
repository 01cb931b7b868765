"""A small random system whose aligner is told where the words are, and recordings made to match."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from resgen_tts.speech.alignment import Aligner
from resgen_tts.speech.generator import SpeechGenerator
from resgen_tts.speech.text.symbols import PAUSE
from resgen_tts.speech.text.units import TextUnits
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer
from tests.speech.tiny_system import tiny_parts

RATE, HOP = 16_000, 200  # samples per mel frame
FRAMES_PER_CODE = 8
CODE = HOP * FRAMES_PER_CODE  # samples per code frame


class ToldAligner(Aligner):
    """Aligns as it was told."""

    told: torch.Tensor | None = None

    def align(self, encoded, symbols, num_symbols, mel, num_frames, diagonal=0.0):
        if self.told is None or encoded.shape[:2] != (1, len(self.told)):
            return super().align(encoded, symbols, num_symbols, mel, num_frames, diagonal)
        told = self.told.clone()
        told[-1] += int(num_frames[0]) - int(told.sum())
        return told[None]


@dataclass
class System:
    tokenizer: MelTokenizer
    generator: SpeechGenerator
    units: TextUnits

    def codes(self, samples: np.ndarray) -> torch.Tensor:
        """Codes of samples encoded alone, followed by zeros up to a whole code frame."""
        padded = np.pad(samples, (0, -len(samples) % CODE)).astype(np.float32)
        return self.tokenizer.encode(torch.from_numpy(padded)[None], torch.tensor([len(padded)]))[0][0]


def toy_system() -> System:
    """The tiny system of the other tests, with the aligner that is told, which expects 10 frames of each symbol."""
    mel_vae, vocoder, generator, inventory = tiny_parts()
    optional = (inventory.symbols.index(PAUSE),)
    aligner = ToldAligner(replace(generator.aligner.config, optional_symbols=optional))
    torch.nn.init.zeros_(aligner.to_log_duration.weight)
    torch.nn.init.constant_(aligner.to_log_duration.bias[:1], float(np.log1p(10.0)))
    generator.aligner = aligner
    generator.eval().requires_grad_(False)
    return System(MelTokenizer(mel_vae, vocoder), generator, TextUnits(inventory))


def recording(system: System, words: list[tuple[str, int, int]], lead: int = 8) -> tuple[np.ndarray, str]:
    """A wave, and its text; the system's aligner is told where its words are.

    Args:
        words: word, mel frames that it lasts, mel frames of pause after it.
        lead: mel frames before the first word.
    """
    rng = np.random.default_rng(0)
    text = " ".join(word for word, _, _ in words)
    parts, told = [np.zeros(lead * HOP)], [lead]
    for place, (word, frames, pause) in enumerate(words):
        time = np.arange(frames * HOP) / RATE
        tone = 0.2 * np.sin(2 * np.pi * (150 + 40 * place) * time) + 0.05 * rng.standard_normal(len(time))
        parts += [tone, np.zeros(pause * HOP)]
        borders = np.linspace(0, frames, len(word) + 1).round().astype(int)
        told += [*np.diff(borders).tolist(), pause]  # the last pause is the closing silence
    system.generator.aligner.told = torch.tensor(told)
    wave = np.concatenate(parts)
    return (wave + 1e-5 * rng.standard_normal(len(wave))).astype(np.float32), text
