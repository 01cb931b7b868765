"""What is said in a reference that comes without its transcript: heard here, told aloud, to be mended."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import CheckpointError, TextError
from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
from resgen_tts.evaluation.measures.text_error import Recognizer
from resgen_tts.speech.audio.save import save_wav
from resgen_tts.speech.voice_facts import MEND_TRANSCRIPT

WHISPER_VARIABLE = "RESGEN_TTS_WHISPER"  # a local folder of Whisper, for "auto"
AUTO, POCKETSPHINX = "auto", "pocketsphinx"
LONGEST_SECONDS = 120.0  # that transcribe_apart waits: a reference is heard in 15, the import of Whisper in as many


def choose_recognizer(asr: str = AUTO) -> Recognizer:
    """The recogniser of a name.

    Args:
        asr: "auto": the Whisper of the folder in the variable ``RESGEN_TTS_WHISPER``, pocketsphinx where it is not set;
            "pocketsphinx"; or a folder or hub name of a Whisper. Only a hub name that is passed here is fetched.
    Raises:
        CheckpointError: MODEL_MISSING where the variable names no folder; what `Whisper` raises.
        MissingExtraError: the recogniser's library is not installed.
    """
    asr = _meant(asr)
    if asr == POCKETSPHINX:
        return PocketSphinx()
    from resgen_tts.evaluation.judges.whisper_asr import Whisper

    return Whisper(asr)


def _meant(asr: str) -> str:
    """What "auto" means here; any other name is itself.

    Raises:
        CheckpointError: MODEL_MISSING.
    """
    if asr != AUTO:
        return asr
    asr = os.environ.get(WHISPER_VARIABLE, "") or POCKETSPHINX
    if asr != POCKETSPHINX and not Path(asr).is_dir():
        raise CheckpointError(
            f"{WHISPER_VARIABLE} is {asr}, which is no folder.",
            code="MODEL_MISSING",
            hint="Unset it for pocketsphinx, or let it name a folder with a Whisper model.",
        )
    return asr


def transcribe(wave: Float[np.ndarray, " N"], rate: int, asr: str = AUTO) -> tuple[str, str]:
    """The words of a recording, and the name of what heard them.

    Args:
        wave: float32 mono.
        rate: Hz.
        asr: see :func:`choose_recognizer`.
    Raises:
        TextError: TEXT_EMPTY, nothing was recognised.
    """
    recognizer = choose_recognizer(asr)
    with tempfile.TemporaryDirectory(prefix="resgen-reference-") as folder:
        path = Path(folder) / "reference.wav"
        save_wav(path, wave, rate)
        (words,) = recognizer.transcribe([path])
    if not words.strip():
        raise TextError(
            f"{recognizer.name} recognised no words in the reference.", hint="Pass what is said in it: --ref-text."
        )
    return words, recognizer.name


def transcribe_apart(
    wave: Float[np.ndarray, " N"],
    rate: int,
    asr: str = AUTO,
    is_cancelled: Callable[[], bool] | None = None,
    *,
    seconds: float = LONGEST_SECONDS,
) -> tuple[str, str]:
    """As :func:`transcribe`, in a process of its own: for programs in which other threads must go on meanwhile.

    Pocketsphinx holds the interpreter for seconds on end. This call blocks, too, but its own thread alone: call it from
    one, e.g. by ``asyncio.to_thread``. A second or more goes into starting the process.

    Args:
        wave: float32 mono.
        rate: Hz.
        asr: see :func:`choose_recognizer`.
        is_cancelled: asked ten times a second; once it says so, the process is killed.
        seconds: after which the process is killed.
    Returns:
        the words, and the name of what heard them.
    Raises:
        TextError: TEXT_EMPTY, nothing was recognised; TRANSCRIPTION_TIMEOUT.
        DataError: TRANSCRIPTION_FAILED, the process died.
        ResGenError: STOPPED, ``is_cancelled`` said so.
        CheckpointError, MissingExtraError: as :func:`choose_recognizer`.
    """
    from resgen_tts.apps.speaking.transcription_child import ask_child

    return ask_child(wave, rate, _meant(asr), is_cancelled, seconds)


def transcription_note(words: str, name: str) -> str:
    """The warning that goes with a transcript that nobody wrote."""
    return f'VOICE_TRANSCRIBED: by {name}: "{words}"{MEND_TRANSCRIPT}'
