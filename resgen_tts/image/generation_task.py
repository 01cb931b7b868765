"""Training of a generator of pictures' codes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.task import StepOutput
from resgen_tts.evaluation.reports.loss_curve import LossCurve, scalars
from resgen_tts.image.codes import PictureCodeBatch, PictureCodeBatches
from resgen_tts.image.generator import ImageGenerator


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
        self._curve = LossCurve()  # of the last validation

    def train_batches(self, epoch: int) -> Iterator[PictureCodeBatch]:
        """Shuffled pictures, the same each time the epoch is asked for."""
        return self._train.epoch(epoch)

    def step(self, model: nn.Module, batch: PictureCodeBatch, rng: torch.Generator, step: int) -> StepOutput:
        """The scheme's loss."""
        loss, logs = model(batch.codes, batch.labels, rng)
        return StepOutput(loss, scalars(logs))

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """``nats_per_code``, ``loss``, then the scheme's other figures: means over fixed pictures and masks."""
        rows, self._curve = [], LossCurve()
        device = next(self.model.parameters()).device
        for batch in self._dev:
            here = batch.to(device)
            loss, logs = model(here.codes, here.labels, rng)
            self._curve.add(logs)
            rows.append({"nats_per_code": logs["nats_per_code"], "loss": loss, **scalars(logs)})
        return {name: float(torch.stack([row[name].float() for row in rows]).mean()) for name in rows[0]}

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """Nats per frame over the number of the frame's hidden codes: a picture, and a line of ``curve.jsonl``."""
        self._curve.write(folder, step)
