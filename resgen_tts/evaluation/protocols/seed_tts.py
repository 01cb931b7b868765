"""Protocol S (Seed-TTS-eval), and items of anybody's table.

Seed-TTS-eval is published as a folder with ``meta.lst``, whose lines are ``id|prompt text|prompt wav|target text`` and,
in some parts, ``|target wav``; where that is left out, the recording of an item is ``wavs/ID.wav``. Paths are relative
to the folder. Speakers are not named: every prompt counts as one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.common.listing import some
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.evaluation.protocols.item_list import ListItem
from resgen_tts.evaluation.protocols.item_set import Clip, PlannedItem
from resgen_tts.evaluation.protocols.published import COUNT_ONLY, PUBLISHED
from resgen_tts.evaluation.protocols.synth_folder import inside, plain_id, refuse_repeats, refuse_without_letters

META_FILE = "meta.lst"
PUBLISHED_ITEMS = {language: PUBLISHED[f"seed_tts {language}"].items for language in ("en", "zh")}
JUDGE_NOTES = {
    "en": "",
    "zh": "published figures for zh are character errors by Paraformer, which is not among the recognisers here: "
    "figures by another one must not stand beside them",
}


def plan_seed_tts(folder: Path, language: str, *, subset: bool) -> tuple[list[PlannedItem], dict[str, Any]]:
    """Items of a folder of Seed-TTS-eval, and the facts of its list.

    Args:
        language: en or zh.
        subset: take a list of any length, and leave out items whose sound is not there.
    Raises:
        ConfigError: another language.
        DataError: there is no list; a malformed line; LIST_DIFFERENT, it has another number of items than the
            published ones; waves are missing (counted, the first ones named).
    """
    if language not in PUBLISHED_ITEMS:
        raise ConfigError(f"--language must be one of {', '.join(PUBLISHED_ITEMS)}, got {language!r}")
    folder = Path(folder)
    meta = folder / META_FILE
    if not meta.is_file():
        raise DataError(
            f"{meta} does not exist.", code="FILE_MISSING", hint="Give the folder of one language of Seed-TTS-eval."
        )
    rows = [
        _row(line, folder, f"{META_FILE}:{number}")
        for number, line in enumerate(meta.read_text(encoding="utf-8").splitlines(), start=1)
        if line.strip()
    ]
    if not rows:
        raise DataError(f"{meta} lists no items.", code="MANIFEST_EMPTY")
    refuse_repeats([item.id for item in rows], META_FILE)
    absent = {
        item.id: f"not in the folder: {', '.join(lost)}"
        for item in rows
        if (lost := [str(clip.source.relative_to(folder)) for _, clip in item.clips() if not clip.source.is_file()])
    }
    if absent and not subset:
        named = some(f"{name} ({why})" for name, why in absent.items())
        raise DataError(
            f"{len(absent)} of {len(rows)} items lack their sound: {named}.",
            code="WAVES_MISSING",
            hint="Give the whole folder, or --subset true for what is there.",
        )
    is_published = len(rows) in PUBLISHED_ITEMS[language]
    if not is_published and not subset:
        published = " or ".join(f"{number:,}" for number in PUBLISHED_ITEMS[language])
        raise DataError(
            f"{meta} lists {len(rows):,} items, the published list of {language} {published}.",
            code="LIST_DIFFERENT",
            hint="Give the published list, or --subset true.",
        )
    facts = {
        "list": META_FILE,
        "list_sha256": sha256_file(meta),
        "list_checked": COUNT_ONLY,  # no hash of the published lists is known
        "is_subset": bool(absent) or not is_published,
        "language": language,
        "judge_note": JUDGE_NOTES[language],
        "read": len(rows),
        "used": len(rows) - len(absent),
        "skipped": {},
        "absent": absent,
    }
    return [item for item in rows if item.id not in absent], facts


def plan_list(items: Sequence[ListItem]) -> list[PlannedItem]:
    """Items of a table (see `evaluation.protocols.item_list`), their prompts whole.

    Raises:
        AudioError: AUDIO_NOT_FOUND, files of the table are missing (counted, the first ones named).
        DataError: TEXT_EMPTY, a target has no letters.
    """
    for number, item in enumerate(items, start=2):  # below the header
        refuse_without_letters(item.target, f"line {number} of the table: item {item.id}")
    files = [path for item in items for path in (item.audio, item.recording) if path is not None]
    missing = [str(path) for path in dict.fromkeys(files) if not path.is_file()]
    if missing:
        raise AudioError(
            f"{len(missing)} of {len(dict.fromkeys(files))} files of the table do not exist: {some(missing)}.",
            code="AUDIO_NOT_FOUND",
        )
    prompts = {prompt: prompt.id for prompt in {item.prompt for item in items}}  # each is hashed once
    return [
        PlannedItem(
            id=item.id, speaker=item.speaker, target_id=item.id, text=item.target, say=item.target,
            prompt=Clip(source=item.audio, name=prompts[item.prompt], text=item.text),
            recording=None if item.recording is None else Clip(source=item.recording, name=item.id, text=item.target),
        )
        for item in items
    ]  # fmt: skip


def list_facts(table: Path, items: Sequence[ListItem]) -> Mapping[str, Any]:
    """What is known of a table: nothing is published about it."""
    return {
        "list": Path(table).name,
        "list_sha256": sha256_file(Path(table)),
        "is_subset": False,
        "read": len(items),
        "used": len(items),
        "skipped": {},
        "absent": {},
    }


def _row(line: str, folder: Path, where: str) -> PlannedItem:
    cells = [cell.strip() for cell in line.split("|")]
    if len(cells) not in (4, 5) or not all(cells[:4]):
        raise DataError(f"{where}: not id|prompt text|prompt wav|target text[|target wav]: {line[:60]!r}.")
    name, prompt_text, prompt, text = cells[:4]
    plain_id(name, where)
    refuse_without_letters(text, f"{where}: item {name}")
    recording: Path | None = folder / "wavs" / f"{name}.wav"
    if len(cells) == 5 and cells[4]:
        recording = folder / inside(cells[4], where)
    elif not recording.is_file():
        recording = None
    source = folder / inside(prompt, where)
    speaker = plain_id(source.stem, where)
    return PlannedItem(
        id=name, speaker=speaker, target_id=name, text=text, say=text,
        prompt=Clip(source=source, name=speaker, text=prompt_text),
        recording=None if recording is None else Clip(source=recording, name=name, text=text),
    )  # fmt: skip
