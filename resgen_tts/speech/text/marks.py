"""Quotes, dashes, brackets and repeated marks: what is left becomes words, blanks and the pause marks , . ; : ? !"""

import re

from resgen_tts.speech.text.cleanup import ATOM
from resgen_tts.speech.text.rewrite import Notes, TracedText

_INCH_QUOTE = re.compile(r"[\"\n]")
_WIDE = re.compile(r"[^\S\n]{2,}")
_EMPTY_LINES = re.compile(r"\n(?:[^\S\n]?\n)+")
_PARAGRAPH = re.compile(r"\s*\n[^\S\n]*\n\s*")
_LIST_ITEM = re.compile(r"\s*\n\s*(?:[-*+•–—]\s+|#{1,6}\s+)|\A\s*(?:[-*+•–—]|#{1,6})\s+")
_HYPHENATED = re.compile(r"(?<=[a-z])-[^\S\n]*\n[^\S\n]*(?=[a-z])")
_ELLIPSIS = re.compile(r"…|\.{2,}(?![/\\])|(?:\. ){2,6}\.")
_DASH = re.compile(r"—|-{2,}|–(?!\S)|(?<=\s)–|-(?<=\s-)(?=\s)")
_ENDING = re.compile(r"(?<=[a-z])\((s|es|ies|d|ed|r)\)")
_BRACKET = re.compile(r"[(\[{)\]}]")
_CLOSES_ALL = re.compile(r"[)\]}\"'\s]*(?:[,.;:?!]|$)")
_QUOTE = re.compile(r"'")
_ELISIONS = re.compile(
    r"'(?:tis|twas|twere|twill|em|cause|til|till|bout|round|neath|n|ere|im|er|is|old|ad|av|ave|ope|ouse|and|ow|nother|"
    r"tother|gainst|midst|fraid|kay)\b",
    re.IGNORECASE,
)
_SILENT = re.compile(r"[\"*_~|\\^`#/<>\u2212–-]")
_UNKNOWN = re.compile(rf"[^A-Za-z' ,.;:?!\n{ATOM}]")
_BLANKS = re.compile(r"\s\s+|[^\S ]")
_BLANK_BEFORE = re.compile(r" +(?=[,.;:?!])")
_MARKS = re.compile(r"[,.;:?!](?:\s*[,.;:?!])+")
_NO_BLANK_AFTER = re.compile(rf"[,.;:?!](?=[A-Za-z'{ATOM}])")
_ENDS = re.compile(r"\A[\s,.;:?!]+|\s+\Z")
_RANK = "?!.:;,"


def mark_inches(traced: TracedText) -> TracedText:
    """A straight double quote behind a digit means inches, unless it closes a quotation of the same line."""
    edits, is_open = [], False
    for match in _INCH_QUOTE.finditer(traced.text):
        if match[0] == "\n":
            is_open = False
        elif not is_open and traced.text[max(0, match.start() - 1) : match.start()].isdecimal():
            edits.append((match.start(), match.end(), "″"))
        else:
            is_open = not is_open
    return traced.edit(edits)


def break_lines(traced: TracedText) -> TracedText:
    """Ellipses pause, paragraphs and list items end the sentence; a word broken over two lines is put together."""
    traced = traced.sub(_WIDE, " ").sub(_EMPTY_LINES, "\n\n")  # so that no run of blanks is read twice below
    return traced.sub(_ELLIPSIS, _ellipsis).sub(_HYPHENATED, "").sub(_LIST_ITEM, _stop).sub(_PARAGRAPH, _stop)


def _stop(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - 1) : match.start()]
    return "" if not before else "\n" if before in ",.;:?!…" else ".\n"


def keep_apostrophes(traced: TracedText) -> TracedText:
    """Single quotes around words go, apostrophes in and at words stay ("'tis the dogs' tails")."""
    text, edits = traced.text, []
    opened = None
    for match in _QUOTE.finditer(text):
        place = match.start()
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        if before.isalnum() and after.isalnum():
            continue
        if after.isalnum() and not before.isalnum():
            if not _ELISIONS.match(text, place):
                opened = place
            continue
        closes = opened is not None and "\n" not in text[max(opened, place - 400) : place] and place - opened < 400
        if closes:
            edits += [(opened, opened + 1, " "), (place, place + 1, " ")]
            opened = None
        elif not before.isalnum():
            edits.append((place, place + 1, " "))
    return traced.edit(sorted(edits))


def say_marks(traced: TracedText, notes: Notes) -> TracedText:
    """Dashes and brackets pause, ellipses too; quotes and signs of layout go; strangers are named."""
    traced = traced.sub(_DASH, ", ")
    traced = pause_at_brackets(traced.sub(_ENDING, lambda m: m[1]))
    traced = keep_apostrophes(traced).sub(_SILENT, " ")
    notes.unspoken.update(_UNKNOWN.findall(traced.text))
    return traced.sub(_UNKNOWN, " ")


def _ellipsis(match: re.Match[str]) -> str:
    after = match.string[match.end() : match.end() + 3].lstrip()
    if after[:1] in tuple(",;:?!"):
        return ""
    return ", " if after[:1].islower() else ". "


def pause_at_brackets(traced: TracedText) -> TracedText:
    """A pause where a bracket stands free, none where it follows a word without a blank ("f(x)") or where all ends."""
    edits, inside_word = [], []
    for match in _BRACKET.finditer(traced.text):
        place = match.start()
        if match[0] in "([{":
            inside_word.append(traced.text[max(0, place - 1) : place].isalnum())
            new = " " if inside_word[-1] else ", "
        else:
            is_inside = inside_word.pop() if inside_word else False
            new = " " if is_inside or _CLOSES_ALL.match(traced.text, place + 1, place + 40) else ", "
        edits.append((place, place + 1, new))
    return traced.edit(edits)


def tidy(traced: TracedText) -> TracedText:
    """One blank between words, one mark at a pause, none at the beginning."""
    traced = (
        traced.sub(_BLANKS, " ").sub(_MARKS, lambda m: min(set(m[0]) - {" "}, key=_RANK.index)).sub(_BLANK_BEFORE, "")
    )
    return traced.sub(_NO_BLANK_AFTER, lambda m: m[0] + " ").sub(_ENDS, "")
