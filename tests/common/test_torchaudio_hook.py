"""The import hook, on a torchaudio of two lines whose libraries cannot be loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from resgen_tts.common import torchaudio_hook

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def broken(tmp_path):
    """A folder with a package torchaudio that imports its compiled part, which fails as the real one does."""
    package = tmp_path / "torchaudio"
    (package / "_extension").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from . import _extension\n"
        "from torchaudio._extension import _IS_TORCHAUDIO_EXT_AVAILABLE, fail_if_no_align\n"
        "@fail_if_no_align\n"
        "def forced_align(): ...\n"
    )
    (package / "_extension" / "__init__.py").write_text("raise OSError('libc10_cuda.so: cannot open')\n")
    return tmp_path


def run(folder: Path, code: str, **versions: str | None) -> subprocess.CompletedProcess:
    """Run code in a fresh Python whose torch is a stub of two versions."""
    facts = {"cuda": None, "hip": None, **versions}
    (folder / "torch.py").write_text(f"import types\nversion = types.SimpleNamespace(**{facts!r})\n")
    lines = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n{code}"
    return subprocess.run([sys.executable, "-W", "error", "-c", lines], capture_output=True, text=True, check=False)


INSTALL = "from resgen_tts.common.torchaudio_hook import install; install()\n"


def test_without_the_hook_the_import_fails(broken):
    assert "libc10_cuda.so" in run(broken, "import torchaudio").stderr


def test_with_the_hook_it_is_imported_and_compiled_functions_refuse(broken):
    done = run(
        broken,
        INSTALL + "import torchaudio\n"
        "assert torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE is False\n"
        "assert torchaudio._extension._load_lib('libtorchaudio') is False\n"
        "torchaudio.forced_align()",
    )
    assert "RuntimeError: torchaudio's forced_align needs libraries" in done.stderr


@pytest.mark.parametrize("kind", ["cuda", "hip"])
def test_a_torch_for_a_gpu_keeps_torchaudios_own_libraries(broken, kind):
    assert "libc10_cuda.so" in run(broken, INSTALL + "import torchaudio", **{kind: "13.0"}).stderr


def test_installing_imports_no_torch_and_nothing_twice(broken):
    done = run(
        broken,
        INSTALL
        + "n = len(sys.meta_path); install(); assert len(sys.meta_path) == n; assert 'torch' not in sys.modules",
    )
    assert done.returncode == 0, done.stderr


def test_other_modules_are_left_alone():
    assert torchaudio_hook._WithoutLibraries().find_spec("torchaudio") is None
    assert torchaudio_hook._WithoutLibraries().find_spec("torchaudio._extension.utils") is None
