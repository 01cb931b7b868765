"""Attention: of a sequence over itself, with rotary positions and continued behind a cache, or over a text memory."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.nn.attention_products import attend_by_products, suits_products
from resgen_tts.nn.rotary import rotate


class KeyValueCache:
    """Keys and values of the frames that one attention layer has seen; room for all of them from the start.

    How many frames it holds is known to the caller, who says where the next ones are written.

    Args:
        like: some keys, for their batch, heads, channels, dtype and device.
        frames: room, in frames.
    """

    def __init__(self, like: Float[Tensor, "B H n E"], frames: int):
        batch, heads, _, channels = like.shape
        self.keys = like.new_empty(batch, heads, frames, channels)
        self.values = like.new_empty(batch, heads, frames, channels)

    def extend(self, keys: Tensor, values: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Write at ``start``; returns everything up to the end of what was written."""
        end = start + keys.shape[2]
        self.keys[:, :, start:end], self.values[:, :, start:end] = keys, values
        return self.keys[:, :, :end], self.values[:, :, :end]


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence over itself; padded keys are never looked at.

    Args:
        causal: a position sees itself and what is before it. Padding, which is behind, needs no mask then.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "B T O"],
        turns: Float[Tensor, "2 T R"],
        allowed: Bool[Tensor, "B 1 Q S"] | None,
        cache: list[KeyValueCache] | None = None,
        start: int = 0,
        room: int = 0,
    ) -> Float[Tensor, "B T O"]:
        """Attend; ``allowed`` None means that everything may be seen, which lets the faster kernels run.

        Args:
            allowed: which keys each of Q = T or 1 (all alike) queries may see, those of the cache first; not for a
                causal network.
            cache: an empty list or one holding this layer's cache, of ``room`` frames in all, ``start`` of them full.
        """
        batch, frames, width = x.shape
        q, k, v = self.project_in(x).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, turns), rotate(k, turns)
        if cache is not None:
            if not cache:
                cache.append(KeyValueCache(k, room))
            k, v = cache[0].extend(k, v, start)
        is_causal = False
        if self.causal and start == 0:
            is_causal = frames > 1
        elif self.causal and frames > 1:
            allowed = torch.ones(frames, start + frames, dtype=torch.bool, device=x.device).tril(start)
        mixed = _attend(q, k, v, allowed, is_causal=is_causal)
        return self.project_out(mixed.transpose(1, 2).reshape(batch, frames, width))


class CrossAttention(nn.Module):
    """Multi-head attention of a sequence over the features of a text; padded symbols are never looked at.

    Positions are in what it is given: a symbol's index and a frame's do not count the same thing, so that their
    distance, which rotary angles would show, means nothing.

    Args:
        memory_width: channels of the text's features.
    """

    def __init__(self, width: int, heads: int, memory_width: int):
        super().__init__()
        self.heads = heads
        self.project_query = nn.Linear(width, width)
        self.project_memory = nn.Linear(memory_width, 2 * width)
        self.project_out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "B T O"], memory: Float[Tensor, "B N F"], is_padding: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B T O"]:
        """Attend; every item has at least one symbol that is not padding."""
        batch, frames, width = x.shape
        q = self.project_query(x).view(batch, frames, self.heads, -1).transpose(1, 2)
        k, v = self.project_memory(memory).view(batch, memory.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = _attend(q, k, v, ~is_padding[:, None, None, :])
        return self.project_out(mixed.transpose(1, 2).reshape(batch, frames, width))


def _attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, *, is_causal: bool = False) -> Tensor:
    if suits_products(q) and not is_causal:
        return attend_by_products(q, k, v, allowed)
    return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=is_causal)
