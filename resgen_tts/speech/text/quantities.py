"""Numbers with something around them: money, units, percent, fractions, ranges, phone numbers, arithmetic."""

import re
from collections.abc import Iterable

from resgen_tts.speech.text.numbers import LONGEST, cardinal, counted, is_one, number, ordinal, plural, spell_digits
from resgen_tts.speech.text.rewrite import TracedText
from resgen_tts.speech.text.units_of_measure import RATES, TIGHT_ONLY, UNITS

# Digit runs are at most LONGEST long when these patterns run, so each match is short.
NUM = r"(?:\d{1,3}(?:,\d{3}){1,11}(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\d)\.\d+)"
_FREE = r"(?<![\d])(?<!\d[.,])"  # no digit and no number stands right before
_SIGN = r"(?:(?<![\w)\].,])(?P<sign>[-−+]))?"
_LONG = re.compile(r"\d+(?:\.\d+)?")


def _either(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_VULGAR = {
    "½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5),
    "⅘": (4, 5),
    "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8),
}  # fmt: skip
_MIXED = re.compile(
    rf"{_FREE}(?P<whole>\d+)?(?:(?<=\d) ?)(?P<vulgar>[{''.join(_VULGAR)}])|(?P<alone>[{''.join(_VULGAR)}])"
)
_FRACTION = re.compile(
    r"(?<![\d/.,:$£€-])(?:(?P<whole>\d{1,6})[ -](?=\d{1,3}/\d))?(?P<over>\d{1,3})/(?P<under>\d{1,3})(?![\d/:%]|[.,]\d)"
)
_CURRENCIES = {
    "$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent"), "¥": ("yen", ""),
    "₹": ("rupee", "paisa"),
    "₩": ("won", ""), "₽": ("ruble", "kopek"), "₿": ("bitcoin", ""), "US$": ("U S dollar", "cent"),
    "A$": ("Australian dollar", "cent"),
    "AU$": ("Australian dollar", "cent"), "C$": ("Canadian dollar", "cent"), "CA$": ("Canadian dollar", "cent"),
    "NZ$": ("New Zealand dollar", "cent"), "HK$": ("Hong Kong dollar", "cent"), "USD": ("U S dollar", "cent"),
    "EUR": ("euro", "cent"),
    "GBP": ("pound", "penny"), "JPY": ("yen", ""), "CHF": ("Swiss franc", "centime"),
    "CAD": ("Canadian dollar", "cent"),
    "AUD": ("Australian dollar", "cent"), "INR": ("rupee", "paisa"), "CNY": ("yuan", ""),
}  # fmt: skip
_SCALE = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "mm": "million",
    "bn": "billion",
    "b": "billion",
    "tn": "trillion",
    "t": "trillion",
}
_SCALES = (
    r"(?:\s(?P<scale>hundred|thousand|million|billion|trillion)\b|(?P<short>[kKmMbBtT]|[mM][nNmM]|[bBtT][nN])(?![\w]))?"
)
_SYMBOL = r"(?:(?:US|AU|A|CA|C|NZ|HK)?\$|[£€¥₹₩₽₿])"
_CODE = r"(?:USD|EUR|GBP|JPY|CHF|CAD|AUD|INR|CNY)"
_MONEY = re.compile(
    rf"(?<![A-Za-z]){_SIGN}(?P<unit>{_SYMBOL}|{_CODE}(?=\s?\d)) ?(?P<sign2>[-−])?"
    rf"(?P<number>\d{{1,9}},\d\d(?![\d,]|\.\d)|{NUM})(?:\s?[-–]\s?(?:(?P=unit) ?)?(?P<last>{NUM}))?{_SCALES}"
)
_MONEY_AFTER = re.compile(
    rf"{_FREE}(?<!\w){_SIGN}(?P<number>{NUM}) ?(?:(?P<scale>k|thousand|million|billion|trillion) ?)?"
    rf"(?P<unit>[$£€¥₹₩₽₿]|{_CODE}\b)(?![\d])"
)
_CENTS = re.compile(rf"{_FREE}(?P<number>{NUM}) ?¢")
_ONE_OF_VALUE = re.compile(r" (?:bill|note|coin|banknote|fine|question|ticket|fee|stamp)s?\b")
_PERCENT = re.compile(rf"{_FREE}{_SIGN}(?P<number>{NUM})(?:\s?[-–]\s?(?P<last>{NUM}))? ?(?P<mark>%|‰)")
_UNIT = re.compile(
    rf"{_FREE}(?<![A-Za-z$£€]){_SIGN}(?P<number>{NUM})(?:\s?(?P<by>[-–x×])\s?(?P<last>{NUM}))?(?P<gap>[ -]?)"
    rf"(?P<unit>{_either(UNITS)})(?P<power>[²³23](?!\d))?"
    rf"(?:/(?P<rate>{_either(RATES)}))?(?![A-Za-z0-9²³/&])(?P<dot>\.(?!\w))?"
)
_HAS_DOT = frozenset(
    [
        "ft",
        "lb",
        "lbs",
        "oz",
        "in",
        "hr",
        "hrs",
        "min",
        "mins",
        "sec",
        "secs",
        "mi",
        "yd",
        "gal",
        "qt",
        "tsp",
        "tbsp",
        "yr",
        "yrs",
        "wk",
        "mo",
    ]
)
_PER = re.compile(rf"(?<=[A-Za-z])/(?P<rate>{_either(RATES)})(?![A-Za-z0-9²³])")
_FEET = re.compile(
    r"(?<![\w.,'])(?P<feet>\d{1,3})['′] ?(?:(?P<inches>\d{1,2}(?:\.\d)?)(?:\"|″|''|′′)?)?(?![\w'])(?<!'(?= ))(?<! )"
)
_INCHES = re.compile(rf"{_FREE}(?P<number>{NUM})″")
_NOUN_FOLLOWS = re.compile(r"\s(?!(?:of|and|or|per|in|on|to|at|for|from|with|by|a|is|was|the)\b)[a-z]")
_PHONE = re.compile(
    r"(?<![\w.,$£€-])(?:\+\d{1,3}[ .-]?|1[ .-])?(?:\(\d{2,5}\)[ .-]?|\d{3}[ .-])(?:\d{3}|(?<=\) )\d{4})[ .-]\d{4}"
    r"(?!\d|[.,-]\d)"
)
_ABROAD = re.compile(r"(?<![\w.,$-])\+(\d{1,3})((?:[ .-]\(?\d{1,5}\)?){2,6})(?!\d)|(?<![\w.,$-])\+(\d{8,15})(?!\d)")
_LOCAL = re.compile(r"(?<![\w.,$£€/-])(\d{3})-(\d{4})(?![\w]|[.,/-]\d)")
_GROUPS = re.compile(r"(?<![\w.,$£€/-])(\d{3})-(\d{2})-(\d{4})(?![\w]|[.,/-]\d)")
_ISBN = re.compile(
    r"(?:(?<=ISBN)|(?<=ISBN:)|(?<=ISBN-1[03])|(?<=ISBN-1[03]:))\s?"
    r"(?P<digits>\d(?:[ -]?\d){8,12}(?:[ -]?X)?)(?![\w]|-\d)"
)
_IDENTIFIER = re.compile(r"(?<![\w.,$£€/+-])(?=(?:-?\d){10})\d{1,7}(?:-\d{1,7}){3,6}(?:-X)?(?![\w]|[.,/-]\d)")
_UK = re.compile(r"(?<![\w.,$-])(0\d{2,4}) (\d{3,4}) (\d{3,4})(?!\d|[.,]\d)")
_RANGE = re.compile(
    rf"{_FREE}(?<![A-Za-z.+*/=<>×÷^-])(?P<first>{NUM})(?P<ord>(?:st|nd|rd|th)?)\s?[-–]\s?"
    rf"(?P<last>{NUM})(?P<ord2>(?:st|nd|rd|th)?)"
    r"(?![\w]|\s?[-+*/=<>×÷]\s?\d|\s?=)")  # fmt: skip
