"""The Python door: text and a reference recording in, a wave out."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from resgen_tts.apps.pretrained import load_exported
from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import TextError
from resgen_tts.common.run_dir import read_json
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.audio_io import load_reference, save_wav
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.synthesizer import Speech, Synthesizer


@dataclass(frozen=True)
class SpokenText(Speech):
    """A synthesis that can be saved."""

    def save(self, path: Path | str) -> None:
        """Write 16-bit PCM; the file appears whole or not at all."""
        save_wav(Path(path), self.audio, self.sample_rate)


class TTS:
    """A trained system that speaks in the voice of a reference recording."""

    def __init__(self, synthesizer: Synthesizer, sampler: SamplerConfig | None = None):
        self.synthesizer = synthesizer
        self.sampler = sampler or SamplerConfig()

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> "TTS":
        """Load the folder that a recipe's stage ``export`` wrote. It runs on the CPU.

        Raises:
            CheckpointError: the folder is not an exported model, or a file of it is damaged.
        """
        synthesizer = load_exported(Path(folder))
        return cls(synthesizer, from_plain(SamplerConfig, read_json(Path(folder) / "model.json")["sampler"]))

    @property
    def sample_rate(self) -> int:
        """Hz of everything that is spoken."""
        return self.synthesizer.tokenizer.sample_rate

    def voice(self, audio: Path | str, text: str) -> Voice:
        """A reference recording and what is said in it.

        Raises:
            AudioError: the recording is refused (see the AUDIO_ codes).
            TextError: the transcript is empty or cannot be spoken.
        """
        if not text.strip():
            raise TextError("a reference needs its transcript.", hint="Pass what is said in the recording.")
        loaded = load_reference(Path(audio), sample_rate=self.sample_rate)
        return self.synthesizer.voice(loaded.samples, text, tuple(loaded.warnings))

    def __call__(
        self,
        text: str,
        *,
        voice: Voice,
        seed: int | None = None,
        steps: int | None = None,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        keep_trace: bool = False,
    ) -> SpokenText:
        """Speak ``text``; without a seed one is drawn, and the result names it."""
        seed = secrets.randbelow(2**31) if seed is None else seed
        sampler = self.sampler if steps is None else replace(self.sampler, steps=steps)
        spoken = self.synthesizer(
            text, voice, seed=seed, sampler=sampler, speed=speed, duration_seconds=duration_seconds,
            keep_trace=keep_trace,
        )  # fmt: skip
        return SpokenText(**vars(spoken))
