"""Trained image parts from folders: safetensors and a resolved configuration, nothing else."""

from pathlib import Path

from resgen_tts.apps.weights.parts import check_codebooks, filled, read_part, scheme_in
from resgen_tts.common.config import from_plain
from resgen_tts.core.space_kinds import code_space_from
from resgen_tts.image.generator import ImageGenerator
from resgen_tts.tokenizers.image_vae import ImageVAE, ImageVAEConfig


def load_image_vae(folder: Path) -> ImageVAE:
    """A trained image VAE."""
    tensors, config = read_part(folder, "image_vae")
    model = filled(ImageVAE(from_plain(ImageVAEConfig, config["model"])), tensors, folder)
    check_codebooks(model.quantizer.started, "image VAE", folder)
    return model


def load_image_generator(folder: Path) -> ImageGenerator:
    """A trained generator of pictures' codes, of any scheme."""
    from resgen_tts.models.catalog import build_generator, config_of  # all schemes: not needed to load a tokenizer

    tensors, config = read_part(folder, "image_generator")
    space = code_space_from(tensors, "codes_model.")
    model = build_generator(
        config_of(scheme_in(config, folder), config["model"]), space, tensors["codes_model.level_energy"]
    )
    height, width = config["codes"]["grid"]
    return filled(ImageGenerator(model, (height, width), config["batches"]["conditional"]), tensors, folder)
