"""``resgen-tts train aligner``: which mel frames belong to which symbols of the text."""

from dataclasses import replace

from resgen_tts.apps.training.part import fit_part, parse, seeded


def train_aligner(arguments: list[str]) -> None:
    """Train the aligner on encoded utterances; sizes that the data decide are taken from there.

    These are the number of symbols and of mel bands, which symbols may last 0 frames (the pause between words), and
    the size of a language model's features, where the text has any.
    """
    from resgen_tts.apps.corpus.encode import read_codes_info
    from resgen_tts.apps.corpus.text import read_inventory
    from resgen_tts.speech.aligner_task import AlignerTask
    from resgen_tts.speech.alignment import ALIGNERS, Aligner, AlignerConfig
    from resgen_tts.speech.code_task import TextDataConfig
    from resgen_tts.speech.corpus import CodeBatches, CodeShards
    from resgen_tts.speech.text.symbols import PAUSE

    options = parse("aligner", arguments, ALIGNERS, paths=("codes",), model=AlignerConfig, batches=TextDataConfig)
    inventory, info = read_inventory(options.data), read_codes_info(options.codes)
    options.model = replace(
        options.model,
        num_symbols=len(inventory.symbols),
        num_mels=info["num_mels"],
        optional_symbols=tuple(number for number, symbol in enumerate(inventory.symbols) if symbol == PAUSE),
        encoder=replace(options.model.encoder, feature_dim=info.get("feature_dim", 0)),
    )
    no_prompts = replace(options.batches.prompts, pair_share=0.0, prefix_share=0.0)
    train, dev = (
        CodeBatches(
            CodeShards(options.codes, split, aligned=False),
            batch_seconds=options.batches.batch_seconds, prompts=no_prompts, seed=options.train.seed,
        )
        for split in ("train", "dev")
    )  # fmt: skip
    with seeded(options.train.seed):
        task = AlignerTask(Aligner(options.model), train, dev, options.batches)
    fit_part("aligner", task, options, {"inventory": inventory.to_plain()})
