"""Other projects' codecs with a few thousand random weights, and what must hold for each of them."""

import pytest
import torch
from torch import Tensor

from resgen_tts.common.errors import AudioError
from resgen_tts.tokenizers.contract import Tokenizer
from resgen_tts.tokenizers.foreign import ForeignTokenizer, measure_level_variance


def tiny_encodec(**changes):
    """EnCodec of 4 levels of 16 codes, 8 samples a frame, with codebooks that shrink from level to level."""
    transformers = pytest.importorskip("transformers")
    sizes = {"num_filters": 4, "hidden_size": 12, "upsampling_ratios": [4, 2], "num_lstm_layers": 1}
    rates = {"sampling_rate": 8000, "target_bandwidths": [4.0, 8.0, 16.0], "codebook_size": 16}
    torch.manual_seed(0)
    model = transformers.EncodecModel(transformers.EncodecConfig(**{**sizes, **rates, **changes})).eval()
    for layer in model.encoder.layers[0], model.encoder.layers[-1]:  # as they come, waves hardly reach the codes
        torch.nn.init.uniform_(layer.conv.parametrizations.weight.original0, 4, 8)
    for level, layer in enumerate(model.quantizer.layers):
        layer.codebook.embed.normal_().mul_(0.5**level)
    return model


def tiny_dac(**changes):
    """DAC of 4 levels of 16 codes, 8 samples a frame."""
    transformers = pytest.importorskip("transformers")
    sizes = {"encoder_hidden_size": 4, "downsampling_ratios": [2, 4], "decoder_hidden_size": 16, "codebook_dim": 3}
    rates = {"n_codebooks": 4, "codebook_size": 16, "sampling_rate": 8000}
    torch.manual_seed(0)
    model = transformers.DacModel(transformers.DacConfig(**{**sizes, **rates, **changes})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # as they come, waves hardly reach the codes
            parameter.add_(torch.randn_like(parameter), alpha=0.1 if name.startswith("decoder") else 0.2)
    return model


def tiny_mimi(**changes):
    """Mimi of 1 semantic and 3 acoustic levels of 16 codes, 16 samples a frame."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_filters": 4, "upsampling_ratios": [4, 2], "upsample_groups": 16}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 16}
    rates = {"sampling_rate": 8000, "num_quantizers": 4, "codebook_size": 16, "codebook_dim": 8, "sliding_window": 6}
    config = {**sizes, **layers, **rates, "vector_quantization_hidden_dimension": 8, **changes}
    torch.manual_seed(0)
    model = transformers.MimiModel(transformers.MimiConfig(**config)).eval()
    halves = model.quantizer.semantic_residual_vector_quantizer, model.quantizer.acoustic_residual_vector_quantizer
    for half in halves:
        for level, layer in enumerate(half.layers):
            layer.codebook.embed_sum.normal_().mul_(0.5**level)
            layer.codebook.cluster_usage.uniform_(0.5, 2)
    return model


def noise(batch: int, samples: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(seed))


def random_codes(tokenizer: Tokenizer, batch: int, frames: int, seed: int = 0) -> Tensor:
    space, rng = tokenizer.code_space, torch.Generator().manual_seed(seed)
    return torch.randint(0, space.codebook_size, (batch, frames, space.depth), generator=rng)


def check_contract(tokenizer: ForeignTokenizer, *, hop: int, depth: int) -> None:
    """The contract's facts, exact lengths, and codes that are put to use."""
    assert isinstance(tokenizer, Tokenizer)
    assert (tokenizer.sample_rate, tokenizer.hop_samples, tokenizer.frame_rate_hz) == (8000, hop, 8000 / hop)
    assert (tokenizer.code_space.depth, tokenizer.code_space.codebook_size) == (depth, 16)
    assert (tokenizer.code_space.level_variance > 0).all()
    lengths = torch.tensor([40 * hop, 40 * hop - 1, 39 * hop + 1, 39 * hop, 3 * hop, hop])
    codes, frames = tokenizer.encode(noise(6, 40 * hop), lengths)
    assert codes.shape == (6, 40, depth)
    assert codes.dtype == torch.int64
    assert frames.tolist() == [40, 40, 40, 39, 3, 1]
    assert (codes[4, 3:] == 0).all()
    assert all(len(codes[0, :, level].unique()) > 2 for level in range(depth))
    wave, samples = tokenizer.decode(codes, frames)
    assert wave.shape[1] == int(samples.max())
    assert (wave[5, int(samples[5]) :] == 0).all()
    assert not wave.requires_grad
    assert wave.isfinite().all()


def check_items_do_not_see_each_other(tokenizer: ForeignTokenizer) -> None:
    """A padded batch, with anything in its padding, is its items one by one."""
    hop = tokenizer.hop_samples
    lengths = torch.tensor([30 * hop, 17 * hop + 3, 30 * hop, hop])
    waves = noise(4, 30 * hop)
    for item, length in enumerate(lengths.tolist()):
        waves[item, length:] = float("nan")
    codes, frames = tokenizer.encode(waves, lengths)
    together, samples = tokenizer.decode(codes, frames)
    for item, length in enumerate(lengths.tolist()):
        alone, size = tokenizer.encode(waves[item : item + 1, :length], lengths[item : item + 1])
        assert torch.equal(codes[item : item + 1, : int(size)], alone)
        wave, sample = tokenizer.decode(alone, size)
        assert sample == samples[item]
        torch.testing.assert_close(together[item : item + 1, : int(sample)], wave)


def check_odd_waves(tokenizer: ForeignTokenizer) -> None:
    """Silence, an offset and clipping have codes and finite waves; too short and broken waves are refused."""
    hop = tokenizer.hop_samples
    clipped = (4 * noise(1, 20 * hop)).clamp(-1, 1)
    waves = torch.cat([torch.zeros(1, 20 * hop), torch.full((1, 20 * hop), 0.7), clipped])
    wave, _ = tokenizer.decode(*tokenizer.encode(waves, torch.full((3,), 20 * hop)))
    assert wave.isfinite().all()
    with pytest.raises(AudioError) as caught:
        tokenizer.encode(waves, torch.tensor([20 * hop, hop - 1, 20 * hop]))
    assert caught.value.code == "AUDIO_TOO_SHORT"
    waves[1, 5] = torch.inf
    with pytest.raises(AudioError, match="sample 5 of wave 1") as caught:
        tokenizer.encode(waves, torch.full((3,), 20 * hop))
    assert caught.value.code == "AUDIO_NONFINITE"
    with pytest.raises(ValueError, match="levels"):
        tokenizer.decode(torch.zeros(1, 3, 5, dtype=torch.long), torch.tensor([3]))
    with pytest.raises(ValueError, match=r"0\.\.15"):
        tokenizer.decode(torch.full((1, 3, 4), 16), torch.tensor([3]))
    empty, samples = tokenizer.decode(torch.zeros(2, 0, 4, dtype=torch.long), torch.tensor([0, 0]))
    assert empty.shape == (2, 0)
    assert samples.tolist() == [0, 0]


def check_saved_folder_loads(tokenizer: ForeignTokenizer, model, folder) -> None:
    """What ``save_pretrained`` wrote makes the same tokenizer."""
    model.save_pretrained(folder)
    again = type(tokenizer).from_name(folder)
    for name, value in tokenizer.code_space.tensors().items():
        assert torch.equal(again.code_space.tensors()[name], value)
    waves, lengths = noise(1, 20 * tokenizer.hop_samples), torch.tensor([20 * tokenizer.hop_samples])
    codes, frames = tokenizer.encode(waves, lengths)
    assert torch.equal(again.encode(waves, lengths)[0], codes)
    assert torch.equal(again.decode(codes, frames)[0], tokenizer.decode(codes, frames)[0])


def check_measured_variance(tokenizer: ForeignTokenizer) -> None:
    """Against a plain loop over items, frames and levels, with padding in the batch."""
    space, hop = tokenizer.code_space, tokenizer.hop_samples
    waves, lengths = noise(2, 20 * hop), torch.tensor([20 * hop, 11 * hop])
    codes, frames = tokenizer.encode(waves, lengths)
    real = [codes[item, frame] for item in range(2) for frame in range(int(frames[item]))]
    last = torch.stack([space.codebooks[-1, each[-1]] for each in real])
    expected = []
    for level in range(space.depth):
        left = [sum(space.codebooks[k, each[k]] for k in range(level + 1, space.depth)) for each in real]
        energy = sum(float(torch.as_tensor(each).square().sum()) for each in left) / len(real)
        expected.append((energy + float((last - last.mean(0)).square().sum(1).mean())) / space.dim)
    torch.testing.assert_close(measure_level_variance(tokenizer, waves, lengths), torch.tensor(expected))
