"""EnCodec behind the ``Tokenizer`` contract.

tokenizer = EncodecTokenizer.from_name("facebook/encodec_24khz", bandwidth_kbps=6.0)
tokenizer = EncodecTokenizer(transformers.EncodecModel(config))  # any weights, e.g. random ones
"""

from math import log2
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, require
from resgen_tts.common.wheel_hooks import install
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.tokenizers.foreign import (
    ForeignTokenizer,
    coarsest,
    copy_weights,
    estimate_level_variance,
    network_of,
)


class EncodecTokenizer(ForeignTokenizer):
    """EnCodec's encoder, residual Euclidean codes in latent units, and its decoder.

    Source: EnCodec (arXiv:2210.13438).

    Args:
        model: ``transformers.EncodecModel``.
        bandwidth_kbps: one of the model's bandwidths: its levels are used; all levels where left out.
        num_levels: the number of levels instead.
        backend: whose encoder and decoder run, with the same weights: ``transformers`` or ``package`` (``encodec``).
    Raises:
        ConfigError: the model is one whose codes alone do not make a wave: several channels, or loudness sent beside
            the codes (encodec_48khz); or it has no such bandwidth or levels.
        MissingExtraError: ``encodec`` is asked for and not installed (extra ``codecs``).
    """

    model_class = "EncodecModel"

    def __init__(
        self,
        model: nn.Module,
        *,
        bandwidth_kbps: float | None = None,
        num_levels: int | None = None,
        backend: str = "transformers",
    ):
        config = model.config
        if config.audio_channels != 1 or config.normalize or config.chunk_length_s is not None:
            raise ConfigError(
                "this EnCodec takes several channels, sends the loudness of each second beside the codes, or both, "
                "and its codes alone make no wave; use a mono one without normalisation, such as facebook/encodec_24khz"
            )
        if bandwidth_kbps is not None:
            if num_levels is not None:
                raise ConfigError("give bandwidth_kbps or num_levels, not both")
            num_levels = levels_of(config, bandwidth_kbps)
        books = torch.stack([layer.codebook.embed for layer in model.quantizer.layers]).detach().clone()
        space = coarsest(CodeSpace(books, estimate_level_variance(books)), num_levels)
        network = network_of(model, backend, package_model)
        super().__init__(network, space, sample_rate=config.sampling_rate, hop_samples=config.hop_length)

    def _encode(self, wave: Float[Tensor, "B N"]) -> Int[Tensor, "B T D"]:
        return self.code_space.quantize(self.model.encoder(wave[:, None]).mT)

    def _decode(self, codes: Int[Tensor, "B T L"]) -> Float[Tensor, "B N"]:
        return self.model.decoder(self.code_space.total(codes).mT)[:, 0]


def levels_of(config: Any, bandwidth_kbps: float) -> int:
    """Levels that a bandwidth of a model pays for: ``floor(bandwidth / (frame rate * log2 V))``.

    Raises:
        ConfigError: the model was not trained for it.
    """
    if bandwidth_kbps not in config.target_bandwidths:
        raise ConfigError(
            f"bandwidth_kbps must be one of this model's {', '.join(map(str, config.target_bandwidths))}, "
            f"got {bandwidth_kbps}"
        )
    return max(1, int(1000 * bandwidth_kbps / (config.frame_rate * log2(config.codebook_size))))


def package_model(model: nn.Module) -> nn.Module:
    """The same EnCodec, with the same weights, as a module of the ``encodec`` package.

    Raises:
        MissingExtraError: the package is not installed (extra ``codecs``).
    """
    install()
    encodec = require("encodec", extra="codecs")
    seanet, quantization = encodec.modules, encodec.quantization
    config = model.config
    sizes = {
        "channels": config.audio_channels, "dimension": config.hidden_size, "n_filters": config.num_filters,
        "n_residual_layers": config.num_residual_layers, "ratios": list(config.upsampling_ratios),
        "norm": config.norm_type, "kernel_size": config.kernel_size, "last_kernel_size": config.last_kernel_size,
        "residual_kernel_size": config.residual_kernel_size, "dilation_base": config.dilation_growth_rate,
        "causal": config.use_causal_conv, "pad_mode": config.pad_mode, "compress": config.compress,
        "lstm": config.num_lstm_layers, "true_skip": not config.use_conv_shortcut,
    }  # fmt: skip
    encoder = seanet.SEANetEncoder(**sizes)
    decoder = seanet.SEANetDecoder(**sizes, trim_right_ratio=config.trim_right_ratio)
    quantizer = quantization.ResidualVectorQuantizer(
        dimension=config.hidden_size, n_q=len(model.quantizer.layers), bins=config.codebook_size
    )
    copy_weights(model.encoder, encoder)
    copy_weights(model.decoder, decoder)
    for ours, theirs in zip(model.quantizer.layers, quantizer.vq.layers, strict=True):
        theirs._codebook.embed.copy_(ours.codebook.embed)
        theirs._codebook.inited.fill_(True)
    return encodec.EncodecModel(
        encoder, decoder, quantizer, list(config.target_bandwidths), config.sampling_rate, config.audio_channels
    ).eval()
