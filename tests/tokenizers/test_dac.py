"""DAC's adapter against the model that it wraps, on random weights."""

import pytest
import torch

from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.core.projected_space import ProjectedCodeSpace
from resgen_tts.tokenizers.dac import DacTokenizer
from tests.tokenizers import foreign_codecs as codecs


@pytest.fixture(scope="module")
def model():
    return codecs.tiny_dac()


@pytest.fixture(scope="module")
def tokenizer(model):
    return DacTokenizer(model)


def test_it_meets_the_contract(tokenizer):
    codecs.check_contract(tokenizer, hop=8, depth=4)
    assert isinstance(tokenizer.code_space, ProjectedCodeSpace)


def test_items_do_not_see_each_other(tokenizer):
    codecs.check_items_do_not_see_each_other(tokenizer)


def test_odd_waves(tokenizer):
    codecs.check_odd_waves(tokenizer)


def test_a_saved_folder_loads(tokenizer, model, tmp_path):
    codecs.check_saved_folder_loads(tokenizer, model, tmp_path / "a folder")


def test_measured_variance(tokenizer):
    codecs.check_measured_variance(tokenizer)


@pytest.mark.parametrize("samples", [400, 397, 8])
def test_codes_are_the_models_own_on_whole_frames(tokenizer, model, samples):
    wave = codecs.noise(2, samples)
    codes, _ = tokenizer.encode(wave, torch.full((2,), samples))
    whole = torch.nn.functional.pad(wave, (0, -samples % 8))
    assert torch.equal(codes, model.encode(whole[:, None]).audio_codes.mT)


def test_waves_are_the_models_own_at_any_number_of_levels(tokenizer, model):
    codes = codecs.random_codes(tokenizer, 2, 21)
    for levels in (1, 3, 4):
        wave, samples = tokenizer.decode(codes[..., :levels], torch.tensor([21, 21]))
        upstream = model.decode(audio_codes=codes[..., :levels].mT).audio_values
        torch.testing.assert_close(wave, upstream, atol=1e-5, rtol=0)
        assert samples.tolist() == [168, 168]


def test_an_odd_stride_makes_a_shorter_wave_and_says_so():
    """T frames -> (T - 1) * 5 + 10 - 2 * 3 = 5 T - 1 -> 2 (5 T - 1) samples."""
    tokenizer = DacTokenizer(codecs.tiny_dac(downsampling_ratios=[2, 5]))
    codes = codecs.random_codes(tokenizer, 2, 9)
    wave, samples = tokenizer.decode(codes, torch.tensor([9, 4]))
    assert samples.tolist() == [88, 38]
    assert wave.shape == (2, 88)
    assert tokenizer.encode(wave, samples)[1].tolist() == [9, 4]


def test_fewer_levels_are_the_first_codes_of_more(tokenizer, model):
    wave, lengths = codecs.noise(1, 160), torch.tensor([160])
    half = DacTokenizer(model, num_levels=2)
    assert half.code_space.depth == 2
    assert torch.equal(half.encode(wave, lengths)[0], tokenizer.encode(wave, lengths)[0][..., :2])
    assert torch.equal(half.encode(wave, lengths)[0], model.encode(wave[:, None], n_quantizers=2).audio_codes.mT)
    with pytest.raises(ConfigError, match=r"1\.\.4"):
        DacTokenizer(model, num_levels=5)
    with pytest.raises(ConfigError, match="backend"):
        DacTokenizer(model, backend="onnx")


def test_the_code_space_holds_what_the_model_adds_up(tokenizer, model):
    codes = codecs.random_codes(tokenizer, 2, 21)
    for levels in (1, 2, 4):
        upstream = model.quantizer.from_codes(codes[..., :levels].mT)[0].mT
        torch.testing.assert_close(tokenizer.code_space.total(codes[..., :levels]), upstream)


def test_the_code_space_moves_with_the_weights():
    assert all(each.is_meta for each in DacTokenizer(codecs.tiny_dac()).to("meta").code_space.tensors().values())


def test_a_name_that_the_hub_does_not_give_is_one_clear_error(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="descript/dac_16khz is no folder here"):
        DacTokenizer.from_name("descript/dac_16khz")
