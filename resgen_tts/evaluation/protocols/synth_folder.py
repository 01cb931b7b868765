"""The folder of outputs that a synthesizer leaves for scoring.

A synth folder holds ``requests.jsonl`` (one `SynthItem` a line), ``run.json`` (command, commit, seed, hardware, model,
...) and the waves; every path in it is relative to the folder and stays inside it. Items that nobody has recorded (see
`evaluation.protocols.item_list`) have the system clone alone.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.common.listing import some
from resgen_tts.common.run_dir import read_json, read_jsonl, write_json, write_text

REQUESTS_FILE = "requests.jsonl"
RUN_FILE = "run.json"
RECORDING = "recording"  # the target as a human said it
COPY = "copy"  # the recording through tokenizer and vocoder: what the generator could reach at best
CLONE = "clone"  # the text in the prompt's voice
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, kw_only=True)
class SynthItem:
    """One line of ``requests.jsonl``."""

    id: str
    speaker: str
    target_id: str
    prompt_id: str
    text: str
    prompt_text: str
    systems: Mapping[str, str]  # system -> its wave; "recording" is missing where nobody has said the text
    prompt: str
    prompt_copy: str | None = None  # the prompt through tokenizer and vocoder
    seconds_of_audio: float  # of the clone
    seconds_to_generate: float  # wall time from text and prompt to the clone's wave
    seed: int
    warnings: Sequence[str] = ()
    trial: int = 0
    # Every output begins with this much of the prompt: kept for the words, cut off before voice prints.
    continued_seconds: float = 0.0
    reference: str | None = None  # the uncut utterance that the prompt is from: what recordings are compared with

    def paths(self) -> list[str]:
        """Every wave of the item, relative to the folder."""
        return [*self.systems.values(), self.prompt, *filter(None, (self.prompt_copy, self.reference))]


@dataclass(frozen=True, kw_only=True)
class SynthFolder:
    """A synth folder that was read and found whole."""

    root: Path
    items: Sequence[SynthItem]
    systems: Sequence[str]  # recording, copy, clone first, then others by name
    run: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)  # of the item set, where the items are one's
    places: Mapping[str, Path] = field(default_factory=dict)  # waves that lie elsewhere, by their relative path

    def wave(self, relative: str) -> Path:
        """The file of a wave."""
        return self.places.get(relative, self.root / relative)


def write_synth(folder: Path, items: Iterable[SynthItem], run: Mapping[str, Any]) -> None:
    """Write ``requests.jsonl`` and ``run.json`` beside waves that are there already; ``run.json`` comes last."""
    lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items]
    write_text(Path(folder) / REQUESTS_FILE, "".join(lines))
    write_json(Path(folder) / RUN_FILE, dict(run))


def read_synth(folder: Path) -> SynthFolder:
    """Read a synth folder and make sure that it is whole.

    Raises:
        DataError: no items, a malformed line, a repeated id, a path that leaves the folder, items with different
            systems, or missing waves (counted, the first ones named).
    """
    folder = Path(folder)
    if not (folder / REQUESTS_FILE).is_file():
        raise DataError(
            f"{folder / REQUESTS_FILE} does not exist.",
            code="FILE_MISSING",
            hint="Give the folder that resgen-tts synthesize-list wrote with --output, and let that finish.",
        )
    rows = read_jsonl(folder / REQUESTS_FILE)
    if not rows:
        raise DataError(f"{folder / REQUESTS_FILE} lists no items.", hint="Run the stage 'synthesize' again.")
    items = [_synth_item(row, f"{REQUESTS_FILE}:{number}") for number, row in enumerate(rows, start=1)]
    refuse_repeats([item.id for item in items], REQUESTS_FILE)
    names = set(items[0].systems)
    uneven = [item.id for item in items if set(item.systems) != names]
    if uneven:
        raise DataError(f"{len(uneven)} of {len(items)} items lack a system that others have: {some(uneven)}.")
    if RECORDING not in names and (COPY in names or CLONE not in names):
        raise DataError(f"{REQUESTS_FILE}: the items have no system {RECORDING!r}, which the others are compared with.")
    missing = [path for item in items for path in item.paths() if not (folder / path).is_file()]
    if missing:
        wanted = sum(len(item.paths()) for item in items)
        raise DataError(
            f"{folder}: {len(missing)} of {wanted} waves are missing: {some(missing)}.",
            code="WAVES_MISSING",
            hint="Run the stage 'synthesize' again.",
        )
    first = [name for name in (RECORDING, COPY, CLONE) if name in names]
    run = read_json(folder / RUN_FILE)
    return SynthFolder(
        root=folder,
        items=items,
        systems=[*first, *sorted(names - set(first))],
        run=run,
        protocol=run.get("protocol") or {},
    )


def _synth_item(row: Any, where: str) -> SynthItem:
    if not isinstance(row, dict):
        raise DataError(f"{where}: not an object.")
    known = {entry.name for entry in fields(SynthItem)}  # a request log may carry more than scoring needs
    try:
        item = SynthItem(**{name: value for name, value in row.items() if name in known})
    except TypeError as error:
        raise DataError(f"{where}: {str(error).replace('SynthItem.__init__() ', '')}.") from error
    plain_id(item.id, where)
    if not isinstance(item.systems, dict):
        raise DataError(f"{where}: systems must map names to waves.")
    for name in item.systems:
        plain_id(name, where)
    for path in item.paths():
        inside(path, where)
    return item


def plain_id(name: Any, where: str) -> str:
    if not isinstance(name, str) or not _ID.fullmatch(name) or name in {".", ".."}:
        raise DataError(f"{where}: id {name!r} is not plain; ids match {_ID.pattern}.")
    return name


def inside(path: Any, where: str) -> str:
    if not isinstance(path, str) or not path:
        raise DataError(f"{where}: {path!r} is not a path.")
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise DataError(f"{where}: path {path!r} leaves the folder; paths are relative to it.", code="PATH_OUTSIDE")
    return path


def refuse_without_letters(text: str, where: str) -> None:
    """Nothing can be heard wrongly in a text without letters: no error of words can be counted against it.

    Raises:
        DataError: TEXT_EMPTY.
    """
    if not any(letter.isalpha() for letter in text):
        raise DataError(
            f"{where}: {text[:60]!r} holds no letters.", code="TEXT_EMPTY", hint="Spell numbers and signs out as words."
        )


def refuse_repeats(ids: Sequence[str], where: str) -> None:
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise DataError(f"{where}: {len(repeated)} ids appear twice: {some(repeated)}.")
