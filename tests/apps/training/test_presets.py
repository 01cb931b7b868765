"""Configurations of the recipes: they parse, and a discriminator's named size is found in a file or an option."""

from pathlib import Path

import pytest

from resgen_tts.apps.training.part import parse
from resgen_tts.common.errors import ConfigError
from resgen_tts.tokenizers.discriminators import WAVE_DISCRIMINATORS, WaveDiscriminatorConfig
from resgen_tts.tokenizers.mel_discriminators import MEL_DISCRIMINATORS, MelDiscriminatorConfig
from resgen_tts.tokenizers.mel_vae import MEL_VAES, MelVAEConfig
from resgen_tts.tokenizers.vocoder import VOCODERS, VocoderConfig
from resgen_tts.tokenizers.wave_codec import WAVE_CODECS, WaveCodecConfig

EGS = Path(__file__).resolve().parents[3] / "egs"
PARTS = {
    "mel_vae": (MEL_VAES, MelVAEConfig, MEL_DISCRIMINATORS, MelDiscriminatorConfig),
    "codec": (WAVE_CODECS, WaveCodecConfig, WAVE_DISCRIMINATORS, WaveDiscriminatorConfig),
    "vocoder": (VOCODERS, VocoderConfig, WAVE_DISCRIMINATORS, WaveDiscriminatorConfig),
}
FILES = sorted(file for part in PARTS for file in EGS.glob(f"*/conf/{part}.yaml"))


def read(part: str, *words: str):
    from resgen_tts.speech.corpus import CropConfig

    presets, model, discriminators, discriminator = PARTS[part]
    task = {"mel_vae": "tokenizer_task.MelVAETaskConfig", "codec": "codec_task.WaveCodecTaskConfig"}
    module, _, name = task.get(part, "vocoder_task.VocoderTaskConfig").partition(".")
    kind = getattr(__import__(f"resgen_tts.speech.{module}", fromlist=[name]), name)
    return parse(
        part, ["--data", "d", "--output", "o", *words], presets, preset=next(iter(presets)),
        model=model, task=kind, discriminator=discriminator, crops=CropConfig, discriminators=discriminators,
    )  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
def test_every_recipe_configures_its_tokenizers(file):
    options = read(file.stem, "--config", str(file))
    smoke = file.parent / "smoke" / file.name
    if smoke.is_file():
        assert read(file.stem, "--config", str(file), "--config", str(smoke)).train.steps < options.train.steps


def test_the_papers_settings_are_those_of_the_paper():
    for recipe in ("librilight", "libritts"):
        mel_vae = read("mel_vae", "--config", str(EGS / recipe / "conf" / "mel_vae.yaml"))
        sizes = mel_vae.model.quantizer
        assert (sizes.depth, sizes.codebook_size, sizes.dim, mel_vae.model.stride) == (32, 1024, 512, 8)
        assert mel_vae.model.frame_rate_hz == pytest.approx(10.77, abs=0.01)
        assert mel_vae.discriminator == MEL_DISCRIMINATORS["paper"]
        codec = read("codec", "--config", str(EGS / recipe / "conf" / "codec.yaml"))
        sizes = codec.model.quantizer
        assert (sizes.depth, sizes.codebook_size, sizes.dim, codec.model.sample_rate) == (72, 1024, 512, 44_100)
        assert codec.model.frame_rate_hz == pytest.approx(10.77, abs=0.01)
        assert codec.crops.seconds >= 1.5
        assert codec.discriminator == WAVE_DISCRIMINATORS["dac"]
        vocoder = read("vocoder", "--config", str(EGS / recipe / "conf" / "vocoder.yaml"))
        assert vocoder.model.mel == mel_vae.model.mel


def test_an_option_wins_over_the_file_and_an_unknown_size_is_refused(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("discriminator_preset: dac\n")
    assert read("vocoder", "--config", str(file)).discriminator == WAVE_DISCRIMINATORS["dac"]
    words = ("--config", str(file), "--discriminator_preset", "mini", "--discriminator.width", "4")
    assert read("vocoder", *words).discriminator.width == 4
    with pytest.raises(ConfigError, match="discriminator_preset 'huge'"):
        read("vocoder", "--discriminator_preset", "huge")
