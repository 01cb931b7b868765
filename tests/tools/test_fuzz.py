"""Fuzzing finds what is planted, keeps it, and what it has found stays mended."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools import fuzz, fuzz_targets

FOUND = sorted(path for path in fuzz.FINDINGS.iterdir() if path.suffix != ".md")


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_stays_mended(path, tmp_path):
    _, check = fuzz_targets.TARGETS[path.name.split("-")[0]]
    check(path.read_bytes(), tmp_path)


@pytest.mark.parametrize("target", sorted(fuzz_targets.TARGETS))
def test_some_inputs_of_every_target_pass(target, tmp_path):
    strategy, check = fuzz_targets.TARGETS[target]
    outcomes = set()

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(content=strategy())
    def passes(content):
        outcomes.add(check(content, tmp_path))

    passes()
    assert len(outcomes) >= 3  # the inputs are of several sorts


@pytest.mark.parametrize(
    ("target", "name", "planted"),
    [
        ("loader", "load_audio", "resgen_tts.speech.audio.load"),
        ("normalizer", "normalize", "resgen_tts.speech.text.normalize"),
        ("manifest", "read_rows", "recipes.corpora.tables"),
    ],
)
def test_a_mistake_is_found(target, name, planted, tmp_path, monkeypatch):
    """What raises anything but the errors that are promised; and a result that is not what is promised."""
    import importlib

    def wrong(*arguments, **options):
        raise ZeroDivisionError("planted")

    module = importlib.import_module(planted)
    monkeypatch.setattr(module, name, wrong)
    _, check = fuzz_targets.TARGETS[target]
    with pytest.raises(ZeroDivisionError):
        check(b"some words", tmp_path)


def test_the_shortest_input_of_a_fault_is_kept(tmp_path, monkeypatch):
    def check(content: bytes, folder: Path) -> str:
        assert b"\xff" not in content, "planted"
        return "fine"

    monkeypatch.setitem(fuzz_targets.TARGETS, "loader", (lambda: st.binary(max_size=50), check))
    assert fuzz.work("loader", 0, tmp_path) == 0
    report = fuzz.read_report(tmp_path)
    assert "planted" in report["fault"] and report["outcomes"]["fine"] > 0
    assert (tmp_path / "input").read_bytes() == b"\xff"


def test_a_run_writes_what_it_finds_and_says_so(tmp_path, monkeypatch, capsys):
    """With a worker that dies on its input, and one that never ends."""
    worker = "import pathlib, sys, os, time; f = pathlib.Path(sys.argv[-1]); (f / 'input').write_bytes(b'deadly'); "
    for end, said in (("os.abort()", "SIGABRT"), ("time.sleep(60)", "no end")):
        script = tmp_path / "worker.py"
        script.write_text(worker + end)
        monkeypatch.setattr(fuzz, "__file__", str(script))
        monkeypatch.setattr(fuzz, "HANGS_SECONDS", 0.5)
        assert fuzz.main(["loader", "--minutes", "0.005", "--findings", str(tmp_path / "found")]) == 1
        assert said in capsys.readouterr().out
    (kept,) = (tmp_path / "found").iterdir()
    assert kept.name.startswith("loader-") and kept.read_bytes() == b"deadly"


def test_a_worker_that_cannot_start_is_no_finding(tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(fuzz, "__file__", str(tmp_path / "worker.py"))
    with pytest.raises(RuntimeError, match="status 3"):
        fuzz.main(["loader", "--minutes", "0.005", "--findings", str(tmp_path / "found")])
    assert not (tmp_path / "found").exists()


@pytest.mark.slow
def test_the_tool_runs(tmp_path):
    import subprocess

    done = subprocess.run(
        [sys.executable, str(Path(fuzz.__file__)), "manifest", "--minutes", "0.02", "--findings", str(tmp_path / "f")],
        capture_output=True, text=True, timeout=120, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 findings" in done.stdout and "read" in done.stdout
