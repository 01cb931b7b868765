"""What a generator is told besides codes: features aligned to the frames, a class, a text to attend to, or nothing."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.draws import Rng, draw_uniform_items
from resgen_tts.nn.rotary import places, sinusoids
from resgen_tts.nn.transformer import Memory


@dataclass(frozen=True)
class TextMemory:
    """A text that is not aligned: the network finds by cross-attention what belongs to a frame.

    Symbols and frames tell on one scale where they are: [-1, 0) from begin to end of the prompt, [0, 1) of the target,
    so that before any training what belongs together is near together, whatever the lengths.

    Args:
        features: of the prompt's symbols and then the target's, N padded.
        is_padding: True at padded symbols.
        symbol_place: where each symbol is in its text.
        frame_place: where each frame is in its speech.
    Source: cross-attention to text features as DiTTo-TTS (arXiv:2406.11427); the common scale is ours.
    """

    features: Float[Tensor, "B N F"]
    is_padding: Bool[Tensor, "B N"]
    symbol_place: Float[Tensor, "B N"]
    frame_place: Float[Tensor, "B T"]

    def __len__(self) -> int:
        return len(self.features)

    @property
    def placed(self) -> Memory:
        """What is attended to: the features, with the places that attention over a text would not know otherwise."""
        return self.features + sinusoids(places(self.symbol_place, self.features.shape[-1])), self.is_padding


Condition = Float[Tensor, "B T F"] | Int[Tensor, " B"] | TextMemory | None
"""Aligned features, class indices, a text to attend to, or no condition at all."""


def place_in_parts(count: Int[Tensor, " B"], first: Int[Tensor, " B"], size: int) -> Float[Tensor, "B size"]:
    """Places of two parts that follow each other: [-1, 0) over the ``first`` positions, [0, 1) over the other ones.

    Args:
        count: positions of both parts together; what lies behind means nothing.
    """
    index = torch.arange(size, device=count.device)[None]
    first, rest = first[:, None], (count - first)[:, None].clamp_min(1)
    return torch.where(index < first, index / first.clamp_min(1) - 1, ((index - first) / rest).clamp(max=1))


def join(first: Condition, second: Condition) -> Float[Tensor, "G T F"] | Int[Tensor, " G"] | TextMemory | None:
    """Two conditions of one kind as one batch, G = 2 B."""
    if first is None:
        return None
    return _map(lambda *parts: torch.cat(parts), first, second)


def at_frames(
    condition: Condition, start: int, end: int
) -> Float[Tensor, "B n F"] | Int[Tensor, " B"] | TextMemory | None:
    """The condition of some frames alone."""
    if isinstance(condition, TextMemory):
        return replace(condition, frame_place=condition.frame_place[:, start:end])
    if condition is None or not condition.is_floating_point():
        return condition
    return condition[:, start:end]


def without_prompt(condition: Condition, dropped: Bool[Tensor, " B"]) -> Condition:
    """The condition of items that lose their prompt: a text loses the prompt's part.

    Aligned features stay: the frames that they belong to are padding now.
    """
    if not isinstance(condition, TextMemory):
        return condition
    is_lost = dropped[:, None] & (condition.symbol_place < 0)
    return TextMemory(condition.features, condition.is_padding | is_lost, condition.symbol_place, condition.frame_place)


class Conditioning(nn.Module):
    """Learned stand-ins for a dropped condition, the table of classes, and how a text is attended to.

    Args:
        width: O, channels of a class's vector and of the frames.
        condition_dim: F, channels of aligned features; 0 = there are none.
        num_classes: classes; 0 = there are none. Index ``num_classes`` is "no class".
        dropout: share of training items whose condition alone is dropped, for guidance.
        cross_dim: F, channels of the features of a text to attend to; 0 = there is none.
        prompt_dropout: share of training items whose prompt alone is dropped.
        both_dropout: share of training items that lose both.
    """

    def __init__(
        self, width: int, condition_dim: int, num_classes: int, dropout: float, cross_dim: int = 0,
        prompt_dropout: float = 0.0, both_dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.width, self.condition_dim, self.num_classes, self.cross_dim = width, condition_dim, num_classes, cross_dim
        self.dropout, self.prompt_dropout, self.both_dropout = dropout, prompt_dropout, both_dropout
        channels = condition_dim or cross_dim
        # Only where it is trained: a parameter that never has a gradient stops training over several devices.
        self.null_features = nn.Parameter(torch.zeros(channels)) if channels and self.knows_null else None
        self.classes = nn.Embedding(num_classes + 1, width) if num_classes else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, std=0.02)

    @property
    def knows_null(self) -> bool:
        """Whether training ever drops the condition."""
        return self.dropout + self.both_dropout > 0

    def drop(
        self, condition: Condition, is_target: Bool[Tensor, "B T"], is_padding: Bool[Tensor, "B T"], rng: Rng
    ) -> tuple[Condition, Bool[Tensor, "B T"]]:
        """Replace the condition of some items by the learned null, make padding of some prompts; in training alone.

        One draw an item decides which of both it loses, so that their shares are what they are called.

        Returns:
            Condition and padding as the network is to be shown them.
        """
        self._check(condition)
        some = self.dropout + self.prompt_dropout + self.both_dropout
        if not self.training or not some or (condition is None and some == self.dropout):
            return condition, is_padding
        draw = draw_uniform_items(len(is_target), rng).to(is_target.device)
        of_both = (draw >= self.dropout + self.prompt_dropout) & (draw < some)
        loses_prompt = ((draw >= self.dropout) & (draw < self.dropout + self.prompt_dropout)) | of_both
        loses_condition = (draw < self.dropout) | of_both
        condition = without_prompt(condition, loses_prompt)
        if condition is not None and self.knows_null:
            condition = _map(
                lambda null, own: torch.where(loses_condition.view(-1, *[1] * (own.dim() - 1)), null, own),
                self.null_of(condition), condition,
            )  # fmt: skip
        return condition, is_padding | (loses_prompt[:, None] & ~is_target)

    def null_of(self, condition: Condition) -> Condition:
        """The learned null for every item, in the form of ``condition``; of a text: one symbol that says nothing.

        Raises:
            ConfigError: no null was trained, as nothing was dropped.
        """
        self._check(condition)
        if condition is None:
            return None
        if not self.knows_null:
            raise ConfigError("this generator was trained with condition_dropout 0 and knows no null condition")
        if self.classes is not None:
            return torch.full_like(condition, self.num_classes)
        if isinstance(condition, TextMemory):
            features = self.null_features.to(condition.features).expand_as(condition.features)
            is_padding = torch.ones_like(condition.is_padding)
            is_padding[:, 0] = False
            return TextMemory(features, is_padding, torch.zeros_like(condition.symbol_place), condition.frame_place)
        return self.null_features.to(condition).expand_as(condition)

    def forward(
        self, condition: Condition
    ) -> tuple[Float[Tensor, "B T F"] | None, Float[Tensor, "B O"] | None, Memory | None]:
        """Features for the input, a vector for the blocks, and a text for them to attend to."""
        self._check(condition)
        if self.classes is not None:
            return None, self.classes(condition), None
        if isinstance(condition, TextMemory):
            return None, None, condition.placed
        return condition, None, None

    def frame_places(self, condition: TextMemory) -> Float[Tensor, "B T O"]:
        """What is added to the frames, so that each knows the share of its speech that lies before it.

        Rotary angles show distances between frames alone; how far a frame is from the end tells which part of the text
        it speaks.
        """
        return sinusoids(places(condition.frame_place, self.width))

    def _check(self, condition: Condition) -> None:
        """Refuse a condition that the network was not built for, or none where it was."""
        wants = (
            "classes" if self.classes is not None
            else "features" if self.condition_dim else "a text" if self.cross_dim else "nothing"
        )  # fmt: skip
        if condition is None:
            got = "nothing"
        elif isinstance(condition, TextMemory):
            got = "a text"
        else:
            got = "features" if condition.is_floating_point() else "classes"
        if wants != got:
            raise ValueError(f"this generator is conditioned by {wants}, but was given {got}")


def _map(function: Callable[..., Tensor], *conditions: Tensor | TextMemory) -> Tensor | TextMemory:
    """A function of tensors, field by field where the conditions are texts."""
    if isinstance(conditions[0], TextMemory):
        names = [item.name for item in fields(TextMemory)]
        return TextMemory(*(function(*(getattr(one, name) for one in conditions)) for name in names))
    return function(*conditions)
