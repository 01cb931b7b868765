"""Long texts in chunks that are spoken one by one: whole sentences where they fit, never a torn word."""

import bisect
import itertools
import re
from dataclasses import dataclass

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.speech.text.normalize import NormalizedText
from resgen_tts.speech.text.tokens import word_spans

LONGEST_WORD = 60  # characters of a word that is never cut, however short the chunks: the longest English ones have 45
LONGEST_INLINE = 400
"""Characters of a word's inline phonemes that are spoken at once, which nothing may cut: some 25 s."""

_PIECE = re.compile(r"(?:\[\[[^\[\]]*\]\]|\S)[,.;:?!'\"]{0,4}")  # nothing less can stand at the end of a part of a word
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n|\u2029")
_WORD, _CLAUSE, _SENTENCE, _PARAGRAPH, _END = range(5)
_NAMES = ("word", "clause", "sentence", "paragraph", "end")
_AFTER_MARK = {**dict.fromkeys(",;:", _CLAUSE), **dict.fromkeys(".?!", _SENTENCE)}


@dataclass(frozen=True)
class Chunk:
    """A part of a spoken text.

    Args:
        text: its characters; a blank between two chunks ends the first.
        start: first character in the spoken text.
        end: the one behind the last.
        boundary: what ends it: "word", "clause", "sentence", "paragraph" or the text's "end".
    """

    text: str
    start: int
    end: int
    boundary: str


def split(text: NormalizedText, longest: int = 200, shortest: int = 20) -> list[Chunk]:
    """Split at paragraphs, else at sentences, else at clauses, else evenly at blanks; linear in the text's length.

    Sentences are packed together up to ``longest``. A chunk exceeds it by less than ``shortest`` where otherwise too
    short a rest would be left over, and by more only for one longer word. What is no word any more, such as a pasted
    key, is cut into equal parts of at most ``longest`` or :data:`LONGEST_WORD`, but never inside ``[[...]]``. A chunk
    shorter than ``shortest`` is joined to a neighbour where both fit. The chunks' texts, joined, are the spoken text.

    Args:
        text: what the normaliser made; abbreviations are words by now, so a full stop ends a sentence.
        longest: characters of a chunk.
        shortest: characters below which a chunk is not left alone.
    Raises:
        TextError: TEXT_INLINE_PHONEMES, more than :data:`LONGEST_INLINE` characters of them are one word.
    """
    if not 0 <= shortest <= longest or longest < 1:
        raise ConfigError(f"chunks need 0 <= shortest <= longest, got {shortest} and {longest}")
    spans = [part for span in word_spans(text.text) for part in _parts(text.text, span, longest)]
    if not spans:
        return [Chunk(text.text, 0, len(text.text), _NAMES[_END])] if text.text else []
    words = _Words(spans, _strengths(text, spans))
    cuts = _joined(words, _cuts(words, longest, shortest), longest, shortest)
    borders = [0, *(spans[cut + 1][0] for cut in cuts[:-1]), len(text.text)]
    return [
        Chunk(text.text[start:end], start, end, _NAMES[words.strength[cut]])
        for start, end, cut in zip(borders[:-1], borders[1:], cuts, strict=True)
    ]


@dataclass(frozen=True)
class _Words:
    """Spans of all words, and how strong the boundary behind each is."""

    spans: list[tuple[int, int]]
    strength: list[int]

    def length(self, first: int, last: int) -> int:
        """Characters of the words ``first`` to ``last``, both included."""
        return self.spans[last][1] - self.spans[first][0]


