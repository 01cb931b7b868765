"""Speech on its way out: encoded chunk by chunk, as bytes or as events, ended when nobody listens any more."""

import asyncio
import base64
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from resgen_tts.apps.serving.guard import ClientLeft, Receive, Scope, Send, log_fault
from resgen_tts.apps.serving.metrics import Metrics
from resgen_tts.apps.serving.problems import Problem, internal_problem, problem_of
from resgen_tts.common.errors import ResGenError

if TYPE_CHECKING:
    from resgen_tts.apps.provenance.facts import Provenance
    from resgen_tts.apps.serving.queue import Ticket
    from resgen_tts.speech.audio.encode import AudioEncoder
    from resgen_tts.speech.result import SpeechChunk

T = TypeVar("T")
SSE_TYPE = "text/event-stream"

log = logging.getLogger("resgen_tts.serving")


class Broadcast:
    """One request's speech, encoded as it comes.

    Attributes:
        chunks: number of chunks of the whole, once the first one is there.
        warnings: told so far.
        seconds: of speech so far.
    """

    def __init__(self, ticket: "Ticket", encoder: "AudioEncoder", provenance: "Provenance", metrics: Metrics):
        self.ticket, self.provenance, self.metrics = ticket, provenance, metrics
        self.chunks = self.num_symbols = self.num_codes = 0
        self.seconds = 0.0
        self._encoder = encoder
        self._warnings = dict.fromkeys(ticket.request.voice.warnings)
        self._chunks = cast("AsyncGenerator[SpeechChunk, None]", ticket.chunks())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Each once, in order."""
        return tuple(dict.fromkeys([*self._warnings, *self._encoder.warnings]))

    async def begin(self, started: float) -> bytes:
        """Wait for the first chunk, and give its bytes.

        Args:
            started: when the request came, on the clock of perf_counter.
        Raises:
            ResGenError: the request's own.
        """
        data = await self._encoded(await anext(self._chunks))
        self.metrics.first_audio(time.perf_counter() - started)
        return data

    async def whole(self, first: bytes) -> bytes:
        """All bytes, once all chunks are there. Beside those of a stream, their head says how long the speech is."""
        data = bytearray(b"".join([first, *[data async for data in self.rest()]]))
        for offset, patch in self._encoder.patches:
            data[offset : offset + len(patch)] = patch
        return bytes(data)

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """The bytes of all other chunks."""
        async for chunk in self._chunks:
            yield await self._encoded(chunk)
        yield await run_in_threadpool(self._encoder.finish)

    def headers(self, *, is_whole: bool = False) -> dict[str, str]:
        """What is told of the speech beside it.

        Args:
            is_whole: all of it is there, with all its warnings.
        """
        codes = dict.fromkeys(note.split(":")[0] for note in self.warnings)
        told = {
            "X-Resgen-Seed": str(self.provenance.seed),
            "X-Resgen-Model": self.provenance.model.encode("ascii", "backslashreplace").decode(),
            "X-Resgen-Watermark": self.provenance.watermark,
            "X-Resgen-Provenance": json.dumps(self.provenance.to_json()),  # some formats carry no tags
            "X-Resgen-Sample-Rate": str(self._encoder.output_rate),
            "X-Resgen-Chunks": str(self.chunks),
            "X-Resgen-Warnings": str(len(self.warnings)),
            "X-Resgen-Warning-Codes": ",".join(codes),
        }
        return told | ({"X-Resgen-Seconds": f"{self.seconds:.3f}"} if is_whole else {})

    def facts(self) -> dict[str, Any]:
        """What is told behind the speech, where the form of the answer allows it."""
        return {
            "seconds": round(self.seconds, 3), "warnings": list(self.warnings), "provenance": self.provenance.to_json()
        }  # fmt: skip

    async def close(self) -> None:
        """Nobody listens any more: what is not spoken yet is taken back."""
        if not self.ticket.is_over:
            self.ticket.cancel()
        await self._chunks.aclose()

    async def _encoded(self, chunk: "SpeechChunk") -> bytes:
        self.chunks = chunk.num_chunks
        self.num_symbols += len(chunk.symbols)
        self.num_codes += chunk.codes.size
        self.seconds += chunk.seconds
        self.metrics.spoken(chunk.seconds)
        self._warnings |= dict.fromkeys(chunk.warnings)
        return await run_in_threadpool(self._encoder.add, chunk.audio)


class AudioResponse(Response):
    """Speech as it comes. On a fault the answer stays incomplete, so that nobody takes a part for the whole."""

    def __init__(self, broadcast: Broadcast, first: bytes, headers: Mapping[str, str], media_type: str):
        self.status_code, self.media_type, self.background = 200, media_type, None
        self._broadcast, self._first = broadcast, first
        self.init_headers(headers)  # without a length, as there is no body yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_left(receive, self._send(scope, send))
        finally:
            await self._broadcast.close()

    async def _send(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._part(send, self._first)
        try:
            async with contextlib.aclosing(self._broadcast.rest()) as parts:
                async for data in parts:
                    await self._part(send, data)
        except Exception as error:
            await self._fail(problem_within(error, scope), send)
            return
        await self._end(send)

    async def _part(self, send: Send, data: bytes) -> None:
        if data:
            await send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _fail(self, problem: Problem, send: Send) -> None:
        self._broadcast.metrics.failed(problem.code)
        log.error("an answer was broken off: %s", problem.code)


class EventResponse(AudioResponse):
    """The same bytes in events: speech.audio.delta, and speech.audio.done, or error, at the end."""

    async def _part(self, send: Send, data: bytes) -> None:
        if data:
            await self._event(send, {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})

    async def _end(self, send: Send) -> None:
        sent, made = self._broadcast.num_symbols, self._broadcast.num_codes
        usage = {"input_tokens": sent, "output_tokens": made, "total_tokens": sent + made}
        await self._event(send, {"type": "speech.audio.done", "usage": usage, **self._broadcast.facts()})
        await super()._end(send)

    async def _fail(self, problem: Problem, send: Send) -> None:
        await super()._fail(problem, send)
        await self._event(send, {"type": "error", **problem.body})
        await super()._end(send)

    async def _event(self, send: Send, facts: dict[str, Any]) -> None:
        data = f"data: {json.dumps(facts)}\n\n".encode()
        await send({"type": "http.response.body", "body": data, "more_body": True})


def problem_within(error: Exception, scope: Scope) -> Problem:
    """The problem of what broke inside a request; of a fault of the server's own, its place goes to the log."""
    if isinstance(error, ResGenError) and error.code != "INTERNAL":
        return problem_of(error)
    log_fault(error.__cause__ or error, scope.get("resgen_request_id", "-"))
    return internal_problem()


async def unless_left(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do something as long as the client waits for it.

    Args:
        receive: behind the end of the request's body.
    Raises:
        ClientLeft: the client has gone; the work was cancelled.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeft
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
