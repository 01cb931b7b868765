"""``completion``: a script by which bash, zsh or fish completes verbs, options and values, made of the real parsers."""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NoReturn, get_args, get_origin

from resgen_tts.apps.options import Parser

ABOUT = "Print what lets a shell complete verbs, options and values; it takes some seconds, so keep it in a file."
WHERE = {
    "bash": "resgen-tts completion bash > ~/.local/share/bash-completion/completions/resgen-tts",
    "zsh": "resgen-tts completion zsh > ~/.zfunc/_resgen-tts   (a folder of fpath, before compinit)",
    "fish": "resgen-tts completion fish > ~/.config/fish/completions/resgen-tts.fish",
}
FILES, VOICES, NOTHING = "files", "voices", "nothing"  # what a value is completed with, beside a list of words
_PLAIN = re.compile(r"[\w.:,+-]+")  # what needs no quotes in any of the shells


@dataclass
class Place:
    """A verb, or a verb and its task: what can follow.

    Attributes:
        options: by their names, what their value is completed with; None where they have none.
        positional: what stands without an option.
        tasks: words one of which follows at once.
    """

    options: dict[str, str | list[str] | None] = field(default_factory=dict)
    positional: str | list[str] = NOTHING
    tasks: list[str] = field(default_factory=list)


def completion(arguments: list[str]) -> None:
    """Print the script of a shell."""
    known = Parser(
        prog="resgen-tts completion", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["for example:", *(f"  {line}" for line in WHERE.values())]),
    )  # fmt: skip
    known.add_argument("shell", choices=sorted(WHERE))
    shell = known.parse_args(arguments).shell
    sys.stdout.write(SCRIPTS[shell](read_places()))


def read_places() -> dict[tuple[str, ...], Place]:
    """What can follow each verb, and each of its tasks, by the words that lead there."""
    from resgen_tts.apps.bench.schemes import WHAT
    from resgen_tts.apps.cli import VERBS
    from resgen_tts.apps.training.train import TRAINERS

    first_words = {"train": list(TRAINERS), "bench": list(WHAT)}  # read before there is a parser
    places: dict[tuple[str, ...], Place] = {}
    for verb in VERBS:
        if verb in first_words:
            places[(verb,)] = Place(tasks=first_words[verb])
            for word in first_words[verb]:
                places |= _places((verb, word), caught_parser(verb, [word]))
        else:
            places |= _places((verb,), caught_parser(verb, []))
    return places


def caught_parser(verb: str, words: list[str]) -> argparse.ArgumentParser:
    """The parser that a verb reads its words with: the one that is asked for help when help is asked for."""
    from resgen_tts.apps.cli import call_verb

    def show(parser: argparse.ArgumentParser, _file: object = None) -> NoReturn:
        raise _Caught(parser)

    usual = argparse.ArgumentParser.print_help
    try:
        argparse.ArgumentParser.print_help = show  # type: ignore[method-assign, assignment]
        call_verb(verb, [*words, "--help"])
    except _Caught as caught:
        return caught.parser
    finally:
        argparse.ArgumentParser.print_help = usual  # type: ignore[method-assign]
    raise AssertionError(f"{verb} {' '.join(words)} has no help")


class _Caught(BaseException):
    """Carries a parser past whatever would handle an error."""

    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser


def _places(words: tuple[str, ...], parser: argparse.ArgumentParser) -> dict[tuple[str, ...], Place]:
    place = Place()
    found = {words: place}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            place.tasks = list(action.choices)
            for task, inner in action.choices.items():
                found |= _places((*words, task), inner)
        elif action.option_strings:
            value = None if action.nargs == 0 else _value(action)
            place.options |= dict.fromkeys(action.option_strings, value)
        else:
            place.positional = _value(action)
    if words[0] == "voice" and words[-1] in ("show", "remove"):
        place.positional = VOICES
    return found


def _value(action: argparse.Action) -> str | list[str]:
    """What an option's value, or a positional, is completed with."""
    if action.dest in _KNOWN_VALUES:
        return _KNOWN_VALUES[action.dest]()
    if action.choices is not None:
        return _plain(map(str, action.choices))
    kind = getattr(action, "_typehint", action.type)  # jsonargparse has types of its own
    kinds = get_args(kind) if get_origin(kind) is not Literal else (kind,)
    for one in kinds or (kind,):
        if get_origin(one) is Literal:
            return _plain(map(str, get_args(one)))
    if bool in (kind, *kinds):
        return ["true", "false"]
    if kind in (int, float) or (kinds and set(kinds) <= {int, float, type(None)}):
        return NOTHING
    return FILES


def _plain(words: Iterable[str]) -> list[str]:
    """Those that no shell takes apart."""
    return [word for word in words if _PLAIN.fullmatch(word)]


def _formats() -> list[str]:
    from resgen_tts.speech.audio.encode import FORMATS

    return list(FORMATS)


_KNOWN_VALUES: dict[str, Callable[[], str | list[str]]] = {
    "voice": lambda: VOICES,
    "format": _formats,
    "device": lambda: ["auto", "cpu", "cuda"],
    "watermark": lambda: ["perth", "none"],
    **dict.fromkeys(("text", "ref_text", "name", "revision", "sha256", "host", "api_key"), lambda: NOTHING),
}
_LIST_VOICES = "resgen-tts voice list 2>/dev/null | cut -f1 | cut -d' ' -f1"


def _verbs(places: dict[tuple[str, ...], Place]) -> list[str]:
    return [words[0] for words in places if len(words) == 1]


def _grouped(place: Place) -> list[tuple[str, str | list[str]]]:
    """Options that are completed alike, as a pattern of ``case``, and with what."""
    groups: dict[str, tuple[list[str], str | list[str]]] = {}
    for name, value in place.options.items():
        if value is not None:
            groups.setdefault(str(value), ([], value))[0].append(name)
    return [("|".join(names), value) for names, value in groups.values()]


