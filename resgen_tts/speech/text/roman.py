"""Roman numerals in names: Louis XIV, World War II, Chapter IV, MCMXCIX."""

import re

from resgen_tts.speech.text.numbers import cardinal, ordinal, roman, year
from resgen_tts.speech.text.rewrite import TracedText, word_set

_NUMERAL = re.compile(r"[IVXLCDM][IVXLCDM]{0,14}(?![\w']*[a-z0-9])(?![A-Z_])")
_LOOK_BACK = 40  # characters
_WORD_BEFORE = re.compile(r"(?:([A-Za-z]+)\s)?([A-Za-z]+)\s\Z")
_PLURALS = re.compile(r"s\Z")
_PRONOUN = re.compile(r"\s(?!(?:of|errors?|diabetes|and|was|is|in)\b)(?:[a-z]|'[a-z])")  # "Chapter I wrote"
_AFTER_FIRST = re.compile(r"\s*$|\s*[,.;:!?)\"]|'s\b|\s(?:of|reigned|ruled|died|and)\b")  # "Elizabeth I died"
_ALONE = re.compile(
    r"I{2,3}|VI{1,3}|IX|XI{1,3}|XI?V|XVI{1,3}|XIX|XXI{1,3}|MCM[XLVI]{1,8}|MM[XVI]{2,6}|MD?CC[CXLVI]{2,9}"
)
_NO_NUMERALS = frozenset({"CD", "DC", "MC", "MD", "CC", "DI", "MI", "MIX", "CV", "DM", "MM", "LCD", "XL", "XXL", "DIV"})


_COUNTED = word_set(
    """chapter part act scene volume book section article appendix phase type class level episode season stage grade
    title figure table bowl mark apollo gemini war page unit step group division amendment schedule canto sonnet psalm
    number verse annex tier category factor saturn titan pages"""
)
_CROWNS = word_set("King Queen Pope Emperor Empress Tsar Kaiser Sultan Prince Duke Saint saint")
_RULERS = _CROWNS | word_set(
    """Louis Henry Edward George Charles Elizabeth James William Richard Paul Pius Benedict Gregory Francis Frederick
    Philip Peter Catherine Alexander Nicholas Napoleon Leo Innocent Clement Urban Mary Robert David Alfonso Ferdinand
    Otto Ivan Gustav Christian Harald Haakon Olav Carl Leopold Albert Baudouin Carlos Felipe Isabella Mehmed Murad Selim
    Suleiman Ramses Ramesses Ptolemy Cleopatra Darius Xerxes Cyrus Constantine Theodosius Justinian Ludwig Wilhelm
    Friedrich Franz Joseph Karl Maximilian Rudolf Stephen Boris Umberto Emmanuel Emanuel Pedro Sixtus Boniface Celestine
    Honorius Adrian Julius Eugene Martin Callixtus Kenneth Duncan Thutmose Amenhotep Seti Edmund Margaret Margrethe
    Beatrix Willem Juan John Rainier Hussein Abdullah Farouk Fuad Tiberius Basil Leonidas Antiochus Philippe Humbert
    Vittorio Menelik Michael Carol Matthias Sigismund Anne"""
)


def say_roman(traced: TracedText) -> TracedText:
    """Ordinals after rulers, cardinals after what is counted and after other names, years on title pages."""
    return traced.sub(_NUMERAL, _numeral)


def _numeral(match: re.Match[str]) -> str | None:
    text, numeral, (first, end) = match.string, match[0], match.span()
    value = roman(numeral)
    before = text[max(0, first - _LOOK_BACK) : first]
    if (
        not value
        or before[-1:].isalnum()
        or before[-1:] in tuple("'._-&+")
        or re.match(r"\.\w|-[a-z]|&", text[end : end + 2])
    ):
        return None
    after = text[end : end + 12]
    names = _WORD_BEFORE.search(before)
    earlier, name = (names[1] or "", names[2]) if names else ("", "")
    if name.lower() in _COUNTED or _PLURALS.sub("", name.lower()) in _COUNTED:
        return None if numeral == "I" and (name.isupper() or _PRONOUN.match(after)) else cardinal(str(value))
    if numeral in _NO_NUMERALS:
        return None
    is_many = len(numeral) > 1
    if name in _RULERS or (is_many and earlier in _RULERS and name[:1].isupper()):
        if is_many or numeral in "VX" or (numeral == "I" and (earlier in _CROWNS or _AFTER_FIRST.match(after))):
            return f"the {ordinal(str(value))}"
        return None
    if name[:1].isupper() and name[1:].islower() and is_many and set(numeral) <= set("IVX"):
        return cardinal(str(value)) if numeral != "IV" or name not in {"An", "The"} else None
    if _ALONE.fullmatch(numeral):
        return year(value) if value > 1000 else cardinal(str(value))
    return None
