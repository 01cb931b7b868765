"""The temporary folder, and those that a killed demo left."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from resgen_tts.apps.demo.workplace import LOCK, workplace

RUN = """
import time
from resgen_tts.apps.demo.workplace import workplace
with workplace() as root:
    print(root, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def parent(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_killed_demos_folder_goes_and_a_running_ones_stays(parent):
    environment = os.environ | {"TMPDIR": str(parent)}
    killed, running = (
        subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    )
    try:
        left, kept = (parent / process.stdout.readline().strip() for process in (killed, running))
        (left / "voice.wav").write_bytes(b"x")
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        assert left.is_dir() and kept.is_dir()
        with workplace() as own:
            assert not left.exists() and kept.is_dir() and own.is_dir()
        assert not own.exists() and kept.is_dir()
    finally:
        for process in (killed, running):
            process.kill()
            process.communicate()


def test_what_is_not_surely_an_orphan_stays(parent):
    elsewhere = parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK).touch()
    (parent / "resgen-demo-link").symlink_to(elsewhere)
    (parent / "resgen-demo-new").mkdir()  # its demo is about to lock it
    (parent / "resgen-demo-file").touch()
    odd = parent / "resgen-demo-odd"
    odd.mkdir()
    (odd / LOCK).symlink_to(elsewhere / LOCK)
    before = sorted(parent.iterdir())
    with workplace():
        pass
    assert sorted(parent.iterdir()) == before and (elsewhere / LOCK).exists()
