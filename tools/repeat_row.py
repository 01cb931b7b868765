"""Make a row of a results log again by the commands that it carries, and compare every figure to the digit.

    python tools/repeat_row.py egs/mini/README.md               # the last row
    python tools/repeat_row.py egs/mini/README.md --row 0 --work /tmp/again

The commands run in the current folder, which must be the one that the row was made in (for a recipe any), and write
into ``--work`` instead of where they wrote then: what follows ``--output`` becomes a folder of it, and so does every
later word that lay there; a recipe gets ``--expdir`` and ``--datadir``. No shell is started, and no commit is checked
out: where HEAD is another commit than the row's, a warning says so. Figures that a clock has measured are not compared.
Exit status: 0, all figures are the same; 2, some differ, and are told, or the commands cannot be run.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from resgen_tts.common.errors import DataError, ResGenError
from resgen_tts.common.run_dir import commit_hash, write_text
from resgen_tts.evaluation.reports.results_log import MEASURED, ResultRow, read_results

LOG = "README.md"  # in the work folder: where the commands log their row
BETWEEN = ("&&", "then")
SCORED_AT = "; scored at "  # between two commits of a row
SHELL_WORDS = ("|", "||", ";", "&", "<", ">", ">>")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def commands_of(row: ResultRow) -> list[list[str]]:
    """The commands of a row, word by word.

    Raises:
        DataError: no command, or one that only a shell can run.
    """
    spans = re.findall(r"`([^`]+)`", row.command)
    if spans:
        remarks = " ".join(re.sub(r"`[^`]+`", " ", row.command).split())
        if remarks not in ("", *BETWEEN):
            say(f"repeat_row: remarks beside the commands are not obeyed: {remarks}")
    try:
        words = shlex.split(" && ".join(spans) if spans else row.command)
    except ValueError as error:
        raise DataError(f"the row's command cannot be read: {error}.") from error
    parts: list[list[str]] = [[]]
    for word in words:
        if word in SHELL_WORDS or word.endswith(";"):
            raise DataError(f"the row's command needs a shell ({word!r}), and none is started here.")
        if word in BETWEEN:
            parts.append([])
        else:
            parts[-1].append(word)
    if not all(parts):
        raise DataError(f"the row's command is not whole: {row.command!r}.")
    return parts


def redirect(parts: Sequence[Sequence[str]], work: Path) -> list[list[str]]:
    """The commands with their outputs in another folder, the last of them logging its row there.

    Raises:
        DataError: a command has no output to redirect, or the last one does not score.
    """
    moved: dict[str, str] = {}  # an output of then: where it goes now
    found = []
    for number, words in enumerate(parts):
        if is_recipe(words):
            found.append([*words, "--expdir", str(work / "exp"), "--datadir", str(work / "data")])
            continue
        outputs = [value for name, value in _options(words) if name == "--output"]
        if not outputs:
            raise DataError(f"{shlex.join(words)!r} has no --output that could be redirected.")
        earlier = dict(moved)
        moved |= {_plain(value): str(work / f"{number}-{Path(value).name}") for value in outputs}
        found.append(_replaced(words, moved, earlier))
    last, log = found[-1], str(work / LOG)
    if is_recipe(last):
        own = [value for name, value in _options(last) if name == "--score_args"]
        found[-1] = [*last, "--score_args", shlex.join([*(shlex.split(own[-1]) if own else []), "--readme", log])]
    elif last[:2] == ["resgen-tts", "score"]:
        found[-1] = [*last, "--readme", log]
    else:
        raise DataError(
            f"the row's last command does not score: {shlex.join(last)!r}.",
            hint="Rows of before results could be repeated carry the command of the synthesis alone.",
        )
    return found


def is_recipe(words: Sequence[str]) -> bool:
    """True for ``bash .../run.sh``."""
    return len(words) > 1 and words[0] == "bash" and Path(words[1]).name == "run.sh"


def run(words: Sequence[str]) -> None:
    """Run one command by the Python and the programs of this environment.

    Raises:
        DataError: it failed.
    """
    say(f"repeat_row: {shlex.join(words)}")
    started = {"resgen-tts": [sys.executable, "-m", "resgen_tts.apps.cli"], "python": [sys.executable]}
    argv = [*started.get(words[0], [words[0]]), *words[1:]]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        done = subprocess.run(argv, env={**os.environ, "PATH": programs}, stdout=sys.stderr, check=False)
    except OSError as error:
        raise DataError(f"{shlex.join(words)!r} cannot be started: {error}.") from error
    if done.returncode:
        raise DataError(f"{shlex.join(words)!r} ended with status {done.returncode}.", code="COMMAND_FAILED")


def repeat(row: ResultRow, work: Path) -> ResultRow:
    """Make a row again in an empty folder.

    Raises:
        DataError: the folder is not empty, or the commands cannot be run or leave no row.
    """
    work = work.resolve()
    if work.exists() and any(work.iterdir()):
        raise DataError(f"{work} is not empty; a row is made again from nothing.", code="OUTPUT_EXISTS")
    commands = redirect(commands_of(row), work)
    write_text(work / LOG, "# A row made again\n")
    for words in commands:
        run(words)
    return read_results(work / LOG)[-1]


def differences(logged: ResultRow, again: ResultRow) -> list[str]:
    """What of the logged figures came out otherwise, one line each."""
    now = again.repeatable
    return [
        f"{name}: logged {value}, now {now.get(name, 'missing')}"
        for name, value in logged.repeatable.items()
        if now.get(name) != value
    ]


def warn_of_commit(row: ResultRow) -> None:
    """Say where the code is not the one that made the row."""
    head = commit_hash()
    commits = row.commit.split(SCORED_AT)  # of synthesis and scoring, where they differ
    if any(one.endswith("+dirty") for one in commits):
        say(f"repeat_row: WARNING: the row was made from uncommitted changes ({row.commit}).")
    if len(commits) > 1:
        say("repeat_row: WARNING: the outputs were made at another commit than they were scored at; one is run here.")
    is_other = any(not head.startswith(one.split()[0] if one.strip() else " ") for one in commits)
    if is_other or head.endswith("+dirty"):
        say(f"repeat_row: WARNING: HEAD is {head}, the row's commit is {row.commit}: differences may be the code's.")


def _options(words: Sequence[str]) -> list[tuple[str, str]]:
    """Every option with the word behind it, or behind its equals sign; dashes inside its name made underscores."""
    found = []
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            following = words[place + 1] if place + 1 < len(words) else ""
            found.append(("--" + name[2:].replace("-", "_"), value if equals else following))
    return found


def _replaced(words: Sequence[str], moved: dict[str, str], earlier: dict[str, str]) -> list[str]:
    """Outputs where they go now; other words where earlier outputs lie now, or as they are."""
    found = []
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if word.startswith("--") and not equals:
            found.append(word)
            continue
        is_output = name == "--output" or (place > 0 and words[place - 1] == "--output")
        path, lead = (value, name + equals) if equals else (word, "")
        found.append(lead + (moved[_plain(path)] if is_output else _moved(path, earlier)))
    return found


def _moved(path: str, earlier: dict[str, str]) -> str:
    """A path, or where it lies now that an output has gone elsewhere; the innermost of several outputs counts."""
    for old in sorted(earlier, key=len, reverse=True):
        if _plain(path) == old:
            return earlier[old]
        if _plain(path).startswith(old + "/"):
            return earlier[old] + _plain(path).removeprefix(old)
    return path


def _plain(path: str) -> str:
    return os.path.normpath(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readme", type=Path, help="a file with a results log")
    parser.add_argument("--row", type=int, default=-1, help="which row, from 0; -1: the last one")
    parser.add_argument("--work", type=Path, help="an empty folder for what the commands write (default: a new one)")
    options = parser.parse_args()
    try:
        rows = read_results(options.readme)
        if not -len(rows) <= options.row < len(rows):
            raise DataError(f"{options.readme} has {len(rows)} rows; there is no row {options.row}.")
        row = rows[options.row]
        warn_of_commit(row)
        work = options.work or Path(tempfile.mkdtemp(prefix="repeat_row-"))
        again = repeat(row, work)
    except ResGenError as error:
        say(f"repeat_row: {error}")
        return 2
    found = differences(row, again)
    for line in found:
        print(line)  # noqa: T201
    measured = sum(name.startswith(MEASURED) for name in row.figures)
    say(
        f"repeat_row: {len(row.repeatable) - len(found)} of {len(row.repeatable)} figures are the same to the digit; "
        f"{measured} that a clock has measured are not compared; {work}"
    )
    return 2 if found else 0


if __name__ == "__main__":
    sys.exit(main())
