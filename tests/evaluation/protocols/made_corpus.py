"""Corpora in LibriSpeech's layout, made of noise, and aligners for them."""

import itertools
from pathlib import Path

import numpy as np
import soundfile

from resgen_tts.evaluation.measures.timed import Forced, Span, Timed

RATE = 16_000


class EvenAligner:
    """Says that the words of a text share its recording evenly; those of `lost` utterances are not found."""

    name = "evenly"

    def __init__(self, lost: tuple[str, ...] = ()):
        self.lost, self.asked = lost, []

    def align(self, paths, texts):
        self.asked.append([path.stem for path in paths])
        found = []
        for path, text in zip(paths, texts, strict=True):
            if path.stem in self.lost:
                found.append(Forced(timed=None, problem="mumbled"))
                continue
            words, seconds = text.split(), soundfile.info(str(path)).duration
            borders = np.linspace(0.0, seconds, len(words) + 1).tolist()
            spans = (Span(word, *ends) for word, ends in zip(words, itertools.pairwise(borders), strict=True))
            found.append(Forced(timed=Timed(words=tuple(spans))))
        return found


class RememberedAligner:
    """An aligner that listens to each file once."""

    def __init__(self, aligner):
        self.aligner, self.name, self.known = aligner, aligner.name, {}

    def align(self, paths, texts):
        new = [(path, text) for path, text in zip(paths, texts, strict=True) if path.name not in self.known]
        found = self.aligner.align([path for path, _ in new], [text for _, text in new])
        self.known |= {path.name: one for (path, _), one in zip(new, found, strict=True)}
        return [self.known[path.name] for path in paths]


def write_utterance(root: Path, name: str, text: str, samples: np.ndarray) -> Path:
    """Add an utterance; its chapter's transcript grows by a line."""
    speaker, chapter, _ = name.split("-")
    folder = root / speaker / chapter
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(folder / f"{name}.flac"), samples, RATE, subtype="PCM_16")
    with open(folder / f"{speaker}-{chapter}.trans.txt", "a", encoding="utf-8") as file:
        file.write(f"{name} {text.upper()}\n")
    return folder / f"{name}.flac"


def write_corpus(root: Path, seconds: dict[str, float], words_per_second: float = 2.5) -> Path:
    """Noise of so many seconds for each id."""
    for number, (name, length) in enumerate(seconds.items()):
        noise = np.random.default_rng(number).integers(-9000, 9000, round(length * RATE)).astype(np.int16)
        text = " ".join(f"{'abcdefghij'[number % 10]}{place}" for place in range(round(length * words_per_second)))
        write_utterance(root, name, text, noise)
    return root
