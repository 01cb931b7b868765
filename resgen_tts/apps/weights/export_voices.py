"""Voices that come with a model: made from recordings that a table lists, when the model is exported."""

import csv
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from resgen_tts.apps.weights.bundled import NOTICES, VOICES, VOICES_TABLE
from resgen_tts.common.errors import ConfigError, DataError, ResGenError
from resgen_tts.common.run_dir import write_json
from resgen_tts.speech.voice_facts import SUFFIX, check_name

COLUMNS = ("name", "file", "text", "source", "licence", "about")
FIRST_LINE = 2  # of a table, behind the names of its columns


@dataclass(frozen=True, kw_only=True)
class VoiceRecording:
    """One row of a table of voices.

    Args:
        name: of the voice.
        file: the recording.
        text: what is said in it.
        source: where it is from, in a form that can be found again.
        licence: under which it may be given on.
        about: the voice in a few words.
        where: table and line, for errors.
    """

    name: str
    file: Path
    text: str
    source: str
    licence: str
    about: str
    where: str


def read_voice_table(table: Path) -> list[VoiceRecording]:
    """A table of voices, tab-separated, with the columns of ``COLUMNS``; files are relative to its folder.

    Raises:
        DataError: FILE_MISSING, VOICE_TABLE.
    """
    table = Path(table)
    if not table.is_file():
        raise DataError(f"{table} does not exist.", code="FILE_MISSING")
    with open(table, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = reader.fieldnames or []
        if tuple(names) != COLUMNS:
            raise _refused(f"{table.name}:1", f"the columns are {', '.join(names) or 'none'}, not {', '.join(COLUMNS)}")
        rows = list(reader)
    if not rows:
        raise _refused(table.name, "it lists no voice")
    recordings: list[VoiceRecording] = []
    for line, row in enumerate(rows, start=FIRST_LINE):
        where = f"{table.name}:{line}"
        if None in row or None in row.values():
            raise _refused(where, f"there must be {len(COLUMNS)} columns")
        if empty := [name for name in COLUMNS if not row[name].strip()]:
            raise _refused(where, f"{', '.join(empty)} is empty")
        try:
            check_name(row["name"])
        except ConfigError as error:
            raise _refused(where, error.message) from error
        if row["name"] in [other.name for other in recordings]:
            raise _refused(where, f"the name {row['name']} is there twice")
        path = table.parent / row["file"]
        if not path.is_file():
            raise DataError(f"{where}: {path} does not exist.", code="FILE_MISSING")
        told = {name: row[name] for name in COLUMNS if name != "file"}
        recordings.append(VoiceRecording(**told, file=path, where=where))
    return recordings


def export_voices(folder: Path, recordings: list[VoiceRecording]) -> list[dict]:
    """Make a voice of each recording with the exported model itself, and save them in it.

    Returns:
        What ``voices.json`` says of each.
    Raises:
        ResGenError: a recording, or its text, is refused; the message names its line.
    """
    from resgen_tts import __version__
    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.speech.voice_file import save_voice

    tts = TTS.from_pretrained(folder)
    rows = []
    for one in recordings:
        facts = {name: getattr(one, name) for name in ("source", "licence", "about")}
        try:
            voice = tts.voice(one.file, one.text, name=one.name)
        except ResGenError as error:
            raise type(error)(f"{one.where}: {error.message}", code=error.code, hint=error.hint) from error
        for warning in voice.warnings:
            print(f"warning: {one.where}: {warning}")
        save_voice(
            folder / VOICES / f"{one.name}{SUFFIX}", replace(voice, facts=voice.facts | facts),
            generator=tts.synthesizer.generator, inventory=tts.synthesizer.units.inventory,
            created_by=f"resgen_tts {__version__}",
        )  # fmt: skip
        rows.append({"name": one.name, "text": voice.original_text, "seconds": float(voice.facts["seconds"]), **facts})
    write_json(folder / VOICES / VOICES_TABLE, rows)
    return rows


def copy_notices(table: Path, folder: Path) -> bool:
    """Put the notices that lie beside a table of voices into an exported model; False where there are none."""
    notices = Path(table).parent / NOTICES
    if notices.is_file():
        shutil.copyfile(notices, folder / VOICES / NOTICES)
    return notices.is_file()


def _refused(where: str, why: str) -> DataError:
    return DataError(f"{where}: {why}.", code="VOICE_TABLE", hint="See: resgen-tts export --help")