_RATIO = re.compile(r"(?<![\w:.,])(\d{1,6}):(\d{1,6})(?::(\d{1,6}))?(?![\w:]|[.,]\d)")
_TIMES_BY = re.compile(rf"{_FREE}(?P<first>{NUM})(?P<gap>\s?)[xX](?P=gap)(?={NUM})")
_EQUALS = re.compile(rf"{NUM}\s?=")
_FOLD = re.compile(rf"{_FREE}(?<![A-Za-z])(?P<number>{NUM})[x×](?![\w])(?!\s?[\d(+−×÷=^*/-])")
_SHORT_SCALE = re.compile(rf"{_FREE}(?<![\w]){_SIGN}(?P<number>{NUM})(?P<short>k|M|mn|bn|tn)(?![\w])")
_ORDINAL = re.compile(r"(?<![\w.,])(\d{1,3}(?:,\d{3}){1,4}|\d+)(?:st|nd|rd|th)(?![A-Za-z0-9])", re.IGNORECASE)
_SCORED = re.compile(
    r"\b(?:won|lost|wins?|loses?|beat|beats|beaten|drew|draws?|score|scores|scored|led|leads?|leading|tied|tie|"
    r"victory|defeat|loss|ended|finished|it|them|up|down|ahead)(?: \w{1,20}){0,2} $",
    re.IGNORECASE,
)
_SAID_SO = {"24/7": "twenty four seven", "50/50": "fifty fifty", "9/11": "nine eleven", "20/20": "twenty twenty"}
_EMERGENCY = re.compile(r"(?<=[Dd]ial |[Cc]all |[Rr]ing |[Tt]ext )\d{3}(?!\s[a-z]|[\w%]|[.,-]\d)")
_NINE_TO_FIVE = re.compile(r"(?<![\w.,/-])9\s?[-–]\s?5(?![\w/-]|[.,]\d)")
_BARE_RATE = re.compile(
    rf"(?<![A-Za-z/])(?P<unit>km|m|cm|mi|kg|g|mg|L|kB|MB|GB|kWh)/(?P<rate>{_either(RATES)})(?![A-Za-z0-9/])"
)
_DIRECTION = re.compile(
    rf"{_FREE}(?P<number>{NUM}) ?° ?(?:(?P<min>\d{{1,2}})['′] ?(?:(?P<sec>{NUM})(?:\"|″) ?)?)?"
    r"(?P<way>[NSEW])(?![A-Za-z])"
)
_WAYS = {"N": "north", "S": "south", "E": "east", "W": "west"}


