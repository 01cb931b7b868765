"""What counts as the same word: how a text is written before its errors are counted.

Rates of two normalisers never stand beside each other: each is named with its figures.
"""

import functools
import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from resgen_tts.common.errors import require

_APOSTROPHE_IN_WORD = re.compile(r"(?<=[^\W\d_])[’ʼ＇](?=[^\W\d_])")
_SPELLED_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True)
class Normalizer:
    """A way of writing texts for comparison."""

    name: str
    words: Callable[[str], str]  # any text -> its words, one space apart


def letters_only(text: str) -> str:
    """Lower-case words of letters, one space apart.

    Accents are folded (é -> e), apostrophes vanish inside words (don't -> dont), every other sign separates words.
    Digits stay, because a number that was not spelled out must show as an error and not disappear.
    Source: the convention of the LibriSpeech cross-sentence protocols (VALL-E, CLaM-TTS, ResGen).
    """
    # Compatibility letters (mathematical, full-width) become plain ones first, so that their case is folded too.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    folded = "".join(letter for letter in folded if not unicodedata.combining(letter))
    folded = re.sub(r"['’ʼ`]", "", folded)
    return " ".join(re.findall(r"[^\W_]+", folded))


def spelled_words(text: str) -> list[str]:
    """Words as dictionaries of pronunciations spell them: lower case, apostrophes inside words kept."""
    return _SPELLED_WORD.findall(text.lower().replace("’", "'"))


def whisper_english(text: str) -> str:
    """English as Whisper's authors compare it: contractions spelled out, British spellings made American, numbers as
    digits, fillers (uh, hmm) and what stands in brackets left out.

    Numbers that follow each other are joined ("$2.50, twenty-one" -> "$2.5021"), so that one wrong digit makes one
    word wrong where several were said. References with their numbers spelled out by the text front end, apart from
    each other, are not touched by it.

    Raises:
        MissingExtraError: whisper-normalizer is not installed (extra ``eval``).
    Source: Whisper (arXiv:2212.04356), appendix C, by the package whisper-normalizer.
    """
    return " ".join(_whisper_english()(text).split())


@functools.cache
def _whisper_english() -> Callable[[str], str]:
    return require("whisper_normalizer.english", extra="eval").EnglishTextNormalizer()


def without_punctuation(text: str) -> str:
    """Lower case without punctuation; apostrophes stay, and so do accents and digits.

    A sign is taken out and nothing put in its place (well-known -> wellknown). In Chinese, a text of which more than
    half the letters are Chinese, each character is a word; traditional characters are not made simplified.
    Source: what the scripts of F5-TTS and Seed-TTS-eval do before they count. Theirs take a typographic apostrophe
    out, here it is one where it stands in a word.
    """
    straight = _APOSTROPHE_IN_WORD.sub("'", text)
    kept = "".join(sign for sign in straight if sign == "'" or not _is_punctuation(sign)).lower()
    letters = [sign for sign in kept if sign.isalpha()]
    if 2 * sum(map(_is_chinese, letters)) > len(letters):
        return " ".join("".join(kept.split()))
    return " ".join(kept.split())


def _is_punctuation(sign: str) -> bool:
    return sign in string.punctuation or unicodedata.category(sign).startswith("P")


def _is_chinese(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("CJK ")


LETTERS = Normalizer("letters", letters_only)
NORMALIZERS: Mapping[str, Normalizer] = MappingProxyType(
    {
        one.name: one
        for one in (LETTERS, Normalizer("whisper", whisper_english), Normalizer("punctuation", without_punctuation))
    }
)
