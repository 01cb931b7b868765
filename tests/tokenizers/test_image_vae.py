"""Image VAE: shapes, layouts, row-major codes, an overfit of eight pictures, stability of codes, depth, bad sizes."""

from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.image_vae import IMAGE_VAES, ImageVAE, ImageVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig

TOY = ImageVAEConfig(
    image_size=8,
    widths=(16, 32),
    blocks=(1, 1),
    quantizer=QuantizerConfig(depth=4, codebook_size=16, dim=6, warmup_vectors=640, decay=0.9),
)


VQGAN = replace(TOY, channels_in=3, layout="vqgan", z_channels=8)


def eight_pictures():
    """Black and white bars and squares."""
    return (
        torch.where(torch.rand(8, 1, 4, 4, generator=generator(0)) < 0.5, -1.0, 1.0)
        .repeat_interleave(2, -1)
        .repeat_interleave(2, -2)
    )


@pytest.fixture(scope="module")
def fitted():
    """A toy model that was overfitted to eight pictures, with depth dropout."""
    torch.manual_seed(0)
    model, images = ImageVAE(TOY), eight_pictures()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(300):
        rng = generator(0, step)
        levels = torch.where(torch.rand(8, generator=rng) < 0.3, torch.randint(1, 5, (8,), generator=rng), 4)
        output = model(images, levels)
        loss = (output.images - images).square().mean() + 0.25 * output.commitment
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.quantizer.update(output.statistics, rng)
    return model.eval().requires_grad_(False), images


@pytest.mark.parametrize(
    ("name", "grid", "dim"), [("digits", 4, 16), ("mnist", 4, 16), ("small_32", 8, 32), ("small_64", 8, 32)]
)
def test_small_presets_turn_a_picture_into_a_grid(name, grid, dim):
    model = ImageVAE(IMAGE_VAES[name])
    images = torch.zeros(2, model.config.channels_in, model.config.image_size, model.config.image_size)
    codes = model.encode(images)
    assert model.grid == (grid, grid)
    assert codes.shape == (2, grid**2, 8) and codes.dtype == torch.long
    assert model.decode(codes[..., :3]).shape == images.shape
    assert (model.code_space.depth, model.code_space.codebook_size, model.code_space.dim) == (8, 256, dim)


@pytest.mark.parametrize(("name", "depth"), [("imagenet_rvq8", 8), ("imagenet_rvq16", 16)])
def test_imagenet_presets_have_the_papers_sizes(name, depth):
    """Shapes without numbers: 92.7 M parameters would take their time."""
    with torch.device("meta"):
        model = ImageVAE(IMAGE_VAES[name])
        latents = model.encoder(torch.empty(1, 3, 256, 256))
        assert latents.shape == (1, 64, 8, 8)
        assert model.decoder(latents).shape == (1, 3, 256, 256)
    assert model.code_space.codebooks.shape == (depth, 1024, 64)
    assert model.grid == (8, 8) and model.last_layer.shape == (3, 128, 3, 3)
    assert sum(parameter.numel() for parameter in model.parameters()) == 92_747_459 == _public_count(64)


def _public_count(dim):
    """Parameters of RQ-VAE's network less its attention, layer by layer, with a latent of ``dim`` numbers."""

    def conv(width_in, width_out, kernel=3):
        return width_in * width_out * kernel**2 + width_out

    def block(width_in, width_out):
        norms = 2 * width_in + 2 * width_out
        shortcut = conv(width_in, width_out, 1) if width_in != width_out else 0
        return norms + conv(width_in, width_out) + conv(width_out, width_out) + shortcut

    widths = (128, 128, 256, 256, 512, 512)
    ends = conv(3, 128) + conv(128, 3) + 2 * 512 + 2 * 128 + conv(512, 256) + conv(256, 512)
    count = ends + conv(256, dim, 1) + conv(dim, 256, 1) + 4 * block(512, 512)
    for below, width in zip((128, *widths), widths, strict=False):
        count += block(below, width) + block(width, width)
    for above, width in zip((*widths[1:], 512), widths, strict=True):
        count += block(above, width) + 2 * block(width, width)
    return count + sum(conv(width, width) for width in (*widths[:-1], *widths[1:]))


