"""Dates, years, decades and times of day."""

import re

from resgen_tts.speech.text.numbers import cardinal, decade, ordinal, year
from resgen_tts.speech.text.rewrite import TracedText, word_set

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
_DAYS = {
    "mon": "Monday", "tue": "Tuesday", "tues": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "thur": "Thursday",
    "thurs": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday",
}  # fmt: skip
_SHORT_MONTHS = {name[:3].lower(): name for name in MONTHS} | {"sept": "September"}
_MONTH = r"(?P<month>(?:" + "|".join(MONTHS) + r")\b|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?)"
_ORD = r"(?:st|nd|rd|th)"
_YEAR = r"(?P<year>[12]\d{3})(?![\d,]*\d|\.\d)"
_ISO = re.compile(
    r"(?<![\d/.-])(?P<year>[12]\d{3})(?P<by>[-/])(?P<month>0?[1-9]|1[0-2])(?P=by)(?P<day>0?[1-9]|[12]\d|3[01])"
    r"(?![\d/-])(?:T(?=\d\d:))?"
)
_SLASHED = re.compile(r"(?<![\d/.-])(\d{1,2})([/.-])(\d{1,2})\2((?:[12]\d)?\d\d)(?![\d/-]|\.\d)")
_MONTH_DAY = re.compile(
    rf"(?<![A-Za-z]){_MONTH} (?:the )?(?P<day>\d{{1,2}}){_ORD}?(?![\d:]|[.,]\d|\s?[ap]\.?m\b)"
    rf"(?:\s?(?P<by>[-–])\s?(?P<last>\d{{1,2}}){_ORD}?(?![\d/]))?(?P<comma>,?) ?(?:(?<=[ ,]){_YEAR})?"
)
_DAY_MONTH = re.compile(
    rf"(?<![\w.,$£€-])(?P<the>[Tt]he )?(?P<day>\d{{1,2}})(?P<ord>{_ORD}?)"
    rf"(?:\s?(?P<by>[-–])\s?(?P<last>\d{{1,2}}){_ORD}?)?"
    rf"(?P<of> of)?[ -]{_MONTH}(?:(?P<comma>,?)[ -]{_YEAR})?"
)
_MONTH_YEAR = re.compile(rf"(?<![A-Za-z]){_MONTH},? {_YEAR}")
_SHORT_MONTH = re.compile(r"(?<![A-Za-z])(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\.(?=\s|$|[,;)])")
_DAY = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DAY_RANGE = re.compile(rf"(?<![A-Za-z]){_DAY}\s?[-–]\s?{_DAY}(?![A-Za-z])")
_SHORT_DAY = re.compile(r"(?<![A-Za-z])(?:(Mon|Tues?|Wed|Thu|Thurs?|Fri)\.(?=\s|$|,)|(Sat|Sun)\.(?=,|\s[A-Z\d][a-z\d])|"
                        r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?=,? (?:\d|(?:" + "|".join(MONTHS) + r")\b)))")  # fmt: skip
_MONTH_DAY_ALONE = re.compile(r"(?<=[a-z] )(0?[1-9]|1[0-2])/(0?[1-9]|[12]\d|3[01])(?![\d/]|\.\d)")
_BEFORE_DATE = re.compile(r"\b(?:on|by|until|till|since|before|after|due)\s$", re.IGNORECASE)
_DECADE = re.compile(r"(?<![\w.,$£€-])(?:(1[0-9]|20)(\d0)|'?([2-9]0)|'(10|00))'?s(?![a-z])")
_SHORT_YEAR = re.compile(r"(?<![\w'])'(\d\d)(?![\w'])")
_BARE_YEAR = re.compile(
    r"(?<![\w.,$£€¥#/:+×÷=<>~^-])(?P<first>[12]\d{3})(?:\s?[-–]\s?(?P<last>[12]\d{3}|\d\d))?"
    r"(?![\w%°$£€¥/:²³×÷=<>+^-]|[.,]\d|\s?[+×÷=<>*%°€£]|\s?[-–]\s?\d)"
)
_YEAR_BEFORE = re.compile(
    r"(?:\b(?:in|since|by|until|till|from|during|before|after|circa|year|years|of|between|early|late|mid|spring|summer|autumn|"
    r"fall|winter|around|about|to|and|through|AD|A\.D\.|born|died|established|founded|c\.|ca\.|est\.|"
    + "|".join(MONTHS) + r"),?|[(©]) ?$", re.IGNORECASE)  # fmt: skip
