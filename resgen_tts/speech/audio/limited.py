"""Loading a stranger's recording in a process of its own, with limits on its memory, its time and its files.

A decoder is a large program that reads what others wrote. Here it runs in a fresh process that holds nothing else: the
open file and the way back. What goes wrong in it, a crash or an endless loop, ends that process alone.

On standard input the child gets the question as one line of JSON; it answers through a pipe with one line of JSON and,
where the recording was accepted, its samples as raw float32.
"""

import contextlib
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.limits import CONVERT_HINT, AudioLimits
from resgen_tts.speech.audio.load import LoadedAudio, load_opened, open_regular, shown_name

MAX_DATA_BYTES = 512 * 2**20  # of the child's own: what it allocates
MAX_ADDRESS_BYTES = 1024 * 2**20  # with the libraries that it maps, of which little is ever in memory
MAX_FILES = 32
MAX_ANSWER_BYTES = 1 << 16  # of the line before the samples

_READ_BYTES = 1 << 20
# Modules are found where this process finds them, whatever folder it was started in; nothing of that folder is run.
_CHILD = (
    "import json, sys\n"
    "question = json.loads(sys.stdin.readline())\n"
    "sys.path[:] = question.pop('modules')\n"
    "from resgen_tts.speech.audio.limited import answer\n"
    "answer(**question)\n"
)


def load_audio_limited(path: Path | str, *, sample_rate: int, limits: AudioLimits | None = None) -> LoadedAudio:
    """Read a recording as `load_audio` does, in a child process with limits: for what strangers send.

    Raises:
        AudioError: those of `load_audio`; AUDIO_CORRUPT where the decoder crashed, AUDIO_TOO_LARGE where it took more
            memory or time than it may.
    """
    limits = limits or AudioLimits()
    name, suffix = shown_name(path), os.path.splitext(path)[1].lower()
    deadline = time.monotonic() + limits.max_wall_seconds
    with open_regular(path, name, limits) as file, contextlib.ExitStack() as stack:
        receiver, sender = os.pipe()
        answers = stack.enter_context(os.fdopen(receiver, "rb", buffering=0))
        question = {
            "modules": _module_folders(), "recording": file.fileno(), "way_back": sender, "name": name,
            "suffix": suffix, "sample_rate": sample_rate, "limits": asdict(limits),
        }  # fmt: skip
        try:
            child = stack.enter_context(_started(question, (file.fileno(), sender)))
        finally:
            os.close(sender)  # the child holds the only other end: when it ends, reading ends
        most = MAX_ANSWER_BYTES + 4 * int(limits.max_seconds + 1) * sample_rate
        received = _read_all(answers, most, deadline)
        if received is None:
            raise _too_slow(name)
        return _as_loaded(received, child, name, sample_rate)


def answer(recording: int, way_back: int, name: str, suffix: str, sample_rate: int, limits: dict[str, Any]) -> None:
    """What the child does: load from the open file, and write the answer."""
    import soundfile  # noqa: F401, before its memory is counted
    import soxr  # noqa: F401

    allowed = AudioLimits(**limits)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)
    _limit(resource.RLIMIT_CPU, int(allowed.max_wall_seconds) + 1)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)  # it writes no file
    _limit(resource.RLIMIT_NOFILE, MAX_FILES)
    _limit(resource.RLIMIT_DATA, MAX_DATA_BYTES)
    _limit(resource.RLIMIT_AS, MAX_ADDRESS_BYTES)
    samples = np.zeros(0, np.float32)
    try:
        with os.fdopen(recording, "rb", buffering=0) as file:
            loaded = load_opened(file, name, suffix, sample_rate=sample_rate, limits=allowed)
        said: dict[str, Any] = {"num_samples": len(loaded.samples), "warnings": loaded.warnings}
        samples = np.ascontiguousarray(loaded.samples)
    except AudioError as error:
        said = {"code": error.code, "message": error.message, "hint": error.hint}
    except MemoryError:
        said = {
            "code": "AUDIO_TOO_LARGE",
            "message": f"{name} needs more than {MAX_DATA_BYTES / 2**20:.0f} MiB to be decoded.",
            "hint": "Cut it, mix it down, or lower its rate.",
        }
    except Exception as error:  # what the loader does not know of is no reason to die without a word
        said = {"code": "AUDIO_CORRUPT", "message": f"{name} cannot be decoded ({type(error).__name__}: {error})."}
    with os.fdopen(way_back, "wb") as pipe:
        pipe.write(json.dumps(said).encode() + b"\n")
        pipe.write(samples.data)


