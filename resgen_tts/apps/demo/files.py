"""The demo's files: each belongs to the browsers that brought it or had it made, and goes when they do."""

import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.common.errors import DataError

MOST_UPLOAD_BYTES = ServerConfig.max_upload_bytes  # of one recording
MOST_BROWSER_BYTES = 10 * MOST_UPLOAD_BYTES  # of the uploads of one browser that lie here at a time
MOST_BYTES = 10 * MOST_BROWSER_BYTES  # of all: who takes a new cookie is a new browser
PAGE_PREFIX = "page-"


class OwnedFiles:
    """Which browser may read which file below one folder, and which pages still hold it.

    An upload's name is a salted hash of its bytes, so two browsers that upload one recording share the file: it stays
    until both have let go of it. What is made for a page lies in a folder of a random name.

    Args:
        folder: of all of the demo's files; is made if need be, for this user alone.
    """

    def __init__(self, folder: Path):
        self.folder = Path(os.path.realpath(folder))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._pages: dict[Path, dict[str, set[str]]] = {}  # of a file: browsers, and the pages of each that hold it
        self._lock = threading.Lock()

    def new_folder(self, browser: str, page: str) -> Path:
        """A folder for what is made for a page; everything in it is its browser's."""
        folder = self.folder / f"{PAGE_PREFIX}{secrets.token_hex(16)}"
        folder.mkdir(mode=0o700)
        with self._lock:
            self._pages[folder] = {browser: {page}}
        return folder

    def add(self, paths: Iterable[Path | str], browser: str) -> None:
        """Note that a browser brought these files; those outside the folder are none of ours and are left out."""
        with self._lock:
            for path in map(_plain, paths):
                if path.is_relative_to(self.folder):
                    self._pages.setdefault(path, {}).setdefault(browser, set())

    def has_room(self, browser: str, coming: int, all_coming: int) -> bool:
        """Whether uploads may still come.

        Args:
            coming, all_coming: how many would be on their way then, from this browser and from all.
        """
        with self._lock:
            sizes = [(browser in browsers, _num_bytes(path)) for path, browsers in self._uploads()]
        own = sum(size for is_own, size in sizes if is_own) + coming * MOST_UPLOAD_BYTES
        return own <= MOST_BROWSER_BYTES and (
            sum(size for _, size in sizes) + all_coming * MOST_UPLOAD_BYTES <= MOST_BYTES
        )

    def sweep(self, seconds: float) -> None:
        """Delete uploads that no page holds and that came longer ago, as after a crash of a browser."""
        before = time.time() - seconds
        with self._lock:
            for folder in self.folder.iterdir():
                if folder.name.startswith(PAGE_PREFIX) or folder.is_symlink() or not folder.is_dir():
                    continue
                for path in list(folder.iterdir()):
                    if not any(self._pages.get(path, {}).values()) and path.lstat().st_mtime < before:
                        self._pages.pop(path, None)
                        _delete(path, self.folder)

    def may_read(self, path: Path | str, browser: str) -> bool:
        """Whether a file, or the folder that it lies in, is this browser's."""
        path = _plain(path)
        with self._lock:
            return any(browser in self._pages.get(place, ()) for place in (path, path.parent))

    def take(self, path: Path | str, browser: str, page: str) -> Path:
        """An upload, held by a page from now on.

        Raises:
            DataError: FILE_MISSING, it is not this browser's, whether or not there is such a file.
        """
        path = _plain(path)
        with self._lock:
            held = self._pages.get(path, {}).get(browser)
            if held is None:
                raise DataError("the recording is not there any more.", code="FILE_MISSING", hint="Upload it again.")
            held.add(page)
        return path

    def release(self, page: str, browser: str) -> None:
        """Let go of all that a page holds; what nobody holds any more is deleted."""
        with self._lock:
            for path, browsers in list(self._pages.items()):
                held = browsers.get(browser, set())
                if page not in held:
                    continue
                held.remove(page)
                if not held:
                    del browsers[browser]
                if not browsers:
                    del self._pages[path]
                    _delete(path, self.folder)

    def _uploads(self) -> list[tuple[Path, dict[str, set[str]]]]:
        return [(path, browsers) for path, browsers in self._pages.items() if path.parent != self.folder]

    def close(self) -> None:
        """Delete everything."""
        with self._lock:
            self._pages.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def _plain(path: Path | str) -> Path:
    return Path(os.path.abspath(path))  # links are not followed: what a name leads to is not what it owns


def _num_bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # it went in between
        return 0


def _delete(path: Path, root: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    path.unlink(missing_ok=True)
    if path.parent != root and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()  # the folder that was made for this upload
