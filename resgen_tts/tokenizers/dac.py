"""DAC behind the ``Tokenizer`` contract.

tokenizer = DacTokenizer.from_name("descript/dac_16khz")
tokenizer = DacTokenizer(transformers.DacModel(config))  # any weights, e.g. random ones
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from resgen_tts.common.errors import require
from resgen_tts.common.wheel_hooks import install
from resgen_tts.core.projected_space import ProjectedCodeSpace
from resgen_tts.tokenizers.foreign import (
    ForeignTokenizer,
    coarsest,
    copy_weights,
    estimate_level_variance,
    network_of,
)


class DacTokenizer(ForeignTokenizer):
    """DAC's encoder, codes found by direction in a few projected dimensions, and its decoder.

    A wave is filled up with zeros to whole code frames, as its authors do. Where a stride is odd (16 and 24 kHz), the
    decoder makes a few samples less than ``hop_samples`` a frame, once in a wave; the lengths say how many.

    Source: DAC (arXiv:2306.06546).

    Args:
        model: ``transformers.DacModel``.
        num_levels: levels in use; all where left out.
        backend: whose encoder and decoder run, with the same weights: ``transformers`` or ``package``
            (``descript-audio-codec``).
    Raises:
        ConfigError: it does not have so many levels.
        MissingExtraError: the package is asked for and not installed (extra ``codecs``).
    """

    model_class = "DacModel"

    def __init__(self, model: nn.Module, *, num_levels: int | None = None, backend: str = "transformers"):
        config = model.config
        space = coarsest(projected_space(model.quantizer.quantizers), num_levels)
        network = network_of(model, backend, package_model)
        super().__init__(network, space, sample_rate=config.sampling_rate, hop_samples=config.hop_length)

    def _encode(self, wave: Float[Tensor, "B N"]) -> Int[Tensor, "B T D"]:
        whole = pad(wave, (0, -wave.shape[1] % self.hop_samples))
        return self.code_space.quantize(self.model.encoder(whole[:, None]).mT)

    def _decode(self, codes: Int[Tensor, "B T L"]) -> Float[Tensor, "B N"]:
        return self.model.decoder(self.code_space.total(codes).mT)[:, 0]


@torch.no_grad()
def projected_space(quantizers: nn.ModuleList) -> ProjectedCodeSpace:
    """The code space of DAC's quantizers: what their decoder adds up for each code, and how a code is found."""
    books, down, down_bias, keys = [], [], [], []
    for each in quantizers:
        table = each.codebook.weight  # [V, P]
        books.append(table @ each.out_proj.weight[..., 0].mT + each.out_proj.bias)
        down.append(each.in_proj.weight[..., 0])
        down_bias.append(each.in_proj.bias)
        keys.append(normalize(table, dim=-1))
    stacked = [torch.stack(one).detach().clone() for one in (books, down, down_bias, keys)]
    return ProjectedCodeSpace(stacked[0], estimate_level_variance(stacked[0]), *stacked[1:])


def package_model(model: nn.Module) -> nn.Module:
    """The same DAC, with the same weights, as a module of the ``descript-audio-codec`` package.

    Raises:
        MissingExtraError: the package is not installed (extra ``codecs``).
    """
    install()
    dac = require("dac", extra="codecs")
    config = model.config
    theirs = dac.DAC(
        encoder_dim=config.encoder_hidden_size, encoder_rates=list(config.downsampling_ratios),
        decoder_dim=config.decoder_hidden_size, decoder_rates=list(config.upsampling_ratios),
        n_codebooks=config.n_codebooks, codebook_size=config.codebook_size, codebook_dim=config.codebook_dim,
        sample_rate=config.sampling_rate,
    )  # fmt: skip
    for part in ("encoder", "quantizer", "decoder"):
        copy_weights(getattr(model, part), getattr(theirs, part))
    return theirs.eval()
