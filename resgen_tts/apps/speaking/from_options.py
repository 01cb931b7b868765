"""What the options of a command line ask for, made into what speaks: the model, the voice, the manner."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resgen_tts.apps.weights.bundled import default_note, default_voice, model_voices
from resgen_tts.apps.weights.hub import resolve_model

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.speech.prompt import Voice

UNMARKED = "watermark: none, as was asked for; the speech is not marked as made\n"


def teller(options: argparse.Namespace) -> Callable[[str], object]:
    """What tells on standard error what was chosen, line by line; nothing with ``--quiet``."""
    return (lambda _: None) if options.quiet else sys.stderr.write


def find_model(options: argparse.Namespace) -> Path:
    """The folder of ``--model``, fetched where it is one of the hub's; what was not pinned is told in any case.

    Raises:
        CheckpointError: MODEL_MISSING, MODEL_HASH, HUB_UNREACHABLE.
    """
    return resolve_model(options.model, options.revision, options.sha256, say=sys.stderr.write)


def load_tts(options: argparse.Namespace, folder: Path) -> "TTS":
    """The model that :func:`find_model` found, on ``--device``, with ``--watermark``; that there is none is told in
    any case.

    Raises:
        CheckpointError, DeviceError, WatermarkError: it cannot be had.
    """
    from resgen_tts.apps.speaking.tts import TTS

    if options.watermark == "none":
        sys.stderr.write(UNMARKED)
    return TTS.from_pretrained(
        folder, options.lexicon, device=options.device, watermark=options.watermark, say=teller(options)
    )


def choose_voice(options: argparse.Namespace, folder: Path) -> str:
    """Put the file of the voice that is meant in its name's place, before anything is loaded.

    Returns:
        where it is from: "recording", "default", "saved" or "model".
    Raises:
        ConfigError: VOICE_NAME, VOICE_MISSING.
        DataError: VOICE_UNKNOWN.
        CheckpointError: MODEL_MISSING.
    """
    if options.ref_audio is not None:
        return "recording"
    if options.voice is None:
        options.voice = default_voice(folder).file
        print(default_note(model_voices(folder)), file=sys.stderr)
        return "default"
    from resgen_tts.apps.speaking.voice import saved_voices, voice_path, voices_folder

    name, options.voice = options.voice, voice_path(options.voice, options.voices, must_exist=True, model=folder)
    if options.voice not in [own.file for own in model_voices(folder)]:
        return "saved"
    if name in saved_voices(voices_folder()):
        print(
            f"voice {name}: the model's own; for the saved one of that name pass --voices {voices_folder()}",
            file=sys.stderr,
        )
    return "model"


def load_voice(tts: "TTS", options: argparse.Namespace) -> "Voice":
    """The voice that :func:`choose_voice` found, or that of the reference recording.

    Raises:
        AudioError, TextError, DataError: it is refused.
    """
    if options.voice is not None:
        return tts.load_voice(options.voice)
    return make_voice(tts, options.ref_audio, options.ref_text, options)


def make_voice(tts: "TTS", audio: Path, text: str | None, options: argparse.Namespace, name: str = "") -> "Voice":
    """A voice of a recording, by ``--asr`` and ``--no-hygiene``."""
    from resgen_tts.speech.reference import ReferenceConfig

    reference = ReferenceConfig.off() if options.no_hygiene else ReferenceConfig()
    return tts.voice(audio, text, asr=options.asr, name=name, reference=reference)


def manner(options: argparse.Namespace) -> dict[str, Any]:
    """Steps, lengths and chunks, as :meth:`TTS.request` takes them; checked.

    Raises:
        ConfigError: a value makes no sense.
    """
    from resgen_tts.speech.length import LengthConfig
    from resgen_tts.speech.long_text import LongTextConfig

    return {
        "steps": options.steps,
        "length": LengthConfig(speed=options.speed, duration_seconds=options.duration, spread=options.spread),
        "long_text": LongTextConfig(context=options.context, first_characters=options.first_characters),
    }
