"""A run that was stopped and continued is the run that was never stopped, to the bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from resgen_tts.common.errors import CheckpointError
from resgen_tts.engine.checkpoint import checkpoint_folders, load_checkpoint, load_model
from resgen_tts.engine.loop import Interrupted, TrainConfig, fit
from resgen_tts.engine.probes import read_metrics
from tests.engine.toys import ToyGan, ToyTask

REPOSITORY = Path(__file__).resolve().parents[2]


def config(**changes: object) -> TrainConfig:
    values = {"steps": 40, "learning_rate": 1e-2, "log_every": 1, "tensorboard": False, "device": "cpu"}
    return TrainConfig(**(values | changes))


def stop_at(step: int):
    """A hook that asks the run to stop while it computes update ``step`` (from 1)."""
    return lambda now: os.kill(os.getpid(), signal.SIGUSR1) if now == step - 1 else None


def test_40_steps_equal_15_and_12_and_13_bit_for_bit(tmp_path):
    settings = config(adversarial_start=6, discriminator_every=2, schedule="cosine", warmup_steps=5, validate_every=7)
    whole = ToyGan()
    last = fit(whole, settings, tmp_path / "whole", {"name": "toy"})

    seen, losses = [], []
    for stop in (15, 27, None):  # 9 batches an epoch: 27 is an epoch's end
        task = ToyGan()  # fresh weights each time: all that matters must come from the checkpoint
        if stop:
            task.before_step = stop_at(stop)
            with pytest.raises(Interrupted) as stopped:
                fit(task, settings, tmp_path / "parts", {"name": "toy"})
            assert stopped.value.exit_code == 75
            assert stopped.value.checkpoint.name == f"step-{stop:08d}"
        else:
            fit(task, settings, tmp_path / "parts", {"name": "toy"})
        seen += task.seen
        losses += task.losses

    assert seen == whole.seen == [f"{n // 9}/{n % 9}" for n in range(40)]
    assert losses == whole.losses
    one, other = load_checkpoint(last), load_checkpoint(tmp_path / "parts" / "checkpoints" / last.name)
    assert one.tensors.keys() == {"model", "optimizer", "average", "discriminator", "discriminator_optimizer"}
    for group, tensors in one.tensors.items():
        assert tensors.keys() == other.tensors[group].keys() and tensors
        for name, value in tensors.items():
            assert torch.equal(value, other.tensors[group][name]), (group, name)
    rows = [
        [(r["kind"], r["step"], r.get("loss", r.get("error"))) for r in read_metrics(tmp_path / run / "metrics.jsonl")]
        for run in ("whole", "parts")
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 40 + 6


def test_a_finished_run_does_nothing_and_may_grow(tmp_path, real_curves):
    fit(ToyTask(), config(steps=5), tmp_path, {})
    assert (tmp_path / "curves.png").stat().st_size > 1000
    again = ToyTask()
    began = time.monotonic()
    assert fit(again, config(steps=5), tmp_path, {}).name == "step-00000005"
    assert not again.seen and time.monotonic() - began < 0.5
    fit(again, config(steps=8), tmp_path, {})
    assert again.seen == ["0/5", "0/6", "0/7"]
    whole = ToyTask()
    fit(whole, config(steps=8), tmp_path.with_name("whole"), {})
    for name, value in load_model(tmp_path / "final")[0].items():
        assert torch.equal(value, load_model(tmp_path.with_name("whole") / "final")[0][name])


def test_final_holds_averaged_weights_and_the_configuration(tmp_path):
    task = ToyTask()
    folder = fit(task, config(steps=6), tmp_path, {"model": {"width": 8}})
    weights, resolved = load_model(tmp_path / "final")
    read = load_checkpoint(folder)
    assert resolved == read.config == {"model": {"width": 8}}
    for name, value in read.tensors["model"].items():
        assert torch.equal(weights[name], read.tensors["average"].get(name, value))
    assert not torch.equal(weights["net.0.weight"], read.tensors["model"]["net.0.weight"])
    assert torch.equal(task.validated[-1], weights["net.0.weight"]), "validation sees averaged weights"
    assert torch.equal(task.model.state_dict()["net.0.weight"], read.tensors["model"]["net.0.weight"])
    assert (tmp_path / "plots" / "6.txt").is_file()


def test_another_configuration_is_refused_with_the_difference(tmp_path):
    fit(ToyTask(), config(steps=2), tmp_path, {"model": {"width": 8}, "train": {}})
    with pytest.raises(CheckpointError, match=r"(?s)model.width: 8 -> 9.*train.learning_rate: 0.01 -> 0.5") as refused:
        fit(ToyTask(), config(steps=2, learning_rate=0.5), tmp_path, {"model": {"width": 9}, "train": {}})
    assert refused.value.code == "CHECKPOINT_CONFIG"
    with pytest.raises(CheckpointError, match="already holds a run"):
        fit(ToyTask(), config(steps=3), tmp_path, {"model": {"width": 8}}, resume=False)


def test_a_corrupted_newest_checkpoint_is_skipped_with_a_warning(tmp_path, capfd):
    settings = config(steps=9, save_every=3)
    fit(ToyTask(), settings, tmp_path, {})
    reference = load_model(tmp_path / "final")[0]
    file = tmp_path / "checkpoints" / "step-00000009" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1  # one bit; the size stays
    file.write_bytes(data)
    task = ToyTask()
    fit(task, settings, tmp_path, {})
    assert task.seen == ["0/6", "0/7", "0/8"], "it goes on from step 6"
    assert "warning: checkpoint step-00000009 is skipped" in capfd.readouterr().err
    for name, value in load_model(tmp_path / "final")[0].items():
        assert torch.equal(value, reference[name])
    for folder in checkpoint_folders(tmp_path / "checkpoints"):
        (folder / "state.json").unlink()
    with pytest.raises(CheckpointError, match="none of them is whole"):
        fit(ToyTask(), settings, tmp_path, {})


def test_sigterm_gives_75_and_a_checkpoint_and_frees_a_long_validation(tmp_path):
    """In a child process: the signal arrives in the middle of a validation that would take a minute."""
    program = """
import os, signal, sys, time
from pathlib import Path
from resgen_tts.engine.loop import Interrupted, TrainConfig, fit
from tests.engine.toys import ToyTask

class Slow(ToyTask):
    def validate(self, model, rng):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

try:
    before = signal.getsignal(signal.SIGTERM)
    fit(Slow(), TrainConfig(steps=40, validate_every=7, tensorboard=False, device="cpu"), Path(sys.argv[1]), {})
except Interrupted as stopped:
    assert signal.getsignal(signal.SIGTERM) is before, "handlers are put back"
    sys.exit(stopped.exit_code)
"""
    child = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=REPOSITORY, timeout=45, capture_output=True, text=True
    )
    assert child.returncode == 75, child.stderr
    (folder,) = checkpoint_folders(tmp_path / "checkpoints")
    assert load_checkpoint(folder).state["step"] == 7
    task = ToyTask()
    fit(task, TrainConfig(steps=8, validate_every=7, tensorboard=False, device="cpu"), tmp_path, {})
    rows = [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl") if row["kind"] == "validate"]
    assert task.seen == ["0/7"] and rows == [7, 8], "the dropped validation is made up for"


def test_two_runs_in_one_folder_are_refused(tmp_path):
    task = ToyTask()

    def second(step: int) -> None:
        with pytest.raises(CheckpointError, match="another process is training"):
            fit(ToyTask(), config(steps=1), tmp_path, {})

    task.before_step = second
    fit(task, config(steps=1), tmp_path, {})
