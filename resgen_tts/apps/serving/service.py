"""One model behind the server: loaded beside it, with its queue and its voices."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.apps.serving.metrics import Metrics
from resgen_tts.apps.serving.problems import RequestError
from resgen_tts.common.errors import ResGenError

if TYPE_CHECKING:
    from resgen_tts.apps.serving.queue import SpeechQueue
    from resgen_tts.apps.serving.voices import VoiceShelf
    from resgen_tts.apps.speaking.tts import TTS

State = Literal["loading", "ready", "failed", "closed"]

log = logging.getLogger("resgen_tts.serving")


@dataclass(frozen=True)
class Room:
    """What there is once the model is loaded."""

    tts: "TTS"
    queue: "SpeechQueue"
    shelf: "VoiceShelf"


class Service:
    """The model's way from being loaded to being closed.

    Args:
        load: gives the model; called once, in a thread of its own, so that the server answers meanwhile.
    """

    def __init__(self, config: ServerConfig, load: "Callable[[], TTS]"):
        self.config, self.metrics = config, Metrics()
        self._load = load
        self._lock = threading.Lock()
        self._room: Room | None = None
        self._error: ResGenError | None = None
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self.metrics.watch("resgen_waiting", "Requests that wait for their turn.", lambda: self._count("num_waiting"))
        self.metrics.watch("resgen_active", "Requests that are spoken.", lambda: self._count("num_active"))
        self.metrics.watch("resgen_ready", "1 where the model is loaded.", lambda: float(self.state == "ready"))

    @property
    def state(self) -> State:
        """loading, ready, failed or closed."""
        if self._is_closed:
            return "closed"
        if self._error is not None:
            return "failed"
        if self._room is None:
            return "loading"
        return "ready" if self._room.queue.is_alive else "failed"

    @property
    def room(self) -> Room | None:
        """The model and what belongs to it, where it is loaded."""
        return self._room

    def ready(self) -> Room:
        """The same, or why there is none.

        Raises:
            RequestError: MODEL_LOADING, 503; STOPPED, 503.
            ResGenError: what loading it raised.
        """
        if self._is_closed:
            raise RequestError("the server is being stopped.", code="STOPPED", status=503)
        if self._error is not None:
            raise RequestError("the model could not be loaded; the log says why.", code=self._error.code, status=503)
        if self._room is None:
            raise RequestError("the model is being loaded.", code="MODEL_LOADING", status=503, hint="Ask again soon.")
        return self._room

    def check_room(self) -> None:
        """Refuse at once a request for which the model has no room; where there is no model yet, `ready` says so.

        Raises:
            QueueFullError: QUEUE_FULL; QUEUE_CLOSED, the thread that speaks has ended.
        """
        if self._room is not None and not self._is_closed:
            self._room.queue.check_room()

    def start(self) -> None:
        """Begin to load."""
        self._thread = threading.Thread(target=self._run, name="resgen-load", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop everything that is spoken; nothing is accepted afterwards."""
        with self._lock:
            self._is_closed = True
            room = self._room
        if room is not None:
            room.queue.close()

    def _run(self) -> None:
        from resgen_tts.apps.serving.queue import SpeechQueue
        from resgen_tts.apps.serving.voices import VoiceShelf

        config = self.config
        try:
            tts = self._load()
            shelf = VoiceShelf(tts, config.voices, config.max_voices)
        except ResGenError as error:
            self._error = error
            log.error("the model could not be loaded: %s", error)
            return
        except Exception as error:
            self._error = ResGenError(f"the model could not be loaded: {type(error).__name__}: {error}")
            log.exception("the model could not be loaded")
            return
        queue = SpeechQueue(
            tts, max_waiting=config.max_waiting, max_active=config.max_active, batch_size=config.batch_size
        )
        with self._lock:
            self._room = Room(tts, queue, shelf)
            is_late = self._is_closed
        if is_late:
            queue.close()

    def _count(self, name: str) -> float:
        return 0.0 if self._room is None else float(getattr(self._room.queue, name))
