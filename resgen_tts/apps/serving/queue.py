"""One model for many: a bounded queue, one thread that speaks, and requests that share its reveal loops.

A call of the generator takes one chunk of each request, and a request that arrives is begun at the next call: its first
chunk goes before the later chunks of those that are under way. So nobody waits for a long text to end, but for the
chunk of it that is being spoken; and nobody's chunks come in heaps.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from resgen_tts.apps.speaking.spoken import SpokenText
from resgen_tts.apps.speaking.tts import TTS
from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.speech.narration import Narration, SpeechRequest
from resgen_tts.speech.result import SpeechChunk

T = TypeVar("T")

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"


class QueueFullError(ResGenError):
    """There is no room for another request; ``retry_after_seconds`` says when there may be."""

    default_code = "QUEUE_FULL"
    exit_code = 75

    def __init__(self, message: str, *, code: str = "", hint: str = "", retry_after_seconds: float = 1.0):
        super().__init__(message, code=code, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class Ticket:
    """A request in the queue: its chunks as they are spoken, and a way to take it back.

    Its chunks are read once, from a thread or from an event loop. Attributes are written by the speaking thread alone,
    but for :meth:`cancel`.
    """

    def __init__(self, request: SpeechRequest, queue: "SpeechQueue"):
        self.request = request
        self.state = WAITING
        self.narration: Narration | None = None
        self.error: ResGenError | None = None
        self.submitted = time.perf_counter()
        self.begun: float | None = None  # on the clock of perf_counter, as submitted
        self._queue = queue
        self._cancelled = threading.Event()
        self._arrived: SimpleQueue[SpeechChunk | None] = SimpleQueue()  # None = no more
        self._watchers: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether no more chunks will come."""
        return self.state in (DONE, FAILED, CANCELLED)

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has taken it back."""
        return self._cancelled.is_set()

    @property
    def place(self) -> int:
        """How many requests are before it; 0 when it is next, or begun."""
        return self._queue._place(self)

    def cancel(self) -> None:
        """Take it back: nothing of it is begun any more; the model is free within a step if nobody shares the loop."""
        self._cancelled.set()
        self._queue._wake()

    def __iter__(self) -> Iterator[SpeechChunk]:
        """Chunks as they are spoken; blocks.

        Raises:
            ResGenError: the request's own, or STOPPED where it was cancelled.
        """
        while (chunk := self._arrived.get()) is not None:
            yield chunk
        self._raise()

    async def chunks(self) -> AsyncIterator[SpeechChunk]:
        """The same for an event loop, which is not blocked."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(changed.set)

        with self._lock:
            self._watchers.append(tell)
        try:
            while True:
                changed.clear()
                while not self._arrived.empty():
                    chunk = self._arrived.get()
                    if chunk is None:
                        self._raise()
                        return
                    yield chunk
                await changed.wait()
        finally:
            with self._lock:
                self._watchers.remove(tell)

    def speech(self) -> SpokenText:
        """Wait for all of it.

        Raises:
            ResGenError: see iteration.
        """
        return self.whole(list(self))

    def whole(self, chunks: list[SpeechChunk]) -> SpokenText:
        """All chunks of this ticket as one result."""
        assert self.narration is not None, "a ticket without a narration has no chunks"
        return self._queue.tts.spoken(self.request, self.narration.whole(chunks))

    def _give(self, chunk: SpeechChunk | None) -> None:
        self._arrived.put(chunk)
        with self._lock:
            for tell in self._watchers:
                tell()

    def _end(self, state: str, error: ResGenError | None = None) -> None:
        self.state, self.error = state, error
        self._give(None)

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class _Work:
    """Something else that needs the model, e.g. making a voice."""

    function: Callable[[], Any]
    result: Future


