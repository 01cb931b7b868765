"""The trunk over prompt and target at sampling, the prompt's keys and values computed once where they do not change."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from resgen_tts.models.conditioning import Condition, TextMemory, at_frames, join
from resgen_tts.models.trunk import CodeGenerator
from resgen_tts.nn.transformer import Cache


class PromptedTrunk:
    """Hidden states of partly visible codes, for all steps of one utterance.

    With ``prompt_attention`` "own" the frames that are prompt in all items pass through the network at the first step
    and then no more: neither their codes nor what they attend to change (method 13.8). Texts that are attended to stay
    the same, too.

    Args:
        model: a scheme that is not causal.
        is_target: frames to generate.
        is_padding: frames behind the end of their item.
    """

    def __init__(self, model: CodeGenerator, is_target: Bool[Tensor, "B T"], is_padding: Bool[Tensor, "B T"]):
        self.model, self.is_target, self.is_padding = model, is_target, is_padding
        self.is_prompt = ~is_target & ~is_padding
        self.num_shared = int(self.is_prompt.all(0).cumprod(0).sum())  # leading frames that are prompt in all items
        self.num_kept = self.num_shared if model.config.prompt_attention == "own" else 0
        self.longest = int(self.is_prompt.any(0).nonzero().amax()) + 1 if self.num_kept else 0
        self.caches: dict[int, Cache] = {}  # by items in a pass: a guided one has its null beside it

    def __call__(
        self,
        codes: Int[Tensor, "G T D"],
        hidden_mask: Bool[Tensor, "G T D"],
        condition: Condition,
        is_padding: Bool[Tensor, "G T"],
    ) -> Float[Tensor, "G T O"]:
        """States of all frames, of the items once or several times over; those of kept prompt frames are zeros.

        Args:
            is_padding: frames that are not to be seen. Passes with the same number of items must agree on it, and on
                the codes and the condition of the frames that are kept.
        """
        model, kept, frames, cache = self.model, self.num_kept, codes.shape[1], None
        is_prompt = self.is_prompt.repeat(len(codes) // len(self.is_prompt), 1) & ~is_padding

        def states(first: int, end: int) -> Float[Tensor, "G n O"]:
            shown, hidden = codes[:, first:end], hidden_mask[:, first:end]
            return model.trunk(
                model.visible_input(shown, hidden), hidden, at_frames(condition, first, end), is_padding[:, :end],
                cache, is_prompt[:, :end],
            )  # fmt: skip

        if kept:
            cache = self.caches.get(len(codes))
            if cache is None:
                cache = self.caches[len(codes)] = model.trunk.new_cache(frames)
                # The rest of longer prompts is heard by what is kept; the steps overwrite its own keys and values.
                states(0, self.longest)
                cache.length, cache.grows = kept, False
        return F.pad(states(kept, frames), (0, 0, kept, 0))

    def with_null(
        self,
        codes: Int[Tensor, "B T D"],
        hidden_mask: Bool[Tensor, "B T D"],
        condition: Condition,
        null_hidden: Bool[Tensor, "B T D"],
        null_condition: Condition,
        null_padding: Bool[Tensor, "B T"],
    ) -> tuple[Float[Tensor, "B T O"], Float[Tensor, "B T O"]]:
        """States of a guided step and of its null: one call for both, two where the null sees no prompt.

        Attention tells distances alone, so a null is the same behind a prompt that is padding and with the prompt cut
        off, which is less work. A network that is told a class or nothing has absolute positions in its input: there
        nothing is cut.
        """
        is_by_frame = isinstance(condition, TextMemory) or (condition is not None and condition.is_floating_point())
        sees_prompt = bool((self.is_prompt & ~null_padding).any())
        if self.num_shared and is_by_frame and not sees_prompt:
            states = self(codes, hidden_mask, condition, self.is_padding)
            return states, self._unprompted(codes, null_hidden, null_condition, null_padding)
        both = self(
            torch.cat([codes, codes]), torch.cat([hidden_mask, null_hidden]), join(condition, null_condition),
            torch.cat([self.is_padding, null_padding]),
        )  # fmt: skip
        states, null = both.chunk(2)
        return states, null

    def _unprompted(
        self,
        codes: Int[Tensor, "B T D"],
        hidden_mask: Bool[Tensor, "B T D"],
        condition: Condition,
        is_padding: Bool[Tensor, "B T"],
    ) -> Float[Tensor, "B T O"]:
        """States behind the frames that are prompt in all items; those of the frames cut off are zeros."""
        first, frames = self.num_shared, codes.shape[1]
        codes, hidden = codes[:, first:], hidden_mask[:, first:]
        states = self.model.trunk(
            self.model.visible_input(codes, hidden), hidden, at_frames(condition, first, frames),
            is_padding[:, first:], is_prompt=torch.zeros_like(is_padding[:, first:]),
        )  # fmt: skip
        return F.pad(states, (0, 0, first, 0))
