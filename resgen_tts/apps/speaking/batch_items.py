"""The rows of a batch, with what they leave open filled in from the options."""

import argparse
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resgen_tts.apps.speaking.batch_list import BatchRow
from resgen_tts.apps.speaking.voice import voice_path
from resgen_tts.apps.weights.hub import model_sha256
from resgen_tts.common.errors import ResGenError
from resgen_tts.common.randomness import seed_of
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.speech.audio.load import check_recording
from resgen_tts.speech.length import LengthConfig


@dataclass(frozen=True)
class VoiceSource:
    """Where a voice is from: a saved one's file, or a recording and what is said in it, where that is known."""

    file: Path | None = None
    audio: Path | None = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class BatchItem:
    """A row as it is spoken.

    Attributes:
        file: name of its sound file.
        how: steps, length and long_text, as :meth:`TTS.request` takes them.
        asked: all that decides how it sounds, by names, as plain values: whoever has the same twice has the same
            speech. The seed is among it where it was asked for.
        error: why it cannot be spoken, where that is known already.
    """

    row: BatchRow
    file: str
    voice: VoiceSource
    seed: int
    how: dict[str, Any]
    asked: dict[str, Any]
    error: ResGenError | None = None

    @property
    def id(self) -> str:
        """Of the row."""
        return self.row.id

    def changed(self, before: dict[str, Any]) -> list[str]:
        """Names of what is asked for otherwise than before; a seed that nobody asks for may be any."""
        names = [name for name, value in self.asked.items() if value != before.get(name)]
        return [name for name in names if not (name == "seed" and self.asked["seed"] is None)]


class ItemMaker:
    """Makes items of rows.

    Args:
        options: of the verb, with the voice chosen.
        model: its folder.
        how: steps, length and long_text of the options.
        seed: of the rows that have none: each gets one derived from it and its id, wherever it stands.
    """

    def __init__(self, options: argparse.Namespace, model: Path, how: dict[str, Any], seed: int):
        self.options, self.model, self.how, self.seed = options, model, how, seed
        self._hashes: dict[Path, str] = {}
        self._all = {
            "model": model_sha256(model), "lexicon": self._hash(options.lexicon), "watermark": options.watermark,
            "format": options.format, "context": options.context, "first_characters": options.first_characters,
        }  # fmt: skip

    def item(self, row: BatchRow, ending: str) -> BatchItem:
        """A row's item; what is wrong with the row is in its ``error``."""
        options, voice = self.options, VoiceSource()
        error: ResGenError | None = row.error
        try:
            voice = self._voice(row)
        except ResGenError as wrong:
            error = error or wrong
        steps = options.steps if row.steps is None else row.steps
        how = {**self.how, "steps": steps, "length": self._length(row)}
        seed = seed_of(self.seed, "row", row.id) % 2**31 if row.seed is None else row.seed
        is_heard = voice.audio is not None and voice.text is None
        asked = {
            "text": _text_hash(row.text), "voice": self._hash(voice.file), "ref_audio": self._hash(voice.audio),
            "ref_text": _text_hash(voice.text), "asr": options.asr if is_heard else None,
            "no_hygiene": options.no_hygiene, "steps": steps, **_plain_length(how["length"]),
            "seed": seed if row.seed is not None or options.seed is not None else None, **self._all,
        }  # fmt: skip
        return BatchItem(
            row=row, file=f"{row.id}{ending}", voice=voice, seed=seed, how=how, asked=asked, error=error
        )  # fmt: skip

    def _voice(self, row: BatchRow) -> VoiceSource:
        """Raises ConfigError, DataError or AudioError: there is no such voice, or its recording is none."""
        options = self.options
        if row.ref_audio is not None:
            check_recording(row.ref_audio)
            return VoiceSource(audio=row.ref_audio, text=row.ref_text)
        if row.voice is None:
            return VoiceSource(file=options.voice, audio=options.ref_audio, text=options.ref_text)
        return VoiceSource(file=voice_path(row.voice, options.voices, must_exist=True, model=self.model))

    def _length(self, row: BatchRow) -> LengthConfig:
        length = self.how["length"]
        if row.spread is not None:
            length = replace(length, spread=row.spread)
        if row.duration is not None:
            return replace(length, duration_seconds=row.duration, speed=1.0)
        if row.speed is not None:
            return replace(length, duration_seconds=None, speed=row.speed)
        return length

    def _hash(self, path: Path | None) -> str | None:
        """Of a file's bytes; nothing where there is none, which whoever reads it tells."""
        if path is None or not Path(path).is_file():
            return None
        if path not in self._hashes:
            self._hashes[path] = sha256_file(path)
        return self._hashes[path]


def _text_hash(text: str | None) -> str | None:
    """Of a text, which itself is kept in the list alone."""
    return None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain_length(length: LengthConfig) -> dict[str, Any]:
    return {"speed": length.speed, "duration": length.duration_seconds, "spread": length.spread}
