"""What is said when in a recording: words and phones with their times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from resgen_tts.common.errors import DataError


@dataclass(frozen=True)
class Span:
    """Something said between two times of a recording, in seconds from its first sample."""

    label: str  # a word in plain letters, or phones of `phone_names` with blanks between them
    start: float
    end: float

    def __post_init__(self):
        if not 0 <= self.start <= self.end:
            raise DataError(f"{self.label!r} lasts from {self.start} s to {self.end} s.", code="TIMES_INVALID")


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Words and phones of one recording in order; phones of pauses are not among them."""

    words: tuple[Span, ...]
    phones: tuple[Span, ...] = ()

    def phones_of(self, word: Span) -> list[Span]:
        """The phones whose middle lies in a word."""
        return [one for one in self.phones if word.start <= (one.start + one.end) / 2 <= word.end]

    def to_json(self) -> dict[str, Any]:
        """Lists of [label, start, end]."""
        return {
            name: [[one.label, round(one.start, 5), round(one.end, 5)] for one in spans]
            for name, spans in (("words", self.words), ("phones", self.phones))
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Timed":
        """What `to_json` gave.

        Raises:
            DataError: TIMES_INVALID, where the row is something else.
        """
        try:
            words, phones = (tuple(Span(str(n), float(a), float(b)) for n, a, b in row[k]) for k in ("words", "phones"))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"no words and phones with their times: {error!r}", code="TIMES_INVALID") from error
        return cls(words=words, phones=phones)


@dataclass(frozen=True, kw_only=True)
class Forced:
    """The alignment of one recording with its known text, or why there is none."""

    timed: Timed | None
    problem: str = ""
    notes: tuple[str, ...] = ()


@runtime_checkable
class Aligner(Protocol):
    """What finds when each word of a known text is said."""

    @property
    def name(self) -> str:
        """Model and version: what makes two sets of times comparable."""

    def align(self, paths: Sequence[Path], texts: Sequence[str]) -> list[Forced]:
        """Times of each recording's words, in the order of the paths."""
