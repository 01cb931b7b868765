"""Words of a wave by pocketsphinx, the small recogniser whose models come inside its package (English only).

It is good for a closed vocabulary (an ARPA language model of a few hundred words: 3 % word errors on flite's recordings
of the mini corpus) and for comparing systems on the same sentences; its open vocabulary makes 25 % errors on clean
synthetic voices, so its absolute figures are never set beside those of a large recogniser.
"""

import hashlib
import importlib.metadata
import math
import multiprocessing
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import ConfigError, DataError, require
from resgen_tts.common.run_dir import sha256_file, write_text
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent, read_wave

PADDING_SECONDS = 0.2  # silence on each side; 0 to 0.5 s differ by less than one word in a hundred
MODEL_FILE = "vocabulary.arpa"
WORDS_FILE = "words.txt"
ABOUT_FILE = "about.txt"  # may be there: one line on what the language model was counted on


@dataclass(frozen=True, kw_only=True)
class ClosedVocabulary:
    """A language model and the pronunciations of all its words, ready for a decoder."""

    arpa: Path
    words: tuple[str, ...]
    dictionary: str  # text in the form of the CMU dictionary
    sha256: str  # of the language model and of the words: another one of as many words is another recogniser
    about: str = ""  # what the language model was counted on

    @classmethod
    def load(cls, folder: Path) -> "ClosedVocabulary":
        """Read ``vocabulary.arpa`` and ``words.txt`` (one word a line) from a folder, and ``about.txt`` if it is there.

        Raises:
            DataError: a file is missing, the list is empty, or words have no pronunciation in the bundled dictionary
                (all of them are named).
        """
        folder = Path(folder)
        arpa, listed = folder / MODEL_FILE, folder / WORDS_FILE
        for file in (arpa, listed):
            if not file.is_file():
                raise DataError(
                    f"{file} does not exist; a closed vocabulary is a folder with {MODEL_FILE} and {WORDS_FILE}.",
                    code="LM_MISSING",
                )
        words = tuple(
            sorted({word for line in listed.read_text(encoding="utf-8").splitlines() if (word := line.strip())})
        )
        if not words:
            raise DataError(f"{listed} lists no words.", code="LM_MISSING")
        pronunciations = bundled_pronunciations(words)
        unknown = [word for word in words if word not in pronunciations]
        if unknown:
            raise DataError(
                f"{listed} has {len(unknown)} of {len(words)} words that the bundled dictionary cannot pronounce: "
                + ", ".join(unknown),
                code="LM_UNKNOWN_WORDS",
                hint="Use other words (lower case, spelled as in the CMU dictionary).",
            )
        about = folder / ABOUT_FILE
        return cls(
            arpa=arpa,
            words=words,
            dictionary="".join(line for word in words for line in pronunciations[word]),
            sha256=hashlib.sha256(f"{sha256_file(arpa)} {' '.join(words)}".encode()).hexdigest(),
            about=" ".join(about.read_text(encoding="utf-8").split()) if about.is_file() else "",
        )


