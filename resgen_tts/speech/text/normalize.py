"""From written to spoken English: the one front end of every door.

First form: Unicode clean-up, numbers, percent, currency and a few abbreviations. What it cannot speak is named in
a warning, never dropped in silence.
"""

import functools
import re
import unicodedata
from dataclasses import dataclass

from resgen_tts.common.errors import TextError

MAX_CHARACTERS = 100_000
_ABBREVIATIONS = {
    "mr.": "mister",
    "mrs.": "missus",
    "ms.": "miss",
    "dr.": "doctor",
    "st.": "saint",
    "etc.": "et cetera",
}
_CURRENCIES = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_SIGNS = {"&": " and ", "%": " percent ", "+": " plus ", "=": " equals ", "@": " at ", "°": " degrees "}
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": ", ", "—": ", ", "…": "."})
_NUMBER = re.compile(
    r"""(?P<sign>(?<![\w.])-)? (?P<currency>[$£€])?
        (?P<number>\d+(?:,\d{3})+(?:\.\d+)? | \d+(?:\.\d+)?) (?:(?P<ordinal>st|nd|rd|th)(?![a-z]))? (?!\d)""",
    re.IGNORECASE | re.VERBOSE,
)
_SPOKEN = re.compile(r"[a-z]", re.I)
_KEPT = re.compile(r"[a-z' ,.;:?!\-]", re.I)


@dataclass(frozen=True)
class NormalizedText:
    """Spoken text and what could not be spoken."""

    text: str
    warnings: tuple[str, ...] = ()


def normalize(text: str) -> NormalizedText:
    """Spell out what is not a word, and keep letters, apostrophes and the pause marks ``, . ; : ? !``.

    Raises:
        TextError: TEXT_EMPTY, TEXT_TOO_LONG, TEXT_INVALID_UNICODE, or TEXT_NO_SPEECH where nothing can be spoken.
    """
    if not text.strip():
        raise TextError("the text is empty.", code="TEXT_EMPTY", hint="Pass the words to speak.")
    if len(text) > MAX_CHARACTERS:
        raise TextError(f"the text has {len(text)} characters, the limit is {MAX_CHARACTERS}.", code="TEXT_TOO_LONG")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise TextError("the text holds a lone surrogate.", code="TEXT_INVALID_UNICODE", hint="Save it as UTF-8.")
    warnings = []
    clean = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    visible = "".join(c if c.isspace() or unicodedata.category(c)[0] != "C" else "" for c in clean)
    if visible != clean:
        warnings.append("TEXT_CONTROL_CHARS: control or zero-width characters were removed")
    spoken = _NUMBER.sub(_say_number, visible)
    for sign, word in _SIGNS.items():
        spoken = spoken.replace(sign, word)
    spoken = " ".join(_ABBREVIATIONS.get(word.lower(), word) for word in spoken.split())
    spoken = "".join(_without_accent(character) for character in spoken)
    unknown = sorted({c for c in spoken if not _KEPT.match(c) and c not in '"()[]{}*_/'})
    if unknown:
        warnings.append("TEXT_UNSUPPORTED_CHARS: not spoken: " + " ".join(unknown))
    spoken = "".join(c if _KEPT.match(c) else " " for c in spoken).replace("-", " ")
    spoken = re.sub(r"\s+([,.;:?!])", r"\1", re.sub(r"\s+", " ", spoken)).strip()
    spoken = re.sub(r"([,.;:?!])[,.;:?!]+", r"\1", spoken)
    if not _SPOKEN.search(spoken):
        raise TextError(f"nothing in {text[:40]!r} can be spoken.", code="TEXT_NO_SPEECH")
    return NormalizedText(spoken, tuple(warnings))


def _say_number(match: re.Match[str]) -> str:
    digits = match["number"].replace(",", "")
    if match["currency"]:
        unit, part = _CURRENCIES[match["currency"]]
        whole, _, cents = digits.partition(".")
        said = f"{_words(whole)} {unit if int(whole) == 1 else unit + 's'}"
        if cents:
            said += f" and {_words(cents.ljust(2, '0')[:2])} {'pence' if part == 'penny' else part + 's'}"
    else:
        said = _words(digits, "ordinal" if match["ordinal"] and "." not in digits else "cardinal")
    return f" {'minus ' if match['sign'] else ''}{said} "


@functools.lru_cache(maxsize=4096)
def _words(digits: str, kind: str = "cardinal") -> str:
    from num2words import num2words

    if len(digits.partition(".")[0]) > 15:  # beyond quadrillions people read digit by digit
        return " ".join(num2words(int(d)) if d.isdigit() else "point" for d in digits)
    value = float(digits) if "." in digits else int(digits)
    return num2words(value, to=kind).replace("-", " ").replace(",", "")


def _without_accent(character: str) -> str:
    base = unicodedata.normalize("NFD", character)[0]
    return base if base.isascii() and base.isalpha() else character
