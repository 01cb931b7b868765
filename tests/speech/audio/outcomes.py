"""What the tests of the loader have in common: recordings of 16 kHz, and what became of them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.load import LoadedAudio, load_audio
from tests.speech.audio import sound_files

RATE = 16_000


def voice(seconds: float, rate: int = RATE, peak: float = 0.5) -> np.ndarray:
    """See sound_files.voice."""
    return sound_files.voice(seconds, rate, peak)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **options) -> Path:
    """A file by libsndfile, in the format of its ending."""
    soundfile.write(path, samples, rate, **options)
    return path


def code_of(path, **options) -> str:
    """The code with which a file is refused, in one line."""
    with pytest.raises(AudioError) as caught:
        load_audio(path, sample_rate=RATE, **options)
    assert "\n" not in str(caught.value)
    return caught.value.code


def warned(loaded: LoadedAudio) -> list[str]:
    """The codes of the warnings."""
    return [warning.split(":")[0] for warning in loaded.warnings]
