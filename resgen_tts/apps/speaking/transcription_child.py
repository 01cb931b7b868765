"""Writing down a recording in a process of its own: pocketsphinx lets no other thread run while it listens.

On standard input the child gets the question as one line of JSON and the samples as raw float32; on standard output it
answers with one line of JSON.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float

from resgen_tts.common import errors
from resgen_tts.common.errors import DataError, ResGenError, TextError

_OWN_VARIABLES = "RESGEN_TTS_"  # some hold keys
_POLL_SECONDS = 0.1  # between two looks at whether it is still wanted
# Modules are found where this process finds them, whatever folder it was started in; nothing of that folder is run.
_CHILD = (
    "import json, sys\n"
    "question = json.loads(sys.stdin.buffer.readline())\n"
    "sys.path[:] = question.pop('modules')\n"
    "from resgen_tts.apps.speaking.transcription_child import answer\n"
    "answer(**question)\n"
)


def ask_child(
    wave: Float[np.ndarray, " N"], rate: int, asr: str, is_cancelled: Callable[[], bool] | None, seconds: float
) -> tuple[str, str]:
    """See :func:`resgen_tts.apps.speaking.transcription.transcribe_apart`, which names the recogniser in full."""
    question = {"modules": _module_folders(), "asr": asr, "rate": rate, "seconds": seconds}
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="resgen-reference-"))
        with tempfile.TemporaryFile(dir=scratch) as sent:
            sent.write(json.dumps(question).encode() + b"\n")
            sent.write(np.ascontiguousarray(wave, "<f4").data)
            sent.seek(0)
            child = stack.enter_context(_started(sent, scratch))
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, complaint = child.communicate(timeout=_POLL_SECONDS)
                return _words_told(said, complaint, child.returncode, seconds)
            if is_cancelled is not None and is_cancelled():
                raise ResGenError("the transcription was stopped.", code="STOPPED")
            if time.monotonic() > deadline:
                raise _too_slow(seconds)


def answer(asr: str, rate: int, seconds: float) -> None:
    """What the child does."""
    signal.alarm(int(seconds) + 5)  # nobody else ends it where the one who asked was killed
    way_back = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # recognisers talk
    told: dict[str, Any]
    try:
        from resgen_tts.apps.speaking.transcription import transcribe

        words, name = transcribe(np.frombuffer(sys.stdin.buffer.read(), "<f4"), rate, asr)
        told = {"words": words, "name": name}
    except ResGenError as error:
        told = {"kind": type(error).__name__, "code": error.code, "message": error.message, "hint": error.hint}
    with way_back:
        way_back.write(json.dumps(told).encode())


def _module_folders() -> list[str]:
    own = str(Path(__file__).resolve().parents[3])  # where this package lies
    return [os.path.abspath(folder) for folder in sys.path if folder] + [own]


@contextlib.contextmanager
def _started(sent: IO[bytes], scratch: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child that is gone at the end. What it writes lies in a folder that is removed here, even if it was killed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", _CHILD],
        stdin=sent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=kept | {"TMPDIR": scratch},
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        child.stderr.close()


def _words_told(said: bytes, complaint: bytes, status: int, seconds: float) -> tuple[str, str]:
    """The answer as it came, or as an error what the child died of."""
    if status == -signal.SIGALRM:
        raise _too_slow(seconds)
    if status or not said:
        lines = complaint.decode(errors="replace").strip().splitlines()
        how = signal.Signals(-status).name if status < 0 else lines[-1] if lines else f"status {status}"
        raise DataError(
            f"the process that listens to the recording ended without an answer ({how}).",
            code="TRANSCRIPTION_FAILED",
            hint="Pass what is said in it (--ref-text), or try again: the system ends a process when memory is short.",
        )
    told = json.loads(said)
    if "words" in told:
        return told["words"], told["name"]
    raise getattr(errors, told["kind"], ResGenError)(told["message"], code=told["code"], hint=told["hint"])


def _too_slow(seconds: float) -> TextError:
    return TextError(
        f"the recording was not transcribed within {seconds:g} s.",
        code="TRANSCRIPTION_TIMEOUT",
        hint="Pass what is said in it (--ref-text), or a shorter recording.",
    )
