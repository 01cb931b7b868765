"""EnCodec's adapter against the model that it wraps, on random weights."""

import pytest
import torch

from resgen_tts.common.errors import CheckpointError, ConfigError, MissingExtraError
from resgen_tts.tokenizers import foreign
from resgen_tts.tokenizers.encodec import EncodecTokenizer
from resgen_tts.tokenizers.foreign import estimate_level_variance
from tests.tokenizers import foreign_codecs as codecs


@pytest.fixture(scope="module")
def model():
    return codecs.tiny_encodec()


@pytest.fixture(scope="module")
def tokenizer(model):
    return EncodecTokenizer(model)


def test_it_meets_the_contract(tokenizer):
    codecs.check_contract(tokenizer, hop=8, depth=4)


def test_items_do_not_see_each_other(tokenizer):
    codecs.check_items_do_not_see_each_other(tokenizer)


def test_odd_waves(tokenizer):
    codecs.check_odd_waves(tokenizer)


def test_a_saved_folder_loads(tokenizer, model, tmp_path):
    codecs.check_saved_folder_loads(tokenizer, model, tmp_path / "a folder")


def test_measured_variance(tokenizer):
    codecs.check_measured_variance(tokenizer)


@pytest.mark.parametrize("samples", [400, 397, 8])
def test_codes_are_the_models_own(tokenizer, model, samples):
    wave = codecs.noise(2, samples)
    codes, _ = tokenizer.encode(wave, torch.full((2,), samples))
    assert torch.equal(codes, model.encode(wave[:, None], bandwidth=16.0).audio_codes[0].mT)


@pytest.mark.parametrize("causal", [True, False])
def test_waves_are_the_models_own_at_any_number_of_levels(causal):
    model = codecs.tiny_encodec(use_causal_conv=causal)
    tokenizer = EncodecTokenizer(model)
    codes = codecs.random_codes(tokenizer, 2, 21)
    for levels in (1, 3, 4):
        wave, samples = tokenizer.decode(codes[..., :levels], torch.tensor([21, 21]))
        upstream = model.decode(codes[None, ..., :levels].mT, [None]).audio_values[:, 0]
        torch.testing.assert_close(wave, upstream, atol=1e-5, rtol=0)
        assert samples.tolist() == [168, 168]


def test_a_bandwidth_is_so_many_levels_and_the_first_codes_of_more(tokenizer, model):
    wave, lengths = codecs.noise(1, 160), torch.tensor([160])
    half = EncodecTokenizer(model, bandwidth_kbps=8.0)
    assert half.code_space.depth == 2
    assert torch.equal(half.encode(wave, lengths)[0], tokenizer.encode(wave, lengths)[0][..., :2])
    assert torch.equal(half.encode(wave, lengths)[0], model.encode(wave[:, None], bandwidth=8.0).audio_codes[0].mT)
    assert EncodecTokenizer(model, num_levels=3).code_space.depth == 3


@pytest.mark.parametrize(
    "options",
    [{"bandwidth_kbps": 5.0}, {"num_levels": 5}, {"num_levels": 0}, {"bandwidth_kbps": 4.0, "num_levels": 1},
     {"backend": "onnx"}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(model, options):
    with pytest.raises(ConfigError):
        EncodecTokenizer(model, **options)


@pytest.mark.parametrize(
    "changes", [{"normalize": True}, {"audio_channels": 2}, {"chunk_length_s": 1.0, "overlap": 0.01}]
)
def test_models_whose_codes_alone_make_no_wave_are_refused(changes):
    with pytest.raises(ConfigError, match="codes alone"):
        EncodecTokenizer(codecs.tiny_encodec(**changes))


def test_the_estimated_variance_is_that_of_independent_codes():
    """Two codes a level: the sums over all combinations of the levels behind, and the last level's spread."""
    rng = torch.Generator().manual_seed(0)
    books = torch.randn(3, 2, 5, generator=rng) + 0.3
    last = (books[2] - books[2].mean(0)).square().sum(1).mean() / 5
    both = torch.stack([books[1, a] + books[2, b] for a in range(2) for b in range(2)])
    expected = torch.stack([both.square().sum(1).mean() / 5, books[2].square().sum(1).mean() / 5, last * 0])
    torch.testing.assert_close(estimate_level_variance(books), expected + last)


def test_a_name_that_the_hub_does_not_give_is_one_clear_error(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="facebook/encodec_24khz is no folder here") as caught:
        EncodecTokenizer.from_name("facebook/encodec_24khz")
    assert caught.value.code == "MODEL_MISSING"
    assert "hf download facebook/encodec_24khz" in caught.value.hint


def test_broken_folders_are_named(model, tmp_path):
    from safetensors.torch import load_file, save_file

    with pytest.raises(CheckpointError, match=r"config\.json"):
        EncodecTokenizer.from_name(tmp_path)
    codecs.tiny_dac().save_pretrained(tmp_path / "dac")
    with pytest.raises(CheckpointError, match="a model of type dac, not encodec"):
        EncodecTokenizer.from_name(tmp_path / "dac")
    model.save_pretrained(tmp_path / "half")
    weights = load_file(tmp_path / "half" / "model.safetensors")
    save_file({n: v for n, v in weights.items() if "lstm" not in n}, tmp_path / "half" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks 8 of the weights.*lstm"):
        EncodecTokenizer.from_name(tmp_path / "half")
    (tmp_path / "half" / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "half" / "pytorch_model.bin")  # a pickle is not read instead
    with pytest.raises(CheckpointError, match="half"):
        EncodecTokenizer.from_name(tmp_path / "half")


def test_missing_libraries_are_named_with_their_extra(model, monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "encodec", None)
    with pytest.raises(MissingExtraError, match="codecs"):
        EncodecTokenizer(model, backend="package")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="hf"):
        foreign.load_pretrained("EncodecModel", tmp_path)