_NUMERIC = re.compile(rf"[\d{''.join(_VULGAR)}]")
_SLASH = re.compile("/")


def say_quantities(traced: TracedText) -> TracedText:
    """All of the above; what is left are plain numbers."""
    return traced.say_while(_NUMERIC, _PASSES).say_while(_SLASH, _RATES)


def _signed(match: re.Match[str]) -> str:
    signs = match.groupdict()
    sign = signs.get("sign") or signs.get("sign2")
    return {"-": "minus ", "−": "minus ", "+": "plus "}.get(sign or "", "")


def _long(match: re.Match[str]) -> str | None:
    if len(match[0]) <= LONGEST:
        return None
    whole, point, decimals = match[0].partition(".")
    return (number(whole) if len(whole) <= LONGEST else spell_digits(whole)) + (
        f" point {spell_digits(decimals)}" if point else ""
    )


def _phone(match: re.Match[str]) -> str:
    """Digit by digit, with a pause between the groups."""
    groups = re.findall(r"\d+", match[0])
    return ("plus " if match[0][0] == "+" else "") + ", ".join(map(spell_digits, groups))


def _identifier(match: re.Match[str]) -> str:
    """Digit by digit like :func:`_phone`; the last one may be an X."""
    groups = match["digits"] if "digits" in match.re.groupindex else match[0]
    said = [group if group == "X" else spell_digits(group) for group in re.findall(r"\d+|X", groups)]
    return " " * ("digits" in match.re.groupindex) + ", ".join(said)


