"""Rewriting a text while every character remembers which characters of the original it came from."""

import bisect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int32

Replacement = Callable[[re.Match[str]], str | None]
_JOINS_A_WORD = re.compile(r"[^\s'\"(){}\[\].,;:?!\-/]")


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written as a text."""
    return frozenset(text.split())


@dataclass
class Notes:
    """What the passes over one text left out, for its warnings (sets, so that a long text makes a short warning)."""

    controls: set[str] = field(default_factory=set)
    markup: set[str] = field(default_factory=set)
    unspoken: set[str] = field(default_factory=set)
    phonemes: list[str] = field(default_factory=list)  # in order: brackets of inline phonemes that are none

    def warnings(self, listed: int = 20) -> tuple[str, ...]:
        """One line per code, naming at most ``listed`` things each."""
        found = (
            ("TEXT_CONTROL_CHARS: removed", {f"U+{ord(character):04X}" for character in self.controls}),
            ("TEXT_MARKUP: not read aloud", self.markup),
            ("TEXT_UNSUPPORTED_CHARS: not spoken", {_shown(what) for what in self.unspoken}),
        )
        lines = []
        for said, things in found:
            more = f" and {len(things) - listed} more" if len(things) > listed else ""
            lines += [f"{said}: {' '.join(sorted(things)[:listed])}{more}"] * bool(things)
        more = f" and {len(self.phonemes) - listed} more" if len(self.phonemes) > listed else ""
        lines += [f"TEXT_INLINE_PHONEMES: {', '.join(self.phonemes[:listed])}{more}"] * bool(self.phonemes)
        return tuple(lines)


def _shown(what: str) -> str:
    return "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in what)


@dataclass(frozen=True)
class TracedText:
    """A text on its way from written to spoken.

    Args:
        text: the present form.
        origins: half-open span of original characters behind each present character; starts and ends never fall.
    """

    text: str
    origins: Int32[np.ndarray, "N 2"]

    @classmethod
    def start(cls, text: str) -> "TracedText":
        """A text that nothing has happened to: each character stands for itself."""
        first = np.arange(len(text), dtype=np.int32)
        return cls(text, np.stack([first, first + 1], 1))

    def edit(self, edits: Iterable[tuple[int, int, str]]) -> "TracedText":
        """Put other characters in place of some.

        What an edit leaves equal at its two ends still stands for itself; each character between stands for all that
        was between.

        Args:
            edits: (first, end, replacement) in rising order, without overlap, none empty (``first < end``).
        """
        changes: list[tuple[int, int, str]] = []
        for first, end, new in edits:
            assert first < end, "an edit must hold something"
            old = self.text[first:end]
            if old == new:
                continue
            head, tail, shorter = 0, 0, min(len(old), len(new))
            while head < shorter and old[head] == new[head]:
                head += 1
            while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
                tail += 1
            if head + tail == len(old):  # a pure insertion: the character before it (or after it) answers for it
                head, tail = (head - 1, tail) if head else (head, tail - 1)
            changes.append((first + head, end - tail, new[head : len(new) - tail]))
        return self._changed(changes) if changes else self

    def _changed(self, changes: list[tuple[int, int, str]]) -> "TracedText":
        """Copies and changes in turn: what is copied keeps its origin, a change has that of all it replaces."""
        first, end, length = np.array([(first, end, len(new)) for first, end, new in changes]).T
        copied_from, copied_to = np.append(0, end), np.append(first, len(self.text))
        assert (copied_from <= copied_to).all(), "edits must rise and not overlap"
        begin = np.stack(
            [copied_from, np.append(first, 0)], 1
        ).ravel()  # copy, change, copy, ..., and no change at last
        size = np.stack([copied_to - copied_from, np.append(length, 0)], 1).ravel()
        final = np.stack([copied_to, np.append(end, 1)], 1).ravel() - 1
        is_copy = np.repeat(np.arange(len(size)) % 2 == 0, size)
        place = np.arange(size.sum()) - np.repeat(size.cumsum() - size, size)
        begin = np.repeat(begin, size) + is_copy * place
        final = np.where(is_copy, begin, np.repeat(final, size))
        pieces, done = [], 0
        for change_first, change_end, new in changes:
            pieces += [self.text[done:change_first], new]
            done = change_end
        pieces.append(self.text[done:])
        return TracedText("".join(pieces), np.stack([self.origins[begin, 0], self.origins[final, 1]], 1))

    def sub(self, pattern: re.Pattern[str], replace: Replacement | str) -> "TracedText":
        """Replace every match by what ``replace`` makes of it; None leaves it as it is."""
        if isinstance(replace, str):
            return self.edit((match.start(), match.end(), replace) for match in pattern.finditer(self.text))
        found = ((match, replace(match)) for match in pattern.finditer(self.text))
        return self.edit((match.start(), match.end(), new) for match, new in found if new is not None)

    def say(self, pattern: re.Pattern[str], words: Replacement) -> "TracedText":
        """Like :meth:`sub` for spoken words: blanks keep them apart from letters and signs that stood close by."""

        edits = []
        for match in pattern.finditer(self.text):
            said = words(match)
            if said is not None:
                first, end = match.span()
                before, after = self.text[max(0, first - 1) : first], self.text[end : end + 1]
                said = " " * bool(_JOINS_A_WORD.match(before)) + said + " " * bool(_JOINS_A_WORD.match(after))
                edits.append((first, end, said))
        return self.edit(edits)

    def say_while(self, there: re.Pattern[str], passes: Iterable[tuple[re.Pattern[str], Replacement]]) -> "TracedText":
        """:meth:`say` pass after pass, as long as the text holds what they all need (such as a digit)."""
        traced = self
        for pattern, words in passes:
            if not there.search(traced.text):
                break
            traced = traced.say(pattern, words)
        return traced


class Spans:
    """Disjoint rising spans of a text, asked whether a place lies in one of them."""

    def __init__(self, spans: Iterable[tuple[int, int]]):
        self._bounds = [bound for span in spans for bound in span]

    def __contains__(self, place: int) -> bool:
        return bisect.bisect_right(self._bounds, place) % 2 == 1
