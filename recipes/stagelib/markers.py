"""Markers: what is known of a stage from earlier runs, and the lock that keeps two runs apart."""

import contextlib
import fcntl
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import ResGenError
from resgen_tts.common.run_dir import write_json

LOCK_SECONDS = 120.0


class BusyError(ResGenError):
    """Another run works in the same folder."""

    default_code = "STAGE_BUSY"
    exit_code = 75


def marker_path(home: Path, number: int, name: str) -> Path:
    """Where a stage's marker lies; ``home`` is the data or the experiment folder."""
    return home / ".stages" / f"{number:02d}_{name}.json"


def read_marker(path: Path) -> dict[str, Any] | None:
    """A stage's marker, or None where the stage never started (a torn marker counts as none)."""
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return marker if isinstance(marker, dict) and "fingerprint" in marker else None


def write_marker(path: Path, **content: Any) -> None:
    """Write a marker, whole or not at all."""
    write_json(path, content)


@contextlib.contextmanager
def locked(homes: list[Path]) -> Iterator[tuple[int, ...]]:
    """Hold the locks of some folders; yields their open files.

    A verb that outlives a killed runner holds them too, so a new run waits for it to stop instead of writing beside it.

    Raises:
        BusyError: another run still holds one after ``LOCK_SECONDS``.
    """
    with contextlib.ExitStack() as stack:
        descriptors = []
        for home in homes:
            path = home / ".stages" / "lock"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "w"))
            _wait_for(file.fileno(), home)
            descriptors.append(file.fileno())
        yield tuple(descriptors)


def _wait_for(descriptor: int, home: Path) -> None:
    deadline, told = time.monotonic() + LOCK_SECONDS, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BusyError(
                    f"another run works in {home}.", hint="Wait for it or stop it; or choose another --tag."
                ) from None
            if not told:
                print(f"waiting for an earlier run in {home} to stop", file=sys.stderr, flush=True)
                told = True
            time.sleep(0.2)
