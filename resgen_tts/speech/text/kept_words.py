"""Words of a lexicon in a text: whole words, whatever their case, with the signs inside them (``co-op``, ``c++``)."""

import functools
import re
import unicodedata

from resgen_tts.speech.text.cleanup import ATOM
from resgen_tts.speech.text.rewrite import TracedText

POSSESSIVE = "'s"  # may follow any of the words
_LETTER = r"[\w\u0300-\u036f]"  # with the accents that stand by themselves
_QUOTES = "\"'‘’“”"
# What no word is looked for in, or a place where one may begin.
_START = re.compile(
    rf"\[\[[^\[\]\n]{{1,2000}}\]\]|(?:\b[a-z]{{3,5}}://|\bwww\.)\S+|(?<!{_LETTER})(?P<word>\S)", re.IGNORECASE
)
# "x.sql", "O'Sql", "AT&SQL" and "SQL++" are other words; a sign or digit at the border needs more room, so that no "1"
# is found in "$1.50".
_BEFORE_LETTER = re.compile(rf"(?<!{_LETTER}[.@&'’])")
_BEFORE_OTHER = re.compile(rf"(?<![^\s{_QUOTES}([{{–—])")
_AFTER_LETTER = re.compile(rf"(?:['’]s(?!{_LETTER}))?(?!{_LETTER}|[.@&'’]{_LETTER}|[+#])", re.IGNORECASE)
_AFTER_OTHER = re.compile(rf"(?:['’]s(?!{_LETTER}))?(?=[\s{_QUOTES})\]}},;:!?.…–—-]|\Z)(?![.,:–-]\d)", re.IGNORECASE)


def fold_word(word: str) -> str:
    """The one form of a word under which it is kept and found: small letters, composed, straight apostrophes."""
    return unicodedata.normalize("NFC", word.strip().lower()).replace("’", "'")


def find_words(text: str, words: frozenset[str]) -> list[tuple[int, int]]:
    """Half-open spans of the words in a text, each with the ``'s`` at it; the longest where several begin.

    None is found inside ``[[ ... ]]`` and addresses. The time is linear in the text.

    Args:
        words: as :func:`fold_word` gives them.
    """
    if not words:
        return []
    forms, lengths_of = _forms(words)
    spans, place = [], 0
    while start := _START.search(text, place):
        place = start.end()
        lengths = lengths_of.get((start["word"] or "").lower())
        if lengths and (end := _end(text, start.start(), forms, lengths)):
            spans.append((start.start(), end))
            place = end
    return spans


def take_words(
    traced: TracedText, atoms: list[TracedText], words: frozenset[str]
) -> tuple[TracedText, list[TracedText]]:
    """Put :data:`~cleanup.ATOM` in place of each of the words, too.

    Args:
        atoms: what was taken before; one that went with a tag or a comment around it is left out.
    Returns:
        the text, and all atoms in its order.
    """
    spans = find_words(traced.text, words)
    atom_at = {int(atom.origins[0, 0]): atom for atom in atoms}
    for first, end in spans:
        kept = TracedText(traced.text[first:end].replace("’", "'"), traced.origins[first:end])
        atom_at[int(kept.origins[0, 0])] = kept
    traced = traced.edit((first, end, ATOM) for first, end in spans)
    return traced, [atom_at[int(traced.origins[match.start(), 0])] for match in re.finditer(ATOM, traced.text)]


@functools.lru_cache(maxsize=8)
def _forms(words: frozenset[str]) -> tuple[frozenset[str], dict[str, list[int]]]:
    """The words with their accents composed and by themselves; by first character, all their lengths, longest first."""
    forms = words | {unicodedata.normalize("NFD", word) for word in words}
    lengths: dict[str, set[int]] = {}
    for form in forms:
        lengths.setdefault(form[:1], set()).add(len(form))
    lengths["’"] = lengths.get("'", set())
    return forms, {first: sorted(own, reverse=True) for first, own in lengths.items()}


def _end(text: str, first: int, forms: frozenset[str], lengths: list[int]) -> int | None:
    """Where the longest word that begins here ends, or None."""
    before = _BEFORE_LETTER if text[first].isalpha() else _BEFORE_OTHER
    if not before.match(text, first):
        return None
    for length in lengths:
        word = text[first : first + length]
        if len(word) == length and word.lower().replace("’", "'") in forms:
            after = _AFTER_OTHER if not (word[-1].isalpha() or unicodedata.combining(word[-1])) else _AFTER_LETTER
            if found := after.match(text, first + length):
                return found.end()
    return None
