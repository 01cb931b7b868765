"""Recordings that come in by HTTP: read with limits, decoded in a process with limits, made into voices, not kept."""

import asyncio
import contextlib
import logging
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request

from resgen_tts.apps.serving.problems import RequestError
from resgen_tts.apps.serving.service import Room
from resgen_tts.common.errors import ResGenError

if TYPE_CHECKING:
    from resgen_tts.speech.audio.load import LoadedAudio
    from resgen_tts.speech.prompt import Voice

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it quotes bytes of what it cannot read

MAX_FIELDS = 40
MAX_FIELD_BYTES = 64 * 1024
DECODED_AT_ONCE = 2  # each is a process of its own
NAME_ON_DISK = "reference"  # a client's own name for a file never becomes a path


@dataclass(frozen=True)
class Form:
    """A multipart form with one file. Fields left empty are left out, but for ``input``."""

    fields: dict[str, str]
    file: BinaryIO


@contextlib.asynccontextmanager
async def read_form(request: Request, file_fields: tuple[str, ...]) -> AsyncIterator[Form]:
    """The fields and the one file of a form; the file is gone afterwards.

    Args:
        file_fields: names that the file's field may have.
    Raises:
        RequestError: REQUEST_INVALID; and what the guard raises while the body comes in.
    """
    async with request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES) as form:
        fields: dict[str, str] = {}
        file: BinaryIO | None = None
        for name, value in form.multi_items():
            if name in fields or (isinstance(value, UploadFile) and file is not None):
                raise RequestError(f"the field {name} is there twice.", param=name)
            if isinstance(value, UploadFile):
                if name not in file_fields:
                    raise RequestError(f"{name} is no field for a file.", param=name)
                file = value.file
            elif name in file_fields:
                raise RequestError(f"{name} is no file.", param=name, hint="Send the recording itself.")
            elif value or name == "input":
                fields[name] = value
        if file is None:
            raise RequestError(f"there is no recording in {file_fields[0]}.", param=file_fields[0])
        yield Form(fields, file)


class Cloner:
    """Makes voices of uploaded recordings, a bounded number at a time.

    Args:
        asr: what writes down a recording that comes without its text.
        most: uploads that may be in work; one more is refused.
    """

    def __init__(self, asr: str, most: int):
        self._asr, self._most, self._num_active = asr, most, 0
        self._decoders = asyncio.Semaphore(DECODED_AT_ONCE)
        self._ears = asyncio.Semaphore(1)

    @contextlib.contextmanager
    def place(self, room: Room) -> Iterator[None]:
        """Room for one upload, taken before its body is read.

        Raises:
            QueueFullError: QUEUE_FULL.
        """
        if self._num_active >= self._most:
            raise _too_many(room, self._num_active)
        self._num_active += 1
        try:
            yield
        finally:
            self._num_active -= 1

    async def load(self, file: BinaryIO, text: str | None, sample_rate: int) -> "tuple[LoadedAudio, str]":
        """The recording, decoded and checked, and its text: heard where it is not given, which a warning says.

        Raises:
            AudioError: the recording is refused.
            TextError, ResGenError: there is no text, and none was heard; see `transcribe_apart`.
        """
        from resgen_tts.speech.audio.load import as_reference

        loaded = await self._decoded(file, sample_rate)
        as_reference(loaded, NAME_ON_DISK)  # told before anything is listened to; what makes the voice keeps its words
        if text is not None:
            return loaded, text
        async with self._ears:
            text, heard_by = await _heard(loaded, self._asr)
        note = f'VOICE_TRANSCRIBED: by {heard_by}: "{text}"'
        return replace(loaded, warnings=(*loaded.warnings, note)), text

    async def _decoded(self, file: BinaryIO, sample_rate: int) -> "LoadedAudio":
        """The recording, decoded in its turn, which ends with the work: who leaves meanwhile gets no second one."""

        async def one() -> "LoadedAudio":
            async with self._decoders:
                return await run_in_threadpool(_decode, file, sample_rate)

        task = asyncio.ensure_future(one())
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # read, if nobody waits any more
        return await asyncio.shield(task)


async def in_turn(room: Room, work: Any) -> Any:
    """Have something done by the thread that speaks, and wait for it; who stops waiting takes it back if it can be.

    Raises:
        QueueFullError: QUEUE_FULL.
        ResGenError: what ``work`` raises; STOPPED, the server is being stopped.
    """
    pending = asyncio.wrap_future(room.queue.run(work))
    try:
        await asyncio.wait({pending})
    except asyncio.CancelledError:
        pending.cancel()
        raise
    if pending.cancelled():
        raise ResGenError("the server is being stopped.", code="STOPPED")
    return pending.result()


async def cloned(room: Room, loaded: "LoadedAudio", text: str) -> "Voice":
    """A voice of a recording, made in its turn."""
    return await in_turn(room, lambda: room.tts.voice(loaded, text))


def _too_many(room: Room, num_active: int) -> ResGenError:
    from resgen_tts.apps.serving.queue import QueueFullError

    wait = room.queue.seconds_until_room()
    return QueueFullError(
        f"{num_active} recordings are in work, which is as many as may.",
        hint=f"Try again in {wait:.0f} s.",
        retry_after_seconds=wait,
    )


async def _heard(loaded: "LoadedAudio", asr: str) -> tuple[str, str]:
    """What is said in a recording, and what heard it; who stops waiting ends the process that listens."""
    from resgen_tts.apps.speaking.transcription import transcribe_apart

    has_left = threading.Event()
    try:
        return await asyncio.to_thread(transcribe_apart, loaded.samples, loaded.sample_rate, asr, has_left.is_set)
    finally:
        has_left.set()


def _decode(file: BinaryIO, sample_rate: int) -> "LoadedAudio":
    from resgen_tts.speech.audio.limited import load_audio_limited

    with tempfile.TemporaryDirectory(prefix="resgen-upload-") as folder:
        path = Path(folder) / NAME_ON_DISK
        file.seek(0)
        with open(path, "wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        return load_audio_limited(path, sample_rate=sample_rate)
