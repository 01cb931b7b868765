"""The options of ``synth``, and what can be refused before anything is loaded."""

import argparse
import math
import os
import sys
from pathlib import Path

from resgen_tts.apps.weights.bundled import DEFAULT_MODEL
from resgen_tts.common.errors import ConfigError, TextError

ABOUT = "Speak one text in the voice of a reference."
RANGES: dict[str, tuple[float, float]] = {
    # As the configs behind them have it, which name no options and take seconds to import.
    "speed": (0.25, 4),
    "spread": (0, 2),
    "steps": (1, math.inf),
    "first_characters": (20, math.inf),
    "candidates": (1, 16),  # a slip of the finger shall not cost hours
}


def parser() -> argparse.ArgumentParser:
    """All options of the verb."""
    known = argparse.ArgumentParser(prog="resgen-tts synth", description=ABOUT)
    known.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="a bundled model's name, or an exported folder, e.g. exp/mini/model; default: mini, which comes with the "
        "package (a folder of that name: ./mini)",
    )
    text = known.add_mutually_exclusive_group(required=True)
    text.add_argument("--text", help="what to say")
    text.add_argument("--text-file", type=Path, help="a UTF-8 file with what to say; - reads standard input")
    voice = known.add_mutually_exclusive_group()
    voice.add_argument(
        "--voice",
        help="name of a voice of the model, or name or file of a saved one; default: the model's first (see: "
        "resgen-tts voice list), if it brings any and there is no reference recording",
    )
    known.add_argument(
        "--voices", type=Path, help="folder of saved voices to look in for --voice, in place of the model's and yours"
    )
    voice.add_argument("--ref-audio", type=Path, help="reference recording, 3 to 12 s work best")
    known.add_argument("--ref-text", help="what is said in the reference; left out, it is transcribed and shown")
    known.add_argument(
        "--asr", default="auto", help="what transcribes and checks: auto, pocketsphinx, or a Whisper's folder or name"
    )
    known.add_argument("--no-hygiene", action="store_true", help="take the reference untrimmed, as loud as it is")
    known.add_argument("--lexicon", type=Path, help="file of words and how they are said: word, tab, symbols")
    known.add_argument("--output", type=Path, required=True, help="wave file to write; - writes it to standard output")
    known.add_argument("--force", action="store_true", help="overwrite the output")
    known.add_argument("--seed", type=int, help="default: drawn, and printed")
    known.add_argument(
        "--steps", type=int, help="network calls for each chunk of the text, 1 or more; default: the model's own"
    )
    length = known.add_mutually_exclusive_group()
    length.add_argument(
        "--speed", type=float, default=1.0,
        help=f"{_between('speed')}; 2.0 is twice as fast as the reference; default: %(default)s",
    )  # fmt: skip
    length.add_argument("--duration", type=float, help="seconds that the result shall last, in place of the speed")
    known.add_argument(
        "--spread", type=float, default=0.0,
        help=f"how much the lengths of sounds vary, {_between('spread')}: 0 is the most likely length of each, 1 as "
        "much as the model expects; default: %(default)s",
    )  # fmt: skip
    known.add_argument(
        "--context", choices=("reference", "previous"), default="reference",
        help="what leads each chunk of a long text: the reference, or also the chunk before; default: %(default)s",
    )  # fmt: skip
    known.add_argument(
        "--first-characters", type=int,
        help="end the first chunk of a long text after so many characters, 20 or more, so that its sound is there "
        "sooner; default: as long as the others",
    )  # fmt: skip
    known.add_argument(
        "--candidates", type=int, default=1, metavar="N",
        help=f"{_between('candidates')}: speak the text so often, listen, and keep the best: N at first, as many again "
        "where none passes; default: %(default)s, unheard",
    )  # fmt: skip
    known.add_argument("--plots", type=Path, help="folder for pictures: alignment, durations, unmasking, pitch")
    known.add_argument("--json", action="store_true", help="print the result's facts as JSON on stdout")
    known.add_argument("--quiet", action="store_true", help="no closing line, no progress")
    return known


def check(options: argparse.Namespace) -> None:
    """Refuse what can be known to fail, before anything is loaded."""
    if is_stdout(options.output):
        _check_stdout(options)
    else:
        _check_output(options.output, options.force)
    if options.plots is not None:
        _check_plots(options.plots)
    if options.ref_audio is None and (options.ref_text is not None or options.no_hygiene):
        raise ConfigError(
            "--ref-text and --no-hygiene go with --ref-audio, not with a voice that is there already.", code="USAGE"
        )
    if options.voices is not None and options.voice is None:
        raise ConfigError("--voices goes with --voice.", code="USAGE")
    for name, (low, high) in RANGES.items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:  # not a number is in no range
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} must be {_between(name)}, got {value}.", code="USAGE")
    if options.duration is not None and not 0 < options.duration < math.inf:
        raise ConfigError(f"--duration must be more than 0 seconds, got {options.duration}.", code="USAGE")


def _between(name: str) -> str:
    """The range of an option in words."""
    low, high = RANGES[name]
    return f"at least {low}" if high == math.inf else f"between {low} and {high}"


def is_stdout(output: Path) -> bool:
    return str(output) == "-"


def _check_stdout(options: argparse.Namespace) -> None:
    if options.json:
        raise ConfigError(
            "--output - and --json both write to standard output.", code="USAGE", hint="Name a file for the wave."
        )
    if sys.stdout.isatty():
        raise ConfigError("standard output is a terminal.", code="USAGE", hint="Pipe the wave on, or name a file.")


def _check_output(output: Path, is_forced: bool) -> None:
    from resgen_tts.speech.audio.save import check_wav_name

    if output.is_dir():
        raise ConfigError(f"{output} is a folder.", code="OUTPUT_NOT_A_FILE", hint="Name a file in it.")
    if output.exists() and not output.is_file():  # a device would be replaced by a file
        raise ConfigError(f"{output} is no regular file.", code="OUTPUT_NOT_A_FILE", hint="Name a file, or -.")
    check_wav_name(output)
    if output.exists() and not is_forced:
        raise ConfigError(f"{output} exists.", code="OUTPUT_EXISTS", hint="Pass --force to overwrite it.")
    _check_folder(output.absolute().parent, f"the folder of {output}")


def _check_plots(folder: Path) -> None:
    if folder.is_dir():
        _check_folder(folder, str(folder))
    elif folder.exists():
        raise ConfigError(f"{folder} is a file; --plots names a folder.", code="PLOTS_NOT_A_FOLDER")
    else:
        _check_folder(folder.absolute().parent, f"the folder of {folder}")


def _check_folder(folder: Path, name: str) -> None:
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
    if str(path) == "-" and sys.stdin.isatty():
        raise ConfigError("standard input is a terminal; pass --text or pipe the text in.", code="USAGE")
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path} was not found.", code="TEXT_FILE", hint="Check its name.") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder.", code="TEXT_FILE", hint="Name a file in it.") from error
    except UnicodeDecodeError as error:
        name = "standard input" if str(path) == "-" else path
        raise ConfigError(
            f"{name} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}.",
            code="TEXT_FILE",
            hint="Save it as UTF-8.",
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", code="TEXT_FILE") from error
