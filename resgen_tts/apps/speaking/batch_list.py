"""The list of a batch: what is to be said in which voice, a line each, as a table or as JSON lines."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resgen_tts.apps.options import out_of_range
from resgen_tts.common.errors import DataError
from resgen_tts.speech.voice_facts import SUFFIX

NUMBERS: dict[str, type] = {"seed": int, "steps": int, "speed": float, "duration": float, "spread": float}
COLUMNS = ("id", "text", "voice", "ref_audio", "ref_text", *NUMBERS)
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")  # with an ending, the name of a file


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """One line of a list; what it leaves open is as the options say.

    Attributes:
        line: of the file, from 1.
        id: of the row, and the name of its file without the ending.
        voice: name of a voice, or the file of a saved one.
        ref_audio: reference recording. Names of files are relative to the list.
        error: what is wrong with its values; such a row cannot be spoken.
    """

    line: int
    id: str
    text: str
    voice: str | None = None
    ref_audio: Path | None = None
    ref_text: str | None = None
    seed: int | None = None
    steps: int | None = None
    speed: float | None = None
    duration: float | None = None
    spread: float | None = None
    error: DataError | None = None


def read_batch(path: Path) -> list[BatchRow]:
    """The rows of a list.

    A ``.tsv`` has a line with the names of its columns, which are of :data:`COLUMNS`; a cell is everything between two
    tabs, quotation marks included, and an empty one is left open. A ``.jsonl`` has an object of the same names a line.
    Rows without an id are numbered. A value that makes no sense is an error of its row alone.

    Raises:
        DataError: FILE_MISSING; DATA_INVALID where it is not known what the rows are: another kind of file, an unknown
            column, a line that is none, an id that is no plain name or stands twice, no row at all.
    """
    path = Path(path)
    readers = {".tsv": _table_rows, ".jsonl": _json_rows}
    if path.suffix.lower() not in readers:
        raise DataError(
            f"{path.name} is not a list: it ends in {path.suffix or 'nothing'}.", hint="Pass a .tsv or a .jsonl file."
        )
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(f"{path} is no file.", code="FILE_MISSING", hint="Check its name.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8: byte {error.start}.", hint="Save it as UTF-8.") from error
    lines = [(number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    rows: list[BatchRow] = []
    places: dict[str, int] = {}
    for number, cells in readers[path.suffix.lower()](path.name, lines):
        row = _row(number, cells, len(rows) + 1, path)
        if row.id in places:
            raise DataError(f"{path.name}:{number}: the id {row.id} stands in line {places[row.id]}, too.")
        places[row.id] = number
        rows.append(row)
    if not rows:
        raise DataError(f"{path.name} has no rows.", hint=f"Its columns are {', '.join(COLUMNS)}.")
    return rows


def _table_rows(name: str, lines: list[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    if not lines:
        return
    number, head = lines[0]
    columns = [column.strip() for column in head.split("\t")]
    _check_columns(name, number, columns)
    if len(set(columns)) < len(columns):
        raise DataError(f"{name}:{number}: a column stands twice.")
    for number, line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise DataError(
                f"{name}:{number}: {len(cells)} cells, and {len(columns)} columns.",
                hint="Put one tab between two cells, and none into a text; or write the list as .jsonl.",
            )
        yield number, {column: cell for column, cell in zip(columns, cells, strict=True) if cell != ""}


def _json_rows(name: str, lines: list[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines:
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{name}:{number}: not JSON: {error}.") from error
        if not isinstance(cells, dict):
            raise DataError(f"{name}:{number}: not an object, but {type(cells).__name__}.")
        _check_columns(name, number, [*cells, "text"])  # a row without a text is a fault of that row
        yield number, {column: cell for column, cell in cells.items() if cell is not None}


def _check_columns(name: str, number: int, columns: list[str]) -> None:
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown or "text" not in columns:
        wrong = f"no column is named {unknown[0]!r}" if unknown else "there is no column text"
        raise DataError(f"{name}:{number}: {wrong}.", hint=f"The columns are {', '.join(COLUMNS)}.")


def _row(number: int, cells: Mapping[str, Any], place: int, path: Path) -> BatchRow:
    """A row of its cells.

    Raises:
        DataError: its id is no plain name.
    """
    name = str(cells.get("id", f"{place:04d}"))
    if not _PLAIN.fullmatch(name):
        raise DataError(
            f"{path.name}:{number}: the id {name!r} cannot name a file.", hint="Use up to 100 of A-Z a-z 0-9 . - _"
        )
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for column, cell in cells.items():
        if column == "id":
            continue
        try:
            values[column] = _number(column, cell) if column in NUMBERS else _words(column, cell)
        except ValueError as error:
            wrong.append(str(error))
    for one, other in (("voice", "ref_audio"), ("speed", "duration")):
        if one in values and other in values:
            wrong.append(f"{one} and {other} exclude each other")
    if "ref_text" in values and "ref_audio" not in values:
        wrong.append("ref_text goes with ref_audio")
    if "ref_audio" in values:
        values["ref_audio"] = path.parent / values["ref_audio"]
    if str(values.get("voice", "")).endswith(SUFFIX):
        values["voice"] = str(path.parent / values["voice"])
    fault = DataError(f"{'; '.join(wrong)}.") if wrong else None
    return BatchRow(line=number, id=name, **{"text": "", **values}, error=fault)


def _words(column: str, cell: object) -> str:
    if not isinstance(cell, str):
        raise ValueError(f"{column} must be text, got {cell!r}")
    return cell


def _number(column: str, cell: object) -> float | int:
    kind = NUMBERS[column]
    try:
        if isinstance(cell, bool) or (kind is int and isinstance(cell, float)):
            raise ValueError
        value = kind(cell)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(f"{column} must be {wanted}, got {cell!r}") from error
    if wanted := out_of_range(column, value):
        raise ValueError(f"{column} must be {wanted}, got {cell!r}")
    return value
