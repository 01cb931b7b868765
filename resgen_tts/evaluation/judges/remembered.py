"""Scorers that remember: what does not change from one measurement to the next is listened to once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.run_dir import sha256_file
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder
from resgen_tts.evaluation.measures.text_error import Recognizer


class RememberingRecognizer:
    """A recogniser that hears files of equal bytes once."""

    def __init__(self, recognizer: Recognizer):
        self._recognizer, self._heard = recognizer, {}
        self.name, self.is_embedded = recognizer.name, recognizer.is_embedded

    def transcribe(self, paths: Sequence[Path]) -> list[str]:
        """As `Recognizer.transcribe`."""
        digests = {Path(path): sha256_file(path) for path in paths}
        new = {digest: path for path, digest in digests.items() if digest not in self._heard}
        if new:
            heard = self._recognizer.transcribe(list(new.values()))
            self._heard |= dict(zip(new, heard, strict=True))
        return [self._heard[digests[Path(path)]] for path in paths]


class RememberingEncoder:
    """A speaker encoder that makes one print for files of equal bytes."""

    def __init__(self, encoder: SpeakerEncoder):
        self._encoder, self._prints = encoder, {}
        self.name, self.is_embedded = encoder.name, encoder.is_embedded

    def embed(self, path: Path) -> Float[np.ndarray, "E"]:
        """As `SpeakerEncoder.embed`."""
        digest = sha256_file(path)
        if digest not in self._prints:
            self._prints[digest] = self._encoder.embed(path)
        return self._prints[digest]
