"""The words of a spoken text: what stands between blanks, with inline phonemes ``[[ ... ]]`` as atoms."""

import re

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


def items(text: str) -> list[tuple[str, str, int]]:
    """What a text consists of: ("plain" | "inline" | "mark", its characters, the word it stands in)."""
    return [
        (found.lastgroup, found[0][2:-2] if found.lastgroup == "inline" else found[0], index)
        for index, word in enumerate(spoken_words(text))
        for found in _ITEM.finditer(word)
    ]