_YEAR_STRONG = re.compile(
    r"\b(?:in|since|until|during|circa|year|born|died|founded|early|late|AD|" + "|".join(MONTHS) + r"),? $",
    re.IGNORECASE,
)
_YEAR_AFTER = re.compile(r"\s?(?:AD|BC|BCE|CE|A\.D\.|B\.C\.)\b")
_NEXT_WORD = re.compile(r"\s([A-Za-z]{1,20})")
_COUNTED = word_set(
    """people men women children feet percent million billion thousand hundred dollar pound euro kg km cm mm m ft lb
    g mg ml mph hp fish sheep px rpm kcal cal kW W Hz kHz MHz GHz MB GB kB TB or more other different small large new
    square cubic metric of"""
)
_NO_PLURALS = word_set("was has does yes always perhaps besides afterwards its his this as ours theirs hers")
_AMPM = r"(?P<half>[ap]\.m\.|[ap]\.m\b|[AP]\.M\.|[AP]\.M\b|[ap]m\b|[AP]M\b)"
_TIME = re.compile(
    r"(?<![\w:.,])(?P<hour>[01]?\d|2[0-4])[:.](?P<minute>[0-5]\d)"
    rf"(?:(?<=:\d\d):(?P<second>[0-5]\d)(?:\.\d{{1,6}})?)?\s?{_AMPM}",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    r"(?<![\w:.,])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)"
    r"(?::(?P<second>[0-5]\d)(?:\.\d{1,6})?)?(?: ?h\b)?(?![\d:])"
)
_HOUR = re.compile(
    rf"(?<![\w:.,$£€])(?:(?P<first>1[0-2]|0?[1-9])\s?[-–]\s?)?(?P<hour>1[0-2]|0?[1-9])\s?{_AMPM}", re.IGNORECASE
)
_O_CLOCK = re.compile(r"(?<![\w:.,])(1[0-2]|[1-9])(?=\s?o'clock\b)", re.IGNORECASE)
_CLOCK_RANGE = re.compile(r"(?<=[\dmM.])\s?[-–]\s?(?=(?:[01]?\d|2[0-4])(?::[0-5]\d|\s?[ap]\.?m\b))")
_SENTENCE_FOLLOWS = re.compile(
    rf"\s*$|\s+[\"'(]*(?!(?:{'|'.join(MONTHS)}|\w+day|[A-Z]{{2,5}}|Eastern|Pacific|Central|Mountain|Atlantic|Greenwich)\b)[A-Z]"
)


_DIGIT = re.compile(r"\d")


def say_dates(traced: TracedText) -> TracedText:
    """Dates first, then times (an ISO time follows its date), then years and decades that stand alone."""
    traced = traced.sub(_DAY_RANGE, lambda m: f"{_DAYS[m[1].lower()]} to {_DAYS[m[2].lower()]}")
    traced = traced.sub(_SHORT_DAY, lambda m: _DAYS[(m[1] or m[2] or m[3]).lower()])
    return traced.say_while(_DIGIT, _PASSES).sub(_SHORT_MONTH, lambda m: _month(m[1]))


def _month(written: str) -> str:
    short = written.rstrip(".")
    return _SHORT_MONTHS.get(short.lower(), short)


def _date(month: int, day: str, in_year: str) -> str:
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(int(in_year))}"


def _slashed(match: re.Match[str]) -> str | None:
    """Month first, as in the United States, unless only the other order makes a date."""
    first, by, second, written = int(match[1]), match[2], int(match[3]), match[4]
    if by == "-" and len(written) == 2:
        return None
    in_year = written if len(written) == 4 else ("20" if int(written) < 50 else "19") + written
    if by == "." or first > 12:
        first, second = second, first
    if not (1 <= first <= 12 and 1 <= second <= 31):
        return None
    return _date(first, str(second), in_year)


def _month_day(match: re.Match[str]) -> str | None:
    if not 1 <= int(match["day"]) <= 31:
        return None
    said = f"{_month(match['month'])} {ordinal(match['day'])}"
    if match["last"]:
        said += f" to {ordinal(match['last'])}"
    # The blank behind the day belongs to what follows, unless a year does.
    return said + (
        f"{match['comma']} {year(int(match['year']))}"
        if match["year"]
        else match["comma"] + " " * match[0].endswith(" ")
    )


def _day_month(match: re.Match[str]) -> str | None:
    is_plain = not (match["ord"] or match["year"] or match["of"] or match["the"] or _on_before(match))
    if match["month"] == "May" and is_plain and re.match(r" [a-z]", match.string[match.end() : match.end() + 2]):
        return None  # "the 3 may go"
    if not 1 <= int(match["day"]) <= 31:
        return None
    days = ordinal(match["day"]) + (f" to {ordinal(match['last'])}" if match["last"] else "")
    # "3rd of June" is read as it stands, "3 June" and "3rd June" with an article, unless one stands before.
    before = match.string[max(0, match.start() - 4) : match.start()]
    has_article = match["the"] or match["of"] or before.lower() == "the "
    article = (match["the"] or "") if has_article else "the "
    said = f"{article}{days} of {_month(match['month'])}"
    return said + (f"{match['comma'] or ''} {year(int(match['year']))}" if match["year"] else "")


