"""What a model proposes for the hidden codes at one step, and how it is brought to codes and scores."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.confidence import search_by_confidence


@runtime_checkable
class Proposal(Protocol):
    """Codes for hidden slots, found only as far as they are asked for."""

    def codes_at(self, slots: Bool[Tensor, "B T D"]) -> Int[Tensor, "B T D"]:
        """Codes at these slots; entries at all others mean nothing."""
        ...

    def ranked(
        self, eligible: Bool[Tensor, "B T D"], offset: Float[Tensor, "B T D"], num_kept: Int[Tensor, " B"]
    ) -> tuple[Int[Tensor, "B T D"], Float[Tensor, "B T D"]]:
        """Codes and scores plus ``offset`` of at least each item's ``num_kept`` best eligible slots; -inf elsewhere."""
        ...


@dataclass(frozen=True)
class LatentProposal:
    """Drawn sums of the hidden embeddings, quantized only as deep as needed.

    Args:
        latents: z, in latent units.
        codes: the state's codes.
        hidden_mask: the state's hidden slots, over which each z is the sum.
    """

    code_space: CodeSpace
    latents: Float[Tensor, "B T C"]
    codes: Int[Tensor, "B T D"]
    hidden_mask: Bool[Tensor, "B T D"]

    def codes_at(self, slots: Bool[Tensor, "B T D"]) -> Int[Tensor, "B T D"]:
        """Re-quantize down to each frame's finest wanted slot."""
        needed = slots.flip(-1).cummax(-1).values.flip(-1)  # at this level or finer something is wanted
        return self.code_space.quantize(self.latents, needed & self.hidden_mask, self.codes)

    def ranked(self, eligible: Tensor, offset: Tensor, num_kept: Tensor) -> tuple[Tensor, Tensor]:
        """Cumulative log-fit (method 7.2). What is eligible must lead what is hidden, as it does in all masks."""
        return search_by_confidence(self.code_space, self.latents, self.codes, eligible, offset, num_kept)


@dataclass(frozen=True)
class CodeProposal:
    """Drawn codes and the log-probability of each.

    Args:
        codes: drawn codes; entries at visible slots are not looked at.
        log_prob: of each drawn code.
        cumulative: let a code's score be the sum over the hidden levels down to it, as for latents: then a column is
            revealed coarse first.
    """

    codes: Int[Tensor, "B T D"]
    log_prob: Float[Tensor, "B T D"]
    cumulative: bool = True

    def codes_at(self, slots: Bool[Tensor, "B T D"]) -> Int[Tensor, "B T D"]:
        """All of them are there already."""
        return self.codes

    def ranked(self, eligible: Tensor, offset: Tensor, num_kept: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities, cumulated where that was asked for."""
        scores = self.log_prob.masked_fill(~eligible, 0.0)
        scores = scores.cumsum(-1) if self.cumulative else scores
        return self.codes, (scores + offset.to(scores)).masked_fill(~eligible, -torch.inf)
