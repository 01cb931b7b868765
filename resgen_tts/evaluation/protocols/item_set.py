"""Item sets: what every system has to say under a protocol, saved as files, so that all are given the same samples.

A set is a folder with ``items.jsonl`` (one `ProtocolItem` a line), ``protocol.json`` (how it was built), the waves of
``prompt/``, ``recording/`` and ``reference/``, beside each wave ``NAME.txt`` with what is said in it, and
``files.sha256``, the hash of each of these files in the form that ``sha256sum --check`` reads. The hash of that list is
the hash of the set. Trials of one target share its recording; prompts of the same samples are one file.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.common.listing import some
from resgen_tts.common.run_dir import read_json, read_jsonl, sha256_file, staged_folder, write_json, write_text
from resgen_tts.evaluation.protocols.synth_folder import inside, plain_id, refuse_repeats
from resgen_tts.evaluation.waves import wave_seconds

ITEMS_FILE, FACTS_FILE, HASHES_FILE = "items.jsonl", "protocol.json", "files.sha256"
PROMPT, RECORDING, REFERENCE = "prompt", "recording", "reference"  # folders of the waves


@dataclass(frozen=True, kw_only=True)
class ProtocolItem:
    """One line of ``items.jsonl``. Paths are relative to the set's folder."""

    id: str
    trial: int = 0
    speaker: str
    target_id: str
    prompt_id: str  # names the prompt's samples: equal for two items exactly where they share a prompt
    text: str  # what the whole output says: word errors are counted against it
    say: str  # what a system says behind the prompt; differs from `text` in a continuation alone
    prompt_text: str  # words inside the prompt as it is cut
    prompt: str
    prompt_seconds: float
    recording: str | None = None  # the target as a human said it; None where nobody has
    recording_seconds: float | None = None
    reference: str | None = None  # the uncut utterance that the prompt is from; None where the prompt is not cut,
    # and in a continuation, whose prompt is from the recording itself
    continues: bool = False  # outputs begin with the prompt's samples

    def paths(self) -> list[str]:
        """Every wave of the item."""
        return [self.prompt, *filter(None, (self.recording, self.reference))]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A sound file, or its samples [start, stop), on the way into a set."""

    source: Path
    name: str  # plain: it names the file of the set
    text: str  # what is said in it
    start: int = 0
    stop: int | None = None  # None: the whole file, which is copied byte for byte

    @property
    def suffix(self) -> str:
        """What is cut is written as WAV, with the samples that it had."""
        return self.source.suffix.lower() if self.stop is None else ".wav"


@dataclass(frozen=True, kw_only=True)
class PlannedItem:
    """An item whose waves are not in a set yet."""

    id: str
    trial: int = 0
    speaker: str
    target_id: str
    text: str
    say: str
    prompt: Clip
    recording: Clip | None = None
    reference: Clip | None = None
    continues: bool = False

    def clips(self) -> list[tuple[str, Clip]]:
        """Folder and clip of each wave."""
        named = ((PROMPT, self.prompt), (RECORDING, self.recording), (REFERENCE, self.reference))
        return [(kind, clip) for kind, clip in named if clip is not None]


@dataclass(frozen=True, kw_only=True)
class ItemSet:
    """A set that was read and found whole."""

    root: Path
    items: Sequence[ProtocolItem]
    facts: Mapping[str, Any] = field(default_factory=dict)  # of protocol.json

    @property
    def sha256(self) -> str:
        """Hash of all files of the set, how it was built left aside."""
        return str(self.facts["set_sha256"])

    def file(self, relative: str) -> Path:
        """A wave of the set."""
        return self.root / relative


def write_item_set(folder: Path, planned: Sequence[PlannedItem], facts: Mapping[str, Any]) -> ItemSet:
    """Write a set, whole or not at all.

    Args:
        facts: of ``protocol.json``; the number of items, of speakers and of reference words, and the hash, are added.
    Raises:
        ConfigError: OUTPUT_EXISTS, there is something in the folder.
        DataError: no items; ids that are not plain or stand twice; nothing to say; one name for different clips;
            recordings of some items alone; words of a continuation that are not those of its text.
        AudioError: a source is missing or cannot be read, or does not have the wanted samples.
    """
    folder = Path(folder)
    refuse_existing(folder)
    if not planned:
        raise DataError("there is no item to write.", code="MANIFEST_EMPTY")
    with staged_folder(folder) as staged:
        placed = _place_clips(staged, planned)
        items = [_with_paths(one, placed) for one in planned]
        _check(items, ITEMS_FILE)
        lines = (json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items)
        write_text(staged / ITEMS_FILE, "".join(lines))
        listed = sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())
        hashes = "".join(f"{sha256_file(staged / path)}  {path}\n" for path in listed)
        write_text(staged / HASHES_FILE, hashes)
        counted = {
            "items": len(items),
            "speakers": len({item.speaker for item in items}),
            "reference_words": sum(len(item.text.split()) for item in items),
            "set_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
        }
        write_json(staged / FACTS_FILE, {**facts, **counted})
    return read_item_set(folder)


def refuse_existing(folder: Path) -> None:
    """Refuse a place where a set would lie on something.

    Raises:
        ConfigError: OUTPUT_EXISTS, there is something in the folder.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ConfigError(f"{folder} exists.", code="OUTPUT_EXISTS", hint="Remove it, or write to another folder.")


