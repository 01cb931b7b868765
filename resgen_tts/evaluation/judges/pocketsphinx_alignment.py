"""When each word and phone of a known text is said, by pocketsphinx's forced alignment (English only).

A yardstick where nobody knows the truth, with an error of its own: the borders of its words differ by 10 ms in the
median, 95 % of them by at most 40 ms, from those that the synthesizers of the mini corpus report for 96 of its clips.
What is further off is mostly a short pause that it gives to the word beside it.
"""

import functools
import importlib.metadata
import multiprocessing
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import ConfigError, DataError, require
from resgen_tts.evaluation.judges.pocketsphinx_asr import PADDING_SECONDS, bundled_pronunciations, hear
from resgen_tts.evaluation.measures.normalizers import letters_only, spelled_words
from resgen_tts.evaluation.measures.phone_names import from_arpabet
from resgen_tts.evaluation.measures.timed import Forced, Span, Timed
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent, read_wave

# Frame k begins at k * 10 ms. Its window reaches further, but borders set there are right in the median: on 96 clips of
# the mini corpus they lie 0 ms (words' starts) and 2 ms (ends) behind the synthesizers' own.
FRAME_SECONDS = 0.01
_VARIANT = re.compile(r"\(\d+\)$")  # read(2)
_POCKETSPHINX_PHONE = {"ax": "ah"}  # its dictionary has no reduced vowel


Pronounce = Callable[[Sequence[str]], Sequence[Sequence[str]]]  # words -> bare ARPAbet phones of each


class PocketSphinxAligner:
    """Forced alignment with one decoder per worker process.

    Of a word's pronunciations the likeliest one is taken.

    Args:
        workers: processes; 1 aligns in this one. The result is the same for any number.
        pronounce: says words that the bundled dictionary does not have; None: their recordings get no alignment.
    Raises:
        MissingExtraError: pocketsphinx is not installed (extra ``eval``).
    """

    def __init__(self, *, workers: int = 1, pronounce: Pronounce | None = None):
        if workers < 1:
            raise ConfigError(f"the forced alignment needs at least 1 worker, got {workers}")
        require("pocketsphinx", extra="asr")
        self.workers, self.pronounce = workers, pronounce

    @property
    def name(self) -> str:
        """Library and version; its model comes inside the package."""
        return f"pocketsphinx {importlib.metadata.version('pocketsphinx')} (forced alignment)"

    def align(self, paths: Sequence[Path], texts: Sequence[str]) -> list[Forced]:
        """Times of each recording's words and phones, in the order of the paths; words missing from the dictionary
        and phones that were not found are told in notes.

        Raises:
            AudioError: a wave cannot be read (it is named).
            DataError: a worker process dies.
        """
        from tqdm import tqdm

        words = [spelled_words(text) for text in texts]
        added = self._pronunciations({word for row in words for word in row})
        asked = [
            _Request(Path(path), tuple(row), {word: added[word] for word in row if word in added})
            for path, row in zip(paths, words, strict=True)
        ]
        bar = functools.partial(tqdm, total=len(asked), desc="forced alignment", disable=None)
        if self.workers == 1 or len(asked) < 2:
            return list(bar(map(_align, asked)))
        pool = ProcessPoolExecutor(min(self.workers, len(asked)), mp_context=multiprocessing.get_context("spawn"))
        try:
            return list(bar(pool.map(_align, asked)))
        except BrokenProcessPool as error:
            raise DataError(
                "a process of the forced alignment died.",
                code="WORKER_DIED",
                hint="Run again with --nj 1 to see which recording it is.",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _pronunciations(self, words: set[str]) -> dict[str, str]:
        """Phones of the words that the dictionary lacks; "" where nobody can say them."""
        missing = sorted(words - bundled_pronunciations(list(words)).keys())
        if not missing or self.pronounce is None:
            return dict.fromkeys(missing, "")
        said = self.pronounce(missing)
        return {
            word: " ".join(_POCKETSPHINX_PHONE.get(phone, phone).upper() for phone in phones)
            for word, phones in zip(missing, said, strict=True)
        }


@dataclass(frozen=True)
class _Request:
    path: Path
    words: tuple[str, ...]
    added: Mapping[str, str]  # word -> phones as the dictionary writes them


@functools.cache
def _decoder() -> Any:
    return require("pocketsphinx", extra="asr").Decoder(loglevel="FATAL", lm=None)


def _align(asked: _Request) -> Forced:
    wave, decoder = read_wave(asked.path), _decoder()
    if is_silent(wave) or not asked.words:
        return Forced(timed=None, problem="silent, or without words")
    if unsaid := [word for word, phones in asked.added.items() if not phones]:
        return Forced(timed=None, problem=f"not in the dictionary: {' '.join(unsaid)}")
    notes = [f"not in the dictionary: {word}, said {phones}" for word, phones in asked.added.items()]
    try:
        for word, phones in asked.added.items():
            if decoder.lookup_word(word) is None:
                decoder.add_word(word, phones, True)
        decoder.set_align_text(" ".join(asked.words))
        hear(decoder, wave)
        found = [(_VARIANT.sub("", one.word), one.start_frame, one.end_frame + 1) for one in decoder.seg() or ()]
    except (RuntimeError, ValueError) as error:
        return Forced(timed=None, problem=f"no alignment: {error}")
    spoken = [one for one in found if not one[0].startswith(("<", "[", "+"))]
    if [name for name, _, _ in spoken] != list(asked.words):
        return Forced(timed=None, problem=f"no alignment: {len(spoken)} of {len(asked.words)} words were found")
    try:
        phones = _find_phones(decoder, wave)
    except RuntimeError:  # it may fail where the words did not
        phones = []
        notes.append("pocketsphinx found words only, no phones")
    seconds = len(wave) / SCORING_RATE
    words = tuple(_span(letters_only(name), start, end, seconds) for name, start, end in spoken)
    sounds = [(from_arpabet(name), start, end) for name, start, end in phones]
    named = tuple(_span(name, start, end, seconds) for name, start, end in sounds if name)
    return Forced(timed=Timed(words=words, phones=named), notes=tuple(notes))


def _span(label: str, start: int, end: int, seconds: float) -> Span:
    """A span from frames of the padded wave."""
    first, last = np.clip(np.array([start, end]) * FRAME_SECONDS - PADDING_SECONDS, 0.0, seconds).tolist()
    return Span(label, first, last)


def _find_phones(decoder: Any, wave: Float[np.ndarray, "N"]) -> list[tuple[str, int, int]]:
    """Name and frames [start, end) of each phone, by a second pass over words that were found."""
    decoder.set_alignment()
    hear(decoder, wave)
    return [
        (phone.name, phone.start, phone.start + phone.duration) for word in decoder.get_alignment() for phone in word
    ]
