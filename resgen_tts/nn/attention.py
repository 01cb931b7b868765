"""Bidirectional self-attention with rotary positions."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.nn.rotary import rotate


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence over itself; padded keys are never looked at."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "B T O"], angles: Float[Tensor, "T R"], is_padding: Bool[Tensor, "B T"] | None
    ) -> Float[Tensor, "B T O"]:
        """Attend; ``is_padding`` None means that there is none, which lets the faster kernels run."""
        batch, frames, width = x.shape
        q, k, v = self.project_in(x).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        allowed = None if is_padding is None else ~is_padding[:, None, None, :]
        mixed = nn.functional.scaled_dot_product_attention(rotate(q, angles), rotate(k, angles), v, attn_mask=allowed)
        return self.project_out(mixed.transpose(1, 2).reshape(batch, frames, width))