def read_item_set(folder: Path) -> ItemSet:
    """Read a set and make sure that it is whole and unchanged.

    Raises:
        DataError: the folder holds no set; a malformed line; an id that is not plain or stands twice; a path that
            leaves the folder; WAVES_MISSING (counted, the first ones named), SET_CHANGED (likewise).
    """
    folder = Path(folder)
    if not (folder / ITEMS_FILE).is_file():
        raise DataError(
            f"{folder} holds no {ITEMS_FILE}.", code="FILE_MISSING", hint="Build a set with: resgen-tts protocol."
        )
    rows = read_jsonl(folder / ITEMS_FILE)
    if not rows:
        raise DataError(f"{folder / ITEMS_FILE} lists no items.", code="MANIFEST_EMPTY")
    items = [_item(row, f"{ITEMS_FILE}:{number}") for number, row in enumerate(rows, start=1)]
    _check(items, ITEMS_FILE)
    wanted = list(dict.fromkeys(path for item in items for path in item.paths()))
    missing = [path for path in wanted if not (folder / path).is_file()]
    if missing:
        raise DataError(
            f"{folder}: {len(missing)} of {len(wanted)} waves are missing: {some(missing)}.",
            code="WAVES_MISSING",
            hint="Build the set again.",
        )
    facts = read_json(folder / FACTS_FILE)
    _check_hashes(folder, [ITEMS_FILE, *wanted], facts)
    return ItemSet(root=folder, items=items, facts=facts)


def _place_clips(staged: Path, planned: Sequence[PlannedItem]) -> dict[tuple[str, str], tuple[str, float]]:
    """Write the waves and their texts; folder and name of each clip -> its relative path and length in seconds."""
    clips: dict[tuple[str, str], Clip] = {}
    for item in planned:
        for kind, clip in item.clips():
            plain_id(clip.name, f"{item.id}: {kind}")
            if clips.setdefault((kind, clip.name), clip) != clip:
                raise DataError(f"{kind}/{clip.name} would be two different clips.", code="DUPLICATE_ID")
    placed = {}
    for (kind, name), clip in clips.items():
        relative = f"{kind}/{name}{clip.suffix}"
        target = staged / relative
        target.parent.mkdir(exist_ok=True)
        seconds = wave_seconds(clip.source)  # and it is there, and is audio
        if clip.stop is None:
            shutil.copyfile(clip.source, target)
        else:
            write_cut(target, clip.source, clip.start, clip.stop)
            seconds = wave_seconds(target)
        target.with_suffix(".txt").write_text(clip.text + "\n", encoding="utf-8")
        placed[kind, name] = relative, seconds
    return placed


