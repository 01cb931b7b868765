"""Other normalisers behind :func:`normalize`: sentence by sentence, with the words that they changed traced back."""

import difflib
import re
from collections.abc import Callable

from resgen_tts.speech.text.cleanup import ATOM
from resgen_tts.speech.text.rewrite import TracedText

_LONGEST = 400  # characters at a time; aligning words is quadratic in them
_SENTENCE_END = re.compile(r"[.!?][\"')]*\s+(?=[\"'(]*[A-Z0-9])")
_WORD = re.compile(r"\S+")
_STRETCH = re.compile(rf"[^\n{ATOM}]+")


def rewrite_by(backend: str, traced: TracedText) -> TracedText:
    """Let a library ("wetext" or "nemo") read the text; inline phonemes are kept from it.

    Raises:
        MissingExtraError: the library is not installed.
    """
    if backend == "wetext":
        from resgen_tts.speech.text.wetext_backend import reader
    else:
        from resgen_tts.speech.text.nemo_backend import reader
    read = reader()
    return traced.edit(edit for first, end in _parts(traced.text) for edit in _edits(traced.text, first, end, read))


def _parts(text: str) -> list[tuple[int, int]]:
    """Spans of at most :data:`_LONGEST` characters, cut after a sentence where there is one, else at a blank."""
    parts = []
    for stretch in _STRETCH.finditer(text):
        first = stretch.start()
        while stretch.end() - first > _LONGEST:
            ends = [match.end() for match in _SENTENCE_END.finditer(text, first, first + _LONGEST)]
            cut = ends[-1] if ends else text.rfind(" ", first + 1, first + _LONGEST) + 1 or first + _LONGEST
            parts.append((first, cut))
            first = cut
        parts.append((first, stretch.end()))
    return parts


def _edits(text: str, first: int, end: int, read: Callable[[str], str]) -> list[tuple[int, int, str]]:
    """What the reader changed between two places, as edits of whole words."""
    old = [(match[0], match.start(), match.end()) for match in _WORD.finditer(text, first, end)]
    if not old:
        return []
    new = read(text[old[0][1] : old[-1][2]]).split()
    matcher = difflib.SequenceMatcher(None, [word for word, _, _ in old], new, autojunk=False)
    edits = []
    for change, old_first, old_end, new_first, new_end in matcher.get_opcodes():
        said = " ".join(new[new_first:new_end])
        if change == "insert":  # a word that stands there answers for what was put beside it
            beside = max(old_first - 1, 0)
            said = f"{said} {old[0][0]}" if old_first == 0 else f"{old[beside][0]} {said}"
            edits.append((old[beside][1], old[beside][2], said))
        elif change != "equal":
            edits.append((old[old_first][1], old[old_end - 1][2], said))
    return edits
