"""From spoken text to rows of symbols, each with the word that it belongs to."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.speech.text.lexicon import Lexicon
from resgen_tts.speech.text.symbols import PAUSE, check_units
from resgen_tts.speech.text.tokens import MARKS, items, word_spans

# What the g2p reads in the place of inline phonemes and of words with signs in them, so that the words around it are
# said as before a word.
_STAND_IN = "thing"
_READABLE = re.compile(r"[A-Za-z']+")


@dataclass(frozen=True)
class Spelled:
    """Symbols of one text, without silences; ``words``: the word of each, -1 for pauses and marks."""

    symbols: tuple[str, ...]
    words: tuple[int, ...]


def spell(texts: list[str], units: str, lexicon: Lexicon | None = None) -> list[Spelled]:
    """Split spoken texts into the symbols of ``units``.

    Words of the lexicon are said as it says, inline phonemes ``[[ ... ]]`` as they stand there.

    Raises:
        TextError: TEXT_INLINE_PHONEMES where the units know no phonemes.
        ConfigError: unknown units, or a lexicon for units without phonemes.
    """
    check_units(units)
    if units in ("bytes", "byt5"):
        if lexicon is not None:
            raise ConfigError(f"a lexicon gives phonemes; a model of {units} knows none")
        return [_spell_bytes(text, units) for text in texts]
    return _spell_phones(texts, units, lexicon)


def _pronouncer(units: str) -> Callable[[list[list[str]]], list[list[tuple[str, int]]]]:
    if units == "arpabet":
        from resgen_tts.speech.text.arpabet import pronounce
    else:
        from resgen_tts.speech.text.phonemes import pronounce
    return pronounce


def _spell_bytes(text: str, units: str) -> Spelled:
    if any(kind == "inline" for kind, _, _ in items(text)):
        raise TextError(
            f"the text holds inline phonemes, but a model of {units} reads letters and knows no phonemes.",
            code="TEXT_INLINE_PHONEMES",
            hint="Write the word in letters, or use a model of phonemes.",
        )
    text = text.strip()  # a chunk ends with the blank before the next one
    owners = [-1] * len(text)
    for index, (start, end) in enumerate(word_spans(text)):
        for place in range(start, end):
            owners[place] = -1 if text[place] in MARKS else index
    symbols, words = [], []
    for character, owner in zip(text, owners, strict=True):
        # ByT5 was trained on text as it is written; our own bytes fold case.
        encoded = (character if units == "byt5" else character.lower()).encode("utf-8")
        symbols.extend(chr(byte) for byte in encoded)
        words.extend([owner] * len(encoded))
    return Spelled(tuple(symbols), tuple(words))


def _spell_phones(texts: list[str], units: str, lexicon: Lexicon | None) -> list[Spelled]:
    """All runs of words between marks go to the g2p at once."""
    found = [_runs(text, units, lexicon or Lexicon({})) for text in texts]
    said = iter(_pronouncer(units)([run.words for parts in found for run in parts if isinstance(run, _Run)]))
    return [_assemble(parts, said) for parts in found]


@dataclass(frozen=True)
class _Run:
    """Words between two marks: what the g2p reads, the place of each in the text, and those said otherwise."""

    words: list[str]
    places: list[int]
    given: dict[int, tuple[str, ...]]


def _runs(text: str, units: str, lexicon: Lexicon) -> list[_Run | str]:
    parts: list[_Run | str] = []
    for kind, characters, place in items(text, lexicon.words):
        if kind == "mark":
            parts.append(characters[0])
            continue
        if not parts or isinstance(parts[-1], str):
            parts.append(_Run([], [], {}))
        run = parts[-1]
        if kind == "inline":
            run.given[len(run.words)] = tuple(characters.split())
        elif kind == "kept":
            run.given[len(run.words)] = lexicon.get(characters, units)
        is_readable = kind == "plain" or (kind == "kept" and _READABLE.fullmatch(characters))
        run.words.append(characters if is_readable else _STAND_IN)
        run.places.append(place)
    return parts


def _assemble(parts: list[_Run | str], said) -> Spelled:
    symbols: list[str] = []
    words: list[int] = []
    for part in parts:
        if isinstance(part, str):
            symbols.append(part)
            words.append(-1)
            continue
        row = _replace_given(next(said), part.given)
        if symbols and row:
            row = [(PAUSE, -1), *row]
        symbols.extend(symbol for symbol, _ in row)
        words.extend(-1 if owner < 0 else part.places[owner] for _, owner in row)
    return Spelled(tuple(symbols), tuple(words))


def _replace_given(row: list[tuple[str, int]], given: dict[int, tuple[str, ...]]) -> list[tuple[str, int]]:
    """Put the given symbols in the place of a word's own, with a pause to either side."""
    if not given:
        return row
    waiting = sorted(given)
    result: list[tuple[str, int]] = []

    def put(owner: int, symbols: list[tuple[str, int]]) -> None:
        last = next((other for _, other in reversed(result) if other >= 0), owner)
        if result and result[-1][0] != PAUSE and last != owner and (last in given or owner in given):
            result.append((PAUSE, -1))
        result.extend(symbols)

    for symbol, owner in row:
        # A given word whose own sounds the g2p has swallowed still comes before the next one.
        while waiting and owner >= waiting[0]:
            due = waiting.pop(0)
            put(due, [(phone, due) for phone in given[due]])
        if symbol == PAUSE:
            if result and result[-1][0] != PAUSE:
                result.append((symbol, owner))
        elif owner not in given:
            put(owner, [(symbol, owner)])
    for due in waiting:
        put(due, [(phone, due) for phone in given[due]])
    if result and result[-1][0] == PAUSE:  # it stood before the rest of what the g2p said for the last word
        result.pop()
    return result
