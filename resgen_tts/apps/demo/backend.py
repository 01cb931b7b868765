"""The model behind the page: loaded while the page is open already, then spoken with through one queue."""

import threading
from collections.abc import Callable
from pathlib import Path

from resgen_tts.apps.demo.session import Session
from resgen_tts.apps.demo.styles import split_styles
from resgen_tts.apps.serving.queue import SpeechQueue
from resgen_tts.apps.speaking.tts import TTS
from resgen_tts.apps.speaking.voice import saved_voices
from resgen_tts.apps.weights.bundled import model_voices
from resgen_tts.common.errors import ConfigError, DataError, ResGenError
from resgen_tts.speech.long_text import CHARACTERS_PER_SECOND
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.voice_facts import SUFFIX

LOADING, READY, FAILED = "loading", "ready", "failed"
SILENCE_SECONDS = 0.35  # before the first word and behind the last


class Backend:
    """A model that is being loaded, is ready, or could not be loaded.

    Args:
        load: brings the model; called once, in a thread.
        voices: folder of saved voices that everybody on the page may use, beside the model's.
        asr: what writes down recordings.
        max_waiting, batch_size: of the queue.
    """

    def __init__(
        self,
        load: Callable[[], TTS],
        *,
        voices: Path | None = None,
        asr: str = "auto",
        max_waiting: int = 8,
        batch_size: int = 8,
    ):
        self.voices_folder, self.asr = voices, asr
        self.state, self.error = LOADING, None
        self._load, self._queue_facts = load, {"max_waiting": max_waiting, "batch_size": batch_size}
        self._tts: TTS | None = None
        self._queue: SpeechQueue | None = None
        self._common: dict[str, tuple[str, Voice]] = {}  # the voices that everybody may use, with their labels
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to load; returns at once."""
        threading.Thread(target=self._run, name="load", daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether the model is loaded, or could not be."""
        return self._over.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for that, so long at most; whether it is so."""
        return self._over.wait(seconds)

    def close(self) -> None:
        """End all work."""
        if self._queue is not None:
            self._queue.close()

    @property
    def tts(self) -> TTS:
        """The model.

        Raises:
            ResGenError: MODEL_LOADING, or what kept it from being loaded.
        """
        self._check()
        assert self._tts is not None
        return self._tts

    @property
    def queue(self) -> SpeechQueue:
        """The one way to the model; raises as :attr:`tts`."""
        self._check()
        assert self._queue is not None
        return self._queue

    def choices(self, session: Session | None) -> list[tuple[str, str]]:
        """Label and name of every voice that a page may use: its own ones first."""
        own = [] if session is None else [(f"{name} (yours, on this page alone)", name) for name in session.voices]
        return own + [(label, name) for name, (label, _) in self._common.items()]

    def voice(self, session: Session, name: str) -> Voice:
        """A voice by its name.

        Raises:
            DataError: VOICE_UNKNOWN.
        """
        if name in session.voices:
            return session.voices[name]
        if name not in self._common:
            raise DataError(f"there is no voice {name}.", code="VOICE_UNKNOWN", hint="Choose one of the list.")
        return self._common[name][1]

    def is_common(self, name: str) -> bool:
        """Whether everybody has a voice of this name."""
        return name in self._common

    def estimate(self, session: Session, text: str, voice: str, speed: float) -> tuple[str, float]:
        """A text as it will be read, and about how many seconds that takes.

        Raises:
            TextError, DataError, ConfigError: it cannot be spoken.
        """
        known = [name for _, name in self.choices(session)]
        spoken, seconds = [], 0.0
        for part in split_styles(text, voice, known):
            read = self.tts.synthesizer.units.normalize(part.text).text
            spoken.append(read)
            rate = self.voice(session, part.voice).rate
            seconds += len(read) / CHARACTERS_PER_SECOND * rate / speed + SILENCE_SECONDS
        return "\n".join(spoken), seconds

    def _check(self) -> None:
        if self.state == LOADING:
            raise ConfigError("the model is still being loaded.", code="MODEL_LOADING", hint="Wait a few seconds.")
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            tts = self._load()
            self._common = _common_voices(tts, self.voices_folder)
            self._queue = SpeechQueue(tts, **self._queue_facts)
            self._tts = tts
            self.state = READY
        except ResGenError as error:
            self.error, self.state = error, FAILED
        except Exception as error:
            self.error = ResGenError(f"the model could not be loaded: {error!r}", code="INTERNAL")
            self.error.__cause__ = error
            self.state = FAILED
        finally:
            self._over.set()


def _common_voices(tts: TTS, folder: Path | None) -> dict[str, tuple[str, Voice]]:
    """Those of the model, then those of the folder.

    Raises:
        DataError: VOICE_OTHER_MODEL or VOICE_INVALID, a voice of the folder is not for this model.
    """
    found: dict[str, tuple[str, Voice]] = {}
    if tts.folder is not None:
        for own in model_voices(tts.folder):
            found[own.name] = f"{own.name}: {own.about}", tts.load_voice(own.file)
    if folder is not None:
        for name in saved_voices(folder):
            if name not in found:
                found[name] = f"{name} (saved)", tts.load_voice(Path(folder) / f"{name}{SUFFIX}")
    return found
