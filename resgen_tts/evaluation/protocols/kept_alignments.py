"""Alignments that outlive a build that was stopped: they are most of its time, and the next build uses them again."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.evaluation.measures.timed import Aligner, Forced, Timed

CHUNK = 64  # recordings aligned between two writes


class KeptAlignments:
    """An aligner that writes down what it found, and looks there before it listens.

    The key is the aligner's name, the recording's SHA-256 and the text, so that one file serves builds of any cut.

    Args:
        path: lines of JSON; a last line that was torn off by a kill is dropped.
    Raises:
        DataError: another line of the file is not what was written.
    """

    def __init__(self, aligner: Aligner, path: Path):
        self.aligner, self.path = aligner, Path(path)
        self._known = self._read()

    @property
    def name(self) -> str:
        """The aligner's."""
        return self.aligner.name

    def align(self, paths: Sequence[Path], texts: Sequence[str]) -> list[Forced]:
        """Times of each recording's words, in the order of the paths.

        Raises:
            What the aligner raises.
        """
        keys = [(self.name, sha256_file(Path(path)), text) for path, text in zip(paths, texts, strict=True)]
        new = {key: path for key, path in zip(keys, paths, strict=True) if key not in self._known}
        wanted = list(new)
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            found = self.aligner.align([new[key] for key in chunk], [text for _, _, text in chunk])
            self._keep(dict(zip(chunk, found, strict=True)))
        return [self._known[key] for key in keys]

    def _keep(self, found: Mapping[tuple[str, str, str], Forced]) -> None:
        self._known |= found
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            for (name, sha256, text), one in found.items():
                row = {"aligner": name, "sha256": sha256, "text": text, **_plain(one)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> dict[tuple[str, str, str], Forced]:
        if not self.path.is_file():
            return {}
        whole, _, torn = self.path.read_bytes().rpartition(b"\n")
        if torn:
            with open(self.path, "r+b") as file:  # else the next line would be joined to it
                file.truncate(len(whole) + 1 if whole else 0)
        known = {}
        for number, line in enumerate(whole.decode("utf-8", errors="replace").split("\n") if whole else [], start=1):
            try:
                row = json.loads(line)
                timed = None if row["words"] is None else Timed.from_json(row)
                key = str(row["aligner"]), str(row["sha256"]), str(row["text"])
                known[key] = Forced(timed=timed, problem=row["problem"], notes=tuple(row["notes"]))
            except (ValueError, KeyError, TypeError, DataError) as error:
                raise DataError(
                    f"{self.path}:{number} is no alignment: {error!r}.", hint="Remove the file; all is aligned anew."
                ) from error
        return known


def _plain(one: Forced) -> dict[str, Any]:
    """Times with all their digits: a set that was stopped has the samples of one that was not."""
    timed = one.timed
    spans = {
        name: None if timed is None else [[span.label, span.start, span.end] for span in getattr(timed, name)]
        for name in ("words", "phones")
    }
    return {**spans, "problem": one.problem, "notes": list(one.notes)}
