"""Abbreviations by position, Latin ones, initials."""

import re

from resgen_tts.speech.text.rewrite import TracedText
from resgen_tts.speech.text.sentence_ends import STARTER, STARTER_FOLLOWS

# Before a name, always followed by one: the full stop never ends a sentence.
_TITLES = {
    "Mr": "mister", "Mrs": "missus", "Ms": "miss", "Dr": "doctor", "Prof": "professor", "Rev": "reverend",
    "Hon": "honorable",
    "Gen": "general", "Col": "colonel", "Maj": "major", "Capt": "captain", "Lt": "lieutenant", "Sgt": "sergeant",
    "Cpl": "corporal",
    "Cmdr": "commander", "Adm": "admiral", "Sen": "senator", "Rep": "representative", "Gov": "governor",
    "Pres": "president",
    "St": "saint", "Ste": "saint", "Mt": "mount", "Ft": "fort", "Fr": "father", "Br": "brother",
    "Supt": "superintendent",
    "Messrs": "messieurs", "Mme": "madame", "Mlle": "mademoiselle",
}  # fmt: skip
_WITHOUT_DOT = "Mr|Mrs|Ms|Dr|Prof|St|Mt|Lt|Sgt|Capt|Col|Rev"
STREETS = {
    "Dr": "Drive", "St": "Street", "Ave": "Avenue", "Av": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place", "Sq": "Square", "Hwy": "Highway", "Pkwy": "Parkway", "Ter": "Terrace", "Cres": "Crescent",
    "Expy": "Expressway",
}  # fmt: skip
_AFTER_NAMES = {
    "Jr": "junior", "Sr": "senior", "Esq": "esquire", "Inc": "incorporated", "Ltd": "limited", "Corp": "corporation",
    "Co": "company",
    "Bros": "brothers", "Assn": "association", "Univ": "university", "Dept": "department", "Mfg": "manufacturing",
    "Intl": "international",
}  # fmt: skip
_ANYWHERE = {
    "etc": "et cetera", "vs": "versus", "approx": "approximately", "dept": "department", "govt": "government",
    "misc": "miscellaneous",
    "max": "maximum", "incl": "including", "excl": "excluding", "tel": "telephone", "ext": "extension",
    "viz": "namely",
    "cf": "compare", "esp": "especially", "assoc": "associate", "asst": "assistant", "apt": "apartment",
    "appt": "appointment",
    "avg": "average", "abbr": "abbreviation", "temp": "temperature", "tbsp": "tablespoon", "tsp": "teaspoon",
    "hrs": "hours", "mins": "minutes", "secs": "seconds", "lbs": "pounds", "yrs": "years", "est": "established",
    "resp": "respectively",
}  # fmt: skip
_BEFORE_NUMBERS = {
    "no": "number", "nos": "numbers", "nr": "number", "p": "page", "pp": "pages", "pg": "page", "fig": "figure",
    "figs": "figures",
    "vol": "volume", "vols": "volumes", "ch": "chapter", "chap": "chapter", "sec": "section", "eq": "equation",
    "ext": "extension", "ca": "circa",
    "c": "circa", "est": "established", "art": "article", "ver": "version", "apt": "apartment", "ste": "suite",
    "rm": "room", "tab": "table",
    "ed": "edition", "par": "paragraph", "op": "opus", "pt": "part", "min": "minimum", "max": "maximum",
    "v": "verse", "vv": "verses",
}  # fmt: skip
_LATIN = re.compile(
    r"(?<![A-Za-z.])(e\. ?g\.|i\. ?e\.|et al\.|a\.k\.a\.|w/o|w/|b/c|c/o|n/a)"
    r"(?:(?<=/)|(?<=/[oca])|(?![A-Za-z]))(,)?",
    re.IGNORECASE,
)
_LATIN_SAID = {
    "e.g.": "for example", "i.e.": "that is", "et al.": "and others", "a.k.a.": "also known as", "w/o": "without ",
    "w/": "with ",
    "b/c": "because ", "c/o": "care of ", "n/a": "not applicable",
}  # fmt: skip


