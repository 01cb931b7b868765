"""From classes to pictures: the generator's codes, decoded."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.draws import Rng
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.image.generator import ImageGenerator
from resgen_tts.tokenizers.image_vae import ImageVAE


@torch.inference_mode()
def draw_codes(
    generator: ImageGenerator, labels: Int[Tensor, " B"], sampler: SamplerConfig, rng: Rng
) -> Int[Tensor, "B T D"]:
    """Codes of one picture a label; without classes labels only say how many."""
    model = generator.codes_model
    codes = torch.zeros(len(labels), generator.grid[0] * generator.grid[1], model.code_space.depth, dtype=torch.long)
    is_padding = torch.zeros(codes.shape[:2], dtype=torch.bool)
    return model.generate(codes, ~is_padding, is_padding, labels if generator.conditional else None, sampler, rng)


@torch.inference_mode()
def draw_pictures(
    generator: ImageGenerator, image_vae: ImageVAE, labels: Int[Tensor, " B"], sampler: SamplerConfig, rng: Rng
) -> Float[Tensor, "B channels height width"]:
    """Pictures in [-1, 1]."""
    return image_vae.decode(draw_codes(generator, labels, sampler, rng))
