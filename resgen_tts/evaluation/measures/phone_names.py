"""Phones under one set of names: espeak's IPA and stressed ARPAbet as the bare ARPAbet that flite and festival speak.

The names are those of the CMU dictionary in lower case, with the synthesizers' ``ax`` for the reduced vowel. What one
system writes as one symbol may be two phones of another (espeak's ``ɔːɹ`` is ``ao r``): a name is then several phones
with blanks between them.
"""

_VOWELS = "aa ae ah ao aw ax axr ay eh er ey ih ix iy ow oy uh uw"
_CONSONANTS = "b ch d dh dx el em en f g hh hv jh k l m n ng nx p r s sh t th v w y z zh"
VOWELS, CONSONANTS = frozenset(_VOWELS.split()), frozenset(_CONSONANTS.split())
PAUSES = frozenset({"pau", "sil", "ssil", "h#", "brth"})

# Plosives, affricates, fricatives, nasals and glides that IPA and ARPAbet write alike stand for themselves.
_SAME = "b d f k l m n p s t v w z"
_IPA = {
    **{letter: letter for letter in _SAME.split()},
    "dʒ": "jh", "h": "hh", "j": "y", "n̩": "ax n", "tʃ": "ch", "ð": "dh", "ŋ": "ng", "ɡ": "g", "g": "g", "ɹ": "r",
    "r": "r", "ɾ": "t", "ʃ": "sh", "ʒ": "zh", "ʔ": "t", "θ": "th", "x": "k", "ɬ": "l", "ç": "hh",
    "a": "aa", "aɪ": "ay", "aɪə": "ay ax", "aɪɚ": "ay er", "aʊ": "aw", "aː": "aa", "eɪ": "ey", "i": "iy", "iə": "iy ax",
    "iː": "iy", "oʊ": "ow", "oː": "ow", "oːɹ": "ao r", "u": "uw", "uː": "uw", "æ": "ae", "ɐ": "ax", "ɑː": "aa",
    "ɑːɹ": "aa r", "ɑ̃": "aa n", "ɔ": "ao", "ɔɪ": "oy", "ɔː": "ao", "ɔːɹ": "ao r", "ə": "ax", "əl": "ax l", "ɚ": "er",
    "e": "eh", "ɛ": "eh", "ɛɹ": "eh r", "ɜː": "er", "ɜ": "er", "ɪ": "ih", "ɪɹ": "ih r", "o": "ow", "ɒ": "aa",
    "ʊ": "uh", "ʊɹ": "uh r", "ʌ": "ah", "ᵻ": "ih",
}  # fmt: skip
_MARKS = " ,.;:?!"
# The American reading voices write the reduced vowels in several ways; none of them is another sound to a boundary.
_MERGED = {"axr": "er", "ix": "ih", "ah": "ax", "em": "m", "en": "n", "el": "l", "dx": "t", "nx": "n", "hv": "hh"}


def from_ipa(symbol: str) -> str | None:
    """Bare ARPAbet of one espeak symbol, its stress mark aside; "" for pauses and marks, None for unknown phones."""
    return _IPA.get(symbol.lstrip("ˈˌ")) if symbol.strip(_MARKS) else ""


def from_arpabet(symbol: str) -> str | None:
    """Bare ARPAbet of one stressed or unstressed symbol; "" for pauses and marks, None for unknown phones.

    >>> from_arpabet("AA1")
    'aa'
    """
    bare = symbol.lower().rstrip("012")
    if bare in PAUSES or not symbol.strip(_MARKS):
        return ""
    return bare if bare in VOWELS | CONSONANTS else None


def substitution_cost(first: str, second: str) -> float:
    """How unlike two bare phones are: 0 the same, 0.5 two vowels or two consonants, 2 one of each.

    An inserted or missing phone costs 1, so that a vowel never stands for a consonant.
    """
    first, second = _MERGED.get(first, first), _MERGED.get(second, second)
    if first == second:
        return 0.0
    return 0.5 if (first in VOWELS) == (second in VOWELS) else 2.0
