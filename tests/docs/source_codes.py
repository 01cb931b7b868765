"""The codes of errors, warnings and skipped items in the source: every upper-case name with an underscore is one.

A scan for ``code=`` alone would miss what goes through a table or a helper. So each string of that shape counts, and
what is none stands in NOT_CODES by name. Codes of one word (USAGE) are found where they are given as a code.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("resgen_tts", "recipes", "tools")
CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
# A code at the beginning of what is told: "AUDIO_SHORT: me.wav is ...".
TOLD = re.compile(rf"({CODE.pattern}): ")
# The names of arguments and class variables that hold a code.
HOLDERS = ("code", "default_code", "reason")

NOT_CODES = {
    # libsndfile's names of sample formats
    "PCM_16", "IMA_ADPCM", "MS_ADPCM",
    # a container's first bytes
    "NIST_1A",
    # what the system is asked
    "SC_CLK_TCK",
    # variables of the environment that a child process is given
    "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LC_ALL",
    "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX",
    # what a machine is asked
    "SC_PAGE_SIZE", "SC_PHYS_PAGES",
}  # fmt: skip
# Our own variables of the environment, a kind that is told by its beginning. Those of others are told by where they
# stand: os.environ["X"], os.environ.get("X").
VARIABLE = "RESGEN_TTS_"


@cache
def codes_in_source() -> dict[str, list[str]]:
    """Each code, and the places ``file:line`` where it is written."""
    found: dict[str, list[str]] = defaultdict(list)
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            name = file.relative_to(ROOT)
            for code, line in codes_of(ast.parse(file.read_text(encoding="utf-8"))):
                found[code].append(f"{name}:{line}")
        for file in sorted((ROOT / room).rglob("*.sh")):  # refuse CODE "what"
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                for code in re.findall(r"\brefuse ([A-Z][A-Z_]+) ", line):
                    found[code].append(f"{file.relative_to(ROOT)}:{number}")
    return dict(found)


def codes_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The codes of one module, with their lines."""
    exports = {id(inner) for node in tree.body for inner in _export_names(node)}
    docs = {id(node.body[0].value) for node in ast.walk(tree) if _has_doc(node)}
    asked = {id(name) for node in ast.walk(tree) if (name := _asked_of_environment(node)) is not None}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exports | docs | asked:
            if CODE.fullmatch(node.value):
                if node.value not in NOT_CODES and not node.value.startswith(VARIABLE):
                    yield node.value, node.lineno
            elif told := TOLD.match(node.value):
                yield told[1], node.lineno
        for value in _held(node):
            for inner in ast.walk(value):
                if isinstance(inner, ast.Constant) and re.fullmatch(r"[A-Z][A-Z0-9]+", str(inner.value)):
                    yield inner.value, inner.lineno


def _held(node: ast.AST) -> list[ast.expr]:
    """The values where a code of one word may stand: code="USAGE", default_code = "INTERRUPTED"."""
    if isinstance(node, ast.keyword) and node.arg in HOLDERS:
        return [node.value]
    if isinstance(node, ast.Assign):
        return [node.value for one in node.targets if isinstance(one, ast.Name) and one.id in HOLDERS]
    return []


def _export_names(node: ast.stmt) -> list[ast.Constant]:
    """The strings of ``__all__``."""
    if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets):
        return [inner for inner in ast.walk(node.value) if isinstance(inner, ast.Constant)]
    return []


def _asked_of_environment(node: ast.AST) -> ast.expr | None:
    """The name of the variable, where one is read or set."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
        return node.slice
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).startswith(("os.environ.", "os.getenv")):
        return node.args[0]
    return None


def _has_doc(node: ast.AST) -> bool:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None
