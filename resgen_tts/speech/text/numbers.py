"""Numbers in words: cardinals, ordinals, decimals, digit by digit, years, Roman numerals.

The wording is the same everywhere: "and" before the last two digits, no commas, no hyphens
("one thousand two hundred and thirty four").
"""

import functools
import itertools
import re

LONGEST = 18  # digits; longer strings are read digit by digit (see text/quantities.py), so patterns stay short
_SCALES = (
    "", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion", "septillion",
    "octillion", "nonillion", "decillion",
)  # fmt: skip
_LONGEST_PLAIN = 15  # beyond quadrillions, a number without thousands commas is an identifier
_ROMAN = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}
_ROMAN_FORM = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")


@functools.cache
def _below_thousand(value: int, kind: str = "cardinal") -> str:
    from num2words import num2words

    return num2words(value, to=kind).replace("-", " ")


def spell_digits(digits: str) -> str:
    """Digit by digit: "two zero five"."""
    return " ".join(_below_thousand(int(digit)) for digit in digits)


@functools.lru_cache(maxsize=4096)
def cardinal(digits: str, kind: str = "cardinal") -> str:
    """A whole number in words, or with ``kind`` "ordinal" its ordinal; without commas in it."""
    digits = digits.lstrip("0") or "0"
    places = (len(digits) + 2) // 3
    if places > len(_SCALES):
        return spell_digits(digits)
    groups = [int(group) for group in _in_threes(digits)]
    said = [
        f"{_below_thousand(group)} {_SCALES[places - 1 - place]}".rstrip()
        for place, group in enumerate(groups[:-1])
        if group
    ]
    last = groups[-1]
    if said and 0 < last < 100:
        said.append("and")
    if last or not said:
        said.append(_below_thousand(last, kind))
    elif kind == "ordinal":
        said[-1] += "th"  # every scale word takes it: "two millionth"
    return " ".join(said)


def _in_threes(digits: str) -> list[str]:
    head = len(digits) % 3
    return [digits[:head]] * bool(head) + [digits[place : place + 3] for place in range(head, len(digits), 3)]


def ordinal(digits: str) -> str:
    """ "twenty first"."""
    return cardinal(digits, "ordinal")


def number(written: str) -> str:
    """A written number: thousands commas, a decimal point, leading zeros (then digit by digit)."""
    whole, point, decimals = written.partition(".")
    plain = whole.replace(",", "")
    if (len(plain) > 1 and plain[0] == "0") or ("," not in whole and len(plain) > _LONGEST_PLAIN):
        said = spell_digits(plain)
    else:
        said = cardinal(plain) if plain else ""
    return f"{said} point {spell_digits(decimals)}".strip() if point and decimals else said


def is_one(written: str) -> bool:
    """Whether the noun after this number stands in the singular."""
    return written == "1"


def year(value: int) -> str:
    """A year: "nineteen eighty four", "nineteen oh five", "eighteen hundred", "two thousand and five"."""
    century, rest = divmod(value, 100)
    if value < 1010 or value >= 10_000 or (century % 10 == 0 and rest < 10):
        return cardinal(str(value))
    if rest == 0:
        return f"{cardinal(str(century))} hundred"
    return f"{cardinal(str(century))} {'oh ' if rest < 10 else ''}{cardinal(str(rest))}"


def decade(value: int) -> str:
    """1990 as "nineteen nineties", 90 as "nineties", 1800 as "eighteen hundreds"."""
    *front, last = (year(value) if value > 99 else cardinal(str(value))).split()
    return " ".join([*front, last[:-1] + "ies" if last.endswith("y") else last + "s"])


def roman(letters: str) -> int:
    """Value of a Roman numeral in its canonical form; 0 for anything else."""
    if not letters or not _ROMAN_FORM.fullmatch(letters):
        return 0
    values = [_ROMAN[letter] for letter in letters] + [0]
    return sum(-now if now < after else now for now, after in itertools.pairwise(values))


def plural(noun: str) -> str:
    """English plural of the nouns that stand after numbers here."""
    special = {"foot": "feet", "inch": "inches", "penny": "pence", "half": "halves", "century": "centuries"}
    head, _, last = noun.rpartition(" ")
    if last in {"yen", "won", "hertz", "siemens", "yuan", "percent", "celsius", "baht", "rand"} or last.endswith(
        "hertz"
    ):
        return noun
    return f"{head} {special.get(last, last + 's')}".strip()


def counted(written: str, noun: str) -> str:
    """Number and noun: "one dollar", "two point five dollars"."""
    return f"{number(written)} {noun if is_one(written) else plural(noun)}"
