"""RQ-Transformer: every code from all before it, frame after frame and level after level (arXiv:2203.01941)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.categorical import draw_code
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.draws import Rng, draw_uniform
from resgen_tts.core.left_to_right import left_to_right
from resgen_tts.core.objective import by_num_hidden
from resgen_tts.core.reveal import RevealState
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models.conditioning import Condition
from resgen_tts.models.frame_by_frame import FrameByFrame, merge_guided
from resgen_tts.models.trunk import TrunkConfig
from resgen_tts.nn.depth_transformer import DepthTransformer
from resgen_tts.nn.token_head import TokenHead


@dataclass(frozen=True, kw_only=True)
class RqTransformerConfig(TrunkConfig):
    """Size of trunk and depth transformer."""

    depth_layers: int = 6
    depth_width: int | None = None  # None = the trunk's
    depth_heads: int | None = None  # None = the trunk's
    label_smoothing: float = 0.0  # share of the target that is spread evenly over all codes

    def __post_init__(self):
        super().__post_init__()
        width, heads = self.depth_width or self.width, self.depth_heads or self.heads
        if width % (2 * heads):
            raise ConfigError(f"generator.depth_width {width} must be a multiple of twice the {heads} depth_heads")
        if self.depth_layers < 1:
            raise ConfigError(f"generator.depth_layers must be at least 1, got {self.depth_layers}")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"generator.label_smoothing must be in [0, 1), got {self.label_smoothing}")


class RqTransformer(FrameByFrame):
    """A causal trunk over frames, then a causal transformer over the levels of each frame, then logits."""

    def __init__(
        self, config: RqTransformerConfig, code_space: CodeSpace, level_energy: Float[Tensor, " D"] | None = None
    ):
        super().__init__(config, code_space, level_energy)
        width, heads = config.depth_width or config.width, config.depth_heads or config.heads
        self.depth = DepthTransformer(config.width, code_space.dim, code_space.depth, width, config.depth_layers, heads)
        self.head = TokenHead(width, code_space.depth, code_space.codebook_size)

    def loss(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Condition,
        rng: Rng,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of all codes of the target frames, each given all codes before it, in nats."""
        condition, _, _ = self.shown(condition, is_target, is_padding, rng)
        states = self.states(codes[:, :-1], condition)[is_target]
        wanted = codes[is_target]
        sums = self.code_space.embed(wanted[None, :, :-1])[0].cumsum(1) / self.total_scale
        sums = F.pad(sums, (0, 0, 1, 0))  # before the coarsest level nothing is known
        log_probs = torch.log_softmax(self.head(self.depth(self.depth.project_state(states), sums)).float(), dim=-1)
        nats = -log_probs.gather(-1, wanted[..., None])[..., 0]
        smoothing = self.config.label_smoothing
        loss = (1 - smoothing) * nats.mean() - smoothing * log_probs.mean()
        # With k codes hidden, what is left to tell are the nats of the finest k.
        left = nats.detach().flip(1).cumsum(1)
        num_hidden = torch.arange(1, codes.shape[2] + 1, device=codes.device).expand(left.shape)
        sums, frames = by_num_hidden(left, num_hidden, codes.shape[2])
        logs = {"nats_per_code": nats.detach().mean(), "nats_by_num_hidden": sums, "frames_by_num_hidden": frames}
        return loss, logs

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
        """Fill the target frames one after another, each level by level; ``config.steps`` does not apply."""
        weights = self.guidance_weights(config, is_target, condition)
        uniform = draw_uniform(is_target, (codes.shape[2],), rng)

        def fill(state: Float[Tensor, "G O"], frame: int) -> Int[Tensor, "B D"]:
            weight = None if weights is None else weights[:, frame]
            drawn, log_prob = self._draw(state, weight, config, uniform[:, frame])
            if not torch.isfinite(log_prob).all():
                raise ResGenError(f"the generator gave non-finite logits at frame {frame}.", code="MODEL_NONFINITE")
            return drawn

        advance = self.advance_by_cache(codes.shape[1], condition, config.is_guided)
        return left_to_right(advance, fill, codes, is_target, on_step)

    def _draw(
        self, state: Float[Tensor, "G O"], weight: Float[Tensor, " B"] | None, config: SamplerConfig,
        uniform: Float[Tensor, "B D"],
    ) -> tuple[Int[Tensor, "B D"], Float[Tensor, " B"]]:  # fmt: skip
        """Draw one frame of every item, coarse to fine, guided on log-probabilities; and its own log-probability."""
        projected, cache = self.depth.project_state(state), self.depth.new_cache()
        running = state.new_zeros(len(state), self.code_space.dim)
        drawn, total = [], 0.0
        for level in range(self.code_space.depth):
            hidden = self.depth(projected, running[:, None] / self.total_scale, cache)[:, 0]
            log_probs = torch.log_softmax(self.head.at_level(hidden, level).float(), dim=-1)
            log_probs = merge_guided(log_probs, weight)
            chosen, log_prob = draw_code(log_probs, config.top_p, config.temperature, uniform[:, level])
            total = total + log_prob
            running = running + self.codebooks[level][chosen].repeat(len(state) // len(chosen), 1)
            drawn.append(chosen)
        return torch.stack(drawn, dim=1), total
