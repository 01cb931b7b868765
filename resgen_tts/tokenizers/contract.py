"""What every tokenizer offers: waves to codes and back, and the space of its codes."""

from math import log2
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace


@runtime_checkable
class Tokenizer(Protocol):
    """Waves to residual codes and back."""

    sample_rate: int  # Hz of the waves read and written
    frame_rate_hz: float  # code frames per second
    hop_samples: int  # samples per code frame

    @property
    def code_space(self) -> CodeSpace:
        """The frozen codebooks."""
        ...

    def encode(
        self, wave: Float[Tensor, "B N"], lengths: Int[Tensor, " B"]
    ) -> tuple[Int[Tensor, "B T D"], Int[Tensor, " B"]]:
        """Codes of each wave, and how many code frames each has; frames behind them are padding."""
        ...

    def decode(
        self, codes: Int[Tensor, "B T L"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B N"], Int[Tensor, " B"]]:
        """Waves of each row of codes, and how many samples each has; fewer levels than D are the coarsest ones."""
        ...


def bitrate_kbps(tokenizer: Tokenizer, depth: int | None = None) -> float:
    """Kilobits per second of the first ``depth`` levels; all where left out."""
    space = tokenizer.code_space
    return tokenizer.frame_rate_hz * (space.depth if depth is None else depth) * log2(space.codebook_size) / 1000
