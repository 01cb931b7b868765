"""The layer contracts hold, and would notice if they did not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAYERS = ["common", "core", "nn", "tokenizers", "models", "engine", "evaluation", "speech", "apps"]

FORBIDDEN = [
    ("common", "resgen_tts.core"),
    ("core", "resgen_tts.nn"),
    ("nn", "resgen_tts.models"),
    ("tokenizers", "resgen_tts.models"),
    ("models", "resgen_tts.tokenizers"),
    ("engine", "resgen_tts.core"),
    ("engine", "resgen_tts.nn"),
    ("evaluation", "resgen_tts.models"),
    ("evaluation", "resgen_tts.nn"),
    ("speech", "resgen_tts.apps"),
    ("image", "resgen_tts.speech"),
    ("speech", "recipes"),
    ("apps", "recipes.stages"),
]


def lint(folder: Path) -> subprocess.CompletedProcess:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """A package of empty rooms under the real contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for room in LAYERS:
        folder = tmp_path / "resgen_tts" / room
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    (tmp_path / "resgen_tts" / "__init__.py").touch()
    return tmp_path


def test_the_package_keeps_its_contracts():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_allowed_imports_pass_and_image_may_be_absent(skeleton):
    rooms = skeleton / "resgen_tts"
    (rooms / "apps" / "a.py").write_text("import resgen_tts.speech\nimport resgen_tts.engine\n")
    (rooms / "models" / "a.py").write_text("import resgen_tts.nn\nimport resgen_tts.core\n")
    (rooms / "engine" / "a.py").write_text("import resgen_tts.common\n")
    done = lint(skeleton)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("room", "imported"), FORBIDDEN)
def test_a_forbidden_import_is_seen_even_inside_a_function(skeleton, room, imported):
    folder = skeleton / "resgen_tts" / room
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "wrong.py").write_text(f"def late():\n    import {imported}\n\n    return {imported}\n")
    done = lint(skeleton)
    assert done.returncode != 0
    assert "broken" in done.stdout


def test_a_room_that_no_contract_knows_is_refused(skeleton):
    folder = skeleton / "resgen_tts" / "utils"
    folder.mkdir()
    (folder / "__init__.py").touch()
    assert lint(skeleton).returncode != 0


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, resgen_tts; print(*[n for n in ('torch', 'numpy', 'soundfile', 'lhotse') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
