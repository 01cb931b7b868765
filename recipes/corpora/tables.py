"""Tables that list recordings: TSV or CSV with a header, as people write them."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resgen_tts.common.errors import DataError

ALIASES = {
    "id": ("id", "utt", "utterance", "utt_id", "utterance_id"),
    "speaker": ("speaker", "spk", "speaker_id", "spk_id"),
    "file": ("file", "path", "audio", "wav", "flac", "opus", "filename", "audio_path"),
    "text": ("text", "transcript", "transcription", "sentence"),
}
PAIR_ALIASES = {
    "prompt": ("prompt", "prompt_utt", "prompt_id", "reference"),
    "target": ("target", "target_utt", "target_id"),
}
REQUIRED = ("id", "speaker", "file")
MAX_LISTED = 20  # columns in a message


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table, not yet checked against its file."""

    where: str  # folder, table and line, for messages
    id: str
    speaker: str
    file: str
    text: str
    fault: str = ""  # why its cells cannot be told apart; the other fields are empty then


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (line number, cells) of each row; empty lines are left out.

    Raises:
        DataError: the table is missing, empty, not UTF-8, or a quote in it is never closed.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.", code="TABLE_MISSING") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}", code="TABLE_UNREADABLE") from error
    lines = text.replace("\r\n", "\n").split("\n")  # and not at the other signs that splitlines() knows
    if not lines[0].strip():
        raise _no_header(path)
    delimiter = max("\t,;", key=lines[0].count)
    if delimiter == "\t":
        # A tab never stands inside a cell, so that a stray quote in a transcript cannot swallow the lines after it.
        rows = [(number, [_unquoted(cell) for cell in line.split("\t")]) for number, line in enumerate(lines, start=1)]
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            rows = [(reader.line_num, cells) for cells in reader]
        except csv.Error as error:
            raise DataError(f"{path.name}:{reader.line_num}: {error}", code="TABLE_UNREADABLE") from error
    rows = [(number, [cell.strip() for cell in cells]) for number, cells in rows if any(cell.strip() for cell in cells)]
    if not rows:  # nothing but delimiters
        raise _no_header(path)
    return rows[0][1], rows[1:]


def _no_header(path: Path) -> DataError:
    return DataError(f"{path} has no header line.", code="TABLE_EMPTY", hint="Name its columns: id speaker file text.")


def _unquoted(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _columns(path: Path, header: Sequence[str], aliases: dict[str, tuple[str, ...]], required: Sequence[str]) -> dict:
    """Position of each known column.

    Raises:
        DataError: a required column is missing, or two columns mean the same.
    """
    positions: dict[str, int] = {}
    names = [name.strip().lower() for name in header]
    for column, known in aliases.items():
        found = [names.index(alias) for alias in known if alias in names]
        if column == "file" and len(found) > 1 and "file" not in names:
            raise DataError(f"{path.name}: several columns could be the file: {_listed([names[i] for i in found])}.")
        if found:
            positions[column] = found[0]
        elif column in required:
            raise DataError(
                f"{path.name} has no column {column!r}; it has: {_listed(names)}.",
                code="TABLE_COLUMNS",
                hint=f"Name it {' or '.join(known[:3])}.",
            )
    return positions


def _listed(names: Sequence[str]) -> str:
    """Some column names in one printable line."""
    shown = [name if name.isprintable() else repr(name) for name in names[:MAX_LISTED]]
    return ", ".join(shown) + (f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else "")


def read_rows(path: Path) -> list[Row]:
    """All rows of a table of recordings, good and bad, in its order.

    Raises:
        DataError: the table as a whole cannot be used.
    """
    header, rows = _cells(path)
    columns = _columns(path, header, ALIASES, REQUIRED)
    result = []
    for number, cells in rows:
        where = f"{path.parent.name}/{path.name}:{number}"
        # Editors drop empty cells at the end of a line; any other count means that the columns have slipped.
        if len(cells) > len(header) or len(cells) <= max(columns[name] for name in REQUIRED):
            fault = f"{len(cells)} cells where the header has {len(header)}"
            result.append(Row(where=where, id="", speaker="", file="", text="", fault=fault))
            continue
        cells = cells + [""] * (len(header) - len(cells))
        values = {name: cells[position] for name, position in columns.items()}
        values["text"] = " ".join(values.get("text", "").split())
        result.append(Row(where=where, **values))
    return result


def is_recording_table(path: Path) -> bool:
    """True when the header has the columns of a table of recordings."""
    try:
        _columns(path, _cells(path)[0], ALIASES, REQUIRED)
    except DataError:
        return False
    return True


def read_pairs(path: Path) -> list[tuple[str, str, str]]:
    """(where, prompt id, target id) of each row of a table of pairs.

    Raises:
        DataError: the table cannot be used, or a row lacks one of the two.
    """
    header, rows = _cells(path)
    columns = _columns(path, header, PAIR_ALIASES, tuple(PAIR_ALIASES))
    pairs = []
    for number, cells in rows:
        try:
            prompt, target = cells[columns["prompt"]], cells[columns["target"]]
        except IndexError as error:
            raise DataError(f"{path.name}:{number}: too few cells.", code="PAIRS_INVALID") from error
        pairs.append((f"{path.name}:{number}", prompt, target))
    return pairs
