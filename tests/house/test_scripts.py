"""The scripts, the README's commands, and the environment's set-up."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(
    path
    for path in [*ROOT.glob("tools/*.sh"), *ROOT.glob("recipes/*.sh"), *ROOT.glob("egs/*/run.sh"), ROOT / ".ci/run"]
)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands() -> list[str]:
    return [line for block in code_blocks(README, "bash") for line in block.splitlines() if line.startswith("bash ")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_is_sound(script):
    assert subprocess.run(["bash", "-n", "--", script], check=False).returncode == 0
    text = script.read_text()
    assert not re.search(r"(^|[;&|\s])eval\s", text)
    if script.name not in ("activate.sh", "run"):  # sourced; goes on after a failed check, to report all of them
        assert "set -euo pipefail" in text
        assert "trap '" in text


def test_the_readme_begins_with_the_two_commands_what_they_give_and_python():
    """Speak; hear and see what it sounds like; the same from Python; test. All before the first heading."""
    screen = README[: README.index("\n## ")]
    speak, test = code_blocks(screen, "bash")
    assert speak.startswith('bash tools/quickstart.sh "Any sentence."')
    assert test.startswith("bash tools/test.sh")
    assert len(code_blocks(screen, "python")[0].split("\n\n")) <= 2
    assert len([line for line in code_blocks(screen, "python")[0].splitlines() if line]) == 4
    places = [screen.index(sign) for sign in ("tools/quickstart.sh", "samples/", "import TTS", "tools/test.sh")]
    assert places == sorted(places)
    for recipe in ("bash egs/mini/run.sh", "bash egs/studio/run.sh"):
        assert recipe in README


def test_the_first_screen_has_samples_to_hear_and_to_see_and_they_are_small():
    screen = README[: README.index("\n## ")]
    sounds = [ROOT / link for link in re.findall(r"\]\((\S+\.(?:flac|ogg))\)", screen)]
    pictures = [ROOT / link for link in re.findall(r"!\[[^]]+\]\((\S+\.png)\)", screen)]
    assert len(pictures) >= 2 and len(sounds) == 2 * len(pictures)  # prompt and output of each
    for file, limit in [(file, 100_000) for file in sounds] + [(file, 80_000) for file in pictures]:
        assert file.stat().st_size < limit, file


def test_every_script_that_the_readme_calls_exists():
    assert commands()
    for command in commands():
        assert (ROOT / command.split()[1]).is_file(), command


def test_the_two_commands_make_their_environment_themselves_and_ci_runs_the_test_command():
    for script in ("tools/quickstart.sh", "egs/mini/run.sh", "egs/studio/run.sh", "egs/custom/run.sh", "tools/test.sh"):
        assert re.search(r'^bash "\$(root/tools|here)/setup_env\.sh"', (ROOT / script).read_text(), re.MULTILINE), (
            script
        )
    assert "bash tools/test.sh" in (ROOT / ".ci/run").read_text()


def test_verbs_of_the_stages_exist():
    from recipes.stages import CORPORA, table
    from resgen_tts.apps.cli import VERBS

    for corpus in CORPORA:
        for stage in table(corpus):
            for command in stage.commands:
                words = command.line.split()
                if words[0] == "resgen-tts":
                    assert words[1] in VERBS


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder whose .venv looks finished: what a second call of setup_env.sh meets."""
    root = tmp_path / "with blanks"
    (root / ".venv" / "bin").mkdir(parents=True)
    shutil.copytree(ROOT / "tools", root / "tools")
    for name in ("pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, root)
    python = root / ".venv" / "bin" / "python"
    python.write_text("#!/usr/bin/env bash\nexit 0\n")
    python.chmod(0o755)
    done = set_up(root, "--fingerprint")
    assert len(done.stdout.strip()) == 64
    (root / ".venv" / ".resgen_tts_ready").write_text(done.stdout)
    return root


def environment(**more: str) -> dict[str, str]:
    """No apt; and a Python that does not exist: a set-up that starts to work stops before it installs anything."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RESGEN_TTS_")}
    return clean | {"RESGEN_TTS_NO_APT": "1", "RESGEN_TTS_PYTHON": "/nonexistent/python3"} | more


def set_up(root: Path, *options: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", root / "tools" / "setup_env.sh", *options],
        capture_output=True, text=True, check=False, env=environment(**more), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_finished_environment_costs_no_second(finished):
    started = time.monotonic()
    done = set_up(finished)
    assert done.returncode == 0, done.stderr
    assert "installing torch" not in done.stderr
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("change", ["pyproject.toml", "tools/constraints.txt", "tools/setup_env.sh"])
def test_a_changed_requirement_is_noticed(finished, change):
    with open(finished / change, "a") as file:
        file.write("# changed\n")
    (finished / ".venv" / "bin" / "python").unlink()
    done = set_up(finished)
    assert done.returncode != 0
    assert "RESGEN_TTS_PYTHON=/nonexistent/python3 is not a working Python" in done.stderr


def test_a_broken_python_is_noticed_though_the_marker_is_there(finished):
    python = finished / ".venv" / "bin" / "python"
    python.write_text("garbage")
    done = set_up(finished)
    assert done.returncode != 0
    assert "making .venv anew" in done.stderr


def test_what_could_not_be_built_is_said_every_time(finished):
    with open(finished / ".venv" / ".resgen_tts_ready", "a") as marker:
        marker.write("setup_env: without the extra [corpus]\n")
    done = set_up(finished)
    assert done.returncode == 0
    assert "without the extra [corpus]" in done.stderr


def test_set_up_refuses_what_it_does_not_know(finished):
    assert set_up(finished, "--bogus").returncode == 2
    assert set_up(finished, RESGEN_TTS_TORCH="tpu").returncode == 2
    assert "RESGEN_TTS_TORCH_INDEX" in set_up(finished, "--help").stdout
