#!/usr/bin/env python3
"""Write resgen_tts/docs/api.md: the public names of the package, from their own docstrings and signatures.

  python tools/make_api_reference.py            # write it
  python tools/make_api_reference.py --check    # exit status 1 where it is not what the source gives

Annotations and defaults are printed as they are written in the source.
"""

import argparse
import ast
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "resgen_tts" / "docs" / "api.md"
# What the calls of the public names take and give besides.
ALSO = (
    "resgen_tts.core.sampler_config:SamplerConfig",
    "resgen_tts.speech.length:LengthConfig",
    "resgen_tts.speech.long_text:LongTextConfig",
    "resgen_tts.speech.reference:ReferenceConfig",
    "resgen_tts.speech.self_check:SelfCheckConfig",
    "resgen_tts.speech.narration:SpeechRequest",
    "resgen_tts.apps.provenance.facts:Provenance",
)
ERRORS = "resgen_tts.common.errors"
HEAD = """\
<!-- checked: all blocks parsed, they are signatures -->
<!-- written by tools/make_api_reference.py -->

# Python

What `resgen_tts` promises to keep. Everything else may move between versions.

```python
from resgen_tts import {names}
```

Importing the package loads neither torch nor an audio library; the first use of a name does.
"""
_SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Source")
_QUOTES = "'\""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def reference() -> str:
    """The whole page."""
    package = importlib.import_module("resgen_tts")
    names = [name for name in package.__all__ if not name.startswith("__")]
    parts = [HEAD.format(names=", ".join(names))]
    parts += [_of_class(getattr(package, name)) for name in names]
    parts += ["# What the calls take and give\n"]
    for place in ALSO:
        module, name = place.split(":")
        found = getattr(importlib.import_module(module), name)
        if name not in names:
            parts.append(_of_class(found, f"from {module} import {name}"))
    parts.append(_errors())
    return "\n".join(parts).rstrip() + "\n"


def _of_class(kind: type, how: str = "") -> str:
    node = _source(kind)
    bases = [base.__name__ for base in kind.__bases__ if base.__module__.startswith("resgen_tts")]
    lines = [f"## {kind.__name__}", ""]
    lines += [f"`{how}`", ""] if how else []
    lines += [f"Everything of {', '.join(f'[{base}](#{base.lower()})' for base in bases)}, and:", ""] if bases else []
    lines += [*_rendered(ast.get_docstring(node) or ""), ""]
    if fields := _fields(node, inspect.getsource(inspect.getmodule(kind)).splitlines()):
        lines += ["```python", f"class {kind.__name__}:", *(f"    {field}" for field in fields), "```", ""]
    for function in node.body:
        is_shown = isinstance(function, Function) and not function.name.startswith("_")
        if is_shown or getattr(function, "name", "") == "__call__":
            lines += _of_function(function)
    return "\n".join(lines)


def _source(kind: type) -> ast.ClassDef:
    tree = ast.parse(Path(inspect.getsourcefile(kind)).read_text(encoding="utf-8"))
    return next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == kind.__name__)


def _fields(node: ast.ClassDef, source: list[str]) -> list[str]:
    """The fields of a dataclass as they are written, with what is said beside them."""
    if not any("dataclass" in ast.unparse(one) for one in node.decorator_list):
        return []
    lines = []
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and not ast.unparse(field.target).startswith("_"):
            lines += [source[number].strip() for number in range(field.lineno - 1, field.end_lineno)]
    return lines


def _of_function(function: Function) -> list[str]:
    """Heading, signature and docstring; a property is told as a value."""
    kinds = [ast.unparse(one) for one in function.decorator_list]
    name = "tts(...)" if function.name == "__call__" else function.name
    returns = "" if function.returns is None else f" -> {ast.unparse(function.returns).strip(_QUOTES)}"
    if "property" in kinds:
        return [f"### {name}", "", *_signature(f"{name}:{returns[3:]}", ""), *_doc(function)]
    text = f"def {function.name}({_arguments(function.args)}){returns}: ..."
    if len(text) > 100:
        inside = "".join(f"    {one},\n" for one in _argument_list(function.args))
        text = f"def {function.name}(\n{inside}){returns}: ..."
    above = "".join(f"@{kind}\n" for kind in kinds if kind in ("classmethod", "staticmethod"))
    return [f"### {name}", "", *_signature(text, above), *_doc(function)]


def _signature(text: str, above: str) -> list[str]:
    return ["```python", *(above + text).splitlines(), "```", ""]


def _doc(function: Function) -> list[str]:
    return [*_rendered(ast.get_docstring(function) or ""), ""]


def _arguments(arguments: ast.arguments) -> str:
    return ", ".join(_argument_list(arguments))


def _argument_list(arguments: ast.arguments) -> Iterator[str]:
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    for one, default in zip(plain, defaults, strict=True):
        yield _argument(one, default)
    if arguments.vararg:
        yield f"*{_argument(arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _argument(one, default)
    if arguments.kwarg:
        yield f"**{_argument(arguments.kwarg, None)}"


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    kind = "" if one.annotation is None else f": {_code(one.annotation)}"
    given = "" if default is None else (" = " if kind else "=") + _code(default)
    return one.arg + kind + given


def _code(node: ast.expr) -> str:
    """An expression as it is written here: strings in double quotation marks."""
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return json.dumps(node.value, ensure_ascii=False) if is_text else ast.unparse(node)


def _rendered(doc: str) -> list[str]:
    """A docstring as Markdown: its sections become lists."""
    lines: list[str] = []
    inside = ""
    for line in doc.splitlines():
        section = re.fullmatch(rf"({'|'.join(_SECTIONS)}):(?: (.+))?", line)
        if section:
            inside = section[1]
            lines += [""] * bool(lines and lines[-1])
            lines += [f"**{inside}**" + (f": {_text(section[2])}" if section[2] else ""), ""]
        elif inside and (entry := re.fullmatch(r" {4}([\w*][\w*, .]*?): (.+)", line)):
            lines.append(f"* `{entry[1]}`: {_text(entry[2])}")
        elif inside and line.startswith(" " * 4):
            lines.append(("  " if lines[-1].startswith(("* ", "  ")) else "") + _text(line.strip()))
        else:
            inside = inside if not line.strip() else ""
            lines.append(_text(line))
    return lines


def _text(line: str) -> str:
    """Sphinx's marks as Markdown's; what looks like a tag or a link stays what it is."""
    line = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", line)
    return line.replace("``", "`")


def _errors() -> str:
    """The table of error classes."""
    module = importlib.import_module(ERRORS)
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == ERRORS]
    kinds.sort(key=lambda kind: _source(kind).lineno)
    about = {kind: _text((kind.__doc__ or "").splitlines()[0]) for kind in kinds}
    rows = [f"| `{one.__name__}` | {about[one]} | `{one.default_code}` | {one.exit_code} |" for one in kinds]
    return "\n".join([
        "# Errors", "",
        f"All are in `{ERRORS}`, and all are `ResGenError`s: to catch that one is enough. `error.code` tells",
        "them apart; [what each code means and what to do](troubleshooting.md).", "",
        "| class | for | its code where none is said | exit status |", "|---|---|---|---|", *rows,
    ])  # fmt: skip


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    page = reference()
    if options.check:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
            return 0
        sys.stderr.write(f"{PAGE.relative_to(ROOT)} is not what the source gives; run: python {sys.argv[0]}\n")
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
