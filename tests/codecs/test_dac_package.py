"""DAC's adapter against the ``descript-audio-codec`` package, with the same random weights."""

import pytest
import torch

from resgen_tts.tokenizers.dac import DacTokenizer, package_model
from tests.tokenizers import foreign_codecs as codecs

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
]


@pytest.mark.parametrize("strides", [[2, 4], [2, 5]])
@pytest.mark.parametrize("samples", [800, 797, 10])
def test_codes_and_waves_are_the_packages(strides, samples):
    model = codecs.tiny_dac(downsampling_ratios=strides)
    package = package_model(model)
    wave, lengths = codecs.noise(2, samples), torch.full((2,), samples)
    for backend in ("transformers", "package"):
        for levels in (1, 4):
            tokenizer = DacTokenizer(model, num_levels=levels, backend=backend)
            codes, frames = tokenizer.encode(wave, lengths)
            with torch.no_grad():
                quantized, upstream, *_ = package.encode(package.preprocess(wave[:, None], 8000), n_quantizers=levels)
                assert torch.equal(codes, upstream.mT)
                torch.testing.assert_close(tokenizer.code_space.total(codes), quantized.mT)
                made, _ = tokenizer.decode(codes, frames)
                torch.testing.assert_close(made, package.decode(quantized)[:, 0], atol=1e-5, rtol=0)


def test_the_package_behind_the_contract():
    tokenizer = DacTokenizer(codecs.tiny_dac(), backend="package")
    codecs.check_contract(tokenizer, hop=8, depth=4)
    codecs.check_items_do_not_see_each_other(tokenizer)
    codecs.check_odd_waves(tokenizer)
