"""The DiT-like trunk that every scheme shares."""

from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.nn.attention import KeyValueCache, SelfAttention
from resgen_tts.nn.modulation import BiasModulation, SharedModulation, Shift
from resgen_tts.nn.rotary import rotary_angles


@dataclass
class Cache:
    """What a causal transformer remembers between calls."""

    room: int  # frames that it can hold
    layers: list[list[KeyValueCache]] = field(default_factory=list)  # one list a block, empty until the first call
    length: int = 0  # frames held


class Block(nn.Module):
    """Attention, then a GELU(tanh) MLP, each modulated and gated."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float, gate: float, causal: bool):
        super().__init__()
        self.attention_modulation = BiasModulation(width, gate)
        self.attention = SelfAttention(width, heads, causal=causal)
        self.mlp_modulation = BiasModulation(width, gate)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(approximate="tanh"), nn.Linear(mlp_ratio * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, angles: Tensor, is_padding: Tensor | None, by: tuple[Shift, Shift] | None,
        cache: list[KeyValueCache] | None, start: int, room: int,
    ) -> Tensor:  # fmt: skip
        """One residual step, [B, T, O] -> [B, T, O]."""
        for_attention, for_mlp = (None, None) if by is None else by
        branch = self.attention_modulation.before(x, for_attention)
        branch = self.attention(branch, angles, is_padding, cache, start, room)
        x = self.attention_modulation.after(x, self.dropout(branch), for_attention)
        branch = self.mlp(self.mlp_modulation.before(x, for_mlp))
        return self.mlp_modulation.after(x, self.dropout(branch), for_mlp)


class Transformer(nn.Module):
    """A stack of blocks and a last LayerNorm; rotary positions.

    Args:
        causal: a position sees itself and what is before it.
        conditional: a vector per item modulates all blocks (shared adaLN).
        grid_width: positions to a row of a row-major picture; 0 = a sequence.
    Source: DiT (arXiv:2212.09748) sizes and block order, method 8.1.
    """

    def __init__(
        self, width: int, layers: int, heads: int, mlp_ratio: int = 4, dropout: float = 0.0, *,
        causal: bool = False, conditional: bool = False, grid_width: int = 0,
    ):  # fmt: skip
        super().__init__()
        pairs = 4 if grid_width else 2  # a picture's rows and columns each take half of the pairs of channels
        if width % (pairs * heads):
            raise ValueError(f"width {width} must be a multiple of {pairs} times the {heads} heads")
        self.head_dim, self.causal, self.grid_width = width // heads, causal, grid_width
        gate = (2 * max(layers, 1)) ** -0.5  # keeps the stream's variance near 1 at the start, whatever the depth
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio, dropout, gate, causal) for _ in range(layers))
        self.modulation = SharedModulation(width) if conditional else None
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(
        self,
        x: Float[Tensor, "B T O"],
        is_padding: Bool[Tensor, "B T"] | None = None,
        vector: Float[Tensor, "B O"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "B T O"]:
        """Hidden states of every position; those at padding mean nothing.

        Args:
            vector: the condition of each item, where the network is conditional.
            cache: of a causal network: ``x`` continues behind the frames that it holds, and is held from now on.
        """
        assert cache is None or self.causal, "only a causal network can be continued"
        start, room = (0, 0) if cache is None else (cache.length, cache.room)
        angles = rotary_angles(x.shape[1], self.head_dim, device=x.device, start=start, grid_width=self.grid_width)
        if is_padding is not None and not bool(is_padding.any()):
            is_padding = None
        by = None if self.modulation is None else self.modulation(vector)
        if cache is not None and not cache.layers:
            cache.layers = [[] for _ in self.blocks]
        for place, block in enumerate(self.blocks):
            x = block(x, angles, is_padding, by, None if cache is None else cache.layers[place], start, room)
        if cache is not None:
            cache.length += x.shape[1]
        return self.norm(x)
