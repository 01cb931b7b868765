"""Run one verb: its words on the console and in the log, signals handed on, nothing left running behind."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import BinaryIO

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> Callable[[], None] | None:
    """For the child: be asked to stop when the runner is killed outright (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGTERM)

    return ask


def run_logged(argv: list[str], *, cwd: Path, env: dict[str, str], log: Path, locks: tuple[int, ...] = ()) -> int:
    """Run a command to its end and return its exit status (128 + n where signal n ended it).

    Workers that the command leaves behind are ended with it: they would hold its output open for ever.
    ``locks`` are open files that the child keeps too: a lock on one of them holds for as long as either lives.
    """
    with open(log, "ab") as file:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            pass_fds=locks,
            start_new_session=True,  # a Ctrl-C reaches it once, through us
            preexec_fn=_end_with_parent(),
        )

        def hand_on(number: int, _frame: FrameType | None) -> None:
            process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

        # What is ignored already (nohup, a job in the background) stays ignored.
        heard = [number for number in FORWARDED if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, hand_on) for number in heard}
        try:
            reader = threading.Thread(target=_copy_lines, args=(process, file), daemon=True)
            reader.start()
            status = process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            reader.join()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _copy_lines(process: subprocess.Popen[bytes], file: BinaryIO) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            file.write(line)
            file.flush()
            sys.stdout.buffer.write(line)
            sys.stdout.flush()


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log."""
    with open(log, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 400 * lines))
        return file.read().decode("utf-8", "replace").splitlines()[-lines:]


def offending_item(lines: list[str]) -> str:
    """The line that names what failed: the last one that starts with an error code, or with an exception's name."""
    for line in reversed(lines):
        if re.match(r"(\w+ )?[A-Z][A-Z0-9]+_[A-Z0-9_]+: ", line) or re.match(r"[\w.]*(Error|Exception)\b", line):
            return line
    return ""
