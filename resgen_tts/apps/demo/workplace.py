"""The temporary folder of a running demo; one whose demo was killed is deleted by the next demo."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "resgen-demo-"
LOCK = "lock"  # held as long as the folder's demo runs, and let go by the system even where that is killed


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A new folder, for this user alone; deleted at the end, as are those of demos that did not come to theirs."""
    delete_orphans(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as root, (Path(root) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(root)


def delete_orphans(parent: Path) -> None:
    """Delete folders of demos that do not run any more: this user's own, no links, with a lock that nobody holds.

    One without a lock stays: its demo is about to lock it, or it is none of ours.
    """
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it is gone, or another user's, or held
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                continue
            held = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)
