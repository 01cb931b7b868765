"""Mel-VAE: causality by gradients, padding, shapes, stability of the codes, and depth after a brief fit."""

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.core.masking import suffix_mask
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


@pytest.fixture(scope="module")
def fitted():
    """A toy model after a brief fit with depth dropout."""
    model = toy_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(250):
        mel = toy_mels(8, 32, seed=step + 1)
        rng = generator(0, step)
        output = model(mel, None, torch.randint(1, 4, (8,), generator=rng))
        loss = (output.mel - mel).abs().mean() + 0.25 * output.commitment
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.quantizer.update(output.statistics, rng)
    return model.eval()


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


def test_normalized_latents_have_unit_scale():
    latents = toy_model(normalize_latents=True).encode_latent(50 * toy_mels(2, 16))
    torch.testing.assert_close(latents.mean(-1), torch.zeros(2, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.var(-1, unbiased=False), torch.ones(2, 4), atol=1e-2, rtol=0)


def test_presets():
    assert MEL_VAES["mini"].frame_rate_hz == 10
    with torch.device("meta"):
        sizes = {name: sum(p.numel() for p in MelVAE(config).parameters()) for name, config in MEL_VAES.items()}
        paper = MelVAE(MEL_VAES["paper"])
    assert 2e6 < sizes["mini"] < 5e6
    assert 8e7 < sizes["paper"] < 3e8
    assert paper.code_space.codebooks.shape == (32, 1024, 512)
    assert MEL_VAES["paper"].frame_rate_hz == pytest.approx(10.77, abs=0.01)


@pytest.mark.parametrize(
    "wrong", [{"widths": (8, 8)}, {"strides": (2, 0)}, {"blocks": (1, -1, 1)}, {"expansion": 0}, {"mel_scale": 0.0}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        toy_model(**wrong)
