"""Word and character error rates: corpus level, with counts per item.

Source: the corpus-level convention of the LibriSpeech cross-sentence protocols (VALL-E, CLaM-TTS, ResGen); characters
are compared without spaces. Alignment by jiwer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.normalizers import LETTERS, Normalizer
from resgen_tts.evaluation.measures.normalizers import letters_only as letters_only


@runtime_checkable
class Recognizer(Protocol):
    """What writes down the words of an output. pocketsphinx implements it; larger ASR models meet the same contract."""

    @property
    def name(self) -> str:
        """Model, version and language model: what makes two error rates comparable."""

    @property
    def is_embedded(self) -> bool:
        """True for a small model that comes inside a package; its figures never stand beside those of a large one."""

    def transcribe(self, paths: Sequence[Path]) -> list[str]:
        """The words of each wave, in the order of the paths."""


@dataclass(frozen=True, kw_only=True)
class ErrorCounts:
    """Aligned units of one item or of a corpus."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_size(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Errors over reference units; insertions can take it above 1."""
        return self.errors / self.reference_size

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            hits=self.hits + other.hits,
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
        )


@dataclass(frozen=True, kw_only=True)
class AlignedPiece:
    """A run of equal, substituted, deleted or inserted words."""

    kind: str  # equal | substitute | delete | insert
    reference: tuple[str, ...]
    heard: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TextError:
    """What the recogniser made of one output."""

    reference: str  # normalised
    heard: str  # normalised
    words: ErrorCounts
    characters: ErrorCounts
    alignment: tuple[AlignedPiece, ...]


def text_error(reference: str, heard: str, normalizer: Normalizer = LETTERS) -> TextError:
    """Count the errors of one item.

    Args:
        reference: what was to be said, any punctuation.
        heard: what the recogniser wrote; may be empty.
        normalizer: how both are written before they are compared.
    Raises:
        DataError: the normaliser leaves nothing of the reference, so that no rate is defined.
    """
    import jiwer

    said, got = normalizer.words(reference), normalizer.words(heard)
    if not said:
        raise DataError(
            f"reference text {reference!r} holds no letters for the normaliser {normalizer.name}; "
            "an item without words cannot be scored."
        )
    words = jiwer.process_words(said, got)
    characters = jiwer.process_characters(said.replace(" ", ""), got.replace(" ", ""))
    said_words, got_words = said.split(), got.split()
    alignment = tuple(
        AlignedPiece(
            kind=chunk.type,
            reference=tuple(said_words[chunk.ref_start_idx : chunk.ref_end_idx]),
            heard=tuple(got_words[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in words.alignments[0]
    )
    return TextError(
        reference=said, heard=got, words=_counts(words), characters=_counts(characters), alignment=alignment
    )


def total(counts: Sequence[ErrorCounts]) -> ErrorCounts:
    """Counts of a corpus: its rate is all errors over all reference units, not a mean of item rates."""
    return sum(counts, start=ErrorCounts())


def _counts(output) -> ErrorCounts:
    return ErrorCounts(
        hits=output.hits,
        substitutions=output.substitutions,
        deletions=output.deletions,
        insertions=output.insertions,
    )
