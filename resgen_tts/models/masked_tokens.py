"""What the schemes share that predict every hidden code by itself, by its logits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.categorical import draw_code
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.draws import Rng, draw_uniform
from resgen_tts.core.guidance import guidance_at, guide, guide_hidden
from resgen_tts.core.masking import at_current_level
from resgen_tts.core.objective import by_num_hidden
from resgen_tts.core.proposal import CodeProposal, Proposal
from resgen_tts.core.reveal import RevealState, reveal
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.core.schedule import schedule_by_name
from resgen_tts.models.conditioning import Condition
from resgen_tts.models.prompted import PromptedTrunk
from resgen_tts.models.trunk import CodeGenerator, Trunk, TrunkConfig
from resgen_tts.nn.token_head import TokenHead


@dataclass(frozen=True, kw_only=True)
class MaskedTokensConfig(TrunkConfig):
    """Size and training mask."""

    schedule: str = "circle"  # gamma of the training mask
    label_smoothing: float = 0.0  # share of the target that is spread evenly over all codes

    def __post_init__(self):
        super().__post_init__()
        schedule_by_name(self.schedule)
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"generator.label_smoothing must be in [0, 1), got {self.label_smoothing}")


class MaskedTokens(CodeGenerator):
    """Trunk and token head over a frozen code space; a scheme adds its masks and its loss."""

    masking: str  # kind of the masks, in training and in sampling

    def __init__(
        self, config: MaskedTokensConfig, code_space: CodeSpace, level_energy: Float[Tensor, " D"] | None = None
    ):
        super().__init__(config, code_space, level_energy)
        self.trunk = Trunk(config, code_space)
        self.head = TokenHead(config.width, code_space.depth, code_space.codebook_size)

    def slot_loss(
        self,
        codes: Int[Tensor, "B T D"],
        hidden_mask: Bool[Tensor, "B T D"],
        slots: Bool[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Condition,
        rng: Rng,
        weights: Float[Tensor, "B T D"] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the codes at ``slots``, some or all of what is hidden: its mean, or its sum by ``weights``.

        Figures are without label smoothing and weights.
        """
        condition, is_padding, is_prompt = self.shown(condition, is_target, is_padding, rng)
        visible = self.visible_input(codes, hidden_mask)
        states = self.trunk(visible, hidden_mask, condition, is_padding, is_prompt=is_prompt)
        is_asked = slots.any(-1)
        asked = slots[is_asked]
        smoothed, nats = self.head.nll(states[is_asked], codes[is_asked], asked, self.config.label_smoothing)
        if weights is None:
            loss = smoothed.sum() / asked.sum()
        else:
            loss = (smoothed * weights[is_asked]).sum()
        sums, frames = by_num_hidden(nats.sum(-1), hidden_mask.sum(-1)[is_asked], codes.shape[-1])
        logs = {"nats_per_code": nats.sum() / asked.sum()}
        return loss, logs | {"nats_by_num_hidden": sums, "frames_by_num_hidden": frames}

    @torch.no_grad()
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
        """Fill the target frames by the parallel reveal loop (method 7.1), every hidden code drawn by itself.

        Confidence is the log-probability of the drawn code; for masks of kind "suffix" it is summed over the hidden
        levels down to the code, as the latents' fit is.
        """
        self.check_guidance(config, condition)
        if config.is_guided and (config.guidance_on == "density" or config.guidance_null == "levels"):
            raise ConfigError(
                "codes are guided against the null condition, prompt or both, on hidden, or on components, weights or "
                "outputs (all three: their log-probabilities); got "
                f"guidance_on {config.guidance_on!r}, guidance_null {config.guidance_null!r}"
            )
        trunk = PromptedTrunk(self, is_target, is_padding)

        def propose(state: RevealState) -> Proposal:
            drawn, log_prob = self._draw(state, trunk, condition, config, rng)
            if not torch.isfinite(log_prob).all():  # a draw would turn anything into plausible codes
                raise ResGenError(f"the generator gave non-finite logits at step {state.step}.", code="MODEL_NONFINITE")
            return CodeProposal(drawn, log_prob, cumulative=self.masking == "suffix")

        return reveal(propose, codes, is_target, config, rng, on_step, self.masking)

    def _draw(
        self, state: RevealState, trunk: PromptedTrunk, condition: Condition, config: SamplerConfig, rng: Rng
    ) -> tuple[Int[Tensor, "B T D"], Float[Tensor, "B T D"]]:
        """Draw the codes that may be kept at this step, level by level: their logits never stand side by side."""
        rows, weight = state.is_drawn, guidance_at(config, state.step, state.steps)
        null = None if weight == 1.0 else self.null_inputs(config, condition, trunk.is_target, trunk.is_padding)
        states = _states(state, trunk, condition, null)
        if weight != 1.0 and config.guidance_on == "hidden":
            states, weight = guide_hidden(states[1:], states[:1], weight), 1.0
        wanted = (at_current_level(state.hidden_mask) if self.masking == "level" else state.hidden_mask)[rows]
        uniform = draw_uniform(rows, wanted.shape[1:], rng)[rows]
        drawn, log_prob = torch.zeros_like(wanted, dtype=torch.long), torch.zeros_like(wanted, dtype=torch.float)
        for level in range(wanted.shape[1]):
            here = wanted[:, level]
            if not bool(here.any()):
                continue
            logits = torch.log_softmax(self.head.at_level(states[:, here], level).float(), dim=-1)
            logits = logits[0] if weight == 1.0 else guide(logits[1], logits[0], weight)
            drawn[here, level], log_prob[here, level] = draw_code(
                logits, config.top_p, config.temperature, uniform[here, level]
            )
        codes, scores = torch.zeros_like(state.codes), torch.zeros_like(state.codes, dtype=torch.float)
        codes[rows], scores[rows] = drawn, log_prob
        return codes, scores


def _states(
    state: RevealState, trunk: PromptedTrunk, condition: Condition, null: tuple[Condition, Tensor] | None
) -> Float[Tensor, "G N O"]:
    """Hidden states of the drawn frames; behind them those of the null, where there is one."""
    if null is None:
        return trunk(state.codes, state.hidden_mask, condition, trunk.is_padding)[state.is_drawn][None]
    guided = trunk.with_null(state.codes, state.hidden_mask, condition, state.hidden_mask, *null)
    return torch.stack([part[state.is_drawn] for part in guided])
