"""The tokenizer as a whole: the contract, lengths, its items' independence of each other, chunks, and odd inputs."""

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.contract import Tokenizer
from resgen_tts.tokenizers.log_mel import MelConfig
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig

MEL = MelConfig(num_mels=10)


def toy_tokenizer(mel=MEL):
    torch.manual_seed(0)
    vae = MelVAE(
        MelVAEConfig(
            mel=mel,
            quantizer=QuantizerConfig(depth=3, codebook_size=8, dim=4, warmup_vectors=16),
            strides=(2, 2, 2),
            widths=(8, 8, 8, 8),
            blocks=(1, 1, 1, 1),
        )
    )
    latents = vae.encode_latent(torch.randn(4, 64, 10) - 5)
    vae.quantizer.update(vae.quantizer(latents).statistics, generator(0))
    return MelTokenizer(vae, Vocoder(VocoderConfig(mel=mel, dim=8, hidden=8, blocks=1)))


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


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


def noise(items, samples, seed=0):
    return 0.1 * torch.randn(items, samples, generator=generator(seed, "noise"))


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_chunks_give_what_the_whole_gives(tokenizer, data):
    """Encoded in chunks of 1 to 4 code frames; 1600 samples are one of them, and a mel window reaches over 1024."""
    lengths = torch.tensor(data.draw(st.lists(st.integers(200, 12_000), min_size=1, max_size=3)))
    wave = noise(len(lengths), int(lengths.max()), seed=int(lengths.sum()))
    chunked = MelTokenizer(tokenizer.mel_vae, tokenizer.vocoder, chunk_codes=data.draw(st.integers(1, 4)))
    parts = list(chunked._mel_chunks(wave, lengths))
    mel = tokenizer.log_mel(wave, lengths)
    torch.testing.assert_close(torch.cat(parts, dim=1)[:, : mel.shape[1]], mel, atol=2e-4, rtol=0)
    codes, code_lengths = tokenizer.encode(wave, lengths)
    again, again_lengths = chunked.encode(wave, lengths)
    assert torch.equal(code_lengths, again_lengths)
    assert (codes == again).float().mean() > 0.99  # but for a latent on the very border of two codes
    torch.testing.assert_close(chunked.decode_mel(codes, code_lengths)[0], tokenizer.decode_mel(codes, code_lengths)[0])


def test_chunks_of_a_mel_that_is_centred_on_its_hops():
    mel = MelConfig(num_mels=10, padding="center")
    whole = toy_tokenizer(mel)
    chunked = MelTokenizer(whole.mel_vae, whole.vocoder, chunk_codes=1)
    for samples in (3199, 3200, 3201, 9000):
        wave, lengths = noise(2, samples), torch.tensor([samples, 1700])
        expected = whole.log_mel(wave, lengths)
        found = torch.cat(list(chunked._mel_chunks(wave, lengths)), dim=1)[:, : expected.shape[1]]
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)
        codes, code_lengths = chunked.encode(wave, lengths)
        assert codes.shape[1] == int(code_lengths[0]) == -(-(samples // 200 + 1) // 8)


def test_memory_does_not_grow_with_the_length(tokenizer):
    """Ten minutes of zeros: no call sees more than one chunk, and silence has one row of codes once it has lasted."""
    sizes = []
    hook = tokenizer.log_mel.register_forward_hook(lambda module, given, made: sizes.append(given[0].shape[1]))
    samples = 600 * 16_000
    codes, lengths = tokenizer.encode(torch.zeros(1, samples), torch.tensor([samples]))
    hook.remove()
    assert lengths.tolist() == [6000]
    assert max(sizes) <= (1024 * 8 + 2 * 3) * 200 < samples / 5
    steady = codes[0, 20:-20]  # the encoder's memory of the beginning is shorter
    assert (steady == steady[0]).all()


@pytest.mark.parametrize(
    "wave",
    [
        torch.zeros(4000),
        torch.full((4000,), 0.5),
        torch.full((4000,), -1.0),
        torch.randn(4000, generator=generator(4)).sign(),
        (3 * torch.sin(torch.arange(4000) / 20)).clamp(-1, 1),
        torch.nn.functional.one_hot(torch.tensor(2000), 4000).float(),
        0.1 * torch.ones(200),
        torch.randn(201, generator=generator(5)),
    ],
    ids=["silence", "offset", "full negative", "square noise", "clipped", "click", "one frame", "one frame and one"],
)
def test_odd_waves_are_encoded_as_they_are(tokenizer, wave):
    """Defined and finite both ways; the same in a batch beside noise."""
    samples = len(wave)
    codes, lengths = tokenizer.encode(wave[None], torch.tensor([samples]))
    assert lengths.tolist() == [-(-(samples // 200) // 8)]
    made, made_lengths = tokenizer.decode(codes, lengths)
    assert made.isfinite().all()
    assert made_lengths.tolist() == [1600 * int(lengths)]
    rows = noise(2, 5000)
    rows[0, :samples] = wave
    together, _ = tokenizer.encode(rows, torch.tensor([samples, 5000]))
    assert torch.equal(together[:1, : int(lengths)], codes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_sample_that_is_no_number_is_refused_and_named(tokenizer, value):
    wave = noise(2, 4000)
    wave[1, 3000] = value
    with pytest.raises(AudioError, match="sample 3000 of wave 1") as caught:
        tokenizer.encode(wave, torch.tensor([4000, 4000]))
    assert caught.value.code == "AUDIO_NONFINITE"
    codes, _ = tokenizer.encode(wave, torch.tensor([4000, 2999]))  # behind the item's end it is nobody's
    assert codes.shape == (2, 3, 3)


def test_waves_of_a_wrong_shape_are_refused(tokenizer):
    """In production, where shape annotations are not checked."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        for wave, lengths in [
            (torch.zeros(4000), torch.tensor([4000])),
            (torch.zeros(1, 2, 4000), torch.tensor([4000])),
            (torch.zeros(2, 4000), torch.tensor([4000])),
        ]:
            with pytest.raises(ValueError, match=r"\[B, N\]"):
                tokenizer.encode(wave, lengths)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    with pytest.raises(ValueError, match="exceeds"):
        tokenizer.encode(torch.zeros(1, 4000), torch.tensor([4001]))


@pytest.mark.parametrize("wrong", [-1, 8])
def test_codes_that_do_not_exist_are_refused(tokenizer, wrong):
    codes = torch.zeros(1, 2, 3, dtype=torch.long)
    codes[0, 1, 0] = wrong
    with pytest.raises(ValueError, match=r"0\.\.7"):
        tokenizer.decode(codes, torch.tensor([2]))


def test_more_levels_than_codebooks_are_refused_and_fewer_decoded(tokenizer):
    codes, lengths = torch.randint(8, (1, 4, 4), generator=generator(6)), torch.tensor([4])
    with pytest.raises(ValueError, match="levels"):
        tokenizer.decode(codes, lengths)
    waves = [tokenizer.decode(codes[..., :levels], lengths)[0] for levels in (1, 2, 3)]
    assert all(wave.shape == (1, 6400) for wave in waves)
    assert not torch.equal(waves[0], waves[1])


def test_parts_of_different_mels_are_refused(tokenizer):
    with pytest.raises(ConfigError, match="vocoder"):
        MelTokenizer(tokenizer.mel_vae, Vocoder(VocoderConfig(mel=MelConfig(num_mels=12), dim=8, hidden=8, blocks=1)))
    with pytest.raises(ConfigError, match="chunk_codes"):
        MelTokenizer(tokenizer.mel_vae, tokenizer.vocoder, chunk_codes=0)
