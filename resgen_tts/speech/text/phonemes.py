"""Phonemes by espeak-ng, through phonemizer (the leaf of both libraries)."""

import functools
import itertools
import logging
import threading

from resgen_tts.common.errors import DataError, require
from resgen_tts.speech.text.symbols import PAUSE

LANGUAGE = "en-us"
_LONGEST_RUN = 60  # words that espeak reads at once; it reads in clauses of bounded size anyway
_LONGEST_WORD = 60  # letters; espeak drops what exceeds its buffer of some 150
_BARE = str.maketrans({"ˈ": None, "ˌ": None, "ː": None, "ɾ": "t", **dict.fromkeys("ɐʌᵻɪ", "ə")})
_LOCK = threading.Lock()  # the C library keeps one global state


@functools.cache
def _backend():
    """One espeak backend per process: every new one would leak a copy of the library."""
    loader = require("espeakng_loader", extra="base")
    wrapper = require("phonemizer.backend.espeak.wrapper", extra="base").EspeakWrapper
    # Both calls are needed: without its data the C library ends the process.
    wrapper.set_library(loader.get_library_path())
    wrapper.set_data_path(loader.get_data_path())
    backend = require("phonemizer.backend", extra="base").EspeakBackend
    # It reports every line in which espeak joins words; that is expected here.
    quiet = logging.Logger("espeak", logging.ERROR)
    return backend(LANGUAGE, with_stress=True, language_switch="remove-flags", logger=quiet)


def _espeak(lines: list[str]) -> list[list[list[str]]]:
    """Phones of each word that espeak hears in each line; it may join words (``of the``)."""
    from phonemizer.separator import Separator

    with _LOCK:
        said = _backend().phonemize(lines, separator=Separator(phone="_", word=" "), strip=True) if lines else []
    if len(said) != len(lines):
        raise DataError(f"espeak gave {len(said)} lines for {len(lines)} texts, the first {lines[0]!r}.")
    return [[[phone for phone in word.split("_") if phone] for word in line.split()] for line in said]


@functools.lru_cache(maxsize=20_000)
def _alone(word: str) -> tuple[str, ...]:
    """Phones of a word that stands alone."""
    (heard,) = _espeak([word])
    return tuple(itertools.chain.from_iterable(heard))


def pronounce(runs: list[list[str]]) -> list[list[tuple[str, int]]]:
    """Phones of each run of words, with :data:`PAUSE` between what espeak hears as words.

    A stress mark stays on its phone (``ˈoʊ``).

    Args:
        runs: words without marks and blanks.
    Returns:
        For each run (phone, index of its word), -1 for pauses. Where espeak joins words without a pause, phones
        are given to words by the alignment with fewest edits to each word's own pronunciation.
    Raises:
        DataError: espeak gave another number of lines than texts.
    """
    parts = [(number, part) for number, run in enumerate(runs) for part in _parts(run)]
    heard = _espeak([" ".join(word for word, _ in part) for _, part in parts])
    result: list[list[tuple[str, int]]] = [[] for _ in runs]
    for (number, part), words in zip(parts, heard, strict=True):
        row = result[number]
        if row and words:
            row.append((PAUSE, -1))
        row.extend((phone, part[owner][1] if owner >= 0 else -1) for phone, owner in _owned(words, part))
    return result


def _parts(run: list[str]) -> list[list[tuple[str, int]]]:
    """(letters, index of the word), in parts that espeak reads whole."""
    pieces = [
        (word[start : start + _LONGEST_WORD], index)
        for index, word in enumerate(run)
        for start in range(0, len(word), _LONGEST_WORD)
    ]
    return [pieces[start : start + _LONGEST_RUN] for start in range(0, len(pieces), _LONGEST_RUN)]


def _owned(heard: list[list[str]], part: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """(phone, place in ``part``) of all phones, with pauses between the words that espeak heard."""
    if len(heard) == len(part):
        owners = [[place] * len(word) for place, word in enumerate(heard)]
    else:
        owners = _aligned(heard, [_alone(word) for word, _ in part])
    row: list[tuple[str, int]] = []
    for word, owner in zip(heard, owners, strict=True):
        if row:
            row.append((PAUSE, -1))
        row.extend(zip(word, owner, strict=True))
    return row


def _aligned(heard: list[list[str]], alone: list[tuple[str, ...]]) -> list[list[int]]:
    """The owner of every phone: of what it matches in the words said alone, else of the phone before it."""
    from rapidfuzz.distance import Levenshtein

    said, expected, expected_owner = [], [], []
    for place, word in enumerate(alone):
        expected.extend([PAUSE, *map(_bare, word)])
        expected_owner.extend([place] * (len(word) + 1))
    for word in heard:
        said.extend([PAUSE, *map(_bare, word)])
    owners, last = [0] * len(said), 0
    for kind, start, end, expected_start, expected_end in Levenshtein.opcodes(said, expected):
        if kind == "delete":
            owners[start:end] = [last] * (end - start)
        elif kind != "insert":
            owners[start:end] = expected_owner[expected_start:expected_end]
        if expected_end > 0:
            last = expected_owner[expected_end - 1]
    rows, place = [], 0
    for word in heard:
        rows.append(owners[place + 1 : place + 1 + len(word)])
        place += 1 + len(word)
    return rows


def _bare(phone: str) -> str:
    """A phone without what changes with the words around it: stress, length, weak vowels, flapped t."""
    return phone.translate(_BARE)
