"""``voice``: save a reference recording as a voice, list the saved ones, show one, remove one."""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resgen_tts.apps.options import MODEL_HELP, Parser, add_model, add_reference, add_talk
from resgen_tts.apps.weights.bundled import DEFAULT_MODEL, ModelVoice, model_voices
from resgen_tts.apps.weights.hub import resolve_model
from resgen_tts.common.errors import CheckpointError, ConfigError, DataError
from resgen_tts.speech.voice_facts import MEND_TRANSCRIPT, NAME, SUFFIX, check_name, read_voice_facts

if TYPE_CHECKING:
    from resgen_tts.speech.prompt import Voice  # at run time it would take torch along

FOLDER_VARIABLE = "RESGEN_TTS_VOICES"


def voice(arguments: list[str]) -> None:
    """Save a reference recording as a voice, list the model's and the saved ones, show one, or remove a saved one.

    Raises:
        ConfigError: VOICE_NAME, OUTPUT_EXISTS.
        DataError: VOICE_UNKNOWN, VOICE_INVALID.
        AudioError, TextError, CheckpointError: the recording, its text or the model is refused.
    """
    options = parser().parse_args(arguments)
    folder = voices_folder(options.voices)
    if options.task == "save":
        _save(options, folder)
    elif options.task == "list":
        _list(folder, options)
    elif options.task == "show":
        check_name(options.name)
        own = {voice.name: voice for voice in _voices_shown(options)}
        path = own[options.name].file if options.name in own else find_voice(options.name, folder, own=own)
        _show(path, as_json=options.json)
    else:
        _remove(find_voice(options.name, folder), as_json=options.json, is_quiet=options.quiet)