class SpeechQueue:
    """Requests of many for one model, spoken by one thread.

    Args:
        max_waiting: requests and other work that may wait; one more is refused.
        max_active: requests that are spoken at once, chunk beside chunk.
        batch_size: chunks of any of them in one call of the generator.
    """

    def __init__(self, tts: TTS, *, max_waiting: int = 8, max_active: int = 8, batch_size: int = 8):
        for name, value in (("max_waiting", max_waiting), ("max_active", max_active), ("batch_size", batch_size)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        self.tts = tts
        self.max_waiting, self.max_active, self.batch_size = max_waiting, max_active, batch_size
        self.mean_seconds = 0.0  # of the last requests, from the beginning of one to its end
        self._waiting: deque[Ticket | _Work] = deque()
        self._active: list[Ticket] = []
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="speech", daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """Requests and other work that are not begun."""
        return len(self._waiting)

    @property
    def num_active(self) -> int:
        """Requests that are being spoken."""
        return len(self._active)

    def submit(self, request: SpeechRequest) -> Ticket:
        """Put a request behind the others.

        Raises:
            QueueFullError: QUEUE_FULL.
        """
        ticket = Ticket(request, self)
        self._put(ticket)
        return ticket

    def run(self, function: Callable[[], T]) -> "Future[T]":
        """Have something else done by the speaking thread, in its turn: whatever uses the model must not run beside it.

        Raises:
            QueueFullError: QUEUE_FULL.
        """
        work = _Work(function, Future())
        self._put(work)
        return work.result

    def close(self) -> None:
        """End all that waits and runs, with STOPPED, and the thread; returns when it has ended."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def check_room(self) -> None:
        """Refuse at once what :meth:`submit` would, before anything is done for it.

        Raises:
            QueueFullError: QUEUE_FULL.
        """
        with self._changed:
            self._refuse_when_full()

    def _put(self, item: Ticket | _Work) -> None:
        with self._changed:
            self._refuse_when_full()
            self._waiting.append(item)
            self._changed.notify_all()

    def _refuse_when_full(self) -> None:
        if self._is_closed:
            raise QueueFullError("the queue is closed.", code="QUEUE_CLOSED", hint="Start the server again.")
        if len(self._waiting) >= self.max_waiting:
            wait = self.seconds_until_room()
            raise QueueFullError(
                f"{len(self._waiting)} requests are waiting, which is as many as may.",
                hint=f"Try again in {wait:.0f} s.", retry_after_seconds=wait,
            )  # fmt: skip

    def seconds_until_room(self) -> float:
        """A guess when to ask again: one of those that run will have ended."""
        return float(min(60, max(1, round(self.mean_seconds / max(1, len(self._active))))))

    def _place(self, ticket: Ticket) -> int:
        with self._changed:
            return self._waiting.index(ticket) if ticket in self._waiting else 0

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    @property
    def is_alive(self) -> bool:
        """Whether the speaking thread runs: False after :meth:`close`, or a fault of its own."""
        return self._thread.is_alive()

    def _run(self) -> None:
        error = _stopped()
        try:
            while self._next():
                if self._active:
                    self._step()
        except Exception as escaped:  # a fault of this file: nobody may wait for what will never be spoken
            error = _as_own(escaped)
        with self._changed:
            self._is_closed = True
            left = [*self._active, *self._waiting]
            self._active, self._waiting = [], deque()
        for item in left:
            if isinstance(item, Ticket):
                item._end(CANCELLED if error.code == "STOPPED" else FAILED, error)
            else:
                item.result.cancel()

    def _next(self) -> bool:
        """Wait for something to do and begin what there is room for; False = the end."""
        while True:
            with self._changed:
                self._drop_cancelled()
                while not (self._is_closed or self._active or self._waiting):
                    self._changed.wait()
                    self._drop_cancelled()
                if self._is_closed:
                    return False
                if not self._waiting or len(self._active) >= self.max_active:
                    return True
                item = self._waiting.popleft()
            if isinstance(item, Ticket):
                self._begin(item)
            else:
                _do(item)

    def _drop_cancelled(self) -> None:
        """End the tickets that were taken back; under the lock."""
        for ticket in [one for one in (*self._waiting, *self._active) if isinstance(one, Ticket) and one.is_cancelled]:
            (self._waiting if ticket in self._waiting else self._active).remove(ticket)
            ticket._end(CANCELLED, _stopped())

    def _begin(self, ticket: Ticket) -> None:
        ticket.begun = time.perf_counter()
        try:
            ticket.narration = self.tts.synthesizer.open(ticket.request)
        except Exception as error:  # one request's fault must not end the thread
            ticket._end(FAILED, _as_own(error))
            return
        ticket.state = RUNNING
        self._active.append(ticket)

    def _step(self) -> None:
        """One call of the generator: first chunks of those that have said nothing yet, else the next of everybody."""
        open_ones = [(ticket, ticket.narration) for ticket in self._active if ticket.narration is not None]
        silent = [(ticket, narration) for ticket, narration in open_ones if "first_audio" not in narration.timings]
        chosen = silent or open_ones
        tickets = {id(narration): ticket for ticket, narration in chosen}
        try:
            spoken = self.tts.synthesizer.step(
                [narration for _, narration in chosen],
                self.batch_size,
                is_cancelled=lambda: self._is_closed or all(ticket.is_cancelled for ticket, _ in chosen),
                most_each=1,
            )
        except Exception as error:
            self._end_all([ticket for ticket, _ in chosen], _as_own(error))
            return
        for narration, chunk in spoken:
            tickets[id(narration)]._give(chunk)
        for ticket, narration in chosen:
            if narration.is_finished:
                self._end_one(ticket, narration.error)
        self._active = (
            self._active[1:] + self._active[:1]
        )  # whose sampler leads the next call changes from call to call

    def _end_one(self, ticket: Ticket, error: ResGenError | None) -> None:
        with self._changed:
            self._active.remove(ticket)
        spent = time.perf_counter() - (ticket.begun or ticket.submitted)
        self.mean_seconds = spent if not self.mean_seconds else 0.8 * self.mean_seconds + 0.2 * spent
        ticket._end(DONE if error is None else FAILED, error)

    def _end_all(self, tickets: list[Ticket], error: ResGenError) -> None:
        """After a call that was stopped or broke: its chunks are lost for all that took part."""
        for ticket in tickets:
            with self._changed:
                self._active.remove(ticket)
            ticket._end(CANCELLED if error.code == "STOPPED" else FAILED, error)


def _do(work: _Work) -> None:
    if not work.result.set_running_or_notify_cancel():
        return
    try:
        work.result.set_result(work.function())
    except BaseException as error:
        work.result.set_exception(error)


def _stopped() -> ResGenError:
    return ResGenError("the synthesis was stopped.", code="STOPPED")


def _as_own(error: Exception) -> ResGenError:
    """An error as the one of a request: without its frames, which would keep tensors alive."""
    if not isinstance(error, ResGenError):
        wrapped = ResGenError(f"{type(error).__name__}: {error}", code="INTERNAL", hint="resgen-tts bugreport")
        wrapped.__cause__ = error
        return wrapped
    return error.with_traceback(None)
