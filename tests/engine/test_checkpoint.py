"""Checkpoints are whole or not there."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

from resgen_tts.common.errors import CheckpointError
from resgen_tts.engine import checkpoint
from resgen_tts.engine.loop import TrainConfig, fit
from tests.engine.toys import ToyTask

REPOSITORY = Path(__file__).resolve().parents[2]


def save(root: Path, step: int, keep: int = 2) -> Path:
    tensors = {"model": {"w": torch.full((4,), float(step))}, "optimizer": {}}
    return checkpoint.save_checkpoint(root, step=step, tensors=tensors, state={"step": step}, config={}, keep=keep)


def test_a_checkpoint_reads_back_and_old_ones_go(tmp_path):
    for step in (1, 2, 3):
        folder = save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    read = checkpoint.load_checkpoint(folder)
    assert read.state == {"step": 3} and read.tensors["model"]["w"].tolist() == [3.0] * 4
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {entry["name"] for entry in manifest["files"]} | {"manifest.json"} == {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("harm", ["missing", "short", "changed", "no manifest", "bad manifest"])
def test_every_kind_of_damage_is_seen(tmp_path, harm):
    folder = save(tmp_path, 1)
    file, manifest = folder / "model.safetensors", folder / "manifest.json"
    data = file.read_bytes()
    if harm == "missing":
        file.unlink()
    elif harm == "short":
        file.write_bytes(data[:-1])
    elif harm == "changed":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif harm == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text()[:30])
    with pytest.raises(CheckpointError, match="manifest" if "manifest" in harm else r"model\.safetensors"):
        checkpoint.load_checkpoint(folder)


def test_tied_and_sliced_weights_survive_the_exported_form(tmp_path):
    weight = torch.randn(3, 4)
    model = {"a": weight, "tied": weight, "slice": weight[:, 1:3], "count": torch.tensor(7)}
    checkpoint.save_model(tmp_path / "m", model, {"width": 4})
    read, config = checkpoint.load_model(tmp_path / "m")
    assert config == {"width": 4} and read.keys() == model.keys()
    for name, value in model.items():
        assert torch.equal(read[name], value)


def test_sigkill_anywhere_in_a_save_leaves_the_earlier_one_good(tmp_path):
    """A child saves step 1, then is killed at the n-th system-level act of saving step 2, for every n there is."""
    program = """
import os, signal, sys
from pathlib import Path
import torch
from resgen_tts.common import run_dir
from resgen_tts.engine import checkpoint
import safetensors.torch
from tests.engine.test_checkpoint import save

acts, last = 0, None
def counted(function):
    def act(*args, **kwargs):
        global acts
        acts += 1
        if acts == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return act

os.fsync, os.replace = counted(os.fsync), counted(os.replace)
Path.rename = counted(Path.rename)
safetensors.torch.save_file = counted(safetensors.torch.save_file)
save(Path(sys.argv[1], "count"), 1, keep=1)
acts = 0
save(Path(sys.argv[1], "count"), 2, keep=1)
total = acts
for last in range(1, total + 1):
    if os.fork() == 0:
        folder = Path(sys.argv[1], str(last))
        acts = -10**9
        save(folder, 1, keep=1)
        acts = 0
        save(folder, 2, keep=1)
        os._exit(1)  # not reached
    assert os.WIFSIGNALED(os.wait()[1])
print(total)
"""
    child = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 0, child.stderr
    total = int(child.stdout)
    assert total > 10
    steps = []
    for act in range(1, total + 1):
        said = []
        newest = checkpoint.newest_good(tmp_path / str(act), said.append)
        steps.append(checkpoint.load_checkpoint(newest).state["step"])
        assert not said, "a half-written folder never has the name of a checkpoint"
        checkpoint.remove_leftovers(tmp_path / str(act))
        assert all(checkpoint.verify(path) for path in (tmp_path / str(act)).iterdir())
    assert steps == sorted(steps) and {*steps} == {1, 2}


def test_a_full_disk_leaves_the_earlier_one_and_says_what_is_needed(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def full(tensors, path):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(CheckpointError, match=rf"{tmp_path}: \d+ bytes are needed, \d+ are free") as refused:
            save(tmp_path, 2)
    assert refused.value.code == "CHECKPOINT_DISK_FULL"
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoint.load_checkpoint(tmp_path / "step-00000001").state["step"] == 1


def test_free_space_is_checked_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    task = ToyTask()
    with pytest.raises(CheckpointError, match=r"\d+ bytes are needed, 1000 are free"):
        fit(task, TrainConfig(steps=3, tensorboard=False, device="cpu"), tmp_path, {})
    assert not task.seen


def test_importing_the_engine_loads_nothing_heavy():
    heavy = "lightning_fabric matplotlib tensorboard safetensors"
    program = (
        "import sys, resgen_tts.engine.config\n"
        "assert 'torch' not in sys.modules\n"
        "import resgen_tts.engine.loop\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert child.stdout.strip() == "[]", child.stdout + child.stderr
