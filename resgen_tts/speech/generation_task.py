"""Training of the generator of codes, with the aligner beside it."""

from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.engine.task import StepOutput
from resgen_tts.evaluation.reports.loss_curve import LossCurve, scalars
from resgen_tts.speech.code_task import CodeTask, plot_alignment
from resgen_tts.speech.corpus import CodeBatch


class GenerationTask(CodeTask):
    """Learn the codes of a voice that is shown, for a text that is given."""

    _curve = LossCurve()  # of the last validation

    def step(self, model: nn.Module, batch: CodeBatch, rng: torch.Generator, step: int) -> StepOutput:
        """The generator's loss on the target frames, with the aligner's beside it."""
        loss, logs = self._loss(model, batch, rng)
        return StepOutput(loss, scalars(logs))

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """Mean losses over fixed batches and masks."""
        rows, self._curve = [], LossCurve()
        for batch in self.dev:
            _, logs = self._loss(model, batch.to(next(model.parameters()).device), rng)
            self._curve.add(logs)
            rows.append(scalars(logs))
        names = ("nats_per_code", *(name for name in rows[0] if name != "nats_per_code"))  # the headline first
        return {name: float(torch.stack([row[name].float() for row in rows]).mean()) for name in names}

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """The aligner's picture, which joint training must not have spoilt, and the loss by what is hidden."""
        self._curve.write(folder, step)
        batch = self.dev[0].to(next(model.parameters()).device)
        plot_alignment(self.model.aligner, batch, batch.durations, folder / f"alignment_{step:07d}.png")

    def _loss(self, model: nn.Module, batch: CodeBatch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        return model(
            batch.codes, batch.num_codes, batch.num_prompt, batch.symbols, batch.num_symbols, batch.durations,
            batch.mel, rng, batch.features,
        )  # fmt: skip
