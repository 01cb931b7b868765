"""What one open page holds: its recording, its voices, what it had spoken. Nothing of it is anybody else's."""

import contextlib
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from resgen_tts.apps.demo.files import OwnedFiles
from resgen_tts.apps.serving.queue import Ticket
from resgen_tts.apps.speaking.spoken import SpokenText
from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.speech.audio.load import LoadedAudio
from resgen_tts.speech.prompt import Voice

MOST_TAKES = 10
MOST_VOICES = 20  # of one page: they live in memory


@dataclass(frozen=True, kw_only=True)
class Take:
    """Something that was spoken, in files that the page plays and shows.

    Attributes:
        voices: names in the order in which they first spoke.
        spoken: the text as it was read.
        facts: lines of name and value, for a person to read.
        wave: the marked speech with its tags.
        mel, unmasking: pictures; None until they are drawn.
    """

    number: int
    text: str
    voices: tuple[str, ...]
    seed: int
    seconds: float
    spoken: str
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    wave: Path
    mel: Path | None = None
    unmasking: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All files of it."""
        return [path for path in (self.wave, self.mel, self.unmasking) if path is not None]


@dataclass(frozen=True)
class Spoken:
    """A take that was made, and what its pictures are drawn from."""

    take: Take
    parts: tuple[SpokenText, ...]


class Session:
    """One open page.

    Args:
        page: its own random name.
        browser: that it was opened in.
    """

    def __init__(self, page: str, browser: str, files: OwnedFiles):
        self.page, self.browser, self.files = page, browser, files
        self.folder = files.new_folder(browser, page)
        self.recording: LoadedAudio | None = None
        self.voices: dict[str, Voice] = {}
        self.takes: deque[Take] = deque(maxlen=MOST_TAKES)
        self.num_takes = 0
        self.last_seed: int | None = None
        self.undrawn: Spoken | None = None  # what the pictures of the last take are drawn from
        self.ticket: Ticket | None = None
        self.is_stopped = self.is_ended = False
        self._is_speaking = threading.Lock()

    def __deepcopy__(self, _memo: dict) -> "Session":
        return self  # the page's framework copies what it hands on; there is only one of each page

    @contextlib.contextmanager
    def speaking(self) -> Iterator[None]:
        """While this page has something spoken; one thing at a time.

        Raises:
            ConfigError: DEMO_BUSY.
        """
        if not self._is_speaking.acquire(blocking=False):
            raise ConfigError(
                "this page has something spoken already.", code="DEMO_BUSY", hint="Wait for it, or press Stop."
            )
        try:
            self.check_open()
            self.is_stopped = False
            yield
        finally:
            if self.ticket is not None:
                self.ticket.cancel()  # nothing, where it is over
            self.ticket = None
            self._is_speaking.release()

    def stop(self) -> bool:
        """Stop what is being spoken; whether there was anything."""
        self.is_stopped = True
        ticket = self.ticket
        if ticket is not None:
            ticket.cancel()
        return self._is_speaking.locked()

    def check_stopped(self) -> None:
        """Refuse to go on after a stop.

        Raises:
            ResGenError: STOPPED.
        """
        if self.is_stopped:
            raise ResGenError("the synthesis was stopped.", code="STOPPED")

    def check_open(self) -> None:
        """Refuse to go on after the end; what was written since then goes.

        Raises:
            ConfigError: SESSION_ENDED.
        """
        if self.is_ended:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise ConfigError(
                "this page lost its connection for a while, and what it held was deleted.",
                code="SESSION_ENDED",
                hint="Load it again.",
            )

    def add_voice(self, name: str, voice: Voice) -> None:
        """Keep a voice under a name; one of that name is replaced.

        Raises:
            ConfigError: VOICES_FULL.
        """
        self.check_open()
        if name not in self.voices and len(self.voices) >= MOST_VOICES:
            raise ConfigError(
                f"this page holds {MOST_VOICES} voices, which is as many as it may.",
                code="VOICES_FULL",
                hint="Give the new one the name of one that is not needed any more.",
            )
        self.voices[name] = voice

    def add_take(self, take: Take) -> None:
        """Keep a take; the oldest beyond :data:`MOST_TAKES` goes with its files."""
        if self.is_ended:
            return
        if len(self.takes) == MOST_TAKES:
            for path in self.takes[0].files:
                path.unlink(missing_ok=True)
        self.takes.append(take)
        self.last_seed = take.seed

    def illustrate(self, number: int, mel: Path, unmasking: Path | None) -> Take | None:
        """Add the pictures of a take; None where it is gone."""
        for place, take in enumerate(self.takes):
            if take.number == number:
                self.takes[place] = replace(take, mel=mel, unmasking=unmasking)
                return self.takes[place]
        return None

    def take(self, number: int) -> Take | None:
        """A take of the history."""
        return next((take for take in self.takes if take.number == number), None)

    def end(self) -> None:
        """Stop the work and forget everything; files go where no other page of the browser holds them."""
        self.is_ended = True
        self.stop()
        self.recording = None
        self.voices.clear()
        self.takes.clear()
        self.undrawn = None
        self.files.release(self.page, self.browser)
