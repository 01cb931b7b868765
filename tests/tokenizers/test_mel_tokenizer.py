"""The tokenizer as a whole: it keeps the contract, lengths, and its items' independence of each other."""

import pytest
import torch

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.contract import Tokenizer
from resgen_tts.tokenizers.log_mel import MelConfig
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig

MEL = MelConfig(num_mels=10)


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    vae = MelVAE(
        MelVAEConfig(
            mel=MEL,
            quantizer=QuantizerConfig(depth=3, codebook_size=8, dim=4, warmup_vectors=16),
            strides=(2, 2, 2),
            widths=(8, 8, 8, 8),
            blocks=(1, 1, 1, 1),
        )
    )
    latents = vae.encode_latent(torch.randn(4, 64, 10) - 5)
    vae.quantizer.update(vae.quantizer(latents).statistics, generator(0))
    return MelTokenizer(vae, Vocoder(VocoderConfig(mel=MEL, dim=8, hidden=8, blocks=1)))


def test_it_meets_the_contract(tokenizer):
    assert isinstance(tokenizer, Tokenizer)
    assert tokenizer.sample_rate == 16_000
    assert tokenizer.hop_samples == 1600
    assert tokenizer.frame_rate_hz == 10
    assert tokenizer.code_space.depth == 3


def test_codes_and_waves_have_the_stated_shapes(tokenizer):
    lengths = torch.tensor([16_000, 15_999, 1801, 200])
    codes, code_lengths = tokenizer.encode(0.1 * torch.randn(4, 16_000), lengths)
    assert codes.shape == (4, 10, 3)
    assert codes.dtype == torch.int64
    assert 0 <= int(codes.min()) <= int(codes.max()) < 8
    assert code_lengths.tolist() == [10, 10, 2, 1]  # ceil(floor(N / 200) / 8)
    wave, wave_lengths = tokenizer.decode(codes, code_lengths)
    assert wave.shape == (4, 16_000)
    assert wave_lengths.tolist() == [16_000, 16_000, 3200, 1600]
    assert (wave[2, 3200:] == 0).all()
    assert not wave.requires_grad


def test_items_do_not_see_each_other(tokenizer):
    waves, lengths = 0.1 * torch.randn(3, 8000), torch.tensor([8000, 5000, 700])
    codes, code_lengths = tokenizer.encode(waves, lengths)
    together, wave_lengths = tokenizer.decode(codes, code_lengths)
    for item in range(3):
        alone, size = tokenizer.encode(waves[item : item + 1, : lengths[item]], lengths[item : item + 1])
        assert torch.equal(codes[item : item + 1, : int(size)], alone)
        wave, _ = tokenizer.decode(alone, size)
        torch.testing.assert_close(together[item : item + 1, : int(wave_lengths[item])], wave)


def test_too_short_a_wave_is_refused(tokenizer):
    with pytest.raises(AudioError) as caught:
        tokenizer.encode(torch.zeros(1, 400), torch.tensor([199]))
    assert caught.value.code == "AUDIO_TOO_SHORT"


def test_parts_of_different_mels_are_refused(tokenizer):
    with pytest.raises(ConfigError, match="vocoder"):
        MelTokenizer(tokenizer.mel_vae, Vocoder(VocoderConfig(mel=MelConfig(num_mels=12), dim=8, hidden=8, blocks=1)))
