"""``resgen-tts train generator``: the generator of codes, over aligned text or over a text that it attends to."""

import sys

from resgen_tts.apps.training.part import fit_part, parse, seeded
from resgen_tts.common.errors import ConfigError


def train_generator(arguments: list[str]) -> None:
    """Train a generator; presets with ``cross_dim`` attend to their text.

    Raises:
        ConfigError: an unknown preset or key, or a value that makes no sense.
    """
    import torch

    from resgen_tts.apps.corpus.encode import read_codes_info
    from resgen_tts.apps.weights.pretrained import load_aligner, load_mel_vae
    from resgen_tts.common.randomness import generator as named_generator
    from resgen_tts.models.catalog import GENERATORS, scheme_of
    from resgen_tts.models.component_start import start_components
    from resgen_tts.models.resgen import ResGen
    from resgen_tts.models.trunk import TrunkConfig, measure_level_energy
    from resgen_tts.speech.code_task import TextDataConfig
    from resgen_tts.speech.corpus import CodeBatches, CodeShards
    from resgen_tts.speech.cross_generator import CrossGenerator, CrossGeneratorConfig
    from resgen_tts.speech.cross_task import CrossTask
    from resgen_tts.speech.generation_task import GenerationTask
    from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig
    from resgen_tts.speech.total_length import TotalLengthConfig

    options = parse(
        "generator", arguments, GENERATORS, paths=("codes", "aligner", "mel_vae"),
        model=TrunkConfig, batches=TextDataConfig, length=TotalLengthConfig,
    )  # fmt: skip
    is_cross = options.model.cross_dim > 0
    if not is_cross and options.length != TotalLengthConfig():
        raise ConfigError("--length is of generators that attend to their text (presets with cross_dim).")
    aligner, inventory = load_aligner(options.aligner)
    info, space = read_codes_info(options.codes), load_mel_vae(options.mel_vae).code_space
    shards = {split: CodeShards(options.codes, split) for split in ("train", "dev")}
    train, dev = (
        CodeBatches(
            shards[split], batch_seconds=options.batches.batch_seconds, prompts=options.batches.prompts,
            seed=options.train.seed, longest_seconds=options.batches.longest_seconds,
        )
        for split in ("train", "dev")
    )  # fmt: skip
    names = list(shards["train"].rows)
    measured = torch.cat([shards["train"][name].codes for name in names[:: max(1, len(names) // 500)]])
    energy = measure_level_energy(space, measured)
    scheme = scheme_of(options.model)
    sizes = {"aligner": aligner.config, "generator": options.model, "frames_per_code": info["frames_per_code"]}
    with seeded(options.train.seed):
        if is_cross:
            options.model = CrossGeneratorConfig(**sizes, length=options.length)
            model = CrossGenerator(options.model, space, energy)
            model.start_from(aligner)
        else:
            options.model = SpeechGeneratorConfig(**sizes)
            model = SpeechGenerator(options.model, space, energy)
            model.aligner.load_state_dict(aligner.state_dict())
    if isinstance(model.generator, ResGen) and len(measured) < options.model.generator.components:
        print(f"train generator: {len(measured)} frames are too few to start the components on", file=sys.stderr)
    elif isinstance(model.generator, ResGen):
        start_components(model.generator, measured, named_generator(options.train.seed, "components"))
    del options.length  # part of the model's own section, or of nothing
    task = (CrossTask if is_cross else GenerationTask)(model, train, dev, options.batches)
    text = "cross" if is_cross else "aligned"
    fit_part("generator", task, options, {"scheme": scheme, "text": text, "inventory": inventory.to_plain()})
