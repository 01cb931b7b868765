"""The words of a spoken text: what stands between blanks, with inline phonemes ``[[ ... ]]`` as atoms."""

import collections
import re

from resgen_tts.speech.text.kept_words import find_words

MARKS = ",.;:?!"
# No bracket inside, so that a text full of "[[" is read in linear time.
_INLINE = r"\[\[[^\[\]]*\]\]"
_WORD = re.compile(rf"(?:{_INLINE}|\S)+")
_ITEM = re.compile(rf"(?P<inline>{_INLINE})|(?P<mark>[{re.escape(MARKS)}]+)|(?P<plain>(?:(?!{_INLINE})[^\s{MARKS}])+)")


def word_spans(text: str) -> list[tuple[int, int]]:
    """Half-open spans of the words; the words that ``EncodedText.words`` counts."""
    return [match.span() for match in _WORD.finditer(text)]


def spoken_words(text: str) -> list[str]:
    """The words themselves, with the marks that stand at them."""
    return _WORD.findall(text)


def items(text: str, keep: frozenset[str] = frozenset()) -> list[tuple[str, str, int]]:
    """What a text consists of: ("plain" | "inline" | "mark" | "kept", its characters, the word it stands in).

    Args:
        keep: words of a lexicon; each is one item with the signs and marks inside it and the ``'s`` at it.
    """
    kept = collections.deque(find_words(text, keep))
    found: list[tuple[str, str, int]] = []
    for index, (start, end) in enumerate(word_spans(text)):
        own = []
        while kept and kept[0][0] < end:
            own.append(kept.popleft())
        for first, stop in [*own, (end, end)]:
            between = _ITEM.finditer(text, start, first)
            # The quotes around a kept word are no words.
            pieces = [piece for piece in between if not own or piece.lastgroup != "plain" or piece[0].strip("'")]
            found += [(p.lastgroup, p[0][2:-2] if p.lastgroup == "inline" else p[0], index) for p in pieces]
            if first < stop:
                found.append(("kept", text[first:stop], index))
            start = stop
    return found
