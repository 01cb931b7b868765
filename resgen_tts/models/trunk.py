"""What all schemes share: configuration, code embedding, condition and transformer over a frozen code space."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.draws import Rng
from resgen_tts.core.masking import suffix_mask
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models.conditioning import Condition, Conditioning, without_prompt
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
    cross_dim: int = 0  # F, channels of the features of a text that every block attends to; 0 = none
    condition_dropout: float = 0.1  # share of training items whose condition alone is the learned null
    prompt_dropout: float = 0.0  # share of training items whose prompt alone is not seen, for guidance_null "prompt"
    both_dropout: float = 0.0  # share of training items that lose both, for guidance_null "both"
    prompt_attention: str = "full"  # or "own": prompt frames see each other alone, so that their keys can be kept
    grid_width: int = 0  # frames to a row of a row-major picture; 0 = a sequence

    def __post_init__(self):
        pairs = 4 if self.grid_width else 2
        if self.width % (pairs * self.heads):
            raise ConfigError(
                f"generator.width {self.width} must be a multiple of {pairs} times the {self.heads} heads"
            )
        shares = (self.condition_dropout, self.prompt_dropout, self.both_dropout)
        if min(shares) < 0 or sum(shares) >= 1:
            raise ConfigError(
                "generator.condition_dropout, prompt_dropout and both_dropout must be shares in [0, 1) whose sum is "
                f"below 1, got {', '.join(map(str, shares))}"
            )
        if sum(kind > 0 for kind in (self.condition_dim, self.num_classes, self.cross_dim)) > 1:
            raise ConfigError(
                "a generator is conditioned by aligned features (condition_dim), by classes (num_classes) or by a text "
                "that it attends to (cross_dim), not by both"
            )
        if self.cross_dim % 2:
            raise ConfigError(f"generator.cross_dim must be even, got {self.cross_dim}")
        if self.prompt_attention not in ("full", "own"):
            raise ConfigError(f"generator.prompt_attention must be full or own, got {self.prompt_attention!r}")


class Trunk(nn.Module):
    """From partly visible codes and a condition to hidden states.

    Args:
        causal: a frame sees itself and what is before it.
    """

    def __init__(self, config: TrunkConfig, code_space: CodeSpace, *, causal: bool = False):
        super().__init__()
        self.grid_width = config.grid_width
        self.is_prompt_apart = config.prompt_attention == "own"
        self.embedding = CodeEmbedding(code_space.dim, config.condition_dim, code_space.depth, config.width)
        self.conditioning = Conditioning(
            config.width, config.condition_dim, config.num_classes, config.condition_dropout,
            config.cross_dim, config.prompt_dropout, config.both_dropout,
        )  # fmt: skip
        self.transformer = Transformer(
            config.width, config.layers, config.heads, config.mlp_ratio, config.dropout,
            causal=causal, conditional=config.num_classes > 0, grid_width=config.grid_width,
            memory_width=config.cross_dim,
        )  # fmt: skip

    def forward(
        self,
        visible: Float[Tensor, "B T C"],
        hidden_mask: Bool[Tensor, "B T D"] | None,
        condition: Condition,
        is_padding: Bool[Tensor, "B S"] | None = None,
        cache: Cache | None = None,
        is_prompt: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T O"]:
        """Hidden states of every frame.

        Args:
            visible: sum of each frame's visible embeddings, divided by the latents' scale.
            is_padding: of all S frames: those that the cache holds, then these.
            cache: the frames continue behind those that it holds.
            is_prompt: frames shown whole, of S as above; a trunk without ``prompt_attention`` "own" does not care.
        """
        features, vector, memory = self.conditioning(condition)
        embedded = self.embedding(visible, hidden_mask, features)
        if memory is not None:
            embedded = embedded + self.conditioning.frame_places(condition)
        elif features is None:
            # Where everything is hidden all frames look alike, and attention among equals does not tell them apart,
            # whatever its rotary angles: positions must be in the input (fixed sines and cosines, as in DiT).
            start = 0 if cache is None else cache.length
            angles = rotary_angles(
                visible.shape[1], embedded.shape[-1], device=visible.device, start=start, grid_width=self.grid_width
            )
            embedded = embedded + sinusoids(angles)
        apart = is_prompt if self.is_prompt_apart else None
        return self.transformer(embedded, is_padding, vector, cache, memory, apart)

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

    def shown(
        self, condition: Condition, is_target: Bool[Tensor, "B T"], is_padding: Bool[Tensor, "B T"], rng: Rng
    ) -> tuple[Condition, Bool[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Condition and padding as training shows them, some items without one; and which frames are prompt."""
        condition, is_padding = self.trunk.conditioning.drop(condition, is_target, is_padding, rng)
        return condition, is_padding, ~is_target & ~is_padding

    def check_guidance(self, config: SamplerConfig, condition: Condition) -> None:
        """Refuse guidance that this model or call cannot give.

        Against a null without prompt any model can be guided: items without one are among every training's.

        Raises:
            ConfigError: guidance against the null condition without a condition, or of a model that was never
                shown the null.
        """
        if not config.is_guided or config.guidance_null not in ("condition", "both"):
            return
        if condition is None:
            raise ConfigError("guidance against the null condition needs a condition, and this model has none")
        if not self.trunk.conditioning.knows_null:
            raise ConfigError("guidance needs a model that was trained with condition_dropout or both_dropout above 0")

    def null_inputs(
        self, config: SamplerConfig, condition: Condition, is_target: Bool[Tensor, "B T"],
        is_padding: Bool[Tensor, "B T"],
    ) -> tuple[Condition, Bool[Tensor, "B T"]]:  # fmt: skip
        """Condition and padding of the null pass: without the condition, without the prompt, or without both.

        A prompt that is not to be seen is padding. As attention tells distances alone, that is the same as cutting it
        off, but for a network whose input holds absolute positions (told a class or nothing).
        """
        if config.guidance_null in ("prompt", "both"):
            condition = without_prompt(condition, torch.ones_like(is_target[:, 0]))
            is_padding = ~is_target
        if config.guidance_null in ("condition", "both"):
            condition = self.trunk.conditioning.null_of(condition)
        return condition, is_padding


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
