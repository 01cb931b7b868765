"""What the schemes share that predict one frame after another, each from all that are finished."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.guidance import guidance_at, guide
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models.conditioning import Condition, at_frames, join
from resgen_tts.models.trunk import CodeGenerator, Trunk, TrunkConfig
from resgen_tts.nn.transformer import Cache


class FrameByFrame(CodeGenerator):
    """A causal trunk: at frame t it is shown the embedded frame t - 1 and the condition of frame t.

    Padding lies behind all frames, so that no mask is needed for it.
    """

    def __init__(self, config: TrunkConfig, code_space: CodeSpace, level_energy: Float[Tensor, " D"] | None = None):
        super().__init__(config, code_space, level_energy)
        if config.prompt_dropout or config.both_dropout or config.prompt_attention != "full":
            raise ConfigError(
                "frame by frame, a prompt cannot be left out: prompt_dropout and both_dropout must be 0 and "
                "prompt_attention full"
            )
        self.trunk = Trunk(config, code_space, causal=True)

    def states(
        self, finished: Int[Tensor, "B n D"], condition: Condition, cache: Cache | None = None
    ) -> Float[Tensor, "B m O"]:
        """What the frame behind each finished one is predicted from; at the beginning also the very first frame's.

        Args:
            finished: the frames that follow those which the cache has been fed with.
            condition: of the whole utterance, with the frames that are still to come.
        """
        start = 0 if cache is None else cache.length
        if start == 0:
            finished = F.pad(finished, (0, 0, 1, 0))  # before the first frame: one of which nothing is visible
        hidden_mask = torch.zeros_like(finished, dtype=torch.bool)
        hidden_mask[:, 0] = start == 0
        condition = at_frames(condition, start, start + finished.shape[1])
        return self.trunk(self.visible_input(finished, hidden_mask), hidden_mask, condition, cache=cache)

    def advance_by_cache(
        self, frames: int, condition: Condition, is_guided: bool
    ) -> Callable[[Tensor, int], Float[Tensor, "G O"]]:
        """What :func:`left_to_right` calls ``advance``: every frame goes through the trunk once.

        Returns:
            The next frame's state of every item; where guided, below them those of all items without their condition.
        """
        cache = self.trunk.new_cache(frames)
        if is_guided:
            condition = join(condition, self.trunk.conditioning.null_of(condition))

        def advance(finished: Int[Tensor, "B n D"], start: int) -> Float[Tensor, "G O"]:
            return self.states(torch.cat([finished, finished]) if is_guided else finished, condition, cache)[:, -1]

        return advance

    def guidance_weights(
        self, config: SamplerConfig, is_target: Bool[Tensor, "B T"], condition: Condition
    ) -> Float[Tensor, "B T"] | None:
        """The weight of each target frame, its ramp running over the item's own; None where nothing is guided.

        Raises:
            ConfigError: guidance that this model or call cannot give.
        """
        self.check_guidance(config, condition)
        if not config.is_guided:
            return None
        if (config.guidance_on, config.guidance_null) != ("components", "condition"):
            raise ConfigError(
                "frame by frame, guidance is on components (codes, where the model predicts codes) against the null "
                f"condition; got guidance_on {config.guidance_on!r}, guidance_null {config.guidance_null!r}"
            )
        weights = torch.ones(is_target.shape, dtype=torch.float)
        for item, target in enumerate(is_target.cpu()):
            places = target.nonzero()[:, 0].tolist()
            for step, frame in enumerate(places):
                weights[item, frame] = guidance_at(config, step, len(places))
        return weights.to(is_target.device)


def merge_guided(values: Float[Tensor, "G *rest"], weight: Float[Tensor, " B"] | None) -> Float[Tensor, "B *rest"]:
    """``null + w * (cond - null)`` of the two halves (conditional, null), with a weight for each item.

    Without weights nothing is guided, and ``values`` are the conditional ones alone.
    """
    if weight is None:
        return values
    cond, null = values.chunk(2)
    return guide(null, cond, weight.to(values).view(-1, *[1] * (values.dim() - 1)))
