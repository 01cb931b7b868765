"""Mathematical and other signs, plain numbers, words with digits in them."""

import functools
import re

from resgen_tts.speech.text.abbreviations import STREETS
from resgen_tts.speech.text.acronyms import word_or_letters
from resgen_tts.speech.text.numbers import cardinal, number, spell_digits, year
from resgen_tts.speech.text.quantities import NUM
from resgen_tts.speech.text.rewrite import Notes, Spans, TracedText

_POWERS = "²³⁴⁵⁶⁷⁸⁹⁰¹"
_POWER_DIGITS = str.maketrans(_POWERS, "2345678901")
_RAISED = re.compile(rf"(?<=[A-Za-z\d)])(?<![A-Za-z]{{3}})(?:\s?\^\s?([-−]?\w{{1,6}})|(⁻)?([{_POWERS}]{{1,6}}))")
_OPERATORS = {
    "+": "plus", "−": "minus", "-": "minus", "×": "times", "*": "times", "÷": "divided by", "/": "divided by",
    "=": "equals", "<": "less than",
    ">": "greater than", "±": "plus or minus", "≈": "approximately equals", "≠": "is not equal to",
    "≤": "less than or equal to",
    "≥": "greater than or equal to", "<=": "less than or equal to", ">=": "greater than or equal to",
    "!=": "is not equal to",
    "==": "equals", "+/-": "plus or minus", "=>": "", "->": "", "<-": "", "~": "approximately",
}  # fmt: skip
_ARROW = re.compile(r"\s?(?:<?-{1,3}>|<-{1,3}|=>)\s?")
_BETWEEN = re.compile(
    r"(?<=[\w)\]%²³°])(?P<gap>\s?)(?P<sign><=|>=|!=|==|\+/-|[+−×÷=<>±≈≠≤≥])(?P=gap)(?=[-−+(√.$£€]?[\w(√.])"
)
_TIGHT = re.compile(r"(?<=\d)(?P<sign>[-*/])(?=\d)|(?<=[\d)A-Za-z²³]) (?P<spaced>[-*/]) (?=[\d(A-Za-z√])")
_EXPRESSION = re.compile(r"[\dA-Za-z)²³][ ]?[-+−×÷*/=<>±≈≠≤≥^²³][^\n,;?!]{0,60}[=<>≈≠≤≥]|[=≈] ?[^\n,;?!=]{0,60}")
_LEADING = re.compile(rf"(?<![\w)])(?P<sign>[±≈≤≥<>~+−-]|\+/-|<=|>=)\s?(?={NUM}|(?<=[±≈−])[a-z]\b|(?<=[±≈−]\s)[a-z]\b)")
_HASH_NUMBER = re.compile(r"#\s?(?=\d)")
_PLAIN = re.compile(NUM)
_MIXED = re.compile(r"(?<![A-Za-z\d])(?=[A-Za-z]{0,12}\d)(?=\d{0,12}[A-Za-z])[A-Za-z\d]{2,24}(?![A-Za-z\d])")
_HOUSE = re.compile(rf"(?<![\w.,-])\d{{3}}[A-Z](?=(?: [A-Z][\w'-]{{0,30}}){{1,3}} (?:{'|'.join(STREETS.values())})\b)")
_RUNS = re.compile(r"\d+|[A-Za-z]+")
_DIGITS = re.compile(r"\d")
_SAID = {
    "&": "and", "%": "percent", "@": "at", "°": "degrees", "+": "plus", "=": "equals", "§": "section",
    "©": "copyright", "®": "", "™": "",
    "√": "square root of", "∞": "infinity", "×": "times", "÷": "divided by", "±": "plus or minus",
    "≈": "approximately", "≠": "is not equal to",
    "≤": "less than or equal to", "≥": "greater than or equal to", "µ": "micro", "Ω": "ohm", "‰": "per mille",
    "′": "prime", "″": "double prime",
    "−": "minus", "$": "dollar", "£": "pound", "€": "euro", "¥": "yen", "¢": "cent", "₹": "rupee", "₩": "won",
    "₽": "ruble", "₿": "bitcoin",
}  # fmt: skip
_SIGN = re.compile("[" + re.escape("".join(_SAID)) + "]")
_SECTION = re.compile(r"§§?\s?(?=\d)")
_MARKED = re.compile("\\s?[®™]")


