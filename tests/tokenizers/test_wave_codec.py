"""The waveform codec: the contract, what a frame reads, its items' independence, chunks, and odd inputs."""

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers import wave_codec
from resgen_tts.tokenizers.contract import Tokenizer
from resgen_tts.tokenizers.quantizer import QuantizerConfig
from resgen_tts.tokenizers.wave_codec import WAVE_CODECS, WaveCodec, WaveCodecConfig

HOP = 48  # samples per code frame of the toy


def toy(**changes):
    torch.manual_seed(0)
    model = WaveCodec(
        WaveCodecConfig(
            **{
                "fft_size": 16,
                "stft_hop_samples": 4,
                "quantizer": QuantizerConfig(depth=3, codebook_size=8, dim=4, warmup_vectors=16),
                "strides": (3, 2, 2),
                "widths": (8, 8, 12),
                "blocks_per_stage": 2,
                "expansion": 2,
                "kernel_size": 3,
            }
            | changes
        )
    )
    model.quantizer.update(model.quantizer(model.encode_latent(noise(4, 40 * HOP))).statistics, generator(0))
    return model.eval()


def noise(items, samples, seed=0):
    return 0.1 * torch.randn(items, samples, generator=generator(seed, "noise"))


@pytest.fixture(scope="module")
def codec():
    return toy()


def test_it_meets_the_contract(codec):
    assert isinstance(codec, Tokenizer)
    assert codec.sample_rate == 16_000
    assert codec.hop_samples == HOP
    assert codec.frame_rate_hz == 16_000 / HOP
    assert codec.code_space.depth == 3


def test_codes_and_waves_have_the_stated_shapes(codec):
    lengths = torch.tensor([480, 479, 49, 48])
    codes, code_lengths = codec.encode(noise(4, 480), lengths)
    assert codes.shape == (4, 10, 3)
    assert codes.dtype == torch.int64
    assert 0 <= int(codes.min()) <= int(codes.max()) < 8
    assert code_lengths.tolist() == [10, 10, 2, 1]  # ceil(N / 48)
    wave, wave_lengths = codec.decode(codes, code_lengths)
    assert wave.shape == (4, 480)
    assert wave_lengths.tolist() == [480, 480, 96, 48]
    assert (wave[2, 96:] == 0).all()
    assert not wave.requires_grad


@pytest.mark.parametrize("causal", [False, True])
def test_items_do_not_see_each_other(causal):
    codec, lengths = toy(causal=causal, log_magnitudes=not causal), torch.tensor([700, 433, 48])
    waves = noise(3, 700)
    codes, code_lengths = codec.encode(waves, lengths)
    together, wave_lengths = codec.decode(codes, code_lengths)
    latents = codec.encode_latent(
        torch.nn.functional.pad(waves * (torch.arange(700) < lengths[:, None]), (0, 20)), code_lengths
    )
    for item in range(3):
        alone, size = codec.encode(waves[item : item + 1, : lengths[item]], lengths[item : item + 1])
        assert torch.equal(codes[item : item + 1, : int(size)], alone)
        whole = torch.nn.functional.pad(waves[item : item + 1, : lengths[item]], (0, int(-lengths[item] % HOP)))
        torch.testing.assert_close(latents[item : item + 1, : int(size)], codec.encode_latent(whole))
        wave, _ = codec.decode(alone, size)
        torch.testing.assert_close(together[item : item + 1, : int(wave_lengths[item])], wave)


def test_a_padded_batch_trains_as_its_items_do(codec):
    waves, lengths = noise(2, 300), torch.tensor([300, 130])
    together = codec(waves, lengths)
    alone = codec(waves[1:, :130])
    torch.testing.assert_close(together.wave[1:, :130], alone.wave)
    shares = codec(waves[:1]).commitment * 7 + alone.commitment * 3  # of 7 and 3 code frames
    torch.testing.assert_close(together.commitment, shares / 10)
    assert float(together.statistics.frames) == 10


def test_the_stft_and_its_inverse_lie_on_one_grid(codec):
    """With the network taken out the wave comes back, but for the window's edges at the two ends."""
    wave = noise(2, 10 * HOP)
    spectra = codec._spectra(wave)
    assert spectra.shape == (2, 120, 27)
    real, imaginary, log_magnitudes = spectra.chunk(3, dim=-1)
    made = codec.inverse(real * codec.scale, imaginary * codec.scale)
    torch.testing.assert_close(made[:, 8:-8], wave[:, 8:-8])
    torch.testing.assert_close((3 * log_magnitudes - 4).exp(), real**2 + imaginary**2, atol=2e-5, rtol=1e-4)
    assert toy(log_magnitudes=False)._spectra(wave).shape == (2, 120, 18)