def _direction(match: re.Match[str]) -> str:
    said = [counted(match["number"], "degree")]
    if match["min"]:
        said.append(counted(match["min"].lstrip("0") or "0", "minute"))
    if match["sec"]:
        said.append(counted(match["sec"], "second"))
    return " ".join([*said, _WAYS[match["way"]]])


def _feet(match: re.Match[str]) -> str | None:
    if match["inches"] is None and not match[0].rstrip().endswith("′"):
        return None
    said = counted(match["feet"], "foot")
    return f"{said} {counted(match['inches'], 'inch')}" if match["inches"] else said


def _inches(match: re.Match[str]) -> str:
    return f"{number(match['number'])} inch" if _is_adjective(match) else counted(match["number"], "inch")


def _is_adjective(match: re.Match[str]) -> bool:
    """Whether the unit describes one thing that follows ("a 27 inch screen", "a 90 degree angle")."""
    before = match.string[max(0, match.start() - 3) : match.start()]
    return bool(
        re.search(r"(?:\A|\s|\b)[aA]n? $", before) and _NOUN_FOLLOWS.match(match.string[match.end() : match.end() + 8])
    )


def _money(match: re.Match[str]) -> str:
    found = match.groupdict()
    written, unit = found["number"], found["unit"]
    if re.fullmatch(r"\d+,\d\d", written):  # a comma before the cents, as on the continent
        written = written.replace(",", ".")
    noun, part = _CURRENCIES[unit]
    scale = found.get("scale") or found.get("short") or ""
    scale = _SCALE.get(scale.lower(), scale)
    sign = _signed(match)
    last = f" to {number(found['last'])}" if found.get("last") else ""
    is_adjective = _is_adjective(match) or _ONE_OF_VALUE.match(match.string, match.end(), match.end() + 12)
    if scale or last or is_adjective:
        words = f"{number(written)}{last}", scale, noun if is_adjective and "." not in written else plural(noun)
        return sign + " ".join(filter(None, words))
    whole, point, cents = written.replace(",", "").partition(".")
    if point and part and len(cents) <= 2:
        count = str(int(cents.ljust(2, "0")))
        small = counted(count, part)
        if count == "0":
            return sign + counted(whole, noun)
        return sign + (small if whole in ("", "0") else f"{counted(whole, noun)} and {small}")
    return sign + counted(written, noun)


def _percent(match: re.Match[str]) -> str:
    last = f" to {number(match['last'])}" if match["last"] else ""
    return f"{_signed(match)}{number(match['number'])}{last} {'percent' if match['mark'] == '%' else 'per mille'}"


def _parts(over: int, under: int) -> str:
    if under == 2:
        noun = "half"
    else:
        noun = "quarter" if under == 4 else ordinal(str(under))
    return f"{cardinal(str(over))} {noun if over == 1 else plural(noun)}"


def _with_whole(whole: str, over: int, under: int) -> str:
    part = _parts(over, under)
    return f"{number(whole)} and {part.replace('one ', 'a ', 1) if over == 1 else part}"


def _vulgar(match: re.Match[str]) -> str:
    over, under = _VULGAR[match["vulgar"] or match["alone"]]
    return _with_whole(match["whole"], over, under) if match["whole"] else _parts(over, under)


def _fraction(match: re.Match[str]) -> str | None:
    if match[0] in _SAID_SO:
        return _SAID_SO[match[0]]
    over, under = int(match["over"]), int(match["under"])
    if match["whole"] and 0 < over < under <= 100:
        return _with_whole(match["whole"], over, under)
    front = f"{number(match['whole'])} " if match["whole"] else ""
    if over == under:
        return f"{front}{cardinal(str(over))} out of {cardinal(str(under))}"
    if 0 < over < under <= 100:
        return front + _parts(over, under)
    return f"{front}{number(match['over'])} over {number(match['under'])}"


