"""What all schemes share: configuration, code embedding, condition and transformer over a frozen code space."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.masking import suffix_mask
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models.conditioning import Condition, Conditioning
from resgen_tts.nn.code_embedding import CodeEmbedding
from resgen_tts.nn.rotary import rotary_angles, sinusoids
from resgen_tts.nn.transformer import Cache, Transformer


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Size and condition of a generator. The defaults are the published speech model's."""

    width: int = 1152  # O
    layers: int = 28
    heads: int = 16
    mlp_ratio: int = 4
    dropout: float = 0.0
    condition_dim: int = 0  # F, channels of the aligned condition; 0 = none
    num_classes: int = 0  # classes; 0 = none
    condition_dropout: float = 0.1  # share of training items whose condition is the learned null
    grid_width: int = 0  # frames to a row of a row-major picture; 0 = a sequence

    def __post_init__(self):
        pairs = 4 if self.grid_width else 2
        if self.width % (pairs * self.heads):
            raise ConfigError(
                f"generator.width {self.width} must be a multiple of {pairs} times the {self.heads} heads"
            )
        if not 0 <= self.condition_dropout < 1:
            raise ConfigError(f"generator.condition_dropout must be in [0, 1), got {self.condition_dropout}")
        if self.condition_dim and self.num_classes:
            raise ConfigError("a generator is conditioned by aligned features or by classes, not by both")


class Trunk(nn.Module):
    """From partly visible codes and a condition to hidden states.

    Args:
        causal: a frame sees itself and what is before it.
    """

    def __init__(self, config: TrunkConfig, code_space: CodeSpace, *, causal: bool = False):
        super().__init__()
        self.grid_width = config.grid_width
        self.embedding = CodeEmbedding(code_space.dim, config.condition_dim, code_space.depth, config.width)
        self.conditioning = Conditioning(
            config.width, config.condition_dim, config.num_classes, config.condition_dropout
        )
        self.transformer = Transformer(
            config.width, config.layers, config.heads, config.mlp_ratio, config.dropout,
            causal=causal, conditional=config.num_classes > 0, grid_width=config.grid_width,
        )  # fmt: skip

    def forward(
        self,
        visible: Float[Tensor, "B T C"],
        hidden_mask: Bool[Tensor, "B T D"] | None,
        condition: Condition,
        is_padding: Bool[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "B T O"]:
        """Hidden states of every frame.

        Args:
            visible: sum of each frame's visible embeddings, divided by the latents' scale.
            cache: of a causal trunk: the frames continue behind those that it holds.
        """
        features, vector = self.conditioning(condition)
        embedded = self.embedding(visible, hidden_mask, features)
        if features is None:
            # Where everything is hidden all frames look alike, and attention among equals does not tell them apart,
            # whatever its rotary angles: positions must be in the input (fixed sines and cosines, as in DiT).
            start = 0 if cache is None else cache.length
            angles = rotary_angles(
                visible.shape[1], embedded.shape[-1], device=visible.device, start=start, grid_width=self.grid_width
            )
            embedded = embedded + sinusoids(angles)
        return self.transformer(embedded, is_padding, vector, cache)

    def new_cache(self, frames: int) -> Cache:
        """An empty cache with room for so many frames."""
        return Cache(room=frames)


class CodeGenerator(nn.Module):
    """Base of the schemes: the code space as buffers, never trained, and the scale of what is hidden.

    Args:
        code_space: the tokenizer's codebooks.
        level_energy: what each level adds to the mean square per dimension of a sum of embeddings, [D]
            (see :func:`measure_level_energy`).
    """

    def __init__(self, config: TrunkConfig, code_space: CodeSpace, level_energy: Float[Tensor, " D"] | None = None):
        super().__init__()
        self.config = config
        self._space_kind = type(code_space)
        for name, value in code_space.tensors().items():
            self.register_buffer(name, value.clone())
        energy = torch.full((code_space.depth,), 1 / code_space.depth) if level_energy is None else level_energy.clone()
        self.register_buffer("level_energy", energy)

    @property
    def code_space(self) -> CodeSpace:
        """The frozen space that codes live in."""
        kind = self._space_kind
        return kind(**{item.name: getattr(self, item.name) for item in fields(kind)})

    def hidden_scale(self, hidden_mask: Bool[Tensor, "*shape D"]) -> Float[Tensor, "*shape"]:
        """Root mean square per dimension of the sum of the hidden embeddings; 1 where nothing is hidden.

        Targets are divided by it, which leaves a model the same (a_i = s[k_i] exp(delta_i)) and its first steps
        stable (method 13.5).
        """
        # Not as a product of matrices, which autocast would make one of half precision. How levels hang together may
        # give single ones a small or negative share; for suffixes, which are measured, the floor changes nothing.
        energy = torch.where(hidden_mask, self.level_energy, 0.0).sum(-1)
        floor = 1e-3 * torch.where(hidden_mask, self.level_energy.abs(), 0.0).sum(-1)
        scale = energy.maximum(floor).clamp_min(1e-12).sqrt()
        return torch.where(hidden_mask.any(-1), scale, torch.ones_like(scale))

    @property
    def total_scale(self) -> Float[Tensor, ""]:
        """Root mean square per dimension of the sum of all levels."""
        return self.level_energy.sum().clamp_min(1e-12).sqrt()

    def visible_input(self, codes: Int[Tensor, "B T D"], hidden_mask: Bool[Tensor, "B T D"]) -> Float[Tensor, "B T C"]:
        """The sum of the visible embeddings, at the scale that the trunk is fed with."""
        return self.code_space.visible_sum(codes, hidden_mask) / self.total_scale

    def check_guidance(self, config: SamplerConfig, condition: Condition) -> None:
        """Refuse guidance that this model or call cannot give.

        Raises:
            ConfigError: guidance against the null condition without a condition, or of a model that was never
                shown the null.
        """
        if not config.is_guided or config.guidance_null != "condition":
            return
        if condition is None:
            raise ConfigError("guidance against the null condition needs a condition, and this model has none")
        if not self.config.condition_dropout:
            raise ConfigError("guidance needs a model that was trained with condition_dropout above 0")


def measure_level_energy(code_space: CodeSpace, codes: Int[Tensor, "N D"]) -> Float[Tensor, " D"]:
    """What each level adds to the mean square per dimension of the sum of the finest embeddings.

    With ``s_k^2`` the mean square of the sum of the finest k, level D - k gets ``s_k^2 - s_{k-1}^2``: the sum over a
    suffix is exact, over other sets of levels it leaves out how the levels hang together.
    """
    squares = [torch.zeros((), device=codes.device)]
    for num_hidden in range(1, code_space.depth + 1):
        count = torch.full((1, len(codes)), num_hidden, device=codes.device)
        hidden = suffix_mask(count, code_space.depth)
        squares.append(code_space.hidden_sum(codes[None], hidden).square().mean())
    return torch.stack(squares).diff().flip(0)