def _limit(which: int, most: int) -> None:
    """Set a limit of this process for good; one that is lower already stays."""
    allowed = resource.getrlimit(which)[1]
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(which, (most, most))


def _module_folders() -> list[str]:
    own = str(Path(__file__).resolve().parents[3])  # where this package lies
    return [os.path.abspath(folder) for folder in sys.path if folder] + [own]


@contextlib.contextmanager
def _started(question: dict[str, Any], descriptors: tuple[int, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that has been asked, and that is gone at the end."""
    # Little of the environment goes along, no key of a server above all. One thread: more would only reserve memory.
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH", "LANG", "LC_ALL") if name in os.environ}
    child = subprocess.Popen(
        # Isolated, without site packages of its own: its modules come with the question.
        [sys.executable, "-I", "-S", "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # decoders talk
        stderr=subprocess.PIPE,  # what kept it from starting; later it is silent, too
        pass_fds=descriptors,
        env=kept | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )
    assert child.stdin is not None and child.stderr is not None
    try:
        with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(json.dumps(question).encode() + b"\n")
        yield child
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def _read_all(answers: io.FileIO, most: int, deadline: float) -> bytearray | None:
    """All that the child writes, up to the most that it may; None where time ran out."""
    poll, received = select.poll(), bytearray()
    poll.register(answers, select.POLLIN)
    while len(received) <= most:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return None
        block = answers.read(_READ_BYTES)
        if not block:
            break
        received += block
    return received


def _as_loaded(received: bytearray, child: subprocess.Popen[bytes], name: str, sample_rate: int) -> LoadedAudio:
    """The answer as it came, or as an error what the child died of."""
    end = received.find(b"\n", 0, MAX_ANSWER_BYTES)
    if end < 0:
        raise _end_without_answer(child, name)
    said = json.loads(received[:end])
    if "code" in said:
        raise AudioError(said["message"], code=said["code"], hint=said.get("hint", CONVERT_HINT))
    samples = np.frombuffer(received, np.uint8, offset=end + 1)
    if len(samples) != 4 * said["num_samples"]:
        raise _end_without_answer(child, name)
    # Copied: the line before them leaves them where no float lies.
    return LoadedAudio(samples.copy().view(np.float32), sample_rate, tuple(said["warnings"]))


def _end_without_answer(child: subprocess.Popen[bytes], name: str) -> Exception:
    status = child.wait()
    if status >= 0:  # not the decoder: this very code did not run
        assert child.stderr is not None
        lines = child.stderr.read().decode(errors="replace").strip().splitlines()
        return RuntimeError(f"the decoding process ended with status {status}: {lines[-1] if lines else 'no word'}")
    killed_by = signal.Signals(-status)
    if killed_by == signal.SIGXCPU:
        return _too_slow(name)
    if killed_by == signal.SIGKILL:
        return AudioError(
            f"decoding {name} was stopped by the system, which may have run out of memory.",
            code="AUDIO_TOO_LARGE",
            hint="Cut it, or try again.",
        )
    return AudioError(f"{name} is damaged: the decoder crashed on it ({killed_by.name}).", hint=CONVERT_HINT)


def _too_slow(name: str) -> AudioError:
    return AudioError(
        f"{name} was not decoded in the time that one recording may take.",
        code="AUDIO_TOO_LARGE",
        hint="Cut it, or try again when the machine is less busy.",
    )
