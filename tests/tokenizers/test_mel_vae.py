"""Mel-VAE: causality by gradients, padding, chunks, shapes, stability of the codes, and depth after a brief fit."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.config import from_plain, to_plain
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.core.masking import suffix_mask
from resgen_tts.nn.convolution import Conv1d, ConvNeXtBlock, Downsample, Upsample
from resgen_tts.tokenizers.log_mel import MelConfig
from resgen_tts.tokenizers.mel_vae import MEL_VAES, MelVAE, MelVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig

TOY = MelVAEConfig(
    mel=MelConfig(num_mels=10),
    quantizer=QuantizerConfig(depth=3, codebook_size=16, dim=6, warmup_vectors=64),
    strides=(2, 2),
    widths=(12, 16, 16),
    blocks=(1, 1, 1),
    expansion=2,
    kernel_size=3,
)


def toy_mels(items, frames, seed=0):
    """Smooth shapes of few degrees of freedom, roughly where log-mels lie."""
    rng = generator(seed, "mels")
    basis = torch.randn(4, 10, generator=generator(0, "basis"))
    weights = torch.randn(items, frames, 4, generator=rng).cumsum(1) / 4
    return torch.tanh(weights) @ basis * 1.5 - 5


def toy_model(**changes):
    torch.manual_seed(0)
    return MelVAE(MelVAEConfig(**{**{name: getattr(TOY, name) for name in TOY.__dataclass_fields__}, **changes}))


def fit(model, steps=200):
    """A brief fit with depth dropout."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        mel = toy_mels(8, 32, seed=step + 1)
        rng = generator(0, step)
        output = model(mel, None, torch.randint(1, 4, (8,), generator=rng))
        loss = (output.mel - mel).abs().mean() + 0.25 * output.commitment
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.quantizer.update(output.statistics, rng)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def fitted():
    return fit(toy_model())


