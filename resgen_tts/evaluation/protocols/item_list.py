"""Items without a recording: a table of what is to be said in the voice of which reference.

The columns are ``audio`` (a reference, relative to the table), ``text`` (what is said there) and ``target`` (what is to
be said); ``id``, ``speaker`` and ``recording`` (the target as a human said it, relative to the table) may stand beside
them. Without the first two items are numbered, and every reference is a speaker of its own; a recording may be left
out, too.
"""

import csv
import hashlib
import math
import os
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.run_dir import sha256_file, write_text
from resgen_tts.evaluation.protocols.pairs import EvaluationItem

COLUMNS = ("audio", "text", "target")
ALL_COLUMNS = ("id", "speaker", *COLUMNS)
PROMPT_COLUMNS = ("speaker", "audio", "text")
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A reference recording."""

    speaker: str
    audio: Path
    text: str  # what is said in it

    @property
    def id(self) -> str:
        """A plain name, the same on every machine: the file's own, and enough of its bytes' hash that two recordings
        have two names."""
        if self.audio.is_file():
            return f"{self.stem}-{sha256_file(self.audio)[:6]}"
        return f"{self.stem}-{hashlib.sha256(os.fsencode(self.audio.resolve())).hexdigest()[:6]}"  # fails when read

    @property
    def stem(self) -> str:
        """The file's name without its kind, in plain letters."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", self.audio.stem)[:80]


@dataclass(frozen=True, kw_only=True)
class ListItem:
    """A reference, what is said in it, and what is to be said."""

    id: str
    speaker: str
    audio: Path
    text: str
    target: str
    recording: Path | None = None  # of the target; None where nobody has said it

    @property
    def prompt(self) -> Prompt:
        """The reference alone."""
        return Prompt(speaker=self.speaker, audio=self.audio, text=self.text)


def read_list(table: Path) -> list[ListItem]:
    """Items of a tab-separated table.

    Raises:
        DataError: the table cannot be read, a column is missing, a cell is empty, an id is not plain or stands twice,
            or there is no item.
    """
    table = Path(table)
    items = []
    for number, row in enumerate(_rows(table, COLUMNS), start=1):
        name = (row.get("id") or "").strip() or f"{number:04d}"
        if not _PLAIN.fullmatch(name) or name in {".", ".."}:
            raise DataError(f"{table.name}:{number + 1}: id {name!r} is not plain; ids match {_PLAIN.pattern}.")
        audio = table.parent / row["audio"]
        speaker = (row.get("speaker") or "").strip() or Prompt(speaker="", audio=audio, text="").id
        said = (row.get("recording") or "").strip()
        items.append(
            ListItem(
                id=name, speaker=speaker, audio=audio, text=row["text"], target=row["target"],
                recording=table.parent / said if said else None,
            )
        )  # fmt: skip
    if not items:
        raise DataError(f"{table} lists no item.", code="MANIFEST_EMPTY")
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if twice:
        raise DataError(f"{table.name}: {len(twice)} ids stand twice, the first is {twice[0]}.", code="DUPLICATE_ID")
    return items


def read_prompts(table: Path) -> list[Prompt]:
    """References of a table with the columns speaker, audio (relative to the table) and text; others are not read.

    Raises:
        DataError: the table cannot be read, a column is missing, a cell is empty, or there is no reference.
    """
    table = Path(table)
    prompts = [
        Prompt(speaker=row["speaker"], audio=table.parent / row["audio"], text=row["text"])
        for row in _rows(table, PROMPT_COLUMNS)
    ]
    if not prompts:
        raise DataError(f"{table} lists no reference.", code="MANIFEST_EMPTY")
    return prompts


def as_list(items: Sequence[EvaluationItem]) -> list[ListItem]:
    """The pairs of a prepared corpus without their recordings."""
    return [
        ListItem(
            id=item.id, speaker=item.speaker, audio=item.prompt_audio, text=item.prompt_text, target=item.text
        )
        for item in items
    ]  # fmt: skip


