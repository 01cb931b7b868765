"""Training of the aligner: which frame belongs to which symbol, and how long symbols last."""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.engine.task import StepOutput
from resgen_tts.speech.alignment import Aligner
from resgen_tts.speech.code_task import CodeTask, num_mel_frames, plot_alignment
from resgen_tts.speech.corpus import CodeBatch


class AlignerTask(CodeTask):
    """Learn which frame belongs to which symbol, and how long symbols last (method 8.2, steps 1 and 2)."""

    def step(self, model: Aligner, batch: CodeBatch, rng: torch.Generator, step: int) -> StepOutput:
        """Align under the present weights, then fit mel and durations to that alignment."""
        fade = max(0.0, 1 - step / max(1, self.config.diagonal_steps)) * self.config.diagonal_weight
        align, duration = model(
            batch.symbols, batch.num_symbols, batch.mel, num_mel_frames(batch), fade, batch.features
        )  # fmt: skip
        return StepOutput(align + duration, {"align": align.detach(), "duration": duration.detach()})

    def validate(self, model: Aligner, rng: torch.Generator) -> dict[str, float]:
        """Mel error under the best alignment, duration error, and what the path gives to the symbols.

        ``longest_symbol`` is the share of an item's frames that its longest symbol has, ``pauses_used`` the share of
        optional symbols that last at least a frame.
        """
        align, duration, longest, used = [], [], [], []
        bare = self.model  # on several devices only forward may be called on the wrapper
        for batch in self.dev:
            batch = batch.to(next(bare.parameters()).device)
            encoded, durations = self._align(batch)
            frames = num_mel_frames(batch)
            a, d = bare.losses(encoded, batch.symbols, batch.num_symbols, durations, batch.mel, frames)
            align.append(a), duration.append(d)
            longest.append((durations.amax(1) / frames).mean())
            used.append(durations[self._is_optional(batch)] > 0)
        figures = {name: torch.stack(rows).mean() for name, rows in (("align", align), ("duration", duration))}
        figures["longest_symbol"] = torch.stack(longest).mean()
        if any(len(row) for row in used):
            figures["pauses_used"] = torch.cat(used).float().mean()
        return {name: float(value) for name, value in figures.items()}

    def plots(self, model: Aligner, folder: Path, step: int) -> None:
        """Mel, expected mel and alignment path of the first validation items."""
        batch = self.dev[0].to(next(self.model.parameters()).device)
        plot_alignment(self.model, batch, self._align(batch)[1], folder / f"alignment_{step:07d}.png")

    def _align(self, batch: CodeBatch) -> tuple[Float[Tensor, "B N F"], Int[Tensor, "B N"]]:
        encoded = self.model.encode(batch.symbols, batch.num_symbols, batch.features)
        return encoded, self.model.align(encoded, batch.symbols, batch.num_symbols, batch.mel, num_mel_frames(batch))

    def _is_optional(self, batch: CodeBatch) -> Tensor:
        inside = torch.arange(batch.symbols.shape[1], device=batch.symbols.device) < batch.num_symbols[:, None]
        return self.model.is_optional(batch.symbols) & inside