def say_signs(traced: TracedText) -> TracedText:
    """Arithmetic: an operator where numbers or letters stand on both sides, a sign where a number follows."""
    if not re.search(r"[\d=+<>×÷±≈≠≤≥√^²³*/~−#§-]", traced.text):
        return traced
    traced = (
        traced.sub(_ARROW, ", ")
        .say(_RAISED, _power)
        .say(_HASH_NUMBER, lambda m: "number ")
        .say(_SECTION, lambda m: "section ")
    )
    expressions = Spans(match.span() for match in _EXPRESSION.finditer(traced.text))
    traced = traced.sub(_TIGHT, functools.partial(_tight, expressions=expressions))
    traced = traced.sub(_BETWEEN, _between)
    return traced.say(_LEADING, _leading)


def _tight(match: re.Match[str], expressions: Spans) -> str | None:
    """Hyphen, star and slash are operators only where something is compared."""
    return f" {_OPERATORS[match['sign'] or match['spaced']]} " if match.start() in expressions else None


def _between(match: re.Match[str]) -> str | None:
    if match["sign"] in "<>" and not match["gap"]:  # an angle bracket around a word is no comparison
        sides = match.string[max(0, match.start() - 2) : match.start()], match.string[match.end() : match.end() + 2]
        if all(len(side) == 2 and side.isalpha() for side in sides):
            return None
    return f" {_OPERATORS[match['sign']]} "


def _power(match: re.Match[str]) -> str | None:
    written = match[1] or ("-" if match[2] else "") + match[3].translate(_POWER_DIGITS)
    sign = "minus " if written[0] in "-−" else ""
    written = written.lstrip("-−")
    if not sign and written in {"2", "3"}:
        return " squared " if written == "2" else " cubed "
    if written.isdecimal():
        return f" to the power of {sign}{cardinal(written)} "
    return f" to the power of {sign}{written if len(written) > 1 else written.upper()} " if written.isalpha() else None


def _leading(match: re.Match[str]) -> str | None:
    sign = match["sign"]
    words = {"-": "minus", "+": "plus", "~": "approximately", "≈": "approximately"}
    if (
        sign == "-"
        and not match.string[match.end() : match.end() + 1].isdecimal()
        and match.string[match.end() : match.end() + 1] != "."
    ):
        return None
    return words.get(sign, _OPERATORS.get(sign, "")) + " "


def say_plain_numbers(traced: TracedText) -> TracedText:
    """All digits that are left."""
    return traced.say_while(_DIGITS, _NUMBERS)


def _mixed(match: re.Match[str]) -> str | None:
    said = []
    for run in _RUNS.findall(match[0]):
        if run.isdecimal():
            if len(run) == 4 and run[0] in "12":
                said.append(year(int(run)))
            else:
                said.append(cardinal(run) if len(run) < 4 and run == str(int(run)) else spell_digits(run))
        elif len(run) == 1:
            said.append(run.upper())
        elif run in {"s", "th", "st", "nd", "rd"}:
            said.append(run)
        else:
            said.append(word_or_letters(run))
    return " ".join(said)


def say_other_signs(traced: TracedText, notes: Notes) -> TracedText:
    """Signs that have a name; trademarks are not read, and noted."""
    notes.unspoken.update(map(str.strip, _MARKED.findall(traced.text)))
    return traced.sub(_MARKED, "").sub(_SIGN, lambda m: f" {_SAID[m[0]]} ")


def _house(match: re.Match[str]) -> str | None:
    """ "two twenty one B": the hundreds of a house number by themselves."""
    hundreds, rest, letter = match[0][0], match[0][1:3], match[0][3]
    if hundreds == "0" or rest == "00":
        return None
    return f"{cardinal(hundreds)} {'oh ' * (rest[0] == '0')}{cardinal(rest.lstrip('0'))} {letter}"


_NUMBERS = (
    (_HOUSE, _house),
    (_MIXED, _mixed),
    (_PLAIN, lambda m: number(m[0])),
    (_DIGITS, lambda m: spell_digits(m[0])),
)
