"""The secondary model of the page: pictures of a class, by the same method."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from resgen_tts.apps.weights.parts import final_folder
from resgen_tts.apps.weights.pretrained_image import load_image_generator, load_image_vae
from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.common.randomness import generator as named_generator
from resgen_tts.common.run_dir import read_json
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.image.dataset import to_bytes
from resgen_tts.image.generator import ImageGenerator
from resgen_tts.image.synthesizer import draw_pictures
from resgen_tts.tokenizers.image_vae import ImageVAE

MOST_PICTURES = 16
LEAST_SIDE = 128  # pixels: small pictures are shown larger, each of their pixels a square


@dataclass(frozen=True)
class PictureModel:
    """A generator of pictures and the tokenizer that it was trained on.

    Attributes:
        num_classes: 0 where it knows none.
    """

    generator: ImageGenerator
    image_vae: ImageVAE
    num_classes: int

    @classmethod
    def load(cls, folder: Path, image_vae: Path) -> "PictureModel":
        """Load both parts.

        Args:
            folder: that ``train image_generator`` left.
            image_vae: that ``train image_vae`` left.
        Raises:
            CheckpointError: one is missing or broken, or they do not belong together.
        """
        model, vae = load_image_generator(folder), load_image_vae(image_vae)
        mine, theirs = model.codes_model.code_space.codebooks, vae.code_space.codebooks
        if mine.shape != theirs.shape or not torch.equal(mine, theirs):
            raise CheckpointError(
                f"{folder} was trained on the codes of another image VAE than {image_vae}.",
                code="CHECKPOINT_INVALID",
                hint="Pass the one whose codes it was trained on: --image-vae.",
            )
        classes = read_json(final_folder(folder) / "config.json")["model"]["num_classes"] if model.conditional else 0
        return cls(model, vae, classes or 0)

    def draw(self, label: int, count: int, steps: int, guidance: float, seed: int) -> list[UInt8[np.ndarray, "H W 3"]]:
        """Pictures of one class, enlarged to be seen.

        Raises:
            ConfigError: there is no such class, or a value makes no sense.
        """
        if not 1 <= count <= MOST_PICTURES:
            raise ConfigError(f"1 to {MOST_PICTURES} pictures are drawn at once, not {count}.", code="USAGE")
        if self.num_classes and not 0 <= label < self.num_classes:
            raise ConfigError(f"there is no class {label}; they go from 0 to {self.num_classes - 1}.", code="USAGE")
        sampler = replace(SamplerConfig(), steps=steps, guidance_start=guidance, guidance_end=guidance)
        labels = torch.full((count,), label)
        made = draw_pictures(self.generator, self.image_vae, labels, sampler, named_generator(seed, "pictures"))
        pixels = to_bytes(made).permute(0, 2, 3, 1).cpu().numpy()
        factor = max(1, -(-LEAST_SIDE // pixels.shape[1]))
        large = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
        return list(np.repeat(large, 3, axis=3) if large.shape[3] == 1 else large)