def test_shapes():
    model = toy_model()
    for frames in (1, 4, 9):
        output = model(toy_mels(2, frames))
        assert output.mel.shape == (2, frames, 10)
        assert output.codes.shape == (2, -(-frames // 4), 3)
        assert output.codes.dtype == torch.int64
    assert model.config.frame_rate_hz == 20
    assert model.config.hop_samples == 800


def test_encoder_reads_no_frame_behind_its_own_code_frame():
    model, mel = toy_model(), toy_mels(1, 24).requires_grad_()
    model.encode_latent(mel)[0, 2].sum().backward()
    read = mel.grad[0].abs().sum(-1) > 0
    assert read[:12].any()
    assert read[11]
    assert not read[12:].any()


def test_decoder_reads_no_code_behind_its_own():
    model = toy_model()
    latents = torch.randn(1, 6, 6, requires_grad=True)
    model.decode_latent(latents, 24)[0, 15].sum().backward()
    read = latents.grad[0].abs().sum(-1) > 0
    assert read[3]
    assert not read[4:].any()


def test_padded_batch_equals_items(fitted):
    mel, lengths = toy_mels(3, 22, seed=7), torch.tensor([22, 13, 3])
    mel[1, 13:] = 40.0  # whatever lies in the padding
    latents = fitted.encode_latent(mel, lengths)
    codes = fitted.quantize(latents)
    together = fitted.decode_latent(fitted.code_space.total(codes), 22)
    for item, length in enumerate(lengths.tolist()):
        alone = fitted.encode_latent(mel[item : item + 1, :length])
        size = fitted.num_codes(length)
        torch.testing.assert_close(latents[item : item + 1, :size], alone)
        assert torch.equal(codes[item, :size], fitted.quantize(alone)[0])
        decoded = fitted.decode_latent(fitted.code_space.total(fitted.quantize(alone)), length)
        torch.testing.assert_close(together[item : item + 1, :length], decoded)


def test_training_pass_counts_no_padding(fitted):
    mel, lengths = toy_mels(2, 16, seed=8), torch.tensor([16, 6])
    assert float(fitted(mel, lengths).statistics.frames) == 4 + 2


def test_deeper_prefix_is_never_worse_on_average(fitted):
    mel = toy_mels(64, 32, seed=1000)
    codes = fitted.quantize(fitted.encode_latent(mel))
    errors = []
    for depth in range(4):
        hidden = torch.full(codes.shape[:2], 3 - depth)
        decoded = fitted.decode_latent(fitted.code_space.visible_sum(codes, suffix_mask(hidden, codes.shape[-1])), 32)
        errors.append(float((decoded - mel).abs().mean().detach()))
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.6 * errors[0]


def test_encoding_what_was_decoded_is_stable(fitted):
    """Codes of a decoded mel, decoded again, move it far less than the first pass did."""
    mel = toy_mels(32, 32, seed=2000)

    def again(value):
        return fitted.decode_latent(fitted.code_space.total(fitted.quantize(fitted.encode_latent(value))), 32)

    once = again(mel)
    twice = again(once)
    thrice = again(twice)
    first, second, third = ((b - a).abs().mean() for a, b in ((mel, once), (once, twice), (twice, thrice)))
    assert second < 0.9 * first
    assert third < second


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_chunks_give_the_codes_of_the_whole_and_the_mel_of_the_whole(fitted, sizes, seed):
    mel = toy_mels(2, sum(sizes) + 1, seed=seed)
    codes = torch.cat(list(fitted.encode_stream(mel.split([*sizes, 1], dim=1))), dim=1)
    assert torch.equal(codes, fitted.quantize(fitted.encode_latent(mel)))
    whole = fitted.decode_latent(fitted.code_space.total(codes), 4 * codes.shape[1])
    for chunk in (1, 2, 5):
        streamed = torch.cat(list(fitted.decode_stream(codes.split(chunk, dim=1))), dim=1)
        torch.testing.assert_close(streamed, whole)


def test_a_stream_gives_each_code_once_its_frames_are_there(fitted):
    """Stride 4: after 3 frames nothing, after 4 one code, and no chunk is asked for before its turn."""
    mel, asked = toy_mels(1, 9), []

    def chunks():
        for start in (0, 3, 4):
            asked.append(start)
            yield mel[:, start : [3, 4, 9][len(asked) - 1]]

    stream = fitted.encode_stream(chunks())
    assert [next(stream).shape[1] for _ in range(2)] == [0, 1]
    assert asked == [0, 3]
    assert [codes.shape[1] for codes in stream] == [1, 1]  # frames 4-7, and frame 8 completed with silence


def test_a_prefix_of_levels_is_decoded_from_its_own_sum(fitted):
    codes = torch.randint(16, (2, 6, 3), generator=generator(1))
    hidden = suffix_mask(torch.full((2, 6), 2), 3)
    expected = fitted.decode_latent(fitted.code_space.visible_sum(codes, hidden), 24)
    torch.testing.assert_close(next(fitted.decode_stream([codes[..., :1]])), expected)


def test_stability_measures_how_far_latents_lie_within_their_cell(fitted):
    """Moved along the straight line to any other code, a latent changes sides exactly at its distance to the border."""
    mel, lengths = toy_mels(2, 16, seed=3), torch.tensor([16, 6])
    latents = fitted.encode_latent(mel, lengths)
    codes, book = fitted.quantize(latents), fitted.code_space.codebooks[0]
    codes[0, 1, 0] = (codes[0, 1, 0] + 1) % 16  # one frame lies in another cell
    sigma, terms = float(fitted.code_space.level_variance[0]) ** 0.5, []
    for item, size in enumerate((4, 2)):
        for frame in range(size):
            own, gaps = book[codes[item, frame, 0]], []
            for other in book[torch.arange(16) != codes[item, frame, 0]]:
                normal = (own - other) / (own - other).norm()
                gaps.append(float((latents[item, frame] - (own + other) / 2) @ normal) / sigma)
            terms.append(max(0.0, 0.4 - min(gaps)))
    assert 0 < sum(term > 0 for term in terms) < len(terms)
    found = fitted.stability(mel, codes, lengths, margin=0.4)
    torch.testing.assert_close(found, torch.tensor(terms).mean(), atol=1e-4, rtol=0)


def test_stability_reaches_encoder_and_decoder(fitted):
    model = toy_model()
    model.load_state_dict(fitted.state_dict())
    output = model(toy_mels(2, 32, seed=5), stability_margin=0.5)
    output.stability.backward()
    for part in (model.encoder, model.decoder):
        assert all(float(parameter.grad.abs().sum()) > 0 for parameter in part.parameters())


def test_stability_is_zero_before_the_codebooks_start():
    output = toy_model()(toy_mels(1, 8), stability_margin=0.5)
    assert float(output.stability) == 0
    assert toy_model()(toy_mels(1, 8)).stability is None


def test_training_on_stability_makes_first_codes_agree(fitted):
    """Fewer codes of level 1 change when the decoded mel is encoded again, at nearly the same distance to the mel."""
    mel, changed, distance = toy_mels(32, 32, seed=3000), {}, {}
    for weight in (0.0, 1.0):
        model = toy_model()
        model.load_state_dict(fitted.state_dict())
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(50):
            output = model(mel, stability_margin=0.5)
            loss = (output.mel - mel).abs().mean() + 0.25 * output.commitment + weight * output.stability
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        codes = model.quantize(model.encode_latent(mel))
        decoded = model.decode_latent(model.code_space.total(codes), 32)
        again = model.quantize(model.encode_latent(decoded))
        changed[weight] = float((codes != again)[..., 0].float().mean())
        distance[weight] = float((decoded - mel).abs().mean().detach())
    assert changed[1.0] < 0.6 * changed[0.0], changed
    assert distance[1.0] < 1.2 * distance[0.0], distance


def test_normalized_latents_have_unit_scale():
    latents = toy_model(normalize_latents=True).encode_latent(50 * toy_mels(2, 16))
    torch.testing.assert_close(latents.mean(-1), torch.zeros(2, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.var(-1, unbiased=False), torch.ones(2, 4), atol=1e-2, rtol=0)


def test_it_is_a_causal_u_without_attention():
    """By inspection: widths grow as the rate falls, no kernel reaches ahead, and nothing but these layers is there."""
    known = (torch.nn.Linear, torch.nn.LayerNorm, Conv1d, ConvNeXtBlock, Downsample, Upsample)
    for config in MEL_VAES.values():
        assert all(fine <= coarse for fine, coarse in pairwise(config.widths))
        with torch.device("meta"):
            model = MelVAE(config)
        for part in (model.encoder, model.decoder):
            assert all(isinstance(layer, known) for layer in part.layers)  # in sequence: no path around the codes
            assert all(layer.reach[1] == 0 for layer in part.modules() if isinstance(layer, Conv1d))
        ends = [type(layer) for layer in list(model.decoder.layers)[-config.final_blocks - 2 :]]
        assert ends == [ConvNeXtBlock] * config.final_blocks + [torch.nn.LayerNorm, Conv1d]


@pytest.mark.parametrize(
    ("name", "rate_hz", "kbps", "low", "high"),
    [("mini", 10, 0.96, 2e6, 5e6), ("small", 20, 2.88, 3e6, 6e6), ("small_24k", 23.4, 3.75, 3e6, 6e6),
     ("paper", 10.77, 3.45, 8e7, 3e8)],
)  # fmt: skip
def test_presets(name, rate_hz, kbps, low, high):
    config = MEL_VAES[name]
    with torch.device("meta"):
        model = MelVAE(config)
    assert config.frame_rate_hz == pytest.approx(rate_hz, abs=0.05)
    bits = torch.tensor(config.quantizer.codebook_size).log2() * config.quantizer.depth
    assert float(bits) * config.frame_rate_hz / 1000 == pytest.approx(kbps, abs=0.01)
    assert low < sum(parameter.numel() for parameter in model.parameters()) < high
    assert from_plain(MelVAEConfig, to_plain(config)) == config


def test_the_paper_preset_has_the_published_numbers():
    config = MEL_VAES["paper"]
    mel = config.mel
    assert (mel.sample_rate, mel.fft_size, mel.window_samples, mel.hop_samples) == (22_050, 1024, 1024, 256)
    assert (mel.num_mels, mel.low_hz, mel.high_hz) == (80, 0, 8000)
    assert (config.quantizer.depth, config.quantizer.codebook_size, config.quantizer.dim) == (32, 1024, 512)
    assert config.stride == 8


@pytest.mark.parametrize(
    "wrong", [{"widths": (8, 8)}, {"strides": (2, 0)}, {"blocks": (1, -1, 1)}, {"expansion": 0}, {"mel_scale": 0.0}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        toy_model(**wrong)
