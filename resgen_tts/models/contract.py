"""What every generator of codes is to the rest of the house."""

from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.reveal import RevealState, SamplerConfig


class CodeModel(Protocol):
    """A generator of codes [B, T, D] over a frozen code space."""

    code_space: CodeSpace

    def loss(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Float[Tensor, "B T F"] | None,
        rng: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Training loss (scalar) and detached figures for the log; prompt frames are neither target nor padding."""
        ...

    def generate(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Float[Tensor, "B T F"] | None,
        config: SamplerConfig,
        rng: torch.Generator,
        on_step: Callable[[RevealState], None] | None = None,
    ) -> Int[Tensor, "B T D"]:
        """Fill the target frames; all other frames come back as they were."""
        ...
