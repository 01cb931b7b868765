"""The DiT-like trunk that every scheme shares."""

from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.nn.attention import CrossAttention, KeyValueCache, SelfAttention
from resgen_tts.nn.modulation import BiasModulation, SharedModulation, Shift
from resgen_tts.nn.rotary import rotary_angles, turns_by

Memory = tuple[Float[Tensor, "B N F"], Bool[Tensor, "B N"]]
"""Features of a text to attend to, and where they are padding."""


@dataclass
class Cache:
    """What a transformer remembers between calls."""

    room: int  # frames that it can hold
    layers: list[list[KeyValueCache]] = field(default_factory=list)  # one list a block, empty until the first call
    length: int = 0  # frames held
    grows: bool = True  # frames of further calls are held, too; else each call continues behind the same ones


class Block(nn.Module):
    """Attention, then attention over a text where there is one, then a GELU(tanh) MLP, each modulated and gated."""

    def __init__(
        self, width: int, heads: int, mlp_ratio: int, dropout: float, gate: float, causal: bool, memory_width: int
    ):
        super().__init__()
        self.attention_modulation = BiasModulation(width, gate)
        self.attention = SelfAttention(width, heads, causal=causal)
        if memory_width:
            self.cross_modulation = BiasModulation(width, gate)
            self.cross = CrossAttention(width, heads, memory_width)
        self.mlp_modulation = BiasModulation(width, gate)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(approximate="tanh"), nn.Linear(mlp_ratio * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, turns: Tensor, allowed: Tensor | None, by: tuple[Shift, Shift] | None,
        memory: Memory | None, cache: list[KeyValueCache] | None, start: int, room: int,
    ) -> Tensor:  # fmt: skip
        """One residual step, [B, T, O] -> [B, T, O]."""
        for_attention, for_mlp = (None, None) if by is None else by
        branch = self.attention_modulation.before(x, for_attention)
        branch = self.attention(branch, turns, allowed, cache, start, room)
        x = self.attention_modulation.after(x, self.dropout(branch), for_attention)
        if memory is not None:
            branch = self.cross(self.cross_modulation.before(x), *memory)
            x = self.cross_modulation.after(x, self.dropout(branch))
        branch = self.mlp(self.mlp_modulation.before(x, for_mlp))
        return self.mlp_modulation.after(x, self.dropout(branch), for_mlp)


class Transformer(nn.Module):
    """A stack of blocks and a last LayerNorm; rotary positions.

    Args:
        causal: a position sees itself and what is before it.
        conditional: a vector per item modulates all blocks (shared adaLN).
        grid_width: positions to a row of a row-major picture; 0 = a sequence.
        memory_width: channels of a text that every block attends to; 0 = there is none.
    Source: DiT (arXiv:2212.09748) sizes and block order, method 8.1; attention over the text as DiTTo-TTS
    (arXiv:2406.11427).
    """

    def __init__(
        self, width: int, layers: int, heads: int, mlp_ratio: int = 4, dropout: float = 0.0, *,
        causal: bool = False, conditional: bool = False, grid_width: int = 0, memory_width: int = 0,
    ):  # fmt: skip
        super().__init__()
        pairs = 4 if grid_width else 2  # a picture's rows and columns each take half of the pairs of channels
        if width % (pairs * heads):
            raise ValueError(f"width {width} must be a multiple of {pairs} times the {heads} heads")
        self.head_dim, self.causal, self.grid_width = width // heads, causal, grid_width
        branches = 3 if memory_width else 2
        gate = (branches * max(layers, 1)) ** -0.5  # keeps the stream's variance near 1 at the start, at any depth
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio, dropout, gate, causal, memory_width) for _ in range(layers)
        )
        self.modulation = SharedModulation(width) if conditional else None
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.reads_memory = memory_width > 0

    def forward(
        self,
        x: Float[Tensor, "B T O"],
        is_padding: Bool[Tensor, "B S"] | None = None,
        vector: Float[Tensor, "B O"] | None = None,
        cache: Cache | None = None,
        memory: Memory | None = None,
        is_prompt: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T O"]:
        """Hidden states of every position; those at padding mean nothing.

        Args:
            is_padding: of all S positions: those that the cache holds, then those of ``x``.
            vector: the condition of each item, where the network is conditional.
            cache: ``x`` continues behind the positions that it holds. Exact for a causal network, and for one that is
                not where ``is_prompt`` keeps what is held from seeing what follows.
            memory: the text, where the network attends to one.
            is_prompt: positions that see each other alone, of S as above; not for a causal network.
        """
        assert (memory is not None) == self.reads_memory, "a text memory goes with a network that reads one"
        assert is_prompt is None or not self.causal, "a causal network has no prompt that sees itself alone"
        start, room = (0, 0) if cache is None else (cache.length, cache.room)
        angles = rotary_angles(x.shape[1], self.head_dim, device=x.device, start=start, grid_width=self.grid_width)
        turns = turns_by(angles)
        allowed = None if self.causal else _allowed(is_padding, is_prompt, start)
        by = None if self.modulation is None else self.modulation(vector)
        if cache is not None and not cache.layers:
            cache.layers = [[] for _ in self.blocks]
        for place, block in enumerate(self.blocks):
            x = block(x, turns, allowed, by, memory, None if cache is None else cache.layers[place], start, room)
        if cache is not None and cache.grows:
            cache.length += x.shape[1]
        return self.norm(x)


def _allowed(is_padding: Tensor | None, is_prompt: Tensor | None, start: int) -> Bool[Tensor, "B 1 Q S"] | None:
    """Which positions those from ``start`` on may see; None where all may see all."""
    allowed = None
    if is_padding is not None and bool(is_padding.any()):
        allowed = ~is_padding[:, None, None, :]
    if is_prompt is not None and bool(is_prompt.any()):
        own = ~is_prompt[:, None, start:, None] | is_prompt[:, None, None, :]
        allowed = own if allowed is None else own & allowed
    if allowed is None:
        return None
    # An item of padding alone (a prompt that is not to be seen, fed by itself) would give quotients 0 / 0.
    return allowed | ~allowed.any(-1, keepdim=True)