def write_cut(path: Path, source: Path, start: int, stop: int) -> None:
    """Write samples [start, stop) of a sound file as WAV, each with the value that it has there.

    Raises:
        AudioError: the file does not have these samples.
    """
    import soundfile

    header = soundfile.info(str(source))
    if not 0 <= start < stop <= header.frames:
        raise AudioError(f"{source} has {header.frames} samples; [{start}, {stop}) is wanted.", code="AUDIO_TOO_SHORT")
    # 16 bits stay 16 bits; the 24 of others fit a float.
    dtype, subtype = ("int16", "PCM_16") if header.subtype == "PCM_16" else ("float32", "FLOAT")
    samples, rate = soundfile.read(str(source), start=start, stop=stop, dtype=dtype)
    soundfile.write(str(path), samples, rate, subtype=subtype, format="WAV")


def _with_paths(planned: PlannedItem, placed: Mapping[tuple[str, str], tuple[str, float]]) -> ProtocolItem:
    prompt, prompt_seconds = placed[PROMPT, planned.prompt.name]
    recording = placed[RECORDING, planned.recording.name] if planned.recording else (None, None)
    return ProtocolItem(
        id=planned.id,
        trial=planned.trial,
        speaker=planned.speaker,
        target_id=planned.target_id,
        prompt_id=planned.prompt.name,
        text=planned.text,
        say=planned.say,
        prompt_text=planned.prompt.text,
        prompt=prompt,
        prompt_seconds=prompt_seconds,
        recording=recording[0],
        recording_seconds=recording[1],
        reference=placed[REFERENCE, planned.reference.name][0] if planned.reference else None,
        continues=planned.continues,
    )


def _item(row: Any, where: str) -> ProtocolItem:
    if not isinstance(row, dict):
        raise DataError(f"{where}: not an object.")
    known = {entry.name for entry in fields(ProtocolItem)}
    if unknown := sorted(set(row) - known):
        raise DataError(f"{where}: unknown {', '.join(unknown)}.")
    try:
        return ProtocolItem(**row)
    except TypeError as error:
        raise DataError(f"{where}: {str(error).replace('ProtocolItem.__init__() ', '')}.") from error


def _check(items: Sequence[ProtocolItem], where: str) -> None:
    """What holds for every set."""
    for number, item in enumerate(items, start=1):
        line = f"{where}:{number}"
        for name in (item.id, item.target_id, item.prompt_id):
            plain_id(name, line)
        for path in item.paths():
            inside(path, line)
        for name in ("text", "say"):
            value = getattr(item, name)
            if not isinstance(value, str) or not value.strip():
                raise DataError(f"{line}: item {item.id} has nothing in {name}.")
        if item.continues and f"{item.prompt_text} {item.say}".split() != item.text.split():
            raise DataError(f"{line}: item {item.id}: the prompt's words and those to say are not those of the text.")
    refuse_repeats([item.id for item in items], where)
    unsaid = [item.id for item in items if item.recording is None]
    if unsaid and len(unsaid) < len(items):
        raise DataError(
            f"{where}: {len(unsaid)} of {len(items)} items have no recording: {some(unsaid)}.",
            hint="Give recordings of all items, or of none.",
        )


def _check_hashes(folder: Path, wanted: Iterable[str], facts: Mapping[str, Any]) -> None:
    path = folder / HASHES_FILE
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING", hint="Build the set again.")
    listed = path.read_bytes()
    if hashlib.sha256(listed).hexdigest() != facts.get("set_sha256"):
        raise DataError(
            f"{path} is not the list that {FACTS_FILE} knows.", code="SET_CHANGED", hint="Build the set again."
        )
    hashes = {name: digest for digest, _, name in (line.partition("  ") for line in listed.decode().splitlines())}
    changed = [
        name for name, digest in hashes.items() if not (folder / name).is_file() or sha256_file(folder / name) != digest
    ]
    changed += [name for name in wanted if name not in hashes]
    if changed:
        raise DataError(
            f"{folder}: {len(changed)} of {len(hashes)} files are not what they were: {some(changed)}.",
            code="SET_CHANGED",
            hint="Build the set again.",
        )