def voices_folder(chosen: Path | None = None) -> Path:
    """The folder of saved voices: the chosen one, that of ``RESGEN_TTS_VOICES``, or one among the user's data."""
    if chosen is not None:
        return Path(chosen)
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification has relative paths ignored.
    return (Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share") / "resgen_tts" / "voices"


def saved_voices(folder: Path) -> list[str]:
    """Names of the saved voices, sorted; files of other names are none."""
    names = (path.name.removesuffix(SUFFIX) for path in Path(folder).glob(f"*{SUFFIX}"))
    return sorted(name for name in names if NAME.fullmatch(name))


def find_voice(name: str, folder: Path | None = None, *, own: Iterable[str] = ()) -> Path:
    """The file of a saved voice.

    Args:
        name: as it was saved.
        folder: of the voices; see :func:`voices_folder`.
        own: names of the model's voices, for the error.
    Raises:
        ConfigError: VOICE_NAME.
        DataError: VOICE_UNKNOWN, with the names that there are.
    """
    folder = voices_folder(folder)
    path = folder / f"{check_name(name)}{SUFFIX}"
    if not path.is_file():
        saved = ", ".join(saved_voices(folder)) or "none"
        told = f"; the model has: {', '.join(own)}; saved in {folder}:" if own else f" in {folder}; there are:"
        raise DataError(
            f"there is no voice {name}{told} {saved}.",
            code="VOICE_UNKNOWN",
            hint=f"Save one with: resgen-tts voice save {name} --ref-audio FILE",
        )
    return path


def voice_path(
    voice: Path | str, folder: Path | None = None, *, must_exist: bool = False, model: Path | None = None
) -> Path:
    """The file of a voice: itself where it is a ``.safetensors`` file's path, else one named so.

    A voice that came with the model goes before a saved one of that name, unless a folder is named.

    Args:
        folder: of the voices, and then the only place to look in; see :func:`voices_folder`.
        must_exist: as a name; a file is looked for by whoever reads it.
        model: exported model whose own voices are looked at first, where it must exist.
    Raises:
        ConfigError: VOICE_NAME.
        DataError: VOICE_UNKNOWN.
    """
    text = str(voice)
    if text.endswith(SUFFIX):
        return Path(voice)
    if not NAME.fullmatch(text):
        raise ConfigError(
            f"{text!r} is neither a saved voice's name nor its {SUFFIX} file.",
            code="VOICE_NAME",
            hint="A name has 1 to 64 of A-Z a-z 0-9 - _; of a recording make a voice: tts.voice(path, text=...).",
        )
    if not must_exist:
        return voices_folder(folder) / f"{text}{SUFFIX}"
    own = {} if model is None or folder is not None else {one.name: one.file for one in model_voices(model)}
    return own[text] if text in own else find_voice(text, folder, own=own)


def refuse_model_name(name: str, model: Path | None) -> None:
    """Refuse to save a voice under a name by which the model's own would be found.

    Raises:
        ConfigError: VOICE_NAME.
    """
    if model is not None and name in [voice.name for voice in model_voices(model)]:
        raise ConfigError(
            f"the model brings a voice {name} of its own.",
            code="VOICE_NAME",
            hint="Save under another name, or in a folder that is named (--voices).",
        )


def advised(voice: "Voice", name: str) -> "Voice":
    """The voice as it is saved: the warning of a transcript that nobody wrote says how a saved voice is given one."""
    advice = f'; mend it with: voice save {name} --force --ref-text "..."'
    warnings = (
        note.removesuffix(MEND_TRANSCRIPT) + advice
        if note.startswith("VOICE_TRANSCRIBED") and note.endswith(MEND_TRANSCRIPT)
        else note
        for note in voice.warnings
    )
    return replace(voice, warnings=tuple(warnings))


def parser() -> Parser:
    """All options of the verb and its tasks."""
    known = Parser(prog="resgen-tts voice", description=str(voice.__doc__).splitlines()[0])
    common = Parser(add_help=False)
    common.add_argument(
        "--voices", type=Path, help=f"folder of the voices; default: {FOLDER_VARIABLE}, or one among the user's data"
    )
    add_talk(common)
    tasks = known.add_subparsers(dest="task", required=True, metavar="save|list|show|remove")
    save = tasks.add_parser("save", parents=[common], help="save a reference recording as a voice")
    save.add_argument("name", help="1 to 64 of A-Z a-z 0-9 - _")
    save.add_argument("--ref-audio", type=Path, required=True, help="reference recording, 3 to 12 s work best")
    save.add_argument("--ref-text", help="what is said in it; left out, it is transcribed")
    add_reference(save)
    add_model(save)
    save.add_argument("--force", action="store_true", help="replace an older voice of that name")
    whose = f"model whose own voices are looked at, too, unless --voices names a folder: {MODEL_HELP}"
    listing = tasks.add_parser("list", parents=[common], help="list the model's voices and the saved ones")
    listing.add_argument("--model", help=whose)
    show = tasks.add_parser("show", parents=[common], help="tell what a voice holds")
    show.add_argument("name")
    show.add_argument("--model", help=whose)
    tasks.add_parser("remove", parents=[common], help="remove a saved voice").add_argument("name")
    return known


def _save(options: argparse.Namespace, folder: Path) -> None:
    path = folder / f"{check_name(options.name)}{SUFFIX}"
    if path.exists() and not options.force:  # told before anything is loaded
        raise ConfigError(
            f"the voice {options.name} exists in {folder}.",
            code="OUTPUT_EXISTS",
            hint="Pass --force to replace it, or save under another name.",
        )
    from resgen_tts.apps.speaking.from_options import find_model, make_voice, teller
    from resgen_tts.speech.audio.load import check_recording

    check_recording(options.ref_audio)
    model = find_model(options)
    if options.voices is None:
        refuse_model_name(options.name, model)
    from resgen_tts.apps.speaking.tts import TTS

    # Nothing is spoken here, so that nothing needs a watermark.
    tts = TTS.from_pretrained(model, options.lexicon, device=options.device, watermark="none", say=teller(options))
    made = make_voice(tts, options.ref_audio, options.ref_text, options, options.name)
    for warning in advised(made, options.name).warnings:
        print(f"warning: {warning}", file=sys.stderr)
    tts.save_voice(made, path, force=options.force)
    if not options.quiet:
        print(f"{path}: {made.facts['seconds']} s, “{made.original_text}”", file=sys.stderr)
    if options.json:
        _print_json(_facts(path))


def _voices_shown(options: argparse.Namespace) -> tuple[ModelVoice, ...]:
    """The voices of the model that is meant; a default model that is not there hides no saved voice."""
    if options.model is None and options.voices is not None:
        return ()
    try:
        return model_voices(resolve_model(options.model))
    except CheckpointError as error:
        if options.model is not None:
            raise
        print(f"warning: {error}", file=sys.stderr)
        return ()


def _list(folder: Path, options: argparse.Namespace) -> None:
    """One line each: name, seconds, text or what is wrong, and of a model's voice what it is.

    A damaged file hides no other.
    """
    rows = []
    for own in _voices_shown(options):
        more = {"model": options.model or DEFAULT_MODEL, "about": own.about, "licence": own.licence}
        rows.append(_listed(own.file, own.name) | more | {"source": own.source})
    rows += [_listed(folder / f"{name}{SUFFIX}", name) for name in saved_voices(folder)]
    if options.json:
        _print_json(rows)
    else:
        for row in rows:
            name = row["name"] + (f" (saved as {row['saved_as']})" if "saved_as" in row else "")
            seconds = row.get("facts", {}).get("seconds", "?")
            about = (f"{row['about']} ({row['model']}; {row['licence']})",) if "model" in row else ()
            print(name, f"{seconds} s", row.get("error") or row["text"], *about, sep="\t")
    if not rows:
        print(f"no voices in {folder}", file=sys.stderr)


def _listed(path: Path, name: str) -> dict[str, Any]:
    """A voice's facts, or what is wrong with its file."""
    try:
        return _facts(path)
    except DataError as error:
        return {"name": name, "error": str(error), "file": str(path)}


def _show(path: Path, *, as_json: bool) -> None:
    facts = _facts(path)
    if as_json:
        _print_json(facts)
        return
    for name, value in facts.items():
        if name == "facts":
            for inner, detail in value.items():
                print(f"{inner}: {detail}")
        elif name == "warnings":
            for warning in value:
                print(f"warning: {warning}")
        else:
            print(f"{name}: {value}")


def _remove(path: Path, *, as_json: bool, is_quiet: bool) -> None:
    path.unlink()
    if not is_quiet:
        print(f"removed {path}", file=sys.stderr)
    if as_json:
        _print_json({"removed": str(path)})


def _facts(path: Path) -> dict[str, Any]:
    """What a file says of its voice, under the name by which the file is found."""
    facts = {name: value for name, value in read_voice_facts(path).items() if name != "symbols"}
    found, saved_as = path.name.removesuffix(SUFFIX), facts["name"]
    facts |= {"name": found, "facts": {name: _number(name, value) for name, value in facts["facts"].items()}}
    return facts | ({} if found == saved_as else {"saved_as": saved_as}) | {"file": str(path)}


def _number(name: str, value: str) -> float | str:
    """Lengths and levels as numbers."""
    try:
        return float(value) if name.endswith(("seconds", "_db")) else value
    except ValueError:
        return value


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False))
