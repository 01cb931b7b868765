"""The voices that a server knows: those of its model, and stored ones, each read once."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resgen_tts.apps.serving.problems import RequestError
from resgen_tts.apps.speaking.voice import saved_voices, voices_folder
from resgen_tts.apps.weights.bundled import ModelVoice, model_voices
from resgen_tts.common.errors import DataError
from resgen_tts.speech.voice_facts import NAME, SUFFIX, check_name, read_voice_facts

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.speech.prompt import Voice

REMEMBERED = 64  # voices in memory, some ten kilobytes each


class VoiceShelf:
    """Voices by their names: the model's go before stored ones.

    Args:
        folder: of stored voices; None is the user's own.
        most: stored voices.
    """

    def __init__(self, tts: "TTS", folder: Path | None, most: int):
        self._tts, self._most = tts, most
        self.folder = voices_folder(folder)
        self._own = {voice.name: voice for voice in (model_voices(tts.folder) if tts.folder else ())}
        self._read: OrderedDict[tuple[str, int, int, int], Voice] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """All names that can be asked for."""
        return [*self._own, *(name for name in saved_voices(self.folder) if name not in self._own)]

    def remembered(self, name: str) -> "Voice | None":
        """The voice of a name where it is in memory and its file is still the one that was read; takes no time."""
        try:
            key = self._key(self._path(name))
        except (DataError, OSError):
            return None
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
            return self._read.get(key)

    def find(self, name: str) -> "Voice":
        """The voice of a name; a file that was replaced is read again.

        Raises:
            DataError: VOICE_UNKNOWN, with the names that there are; or VOICE_INVALID, VOICE_OTHER_MODEL.
        """
        if (voice := self.remembered(name)) is not None:
            return voice
        path = self._path(name)
        try:
            key = self._key(path)
            voice = self._tts.load_voice(path)
        except (FileNotFoundError, NotADirectoryError):
            raise self._unknown(name) from None
        except DataError as error:  # a client is told no paths of this machine
            words = error.message.replace(str(path), f"the voice {name}")
            raise DataError(words, code=error.code, hint=error.hint) from error
        with self._lock:
            self._read[key] = voice
            while len(self._read) > REMEMBERED:
                self._read.popitem(last=False)
        return voice

    def list(self) -> list[dict[str, Any]]:
        """What is told of each voice. A stored one that cannot be read is left out here, and told when asked for."""
        rows = [_own_row(voice) for voice in self._own.values()]
        for name in self.names()[len(self._own) :]:
            path = self.folder / f"{name}{SUFFIX}"
            try:
                rows.append(_row(name, path, "stored", _seconds(read_voice_facts(path)["facts"])))
            except (DataError, OSError, ValueError):
                continue
        return rows

    def check_new(self, name: str) -> None:
        """Refuse a name that cannot be stored under, before anything is computed.

        Raises:
            ConfigError: VOICE_NAME.
            RequestError: VOICE_EXISTS, VOICE_OF_MODEL, VOICES_FULL.
        """
        check_name(name)
        if name in self._own:
            raise RequestError(
                f"the model brings a voice {name} of its own.", code="VOICE_OF_MODEL", param="name",
                hint="Store it under another name.",
            )  # fmt: skip
        stored = saved_voices(self.folder)
        if name in stored:
            raise RequestError(
                f"there is a voice {name}.", code="VOICE_EXISTS", param="name", hint="Delete it first, or choose "
                "another name.",
            )  # fmt: skip
        if len(stored) >= self._most:
            raise RequestError(
                f"{len(stored)} voices are stored, which is as many as there may be.", code="VOICES_FULL",
                hint="Delete some first.",
            )  # fmt: skip

    def store(self, name: str, make: "Callable[[], Voice]") -> dict[str, Any]:
        """Make and keep a voice, and tell of it, its text and its warnings; not to be called twice at the same time.

        Raises:
            RequestError: as `check_new`, which is asked again: the wait for the model may have been long.
            ResGenError: what ``make`` raises.
        """
        self.check_new(name)
        voice = make()
        path = self._tts.save_voice(voice, self.folder / f"{name}{SUFFIX}")
        told = {"warnings": list(voice.warnings), "text": voice.original_text}
        return _row(name, path, "stored", _seconds(voice.facts)) | told

    def remove(self, name: str) -> None:
        """Delete a stored voice.

        Raises:
            RequestError: VOICE_OF_MODEL; VOICE_UNKNOWN, there is none, with 404.
        """
        if name in self._own:
            raise RequestError(
                f"{name} came with the model and cannot be deleted.", code="VOICE_OF_MODEL", param="voice"
            )
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            error = self._unknown(name)
            raise RequestError(error.message, code=error.code, status=404, param="voice") from None

    def _path(self, name: str) -> Path:
        """Where a voice lies, by a name that can be no path."""
        if name in self._own:
            return self._own[name].file
        if not NAME.fullmatch(name):
            raise self._unknown(name)
        return self.folder / f"{name}{SUFFIX}"

    @staticmethod
    def _key(path: Path) -> tuple[str, int, int, int]:
        """By which a file is known to be the one that was read."""
        stat = os.stat(path)
        return str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _unknown(self, name: str) -> DataError:
        shown = name if NAME.fullmatch(name) else "of that name"
        return DataError(
            f"there is no voice {shown}; there are: {', '.join(self.names()) or 'none'}.",
            code="VOICE_UNKNOWN",
            hint="Upload a recording, or store a voice first.",
        )


def _own_row(voice: ModelVoice) -> dict[str, Any]:
    return _row(voice.name, voice.file, "model", voice.seconds) | {"about": voice.about, "licence": voice.licence}


def _row(name: str, path: Path, source: str, seconds: float | None) -> dict[str, Any]:
    return {
        "id": name, "name": name, "created_at": int(os.stat(path).st_mtime), "source": source, "seconds": seconds
    }  # fmt: skip


def _seconds(facts: dict[str, str]) -> float | None:
    return float(facts["seconds"]) if "seconds" in facts else None
