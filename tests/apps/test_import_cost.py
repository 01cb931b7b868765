"""Importing the package costs next to nothing: nothing of other people's is loaded, and names when asked for."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import resgen_tts

ROOT = Path(__file__).resolve().parents[2]
BOUND_SECONDS = 0.3
MEASURE = """
import json, sys, time
before = set(sys.modules)
start = time.perf_counter()
{line}
seconds = time.perf_counter() - start
print(json.dumps({{"seconds": seconds, "modules": sorted(set(sys.modules) - before)}}))
"""


def imported(line):
    """Seconds that a line takes in a fresh interpreter, and the modules that it loads."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(line=line)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    return told["seconds"], told["modules"]


def foreign(modules):
    """Those that are neither ours nor Python's own."""
    known = {*sys.stdlib_module_names, "resgen_tts"}
    return {name.split(".")[0] for name in modules} - known


def test_the_package_is_imported_in_a_moment_and_alone(capsys):
    runs = [imported("import resgen_tts") for _ in range(3)]
    seconds = min(seconds for seconds, _ in runs)  # of a busy machine the quickest run is what the import costs
    with capsys.disabled():
        sys.stdout.write(f" [import resgen_tts: {1000 * seconds:.1f} ms] ")
    assert seconds < BOUND_SECONDS
    for _, modules in runs:
        assert foreign(modules) == set()
        assert [name for name in modules if name.startswith("resgen_tts")] == ["resgen_tts"]
        assert len(modules) < 40, modules


@pytest.mark.parametrize("line", ["from resgen_tts import ResGenError", "from resgen_tts.apps import cli"])
def test_errors_and_the_table_of_verbs_need_no_other_library(line):
    assert foreign(imported(line)[1]) == set()


def test_every_public_name_is_there_listed_and_typed():
    assert set(resgen_tts.__all__) <= set(dir(resgen_tts))
    for name in set(resgen_tts.__all__) - {"__version__"}:
        assert getattr(resgen_tts, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'TTSS'"):
        _ = resgen_tts.TTSS
    [guarded] = [
        node
        for node in ast.parse(Path(resgen_tts.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.If)
    ]
    homes = {alias.name: node.module for node in guarded.body for alias in node.names}
    assert homes == {name: f"resgen_tts.{home}" for name, home in resgen_tts._HOME_OF.items()}
    assert set(homes) == set(resgen_tts.__all__) - {"__version__"}


def test_the_package_says_that_it_is_typed():
    assert (Path(resgen_tts.__file__).parent / "py.typed").is_file()