def test_the_network_sees_speech_levels_as_ones(codec):
    """Noise of the stated root mean square has real and imaginary parts of variance 1."""
    spectra = codec._spectra(noise(8, 400 * HOP))
    real, imaginary = spectra[..., 2:7], spectra[..., 11:16]  # bins whose window does not reach the real ones
    assert real.square().mean() == pytest.approx(1, abs=0.03)
    assert imaginary.square().mean() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("causal", [False, True])
def test_nothing_beyond_the_reach_is_read(causal):
    """A change of one code frame's samples, or of its latent, shows within ``reach`` frames and not beyond."""
    codec = toy(causal=causal)
    reach, middle = codec.config.reach, 20
    wave = noise(1, 41 * HOP).requires_grad_()
    (seen,) = torch.autograd.grad(codec.encode_latent(wave)[0, middle, 0], wave)  # the sum is always 0
    seen = seen[0].reshape(41, HOP).abs().sum(1).nonzero()[:, 0]
    assert middle - reach <= int(seen.min()) < middle
    assert int(seen.max()) <= middle + reach
    latents = noise(1, 41 * 4).reshape(1, 41, 4).requires_grad_()
    made = codec.decode_latent(latents)[0].reshape(41, HOP)[middle].sum()
    (seen,) = torch.autograd.grad(made, latents)
    seen = seen[0].abs().sum(1).nonzero()[:, 0]
    assert middle - reach <= int(seen.min()) <= int(seen.max()) <= middle + reach


def test_a_causal_network_waits_for_no_more_than_a_window():
    """Later samples than the STFT's window change nothing, and later codes nothing but the window's overlap."""
    codec = toy(causal=True)
    wave, other = noise(1, 20 * HOP), noise(1, 20 * HOP, seed=1)
    changed = torch.cat([wave[:, : 10 * HOP + 6], other[:, 10 * HOP + 6 :]], dim=1)
    torch.testing.assert_close(codec.encode_latent(wave)[:, :10], codec.encode_latent(changed)[:, :10])
    latents, late = codec.encode_latent(wave), codec.encode_latent(wave)
    late[:, 10:] = 0
    settled = 10 * HOP - 6
    torch.testing.assert_close(codec.decode_latent(latents)[:, :settled], codec.decode_latent(late)[:, :settled])


