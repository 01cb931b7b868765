"""Nats per frame over the number of its hidden codes: what a generator finds hard."""

import json
from pathlib import Path

import torch
from torch import Tensor

_NATS, _FRAMES = "nats_by_num_hidden", "frames_by_num_hidden"


def scalars(logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The figures of a loss without the two vectors."""
    return {name: value for name, value in logs.items() if name not in (_NATS, _FRAMES)}


class LossCurve:
    """Sums of nats and frames over batches, [D + 1] each."""

    def __init__(self):
        self._nats, self._frames = torch.zeros(()), torch.zeros(())

    def add(self, logs: dict[str, Tensor]) -> None:
        """Take in the two vectors of one batch's figures (see models.contract)."""
        self._nats = self._nats + logs[_NATS].double().cpu()
        self._frames = self._frames + logs[_FRAMES].double().cpu()

    def write(self, folder: Path, step: int) -> None:
        """A line of ``curve.jsonl`` and a picture.

        Raises:
            ValueError: nothing was added.
        """
        if self._frames.dim() == 0:
            raise ValueError("curves are drawn after a validation")
        folder.mkdir(parents=True, exist_ok=True)
        means = (self._nats / self._frames.clamp(min=1)).tolist()
        with open(folder / "curve.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "nats_per_frame": means, "frames": self._frames.tolist()}) + "\n")
        from matplotlib.figure import Figure  # needs no display and no global state

        seen = [count for count, number in enumerate(self._frames.tolist()) if number > 0]
        figure = Figure(figsize=(5, 3), layout="constrained")
        axis = figure.subplots()
        axis.plot(seen, [means[count] for count in seen], marker="o")
        axis.set(xlabel="hidden codes of the frame", ylabel="nats per frame")
        figure.savefig(folder / f"curve_{step:07d}.png", dpi=100)
