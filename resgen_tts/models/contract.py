"""What every generator of codes is to the rest of the house."""

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Bool, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.draws import Rng
from resgen_tts.core.reveal import RevealState
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models.conditioning import Condition


class CodeModel(Protocol):
    """A generator of codes [B, T, D] over a frozen code space."""

    code_space: CodeSpace

    def loss(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Condition,
        rng: Rng,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Training loss (scalar) and detached figures for the log; prompt frames are neither target nor padding.

        Figures are scalars, first ``nats_per_code``, and two vectors [D + 1]: ``nats_by_num_hidden`` (sums over
        frames) and ``frames_by_num_hidden``, by how many codes of a frame were hidden. ResGen and AR-ResGen bound a
        density of sums, the others tell the cross-entropy of codes (maskgit_rvq that of one level alone), so figures
        compare within a kind, not across.
        """
        ...

    def generate(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Condition,
        config: SamplerConfig,
        rng: Rng,
        on_step: Callable[[RevealState], None] | None = None,
    ) -> Int[Tensor, "B T D"]:
        """Fill the target frames; all other frames come back as they were."""
        ...
