"""Tokenizers of speech by one name: a folder that was trained here, or another project's codec."""

from pathlib import Path

from resgen_tts.apps.weights.parts import final_folder
from resgen_tts.apps.weights.pretrained import load_mel_vae, load_vocoder_or, load_wave_codec
from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.engine.checkpoint import load_model
from resgen_tts.tokenizers.contract import Tokenizer
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer

FOREIGN = ("encodec", "dac", "mimi")  # in a name such as encodec:facebook/encodec_24khz


def load_tokenizer(name: str, vocoder: str = "") -> Tokenizer:
    """The tokenizer of a name.

    Args:
        name: the folder of a trained waveform codec or Mel-VAE, or ``encodec:NAME``, ``dac:NAME``, ``mimi:NAME`` with
            the name of a model on the hub or its folder.
        vocoder: for a Mel-VAE, the folder of a vocoder, or ``griffin_lim``; must be empty otherwise.
    Raises:
        ConfigError: a Mel-VAE without a vocoder, or a vocoder where none belongs.
        CheckpointError: the folder holds neither.
    """
    kind, colon, rest = name.partition(":")
    if colon and kind in FOREIGN:
        _refuse_vocoder(vocoder, name)
        return _foreign(kind, rest)
    folder = final_folder(Path(name))
    if not folder.is_dir():
        raise CheckpointError(
            f"{name} is not a folder.",
            code="MODEL_MISSING",
            hint=f"Pass the folder of a trained mel_vae or codec, or one of {', '.join(f'{k}:NAME' for k in FOREIGN)}.",
        )
    part = load_model(folder)[1].get("part")
    if part == "codec":
        _refuse_vocoder(vocoder, name)
        return load_wave_codec(folder)
    if part == "mel_vae":
        if not vocoder:
            raise ConfigError(f"{name} is a Mel-VAE and needs --vocoder: the folder of a vocoder, or griffin_lim.")
        mel_vae = load_mel_vae(folder)
        return MelTokenizer(mel_vae, load_vocoder_or(vocoder, mel_vae.config.mel))
    raise CheckpointError(f"{name} holds a {part or 'nameless part'}, not a tokenizer of speech.")


def _foreign(kind: str, name: str) -> Tokenizer:
    if kind == "encodec":
        from resgen_tts.tokenizers.encodec import EncodecTokenizer

        return EncodecTokenizer.from_name(name)
    if kind == "dac":
        from resgen_tts.tokenizers.dac import DacTokenizer

        return DacTokenizer.from_name(name)
    from resgen_tts.tokenizers.mimi import MimiTokenizer

    return MimiTokenizer.from_name(name)


def _refuse_vocoder(vocoder: str, name: str) -> None:
    if vocoder:
        raise ConfigError(f"{name} makes waves by itself: leave --vocoder out.")
