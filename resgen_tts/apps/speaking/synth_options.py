"""The options of ``synth``, and what can be refused before anything is loaded."""

import argparse
import os
import sys
from pathlib import Path

from resgen_tts.apps.options import (
    Parser,
    add_format,
    add_manner,
    add_model,
    add_talk,
    add_voice,
    add_watermark,
    between,
    check_ranges,
    check_voice,
)
from resgen_tts.common.errors import ConfigError, TextError

ABOUT = "Speak one text in the voice of a reference."
STDIN = Path("-")


def parser() -> Parser:
    """All options of the verb."""
    known = Parser(prog="resgen-tts synth", description=ABOUT)
    text = known.add_mutually_exclusive_group()
    text.add_argument("--text", help="what to say")
    text.add_argument("--text-file", type=Path, help="a UTF-8 file with what to say; - reads standard input")
    text.add_argument("stdin", nargs="?", choices=["-"], metavar="-", help="read what to say from standard input")
    known.add_argument(
        "-o", "--output", type=Path,
        help="sound file to write, never left out; its ending says the format: .wav .flac .mp3 .opus .aac .pcm; - "
        "writes to standard output while it is spoken",
    )  # fmt: skip
    add_format(known)
    known.add_argument("--force", action="store_true", help="overwrite the output")
    add_voice(known)
    add_manner(known)
    add_model(known)
    add_watermark(known)
    known.add_argument(
        "--candidates", type=int, default=1, metavar="N",
        help=f"{between('candidates')}: speak the text so often, listen, and keep the best: N at first, as many again "
        "where none passes; default: %(default)s, unheard",
    )  # fmt: skip
    known.add_argument("--plots", type=Path, help="folder for pictures: alignment, durations, unmasking, pitch")
    add_talk(known)
    return known


def check(options: argparse.Namespace) -> None:
    """Refuse what can be known to fail, before anything is loaded; fills in the text's file and the format."""
    if options.stdin is not None:
        options.text_file = STDIN
    if options.text is None and options.text_file is None:
        raise ConfigError(
            "there is no text.", code="USAGE", hint="Pass --text, --text-file, or - to read standard input."
        )
    if options.text is not None:
        check_text(options.text)
    if options.output is None:
        raise ConfigError("there is no output.", code="USAGE", hint="Pass -o FILE, or -o - to pipe the sound on.")
    options.format = check_output(options.output, options.format, is_forced=options.force)
    if is_stdout(options.output):
        _check_stdout(options)
    if options.plots is not None:
        _check_plots(options.plots)
    check_voice(options)
    check_ranges(options)
    if options.ref_audio is not None:
        from resgen_tts.speech.audio.load import check_recording

        check_recording(options.ref_audio)


def is_stdout(output: Path) -> bool:
    """Whether the sound goes to standard output."""
    return str(output) == "-"


def _check_stdout(options: argparse.Namespace) -> None:
    if options.json:
        raise ConfigError(
            "--output - and --json both write to standard output.", code="USAGE", hint="Name a file for the sound."
        )
    if sys.stdout.isatty():
        raise ConfigError("standard output is a terminal.", code="USAGE", hint="Pipe the sound on, or name a file.")


def check_output(output: Path, format: str | None, *, is_forced: bool) -> str:
    """The format of what is to be written there, which can be written.

    Raises:
        ConfigError: OUTPUT_NOT_A_FILE, OUTPUT_FORMAT, OUTPUT_EXISTS, OUTPUT_FOLDER_MISSING, OUTPUT_NOT_WRITABLE.
        MissingExtraError: the format needs what is not installed.
    """
    from resgen_tts.speech.audio.encode import format_for

    if is_stdout(output):
        return check_format(format_for(None, format))
    if output.is_dir():
        raise ConfigError(f"{output} is a folder.", code="OUTPUT_NOT_A_FILE", hint="Name a file in it.")
    if output.exists() and not output.is_file():  # a device would be replaced by a file
        raise ConfigError(f"{output} is no regular file.", code="OUTPUT_NOT_A_FILE", hint="Name a file, or -.")
    chosen = check_format(format_for(output, format))
    if output.exists() and not is_forced:
        raise ConfigError(f"{output} exists.", code="OUTPUT_EXISTS", hint="Pass --force to overwrite it.")
    check_folder(output.absolute().parent, f"the folder of {output}")
    return chosen


def check_format(format: str) -> str:
    """The same format, where what writes it is installed.

    Raises:
        ConfigError: OUTPUT_FORMAT.
        MissingExtraError: EXTRA_MISSING.
    """
    from resgen_tts.speech.audio.encode import FORMATS, AudioEncoder

    if FORMATS[format].extra is not None:
        AudioEncoder(format, FORMATS[format].output_rate(24_000))
    return format


def _check_plots(folder: Path) -> None:
    if folder.is_dir():
        check_folder(folder, str(folder))
    elif folder.exists():
        raise ConfigError(f"{folder} is a file; --plots names a folder.", code="PLOTS_NOT_A_FOLDER")
    else:
        check_folder(folder.absolute().parent, f"the folder of {folder}")


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that is not there or may not be written to.

    Raises:
        ConfigError: OUTPUT_FOLDER_MISSING, OUTPUT_NOT_WRITABLE.
    """
    if not folder.is_dir():
        raise ConfigError(f"{name} does not exist.", code="OUTPUT_FOLDER_MISSING", hint="Make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{name} may not be written to.", code="OUTPUT_NOT_WRITABLE", hint="Check its permissions.")


def check_text(said: str) -> None:
    """A text that cannot be spoken is told before anything is loaded."""
    from resgen_tts.speech.text.normalize import normalize

    try:
        normalize(said)
    except TextError as error:
        if error.code == "TEXT_NO_SPEECH" and not error.hint:
            raise TextError(error.message, code=error.code, hint="Pass words or numbers, not only marks.") from error
        raise


def read_text(path: Path) -> str:
    """A file's text, or that of standard input for ``-``."""
    try:
        data = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
        return data.decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError as error:
        raise ConfigError(f"{path} was not found.", code="TEXT_FILE", hint="Check its name.") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder.", code="TEXT_FILE", hint="Name a file in it.") from error
    except UnicodeDecodeError as error:
        name = "standard input" if path == STDIN else path
        raise ConfigError(
            f"{name} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}.",
            code="TEXT_FILE",
            hint="Save it as UTF-8.",
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", code="TEXT_FILE") from error
