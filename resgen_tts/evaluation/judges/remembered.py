"""Judges that remember, in memory or on disk: files of equal bytes are listened to once, and a run that was killed
goes on where it stopped.

On disk a judge has one file a writer, ``<judge's name, made plain>-<8 hex of its SHA-256>-<8 hex of the
versions>.<writer>.jsonl``: a first line with the whole name and the versions that it listened with, then a line for
each wave, appended as soon as it is known. Runs side by side take different writers and one folder; who starts next
reads all of their files that were written with its own versions.
"""

import base64
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.evaluation.measures.naturalness import Rater
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder
from resgen_tts.evaluation.measures.text_error import Recognizer
from resgen_tts.evaluation.waves import LISTENING_VERSION, wave_seconds

CHUNK_WAVES = 32  # that a recogniser is given at once, for each of its workers: what a kill can cost
_WRITER = re.compile(r"[A-Za-z0-9_-]{1,64}")

READING = ("soundfile", "soxr")  # libraries that every judge hears through; its own are its `libraries`

Key = tuple[str, float]  # SHA-256 of the file, and the time from which it was listened to
Versions: TypeAlias = Mapping[str, str | int]  # "listening" and each library -> version


def versions_of(judge: Any) -> dict[str, str | int]:
    """What may change a judge's answers without changing its name: how waves are read here, and the libraries that
    read them and listen, from the judge's ``libraries`` where it names any."""
    names = sorted({*READING, *getattr(judge, "libraries", ())})
    return {"listening": LISTENING_VERSION} | {name: _version(name) for name in names}


@functools.cache
def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not known"


class Memory:
    """What judges said of waves, by the judge's name and the bytes of the file.

    A file on disk that was written with other versions (see `versions_of`) is not read, which is said on stderr, and
    stays as it is; a new one is begun beside it.

    Args:
        folder: where it is kept from one run to the next; None: for this run alone.
        writer: name of this run's files in the folder; runs side by side need different ones.
    Raises:
        ConfigError: the writer's name holds more than letters, digits, - and _.
    """

    def __init__(self, folder: Path | None = None, writer: str = "0"):
        if not _WRITER.fullmatch(writer):
            raise ConfigError(f"a memory's writer {writer!r} cannot name a file; it must match {_WRITER.pattern}.")
        self.folder, self.writer = None if folder is None else Path(folder), writer
        self._shelves: dict[tuple[str, str, str], dict[Key, Any]] = {}
        self._told: set[Path] = set()

    def shelf(self, judge: str, kind: str, versions: Versions) -> dict[Key, Any]:
        """What is known of one judge: values as they stand on disk, read when first asked for.

        Args:
            judge: its name.
            kind: "words", "print" or "ratings".
            versions: what it listens with, `versions_of` it.
        Raises:
            DataError: MEMORY_INVALID, a line is torn or no entry of that judge; file and line are named.
        """
        place = (judge, kind, _digest(versions))
        if place not in self._shelves:
            found: dict[Key, Any] = {}
            for path in self._files(judge, versions):
                for key, value in _read(path, judge, versions, kind):
                    found.setdefault(key, value)
            self._shelves[place] = found
        return self._shelves[place]

    def keep(self, judge: str, kind: str, versions: Versions, values: Mapping[Key, Any]) -> None:
        """Add values; where there is a folder, they have left this process when this returns."""
        self.shelf(judge, kind, versions).update(values)
        if self.folder is None or not values:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [{"sha256": digest, "start_seconds": start, kind: value} for (digest, start), value in values.items()]
        path = self.folder / f"{_stem(judge)}-{_digest(versions)}.{self.writer}.jsonl"
        _append(path, {"judge": judge, **versions}, rows)

    def _files(self, judge: str, versions: Versions) -> list[Path]:
        """Those of a judge and its versions; of others of that judge it is said, once, that they are not read."""
        if self.folder is None or not self.folder.is_dir():
            return []
        found, name = [], re.compile(rf"{re.escape(_stem(judge))}(?:-([0-9a-f]{{8}}))?\.{_WRITER.pattern}\.jsonl")
        for path in sorted(self.folder.iterdir()):
            match = name.fullmatch(path.name)
            if match and match[1] == _digest(versions):
                found.append(path)
            elif match and path not in self._told:
                self._told.add(path)
                sys.stderr.write(f"{path} is not read, and a new file is begun: {_difference(path, versions)}.\n")
        return found


