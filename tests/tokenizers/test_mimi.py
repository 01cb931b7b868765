"""Mimi's adapter against the model that it wraps, on random weights."""

import pytest
import torch

from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.tokenizers.mimi import MimiTokenizer
from tests.tokenizers import foreign_codecs as codecs


@pytest.fixture(scope="module")
def model():
    return codecs.tiny_mimi()


@pytest.fixture(scope="module")
def tokenizer(model):
    return MimiTokenizer(model)


def test_it_meets_the_contract(tokenizer):
    codecs.check_contract(tokenizer, hop=16, depth=4)


def test_items_do_not_see_each_other(tokenizer):
    codecs.check_items_do_not_see_each_other(tokenizer)


def test_odd_waves(tokenizer):
    codecs.check_odd_waves(tokenizer)


def test_a_saved_folder_loads(tokenizer, model, tmp_path):
    codecs.check_saved_folder_loads(tokenizer, model, tmp_path / "a folder")


def test_measured_variance(tokenizer):
    codecs.check_measured_variance(tokenizer)


@pytest.mark.parametrize("samples", [400, 397, 16])
def test_codes_are_the_models_own(tokenizer, model, samples):
    wave = codecs.noise(2, samples)
    codes, _ = tokenizer.encode(wave, torch.full((2,), samples))
    assert torch.equal(codes, model.encode(wave[:, None]).audio_codes.mT)


def test_codes_follow_the_split_rule(tokenizer, model):
    """Semantic and acoustic levels each start from the same latent, in 8 projected dimensions of their own."""
    wave = codecs.noise(1, 160)
    latents = model.encoder(wave[:, None]).latents[0].T
    codes = tokenizer.encode(wave, torch.tensor([160]))[0][0]
    quantizer = model.quantizer
    level = 0
    for half in (quantizer.semantic_residual_vector_quantizer, quantizer.acoustic_residual_vector_quantizer):
        residual = latents @ half.input_proj.weight[..., 0].T
        for layer in half.layers:
            book = layer.codebook.embed_sum / layer.codebook.cluster_usage[:, None]
            nearest = (residual[:, None] - book).square().sum(-1).argmin(-1)
            assert torch.equal(codes[:, level], nearest)
            residual = residual - book[nearest]
            level += 1
    assert level == 4


def test_waves_are_the_models_own_at_any_number_of_levels(tokenizer, model):
    codes = codecs.random_codes(tokenizer, 2, 21)
    for levels in (1, 3, 4):
        wave, samples = tokenizer.decode(codes[..., :levels], torch.tensor([21, 21]))
        torch.testing.assert_close(wave, model.decode(codes[..., :levels].mT).audio_values[:, 0], atol=1e-5, rtol=0)
        assert samples.tolist() == [336, 336]


@pytest.mark.parametrize("changes", [{}, {"vector_quantization_hidden_dimension": 16, "codebook_dim": 16}])
def test_the_code_space_holds_what_the_model_adds_up(changes):
    model = codecs.tiny_mimi(**changes)
    space = MimiTokenizer(model).code_space
    assert type(space) is CodeSpace
    codes = codecs.random_codes(MimiTokenizer(model), 2, 21)
    for levels in (1, 2, 4):
        upstream = model.quantizer.decode(codes[..., :levels].mT).mT
        torch.testing.assert_close(space.total(codes[..., :levels]), upstream)


def test_fewer_levels_are_the_first_codes_of_more(tokenizer, model):
    wave, lengths = codecs.noise(1, 160), torch.tensor([160])
    half = MimiTokenizer(model, num_levels=2)
    assert half.code_space.depth == 2
    assert torch.equal(half.encode(wave, lengths)[0], tokenizer.encode(wave, lengths)[0][..., :2])
    for levels in (0, 5):
        with pytest.raises(ConfigError, match="num_levels"):
            MimiTokenizer(model, num_levels=levels)
    with pytest.raises(ConfigError, match="channels"):
        MimiTokenizer(codecs.tiny_mimi(audio_channels=2))


def test_a_move_leaves_no_table_behind(tokenizer, model):
    """The model keeps its divided codebooks outside of its buffers: after a move they must be made anew."""
    tokenizer.encode(codecs.noise(1, 160), torch.tensor([160]))
    tables = [module for module in model.modules() if hasattr(module, "_embed")]
    assert len(tables) == 4 and all(each._embed is not None for each in tables)
    tokenizer.to("cpu")
    assert all(each._embed is None for each in tables)


def test_a_name_that_the_hub_does_not_give_is_one_clear_error(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="kyutai/mimi is no folder here"):
        MimiTokenizer.from_name("kyutai/mimi")
