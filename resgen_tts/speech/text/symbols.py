"""The inventory of text symbols: phonemes, ARPAbet or bytes, and their numbers."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from resgen_tts.common.errors import ConfigError, DataError, TextError

SILENCE = "<sil>"  # stands before and after every utterance, so that the ends are not smeared over speech
PAUSE = " "  # between words, where a speaker may or may not pause
SENTENCE_MARKS, CLAUSE_MARKS = ".?!", ",;:"  # a model that was trained without them knows the pause in their place
UNITS = ("phonemes", "arpabet", "bytes", "byt5")
_STRESS_MARKS, _STRESS_DIGITS = "ˈˌ", "012"


@dataclass(frozen=True)
class Inventory:
    """Symbols in a fixed order; a symbol's number is its place.

    Args:
        units: "phonemes" (espeak), "arpabet" (g2p-en), "bytes" (UTF-8) or "byt5" (UTF-8 with ByT5 features).
        symbols: all known symbols, :data:`SILENCE` first.
        byt5: name or folder of the ByT5 whose features go with the bytes; only for "byt5".
        normalizer: back end that wrote the spoken forms of the corpus (``normalize.BACKENDS``).
        lexicon_sha256: of the file whose words the corpus was spelled with; empty where there was none.
    """

    units: str
    symbols: tuple[str, ...]
    byt5: str = ""
    normalizer: str = "builtin"
    lexicon_sha256: str = ""

    def __post_init__(self):
        check_units(self.units)
        if len(set(self.symbols)) != len(self.symbols) or self.symbols[:1] != (SILENCE,):
            raise DataError(f"an inventory lists each symbol once, {SILENCE} first")
        if bool(self.byt5) != (self.units == "byt5"):
            raise ConfigError(f"units byt5 and only they name a ByT5, got {self.byt5!r} for {self.units}")

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Inventory":
        """The inventory that :meth:`to_plain` wrote; one that names no normaliser is of the built-in one."""
        more = {name: plain[name] for name in ("byt5", "normalizer", "lexicon_sha256") if name in plain}
        return cls(plain["units"], tuple(plain["symbols"]), **more)

    def to_plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        named = {"byt5": self.byt5, "normalizer": self.normalizer, "lexicon_sha256": self.lexicon_sha256}
        more = {name: value for name, value in named.items() if value}
        return {"units": self.units, "symbols": list(self.symbols), **more}

    def number(self, symbol: str) -> int | None:
        """A symbol's place; that of its likeness with another stress where only this is known; else None.

        The silence has none: it stands at the ends, and no text and no lexicon can ask for it.
        """
        if symbol == SILENCE:
            return None
        places = self._places
        return next((places[form] for form in (symbol, *_other_stress(symbol)) if form in places), None)

    def unknown(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """The symbols without a number, each once, sorted."""
        return tuple(sorted({symbol for symbol in symbols if self.number(symbol) is None}))

    def warnings(self, symbols: Sequence[str], words: Sequence[str] = ()) -> tuple[str, ...]:
        """What a speaker of these symbols is told: all unknown ones by name, all that change their stress.

        Args:
            words: the word that each symbol is of, "" for none; where given, each symbol is named with its first word.
        """
        told = [symbol for symbol in symbols if not self.is_spoken_as_pause(symbol)]
        unknown = set(self.unknown(told))
        changed = {symbol for symbol in told if symbol not in self._places} - unknown
        first: dict[str, str] = {}
        for symbol, word in zip(symbols, words, strict=False):
            first.setdefault(symbol, word)
        notes = []
        if unknown:
            notes.append(f"TEXT_UNSUPPORTED_CHARS: unknown to the model: {_by_word(unknown, first)}")
        if changed:
            notes.append(
                f"TEXT_UNSUPPORTED_CHARS: known to the model with another stress only: {_by_word(changed, first)}"
            )
        return tuple(notes)

    def is_spoken_as_pause(self, symbol: str) -> bool:
        """Whether a mark stands as a pause, since the model knows pauses but not this mark."""
        is_mark = len(symbol) == 1 and symbol in SENTENCE_MARKS + CLAUSE_MARKS
        return is_mark and PAUSE in self._places and symbol not in self._places

    def spoken_number(self, symbol: str) -> int | None:
        """:meth:`number` as speech needs it: that of the pause for a mark that stands as one."""
        return self._places[PAUSE] if self.is_spoken_as_pause(symbol) else self.number(symbol)

    def place(self, symbols: Sequence[str]) -> list[tuple[int, int]]:
        """The symbols of a row that are spoken: (place in the row, number in the inventory) of each.

        Marks that stand as pauses melt into one pause with each other and with pauses beside them, told by the mark
        of a sentence before that of a clause; at either end there is none of them, the silence is there.
        """
        placed: list[tuple[int, int]] = []
        melts = False  # whether the last one is a pause for a mark
        for place, symbol in enumerate(symbols):
            is_mark = self.is_spoken_as_pause(symbol)
            number = self.spoken_number(symbol)
            if number is None:
                continue
            beside = bool(placed) and placed[-1][1] == number
            if is_mark and not placed:
                melts = True
                continue
            if symbol == PAUSE and melts:
                continue
            if is_mark and beside:
                if symbols[placed[-1][0]] not in SENTENCE_MARKS:
                    placed[-1] = place, number
            else:
                placed.append((place, number))
            melts = is_mark
        if placed and self.is_spoken_as_pause(symbols[placed[-1][0]]):
            placed.pop()
        return placed

    def encode(self, symbols: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
        """Numbers of a symbol row between two silences, and warnings.

        A phone that was never seen with its stress stands for itself with another one, an unknown mark as a pause
        (:meth:`place`).

        Raises:
            TextError: TEXT_NO_SPEECH where no symbol is known.
        """
        return self.between_silences([number for _, number in self.place(symbols)], symbols), self.warnings(symbols)

    def between_silences(self, numbers: list[int], symbols: Sequence[str]) -> list[int]:
        """The numbers of a row of symbols with the silence at both ends.

        Raises:
            TextError: TEXT_NO_SPEECH where there are none.
        """
        if not numbers:
            raise TextError(f"no symbol of {''.join(symbols)!r} is known to the model.", code="TEXT_NO_SPEECH")
        return [0, *numbers, 0]

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}


def check_units(units: str) -> None:
    """Refuse units that are none of :data:`UNITS`."""
    if units not in UNITS:
        raise ConfigError(f"text units must be one of {', '.join(UNITS)}, got {units!r}")


def collect_inventory(rows: Iterable[Sequence[str]], units: str, byt5: str = "") -> Inventory:
    """The inventory of a corpus; bytes need no corpus: all 256 are known."""
    if units in ("bytes", "byt5"):
        return Inventory(units, (SILENCE, *(chr(byte) for byte in range(256))), byt5)
    return Inventory(units, (SILENCE, *sorted({symbol for row in rows for symbol in row})))


def _by_word(symbols: set[str], first: dict[str, str]) -> str:
    """The symbols, each once: "point: ˈɔɪ" where the word of one is known."""
    words: dict[str, list[str]] = {}
    for symbol in sorted(symbols):
        words.setdefault(first.get(symbol, ""), []).append(symbol)
    return "; ".join(f"{word}: " * bool(word) + " ".join(of_word) for word, of_word in words.items())


def _other_stress(symbol: str) -> list[str]:
    """The same phone without its stress mark (espeak) or with other stress digits (ARPAbet)."""
    if symbol[:1] and symbol[0] in _STRESS_MARKS:
        return [symbol.lstrip(_STRESS_MARKS)]
    if len(symbol) > 1 and symbol[-1] in _STRESS_DIGITS:
        return [symbol[:-1] + digit for digit in _STRESS_DIGITS if digit != symbol[-1]]
    return []