class RememberingRecognizer:
    """A `Recognizer` that hears files of equal bytes once.

    Args:
        judge: who listens to what is new; with a folder in chunks, each of them kept before the next one is heard.
        memory: none: one of its own, for this run.
    Raises:
        DataError: as `Memory.shelf`.
    """

    def __init__(self, judge: Recognizer, memory: Memory | None = None):
        self.judge, self.memory = judge, memory or Memory()
        self.name, self.is_embedded = judge.name, judge.is_embedded
        self._versions = versions_of(judge)
        self._heard: dict[Key, str] = self.memory.shelf(self.name, "words", self._versions)

    def transcribe(self, paths: Sequence[Path]) -> list[str]:
        """As `Recognizer.transcribe`."""
        keys = {Path(path): _key(Path(path)) for path in paths}
        new: dict[Key, Path] = {}
        for path, key in keys.items():
            if key not in self._heard:
                new.setdefault(key, path)
        size = len(new) if self.memory.folder is None else CHUNK_WAVES * getattr(self.judge, "workers", 1)
        waiting = list(new.items())
        for start in range(0, len(waiting), max(1, size)):
            chunk = dict(waiting[start : start + size])
            heard = self.judge.transcribe(list(chunk.values()))
            self.memory.keep(self.name, "words", self._versions, dict(zip(chunk, heard, strict=True)))
        return [self._heard[keys[Path(path)]] for path in paths]


class RememberingEncoder:
    """A `SpeakerEncoder` that makes one print for files of equal bytes; arguments as in `RememberingRecognizer`."""

    def __init__(self, judge: SpeakerEncoder, memory: Memory | None = None):
        self.judge, self.memory = judge, memory or Memory()
        self.name, self.is_embedded = judge.name, judge.is_embedded
        self._versions = versions_of(judge)
        self._prints: dict[Key, dict[str, str]] = self.memory.shelf(self.name, "print", self._versions)

    def embed(self, path: Path, start_seconds: float = 0.0) -> Float[np.ndarray, "E"]:
        """As `SpeakerEncoder.embed`; remembered prints are the made ones bit for bit."""
        key = _key(Path(path), start_seconds)
        if key not in self._prints:
            made = self.judge.embed(Path(path), start_seconds)
            self.memory.keep(self.name, "print", self._versions, {key: _packed(made)})
        return _unpacked(self._prints[key])


class RememberingRater:
    """A `Rater` that rates files of equal bytes once; arguments as in `RememberingRecognizer`.

    That a figure is not defined for a wave is remembered, too: the same error is raised again.
    """

    def __init__(self, judge: Rater, memory: Memory | None = None):
        self.judge, self.memory = judge, memory or Memory()
        self.name, self.is_embedded, self.figures = judge.name, judge.is_embedded, judge.figures
        self._versions = versions_of(judge)
        self._ratings: dict[Key, dict[str, Any]] = self.memory.shelf(self.name, "ratings", self._versions)

    def rate(self, path: Path, start_seconds: float = 0.0) -> dict[str, float]:
        """As `Rater.rate`."""
        key = _key(Path(path), start_seconds)
        if key not in self._ratings:
            try:
                rated = self.judge.rate(Path(path), start_seconds)
                found = {"figures": {name: float(value) for name, value in rated.items()}}
            except AudioError as error:
                found = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
            self.memory.keep(self.name, "ratings", self._versions, {key: found})
        known = self._ratings[key]
        if "error" in known:
            told = known["error"]
            raise AudioError(told["message"], code=told["code"], hint=told["hint"])
        return dict(known["figures"])


