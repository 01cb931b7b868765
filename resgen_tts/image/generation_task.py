"""Training of a generator of pictures' codes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.task import StepOutput
from resgen_tts.image.codes import PictureCodeBatch, PictureCodeBatches
from resgen_tts.image.generator import ImageGenerator

_CURVE = ("nats_by_num_hidden", "frames_by_num_hidden")  # sums per number of hidden codes of a frame, [D + 1] each


@dataclass(frozen=True, kw_only=True)
class ImageDataConfig:
    """Batches of the generator."""

    batch_size: int = 128
    validation_batches: int = 8
    conditional: bool = True  # the model is told the class

    def __post_init__(self):
        if self.batch_size < 1 or self.validation_batches < 1:
            raise ConfigError("batches need batch_size >= 1 and validation_batches >= 1")


class ImageGenerationTask:
    """Learn the codes of pictures, by whatever scheme the model is.

    Args:
        model: the generator to train.
        train: encoded pictures to train on.
        dev: encoded pictures for scores; the first batches are used.
        validation_batches: how many.
    """

    def __init__(
        self, model: ImageGenerator, train: PictureCodeBatches, dev: PictureCodeBatches, *, validation_batches: int
    ):
        self.model, self._train = model, train
        self._dev = dev.fixed(validation_batches)
        self._curve: tuple[Tensor, Tensor] | None = None  # of the last validation

    def train_batches(self, epoch: int) -> Iterator[PictureCodeBatch]:
        """Shuffled pictures, the same each time the epoch is asked for."""
        return self._train.epoch(epoch)

    def step(self, model: nn.Module, batch: PictureCodeBatch, rng: torch.Generator, step: int) -> StepOutput:
        """The scheme's loss."""
        loss, logs = model(batch.codes, batch.labels, rng)
        return StepOutput(loss, {name: value for name, value in logs.items() if name not in _CURVE})

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """``nats_per_code``, ``loss``, then the scheme's other figures: means over fixed pictures and masks."""
        rows, curve = [], [torch.zeros(()), torch.zeros(())]
        device = next(self.model.parameters()).device
        for batch in self._dev:
            here = batch.to(device)
            loss, logs = model(here.codes, here.labels, rng)
            curve = [total + logs.pop(name).double().cpu() for total, name in zip(curve, _CURVE, strict=True)]
            rows.append({"nats_per_code": logs.pop("nats_per_code"), "loss": loss, **logs})
        self._curve = (curve[0], curve[1])
        return {name: float(torch.stack([row[name].float() for row in rows]).mean()) for name in rows[0]}

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """Nats per frame over the number of the frame's hidden codes: a picture, and a line of ``curve.jsonl``."""
        if self._curve is None:
            raise ValueError("plots are drawn after a validation")
        nats, frames = self._curve
        means = (nats / frames.clamp(min=1)).tolist()
        with open(folder / "curve.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "nats_per_frame": means, "frames": frames.tolist()}) + "\n")
        _draw_curve(folder / f"curve_{step:07d}.png", means, frames.tolist())


def _draw_curve(path: Path, means: list[float], frames: list[float]) -> None:
    from matplotlib.figure import Figure  # needs no display and no global state

    seen = [count for count, number in enumerate(frames) if number > 0]
    figure = Figure(figsize=(5, 3), layout="constrained")
    axis = figure.subplots()
    axis.plot(seen, [means[count] for count in seen], marker="o")
    axis.set(xlabel="hidden codes of the frame", ylabel="nats per frame")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
