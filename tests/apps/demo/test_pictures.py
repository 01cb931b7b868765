"""The secondary model of the page."""

import numpy as np
import pytest
import torch

from resgen_tts.apps.demo.pictures import LEAST_SIDE, PictureModel
from resgen_tts.apps.weights.pretrained_image import load_image_generator, load_image_vae
from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.image.dataset import to_bytes
from resgen_tts.image.synthesizer import draw_pictures


def test_pictures_are_those_of_the_model_made_larger(image_parts):
    model = PictureModel.load(image_parts / "generator", image_parts / "vae")
    drawn = model.draw(3, 2, steps=2, guidance=1.5, seed=4)
    sampler = SamplerConfig(steps=2, guidance_start=1.5, guidance_end=1.5)
    labels, rng = torch.tensor([3, 3]), generator(4, "pictures")
    parts = load_image_generator(image_parts / "generator"), load_image_vae(image_parts / "vae")
    own = to_bytes(draw_pictures(*parts, labels, sampler, rng))
    assert model.num_classes == 10 and drawn[0].shape == (LEAST_SIDE, LEAST_SIDE, 3)
    for large, small in zip(drawn, own.numpy(), strict=True):
        np.testing.assert_array_equal(large[::16, ::16, 0], small[0])
        np.testing.assert_array_equal(large[15::16, 15::16, 2], small[0])


def test_what_cannot_be_drawn_is_refused(image_parts):
    model = PictureModel.load(image_parts / "generator", image_parts / "vae")
    for label, count, steps in ((10, 1, 2), (-1, 1, 2), (0, 0, 2), (0, 17, 2), (0, 1, 0)):
        with pytest.raises(ConfigError):
            model.draw(label, count, steps, 1.0, 0)


def test_a_generator_of_another_tokenizer_is_refused(image_parts):
    with pytest.raises(CheckpointError, match="another image VAE"):
        PictureModel.load(image_parts / "generator", image_parts / "other")
    with pytest.raises(CheckpointError):
        PictureModel.load(image_parts / "vae", image_parts / "vae")