def bundled_pronunciations(words: Sequence[str]) -> dict[str, list[str]]:
    """Dictionary lines of those words that the package's dictionary has, every variant of each."""
    pocketsphinx = require("pocketsphinx", extra="asr")
    wanted, found = set(words), {}
    with open(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        for line in file:
            word = line.split(maxsplit=1)[0].split("(")[0]
            if word in wanted:
                found.setdefault(word, []).append(line)
    return found


def write_uniform_vocabulary(folder: Path, words: Iterable[str]) -> None:
    """A closed vocabulary in which every word is as likely as every other, wherever it stands.

    It knows nothing of the sentences that were said, so it cannot guess a word from its neighbours.

    Args:
        folder: gets ``vocabulary.arpa``, ``words.txt`` and ``about.txt``.
        words: lower case, all of them in the bundled dictionary.
    Raises:
        DataError: LM_UNKNOWN_WORDS.
    """
    listed = sorted(set(words))
    chance = f"{-math.log10(len(listed) + 1):.5f}"
    grams = ["-99 <s>", f"{chance} </s>", *(f"{chance} {word}" for word in listed)]
    lines = ["\\data\\", f"ngram 1={len(grams)}", "", "\\1-grams:", *grams, "", "\\end\\", ""]
    write_text(folder / MODEL_FILE, "\n".join(lines))
    write_text(folder / WORDS_FILE, "\n".join(listed) + "\n")
    write_text(folder / ABOUT_FILE, "every word alike likely everywhere\n")
    ClosedVocabulary.load(folder)


class PocketSphinx:
    """A `Recognizer` with one decoder per worker process.

    Each utterance is decoded from a fresh feature extractor: without that its noise tracker carries over from one wave
    to the next, and the words found depend on the order of the items (3 of 120 items on flite speech).

    Args:
        language_model: folder of a closed vocabulary, or None for the bundled open vocabulary.
        workers: processes; 1 decodes in this one. The result is the same for any number.
    Raises:
        MissingExtraError: pocketsphinx is not installed (extra ``eval``).
        DataError: the closed vocabulary is incomplete.
    """

    is_embedded = True
    libraries = ("pocketsphinx",)

    def __init__(self, language_model: Path | None = None, *, workers: int = 1):
        if workers < 1:
            raise ConfigError(f"the recogniser needs at least 1 worker, got {workers}")
        require("pocketsphinx", extra="asr")
        self.vocabulary = None if language_model is None else ClosedVocabulary.load(language_model)
        self.workers = workers

    @property
    def name(self) -> str:
        library = f"pocketsphinx {importlib.metadata.version('pocketsphinx')}"
        if self.vocabulary is None:
            return f"{library}, open vocabulary"
        about = f" ({self.vocabulary.about})" if self.vocabulary.about else ""
        kind = f"closed vocabulary of {len(self.vocabulary.words)} words{about}"
        return f"{library}, language model {self.vocabulary.sha256[:8]}, {kind}"

    def transcribe(self, paths: Sequence[Path]) -> list[str]:
        """The words of each wave, in the order of the paths; "" where nothing was recognised.

        Raises:
            AudioError: a wave cannot be read (it is named).
            DataError: the decoder fails on an item (it is named), or a worker process dies.
        """
        from tqdm import tqdm

        paths = [Path(path) for path in paths]
        bar = tqdm(total=len(paths), desc="recognise", unit="wave", disable=None)
        with bar, tempfile.TemporaryDirectory(prefix="resgen-asr-") as scratch:
            options = self._decoder_options(Path(scratch))
            heard = []
            if self.workers == 1 or len(paths) < 2:
                decoder = _make_decoder(options)
                for path in paths:
                    heard.append(_transcribe(decoder, path))
                    bar.update()
                return heard
            pool = ProcessPoolExecutor(
                min(self.workers, len(paths)),
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(options,),
            )
            try:
                for words in pool.map(_transcribe_in_worker, paths):
                    heard.append(words)
                    bar.update()
            except BrokenProcessPool as error:
                raise DataError(
                    f"a recogniser process died; {len(heard)} of {len(paths)} waves were done.",
                    code="WORKER_DIED",
                    hint="Run again with --nj 1 to see which wave it is.",
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)
            return heard

    def _decoder_options(self, scratch: Path) -> dict[str, str]:
        if self.vocabulary is None:
            return {}
        dictionary = scratch / "words.dict"
        dictionary.write_text(self.vocabulary.dictionary, encoding="utf-8")
        return {"lm": str(self.vocabulary.arpa), "dict": str(dictionary)}


def _make_decoder(options: dict[str, str]) -> Any:
    pocketsphinx = require("pocketsphinx", extra="asr")
    try:
        return pocketsphinx.Decoder(loglevel="FATAL", **options)
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"pocketsphinx cannot load the language model {options.get('lm', '(bundled)')}: {error}", code="LM_INVALID"
        ) from error


def _transcribe(decoder: Any, path: Path) -> str:
    wave = read_wave(path)
    if is_silent(wave):
        return ""
    try:
        hear(decoder, wave)
        found = decoder.hyp()
        return found.hypstr if found is not None else ""
    except Exception as error:
        raise DataError(f"pocketsphinx failed on {path}: {error}", code="ASR_FAILED") from error


def hear(decoder: Any, wave: Float[np.ndarray, "N"]) -> None:
    """Let a decoder hear a whole wave, with silence around it. What it found must not be asked for while it aligns."""
    padded = np.pad(wave, round(PADDING_SECONDS * SCORING_RATE))
    pcm = np.round(padded * 32767).astype("<i2")
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(pcm.tobytes(), full_utt=True)
    decoder.end_utt()


_decoder: Any = None  # one per worker process, made by the pool's initializer


def _start_worker(options: dict[str, str]) -> None:
    global _decoder
    _decoder = _make_decoder(options)


def _transcribe_in_worker(path: Path) -> str:
    return _transcribe(_decoder, path)
