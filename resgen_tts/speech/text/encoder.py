"""Text symbols to features: an embedding and a few transformer layers."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Size of the text encoder (method 8.2: four layers)."""

    width: int = 192
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1


class TextEncoder(nn.Module):
    """Features of each symbol in its sentence."""

    def __init__(self, config: TextEncoderConfig, num_symbols: int):
        super().__init__()
        self.embedding = nn.Embedding(num_symbols, config.width)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.transformer = Transformer(config.width, config.layers, config.heads, dropout=config.dropout)

    def forward(self, symbols: Int[Tensor, "B N"], is_padding: Bool[Tensor, "B N"]) -> Float[Tensor, "B N F"]:
        """Encode; features at padding mean nothing."""
        return self.transformer(self.embedding(symbols), is_padding)