def _unit(match: re.Match[str]) -> str | None:
    unit, written = match["unit"], match["last"] or match["number"]
    if unit in TIGHT_ONLY and match["gap"] == " " and not (unit == "in" and match["dot"]):
        return None
    if unit in {"A", "F", "B", "b", "N"} or (
        unit == "in" and match["gap"] != " " and not match["dot"] and match["gap"] == "-"
    ):
        return None  # apartment 5A, grade 4B: letters, not units
    noun = UNITS[unit]
    if match["power"] and unit.endswith(("m", "ft", "in", "mi")):
        noun = ("square " if match["power"] in "²2" else "cubic ") + noun
    elif match["power"]:
        return None
    is_adjective = _is_adjective(match) or (match["gap"] == "-" and not match["dot"])
    head, per, tail = noun.partition(" per ")
    if not (is_adjective or is_one(written)):
        first, _, rest = head.partition(" ")
        head = f"degrees {rest}".rstrip() if first == "degree" else plural(head)
    said = f"{_signed(match)}{number(match['number'])}"
    if match["last"]:
        said += f" {'to' if match['by'] in '-–' else 'by'} {number(match['last'])}"
    said += f" {head}{per}{tail}" + (f" per {RATES[match['rate']]}" if match["rate"] else "")
    ends = match["dot"] and (
        unit not in _HAS_DOT or re.match(r"\s*$|\s+[\"'(]*[A-Z]", match.string[match.end() : match.end() + 8])
    )
    return said + "." * bool(ends)


def _bare_rate(match: re.Match[str]) -> str:
    return f"{plural(UNITS[match['unit']])} per {RATES[match['rate']]}"


def _times_by(match: re.Match[str]) -> str:
    is_product = _EQUALS.match(match.string, match.end(), match.end() + 40)
    return f"{number(match['first'])} {'times' if is_product else 'by'} "


def _range(match: re.Match[str]) -> str | None:
    first, last = (float(match[side].replace(",", "")) for side in ("first", "last"))
    before = match.string[max(0, match.start() - 40) : match.start()]
    if first > last and not _SCORED.search(before):
        return None
    say = [
        ordinal(match[side].replace(",", "")) if match[ending] and "." not in match[side] else number(match[side])
        for side, ending in (("first", "ord"), ("last", "ord2"))
    ]
    return " to ".join(say)


_RATES = ((_BARE_RATE, _bare_rate), (_PER, lambda m: f" per {RATES[m['rate']]} "))
_PASSES = (
    (_ISBN, _identifier),
    (_IDENTIFIER, _identifier),
    (_LONG, _long),
    *((pattern, _phone) for pattern in (_PHONE, _ABROAD, _LOCAL, _GROUPS, _UK)),
    (_EMERGENCY, lambda m: spell_digits(m[0])),
    (_DIRECTION, _direction),
    (_FEET, _feet),
    (_INCHES, _inches),
    (_MONEY, _money),
    (_MONEY_AFTER, _money),
    (_CENTS, lambda m: counted(m["number"], "cent")),
    (_PERCENT, _percent),
    (_MIXED, _vulgar),
    (_FRACTION, _fraction),
    (_UNIT, _unit),
    (_SHORT_SCALE, lambda m: f"{_signed(m)}{number(m['number'])} {_SCALE[m['short'].lower()]}"),
    (_NINE_TO_FIVE, lambda m: "nine to five"),
    (_RANGE, _range),
    (_ORDINAL, lambda m: ordinal(m[1].replace(",", ""))),
    (_RATIO, lambda m: " to ".join(number(part) for part in m.groups() if part)),
    (_TIMES_BY, _times_by),
    (_FOLD, lambda m: f"{number(m['number'])} times"),
)
