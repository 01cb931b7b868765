"""``bugreport``: what is in it, what is not, and that nothing is written that was not shown."""

import json
import os
import sys
from pathlib import Path

import pytest

from resgen_tts.apps.cli import main
from resgen_tts.apps.doctor import bugreport


@pytest.fixture(autouse=True)
def private_place(tmp_path, monkeypatch):
    """A home, folders and variables whose names nobody shall read."""
    home = tmp_path / "home of anna_nobody"
    (home / "voices").mkdir(parents=True)
    (home / "voices" / "my_secret_voice.safetensors").write_bytes(b"no voice")
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("RESGEN_TTS_VOICES", str(home / "voices"))
    monkeypatch.setenv("RESGEN_TTS_API_KEY", "key-that-is-secret")
    monkeypatch.setenv("HF_TOKEN", "token-that-is-secret")
    return home


def test_what_is_shown_is_what_is_written_and_tells_nothing_of_the_user(private_place, capsys):
    assert main(["bugreport", "--quick", "--yes", "-o", "report.json"]) == 0
    shown = capsys.readouterr().out
    written = (private_place / "report.json").read_text(encoding="utf-8")
    assert shown == written
    told = json.loads(written)
    assert told["model"]["name"] == "mini" and len(told["findings"]) > 10
    assert {one["name"]: one["facts"] for one in told["findings"]}["caches"]["saved_voices"] == 1
    names = {
        str(private_place),
        "anna_nobody",
        "secret",
        str(Path.cwd()),
        "/usr",
        "/tmp",
        sys.prefix,
        os.uname().nodename,
    }
    assert not [name for name in names if name in written]
    for value in os.environ.values():
        assert len(value) < 6 or value not in written


@pytest.mark.parametrize(("answer", "is_written"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_whoever_can_be_asked_is_asked(private_place, capsys, monkeypatch, answer, is_written):
    class Terminal:
        isatty = staticmethod(lambda: True)
        readline = staticmethod(lambda: answer)

    monkeypatch.setattr(sys, "stdin", Terminal)
    monkeypatch.setattr(bugreport, "collect", lambda **_: {"a": 1})
    assert main(["bugreport"]) == 0
    said = capsys.readouterr()
    assert '"a": 1' in said.out and "Write it? [y/N]" in said.err
    assert (private_place / "resgen-tts-report.json").exists() == is_written


def test_without_anybody_to_ask_nothing_is_written(private_place, capsys, monkeypatch):
    monkeypatch.setattr(bugreport, "collect", None)
    assert main(["bugreport"]) == 2
    assert "USAGE: nobody can be asked" in capsys.readouterr().err
    (private_place / "report.json").touch()
    assert main(["bugreport", "--yes", "-o", "report.json"]) == 2
    assert "OUTPUT_EXISTS" in capsys.readouterr().err
    assert main(["bugreport", "--yes", "--force", "-o", "no/report.json"]) == 2
    assert "OUTPUT_FOLDER_MISSING" in capsys.readouterr().err


def test_a_model_that_is_damaged_can_be_reported(monkeypatch, tmp_path):
    from resgen_tts.apps.weights import bundled

    monkeypatch.setattr(bundled, "bundled_folder", lambda name: tmp_path / name)
    told = bugreport.collect(is_quick=True)
    assert told["model"] == {"code": "MODEL_MISSING"}
    assert [one["facts"] for one in told["findings"] if one["name"] == "model"] == [{"code": "MODEL_MISSING"}]
