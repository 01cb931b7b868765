"""Direct tokens: ResGen's masks and sampler, but every hidden code predicted by itself, all in parallel."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from resgen_tts.core.draws import Rng
from resgen_tts.core.masking import check_masking, draw_hidden_mask
from resgen_tts.core.objective import check_objective, code_weights
from resgen_tts.core.schedule import schedule_by_name
from resgen_tts.models.conditioning import Condition
from resgen_tts.models.masked_tokens import MaskedTokens, MaskedTokensConfig


@dataclass(frozen=True, kw_only=True)
class DirectTokensConfig(MaskedTokensConfig):
    """Size, training mask and objective."""

    masking: str = "suffix"  # or "level", "full_random" (OmniVoice, arXiv:2604.00688)
    objective: str = "simple"  # or "elbo": codes weighted as in the bound of their likelihood

    def __post_init__(self):
        super().__post_init__()
        check_masking(self.masking)
        check_objective(self.objective, self.schedule)


class DirectTokens(MaskedTokens):
    """The ablation of ResGen (arXiv:2412.10208) that predicts tokens instead of the sum of their embeddings; 8.3."""

    @property
    def masking(self) -> str:
        """Kind of the masks, in training and in sampling."""
        return self.config.masking

    def loss(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Condition,
        rng: Rng,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of all hidden codes, in nats.

        With the objective "elbo" an unbiased estimate of the bound of ``-log p(codes)``, in nats per code of a target
        frame, whether hidden or not (see core.objective).
        """
        schedule = schedule_by_name(self.config.schedule)
        hidden = draw_hidden_mask(self.masking, schedule, is_target, codes.shape[-1], rng)
        weights = None
        if self.config.objective == "elbo":
            weights = code_weights(schedule, hidden, is_target, self.masking)
            weights = torch.where(hidden, weights, 0.0) / (is_target.sum() * codes.shape[-1])
        return self.slot_loss(codes, hidden, hidden, is_target, is_padding, condition, rng, weights)
