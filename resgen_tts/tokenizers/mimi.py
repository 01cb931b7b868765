"""Mimi behind the ``Tokenizer`` contract.

tokenizer = MimiTokenizer.from_name("kyutai/mimi", num_levels=8)
tokenizer = MimiTokenizer(transformers.MimiModel(config))  # any weights, e.g. random ones
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.tokenizers.foreign import ForeignTokenizer, coarsest, estimate_level_variance


class MimiTokenizer(ForeignTokenizer):
    """Mimi's encoder, its split codes, and its decoder.

    The first levels are semantic, the others acoustic: two residual quantizers that look at the same latent side by
    side, each through a projection of its own, and whose embeddings, projected back, add up to what the decoder is
    given. The code space holds the embeddings as they are added; a *sum* of them is searched in residual steps over all
    levels, while ``encode`` follows the model's own split.

    Source: Moshi (arXiv:2410.00037), section 3.3.

    Args:
        model: ``transformers.MimiModel``.
        num_levels: levels in use, the semantic ones among them; all where left out (Moshi itself uses 8).
    Raises:
        ConfigError: several channels, or no such number of levels.
    """

    model_class = "MimiModel"

    def __init__(self, model: nn.Module, *, num_levels: int | None = None):
        config = model.config
        if config.audio_channels != 1:
            raise ConfigError(f"this Mimi takes {config.audio_channels} channels; a mono one is needed")
        if num_levels is not None and num_levels < config.num_semantic_quantizers:
            raise ConfigError(
                f"num_levels must be at least {config.num_semantic_quantizers}, the semantic levels, got {num_levels}"
            )
        books = summed_codebooks(model.quantizer)
        super().__init__(
            model,
            coarsest(CodeSpace(books, estimate_level_variance(books)), num_levels),
            sample_rate=config.sampling_rate,
            hop_samples=round(config.sampling_rate / config.frame_rate),
        )

    def _apply(self, *args: Any, **kwargs: Any) -> "MimiTokenizer":
        for module in self.modules():
            if hasattr(module, "_embed"):
                module._embed = None  # a table that the model keeps, and that does not move with it
        return super()._apply(*args, **kwargs)

    def _encode(self, wave: Float[Tensor, "B N"]) -> Int[Tensor, "B T D"]:
        return self.model.encode(wave[:, None], num_quantizers=self.code_space.depth).audio_codes.mT

    def _decode(self, codes: Int[Tensor, "B T L"]) -> Float[Tensor, "B N"]:
        return self.model.decode(codes.mT).audio_values[:, 0]


@torch.no_grad()
def summed_codebooks(quantizer: nn.Module) -> Float[Tensor, "D V C"]:
    """What the decoder adds up for each code: embeddings behind the output projection of their half."""
    books = []
    for half in (quantizer.semantic_residual_vector_quantizer, quantizer.acoustic_residual_vector_quantizer):
        for layer in half.layers:
            table = layer.codebook.embed_sum / layer.codebook.cluster_usage.clamp(min=layer.codebook.epsilon)[:, None]
            books.append(table if half.output_proj is None else table @ half.output_proj.weight[..., 0].mT)
    return torch.stack(books).detach().clone()
