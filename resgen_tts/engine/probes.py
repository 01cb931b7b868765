"""What a run tells: metrics.jsonl, TensorBoard, stderr (a bar only on a terminal), a picture of its curves."""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resgen_tts.common.run_dir import write_text

METRICS, CURVES = "metrics.jsonl", "curves.png"
_LINE_SECONDS = 10.0  # without a terminal, at most one progress line in this time
_NOT_DRAWN = frozenset({"kind", "step", "epoch", "seconds_per_step", "data_wait_share", "items_seconds_per_second"})
_MOST_PANELS = 16


def say(line: str) -> None:
    """One line to stderr, from the first rank only."""
    if int(os.environ.get("RANK", "0")) == 0:
        print(line, file=sys.stderr, flush=True)  # noqa: T201


class Probes:
    """The open outputs of a run.

    Args:
        folder: the run's folder.
        first_step: where this start begins; rows of later steps (written, but lost with the weights) are dropped.
        steps: where the run ends.
        tensorboard: also write event files below ``folder/tensorboard``.
    """

    def __init__(self, folder: Path, *, first_step: int, steps: int, tensorboard: bool):
        self.folder = Path(folder)
        self._steps, self._started, self._first = steps, time.monotonic(), first_step
        self._last_line = -math.inf
        self._done: set[tuple[str, int]] = set()
        path = self.folder / METRICS
        rows = [row for row in read_metrics(path) if row["step"] <= first_step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
        self._done.update((row["kind"], row["step"]) for row in rows)
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (open as long as the run)
        self._board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(self.folder / "tensorboard", purge_step=first_step or None)
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=steps, initial=first_step, unit="step", dynamic_ncols=True, mininterval=0.5)

    def has(self, kind: str, step: int) -> bool:
        """Whether a row of this kind was written for this step."""
        return (kind, step) in self._done

    def row(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Append one row to metrics.jsonl, and its numbers to TensorBoard."""
        self._done.add((kind, step))
        self._file.write(json.dumps({"kind": kind, "step": step, **_plain(values)}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def advance(self, step: int, loss: float) -> None:
        """Move the bar, where there is one."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
            self._bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)

    def line(self, step: int, text: str, *, always: bool = False) -> None:
        """A line of progress with the time left; without ``always`` only now and then, and not beside a bar."""
        now = time.monotonic()
        if not always and (self._bar is not None or now - self._last_line < _LINE_SECONDS):
            return
        self._last_line = now
        rate = (now - self._started) / max(1, step - self._first)
        left = f", {rate * (self._steps - step) / 60:.1f} min left" if step > self._first else ""
        self.say(f"step {step}/{self._steps}{left}: {text}")

    def say(self, text: str) -> None:
        """One line to stderr that does not tear the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            say(text)

    def close(self) -> None:
        """Flush and close everything."""
        self._file.close()
        if self._board is not None:
            self._board.close()
        if self._bar is not None:
            self._bar.close()


class SilentProbes:
    """What the other ranks hold: the same calls, no output."""

    def has(self, kind: str, step: int) -> bool:
        """Never: ranks other than the first must ask the first."""
        return False

    def row(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Nothing."""

    def advance(self, step: int, loss: float) -> None:
        """Nothing."""

    def line(self, step: int, text: str, *, always: bool = False) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Interval:
    """What is collected between two rows of the log."""

    def __init__(self):
        self._clear()

    def _clear(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.logs: dict[str, list[Any]] = {}
        self.seconds = self.waited = self.took = 0.0

    def add(
        self, loss: float, grad_norm: float, logs: dict[str, list[Any]], seconds: float, *, waited: float, took: float
    ) -> None:
        """Take in one step: its scalars, seconds of data, seconds spent waiting for data and in all."""
        self.losses.append(loss)
        self.norms.append(grad_norm)
        for name, values in logs.items():
            self.logs.setdefault(name, []).extend(values)
        self.seconds += seconds
        self.waited += waited
        self.took += took

    def flush(self, learning_rate: float, epoch: int) -> dict[str, Any]:
        """The means since the last flush, and start again."""
        values: dict[str, Any] = {name: _mean(logged) for name, logged in self.logs.items()}
        values.update(
            loss=_mean(self.losses),
            grad_norm=_mean(self.norms),
            learning_rate=learning_rate,
            epoch=epoch,
            seconds_per_step=self.took / len(self.losses),
            data_wait_share=self.waited / self.took,
            items_seconds_per_second=self.seconds / self.took,
        )
        self._clear()
        return values


def _mean(values: list[Any]) -> float:
    if all(isinstance(value, Tensor) for value in values):
        return torch.stack([value.float().reshape(()) for value in values]).mean().item()
    return math.fsum(float(value) for value in values) / len(values)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a last line cut off by a kill is left out."""
    rows = []
    if Path(path).is_file():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


def draw_curves(folder: Path) -> Path:
    """Draw what metrics.jsonl holds as one picture: a panel per quantity, training and validation together."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in read_metrics(Path(folder) / METRICS):
        if row["kind"] in ("train", "validate"):
            for name, value in row.items():
                if name not in _NOT_DRAWN and isinstance(value, (int, float)):
                    series.setdefault(name, {}).setdefault(row["kind"], []).append((row["step"], value))
    names = list(series)[:_MOST_PANELS]
    columns = min(4, max(1, len(names)))
    lines = max(1, math.ceil(len(names) / columns))
    figure = Figure(figsize=(4 * columns, 2.6 * lines))
    FigureCanvasAgg(figure)
    for index, name in enumerate(names):
        axes = figure.add_subplot(lines, columns, index + 1)
        for kind, style in (("train", "-"), ("validate", "o-")):
            if kind in series[name]:
                axes.plot(*zip(*series[name][kind], strict=True), style, label=kind, linewidth=1, markersize=3)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7)
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=0.6 / width, right=1 - 0.2 / width, bottom=0.5 / height, top=1 - 0.3 / height, wspace=0.25, hspace=0.45
    )
    path = Path(folder) / CURVES
    staged = path.with_name(f".{path.name}.tmp")
    figure.savefig(staged, dpi=100, format="png")
    os.replace(staged, path)
    return path


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: such a number is written as its name."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
