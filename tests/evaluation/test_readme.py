"""The commands that the READMEs give for evaluation: every verb and every option of them exists."""

import re
from pathlib import Path

import pytest

from resgen_tts.apps.cli import VERBS, main

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    (verb, frozenset(re.findall(r"--[a-z_]+", line)))
    for page in (ROOT / "README.md", ROOT / "resgen_tts" / "evaluation" / "README.md")
    for line in re.sub(r" \\\n", " ", page.read_text(encoding="utf-8")).splitlines()
    for verb, line in re.findall(r"resgen-tts (protocol|score|score-images|synthesize-list) ([^#`&]*)", line)
]
ELSEWHERE = {"score": {"--compare", "--seeds", "--other_system"}}  # of the parser that compares, tested beside it


@pytest.mark.parametrize("verb", sorted({verb for verb, _ in COMMANDS}))
def test_every_option_of_a_command_exists(verb, capsys):
    assert verb in VERBS
    assert main([verb, "--help"]) == 0
    known = set(re.findall(r"--[a-z_]+", capsys.readouterr().out)) | ELSEWHERE.get(verb, set())
    used = set().union(*(options for name, options in COMMANDS if name == verb))
    assert used and used <= known, used - known
