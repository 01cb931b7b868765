"""Trainer of the waveform codec: ``resgen-tts train codec``."""

from resgen_tts.apps.training.part import fit_part, parse, seeded, speech_crops


def train_codec(arguments: list[str]) -> None:
    """Train the waveform codec, or go on training it.

    Raises:
        ConfigError: an unknown preset or key, or a value that makes no sense.
    """
    from resgen_tts.speech.codec_task import WaveCodecTask, WaveCodecTaskConfig
    from resgen_tts.speech.corpus import CropConfig
    from resgen_tts.tokenizers.discriminators import WAVE_DISCRIMINATORS, WaveDiscriminatorConfig
    from resgen_tts.tokenizers.wave_codec import WAVE_CODECS, WaveCodec, WaveCodecConfig

    options = parse(
        "codec", arguments, WAVE_CODECS, preset="small16k",
        model=WaveCodecConfig, task=WaveCodecTaskConfig, discriminator=WaveDiscriminatorConfig, crops=CropConfig,
        discriminators=WAVE_DISCRIMINATORS, init=True,
    )  # fmt: skip
    train, dev = speech_crops(options, options.model.sample_rate)
    with seeded(options.train.seed):
        task = WaveCodecTask(
            options.task, WaveCodec(options.model), options.discriminator,
            train=train, validation=dev, seed=options.train.seed,
        )  # fmt: skip
    fit_part("codec", task, options, {})
