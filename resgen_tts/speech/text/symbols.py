"""The inventory of text symbols: phonemes or bytes, and their numbers."""

from dataclasses import dataclass

from resgen_tts.common.errors import ConfigError, DataError, TextError
from resgen_tts.speech.text.phonemes import phonemize

SILENCE = "<sil>"  # stands before and after every utterance, so that the ends are not smeared over speech
UNITS = ("phonemes", "bytes")


@dataclass(frozen=True)
class Inventory:
    """Symbols in a fixed order; a symbol's number is its place.

    Args:
        units: "phonemes" (espeak) or "bytes" (UTF-8).
        symbols: all known symbols, :data:`SILENCE` first.
    """

    units: str
    symbols: tuple[str, ...]

    def __post_init__(self):
        if self.units not in UNITS:
            raise ConfigError(f"text units must be one of {', '.join(UNITS)}, got {self.units!r}")
        if len(set(self.symbols)) != len(self.symbols) or self.symbols[:1] != (SILENCE,):
            raise DataError(f"an inventory lists each symbol once, {SILENCE} first")

    def encode(self, symbols: list[str]) -> tuple[list[int], tuple[str, ...]]:
        """Numbers of a symbol row between two silences, and one warning for all unknown symbols.

        A phone that was never seen with its stress mark stands for itself without it.

        Raises:
            TextError: TEXT_NO_SPEECH where no symbol is known.
        """
        place = {symbol: number for number, symbol in enumerate(self.symbols)}
        numbers, unknown = [], []
        for symbol in symbols:
            found = place.get(symbol, place.get(symbol.lstrip("ˈˌ")))
            if found is None:
                unknown.append(symbol)
            else:
                numbers.append(found)
        if not numbers:
            raise TextError(f"no symbol of {''.join(symbols)!r} is known to the model.", code="TEXT_NO_SPEECH")
        warnings = (f"TEXT_UNSUPPORTED_CHARS: unknown to the model: {' '.join(sorted(set(unknown)))}",)
        return [0, *numbers, 0], warnings if unknown else ()


def to_symbols(texts: list[str], units: str) -> list[list[str]]:
    """Split normalized texts into symbols."""
    if units == "phonemes":
        return phonemize(texts)
    if units == "bytes":
        return [[chr(byte) for byte in text.lower().encode("utf-8")] for text in texts]
    raise ConfigError(f"text units must be one of {', '.join(UNITS)}, got {units!r}")


def collect_inventory(rows: list[list[str]], units: str) -> Inventory:
    """The inventory of a corpus; bytes need no corpus: all 256 are known."""
    if units == "bytes":
        return Inventory(units, (SILENCE, *(chr(byte) for byte in range(256))))
    return Inventory(units, (SILENCE, *sorted({symbol for row in rows for symbol in row})))
