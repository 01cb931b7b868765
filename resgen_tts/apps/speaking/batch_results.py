"""What a batch has done: ``results.jsonl`` in its folder, a line as soon as a row is spoken or has failed."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.run_dir import sha256_file, write_text

RESULTS = "results.jsonl"
SPOKEN, FAILED = "ok", "failed"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else speaks into the folder meanwhile.

    Raises:
        ConfigError: OUTPUT_BUSY.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another batch is speaking into {folder}.", code="OUTPUT_BUSY", hint="Wait for it, or name another."
            ) from error
        yield
    finally:
        os.close(descriptor)


class BatchResults:
    """The lines of a folder by the ids of their rows, the last one of each.

    Raises:
        DataError: a line of the file is broken; but the last one, which a run left that was killed, is dropped.
    """

    def __init__(self, folder: Path, *, is_continued: bool):
        self.folder, self.path = Path(folder), Path(folder) / RESULTS
        self.lines: dict[str, dict[str, Any]] = {}
        if is_continued and self.path.is_file():
            self._read()
        self._file: TextIO | None = None

    def _read(self) -> None:
        whole = self.path.read_text(encoding="utf-8").split("\n")[:-1]  # behind the last end is what was cut off
        for number, line in enumerate(whole, start=1):
            try:
                told = json.loads(line)
                self.lines[told["id"]] = told
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{self.path}:{number} is no result: {error!r}.",
                    hint="Speak into another folder, or mend the line.",
                ) from error

    def is_spoken(self, name: str) -> bool:
        """Whether a row's file is there, as it was written."""
        line = self.lines.get(name, {})
        if line.get("status") != SPOKEN:
            return False
        file = self.folder / str(line["file"])
        return file.is_file() and sha256_file(file) == line["sha256"]

    def add(self, line: Mapping[str, Any]) -> None:
        """Keep what became of a row; until the first one the file stays as it is."""
        if self._file is None:
            write_text(self.path, self._text(self.lines))  # without a line that was cut off
            self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115, closed by finish
        self.lines[line["id"]] = dict(line)
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def finish(self, order: Sequence[str]) -> None:
        """Leave one line for each row, in the list's order; rows that are no longer in the list come last."""
        if self._file is None:
            return
        self._file.close()
        ordered = {name: self.lines[name] for name in order if name in self.lines}
        write_text(self.path, self._text(ordered | self.lines))  # a dictionary keeps the place of what it has

    @staticmethod
    def _text(lines: Mapping[str, Mapping[str, Any]]) -> str:
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines.values())
