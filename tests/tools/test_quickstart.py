"""The README's first command: what it hands on, what it refuses before any set-up, and that it needs no network."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
SENTENCE = "It's “any” sentence, $(touch hacked) & \\ * ; done."

# Writes down its words, one a line, and some sound; REFUSE=1: fails as for a bad voice.
FAKE_VERB = r"""#!/usr/bin/env bash
set -euo pipefail
here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
printf '%s\n' "$@" >"$here/call.txt"
if [[ -n "${REFUSE:-}" ]]; then echo "VOICE_UNKNOWN: there is no voice nobody" >&2; exit 2; fi
for word in "$@"; do case "$word" in --output=*) echo sound >"${word#*=}" ;; esac; done
"""


@dataclass
class Checkout:
    """A copy of the scripts with a set-up and a verb that pretend, called from a folder of somebody's own."""

    root: Path
    folder: Path

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", self.root / "tools" / "quickstart.sh", *words],
            cwd=self.folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env=os.environ | environment,
        )  # fmt: skip

    def call(self) -> list[str]:
        """The words that the verb was called with; none where it was not."""
        path = self.root / ".venv" / "bin" / "call.txt"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def is_set_up(self) -> bool:
        return (self.root / "set_up").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root, folder = tmp_path / "a check out", tmp_path / "my folder"
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "tools").mkdir()
    folder.mkdir()
    for name in ("quickstart.sh", "activate.sh"):
        shutil.copy(ROOT / "tools" / name, root / "tools")
    (root / "tools" / "setup_env.sh").write_text(
        'touch -- "$(dirname -- "${BASH_SOURCE[0]}")/../set_up"; [[ -z "${BROKEN:-}" ]]\n'
    )
    verb = root / ".venv" / "bin" / "resgen-tts"
    verb.write_text(FAKE_VERB)
    verb.chmod(0o755)
    return Checkout(root, folder)


def test_a_sentence_reaches_the_verb_as_it_was_written(checkout):
    done = checkout.run(SENTENCE)
    assert done.returncode == 0, done.stderr
    assert checkout.is_set_up
    assert checkout.call() == ["synth", f"--text={SENTENCE}", "--output=speech.wav", "--force"]
    assert os.listdir(checkout.folder) == ["speech.wav"]  # nothing of the text was run


def test_every_option_reaches_the_verb(checkout):
    (checkout.folder / "it's me.wav").write_text("sound")
    assert checkout.run("--voice=amy", "Hello.", "--seed", "7", "--output", "-a.wav").returncode == 0
    assert checkout.call() == ["synth", "--text=Hello.", "--voice=amy", "--seed=7", "--output=-a.wav"]
    assert checkout.run("--ref", "it's me.wav", "--ref-text", "two words", "--", "-5 degrees").returncode == 0
    expected = ["synth", "--text=-5 degrees", "--ref-audio=it's me.wav", "--ref-text=two words"]
    assert checkout.call()[:4] == expected


def test_a_file_of_its_own_each_time(checkout):
    (checkout.folder / "speech-2.wav").write_text("precious")
    (checkout.folder / "speech-3.wav").symlink_to("nowhere")
    for _ in range(3):
        assert checkout.run("Hello.").returncode == 0
    assert sorted(os.listdir(checkout.folder)) == [
        "speech-2.wav", "speech-3.wav", "speech-4.wav", "speech-5.wav", "speech.wav",
    ]  # fmt: skip
    assert (checkout.folder / "speech-2.wav").read_text() == "precious"


def test_two_at_once_write_two_files(checkout):
    command = ["bash", checkout.root / "tools" / "quickstart.sh", "Hello."]
    started = [subprocess.Popen(command, cwd=checkout.folder, stdin=subprocess.DEVNULL) for _ in range(8)]
    assert [one.wait(timeout=60) for one in started] == [0] * 8
    assert len(os.listdir(checkout.folder)) == 8


