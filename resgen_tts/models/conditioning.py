"""What a generator is told besides codes: features aligned to the frames, a class, or nothing."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.draws import Rng, draw_uniform_items

Condition = Float[Tensor, "B T F"] | Int[Tensor, " B"] | None
"""Aligned features, class indices, or no condition at all."""


class Conditioning(nn.Module):
    """Learned stand-ins for a dropped condition, and the table of classes.

    Args:
        width: O, channels of a class's vector.
        condition_dim: F, channels of aligned features; 0 = there are none.
        num_classes: classes; 0 = there are none. Index ``num_classes`` is "no class".
        dropout: share of training items whose condition is dropped, for guidance.
    """

    def __init__(self, width: int, condition_dim: int, num_classes: int, dropout: float):
        super().__init__()
        self.num_classes, self.dropout = num_classes, dropout
        self.condition_dim = condition_dim
        # Only where it is trained: a parameter that never has a gradient stops training over several devices.
        self.null_features = nn.Parameter(torch.zeros(condition_dim)) if condition_dim and dropout else None
        self.classes = nn.Embedding(num_classes + 1, width) if num_classes else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, std=0.02)

    def drop(self, condition: Condition, rng: Rng) -> Condition:
        """Replace the condition of some items by the learned null; in training mode alone."""
        self._check(condition)
        if condition is None or not self.dropout or not self.training:
            return condition
        dropped = draw_uniform_items(len(condition), rng).to(condition.device) < self.dropout
        return torch.where(dropped.view(-1, *[1] * (condition.dim() - 1)), self.null_of(condition), condition)

    def null_of(self, condition: Condition) -> Condition:
        """The learned null for every item, in the form of ``condition``.

        Raises:
            ConfigError: no null was trained, as nothing was dropped.
        """
        self._check(condition)
        if condition is not None and not self.dropout:
            raise ConfigError("this generator was trained with condition_dropout 0 and knows no null condition")
        if condition is None:
            return None
        if self.classes is not None:
            return torch.full_like(condition, self.num_classes)
        return self.null_features.to(condition).expand_as(condition)

    def forward(self, condition: Condition) -> tuple[Float[Tensor, "B T F"] | None, Float[Tensor, "B O"] | None]:
        """Features for the input, and a vector for the blocks."""
        self._check(condition)
        if self.classes is not None:
            return None, self.classes(condition)
        return condition, None

    def _check(self, condition: Condition) -> None:
        """Refuse a condition that the network was not built for, or none where it was."""
        wants = "classes" if self.classes is not None else "features" if self.condition_dim else "nothing"
        got = "nothing" if condition is None else "features" if condition.is_floating_point() else "classes"
        if wants != got:
            raise ValueError(f"this generator is conditioned by {wants}, but was given {got}")
