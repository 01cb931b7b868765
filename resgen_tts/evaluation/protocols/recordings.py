"""The recordings of an evaluation set: a table with their files, or a folder of sound files."""

import csv
from dataclasses import dataclass
from pathlib import Path

from resgen_tts.common.errors import DataError

COLUMNS = {
    "id": ("id", "utt", "utterance"),
    "file": ("file", "path", "audio", "wav", "flac"),
    "speaker": ("speaker", "spk"),
    "text": ("text", "transcript"),
}
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording of the set."""

    id: str  # plain: it names files
    file: Path
    speaker: str = ""
    text: str = ""  # what is said; empty where it is not known


def read_recordings(table: Path) -> list[Recording]:
    """Read a tab-separated table with a header; its files are relative to its folder.

    An id and a file are needed, a speaker and a text are not. The columns' names are those of ``COLUMNS``, the first
    one found of each; others are ignored.

    Raises:
        DataError: the table is missing or has no rows, a needed column is missing, a cell is empty, or an id is
            repeated or is no plain name (its line is named).
    """
    table = Path(table)
    if not table.is_file():
        raise DataError(f"{table} does not exist.", code="FILE_MISSING")
    found: dict[str, Recording] = {}
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = rows.fieldnames or ()
        columns = {kind: next((name for name in names if name in header), None) for kind, names in COLUMNS.items()}
        for kind in ("id", "file"):
            if columns[kind] is None:
                raise DataError(f"{table.name} has no column for the {kind}: one of {', '.join(COLUMNS[kind])}.")
        for row in rows:
            where = f"{table.name}:{rows.line_num}"
            cells = {kind: (row.get(name) or "").strip() if name else "" for kind, name in columns.items()}
            if not cells["file"]:
                raise DataError(f"{where}: the file is empty.")
            _add(found, Recording(**(cells | {"file": table.parent / cells["file"]})), where)
    if not found:
        raise DataError(f"{table} lists no recordings.")
    return list(found.values())


def find_recordings(folder: Path) -> list[Recording]:
    """All sound files under a folder in the order of their names; the id is the path without its ending.

    Raises:
        DataError: the folder is missing or holds no sound file, or two files would share an id.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.", code="FILE_MISSING")
    found: dict[str, Recording] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        name = "-".join(path.relative_to(folder).with_suffix("").parts)
        _add(found, Recording(id=name, file=path), str(path.relative_to(folder)))
    if not found:
        raise DataError(f"{folder} holds no sound files ({', '.join(SUFFIXES)}).")
    return list(found.values())


def _add(found: dict[str, Recording], recording: Recording, where: str) -> None:
    name = recording.id
    if not name or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise DataError(f"{where}: the id {name!r} cannot name a file.")
    if name in found:
        raise DataError(f"{where}: the id {name!r} is there twice; {found[name].file} has it too.")
    found[name] = recording