def first_prompts(items: Sequence[EvaluationItem]) -> list[Prompt]:
    """One reference a speaker: the first one of the pairs of a prepared corpus."""
    found: dict[str, Prompt] = {}
    for item in items:
        found.setdefault(
            item.speaker, Prompt(speaker=item.speaker, audio=item.prompt_audio, text=item.prompt_text)
        )  # fmt: skip
    return list(found.values())


def cross(prompts: Sequence[Prompt], texts: Sequence[str], *, num_items: int | None, seed: int) -> list[ListItem]:
    """Texts crossed with references, in an order whose every beginning is balanced.

    Item k takes text ``k mod T`` and reference ``(k + k div lcm(T, P)) mod P``: by the Chinese remainder theorem each
    of the T P combinations comes exactly once, and after any number of items no text, and no reference, has come more
    than once more often than another.

    Args:
        prompts: the references, shuffled by the seed.
        texts: what is to be said, shuffled by the seed; ids keep the number of a text in the order given.
        num_items: how many; None is all.
    Raises:
        ConfigError: there is nothing to cross, or fewer combinations than wanted.
    """
    if not prompts or not texts:
        raise ConfigError(f"nothing to cross: {len(prompts)} references and {len(texts)} texts")
    total = len(prompts) * len(texts)
    wanted = total if num_items is None else num_items
    if not 1 <= wanted <= total:
        raise ConfigError(f"{len(texts)} texts x {len(prompts)} references are {total} items; {wanted} were asked for")
    rng = random.Random(seed)
    numbered = rng.sample(list(enumerate(texts)), len(texts))
    shuffled = rng.sample(list(prompts), len(prompts))
    names = {prompt: prompt.stem for prompt in prompts}  # no hash of a path: an id is the same on every machine
    if len(set(names.values())) < len(prompts):
        names = {prompt: f"p{place:03d}-{prompt.stem}" for place, prompt in enumerate(prompts)}
    period = math.lcm(len(texts), len(prompts))
    items = []
    for place in range(wanted):
        number, text = numbered[place % len(texts)]
        prompt = shuffled[(place + place // period) % len(prompts)]
        items.append(
            ListItem(
                id=f"t{number:03d}--{names[prompt]}", speaker=prompt.speaker, audio=prompt.audio, text=prompt.text,
                target=text,
            )
        )  # fmt: skip
    return items


def write_list(table: Path, items: Sequence[ListItem]) -> None:
    """Write a table that `read_list` reads; audio is given relative to it.

    Raises:
        DataError: a cell holds a tab or a line break.
    """
    root, has_recordings = Path(table).resolve().parent, any(item.recording is not None for item in items)
    lines = ["\t".join(ALL_COLUMNS + (("recording",) if has_recordings else ()))]
    for item in items:
        cells = (item.id, item.speaker, os.path.relpath(Path(item.audio).resolve(), root), item.text, item.target)
        if has_recordings:
            cells += ("" if item.recording is None else os.path.relpath(Path(item.recording).resolve(), root),)
        unfit = [cell for cell in cells if re.search(r"[\t\r\n]", cell)]
        if unfit:
            raise DataError(f"item {item.id}: {unfit[0]!r} holds a tab or a line break; a table cannot keep it.")
        lines.append("\t".join(cells))
    write_text(table, "\n".join(lines) + "\n")


def _rows(table: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    if not table.is_file():
        raise DataError(f"{table} does not exist.", code="FILE_MISSING")
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table.name} cannot be read as UTF-8 text: {error}", code="TABLE_UNREADABLE") from error
    for number, row in enumerate(rows, start=2):
        empty = [name for name in columns if not (row.get(name) or "").strip()]
        if empty:
            raise DataError(f"{table.name}:{number}: nothing in {', '.join(empty)}; the columns are {tuple(columns)}.")
        if any("\0" in cell for cell in row.values() if isinstance(cell, str)):
            raise DataError(f"{table.name}:{number}: a cell holds the character NUL, which no name of a file has.")
    return rows
