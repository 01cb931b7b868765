"""Image VAE: shapes, row-major codes, an overfit of eight pictures, stability of the codes, depth, bad sizes."""

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


@pytest.mark.parametrize("name", IMAGE_VAES)
def test_presets_turn_a_picture_into_a_grid_of_four_by_four(name):
    model = ImageVAE(IMAGE_VAES[name])
    size = model.config.image_size
    codes = model.encode(torch.zeros(2, 1, size, size))
    assert model.grid == (4, 4)
    assert codes.shape == (2, 16, 8) and codes.dtype == torch.long
    assert model.decode(codes).shape == (2, 1, size, size)
    assert (model.code_space.depth, model.code_space.codebook_size, model.code_space.dim) == (8, 256, 16)


def test_colour_pictures():
    model = ImageVAE(ImageVAEConfig(**{**vars(TOY), "channels_in": 3}))
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
    config = ImageVAEConfig(**{**vars(TOY), "blocks": (0, 0)})
    model = ImageVAE(config)
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
    [{"image_size": 9}, {"channels_in": 2}, {"widths": (12, 20)}, {"blocks": (1,)}, {"blocks": (1, -1)}],
    ids=str,
)
def test_nonsense_is_refused(change):
    with pytest.raises(ConfigError, match=r"image_vae\."):
        ImageVAEConfig(**{**vars(TOY), **change})


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match="reads 1 x 8 x 8, got 1 x 8 x 9"):
        ImageVAE(TOY).encode(torch.zeros(1, 1, 8, 9))