def test_what_the_verb_refuses_is_handed_on_and_leaves_nothing(checkout):
    done = checkout.run("Hello.", "--voice", "nobody", REFUSE="1")
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["VOICE_UNKNOWN: there is no voice nobody"]
    assert os.listdir(checkout.folder) == []


def test_no_environment_no_speech(checkout):
    done = checkout.run("Hello.", BROKEN="1")
    assert done.returncode == 3
    assert "no environment" in done.stderr
    assert checkout.call() == []


def test_voices_are_those_of_the_bundled_model(checkout):
    assert checkout.run("--list-voices").returncode == 0
    assert checkout.call() == ["voice", "list", "--model", "mini"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], "USAGE: no text"),
        (["Any", "sentence."], "USAGE: more than one text"),
        ([""], "TEXT_EMPTY"),
        (["  \n"], "TEXT_EMPTY"),
        (["Hello.", "--voice"], "USAGE: --voice wants a value"),
        (["Hello.", "--seed="], "USAGE: --seed wants a value"),
        (["Hello.", "--seed", "one"], "USAGE: --seed is a whole number"),
        (["Hello.", "--bogus"], "USAGE: unknown option --bogus"),
        (["Hello.", "--ref", "taken.wav", "--voice", "amy"], "USAGE: --voice and --ref"),
        (["Hello.", "--ref-text", "words"], "USAGE: --ref-text goes with --ref"),
        (["Hello.", "--ref", "nowhere.wav"], "AUDIO_NOT_FOUND: nowhere.wav"),
        (["Hello.", "--output", "taken.wav"], "OUTPUT_EXISTS: taken.wav"),
        (["Hello.", "--output", "no/where.wav"], "OUTPUT_FOLDER_MISSING"),
        (["Hello.", "--list-voices"], "USAGE: --list-voices"),
    ],
)
def test_what_must_fail_fails_before_the_set_up(checkout, words, code):
    (checkout.folder / "taken.wav").write_text("precious")
    done = checkout.run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(code)
    assert len(done.stderr.splitlines()) == 1
    assert not checkout.is_set_up and checkout.call() == []
    assert (checkout.folder / "taken.wav").read_text() == "precious"


def test_help_names_every_option_and_sets_nothing_up(checkout):
    done = checkout.run("--help")
    assert done.returncode == 0 and not checkout.is_set_up
    script = (ROOT / "tools" / "quickstart.sh").read_text()
    patterns = " ".join(re.findall(r"^ +(--?[^)]*)\)", script, re.MULTILINE))  # of the case that reads the words
    known = set(re.findall(r"--[a-z][a-z-]+", patterns)) - {"--help"}
    assert known == {"--voice", "--ref", "--ref-text", "--output", "--seed", "--list-voices"}
    for option in known:
        assert f"{option} " in done.stdout or f"{option}\n" in done.stdout


def without_network() -> list[str]:
    """Words before a command that take the network from it."""
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
        ):
            return words
    pytest.skip("nothing here can take the network from a process (unshare --net)")


@pytest.mark.slow
def test_the_second_run_speaks_with_the_network_off(tmp_path):
    ready = ROOT / ".venv" / ".resgen_tts_ready"
    keyed = subprocess.run(["bash", ROOT / "tools" / "setup_env.sh", "--fingerprint"], capture_output=True, text=True)
    if not ready.is_file() or ready.read_text().split("\n")[0] != keyed.stdout.strip():
        pytest.skip(
            "this checkout's environment is not set up, or older than its requirements: bash tools/setup_env.sh"
        )
    words = ["bash", ROOT / "tools" / "quickstart.sh", "Hello, this is the second run.", "--seed", "1"]
    started = time.monotonic()
    done = subprocess.run(
        [*without_network(), *words], cwd=tmp_path, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | {"HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 60
    assert re.search(r"speech\.wav: [0-9.]+ s, real-time factor [0-9.]+, seed 1, model", done.stderr)
    wave, rate = soundfile.read(tmp_path / "speech.wav")
    assert rate >= 16_000 and 0.8 < len(wave) / rate < 10 and abs(wave).max() > 0.02
