"""EnCodec's adapter against the ``encodec`` package, with the same random weights."""

import pytest
import torch

from resgen_tts.tokenizers.encodec import EncodecTokenizer, package_model
from tests.tokenizers import foreign_codecs as codecs

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("samples", [800, 797, 8])
def test_codes_and_waves_are_the_packages(causal, samples):
    model = codecs.tiny_encodec(use_causal_conv=causal)
    package = package_model(model)
    wave, lengths = codecs.noise(2, samples), torch.full((2,), samples)
    for backend in ("transformers", "package"):
        for bandwidth, levels in ((4.0, 1), (16.0, 4)):
            package.set_target_bandwidth(bandwidth)
            tokenizer = EncodecTokenizer(model, bandwidth_kbps=bandwidth, backend=backend)
            codes, frames = tokenizer.encode(wave, lengths)
            with torch.no_grad():
                upstream = package.encode(wave[:, None])
                assert codes.shape[2] == levels
                assert torch.equal(codes, upstream[0][0].mT)
                made, _ = tokenizer.decode(codes, frames)
                torch.testing.assert_close(made, package.decode(upstream)[:, 0], atol=1e-5, rtol=0)


def test_the_published_sizes_are_the_packages():
    """The package's 24 kHz model, weights not loaded, has the layers and the levels of the default configuration."""
    import encodec
    import transformers

    theirs = encodec.EncodecModel.encodec_model_24khz(pretrained=False)
    ours = package_model(transformers.EncodecModel(transformers.EncodecConfig()))
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (theirs, ours)]
    assert shapes[0] == shapes[1]


def test_the_package_behind_the_contract():
    tokenizer = EncodecTokenizer(codecs.tiny_encodec(), backend="package")
    codecs.check_contract(tokenizer, hop=8, depth=4)
    codecs.check_items_do_not_see_each_other(tokenizer)
    codecs.check_odd_waves(tokenizer)
