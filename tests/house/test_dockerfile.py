"""The container's recipe: what it copies is there and let in, and what it starts is a command line that is taken."""

import fnmatch
import re
import shlex
from pathlib import Path

import pytest

from resgen_tts.apps.serving.serve import parser

ROOT = Path(__file__).resolve().parents[2]
TEXT = re.sub(r"\\\n", " ", (ROOT / "tools" / "Dockerfile").read_text(encoding="utf-8"))


def lines(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in TEXT.splitlines() if line.startswith(f"{word} ")]


def test_what_is_copied_is_there_and_not_kept_out():
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    sources = [source for line in lines("COPY") for source in line.split()[:-1]]
    assert "resgen_tts" in sources and "pyproject.toml" in sources
    for source in sources:
        assert (ROOT / source).exists() and any(fnmatch.fnmatch(source, pattern) for pattern in let_in), source


def test_what_it_starts_is_a_command_line_that_is_taken():
    (entry,) = lines("ENTRYPOINT")
    program, verb, *options = [word.strip('",[] ') for word in shlex.split(entry.replace(",", " "))]
    assert (program.strip("["), verb) == ("resgen-tts", "serve")
    taken = parser().parse_args([option.rstrip("]") for option in options])
    assert taken.host == "0.0.0.0"  # noqa: S104 (in a container, which wants a key all the same)


def test_it_runs_as_nobody_in_particular():
    users = lines("USER")
    assert users and users[-1] != "root"
    assert TEXT.index("USER ") < TEXT.index("ENTRYPOINT")


@pytest.mark.parametrize("extra", re.findall(r'"\.\[(\w+)\]"', TEXT))
def test_its_extra_exists(extra):
    assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