def shard(paths: Sequence[Path], num_shards: int, shard_index: int) -> list[Path]:
    """The waves that one of several machines listens to, each path once, in the order given.

    The shards are disjoint and leave nothing out; which one a wave is in depends on lengths and names alone. Each
    wave, the longest first, goes to where the fewest seconds are, so two shards differ by at most the longest wave. A
    file that cannot be read counts as no seconds: who listens to it tells.

    Raises:
        ConfigError: fewer than one shard, or no shard of that index.
    """
    if num_shards < 1 or not 0 <= shard_index < num_shards:
        raise ConfigError(f"shard {shard_index} of {num_shards} does not exist; the first one is 0.")
    unique = list(dict.fromkeys(Path(path) for path in paths))
    seconds = {path: _seconds(path) for path in unique}
    loads, own = [0.0] * num_shards, set()
    for path in sorted(unique, key=lambda path: (-seconds[path], str(path))):
        least = loads.index(min(loads))
        loads[least] += seconds[path]
        if least == shard_index:
            own.add(path)
    return [path for path in unique if path in own]


def _seconds(path: Path) -> float:
    try:
        return wave_seconds(path)
    except AudioError:
        return 0.0


def _key(path: Path, start_seconds: float = 0.0) -> Key:
    if not path.is_file():
        raise AudioError(f"{path} does not exist.", code="AUDIO_NOT_FOUND")
    return sha256_file(path), float(start_seconds)


def _packed(made: Float[np.ndarray, "E"]) -> dict[str, str]:
    little = np.ascontiguousarray(made, dtype=made.dtype.newbyteorder("<"))
    return {"dtype": little.dtype.str, "base64": base64.b64encode(little.tobytes()).decode("ascii")}


def _unpacked(packed: Mapping[str, str]) -> Float[np.ndarray, "E"]:
    stored = np.frombuffer(base64.b64decode(packed["base64"], validate=True), dtype=packed["dtype"])
    return stored.astype(stored.dtype.newbyteorder("="))


def _stem(judge: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", judge.lower()).strip("-")[:60].strip("-")
    return f"{plain}-{hashlib.sha256(judge.encode()).hexdigest()[:8]}"


def _digest(versions: Versions) -> str:
    return hashlib.sha256(json.dumps(versions, sort_keys=True).encode()).hexdigest()[:8]


def _difference(path: Path, versions: Versions) -> str:
    """What a file was written with, where that is not what is listened with now."""
    with open(path, "rb") as file:
        head = file.readline()
    try:
        written = json.loads(head)
        changed = [name for name in versions if written.get(name) != versions[name]]
        other = [f"{name} {written.get(name, 'not told')}, now {versions[name]}" for name in changed]
        other += [f"{name}, now without" for name in written if name not in {*versions, "judge"}]
    except (ValueError, AttributeError):
        return "its first line does not say what it was written with"
    return f"it was written with other versions ({'; '.join(other)})"


def _append(path: Path, head: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add lines under a lock, which keeps another process of the same writer out meanwhile."""
    with open(path, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() != b"\n":  # empty, or torn by a kill: nobody else writes now
            file.seek(0)
            size = _whole_size(file.read())
            file.truncate(size)
        lines = [*([] if size else [head]), *rows]
        file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())


def _read(path: Path, judge: str, versions: Versions, kind: str) -> Iterator[tuple[Key, Any]]:
    data = path.read_bytes()
    whole = _whole_size(data)
    if whole < len(data):
        sys.stderr.write(f"{path}: the last line is not whole; its wave is listened to again.\n")
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
            if number == 1:
                if row["judge"] != judge:
                    raise ValueError(f"the file is of {row['judge']!r}, not of {judge!r}")
                if row != {"judge": judge, **versions}:
                    raise ValueError("its versions are not those that its name stands for")
                continue
            key = row["sha256"], float(row["start_seconds"])
            if kind in row:
                yield key, _checked(kind, row[kind])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}:{number}: not an entry of a memory: {error!r}.",
                code="MEMORY_INVALID",
                hint="Delete this line, or the file: what it held is listened to again.",
            ) from error


def _checked(kind: str, value: Any) -> Any:
    if kind == "words" and not isinstance(value, str):
        raise TypeError(f"words must be text, got {value!r}")
    if kind == "print":
        _unpacked(value)
    if kind == "ratings" and not ("figures" in value or {"code", "message", "hint"} <= value["error"].keys()):
        raise KeyError("an error needs code, message and hint")
    return value


def _whole_size(data: bytes) -> int:
    return data.rfind(b"\n") + 1