@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_chunks_give_what_the_whole_gives(codec, data):
    lengths = torch.tensor(data.draw(st.lists(st.integers(HOP, 20 * HOP), min_size=1, max_size=3)))
    wave = noise(len(lengths), int(lengths.max()), seed=int(lengths.sum()))
    codes, code_lengths = codec.encode(wave, lengths)
    made, _ = codec.decode(codes, code_lengths)
    frames = data.draw(st.integers(1, 7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wave_codec, "CHUNK_SECONDS", frames / codec.frame_rate_hz)
        again, again_lengths = codec.encode(wave, lengths)
        made_again, _ = codec.decode(codes, code_lengths)
    real = torch.arange(codes.shape[1]) < code_lengths[:, None]
    assert torch.equal(code_lengths, again_lengths)
    assert (codes == again)[real].float().mean() > 0.99  # but for a latent on the very border of two codes
    torch.testing.assert_close(made_again, made)


def test_memory_does_not_grow_with_the_length(codec):
    sizes = []
    hook = codec.encoder.embed.register_forward_hook(lambda module, given, made: sizes.append(given[0].shape[1]))
    samples = 100 * 16_000
    codes, lengths = codec.encode(torch.zeros(1, samples), torch.tensor([samples]))
    hook.remove()
    assert lengths.tolist() == [-(-samples // HOP)]
    assert max(sizes) * codec.config.stft_hop_samples < 1.05 * 10 * 16_000
    steady = codes[0, 20:-20]
    assert (steady == steady[0]).all()


@pytest.mark.parametrize(
    "wave",
    [
        torch.zeros(400),
        torch.full((400,), 0.5),
        torch.full((400,), -1.0),
        torch.randn(400, generator=generator(4)).sign(),
        (3 * torch.sin(torch.arange(400) / 20)).clamp(-1, 1),
        torch.nn.functional.one_hot(torch.tensor(200), 400).float(),
        0.1 * torch.ones(HOP),
        torch.randn(HOP + 1, generator=generator(5)),
    ],
    ids=["silence", "offset", "full negative", "square noise", "clipped", "click", "one frame", "one frame and one"],
)
def test_odd_waves_are_encoded_as_they_are(codec, wave):
    """Defined and finite both ways; the same in a batch beside noise."""
    samples = len(wave)
    codes, lengths = codec.encode(wave[None], torch.tensor([samples]))
    assert lengths.tolist() == [-(-samples // HOP)]
    made, made_lengths = codec.decode(codes, lengths)
    assert made.isfinite().all()
    assert made_lengths.tolist() == [HOP * int(lengths)]
    rows = noise(2, 500)
    rows[0, :samples] = wave
    together, _ = codec.encode(rows, torch.tensor([samples, 500]))
    assert torch.equal(together[:1, : int(lengths)], codes)


def test_silence_trains_with_finite_gradients(codec):
    output = codec(torch.zeros(2, 200))
    output.wave.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in codec.parameters() if p.grad is not None)
    codec.zero_grad()


def test_gradients_reach_every_weight(codec):
    output = codec(noise(2, 20 * HOP), num_levels=torch.tensor([1, 3]))
    assert output.wave.shape == (2, 20 * HOP)
    (output.wave.square().sum() + output.commitment).backward()
    assert [name for name, p in codec.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    codec.zero_grad()


def test_fewer_levels_are_what_training_with_a_prefix_decodes(codec):
    wave, lengths = noise(1, 10 * HOP), torch.tensor([10 * HOP])
    codes, code_lengths = codec.encode(wave, lengths)
    waves = []
    for levels in (1, 2, 3):
        waves.append(codec.decode(codes[..., :levels], code_lengths)[0])
        trained = codec(wave, num_levels=torch.tensor([levels])).wave.detach()
        torch.testing.assert_close(waves[-1], trained, atol=1e-5, rtol=1e-4)
    assert not torch.equal(waves[0], waves[1])


def test_too_short_a_wave_is_refused(codec):
    with pytest.raises(AudioError) as caught:
        codec.encode(noise(2, 400), torch.tensor([400, HOP - 1]))
    assert caught.value.code == "AUDIO_TOO_SHORT"


def test_broken_waves_and_codes_are_refused(codec):
    wave = noise(2, 400)
    wave[1, 300] = float("nan")
    with pytest.raises(AudioError, match="sample 300 of wave 1") as caught:
        codec.encode(wave, torch.tensor([400, 400]))
    assert caught.value.code == "AUDIO_NONFINITE"
    codes, _ = codec.encode(wave, torch.tensor([400, 299]))  # behind the item's end it is nobody's
    assert torch.equal(codes[1, :7], codec.encode(wave[1:, :299], torch.tensor([299]))[0][0])
    for wrong in (torch.full((1, 2, 3), 8), torch.full((1, 2, 3), -1), torch.zeros(1, 2, 4, dtype=torch.long)):
        with pytest.raises(ValueError, match="codes"):
            codec.decode(wrong, torch.tensor([2]))


def test_waves_of_a_wrong_shape_are_refused(codec):
    """In production, where shape annotations are not checked."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        for wave, lengths in [(torch.zeros(400), [400]), (torch.zeros(1, 2, 400), [400]), (torch.zeros(2, 400), [400])]:
            with pytest.raises(ValueError, match=r"\[B, N\]"):
                codec.encode(wave, torch.tensor(lengths))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_no_codes_are_no_samples(codec):
    wave, lengths = codec.decode(torch.zeros(2, 0, 3, dtype=torch.long), torch.tensor([0, 0]))
    assert wave.shape == (2, 0)
    assert lengths.tolist() == [0, 0]


def test_the_named_sizes():
    parts = (wave_codec._Encoder, wave_codec._Decoder)
    with torch.device("meta"):
        sizes = {
            name: sum(weights.numel() for part in parts for weights in part(config).parameters())
            for name, config in WAVE_CODECS.items()
        }
    paper = WAVE_CODECS["paper"]
    assert paper.frame_rate_hz == pytest.approx(10.77, abs=0.005)
    assert (paper.fft_size, paper.stft_hop_samples, paper.strides) == (32, 8, (8, 8, 8))
    books = paper.quantizer.depth * paper.quantizer.codebook_size * paper.quantizer.dim
    assert sizes["paper"] + books == pytest.approx(185e6, rel=0.005)
    small = WAVE_CODECS["small16k"]
    assert small.frame_rate_hz == 20
    assert sizes["small16k"] < 8e6


@pytest.mark.parametrize(
    "wrong",
    [
        {"fft_size": 70},
        {"fft_size": 16, "stft_hop_samples": 16},
        {"fft_size": 27, "stft_hop_samples": 9},
        {"strides": ()},
        {"fft_size": 12, "stft_hop_samples": 3},
        {"strides": (5, 5)},
        {"widths": (0, 8, 8)},
        {"blocks_per_stage": -1},
        {"amplitude": 0.0},
        {"kernel_size": 4},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        WaveCodecConfig(**wrong)
    assert WaveCodecConfig(kernel_size=4, causal=True).reach > 0
