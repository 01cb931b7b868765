"""What the training tasks on encoded utterances share: batches, their configuration, and the alignment's picture."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.alignment import Aligner, expand
from resgen_tts.speech.corpus import CodeBatch, CodeBatches, PromptConfig


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


class CodeTask:
    """A model, bucketed batches, and a few fixed ones for validation."""

    def __init__(self, model: nn.Module, train: CodeBatches, dev: CodeBatches, config: TextDataConfig):
        self.model, self.train, self.config = model, train, config
        self.dev = dev.fixed(config.validation_batches)

    def train_batches(self, epoch: int) -> Iterable[CodeBatch]:
        """Bucketed batches; led by prompts where the batches were told so."""
        return self.train.epoch(epoch)

    def worst_batch(self) -> CodeBatch:
        """The longest batch that training can meet."""
        return self.train.worst()


def num_mel_frames(batch: CodeBatch) -> Int[Tensor, " B"]:
    """Mel frames of each item: its code frames times the mel frames of each."""
    per_code = batch.mel.shape[1] // batch.codes.shape[1]
    return batch.num_codes * per_code


def plot_alignment(
    aligner: Aligner, batch: CodeBatch, durations: Int[Tensor, "B N"], path: Path, items: int = 3
) -> None:
    """Mel with symbol borders above the mel that the text expects."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    encoded = aligner.encode(batch.symbols, batch.num_symbols, batch.features)
    expected = expand(aligner.to_mel(encoded), durations, batch.mel.shape[1])
    items = min(items, len(batch.ids))
    figure, axes = plt.subplots(2, items, figsize=(6 * items, 5), squeeze=False)
    for item in range(items):
        frames, symbols = int(num_mel_frames(batch)[item]), int(batch.num_symbols[item])
        axes[0, item].imshow(batch.mel[item, :frames].T.float().cpu().numpy(), origin="lower", aspect="auto")
        axes[1, item].imshow(expected[item, :frames].T.float().cpu().numpy(), origin="lower", aspect="auto")
        for border in durations[item, :symbols].cumsum(0).tolist():
            axes[0, item].axvline(border - 0.5, color="white", linewidth=0.4)
        axes[0, item].set_title(batch.ids[item], fontsize=8)
        axes[1, item].set_title("expected from text", fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)
