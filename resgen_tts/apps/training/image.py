"""Trainers of the image parts: ``resgen-tts train image_vae`` and ``image_generator``."""

from collections.abc import Callable
from dataclasses import replace

from resgen_tts.apps.training.part import fit_part, parse, seeded
from resgen_tts.common.errors import ConfigError

_DATA = "folder of MNIST's IDX files, or of photographs with labels.tsv, or the name 'digits'"
_MEASURED_FRAMES = 100_000  # over which the energy of each level is measured


def _train_image_vae(arguments: list[str]) -> None:
    from resgen_tts.image.dataset import ImageBatchConfig, ImageBatches, load_pictures
    from resgen_tts.image.tokenizer_task import ImageVAETask, ImageVAETaskConfig
    from resgen_tts.tokenizers.image_discriminator import PatchDiscriminator, PatchDiscriminatorConfig
    from resgen_tts.tokenizers.image_vae import IMAGE_VAES, ImageVAE, ImageVAEConfig
    from resgen_tts.tokenizers.perceptual import PerceptualFiles, load_lpips

    options = parse(
        "image_vae", arguments, IMAGE_VAES, preset="mnist", data=_DATA,
        model=ImageVAEConfig, task=ImageVAETaskConfig, batches=ImageBatchConfig,
        discriminator=PatchDiscriminatorConfig, perceptual=PerceptualFiles, init=True,
    )  # fmt: skip
    sizes = options.model
    train, test = (
        ImageBatches(
            load_pictures(options.data, split, sizes.image_size),
            batch_size=options.batches.batch_size, seed=options.train.seed,
        )
        for split in ("train", "test")
    )  # fmt: skip
    channels = train.pictures.images.shape[1]
    if channels != sizes.channels_in:
        raise ConfigError(f"model.channels_in = {sizes.channels_in}, the pictures of {options.data} have {channels}.")
    with seeded(options.train.seed):
        model, discriminator = ImageVAE(sizes), None
        if options.train.adversarial_start is not None:
            discriminator = PatchDiscriminator(options.discriminator, channels, sizes.image_size)
    perceptual = load_lpips(options.perceptual) if options.task.perceptual_weight else None
    task = ImageVAETask(
        options.task, model, train=train, validation=test, seed=options.train.seed, discriminator=discriminator,
        perceptual=perceptual,
    )  # fmt: skip
    fit_part("image_vae", task, options, {})


def _train_image_generator(arguments: list[str]) -> None:
    from resgen_tts.image.codes import PictureCodeBatches, code_space_hash, read_code_space, read_codes, read_info
    from resgen_tts.image.generation_task import ImageDataConfig, ImageGenerationTask
    from resgen_tts.image.generator import ImageGenerator
    from resgen_tts.models.catalog import GENERATORS, build_generator, scheme_of
    from resgen_tts.models.trunk import TrunkConfig, measure_level_energy

    options = parse(
        "image_generator", arguments, GENERATORS, paths=("codes",), data=None, preset="digits_resgen",
        model=TrunkConfig, batches=ImageDataConfig,
    )  # fmt: skip
    info, space = read_info(options.codes), read_code_space(options.codes)
    splits = {split: read_codes(options.codes, split) for split in ("train", "test")}
    options.model = replace(
        options.model,
        num_classes=info["num_classes"] if options.batches.conditional else 0,
        condition_dim=0,
        grid_width=info["grid"][1],
    )
    train, test = (
        PictureCodeBatches(split, batch_size=options.batches.batch_size, seed=options.train.seed)
        for split in splits.values()
    )
    energy = measure_level_energy(space, splits["train"].codes.flatten(0, 1)[:_MEASURED_FRAMES])
    with seeded(options.train.seed):
        codes_model = build_generator(options.model, space, energy)
    height, width = info["grid"]
    model = ImageGenerator(codes_model, (height, width), options.batches.conditional)
    task = ImageGenerationTask(model, train, test, validation_batches=options.batches.validation_batches)
    codes = {"grid": info["grid"], "codebook_size": space.codebook_size, "code_space": code_space_hash(space)}
    fit_part("image_generator", task, options, {"scheme": scheme_of(options.model), "codes": codes})


TRAINERS: dict[str, Callable[[list[str]], None]] = {
    "image_vae": _train_image_vae,
    "image_generator": _train_image_generator,
}
