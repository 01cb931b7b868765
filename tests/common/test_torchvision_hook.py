"""The import hook, on a torchvision of a few lines that describes operators which nobody has declared."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from resgen_tts.common import torchvision_hook

ROOT = Path(__file__).resolve().parents[2]
INSTALL = "from resgen_tts.common.torchvision_hook import install; install()\n"
DESCRIBE = """
import torch

@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold):
    return dets.new_empty(3, dtype=torch.long)

@torch.library.register_fake("torchvision::qnms")
def qnms(dets, scores, iou_threshold):
    return dets.new_empty(3, dtype=torch.long)
"""
COMPILED = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.impl("nms", lambda dets, scores, iou_threshold: torch.zeros(7), "CPU")
"""
pytestmark = pytest.mark.skipif(
    torch.version.cuda is not None or torch.version.hip is not None,
    reason="torch is built for a GPU here: torchvision's own operators are loaded, and the hook does nothing",
)


@pytest.fixture
def folder(tmp_path):
    """A folder with a package torchvision whose compiled part cannot be loaded."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("from . import extension\nfrom torchvision import _meta_registrations\n")
    (package / "extension.py").write_text("")
    (package / "_meta_registrations.py").write_text(DESCRIBE)
    return tmp_path


def run(folder: Path, code: str) -> subprocess.CompletedProcess:
    """Run code in a fresh Python."""
    lines = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n{code}"
    return subprocess.run([sys.executable, "-W", "error", "-c", lines], capture_output=True, text=True, check=False)


def test_without_the_hook_the_import_fails(folder):
    assert "operator torchvision::nms does not exist" in run(folder, "import torchvision").stderr


def test_with_the_hook_it_is_imported_and_an_operator_without_code_refuses(folder):
    done = run(
        folder,
        INSTALL + "import torch, torchvision\ntorch.ops.torchvision.nms(torch.zeros(2, 4), torch.zeros(2), 0.5)",
    )
    assert "NotImplementedError" in done.stderr and "torchvision::nms" in done.stderr


def test_operators_of_a_library_that_could_be_loaded_are_left_alone(folder):
    (folder / "torchvision" / "extension.py").write_text(COMPILED)
    done = run(
        folder,
        INSTALL + "import torch, torchvision\n"
        "assert len(torch.ops.torchvision.nms(torch.zeros(2, 4), torch.zeros(2), 0.5)) == 7",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["cuda", "hip"])
def test_a_torch_for_a_gpu_gets_no_declarations(folder, kind):
    done = run(folder, INSTALL + f"import torch; torch.version.{kind} = '13.0'\nimport torchvision")
    assert "operator torchvision::nms does not exist" in done.stderr


def test_installing_imports_no_torch_and_nothing_twice(folder):
    done = run(
        folder,
        INSTALL
        + "n = len(sys.meta_path); install(); assert len(sys.meta_path) == n; assert 'torch' not in sys.modules",
    )
    assert done.returncode == 0, done.stderr


def test_other_modules_are_left_alone():
    assert torchvision_hook._Declarations().find_spec("torchvision") is None
    assert not torchvision_hook._declared
