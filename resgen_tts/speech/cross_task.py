"""Training of the generator that attends to its text."""

from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor, nn

from resgen_tts.common.lengths import padding_mask
from resgen_tts.speech.corpus import CodeBatch
from resgen_tts.speech.generation_task import GenerationTask


class CrossTask(GenerationTask):
    """Learn the codes of a voice that is shown, for a text that is attended to, and how long they become."""

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """The loss by what is hidden."""
        self._curve.write(folder, step)

    def _loss(self, model: nn.Module, batch: CodeBatch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        return model(
            batch.codes, batch.num_codes, batch.num_prompt, batch.symbols, batch.num_symbols, symbols_in_prompt(batch),
            rng, batch.features,
        )  # fmt: skip


def symbols_in_prompt(batch: CodeBatch) -> Int[Tensor, " B"]:
    """Symbols that end within the prompt of each item; one at least is left to the target.

    Where the prompt is another utterance these are its own, whatever the alignment; where it is the beginning of the
    utterance itself, only the alignment tells.
    """
    per_code = batch.mel.shape[1] // batch.codes.shape[1]
    ends = batch.durations.cumsum(1)
    in_prompt = (ends <= (batch.num_prompt * per_code)[:, None]) & ~padding_mask(batch.num_symbols, ends.shape[1])
    return in_prompt.sum(1).minimum(batch.num_symbols - 1)
