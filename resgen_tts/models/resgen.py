"""ResGen: masked generation that predicts the sum of the hidden embeddings (arXiv:2412.10208)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.categorical import draw_index
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.draws import Rng, draw_normal, draw_uniform
from resgen_tts.core.guidance import guidance_at, guide, guide_gaussian, guide_hidden
from resgen_tts.core.masking import check_masking, draw_hidden_mask, suffix_mask
from resgen_tts.core.objective import by_num_hidden, check_objective, latent_weights
from resgen_tts.core.proposal import LatentProposal, Proposal
from resgen_tts.core.reveal import RevealState, reveal
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.core.schedule import schedule_by_name
from resgen_tts.models.conditioning import Condition
from resgen_tts.models.prompted import PromptedTrunk
from resgen_tts.models.trunk import CodeGenerator, Trunk, TrunkConfig
from resgen_tts.nn.mixture_head import MixtureHead


@dataclass(frozen=True, kw_only=True)
class ResGenConfig(TrunkConfig):
    """Size, head, training mask and objective. The defaults are the published speech model."""

    components: int = 1024  # K
    rank: int | None = 64  # h; None = full-rank means
    schedule: str = "circle"  # gamma of the training mask
    masking: str = "suffix"  # or "level", "full_random": the masks it is compared with
    objective: str = "simple"  # or "elbo": steps weighted as in the bound of the codes' likelihood

    def __post_init__(self):
        super().__post_init__()
        schedule_by_name(self.schedule)
        check_masking(self.masking)
        check_objective(self.objective, self.schedule)


class ResGen(CodeGenerator):
    """Trunk and mixture head over a frozen code space."""

    def __init__(self, config: ResGenConfig, code_space: CodeSpace, level_energy: Float[Tensor, " D"] | None = None):
        super().__init__(config, code_space, level_energy)
        self.trunk = Trunk(config, code_space)
        self.head = MixtureHead(config.width, code_space.dim, config.components, config.rank)

    def loss(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Condition,
        rng: Rng,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The variational bound of -log p(z | visible), averaged over all frames that hide something (A16 (a)).

        In nats per latent dimension, so that one clipping threshold serves every C. With the objective "elbo" frames
        are weighted by their part in the bound of the codes' likelihood (see core.objective).
        """
        depth, dim = self.code_space.depth, self.code_space.dim
        schedule = schedule_by_name(self.config.schedule)
        hidden = draw_hidden_mask(self.config.masking, schedule, is_target, depth, rng)
        condition, is_padding, is_prompt = self.shown(condition, is_target, is_padding, rng)
        states = self.trunk(self.visible_input(codes, hidden), hidden, condition, is_padding, is_prompt=is_prompt)
        is_hiding = hidden.any(-1)
        num_hidden = hidden.sum(-1)
        scale = self.hidden_scale(hidden[is_hiding])
        target = self.code_space.hidden_sum(codes, hidden)[is_hiding] / scale[:, None]
        parts = self.head.nll(states[is_hiding], target)
        if self.config.objective == "elbo":
            weights = latent_weights(schedule, hidden, is_target, self.config.masking)[is_hiding]
            loss = (weights * parts["total"]).sum() / is_target.sum() / dim
        else:
            loss = parts["total"].mean() / dim
        nll = (parts["total"] + dim * torch.log(scale)).detach()  # of z itself, not of the normalized target
        sums, frames = by_num_hidden(nll, num_hidden[is_hiding], depth)
        logs = {"nats_per_code": nll.sum() / num_hidden.sum()}
        logs |= {name: value.mean().detach() / dim for name, value in parts.items() if name != "total"}
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
        """Fill the target frames by the parallel reveal loop (method 7.1)."""
        self.check_guidance(config, condition)
        can_lose_levels = self.config.masking == "suffix" and config.guidance_on not in ("outputs", "hidden")
        if config.is_guided and config.guidance_null == "levels" and not can_lose_levels:
            raise ConfigError("guidance_null levels needs suffix masks and guidance_on components, density or weights")
        space, trunk = self.code_space, PromptedTrunk(self, is_target, is_padding)

        def propose(state: RevealState) -> Proposal:
            drawn = self._draw(state, trunk, condition, config, rng)
            if not torch.isfinite(drawn).all():  # a search would turn them into plausible codes
                raise ResGenError(
                    f"the generator gave non-finite latents at step {state.step}.", code="MODEL_NONFINITE"
                )
            latents = drawn.new_zeros(*codes.shape[:2], space.dim)
            latents[state.is_drawn] = drawn
            return LatentProposal(space, latents, state.codes, state.hidden_mask)

        return reveal(propose, codes, is_target, config, rng, on_step, self.config.masking)

    def _draw(
        self, state: RevealState, trunk: PromptedTrunk, condition: Condition, config: SamplerConfig, rng: Rng
    ) -> Float[Tensor, "N C"]:
        """Draw the hidden sum of each drawn frame, in latent units; only the drawn component's mean is computed."""
        rows, dim, head = state.is_drawn, self.code_space.dim, self.head
        weight, on = guidance_at(config, state.step, state.steps), config.guidance_on
        uniform = draw_uniform(rows, (), rng)[rows][None]
        noise = draw_normal(rows, (dim,), rng)[rows][None]
        unit = self.hidden_scale(state.hidden_mask[rows])[None]  # what a normalized latent is worth, [1, N]
        if weight == 1.0:
            states = trunk(state.codes, state.hidden_mask, condition, trunk.is_padding)[rows][None]
            component = draw_index(head.component_log_weights(states), config.top_p, uniform)
            mean, scale = head.component_mean(states, component)
            return _in_latent_units(mean, scale, unit, noise, config.temperature)[0]
        null_hidden = state.hidden_mask
        null_condition, null_padding = self.null_inputs(config, condition, trunk.is_target, trunk.is_padding)
        if config.guidance_null == "levels":
            # The prompt stays whole, as in training. Component k of the null explains a larger sum than that of the
            # condition: that both mean the same thing (A12) holds in so far as the head goes on smoothly from k to k+1.
            depth = state.codes.shape[-1]
            num_hidden = (state.num_hidden + config.guidance_null_levels).clamp(max=depth)
            null_hidden = suffix_mask(num_hidden * trunk.is_target, depth)
        guided = trunk.with_null(
            state.codes, state.hidden_mask, condition, null_hidden, null_condition, null_padding
        )  # fmt: skip
        states, null = (part[rows][None] for part in guided)
        if on == "hidden":
            states = guide_hidden(null, states, weight)
        log_weights = head.component_log_weights(states)
        if on != "hidden":
            log_weights = guide(head.component_log_weights(null), log_weights, weight)
        component = draw_index(log_weights, config.top_p, uniform)
        if on == "outputs":
            cond_parts, null_parts = head.component_outputs(states, component), head.component_outputs(null, component)
            mean, log_scale, shift = (guide(n, c, weight) for n, c in zip(null_parts, cond_parts, strict=True))
            scale = log_scale.exp()
            return _in_latent_units(shift + scale[..., None] * mean, scale, unit, noise, config.temperature)[0]
        mean, scale = head.component_mean(states, component)
        if on in ("components", "density"):
            # In latent units: a null that sees fewer levels has another unit, and a sum that holds more.
            null_unit = self.hidden_scale(null_hidden[rows])[None]
            null_mean, null_scale = head.component_mean(null, component)
            extra = self.code_space.hidden_sum(state.codes, null_hidden & ~state.hidden_mask)[rows][None]
            cond_pair = (mean * unit[..., None], scale * unit)
            null_pair = (null_mean * null_unit[..., None] - extra, null_scale * null_unit)
            if on == "density":
                mean, scale = guide_gaussian(null_pair, cond_pair, weight)
            else:
                mean, scale = guide(null_pair[0], cond_pair[0], weight), cond_pair[1]
            unit = torch.ones_like(unit)
        return _in_latent_units(mean, scale, unit, noise, config.temperature)[0]


def _in_latent_units(mean: Tensor, scale: Tensor, unit: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """``unit * (mean + temperature * scale * noise)``."""
    return (mean + temperature * scale[..., None] * noise).float() * unit[..., None]