def _parts(text: str, span: tuple[int, int], longest: int) -> list[tuple[int, int]]:
    """A word, or the equal parts of one that is longer than a chunk."""
    start, end = span
    longest = max(longest, LONGEST_WORD)
    if end - start <= longest:
        return [span]
    size = -(-(end - start) // -(-(end - start) // longest))  # rounded up twice
    borders = [start]
    stop = start
    for piece in _PIECE.finditer(text, start, end):
        if len(piece[0]) > max(longest, LONGEST_INLINE):
            raise TextError(
                f"{piece[0][:20]}... are {len(piece[0])} characters of inline phonemes; at most {LONGEST_INLINE} can "
                "be spoken at once.",
                code="TEXT_INLINE_PHONEMES",
                hint="Close the brackets and open them again between two words.",
            )
        if piece.end() - borders[-1] > size and stop > borders[-1]:
            borders.append(stop)
        stop = piece.end()
    return list(itertools.pairwise([*borders, end]))


def _strengths(text: NormalizedText, spans: list[tuple[int, int]]) -> list[int]:
    strength = [_AFTER_MARK.get(text.text[start:end].rstrip("'\"")[-1:], _WORD) for start, end in spans]
    for word in _paragraph_ends(text, spans):
        strength[word] = _PARAGRAPH
    strength[-1] = _END
    return strength


def _paragraph_ends(text: NormalizedText, spans: list[tuple[int, int]]) -> list[int]:
    """Words before a blank line of the original."""
    lines = [match.start() for match in _BLANK_LINE.finditer(text.original)]
    if not lines:
        return []
    # A full stop that the normaliser adds may come from the blank line itself: only beginnings tell.
    starts = [text.span(start, end)[0] for start, end in spans]
    found = [bisect.bisect_left(starts, line) - 1 for line in lines]
    return [word for word in found if 0 <= word < len(spans) - 1]


def _cuts(words: _Words, longest: int, shortest: int) -> list[int]:
    """The last word of each chunk."""
    ends = [end for _, end in words.spans]
    paragraphs = [word for word, strength in enumerate(words.strength) if strength >= _PARAGRAPH]
    marks = [word for word, strength in enumerate(words.strength) if strength > _WORD]
    stops = [word for word, strength in enumerate(words.strength) if strength >= _SENTENCE]
    cuts, first = [], 0
    while first < len(ends):
        last = paragraphs[bisect.bisect_left(paragraphs, first)]
        if first < last and words.length(first, last) > longest:
            within = range(
                first, max(first, bisect.bisect_right(ends, words.spans[first][0] + longest, hi=last) - 1) + 1
            )
            cut = _best(words, within, shortest)
            if words.strength[cut] == _WORD:
                until_mark = marks[bisect.bisect_left(marks, first)]
                cut = _even(words, first, within[-1], until_mark, longest, ends)
            elif words.strength[cut] == _SENTENCE:
                cut = _with_orphan(words, cut, stops, longest, shortest)
            if cut < last and words.length(cut + 1, last) >= shortest:
                last = cut
        cuts.append(last)
        first = last + 1
    return cuts


def _best(words: _Words, within: range, shortest: int) -> int:
    """The last word of the strongest kind that leaves the chunk long enough, else the last one."""
    for wanted in (_SENTENCE, _CLAUSE):
        for word in reversed(within):
            if words.strength[word] >= wanted and words.length(within[0], word) >= shortest:
                return word
    return within[-1]


def _even(words: _Words, first: int, fitting: int, until_mark: int, longest: int, ends: list[int]) -> int:
    """Where the first of equal parts ends, so that no chunk of a text without marks is much shorter than the others."""
    size = words.length(first, until_mark)
    part = -(-size // -(-size // longest))  # rounded up twice
    inside = bisect.bisect_right(ends, words.spans[first][0] + part) - 1
    return min(fitting, max(first, inside))


def _with_orphan(words: _Words, cut: int, stops: list[int], longest: int, shortest: int) -> int:
    """The next sentence's end instead, where that is too short and would not fit to the one behind it either."""
    place = bisect.bisect_right(stops, cut)
    following = stops[place : place + 2]
    is_orphan = words.length(cut + 1, following[0]) < shortest and words.length(cut + 1, following[-1]) > longest
    return following[0] if is_orphan else cut


def _joined(words: _Words, cuts: list[int], longest: int, shortest: int) -> list[int]:
    """Join too short chunks: to the one before in their paragraph, else to the next, the last one to the one before."""
    kept: list[tuple[int, int]] = []  # first and last word

    def fits(first: int, last: int) -> bool:
        return words.length(first, last) <= longest

    first = 0
    for last in cuts:
        if kept and fits(kept[-1][0], last):
            is_short = words.length(first, last) < shortest and words.strength[kept[-1][1]] < _PARAGRAPH
            if is_short or words.length(*kept[-1]) < shortest:
                kept[-1] = (kept[-1][0], last)
                first = last + 1
                continue
        kept.append((first, last))
        first = last + 1
    if len(kept) > 1 and words.length(*kept[-1]) < shortest and fits(kept[-2][0], kept[-1][1]):
        kept[-2:] = [(kept[-2][0], kept[-1][1])]
    return [last for _, last in kept]