def test_strided_convolutions_of_vqgan_look_right_and_down_only():
    """The pixel in the upper left corner of a code's patch is the first that it sees, not the one before."""
    torch.manual_seed(0)
    strided = ImageVAE(VQGAN).encoder[2:4]  # padding and convolution
    x = torch.zeros(1, 16, 8, 8, requires_grad=True)
    (slope,) = torch.autograd.grad(strided(x)[0, :, 1, 1].square().sum() + strided(x)[0, :, 1, 1].sum(), x)
    rows = slope[0].abs().sum((0, 2)).nonzero().squeeze(1).tolist()
    assert rows == [2, 3, 4]


def test_vqgans_layout_is_trained_and_coded_like_the_plain_one():
    torch.manual_seed(0)
    model = ImageVAE(VQGAN)
    output = model(torch.randn(2, 3, 8, 8))
    (output.images.square().mean() + output.commitment + output.codebook_loss).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.decode(output.codes).shape == (2, 3, 8, 8) and output.codes.shape == (2, 16, 4)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_codebooks_that_learn_by_gradient_have_a_loss(update):
    torch.manual_seed(0)
    model = ImageVAE(replace(TOY, quantizer=replace(TOY.quantizer, update=update, warmup_vectors=16)))
    for _ in range(2):
        output = model(torch.randn(2, 1, 8, 8))
        model.quantizer.update(output.statistics, generator(0))
    assert bool(output.codebook_loss > 0) == output.codebook_loss.requires_grad == (update == "gradient")


def test_colour_pictures():
    model = ImageVAE(replace(TOY, channels_in=3))
    assert model(torch.zeros(2, 3, 8, 8)).images.shape == (2, 3, 8, 8)


def test_eight_pictures_are_learnt_through_their_codes(fitted):
    model, images = fitted
    assert (model.decode(model.encode(images)) - images).abs().max() < 0.5  # every pixel on its side


def test_decoded_pictures_have_nearly_the_same_codes(fitted):
    model, images = fitted
    codes = model.encode(images)
    assert (model.encode(model.decode(codes)) == codes).float().mean() > 0.8


def test_more_levels_are_never_worse_on_average(fitted):
    model, images = fitted
    codes = model.encode(images)
    errors = [float((model.decode(codes[..., :levels]) - images).square().mean()) for levels in (1, 2, 4)]
    assert errors == sorted(errors, reverse=True)


def test_codes_lie_row_by_row():
    """A pixel in the upper right corner moves the latent at the end of the first row most."""
    torch.manual_seed(0)
    model = ImageVAE(replace(TOY, blocks=(0, 0)))
    images = torch.zeros(1, 1, 8, 8, requires_grad=True)
    latents = model.encoder[:2](images).flatten(2).mT  # convolutions only: no norm that spreads over the picture
    for frame, corner in ((0, (0, 0)), (3, (0, 7)), (12, (7, 0)), (15, (7, 7))):
        (slope,) = torch.autograd.grad(latents[0, frame].square().sum(), images, retain_graph=True)
        reached = slope[0, 0].nonzero()
        assert {(0, 0), (0, 7), (7, 0), (7, 7)} & {tuple(place) for place in reached.tolist()} == {corner}


def test_decoding_is_the_mirror_of_the_grid(fitted):
    """Changing the last code of the first row changes the picture most in its upper right quarter."""
    model, images = fitted
    codes = model.encode(images[:1])
    other = codes.clone()
    other[0, 3] = (other[0, 3] + 1) % 16
    change = (model.decode(codes) - model.decode(other)).abs()[0, 0]
    quarters = change.unflatten(0, (2, 4)).unflatten(2, (2, 4)).mean((1, 3))
    assert quarters.argmax() == 1


def test_latents_have_one_scale():
    latents = ImageVAE(TOY).encode_latent(torch.randn(3, 1, 8, 8))
    torch.testing.assert_close(latents.square().mean(-1), torch.ones(3, 16), rtol=0.01, atol=0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 9},
        {"channels_in": 2},
        {"widths": (12, 20)},
        {"blocks": (1,)},
        {"blocks": (1, -1)},
        {"layout": "unet"},
        {"layout": "vqgan"},
        {"z_channels": 8},
        {"layout": "vqgan", "z_channels": 8, "blocks": (1, 0)},
    ],
    ids=str,
)
def test_nonsense_is_refused(change):
    with pytest.raises(ConfigError, match=r"image_vae\."):
        replace(TOY, **change)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match="reads 1 x 8 x 8, got 1 x 8 x 9"):
        ImageVAE(TOY).encode(torch.zeros(1, 1, 8, 9))