def _either(words: dict[str, str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_NUMBERED = re.compile(
    rf"(?<![A-Za-z.'])({_either(_BEFORE_NUMBERS)})\.\s?(?=#?\d|(?-i:[IVXL]{{1,6}})\b)", re.IGNORECASE
)
_STREET = re.compile(
    rf"(?<=[a-z\d] )(?<=[A-Za-z\d] )({_either(STREETS)})(?:\.|(?=\s*$|[,;!?]))"
    r"(?=\s*$|\s*[,;:!?)]|\s+[A-Za-z\d(])"
)
_NAME_BEFORE = re.compile(
    r"(?:\b(?P<number>\d{1,6}[A-Za-z]?|\w+) )?(?P<name>[A-Z][\w'-]*|[a-z]*(?:first|second|third|th)) $"
)
_TITLE = re.compile(rf"(?<![A-Za-z.'])(?:({_either(_TITLES)})\.(?!\s+{STARTER})|({_WITHOUT_DOT}))(?=\s+[A-Z]|-[A-Z])")
_SMALL_TITLE = re.compile(r"(?<![A-Za-z.'])(mr|mrs|ms|dr|st|prof)\.(?=\s|$)", re.IGNORECASE)
_AFTER_NAME = re.compile(rf"(?<![A-Za-z.'])({_either(_AFTER_NAMES)})\.(?![A-Za-z])")
_AFTER_NAME_PLAIN = re.compile(r"(?<=[a-z] )(Jr|Sr|Inc|Ltd|Corp|Bros)(?![\w.])|(?<=[a-z], )(Jr|Sr|Inc|Ltd)(?![\w.])")
_PLAIN = re.compile(
    rf"(?<![A-Za-z.'])({_either(_ANYWHERE)})\.(?![A-Za-z])|(?<![A-Za-z.'])(vs)(?![A-Za-z.'])", re.IGNORECASE
)
_VERSUS = re.compile(r"(?<=[A-Za-z]\s)v\.?(?=\s[A-Z])")
_DEGREE = re.compile(r"(?<![A-Za-z.])(Ph\.? ?D|M\.? ?Sc|B\.? ?Sc|M\.?B\.?A|D\.?Phil)(\.?)(?![A-Za-z])")
_DEGREES = {"phd": "P H D", "msc": "M S C", "bsc": "B S C", "mba": "M B A", "dphil": "D Phil"}
_INITIAL = re.compile(r"(?<![A-Za-z.'])([A-Z])\.(?=\s?[A-Z][a-z]|\s[A-Z]\.)")
_INITIAL_BEFORE = re.compile(
    r"(?:^|[A-Z][\w'-]*\s|[A-Z]\s|[\"'(,;:]\s?|\b(?:by|and|of|with|to|from|for|in|the|doctor|mister|missus|miss|professor)\s)$"
)
_TIME_BEFORE = re.compile(
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{2,5}teen|twenty|thirty|forty|fifty) [AP] $"
)
_CLOSES = re.compile(r"[\"')\]]*\s*$|[\"')\]]*\s+[\"'(]*[A-Z]")


def say_before_numbers(traced: TracedText) -> TracedText:
    """What must be read while the number behind it still stands in digits: "No. 5", "pp. 3-4"."""
    return traced.sub(_NUMBERED, _numbered).say(_LATIN, _latin)


def say_abbreviations(traced: TracedText) -> TracedText:
    """Titles, streets, companies, Latin, initials."""
    traced = traced.sub(_DEGREE, lambda m: _DEGREES[re.sub("[^a-z]", "", m[1].lower())] + _stop(m, bool(m[2])))
    traced = traced.sub(_STREET, _street)
    traced = traced.sub(_TITLE, lambda m: _TITLES[m[1] or m[2]])
    traced = traced.sub(_AFTER_NAME, lambda m: _AFTER_NAMES[m[1]] + _stop(m))
    traced = traced.sub(_AFTER_NAME_PLAIN, lambda m: _AFTER_NAMES[m[1] or m[2]])
    traced = traced.sub(_PLAIN, lambda m: _ANYWHERE[(m[1] or m[2]).lower()] + _stop(m, bool(m[1])))
    traced = traced.sub(_SMALL_TITLE, _small_title)
    return traced.sub(_VERSUS, "versus").sub(_INITIAL, _initial)


def _numbered(match: re.Match[str]) -> str | None:
    if match[1].lower() == "no" and re.match(r"I\b", match.string[match.end() : match.end() + 2]):
        return None
    return _BEFORE_NUMBERS[match[1].lower()] + " "


def _stop(match: re.Match[str], has_dot: bool = True) -> str:
    """The full stop of an abbreviation where it also ends the sentence."""
    return "." * bool(has_dot and _CLOSES.match(match.string[match.end() : match.end() + 12]))


def _latin(match: re.Match[str]) -> str:
    written = match[1].lower().replace(". ", ".") if match[1].lower() != "et al." else "et al."
    said = _LATIN_SAID[written]
    if written in {"e.g.", "i.e."}:
        return said + ","
    return said + (match[2] or "") + _stop(match, written == "et al." and not match[2])


def _street(match: re.Match[str]) -> str | None:
    """A street where a name stands before and none after, or where a house number leads ("42 Elm Dr. Springfield")."""
    before = _NAME_BEFORE.search(match.string[max(0, match.start() - 60) : match.start()])
    if not before:
        return None
    after = match.string[match.end() : match.end() + 40]
    ends = bool(STARTER_FOLLOWS.match(after))
    if re.match(r"\s+[A-Z]", after) and not ends and not (before["number"] or "")[:1].isdecimal():
        return None
    has_dot = match[0].endswith(".")
    return STREETS[match[1]] + "." * (has_dot and (ends or not after.strip()))


def _small_title(match: re.Match[str]) -> str:
    title = match[1][0].upper() + match[1][1:].lower()
    return _TITLES[title] + "." * (not match.string[match.end() : match.end() + 5].strip())


def _initial(match: re.Match[str]) -> str | None:
    before = match.string[max(0, match.start() - 30) : match.start()]
    if STARTER_FOLLOWS.match(match.string, match.end(), match.end() + 40):
        return None  # the last letter of "in the U S. The law", not of a name
    if match[1] == "M" and _TIME_BEFORE.search(before):
        return None
    return match[1] if _INITIAL_BEFORE.search(before) else None