def _on_before(match: re.Match[str]) -> bool:
    return bool(
        re.search(r"\b(?:on|by|from|until|since) $", match.string[max(0, match.start() - 7) : match.start()], re.I)
    )


def _month_day_alone(match: re.Match[str]) -> str | None:
    if not _BEFORE_DATE.search(match.string[max(0, match.start() - 8) : match.start()]) or match[0] == "9/11":
        return None
    return f"{MONTHS[int(match[1]) - 1]} {ordinal(match[2])}"


def _half(match: re.Match[str]) -> str:
    """ "P M"; its full stop stays where it also ends the sentence."""
    said = f"{match['half'][0].upper()} M"
    ends = match["half"].endswith(".") and _SENTENCE_FOLLOWS.match(match.string[match.end() : match.end() + 30])
    return said + "." * bool(ends)


def _clock_words(hour: str, minute: str, second: str | None) -> str:
    said = cardinal(hour)
    if minute != "00":
        said += f" {'oh ' if minute[0] == '0' else ''}{cardinal(minute)}"
    if second and second != "00":
        said += (" " if minute != "00" else " o'clock ") + f"and {cardinal(second)} second{'s' * (second != '01')}"
    return said


def _time(match: re.Match[str]) -> str | None:
    if int(match["hour"]) > 12:
        return None
    return f"{_clock_words(match['hour'], match['minute'], match['second'])} {_half(match)}"


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), match["minute"]
    if minute == "00" and not match["second"]:
        if hour in (0, 24):
            return "midnight"
        return f"{cardinal(str(hour))} {'o' + chr(39) + 'clock' if hour <= 12 else 'hundred'}"
    return _clock_words(match["hour"], minute, match["second"])


def _hour(match: re.Match[str]) -> str:
    first = f"{cardinal(match['first'])} to " if match["first"] else ""
    return f"{first}{cardinal(match['hour'])} {_half(match)}"


def _short_year(digits: str) -> str:
    return f"oh {cardinal(digits)}" if digits[0] == "0" and digits != "00" else cardinal(digits)


def _decade(match: re.Match[str]) -> str | None:
    if match[1]:
        return decade(int(match[1] + match[2]))
    if match[4]:
        return "tens" if match[4] == "10" else "two thousands"
    before = match.string[max(0, match.start() - 12) : match.start()]
    if match[0][0] != "'" and re.search(
        r"\b(?:for|in|after|every|wait|about|of|takes?|lasts?|timeout) (?:about )?$", before, re.I
    ):
        return None  # "for 30s" is a time in seconds
    return decade(int(match[3]))


def _counts(after: str) -> bool:
    """Whether the next word is something that is counted: a plural, a unit."""
    following = _NEXT_WORD.match(after)
    word = following[1] if following else ""
    is_plural = len(word) > 3 and word.islower() and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word in _COUNTED or (is_plural and word not in _NO_PLURALS)


def _bare_year(match: re.Match[str]) -> str | None:
    """Four digits without a comma: 1900 to 2099 are a year unless they count something, others where a word says so."""
    first, last = int(match["first"]), match["last"]
    before = match.string[max(0, match.start() - 12) : match.start()]
    after = match.string[match.end() : match.end() + 24]
    if last and len(last) == 2:
        if int(last) <= first % 100 or first < 1500:
            return None
        return f"{year(first)} to {cardinal(last)}"
    if last:
        return f"{year(first)} to {year(int(last))}" if first < int(last) else None
    if _counts(after):
        return None
    told = _YEAR_BEFORE.search(before) or _YEAR_AFTER.match(after)
    if not (told if 1000 <= first < 1900 or first >= 2100 else True):
        return None
    if first < 1100 and not (_YEAR_STRONG.search(before) or _YEAR_AFTER.match(after)):
        return None
    return year(first)


_PASSES = (
    (_ISO, lambda m: _date(int(m["month"]), m["day"], m["year"]) + " " * (m[0][-1] == "T")),
    (_SLASHED, _slashed),
    (_DAY_MONTH, _day_month),
    (_MONTH_DAY, _month_day),
    (_MONTH_YEAR, lambda m: f"{_month(m['month'])} {year(int(m['year']))}"),
    (_MONTH_DAY_ALONE, _month_day_alone),
    (_CLOCK_RANGE, lambda m: " to "),
    (_TIME, _time),
    (_HOUR, _hour),
    (_CLOCK, _clock),
    (_O_CLOCK, lambda m: cardinal(m[1])),
    (_DECADE, _decade),
    (_SHORT_YEAR, lambda m: _short_year(m[1])),
    (_BARE_YEAR, _bare_year),
)
