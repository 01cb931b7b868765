"""ResGen: masked generation that predicts the sum of the hidden embeddings (arXiv:2412.10208)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.confidence import quantization_confidence
from resgen_tts.core.guidance import guide, ramp
from resgen_tts.core.masking import draw_num_hidden
from resgen_tts.core.mixture import draw_component, variational_nll
from resgen_tts.core.reveal import Proposal, RevealState, SamplerConfig, reveal
from resgen_tts.core.schedule import schedule_by_name
from resgen_tts.nn.code_embedding import CodeEmbedding
from resgen_tts.nn.mixture_head import MixtureHead
from resgen_tts.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class ResGenConfig:
    """Size and training mask of a ResGen generator. The defaults are the published speech model."""

    width: int = 1152  # O
    layers: int = 28
    heads: int = 16
    mlp_ratio: int = 4
    dropout: float = 0.0
    components: int = 1024  # K
    rank: int | None = 64  # h; None = full-rank means
    condition_dim: int = 0  # F, channels of the aligned condition; 0 = unconditional
    condition_dropout: float = 0.1  # share of training items whose condition is the learned null
    schedule: str = "circle"  # gamma of the training mask

    def __post_init__(self):
        schedule_by_name(self.schedule)
        if self.width % (2 * self.heads):
            raise ConfigError(f"generator.width {self.width} must be a multiple of twice the {self.heads} heads")
        if not 0 <= self.condition_dropout < 1:
            raise ConfigError(f"generator.condition_dropout must be in [0, 1), got {self.condition_dropout}")


class ResGen(nn.Module):
    """Trunk, code embedding and mixture head over a frozen code space.

    Args:
        config: sizes.
        code_space: the tokenizer's codebooks; kept as buffers, never trained.
        hidden_scale: root mean square per dimension of the sum of the finest k embeddings, [D + 1], entry 0
            unused (see :func:`measure_hidden_scale`). Targets are divided by it, which leaves the model the same
            (a_i = s[k_i] exp(delta_i)) and its first steps stable (method 13.5).
    """

    def __init__(self, config: ResGenConfig, code_space: CodeSpace, hidden_scale: Float[Tensor, " E"] | None = None):
        super().__init__()
        self.config = config
        depth, dim = code_space.depth, code_space.dim
        self.register_buffer("codebooks", code_space.codebooks.clone())
        self.register_buffer("level_variance", code_space.level_variance.clone())
        self.register_buffer("hidden_scale", torch.ones(depth + 1) if hidden_scale is None else hidden_scale.clone())
        self.embedding = CodeEmbedding(dim, config.condition_dim, depth, config.width)
        self.null_condition = nn.Parameter(torch.zeros(config.condition_dim)) if config.condition_dim else None
        self.trunk = Transformer(config.width, config.layers, config.heads, config.mlp_ratio, config.dropout)
        self.head = MixtureHead(config.width, dim, config.components, config.rank)

    @property
    def code_space(self) -> CodeSpace:
        """The frozen space that codes live in."""
        return CodeSpace(self.codebooks, self.level_variance)

    def forward(
        self,
        codes: Int[Tensor, "B T D"],
        num_hidden: Int[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"] | None,
        condition: Float[Tensor, "B T F"] | None,
    ) -> Float[Tensor, "B T O"]:
        """Hidden states of every frame, given its visible codes and its condition."""
        visible = self.code_space.visible_sum(codes, num_hidden) / self.hidden_scale[-1]
        embedded = self.embedding(visible, self.code_space.depth - num_hidden, condition)
        return self.trunk(embedded, is_padding)

    def loss(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Float[Tensor, "B T F"] | None,
        rng: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The variational bound of -log p(z | visible), averaged over all frames that hide something (A16 (a)).

        In nats per latent dimension, so that one clipping threshold serves every C. ``codes [B, T, D]``.
        """
        code_space = self.code_space
        num_hidden = draw_num_hidden(schedule_by_name(self.config.schedule), is_target, code_space.depth, rng)
        if condition is not None:
            dropped = torch.rand(len(codes), generator=rng).to(condition.device) < self.config.condition_dropout
            condition = torch.where(dropped[:, None, None], self.null_condition.to(condition.dtype), condition)
        hidden = self(codes, num_hidden, is_padding, condition)
        is_hiding = num_hidden > 0
        scale = self.hidden_scale[num_hidden[is_hiding]]
        target = code_space.hidden_sum(codes, num_hidden)[is_hiding] / scale[:, None]
        parts = variational_nll(self.head(hidden[is_hiding][None]), target[None])
        nll = parts["total"][0] + code_space.dim * torch.log(scale)  # of z itself, not of the normalized target
        loss = parts["total"].mean() / code_space.dim
        logs = {name: value.mean().detach() / code_space.dim for name, value in parts.items() if name != "total"}
        logs["nats_per_code"] = nll.detach().sum() / num_hidden.sum()
        return loss, logs

    @torch.no_grad()
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
        """Fill the target frames by the parallel reveal loop (method 7.1)."""

        unguided = config.guidance_start == config.guidance_end == 1.0
        if not unguided and (condition is None or not self.config.condition_dropout):
            raise ConfigError("guidance needs a model that was trained with condition_dropout above 0")

        def propose(state: RevealState) -> Proposal:
            weight = ramp(config.guidance_start, config.guidance_end, state.step, state.steps)
            latents = self._draw(state, is_padding, condition, weight, config, rng)
            if not torch.isfinite(latents).all():  # a search would turn them into plausible codes
                raise ResGenError(
                    f"the generator gave non-finite latents at step {state.step}.", code="MODEL_NONFINITE"
                )
            proposed = code_space.quantize(latents, state.num_hidden, state.codes)
            return proposed, quantization_confidence(code_space, latents, proposed, state.num_hidden)

        code_space = self.code_space
        return reveal(propose, codes, is_target, config, rng, on_step)

    def _draw(
        self,
        state: RevealState,
        is_padding: Tensor,
        condition: Tensor | None,
        weight: float,
        config: SamplerConfig,
        rng: torch.Generator,
    ) -> Float[Tensor, "B T C"]:
        """Draw each frame's hidden sum, [B, T, C] in latent units; guided where ``weight`` is not 1 (A12 (a))."""
        guided = weight != 1.0 and condition is not None
        hidden, null = self._hidden_states(state, is_padding, condition, guided)
        log_weights = self.head.component_log_weights(hidden)
        if guided:
            log_weights = guide(self.head.component_log_weights(null), log_weights, weight)
        component = draw_component(log_weights, config.top_p, rng)
        mean, scale = self.head.component_mean(hidden, component)
        if guided:
            mean = guide(self.head.component_mean(null, component)[0], mean, weight)
        noise = torch.randn(mean.shape, generator=rng).to(mean)
        latents = mean + config.noise_temperature * scale[..., None] * noise
        return latents.float() * self.hidden_scale[state.num_hidden][..., None]

    def _hidden_states(
        self, state: RevealState, is_padding: Tensor, condition: Tensor | None, guided: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Conditional and, where guided, unconditional hidden states, in one batch of twice the size."""
        if not guided:
            return self(state.codes, state.num_hidden, is_padding, condition), None
        both = self(
            torch.cat([state.codes, state.codes]),
            torch.cat([state.num_hidden, state.num_hidden]),
            torch.cat([is_padding, is_padding]),
            torch.cat([condition, self.null_condition.to(condition).expand_as(condition)]),
        )
        cond, null = both.chunk(2)
        return cond, null


def measure_hidden_scale(code_space: CodeSpace, codes: Int[Tensor, "N D"]) -> Float[Tensor, " E"]:
    """Root mean square per dimension of the sum of the finest k embeddings, for k = 0..D; entry 0 is 1."""
    scales = [torch.ones((), device=codes.device)]
    for num_hidden in range(1, code_space.depth + 1):
        count = torch.full((1, len(codes)), num_hidden, device=codes.device)
        scales.append(code_space.hidden_sum(codes[None], count).square().mean().sqrt())
    return torch.stack(scales).clamp_min(1e-6)
