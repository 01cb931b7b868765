"""Command lines: the options that several verbs have, and how the words of a verb are read."""

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from resgen_tts.apps.weights.bundled import DEFAULT_MODEL
from resgen_tts.common.errors import ConfigError

MODEL_HELP = (
    "a bundled model's name, an exported folder, e.g. exp/mini/model, or owner/name[@revision] of the Hugging Face "
    "hub; default: mini, which comes with the package (a folder of that name: ./mini)"
)
RANGES: dict[str, tuple[float, float]] = {
    # As the configs behind them have it, which name no options and take seconds to import.
    "speed": (0.25, 4),
    "spread": (0, 2),
    "steps": (1, math.inf),
    "first_characters": (20, math.inf),
    "candidates": (1, 16),  # a slip of the finger shall not cost hours
    "batch_size": (1, 256),
    "seed": (0, 2**63 - 1),
}


class Parser(argparse.ArgumentParser):
    """A verb's options; it refuses as all else does, by an error with a code.

    No option can be shortened: what is short today is ambiguous when another option comes.
    """

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **{"allow_abbrev": False, **named})

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError, USAGE."""
        raise ConfigError(f"{message}.", code="USAGE", hint=f"See: {self.prog} --help")


def add_model(parser: argparse._ActionsContainer) -> None:
    """--model, --revision, --sha256, --lexicon, --device."""
    parser.add_argument("--model", default=DEFAULT_MODEL, help=MODEL_HELP)
    parser.add_argument("--revision", help="commit of a model of the hub, so that it stays the same")
    parser.add_argument("--sha256", help="hash that the model must have")
    parser.add_argument("--lexicon", type=Path, help="file of words and how they are said: word, tab, symbols")
    add_device(parser)


def add_device(parser: argparse._ActionsContainer) -> None:
    """--device."""
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda or cuda:N; auto takes a GPU where there is one, and says which"
    )


def add_watermark(parser: argparse._ActionsContainer) -> None:
    """--watermark NAME or --no-watermark, as ``watermark``."""
    marking = parser.add_mutually_exclusive_group()
    marking.add_argument(
        "--watermark", default="perth", metavar="NAME",
        help="what marks the speech as made: perth, or audioseal:FOLDER; default: %(default)s",
    )  # fmt: skip
    marking.add_argument(
        "--no-watermark", dest="watermark", action="store_const", const="none",
        help="leave the speech unmarked; it is said aloud, and written into the file",
    )  # fmt: skip


def add_voice(parser: argparse._ActionsContainer) -> None:
    """--voice or --ref-audio with --ref-text, --voices, --asr, --no-hygiene."""
    voice = parser.add_mutually_exclusive_group()
    voice.add_argument(
        "--voice",
        help="name of a voice of the model, or name or file of a saved one; default: the model's first (see: "
        "resgen-tts voice list), if it brings any and there is no reference recording",
    )
    parser.add_argument(
        "--voices", type=Path, help="folder of saved voices to look in for --voice, in place of the model's and yours"
    )
    voice.add_argument("--ref-audio", type=Path, help="reference recording, 3 to 12 s work best")
    parser.add_argument("--ref-text", help="what is said in the reference; left out, it is transcribed and shown")
    add_reference(parser)


def add_reference(parser: argparse._ActionsContainer) -> None:
    """--asr, --no-hygiene: how a recording becomes a voice."""
    parser.add_argument(
        "--asr", default="auto", help="what transcribes: auto, pocketsphinx, or a Whisper's folder or name"
    )
    parser.add_argument("--no-hygiene", action="store_true", help="take the reference untrimmed, as loud as it is")


def add_manner(parser: argparse._ActionsContainer) -> None:
    """--seed, --steps, --speed or --duration, --spread, --context, --first-characters."""
    parser.add_argument(
        "--seed", type=int, help="0 or more; the same one speaks the same again; default: drawn, and printed"
    )
    parser.add_argument(
        "--steps", type=int, help="network calls for each chunk of the text, 1 or more; default: the model's own"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--speed", type=float, default=1.0,
        help=f"{between('speed')}; 2.0 is twice as fast as the reference; default: %(default)s",
    )  # fmt: skip
    length.add_argument("--duration", type=float, help="seconds that the result shall last, in place of the speed")
    parser.add_argument(
        "--spread", type=float, default=0.0,
        help=f"how much the lengths of sounds vary, {between('spread')}: 0 is the most likely length of each, 1 as "
        "much as the model expects; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--context", choices=("reference", "previous"), default="reference",
        help="what leads each chunk of a long text: the reference, or also the chunk before; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--first-characters", type=int,
        help="end the first chunk of a long text after so many characters, 20 or more, so that its sound is there "
        "sooner; default: as long as the others",
    )  # fmt: skip


def add_format(parser: argparse._ActionsContainer) -> None:
    """--format."""
    parser.add_argument("--format", help="wav, flac, mp3, opus, aac or pcm (24 kHz, 16 bits, no header)")


def add_talk(parser: argparse._ActionsContainer) -> None:
    """--json, --quiet, -v."""
    parser.add_argument("--json", action="store_true", help="print the result's facts as JSON on stdout")
    parser.add_argument(
        "--quiet", action="store_true", help="tell only warnings, errors, and what is unmarked or unpinned"
    )
    # The command line takes it out before a verb is called, so that every verb has it; it is here to be seen.
    parser.add_argument("-v", "--verbose", action="store_true", help="show where an error came from")


def check_voice(options: argparse.Namespace) -> None:
    """Refuse options of a voice that do not go together.

    Raises:
        ConfigError: USAGE.
    """
    if options.ref_audio is None and (options.ref_text is not None or options.no_hygiene):
        raise ConfigError(
            "--ref-text and --no-hygiene go with --ref-audio, not with a voice that is there already.", code="USAGE"
        )
    if options.voices is not None and options.voice is None:
        raise ConfigError("--voices goes with --voice.", code="USAGE")


def check_ranges(options: argparse.Namespace) -> None:
    """Refuse numbers beyond :data:`RANGES`, and a duration of nothing.

    Raises:
        ConfigError: USAGE.
    """
    for name in (*RANGES, "duration"):
        value = getattr(options, name, None)
        if wrong := out_of_range(name, value):
            raise ConfigError(f"--{name.replace('_', '-')} must be {wrong}, got {value}.", code="USAGE")


def out_of_range(name: str, value: float | int | None) -> str:
    """What a number should be that it is not; nothing where it may be so, or is none."""
    if name == "duration":
        return "" if value is None or 0 < value < math.inf else "more than 0 seconds"
    if value is None or name not in RANGES:
        return ""
    low, high = RANGES[name]
    return "" if low <= value <= high else between(name)  # not a number is in no range


def between(name: str) -> str:
    """The range of an option in words."""
    low, high = RANGES[name]
    return f"at least {low}" if high == math.inf else f"between {low} and {high}"


def underscored(arguments: Sequence[str]) -> list[str]:
    """The same words with option names in underscores: options may be written with dashes or underscores."""
    return [re.sub(r"^--[a-z][a-z-]*", lambda name: "--" + name[0][2:].replace("-", "_"), word) for word in arguments]


def call(function: Callable, arguments: Sequence[str], verb: str) -> None:
    """Call a function with its parameters read from a command line."""
    from jsonargparse import auto_cli

    auto_cli(function, args=underscored(arguments), as_positional=False, prog=f"resgen-tts {verb}")
