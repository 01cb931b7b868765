"""A synthesis as the doors give it out: with where it comes from, and a way to keep it."""

from dataclasses import dataclass
from pathlib import Path

from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.speech.audio.encode import save_audio
from resgen_tts.speech.result import Speech
from resgen_tts.speech.self_check import SelfCheckReport


@dataclass(frozen=True, repr=False)
class SpokenText(Speech):
    """A synthesis that can be saved, with what the self-check heard, where one was asked for.

    Attributes:
        provenance: model, seed, reference, watermark and device; what :meth:`save` writes beside the sound.
    """

    self_check: SelfCheckReport | None = None
    provenance: Provenance | None = None

    @property
    def device(self) -> str:
        """Where it was computed."""
        return "" if self.provenance is None else self.provenance.device

    def save(self, path: Path | str, format: str | None = None) -> tuple[str, ...]:
        """Write a sound file, whole or not at all; a file of that name is overwritten.

        Args:
            path: its ending says the format: .wav (16-bit PCM), .flac, .mp3, .opus, .aac.
            format: the same by name, for a path without such an ending; "pcm" is 24 kHz, 16-bit, without a header.
        Returns:
            "CODE: words" for what the file does not hold as it was spoken.
        Raises:
            ConfigError: OUTPUT_FORMAT, the ending is of no known format, or of another one than ``format``.
            MissingExtraError: the format needs the extra ``formats``.
        """
        tags = None if self.provenance is None else self.provenance.tags()
        return save_audio(Path(path), self.audio, self.sample_rate, format, tags)
