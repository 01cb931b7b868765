"""MaskGIT over residual codes: masked prediction within one level after another, coarse to fine."""

from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Tensor

from resgen_tts.core.draws import Rng
from resgen_tts.core.masking import draw_hidden_mask
from resgen_tts.core.schedule import schedule_by_name
from resgen_tts.models.conditioning import Condition
from resgen_tts.models.masked_tokens import MaskedTokens, MaskedTokensConfig, at_current_level


@dataclass(frozen=True, kw_only=True)
class MaskgitRvqConfig(MaskedTokensConfig):
    """Size and training mask, whose schedule runs within each level."""


class MaskgitRvq(MaskedTokens):
    """The MaskGIT variant of ResGen's ablation, trained as SoundStorm (arXiv:2305.09636); method 8.3.

    The sampler shares its steps out among the levels, or follows ``level_steps``.
    """

    masking = "level"

    def loss(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Condition,
        rng: Rng,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the hidden codes of the level that each item has drawn, in nats.

        Coarser levels are visible, finer ones hidden and not asked for.
        """
        schedule = schedule_by_name(self.config.schedule)
        hidden = draw_hidden_mask(self.masking, schedule, is_target, codes.shape[-1], rng)
        return self.slot_loss(codes, hidden, at_current_level(hidden), is_target, is_padding, condition, rng)
