"""tools/setup_browser.sh: silent where there is a browser, and never in the way where there is none."""

import os
import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "tools" / "setup_browser.sh"


def run(folder, *arguments, browser=False):
    """The script, with nothing in its path but what it needs."""
    folder.mkdir()
    for name in ("bash", "mktemp", "rm", "id", "sed", "dirname"):
        (folder / name).symlink_to(shutil.which(name))
    if browser:
        (folder / "chromium").write_text("#!/bin/sh\n")
        (folder / "chromium").chmod(0o755)
    environment = os.environ | {"PATH": str(folder), "RESGEN_TTS_NO_APT": "1", "TMPDIR": str(folder)}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, check=False, timeout=20
    )


def test_a_browser_that_is_there_is_no_matter(tmp_path):
    done = run(tmp_path / "path", browser=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list((tmp_path / "path").glob("tmp.*"))


def test_none_is_said_and_is_no_failure(tmp_path):
    done = run(tmp_path / "path")
    assert done.returncode == 0 and "are skipped" in done.stderr and "apt-get install chromium" in done.stderr


def test_an_unknown_option_is_refused_and_help_is_given(tmp_path):
    assert run(tmp_path / "one", "--nope").returncode == 2
    told = run(tmp_path / "two", "--help")
    assert told.returncode == 0 and told.stdout.startswith("A browser for the tests of the demo")
