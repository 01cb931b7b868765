"""Fingerprints: what a stage was made from, as flat text that two runs can be compared by."""

import hashlib
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from resgen_tts.common.run_dir import sha256_file

# Traces of when and how fast something ran; two runs that make the same thing differ in them.
TRACES = ("events.out.tfevents.*", "*.log", "*.png", "*.tmp", ".*", "metrics.jsonl", "data_report.json")
AUDIO = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif", ".au", ".sph"})
HASHED_BYTES = 64 * 2**20  # larger files, and audio, count by size and time instead of content


def flatten(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings as (dotted name, value)."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}.{key}")
    else:
        yield prefix, tree


class Digests:
    """Digests of files and folders, each computed once until it is forgotten."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def forget(self) -> None:
        """Drop what is known; to be called when a stage has written."""
        self._known.clear()

    def of(self, path: Path) -> str:
        """One line on a file's or folder's content; "absent" where there is nothing."""
        if path not in self._known:
            self._known[path] = _digest(path)
        return self._known[path]


def _digest(path: Path) -> str:
    if path.is_file():
        return _file_digest(path)
    if not path.is_dir():
        return "absent"
    total, count, size = hashlib.sha256(), 0, 0
    for file in sorted(_files(path)):
        total.update(f"{file.relative_to(path)}\0{_file_digest(file)}\n".encode("utf-8", "surrogateescape"))
        count, size = count + 1, size + file.stat().st_size
    return f"{count} files, {size} bytes, {total.hexdigest()[:16]}"


def _files(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if any(fnmatch(entry.name, pattern) for pattern in TRACES):
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)


def _file_digest(file: Path) -> str:
    found = file.stat()
    if file.suffix.lower() in AUDIO or found.st_size > HASHED_BYTES:
        return f"{found.st_size} bytes of {found.st_mtime_ns}"
    return sha256_file(file)[:16]


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changed, one line an entry: ``config.train.steps: 100 -> 200``."""
    missing = "(not there)"
    return [
        f"{key}: {old.get(key, missing)} -> {new.get(key, missing)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, missing) != new.get(key, missing)
    ]
