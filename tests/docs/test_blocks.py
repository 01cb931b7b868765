"""Blocks of code in the pages: each is run, or a marker above it says that it is only parsed, and why.

``<!-- checked: parsed, it trains for hours -->`` above a block means: bash reads it, every program of it takes its
words, Python compiles it and finds what it imports. Without a marker a block is run: see test_blocks_run.py.
"""

import ast
import importlib
import json
import subprocess

import pytest
import yaml

from tests.docs.command_lines import commands_of
from tests.docs.markdown import ROOT, Block, pages
from tests.docs.programs import complaint

PLAIN = ("", "text")  # trees and output: nothing to copy
BLOCKS = [block for page in pages() for block in page.blocks]


def faults(block: Block) -> list[str]:
    """What is wrong with a block, as far as it can be known without running it."""
    check = {"bash": _bash, "python": _python, "yaml": _yaml, "json": _json}.get(block.language)
    if check is None:
        return [] if block.language in PLAIN else [f"nothing checks a block of {block.language}"]
    return check(block.code)


def _bash(code: str) -> list[str]:
    read = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False)
    if read.returncode:
        return [read.stderr]
    return [f"{' '.join(command.words)}: {said}" for command in commands_of(code) if (said := complaint(command.words))]


def _python(code: str) -> list[str]:
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        return [str(error)]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            found += [f"{node.module} has no {one.name}" for one in node.names if not hasattr(module, one.name)]
        elif isinstance(node, ast.Import):
            for one in node.names:
                importlib.import_module(one.name)
    return found


def _yaml(code: str) -> list[str]:
    return [] if isinstance(yaml.safe_load(code), dict | list) else ["neither a mapping nor a list"]


def _json(code: str) -> list[str]:
    json.loads(code)
    return []


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    """Paths of the pages start from the checkout."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_sound(block):
    assert faults(block) == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_that_is_not_run_says_why(block):
    assert block.how in ("run", "parsed"), f"{block.place}: unknown marker {block.how!r}"
    if block.how == "parsed":
        assert len(block.why.split()) >= 3, f"{block.place}: the marker gives no reason"


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", "resgen-tts synth --text hello --bogus 1 --output a.wav\n"),
        ("bash", "resgen-tts synth --text hello --text-file t.txt --output a.wav\n"),
        ("bash", "resgen-tts sing --text hello\n"),
        ("bash", "bash egs/mini/run.sh --smokes\n"),
        ("bash", "bash tools/nothing.sh\n"),
        ("bash", "python tools/cross_items.py --prompt a --texts b --output c\n"),
        ("bash", "M=mini\nresgen-tts voice list --model $M --nothing\n"),
        ("bash", "resgen-tts train generator --data d --output e --train.stepz 3\n"),
        ("bash", "if true; then\n"),
        ("bash", "frobnicate me.wav\n"),
        ("python", "from resgen_tts import TTX\n"),
        ("python", "tts(\n"),
        ("yaml", "just words\n"),
        ("fortran", "PRINT *, 1\n"),
    ],
)
def test_what_is_wrong_is_noticed(language, code):
    assert faults(Block(None, language, code, 1)) != []


def test_commands_are_read_as_bash_reads_them():
    code = (
        "E=exp/base  # a folder\n"
        'resgen-tts synth --text "two words; and | a pipe" \\\n  --output $E/a.wav > log.txt 2>&1 && echo done\n'
        "printf 'one\ntwo\n' | resgen-tts synth --text-file - --output=- # to a pipe\n"
        "for name in lj rms; do resgen-tts voice show $name; done\n"
        "cat > a.txt <<'END'\nresgen-tts nothing\nEND\n"
        "source <(resgen-tts completion bash); (cd ..)\n"
        "RESGEN_TTS_VOICES=here resgen-tts voice list ...\n"
    )
    assert [command.words for command in commands_of(code)] == [
        ("resgen-tts", "synth", "--text", "two words; and | a pipe", "--output", "exp/base/a.wav"),
        ("echo", "done"),
        ("printf", "one\ntwo\n"),
        ("resgen-tts", "synth", "--text-file", "-", "--output=-"),
        ("resgen-tts", "voice", "show", "lj"),
        ("cat",),
        ("source",),
        ("resgen-tts", "completion", "bash"),
        ("cd", ".."),
        ("resgen-tts", "voice", "list"),
    ]
