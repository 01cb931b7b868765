"""Rows of a user's tables: which are fit to be read, and who is heard in training, validation and test."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipes.corpora.manifests import ID_PATTERN, Skipped
from recipes.corpora.tables import Row, read_rows
from resgen_tts.common.errors import DataError

TEST_SPEAKER_SHARE = 20  # one speaker in so many is for test where nobody says which
MAX_TEST_SPEAKERS = 10


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A row whose cells are fit; its audio has not been looked at."""

    where: str
    id: str
    speaker: str
    text: str
    source: Path
    folder: str  # of its table, from the root on
    is_test: bool  # from a table for test


@dataclass(frozen=True, kw_only=True)
class Collected:
    """All rows of all tables."""

    listed: list[Listed]
    bad: list[Skipped]
    rows_by_table: dict[Path, int]

    @property
    def ids(self) -> set[str]:
        """Every id that a table has, good or bad."""
        return {row.id for row in self.listed} | {item.item for item in self.bad}


def file_state(path: Path) -> tuple[int, int] | None:
    """Size and modification time in ns; None where there is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def collect(train_tables: Sequence[Path], test_tables: Sequence[Path], root: Path) -> Collected:
    """Read all tables and check the cells of every row.

    Args:
        train_tables, test_tables: each read once, in this order; the first row with an id keeps it.
        root: paths that do not start at their table's folder start here.
    Raises:
        DataError: a table as a whole cannot be used.
    """
    listed: list[Listed] = []
    bad: list[Skipped] = []
    counts: dict[Path, int] = {}
    first_with: dict[str, str] = {}
    for table in [*train_tables, *test_tables]:
        rows = read_rows(table)
        folder = os.path.relpath(table.parent, root).replace(os.sep, "-")
        counts[table] = len(rows)
        for row in rows:
            fault, detail, source = _fault(row, table, root)
            if not fault and row.id in first_with:
                fault, detail = "DUPLICATE_ID", f"the id is that of {first_with[row.id]}"
            if fault:
                bad.append(Skipped(item=row.id or row.where, reason=fault, detail=f"{row.where}: {detail}"))
                continue
            first_with[row.id] = row.where
            listed.append(
                Listed(
                    where=row.where,
                    id=row.id,
                    speaker=row.speaker,
                    text=row.text,
                    source=source,
                    folder=folder,
                    is_test=table in test_tables,
                )
            )
    return Collected(listed=_told_apart(listed), bad=bad, rows_by_table=counts)


def _fault(row: Row, table: Path, root: Path) -> tuple[str, str, Path]:
    """(reason, detail, file); the reason is empty for a row that is fit."""
    nowhere = Path()
    if row.fault:
        return "ROW_COLUMNS", row.fault, nowhere
    if not ID_PATTERN.fullmatch(row.id):
        return "BAD_ID", f"id {row.id!r} does not match {ID_PATTERN.pattern}", nowhere
    if not row.speaker or not row.speaker.isprintable() or len(row.speaker) > 128:
        return "BAD_SPEAKER", f"speaker {row.speaker!r}", nowhere
    if not row.file or "\0" in row.file:
        return "BAD_PATH", f"file {row.file!r}", nowhere
    return _locate(row.file, table.parent, root)


def _locate(file: str, *roots: Path) -> tuple[str, str, Path]:
    """Find a file from several folders on; one that lies outside of them all, links followed, is not taken."""
    inside = [folder / file for folder in roots if (folder / file).resolve().is_relative_to(folder.resolve())]
    if not inside:
        return "PATH_OUTSIDE", f"{file!r} leaves the folder of the corpus", Path()
    return "", "", next((path for path in inside if path.exists()), inside[0])


def _told_apart(listed: list[Listed]) -> list[Listed]:
    """One speaker name in the training tables of several folders is several people: name them by their folder too.

    Test rows keep their names, so that a speaker heard in training is still found out by name.
    """
    folders: dict[str, set[str]] = {}
    for row in listed:
        if not row.is_test:
            folders.setdefault(row.speaker, set()).add(row.folder)
    return [
        replace(row, speaker=f"{row.speaker}@{row.folder}")
        if not row.is_test and len(folders[row.speaker]) > 1
        else row
        for row in listed
    ]


def _rank(name: str) -> str:
    """An order that looks random and depends on the name alone: adding rows does not shuffle the others."""
    return hashlib.sha256(name.encode()).hexdigest()


def split_speakers(
    listed: Sequence[Listed],
    *,
    test_speakers: Sequence[str],
    dev_fraction: float,
    max_utterances: int,
    wanted_in_test: Sequence[str],
) -> dict[str, list[Listed]]:
    """Decide who is heard where.

    Args:
        test_speakers: names for test, beside the speakers of the test tables; where there are neither, a twentieth of
            the speakers with two transcribed recordings is taken, at least one and at most ten.
        dev_fraction: share of the other utterances for validation, of training's speakers.
        max_utterances: so many for train and dev, a quarter for test; 0: all.
        wanted_in_test: ids that come first where test is cut down.
    Raises:
        DataError: a named speaker is not in the tables, or there are not two speakers.
    """
    present = Counter(row.speaker for row in listed)
    absent = [name for name in test_speakers if name not in present]
    if absent:
        raise DataError(f"no row has the test speaker {absent[0]!r}.", code="SPEAKER_MISSING")
    chosen = set(test_speakers)
    if not chosen and not any(row.is_test for row in listed):
        chosen = _choose_test_speakers(listed, len(present))
    test = [row for row in listed if row.is_test or row.speaker in chosen]
    rest = [row for row in listed if not row.is_test and row.speaker not in chosen]
    if max_utterances:
        rest = _first(rest, max_utterances, [])
        test = _first(test, max(8, max_utterances // 4), wanted_in_test)
    num_dev = min(len(rest) - 1, max(1, round(dev_fraction * len(rest))))
    dev_ids = {row.id for row in sorted(rest, key=lambda row: _rank(f"dev {row.id}"))[: max(0, num_dev)]}
    return {
        "train": [row for row in rest if row.id not in dev_ids],
        "dev": [row for row in rest if row.id in dev_ids],
        "test": test,
    }


def _choose_test_speakers(listed: Sequence[Listed], num_speakers: int) -> set[str]:
    spoken = Counter(row.speaker for row in listed if row.text)
    able = sorted((name for name, count in spoken.items() if count >= 2), key=_rank)
    if num_speakers < 2 or not able:
        raise DataError(
            f"{num_speakers} speakers, {len(able)} of them with two transcribed recordings: one of those is needed for "
            "test, and another speaker for training.",
            code="TOO_FEW_SPEAKERS",
            hint="Add a speaker, or a table for test with --test_list.",
        )
    return set(able[: max(1, min(num_speakers // TEST_SPEAKER_SHARE, MAX_TEST_SPEAKERS))])


def _first(rows: Sequence[Listed], count: int, wanted: Sequence[str]) -> list[Listed]:
    """`count` rows in their order: the wanted ids, then every speaker's first by rank, every speaker's second ..."""
    order = {name: place for place, name in reversed(list(enumerate(wanted)))}
    turn: Counter = Counter()
    keys = {}
    for row in sorted(rows, key=lambda row: _rank(row.id)):
        keys[row.id] = (order.get(row.id, len(order)), turn[row.speaker], _rank(row.speaker))
        turn[row.speaker] += 1
    taken = set(sorted(keys, key=keys.__getitem__)[:count])
    return [row for row in rows if row.id in taken]
