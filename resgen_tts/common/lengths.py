"""Lengths and padding of batches."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def padding_mask(lengths: Int[Tensor, " B"], size: int) -> Bool[Tensor, "B size"]:
    """True where a position lies behind the end of its item."""
    return torch.arange(size, device=lengths.device)[None, :] >= lengths[:, None]


def between_mask(starts: Int[Tensor, " B"], ends: Int[Tensor, " B"], size: int) -> Bool[Tensor, "B size"]:
    """True from each item's start to before its end."""
    return padding_mask(starts, size) & ~padding_mask(ends, size)


def pad_stack(items: Sequence[Tensor], value: float = 0) -> Tensor:
    """Stack tensors that differ in their first axis: [T_i, ...] -> [B, max T, ...]."""
    return torch.nn.utils.rnn.pad_sequence(list(items), batch_first=True, padding_value=value)
