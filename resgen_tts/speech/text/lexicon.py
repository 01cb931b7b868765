"""A user's lexicon: words and how they are said, over what the g2p would say."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from resgen_tts.common.errors import DataError
from resgen_tts.speech.text.symbols import Inventory


@dataclass(frozen=True)
class Lexicon:
    """Pronunciations of whole words, in the symbols of the model's unit.

    Args:
        entries: symbols by lower-case word.
        digest: hex SHA-256 of the file.
        name: of the file, for messages.
    """

    entries: dict[str, tuple[str, ...]]
    digest: str = ""
    name: str = "lexicon"

    @classmethod
    def read(cls, path: Path) -> "Lexicon":
        """Read ``word<TAB>symbols separated by blanks``, one a line; ``#`` begins a comment line.

        Raises:
            DataError: LEXICON_INVALID, with file and line of every bad line; FILE_MISSING.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.", code="FILE_MISSING") from error
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise DataError(
                f"{path.name}:{line}: not UTF-8.", code="LEXICON_INVALID", hint="Save it as UTF-8."
            ) from error
        entries: dict[str, tuple[str, ...]] = {}
        first_line: dict[str, int] = {}
        bad = []
        for number, line in enumerate(text.split("\n"), start=1):
            line = line.rstrip("\r")
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            problem = _problem(line, first_line)
            if problem:
                bad.append(f"{path.name}:{number}: {problem}")
                continue
            word, symbols = line.split("\t")
            entries[_key(word)] = tuple(symbols.split())
            first_line[_key(word)] = number
        if bad:
            raise DataError(
                "; ".join(bad), code="LEXICON_INVALID", hint="A line is: word, tab, symbols separated by blanks."
            )
        return cls(entries, hashlib.sha256(data).hexdigest(), path.name)

    def get(self, word: str) -> tuple[str, ...] | None:
        """How a word is said, whatever its case and the quotes around it; None where the lexicon does not know it."""
        key = _key(word)
        return self.entries.get(key, self.entries.get(key.strip("'")))

    def warnings(self, inventory: Inventory) -> tuple[str, ...]:
        """One warning that names all entries with symbols that the model does not know."""
        strange = [
            f"{word} ({' '.join(unknown)})"
            for word, symbols in self.entries.items()
            if (unknown := inventory.unknown(symbols))
        ]
        return (f"LEXICON_UNKNOWN_SYMBOLS: {self.name}: unknown to the model: {', '.join(strange)}",) if strange else ()


def _key(word: str) -> str:
    return word.strip().lower()


def _problem(line: str, first_line: dict[str, int]) -> str:
    """What is wrong with a line, or nothing."""
    fields = line.split("\t")
    if len(fields) != 2:
        return f"{len(fields) - 1} tabs instead of one"
    word = _key(fields[0])
    if not word or " " in word:
        return f"{word!r} is not one word"
    if not fields[1].split():
        return f"no symbols for {word!r}"
    if word in first_line:
        return f"{word!r} stands in line {first_line[word]} already"
    return ""
