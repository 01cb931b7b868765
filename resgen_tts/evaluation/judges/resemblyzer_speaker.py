"""Voice prints by Resemblyzer, the small speaker encoder whose weights come inside its package.

Two sentences of one clean voice have a cosine around 0.86, different voices around 0.55. A relative measure: its
figures are not those of the WavLM verifiers of published tables.
"""

import contextlib
import importlib.metadata
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import require
from resgen_tts.evaluation.waves import is_silent, read_wave

EMBEDDING_SIZE = 256


class Resemblyzer:
    """A `SpeakerEncoder` on the CPU.

    Raises:
        MissingExtraError: Resemblyzer is not installed (extra ``eval``).
    """

    is_embedded = True
    libraries = ("resemblyzer", "librosa", "webrtcvad", "torch")

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # Its imports use retired names of scipy and setuptools; nothing that a user of ours could mend.
            warnings.simplefilter("ignore")
            self._library = require("resemblyzer", extra="eval")
            self._encoder = self._library.VoiceEncoder("cpu", verbose=False)

    @property
    def name(self) -> str:
        return f"Resemblyzer {importlib.metadata.version('resemblyzer')}"

    def embed(self, path: Path, start_seconds: float = 0.0) -> Float[np.ndarray, "E"]:
        """Unit vector of the voice in a wave from a time on, long pauses left out; the zero vector where there is no
        voice.

        Raises:
            AudioError: the wave cannot be read.
        """
        wave = read_wave(path, start_seconds=start_seconds)
        if is_silent(wave):
            return np.zeros(EMBEDDING_SIZE, np.float32)
        with np.errstate(invalid="ignore"):  # its voice detector may overflow 16 bits on a click in near silence
            voiced = self._library.preprocess_wav(wave)
        if not len(voiced):
            return np.zeros(EMBEDDING_SIZE, np.float32)
        with _one_thread():
            return self._encoder.embed_utterance(voiced).astype(np.float32)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: with two, OpenMP's spinning makes this small LSTM a hundred times slower on shared
    cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
