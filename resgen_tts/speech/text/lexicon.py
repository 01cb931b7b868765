"""A user's lexicon: words and how they are said, over what the g2p would say."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from resgen_tts.common.errors import DataError
from resgen_tts.speech.text import cleanup, markup
from resgen_tts.speech.text.kept_words import POSSESSIVE, find_words, fold_word
from resgen_tts.speech.text.possessive import possessive
from resgen_tts.speech.text.rewrite import Notes, TracedText
from resgen_tts.speech.text.symbols import Inventory


@dataclass(frozen=True)
class Lexicon:
    """Pronunciations of whole words, in the symbols of the model's unit.

    Args:
        entries: symbols by word, in the form of :func:`fold_word`.
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
            entries[fold_word(word)] = tuple(symbols.split())
            first_line[fold_word(word)] = number
        if bad:
            raise DataError(
                "; ".join(bad), code="LEXICON_INVALID", hint="A line is: word, tab, symbols separated by blanks."
            )
        return cls(entries, hashlib.sha256(data).hexdigest(), path.name)

    @functools.cached_property
    def words(self) -> frozenset[str]:
        """The words, for the normaliser to keep."""
        return frozenset(self.entries)

    def get(self, word: str, units: str) -> tuple[str, ...] | None:
        """How a word is said, whatever its case; None where the lexicon does not know it.

        An ``'s`` at a word of the lexicon is said as that of any noun.
        """
        key = fold_word(word)
        if key not in self.entries and key.endswith(POSSESSIVE):
            noun = self.entries.get(key.removesuffix(POSSESSIVE))
            return noun and possessive(noun, units)
        return self.entries.get(key)

    def warnings(self, inventory: Inventory) -> tuple[str, ...]:
        """What a user of this lexicon should know: entries that no text can reach, and those that cannot be said."""
        notes = []
        if lost := [word for word in self.entries if not _is_reachable(word)]:
            notes.append(f"LEXICON_UNREACHABLE: {self.name}: no text can hold these as a word: {', '.join(lost)}")
        strange = [
            f"{word} ({' '.join(unknown)})"
            for word, symbols in self.entries.items()
            if (unknown := inventory.unknown(symbols))
        ]
        if strange:
            notes.append(f"LEXICON_UNKNOWN_SYMBOLS: {self.name}: unknown to the model: {', '.join(strange)}")
        return tuple(notes)


def _is_reachable(word: str) -> bool:
    """Whether a text that has the word still has it, as one, when the normaliser looks for words to keep."""
    if not any(character.isalnum() for character in word) or find_words(word, frozenset((word,))) != [(0, len(word))]:
        return False
    if word.isascii() and word.isalnum():
        return True
    notes = Notes()
    traced, _ = cleanup.take_atoms(cleanup.remove_controls(TracedText.start(word), notes))
    return markup.strip_markup(traced, notes).text == word


def _problem(line: str, first_line: dict[str, int]) -> str:
    """What is wrong with a line, or nothing."""
    fields = line.split("\t")
    if len(fields) != 2:
        return f"{len(fields) - 1} tabs instead of one"
    word = fold_word(fields[0])
    if len(word.split()) != 1:
        return f"{word!r} is not one word"
    if not fields[1].split():
        return f"no symbols for {word!r}"
    if word in first_line:
        return f"{word!r} stands in line {first_line[word]} already"
    return ""
