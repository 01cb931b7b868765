"""The DiT-like trunk that every scheme shares."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.nn.attention import SelfAttention
from resgen_tts.nn.modulation import BiasModulation
from resgen_tts.nn.rotary import rotary_angles


class Block(nn.Module):
    """Attention, then a GELU(tanh) MLP, each modulated and gated."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float, gate: float):
        super().__init__()
        self.attention_modulation = BiasModulation(width, gate)
        self.attention = SelfAttention(width, heads)
        self.mlp_modulation = BiasModulation(width, gate)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(approximate="tanh"), nn.Linear(mlp_ratio * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, angles: Tensor, is_padding: Tensor | None) -> Tensor:
        """One residual step, [B, T, O] -> [B, T, O]."""
        branch = self.attention(self.attention_modulation.before(x), angles, is_padding)
        x = self.attention_modulation.after(x, self.dropout(branch))
        return self.mlp_modulation.after(x, self.dropout(self.mlp(self.mlp_modulation.before(x))))


class Transformer(nn.Module):
    """A stack of blocks and a last LayerNorm; bidirectional, rotary positions.

    Source: DiT (arXiv:2212.09748) sizes and block order, method 8.1.
    """

    def __init__(self, width: int, layers: int, heads: int, mlp_ratio: int = 4, dropout: float = 0.0):
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"width {width} must be a multiple of twice the {heads} heads")
        self.head_dim = width // heads
        gate = (2 * max(layers, 1)) ** -0.5  # keeps the stream's variance near 1 at the start, whatever the depth
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio, dropout, gate) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(
        self, x: Float[Tensor, "B T O"], is_padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T O"]:
        """Hidden states of every position; those at padding mean nothing."""
        angles = rotary_angles(x.shape[1], self.head_dim, device=x.device)
        if is_padding is not None and not bool(is_padding.any()):
            is_padding = None
        for block in self.blocks:
            x = block(x, angles, is_padding)
        return self.norm(x)
