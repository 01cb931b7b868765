"""AR-ResGen: frame after frame, each by its own small unmasking of the sum of its hidden embeddings."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.categorical import draw_index
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.draws import Rng, draw_normal, draw_uniform
from resgen_tts.core.left_to_right import left_to_right
from resgen_tts.core.masking import suffix_mask
from resgen_tts.core.objective import by_num_hidden
from resgen_tts.core.proposal import LatentProposal
from resgen_tts.core.reveal import RevealState, reveal
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.core.schedule import num_hidden_slots, schedule_by_name
from resgen_tts.models.conditioning import Condition
from resgen_tts.models.frame_by_frame import FrameByFrame, merge_guided
from resgen_tts.models.trunk import TrunkConfig
from resgen_tts.nn.depth_transformer import DepthMlp
from resgen_tts.nn.mixture_head import MixtureHead


@dataclass(frozen=True, kw_only=True)
class ArResGenConfig(TrunkConfig):
    """Size, head and training mask. With four blocks of MLP the published ablation's size is met."""

    components: int = 1024  # K
    rank: int | None = 64  # h; None = full-rank means
    mlp_layers: int = 4  # residual blocks of the depth MLP
    mlp_width: int | None = None  # channels inside a block; None = mlp_ratio * width
    schedule: str = "circle"  # gamma of the training mask

    def __post_init__(self):
        super().__post_init__()
        schedule_by_name(self.schedule)
        if self.mlp_layers < 1:
            raise ConfigError(f"generator.mlp_layers must be at least 1, got {self.mlp_layers}")


class ArResGen(FrameByFrame):
    """A causal trunk over frames, then an MLP over the visible part of the frame, then the mixture head.

    Source: ResGen (arXiv:2412.10208), the AR-ResGen ablation; method 8.3.
    """

    def __init__(self, config: ArResGenConfig, code_space: CodeSpace, level_energy: Float[Tensor, " D"] | None = None):
        super().__init__(config, code_space, level_energy)
        inner = config.mlp_width or config.mlp_ratio * config.width
        self.depth = DepthMlp(config.width, code_space.dim, code_space.depth, config.mlp_layers, inner)
        self.head = MixtureHead(config.width, code_space.dim, config.components, config.rank)

    def loss(
        self,
        codes: Int[Tensor, "B T D"],
        is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
        condition: Condition,
        rng: Rng,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The variational bound of -log p(z | visible, frames before), in nats per latent dimension.

        Frames before are the true ones. Every target frame hides its own ``k = ceil(gamma(r) D)`` finest codes,
        ``r ~ U[0, 1)``.
        """
        depth, dim = self.code_space.depth, self.code_space.dim
        condition, _, _ = self.shown(condition, is_target, is_padding, rng)
        ratio = draw_uniform(is_target, (), rng)
        levels = torch.full_like(ratio, depth, dtype=torch.long)
        num_hidden = num_hidden_slots(schedule_by_name(self.config.schedule), ratio, levels) * is_target
        is_hiding = num_hidden > 0
        hidden = suffix_mask(num_hidden, depth)[is_hiding]
        shown = codes[is_hiding][None]
        visible = self.visible_input(shown, hidden[None])[0]
        states = self.depth(self.states(codes[:, :-1], condition)[is_hiding], visible, hidden)
        scale = self.hidden_scale(hidden)
        parts = self.head.nll(states, self.code_space.hidden_sum(shown, hidden[None])[0] / scale[:, None])
        nll = (parts["total"] + dim * torch.log(scale)).detach()  # of z itself, not of the normalized target
        sums, frames = by_num_hidden(nll, num_hidden[is_hiding], depth)
        logs = {"nats_per_code": nll.sum() / num_hidden.sum()}
        logs |= {name: value.mean().detach() / dim for name, value in parts.items() if name != "total"}
        logs |= {"nats_by_num_hidden": sums, "frames_by_num_hidden": frames}
        return parts["total"].mean() / dim, logs

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
        """Fill the target frames one after another, each in ``config.steps`` reveal steps over its own levels."""
        weights = self.guidance_weights(config, is_target, condition)
        space = self.code_space  # one for all frames: it keeps the norms of its codes

        def fill(state: Float[Tensor, "G O"], frame: int) -> Int[Tensor, "B D"]:
            weight = None if weights is None else weights[:, frame]

            def propose(inner: RevealState) -> LatentProposal:
                latents = self._draw(state, inner, weight, config, rng)
                if not torch.isfinite(latents).all():  # a search would turn them into plausible codes
                    raise ResGenError(
                        f"the generator gave non-finite latents at frame {frame}.", code="MODEL_NONFINITE"
                    )
                return LatentProposal(space, latents, inner.codes, inner.hidden_mask)

            here = slice(frame, frame + 1)
            return reveal(propose, codes[:, here], is_target[:, here], config, rng)[:, 0]

        advance = self.advance_by_cache(codes.shape[1], condition, config.is_guided)
        return left_to_right(advance, fill, codes, is_target, on_step)

    def _draw(
        self, state: Float[Tensor, "G O"], inner: RevealState, weight: Float[Tensor, " B"] | None,
        config: SamplerConfig, rng: Rng,
    ) -> Float[Tensor, "B 1 C"]:  # fmt: skip
        """Draw the hidden sum of one frame of every item, in latent units; guided as ResGen's "components"."""
        copies = 1 if weight is None else 2
        visible = self.visible_input(inner.codes, inner.hidden_mask).repeat(copies, 1, 1)
        states = self.depth(state[:, None], visible, inner.hidden_mask.repeat(copies, 1, 1))
        log_weights = merge_guided(self.head.component_log_weights(states), weight)
        component = draw_index(log_weights, config.top_p, draw_uniform(inner.is_drawn, (), rng))
        mean, scale = self.head.component_mean(states, component.repeat(copies, 1))
        noise = draw_normal(inner.is_drawn, (self.code_space.dim,), rng)
        drawn = merge_guided(mean, weight) + config.temperature * scale[: len(component), :, None] * noise
        return drawn.float() * self.hidden_scale(inner.hidden_mask)[..., None]
