"""Training tasks of the text side: the aligner, then the generator."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.engine.task import StepOutput
from resgen_tts.evaluation.loss_curve import LossCurve, scalars
from resgen_tts.speech.alignment import Aligner, expand
from resgen_tts.speech.corpus import CodeBatch, CodeBatches, PromptConfig
from resgen_tts.speech.generator import SpeechGenerator


@dataclass(frozen=True, kw_only=True)
class TextDataConfig:
    """Batches of the aligner and the generator."""

    batch_seconds: float = 60.0  # seconds of speech in a batch, prompts included
    longest_seconds: float = 40.0  # prompt and target together
    validation_batches: int = 8
    diagonal_steps: int = 300  # steps over which the aligner's diagonal prior fades
    diagonal_weight: float = 20.0
    prompts: PromptConfig = field(default_factory=PromptConfig)

    def __post_init__(self):
        if min(self.batch_seconds, self.longest_seconds) <= 0 or self.validation_batches < 1:
            raise ConfigError("batches need batch_seconds, longest_seconds > 0 and validation_batches >= 1")


class _CodeTask:
    """What both tasks take and read: a model, bucketed batches, and a few fixed ones for validation."""

    def __init__(self, model: nn.Module, train: CodeBatches, dev: CodeBatches, config: TextDataConfig):
        self.model, self.train, self.config = model, train, config
        self.dev = dev.fixed(config.validation_batches)

    def train_batches(self, epoch: int) -> Iterable[CodeBatch]:
        """Bucketed batches; led by prompts where the batches were told so."""
        return self.train.epoch(epoch)

    def worst_batch(self) -> CodeBatch:
        """The longest batch that training can meet."""
        return self.train.worst()


class AlignerTask(_CodeTask):
    """Learn which frame belongs to which symbol, and how long symbols last (method 8.2, steps 1 and 2)."""

    def step(self, model: Aligner, batch: CodeBatch, rng: torch.Generator, step: int) -> StepOutput:
        """Align under the present weights, then fit mel and durations to that alignment."""
        fade = max(0.0, 1 - step / max(1, self.config.diagonal_steps)) * self.config.diagonal_weight
        align, duration = model(batch.symbols, batch.num_symbols, batch.mel, _num_frames(batch), fade)
        return StepOutput(align + duration, {"align": align.detach(), "duration": duration.detach()})

    def validate(self, model: Aligner, rng: torch.Generator) -> dict[str, float]:
        """Mel error under the best alignment, duration error, and the share of frames given to the longest symbol."""
        align, duration, longest = [], [], []
        for batch in self.dev:
            bare = self.model  # on several devices only forward may be called on the wrapper
            batch = batch.to(next(bare.parameters()).device)
            features = bare.encode(batch.symbols, batch.num_symbols)
            durations = bare.align(features, batch.num_symbols, batch.mel, _num_frames(batch))
            a, d = bare.losses(features, batch.num_symbols, durations, batch.mel, _num_frames(batch))
            align.append(a), duration.append(d)
            longest.append((durations.amax(1) / _num_frames(batch)).mean())
        return {
            "align": float(torch.stack(align).mean()),
            "duration": float(torch.stack(duration).mean()),
            "longest_symbol": float(torch.stack(longest).mean()),
        }

    def plots(self, model: Aligner, folder: Path, step: int) -> None:
        """Mel, expected mel and alignment path of the first validation items."""
        batch = self.dev[0].to(next(self.model.parameters()).device)
        features = self.model.encode(batch.symbols, batch.num_symbols)
        durations = self.model.align(features, batch.num_symbols, batch.mel, _num_frames(batch))
        plot_alignment(self.model, batch, durations, folder / f"alignment_{step:07d}.png")


class GenerationTask(_CodeTask):
    """Learn the codes of a voice that is shown, for a text that is given."""

    _curve = LossCurve()  # of the last validation

    def step(self, model: SpeechGenerator, batch: CodeBatch, rng: torch.Generator, step: int) -> StepOutput:
        """The generator's loss on the target frames, with the aligner's beside it."""
        loss, logs = self._loss(model, batch, rng)
        return StepOutput(loss, scalars(logs))

    def validate(self, model: SpeechGenerator, rng: torch.Generator) -> dict[str, float]:
        """Mean losses over fixed batches and masks."""
        rows, self._curve = [], LossCurve()
        for batch in self.dev:
            _, logs = self._loss(model, batch.to(next(model.parameters()).device), rng)
            self._curve.add(logs)
            rows.append(scalars(logs))
        names = ("nats_per_code", *(name for name in rows[0] if name != "nats_per_code"))  # the headline first
        return {name: float(torch.stack([row[name].float() for row in rows]).mean()) for name in names}

    def plots(self, model: SpeechGenerator, folder: Path, step: int) -> None:
        """The aligner's picture, which joint training must not have spoilt, and the loss by what is hidden."""
        self._curve.write(folder, step)
        batch = self.dev[0].to(next(model.parameters()).device)
        plot_alignment(self.model.aligner, batch, batch.durations, folder / f"alignment_{step:07d}.png")

    def _loss(self, model: SpeechGenerator, batch: CodeBatch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        return model(
            batch.codes, batch.num_codes, batch.num_prompt, batch.symbols, batch.num_symbols, batch.durations,
            batch.mel, rng,
        )  # fmt: skip


def _num_frames(batch: CodeBatch) -> Tensor:
    """Mel frames of each item: the codes' frames times the frames per code, as batches are built."""
    per_code = batch.mel.shape[1] // batch.codes.shape[1]
    return batch.num_codes * per_code


def plot_alignment(aligner: Aligner, batch: CodeBatch, durations: Tensor, path: Path, items: int = 3) -> None:
    """Mel with symbol borders above the mel that the text expects."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    features = aligner.encode(batch.symbols, batch.num_symbols)
    expected = expand(aligner.to_mel(features), durations, batch.mel.shape[1])
    items = min(items, len(batch.ids))
    figure, axes = plt.subplots(2, items, figsize=(6 * items, 5), squeeze=False)
    for item in range(items):
        frames, symbols = int(_num_frames(batch)[item]), int(batch.num_symbols[item])
        axes[0, item].imshow(batch.mel[item, :frames].T.float().cpu(), origin="lower", aspect="auto")
        axes[1, item].imshow(expected[item, :frames].T.float().cpu(), origin="lower", aspect="auto")
        for border in durations[item, :symbols].cumsum(0).tolist():
            axes[0, item].axvline(border - 0.5, color="white", linewidth=0.4)
        axes[0, item].set_title(batch.ids[item], fontsize=8)
        axes[1, item].set_title("expected from text", fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)
