"""The training loop: resumable to the bit, stoppable at any step, and loud about what goes wrong."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resgen_tts.common.errors import CheckpointError
from resgen_tts.common.randomness import generator, seed_of
from resgen_tts.common.run_dir import commit_hash, hardware_line, read_json
from resgen_tts.engine.checkpoint import (
    STATE,
    load_checkpoint,
    load_into,
    newest_good,
    remove_leftovers,
    require_space,
    save_checkpoint,
    save_model,
    tensor_bytes,
    verify,
)
from resgen_tts.engine.config import TrainConfig, config_hash, matters, refuse_difference
from resgen_tts.engine.launch import alone_in, eval_mode, make_fabric, ranks, seed_global
from resgen_tts.engine.optim import load_optimizer_tensors, optimizer_tensors
from resgen_tts.engine.poison import LIMIT_IN_A_ROW, NonFiniteError, write_dump
from resgen_tts.engine.prefetch import BatchStream
from resgen_tts.engine.probes import Interval, Probes, SilentProbes, draw_curves, say
from resgen_tts.engine.signals import Interrupted, StopFlag
from resgen_tts.engine.task import Batch, Task
from resgen_tts.engine.update import Attempt, Updater

__all__ = ["Interrupted", "NonFiniteError", "TrainConfig", "fit"]


def fit(task: Task, config: TrainConfig, run_dir: Path, resolved: dict[str, Any], *, resume: bool = True) -> Path:
    """Train a task, or continue its training, up to ``config.steps`` updates.

    Leaves in ``run_dir``: ``checkpoints/step-*``, ``metrics.jsonl``, ``tensorboard/``, ``plots/``, and at the end
    ``final/`` (averaged weights and ``resolved``, for ``load_model``) and ``curves.png``. A finished run returns at
    once. Under torchrun, every process calls this with the same arguments.

    Args:
        task: a Task, or an AdversarialTask where ``config.adversarial_start`` is set.
        resolved: the resolved configuration; saved with the weights, and compared when the run is continued.
        resume: False refuses to continue a run that is already in ``run_dir``.
    Returns:
        The folder of the last checkpoint.
    Raises:
        Interrupted: SIGTERM, SIGUSR1 or Ctrl-C; a checkpoint was written (exit status 75).
        CheckpointError: another configuration, no whole checkpoint, no room on the disk, or a run already going on.
        NonFiniteError: ten steps in a row had a non-finite loss or gradient.
        ResGenError: OUT_OF_MEMORY, from the largest batch.
    """
    run_dir = Path(run_dir)
    root = run_dir / "checkpoints"
    root.mkdir(parents=True, exist_ok=True)
    with alone_in(run_dir):
        settings = matters(config, resolved) | {"ranks": ranks()}
        newest = newest_good(root, say)
        if newest is not None:
            if not resume:
                raise CheckpointError(
                    f"{run_dir} already holds a run (newest: {newest.name}).",
                    code="CHECKPOINT_EXISTS",
                    hint="Choose another folder, or let it be continued.",
                )
            state = read_json(newest / STATE)
            refuse_difference(state["settings"], settings, str(newest))
            if state["step"] >= config.steps and _is_finished(run_dir, state["step"]):
                say(f"{run_dir}: finished at step {state['step']}, nothing to do.")
                return newest
        threads = torch.get_num_threads()
        try:
            if config.threads:
                torch.set_num_threads(config.threads)
            with StopFlag() as stop, torch.random.fork_rng(_used_gpus()):
                run = _Run(task, config, run_dir, resolved, settings, stop)
                try:
                    return run.go(newest)
                finally:
                    run.probes.close()
        finally:
            torch.set_num_threads(threads)


class _Run:
    """One start of a run: everything that lives between the first line of ``fit`` and its last."""

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        run_dir: Path,
        resolved: dict[str, Any],
        settings: dict[str, Any],
        stop: StopFlag,
    ):
        self.task, self.config, self.run_dir, self.resolved = task, config, run_dir, resolved
        self.settings, self.stop = settings, stop
        self.root = run_dir / "checkpoints"
        self.probes: Probes | SilentProbes = SilentProbes()
        self.fabric = make_fabric(config)
        self.updater = Updater(self.fabric, task, config, self._agree)
        self.step = 0  # updates accepted so far
        self.place = (0, 0)  # epoch, and index in it, of the next batch
        self.poisoned_in_a_row = 0
        self.poisoned = 0
        self.item_seconds = 0.0  # of data seen
        self.saved: tuple[Any, ...] = ()

    def go(self, newest: Path | None) -> Path:
        """Restore, train, finish."""
        config, first_rank = self.config, self.fabric.is_global_zero
        if first_rank:
            remove_leftovers(self.root)
            kept = len(list(self.root.iterdir()))
            size = tensor_bytes(self._tensors()) + 2 * tensor_bytes({"parameters": dict(_trained(self.updater))})
            require_space(self.root, size * max(1, config.keep_checkpoints + 1 - kept))
        if newest is not None:
            self._restore(newest)
        if first_rank:
            self.probes = Probes(self.run_dir, first_step=self.step, steps=config.steps, tensorboard=config.tensorboard)
        self._introduce(newest)
        if config.probe_worst and self.step < config.steps and hasattr(self.task, "worst_batch"):
            worst = self.task.worst_batch()
            self.updater.probe(worst.to(self.fabric.device))
            self.probes.say(f"largest batch fits: {worst.seconds:.1f} s, {len(worst.ids)} items")
        self._validate_if_due()  # where the last start was stopped between saving and validating
        self._train()
        return self._finish()

    def _train(self) -> None:
        config = self.config
        if self.step >= config.steps or self._agree(bool(self.stop.signal)):
            self._stop_if_asked()
            return
        stream = BatchStream(
            self.task, *self.place, rank=self.fabric.global_rank, world=self.fabric.world_size, ahead=2
        )
        batches = iter(stream)
        interval = Interval()
        try:
            while self.step < config.steps:
                began = time.perf_counter()
                group = [next(batches) for _ in range(config.accumulate)]
                ready = time.perf_counter()
                items = [batch.to(self.fabric.device) for _, _, batch in group]
                attempt = self.updater.attempt(items, self.step)
                self.place = (group[-1][0], group[-1][1] + 1)
                if attempt.accepted:
                    self.step += 1
                    self.poisoned_in_a_row = 0
                    seconds = sum(batch.seconds for batch in items)
                    self.item_seconds += seconds
                    interval.add(
                        attempt.loss,
                        attempt.grad_norm,
                        attempt.logs,
                        seconds,
                        waited=ready - began,
                        took=time.perf_counter() - began,
                    )
                    self._report(interval, attempt.loss)
                else:
                    self._poisoned(items, attempt)
                asked = self._agree(bool(self.stop.signal))
                due = attempt.accepted and self.config.save_every and self.step % self.config.save_every == 0
                if asked or due or self.step == config.steps:
                    self._save()
                if attempt.accepted and not asked:
                    self._validate_if_due()
                self._stop_if_asked()
        finally:
            stream.close()

    def _report(self, interval: Interval, loss: float) -> None:
        self.probes.advance(self.step, loss)
        if self.step % self.config.log_every and self.step != self.config.steps:
            return
        values = interval.flush(self.updater.learning_rate(self.step - 1), self.place[0])
        self.probes.row("train", self.step, values)
        self.probes.line(self.step, f"loss {values['loss']:.5g}, {values['seconds_per_step']:.3g} s a step")

    def _validate_if_due(self) -> None:
        config, step = self.config, self.step
        due = step and (step == config.steps or (config.validate_every and step % config.validate_every == 0))
        if not due or self._agree_first(self.probes.has("validate", step)):
            return
        scores: dict[str, float] = {}

        def work() -> None:
            seed_global(seed_of(config.seed, "validate"), self.fabric.device)
            scores.update(self.task.validate(self.updater.model, generator(config.seed, "validate")))
            if self.fabric.is_global_zero:
                folder = self.run_dir / "plots"
                folder.mkdir(exist_ok=True)
                self.task.plots(self.updater.model, folder, step)

        average = self.updater.average
        with (
            torch.no_grad(),
            eval_mode(self.updater.model),
            average.applied() if average else contextlib.nullcontext(),
        ):
            # Alone, a signal may drop the validation; several ranks finish it together.
            done = self.stop.leave_early(work, allowed=self.fabric.world_size == 1)
        if done:
            scores = {name: float(value) for name, value in scores.items()}
            self.probes.row("validate", step, scores)
            text = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
            self.probes.line(step, f"validation: {text}", always=True)

    def _poisoned(self, batches: list[Batch], attempt: Attempt) -> None:
        self.poisoned += 1
        self.poisoned_in_a_row += 1
        ids = [name for batch in batches for name in batch.ids]
        facts = {"loss": attempt.loss, "grad_norm": attempt.grad_norm, "batch_ids": ids}
        self.probes.row("poisoned", self.step, facts)
        self.probes.say(
            f"warning: step {self.step} refused, nothing moved: loss {attempt.loss}, gradient norm "
            f"{attempt.grad_norm}; batch {', '.join(ids)}"
        )
        if self.poisoned_in_a_row < LIMIT_IN_A_ROW:
            return
        dump = self.run_dir / f"poisoned-step-{self.step:08d}"
        if self.fabric.is_global_zero:
            models = {"model": self.updater.module}
            if self.updater.adversary is not None:
                models["discriminator"] = self.updater.adversary.module
            told = {**facts, "loss": str(attempt.loss), "grad_norm": str(attempt.grad_norm)}
            write_dump(
                dump,
                batches=batches,
                models=models,
                facts={"seed": self.config.seed, "step": self.step, **told, "config": self.resolved},
            )
        raise NonFiniteError(
            f"{LIMIT_IN_A_ROW} steps in a row at step {self.step} had a non-finite loss or gradient; the last one is "
            f"in {dump}.",
            hint="Look at the batch ids in metrics.jsonl; lower train.learning_rate or mend the data.",
            dump=dump,
        )

    def _stop_if_asked(self) -> None:
        if not self._agree(bool(self.stop.signal)):
            return
        folder = self._save()
        raise Interrupted(
            f"{self.stop.signal or 'another rank'} stopped the run at step {self.step}; saved as {folder}.",
            hint="The same command continues it.",
            checkpoint=folder,
        )

    def _finish(self) -> Path:
        folder = self._save()
        if self.fabric.is_global_zero:
            weights = dict(self.updater.module.state_dict())
            if self.updater.average is not None:
                weights.update(self.updater.average.tensors())
            save_model(self.run_dir / "final", weights, self.resolved, step=self.step)
            draw_curves(self.run_dir)
        self._stop_if_asked()  # a signal during the last lines is still answered
        self.probes.say(f"{self.run_dir / 'final'}: {self.step} steps, {self.item_seconds:.0f} s of data seen")
        self.fabric.barrier()
        return folder

    def _save(self) -> Path:
        folder = self.root / f"step-{self.step:08d}"
        now = (self.step, self.place, self.poisoned)
        if self.saved != now and self.fabric.is_global_zero:
            state = {
                "step": self.step,
                "epoch": self.place[0],
                "batch": self.place[1],
                "poisoned": self.poisoned,
                "poisoned_in_a_row": self.poisoned_in_a_row,
                "item_seconds": self.item_seconds,
                "settings": self.settings,
                "train": asdict(self.config),
                "commit": commit_hash(),
                "hardware": hardware_line(),
                "torch": torch.__version__,
            }
            save_checkpoint(
                self.root,
                step=self.step,
                tensors=self._tensors(),
                state=state,
                config=self.resolved,
                config_hash=config_hash(self.settings),
                keep=self.config.keep_checkpoints,
            )
        self.saved = now
        self.fabric.barrier()
        return folder

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        updater = self.updater
        groups = {
            "model": dict(updater.module.state_dict()),
            "optimizer": optimizer_tensors(updater.optimizer, updater.module),
        }
        if updater.average is not None:
            groups["average"] = updater.average.tensors()
        if updater.adversary is not None:
            groups["discriminator"] = dict(updater.adversary.module.state_dict())
            groups["discriminator_optimizer"] = optimizer_tensors(updater.adversary.optimizer, updater.adversary.module)
        return groups

    def _restore(self, folder: Path) -> None:
        read, updater = load_checkpoint(folder, verified=True), self.updater
        load_into(updater.module, read.tensors["model"], str(folder))
        load_optimizer_tensors(updater.optimizer, updater.module, read.tensors["optimizer"])
        if updater.average is not None:
            updater.average.load(read.tensors["average"])
        if updater.adversary is not None:
            load_into(updater.adversary.module, read.tensors["discriminator"], str(folder))
            load_optimizer_tensors(
                updater.adversary.optimizer, updater.adversary.module, read.tensors["discriminator_optimizer"]
            )
        state = read.state
        self.step, self.place = state["step"], (state["epoch"], state["batch"])
        self.poisoned, self.poisoned_in_a_row = state["poisoned"], state["poisoned_in_a_row"]
        self.item_seconds = state["item_seconds"]
        self.saved = (self.step, self.place, self.poisoned)
        before = state["train"]["steps"]
        if self.config.schedule == "cosine" and before != self.config.steps:
            say(f"note: steps {before} -> {self.config.steps} also stretches the cosine schedule from here on.")

    def _introduce(self, newest: Path | None) -> None:
        count = sum(value.numel() for _, value in _trained(self.updater))
        chosen = f"{self.fabric.device}{' (chosen by auto)' if self.config.device == 'auto' else ''}"
        start = f"continues {newest.name}" if newest is not None else "starts"
        self.probes.say(
            f"{self.run_dir}: {start}; {type(self.task).__name__}, {count / 1e6:.2f} M trained parameters, {chosen}, "
            f"{self.config.precision}, {torch.get_num_threads()} threads, seed {self.config.seed}"
        )

    def _agree(self, mine: bool) -> bool:
        if self.fabric.world_size == 1:
            return mine
        flag = torch.tensor(float(mine), device=self.fabric.device)
        return bool(self.fabric.all_reduce(flag, reduce_op="sum") > 0)

    def _agree_first(self, mine: bool) -> bool:
        return mine if self.fabric.world_size == 1 else bool(self.fabric.broadcast(mine, src=0))


def _trained(updater: Updater) -> Iterator[tuple[str, Tensor]]:
    modules = {"model": updater.module} | ({"discriminator": updater.adversary.module} if updater.adversary else {})
    for prefix, module in modules.items():
        for name, value in module.named_parameters():
            if value.requires_grad:
                yield f"{prefix}.{name}", value


def _used_gpus() -> list[int]:
    return [torch.cuda.current_device()] if torch.cuda.is_available() else []


def _is_finished(run_dir: Path, step: int) -> bool:
    with contextlib.suppress(CheckpointError):
        return (run_dir / "curves.png").is_file() and verify(run_dir / "final").get("step") == step
    return False
