"""The programs that the pages name, and their real parsers: a documented command line is parsed as the program would.

Nothing is run: what parses raises as soon as it has parsed.
"""

import argparse
import ast
import contextlib
import importlib
import io
import os
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]

# Programs of others: their options are theirs to check.
FOREIGN = {
    "pip",
    "cd",
    "source",
    "export",
    "mkdir",
    "curl",
    "kill",
    "cat",
    "echo",
    "printf",
    "sleep",
    "docker",
    "rm",
    "tensorboard",
}
# Verbs that take different options by their first words: each way is asked for its options.
WAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "encode": (("FILE",), ("--data", "DIR")),
    "score": ((), ("--compare",), ("--seeds",)),
    "bench": (("schemes",),),
    "train": tuple((part,) for part in (
        "mel_vae", "codec", "vocoder", "aligner", "generator", "image_vae", "image_generator",
    )),
}  # fmt: skip


class _Reached(BaseException):
    """What a parser was given was parsed, or was to be parsed; carries the parser."""

    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser
        super().__init__(parser.prog)


@contextlib.contextmanager
def _stopping(*, before: bool) -> Iterator[None]:
    """Inside, every parser raises _Reached: before it parses, or after it has parsed."""
    import jsonargparse

    with contextlib.ExitStack() as stack:
        for kind in (argparse.ArgumentParser, jsonargparse.ArgumentParser):
            parse = kind.parse_args

            def stop(self, *arguments, _parse=parse, **named):
                if not before:
                    _parse(self, *arguments, **named)
                raise _Reached(self)

            stack.enter_context(mock.patch.object(kind, "parse_args", stop))
        yield


def _call(start: Callable[[], object], *, before: bool) -> tuple[argparse.ArgumentParser | None, str]:
    """(parser, "") where one was reached, else (None, what was said instead)."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            with _stopping(before=before):
                start()
        except _Reached as reached:
            return reached.parser, ""
        except SystemExit as stop:
            said.write(f"(exit status {stop.code})")
    return None, said.getvalue().strip()[-500:]


def complaint(words: Sequence[str]) -> str:
    """What the program says against these words; empty where it takes them."""
    program, *rest = words
    if program in FOREIGN:
        return ""
    if program == "resgen-tts":
        return _complaint_of_verb(rest)
    if program == "python":
        return _complaint_of_python(rest)
    if program == "bash":
        return _complaint_of_script(rest)
    return f"{program} is no program that the pages may name without a check (tests/docs/programs.py)"


def _complaint_of_verb(words: list[str]) -> str:
    from resgen_tts.apps.cli import VERBS, main

    if not words or words[0] in ("--help", "-h", "--version"):
        return ""
    if words[0] not in VERBS:
        return f"resgen-tts has no verb {words[0]!r}"
    if {"--help", "-h"} & set(words):
        return ""
    return _parsed(lambda: main(list(words)), words)


def _parsed(start: Callable[[], object], words: Sequence[str]) -> str:
    """What speaks against these words once ``start`` has them parsed; an option's beginning is not its name."""
    parser, said = _call(start, before=False)
    if parser is None:
        return said or "nothing was parsed"
    known = set(map(plain, _options(parser)))
    cut = [word for word in option_words(shlex.join(words)) if plain(word) not in known | {"--verbose"}]
    return f"{', '.join(cut)}: cut short" if cut else ""


def _complaint_of_python(words: list[str]) -> str:
    if words[:1] == ["-c"]:
        compile(words[1], "python -c", "exec")
        return ""
    name, arguments = (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])
    if words[0] == "-m" and name in ("pytest", "pip", "venv"):
        return ""
    path = ROOT / (name.replace(".", "/") + ".py") if words[0] == "-m" else ROOT / name
    if not path.is_file():
        return f"{name} is not there"
    if {"--help", "-h"} & set(arguments):
        return ""

    def start() -> None:
        own = [str(path.parent), *sys.path]  # a script finds its siblings
        with mock.patch.object(sys, "argv", [str(path), *arguments]), mock.patch.object(sys, "path", own):
            if words[0] == "-m":
                runpy.run_module(name, run_name="__main__", alter_sys=False)
            else:
                runpy.run_path(str(path), run_name="__main__")

    return _parsed(start, arguments)


def _complaint_of_script(words: list[str]) -> str:
    path, arguments = ROOT / words[0], words[1:]
    if not path.is_file():
        return f"{words[0]} is not there"
    if {"--help", "-h"} & set(arguments):
        return ""
    text = path.read_text(encoding="utf-8")
    if recipe := re.search(r"^exec bash .*--corpus (\w+)", text, re.MULTILINE):
        from recipes.stagelib.options import parse
        from recipes.stages import arguments as parser_of_recipes

        given = ["--recipe", str(path.parent), "--corpus", recipe[1], *arguments]
        return _parsed(lambda: parse(parser_of_recipes(), given), given)
    if "exec python -m pytest" in text or "pytest tests/codecs" in text:
        return ""  # its words are pytest's
    unknown = [word for word in arguments if word.startswith("-") and word.split("=")[0] not in text]
    return f"{words[0]} does not know {', '.join(unknown)}" if unknown else ""


@cache
def options_of_verb(verb: str) -> frozenset[str]:
    """Every option of a verb, in whatever way it is called; with underscores as dashes."""
    from resgen_tts.apps.cli import main

    found: set[str] = {"-v"}
    for way in WAYS.get(verb, ((),)):
        parser, said = _call(lambda way=way: main([verb, *way]), before=True)
        if parser is None:
            raise AssertionError(f"resgen-tts {verb} {' '.join(way)} reached no parser: {said}")
        found |= _options(parser)
        found |= {word for word in way if word.startswith("--")}
    return frozenset(map(plain, found))


def _options(parser: argparse.ArgumentParser) -> set[str]:
    found = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= _options(inner)
    return found


@cache
def all_options() -> frozenset[str]:
    """Every option that any program of the project takes."""
    from resgen_tts.apps.cli import VERBS

    found = {"--help", "--version"}
    for verb in VERBS:
        with contextlib.suppress(AssertionError):  # test_every_verb_tells_its_options fails for it, once
            found |= options_of_verb(verb)
    for file in [*ROOT.glob("tools/**/*.py"), *ROOT.glob("recipes/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
                found |= {one.value for one in node.args if isinstance(one, ast.Constant) and str(one.value)[:1] == "-"}
    for corpus in ("mini", "studio", "custom"):
        parser, _ = _call(importlib.import_module(f"recipes.corpora.{corpus}").main, before=True)
        found |= _options(parser) if parser else set()
    from recipes.stages import arguments

    found |= _options(arguments())
    for script in [*ROOT.glob("tools/*.sh"), ROOT / ".ci/run"]:
        found |= set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", script.read_text(encoding="utf-8")))
    return frozenset(map(plain, found))


def plain(option: str) -> str:
    """Options may be written with dashes or underscores."""
    return option if not option.startswith("--") else "--" + option[2:].replace("_", "-")


def option_words(text: str) -> list[str]:
    """The long options in a span of code, without their values."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return [word.split("=")[0] for word in words if re.fullmatch(r"--[A-Za-z][\w.-]*(=.*)?", word, re.DOTALL)]


os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
