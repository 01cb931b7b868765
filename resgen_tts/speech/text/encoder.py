"""Text symbols to features: an embedding and a few transformer layers."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Size of the text encoder (method 8.2: four layers)."""

    width: int = 192
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1
    feature_dim: int = 0  # of a language model's features of each symbol (ByT5-Large: 1536); 0 = there are none

    def __post_init__(self):
        if self.feature_dim < 0:
            raise ConfigError(f"encoder.feature_dim must be 0 (no features) or more, got {self.feature_dim}")


class TextEncoder(nn.Module):
    """Features of each symbol in its sentence.

    Where a language model's features are there, they are normalised, projected and added to the symbol's embedding.
    Symbols that the language model never saw, the silences at both ends, have zeros, which add nothing.
    """

    def __init__(self, config: TextEncoderConfig, num_symbols: int):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(num_symbols, config.width)
        nn.init.normal_(self.embedding.weight, std=0.5)
        if config.feature_dim:
            self.normalise = nn.LayerNorm(config.feature_dim, elementwise_affine=False)
            self.from_features = nn.Linear(config.feature_dim, config.width, bias=False)
        self.transformer = Transformer(config.width, config.layers, config.heads, dropout=config.dropout)

    def forward(
        self,
        symbols: Int[Tensor, "B N"],
        is_padding: Bool[Tensor, "B N"],
        text_features: Float[Tensor, "B N G"] | None = None,
    ) -> Float[Tensor, "B N F"]:
        """Encode; features at padding mean nothing.

        Raises:
            ConfigError: the text comes without the features that the encoder takes, or with some where it takes none.
        """
        given = 0 if text_features is None else text_features.shape[-1]
        if given != self.config.feature_dim:
            raise ConfigError(
                f"the text encoder takes {self.config.feature_dim} text features a symbol, got {given}; "
                "were text and codes encoded for another model?"
            )
        embedded = self.embedding(symbols)
        if text_features is not None:
            embedded = embedded + self.from_features(self.normalise(text_features.to(embedded.dtype)))
        return self.transformer(embedded, is_padding)
