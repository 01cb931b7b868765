"""A small copy of the checkout with verbs that only pretend, so that the stage runner can be watched in seconds."""

import os
import shutil
import signal
import site
import subprocess
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Writes down how it was called, then leaves what the real verb would: --output, with final/ for a trained part.
# FAKE_FAIL=WORD: the verb with that word fails. FAKE_HANG=WORD: it waits, and stops like a trainer when told to.
FAKE_VERB = r"""#!/usr/bin/env bash
set -euo pipefail
here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
echo "$*" >>"$here/calls.txt"
name="$1${2:+ $2}"
output="" data=""
while [[ $# -gt 0 ]]; do
  case "$1" in --output) output="$2" ;; --data) data="$2" ;; esac
  shift
done
if [[ -n "${FAKE_HANG:-}" && "$name" == *"$FAKE_HANG"* ]]; then
  echo $$ >"$here/hanging.pid"
  trap 'echo stopped >>"$here/calls.txt"; exit 75' TERM
  while :; do sleep 0.05; done
fi
if [[ -n "${FAKE_FAIL:-}" && "$name" == *"$FAKE_FAIL"* ]]; then
  echo "reading clip 7"
  echo "AUDIO_EMPTY: clip_7.wav has no bytes." >&2
  exit 2
fi
case "$name" in
  text*) mkdir -p "$data/text" && echo symbols >"$data/text/inventory.json" ;;
  train*) mkdir -p "$output/final" && echo "$name" >"$output/final/model.safetensors" ;;
  score*) mkdir -p "$output" && echo "# Report of the score" >"$output/report.md" ;;
  align*) ;;
  *) mkdir -p "$output" && echo made >"$output/made" ;;
esac
"""

FAKE_CORPUS = """
import pathlib, sys
words = sys.argv[1:]
output = pathlib.Path(words[words.index("--output") + 1])
for name in ("audio", "manifests", "lm"):
    (output / name).mkdir(parents=True, exist_ok=True)
(output / "manifests" / "pairs.tsv").write_text("id\\tprompt\\ttarget\\tspeaker\\n")
with open(pathlib.Path(sys.executable).with_name("calls.txt"), "a") as calls:
    calls.write("prepare " + " ".join(words) + "\\n")
"""


@dataclass
class Checkout:
    """The copy, and ways to run its recipes."""

    root: Path

    def environment(self, **more: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return clean | more

    def start(self, recipe: str, *options: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", str(self.root / "egs" / recipe / "run.sh"), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(**environment),
        )

    def run(self, recipe: str, *options: str, **environment: str) -> tuple[int, str]:
        """Exit status, and what was printed."""
        process = self.start(recipe, *options, **environment)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def calls(self) -> list[str]:
        """How the verbs were called since the last time."""
        path = self.root / ".venv" / "bin" / "calls.txt"
        lines = path.read_text().splitlines() if path.is_file() else []
        path.unlink(missing_ok=True)
        return lines

    def wait_for_hanging(self) -> int:
        """The process of the verb that FAKE_HANG holds."""
        path = self.root / ".venv" / "bin" / "hanging.pid"
        wait_until(lambda: path.is_file() and path.read_text().strip() != "")
        pid = int(path.read_text())
        path.unlink()
        return pid


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process is there and not merely unburied."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A copy in a folder with blanks in its name: real recipes and scripts, fake verbs, corpus and set-up."""
    root = tmp_path / "a check out"
    ignored = shutil.ignore_patterns("__pycache__", "data", "exp")
    for name in ("recipes", "egs", "tools"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    shutil.copytree(ROOT / "resgen_tts" / "common", root / "resgen_tts" / "common", ignore=ignored)
    shutil.copy(ROOT / "resgen_tts" / "__init__.py", root / "resgen_tts" / "__init__.py")
    shutil.rmtree(root / "recipes" / "corpora")
    for file in root.glob("egs/*/conf/**/*.yaml"):
        file.unlink()
    (root / "recipes" / "corpora").mkdir()
    for corpus in ("mini", "studio", "custom"):
        (root / "recipes" / "corpora" / f"{corpus}.py").write_text(FAKE_CORPUS)
    (root / "tools" / "setup_env.sh").write_text("#!/usr/bin/env bash\nset -euo pipefail\n")
    # A bare environment that sees the packages of this one but has a resgen-tts of its own.
    venv.create(root / ".venv", with_pip=False, symlinks=True)
    library = next((root / ".venv").glob("lib/python*/site-packages"))
    (library / "borrowed.pth").write_text("\n".join(path for path in site.getsitepackages() if path != str(library)))
    verb = root / ".venv" / "bin" / "resgen-tts"
    verb.write_text(FAKE_VERB)
    verb.chmod(0o755)
    return Checkout(root)


def kill_group(process: subprocess.Popen) -> None:
    """For a test's end: nothing is left running."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