def _cases(places: dict[tuple[str, ...], Place], say: Callable[[str | list[str]], str]) -> Iterator[str]:
    """The branches of ``case "$place"``, alike in bash and zsh.

    Args:
        say: the command that offers FILES, VOICES, NOTHING or a list of words.
    """
    for words, place in places.items():
        yield f'    "{" ".join(words)}")'
        if place.options:
            yield '        case "$previous" in'
            for pattern, value in _grouped(place):
                yield f"        {pattern}) {say(value)}; return ;;"
            yield "        esac"
            yield f'        if [[ "$current" == -* ]]; then {say(list(place.options))}; return; fi'
        yield f"        {say(place.tasks or place.positional)} ;;"


def bash_script(places: dict[tuple[str, ...], Place]) -> str:
    """For bash 4.4 or newer."""

    def say(value: str | list[str]) -> str:
        if value == FILES:
            return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current")'
        if value == NOTHING:
            return ":"
        words = f"$({_LIST_VOICES})" if value == VOICES else " ".join(value)
        return f'mapfile -t COMPREPLY < <(compgen -W "{words}" -- "$current")'

    lines = [
        "# Completion of resgen-tts; written by: resgen-tts completion bash",
        "_resgen_tts() {",
        '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}"',
        '    local place="${COMP_WORDS[1]}"',
        "    COMPREPLY=()",
        "    # Bash takes --option=value apart at the sign.",
        '    if [[ "$current" == "=" ]]; then current=""; elif [[ "$previous" == "=" ]]; then',
        '        previous="${COMP_WORDS[COMP_CWORD - 2]}"',
        "    fi",
        f"    if ((COMP_CWORD == 1)); then {say([*_verbs(places), '--help', '--version'])}; return; fi",
        '    if ((COMP_CWORD > 2)); then case "$place ${COMP_WORDS[2]}" in',
        f'    {_tasks(places)}) place="$place ${{COMP_WORDS[2]}}" ;;',
        "    esac; fi",
        '    case "$place" in',
        *_cases(places, say),
        "    esac",
        "}",
        "complete -F _resgen_tts resgen-tts",
    ]
    return "\n".join(lines) + "\n"


def zsh_script(places: dict[tuple[str, ...], Place]) -> str:
    """For zsh with compinit."""

    def say(value: str | list[str]) -> str:
        if value in (FILES, NOTHING):
            return "_files" if value == FILES else ":"
        words = f'${{(f)"$({_LIST_VOICES})"}}' if value == VOICES else " ".join(value)
        return f"compadd -- {words}"

    lines = [
        "#compdef resgen-tts",
        "# Completion of resgen-tts; written by: resgen-tts completion zsh",
        "_resgen_tts() {",
        '    local current="${words[CURRENT]}" previous="${words[CURRENT - 1]}" place="${words[2]}"',
        '    if [[ "$current" == --*=* ]]; then',
        '        previous="${current%%=*}"; current="${current#*=}"; compset -P "*="',
        "    fi",
        f"    if ((CURRENT == 2)); then {say([*_verbs(places), '--help', '--version'])}; return; fi",
        '    if ((CURRENT > 3)); then case "$place ${words[3]}" in',
        f'    {_tasks(places)}) place="$place ${{words[3]}}" ;;',
        "    esac; fi",
        '    case "$place" in',
        *_cases(places, say),
        "    esac",
        "}",
        'if [[ "$funcstack[1]" == _resgen-tts ]]; then _resgen_tts "$@"; else compdef _resgen_tts resgen-tts; fi',
    ]
    return "\n".join(lines) + "\n"


def _tasks(places: dict[tuple[str, ...], Place]) -> str:
    """The places of two words, as a pattern of ``case``."""
    return "|".join(f'"{" ".join(words)}"' for words in places if len(words) == 2)


def fish_script(places: dict[tuple[str, ...], Place]) -> str:
    """For fish 3.1 or newer."""
    from resgen_tts.apps.cli import VERBS

    def value_words(value: str | list[str] | None) -> str:
        if value is None:
            return ""
        if value in (FILES, NOTHING):
            return " -r -F" if value == FILES else " -x"
        return f" -x -a '({_quoted(_LIST_VOICES)})'" if value == VOICES else f" -x -a '{' '.join(value)}'"

    lines = [
        "# Completion of resgen-tts; written by: resgen-tts completion fish",
        "function __resgen_tts_at",
        "    set -l said (commandline -opc)",
        "    set -l last (math (count $argv) + 1)",
        '    test (count $said) -ge $last; and test "$said[2..$last]" = "$argv"',
        "end",
        "complete -c resgen-tts -f",
        *(
            f"complete -c resgen-tts -n __fish_use_subcommand -a {verb} -d '{_quoted(VERBS[verb].about)}'"
            for verb in _verbs(places)
        ),
    ]
    for words, place in places.items():
        start = f"complete -c resgen-tts -n '__resgen_tts_at {' '.join(words)}'"
        if place.tasks:
            none_yet = " ".join(["not __fish_seen_subcommand_from", *place.tasks])
            condition = f"__resgen_tts_at {words[0]}; and {none_yet}"
            lines.append(f"complete -c resgen-tts -n '{condition}' -a '{' '.join(place.tasks)}'")
        elif place.positional != NOTHING:
            lines.append(start + value_words(place.positional).replace(" -r -F", " -F").replace(" -x", ""))
        for name, value in place.options.items():
            kind = "l" if name.startswith("--") else "s"
            lines.append(f"{start} -{kind} {name.lstrip('-')}{value_words(value)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Inside single quotes of fish."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


SCRIPTS = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
