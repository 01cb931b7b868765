"""How far apart two systems set the borders of the same words and phones.

Words are matched by their names, phones inside a matched
word by their kind; the figures are absolute differences of the matched starts and ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from resgen_tts.evaluation.measures.phone_names import substitution_cost
from resgen_tts.evaluation.measures.statistics import Interval, median_interval, ratio_interval
from resgen_tts.evaluation.measures.timed import Span, Timed

WITHIN_MS = (20, 40, 60, 100)
ROUNDING_MS = 1e-6  # differences of frame times that are 20 ms come out a hair above
MAX_SAME_KIND_COST = 0.5  # of `substitution_cost`: phones further apart are not one phone


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Seconds between matched borders of one recording, in its order."""

    word_starts: tuple[float, ...] = ()
    word_ends: tuple[float, ...] = ()
    phone_starts: tuple[float, ...] = ()
    phone_ends: tuple[float, ...] = ()
    words: int = 0  # of the reference, matched or not
    phones: int = 0  # of the reference, in matched words


@dataclass(frozen=True, kw_only=True)
class BoundaryScore:
    """Errors of one kind of border over all recordings; times in ms."""

    borders: int
    matched_share: float  # of what the reference has
    median_ms: Interval
    mean_ms: Interval
    within: Mapping[int, Interval]  # ms -> share of borders

    def to_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)


def edit_alignment(
    first: Sequence[str], second: Sequence[str], cost: Callable[[str, str], float]
) -> list[tuple[int | None, int | None]]:
    """The cheapest way to turn one sequence into another: pairs of places, None where one side has nothing.

    Args:
        cost: of setting one label for another; leaving out or adding one costs 1.
    """
    rows, columns = len(first), len(second)
    total = np.zeros((rows + 1, columns + 1))
    total[:, 0], total[0] = np.arange(rows + 1), np.arange(columns + 1)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            changed = total[i - 1, j - 1] + cost(first[i - 1], second[j - 1])
            total[i, j] = min(changed, total[i - 1, j] + 1, total[i, j - 1] + 1)
    pairs: list[tuple[int | None, int | None]] = []
    i, j = rows, columns
    while i or j:
        if i and j and total[i, j] == total[i - 1, j - 1] + cost(first[i - 1], second[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and total[i, j] == total[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


def matched_words(reference: Sequence[Span], found: Sequence[Span]) -> list[tuple[Span, Span]]:
    """Words that both have, in order; words that only one has are left out."""
    pairs = edit_alignment(
        [one.label for one in reference], [one.label for one in found], lambda a, b: 0.0 if a == b else 2.5
    )
    return [(reference[i], found[j]) for i, j in pairs if i is not None and j is not None]


def matched_phones(reference: Sequence[Span], found: Sequence[Span]) -> tuple[list[tuple[float, float]], ...]:
    """Borders of the phones of one word that both have.

    A span of several phones (``ao r``) gives its start with its first phone and its end with its last.

    Returns:
        pairs (reference, found) of starts, and of ends.
    """
    ours = [(name, place) for place, one in enumerate(found) for name in one.label.split()]
    theirs = [(name, place) for place, one in enumerate(reference) for name in one.label.split()]
    starts, ends = [], []
    for i, j in edit_alignment([name for name, _ in theirs], [name for name, _ in ours], substitution_cost):
        if i is None or j is None or substitution_cost(theirs[i][0], ours[j][0]) > MAX_SAME_KIND_COST:
            continue
        (_, left), (_, right) = theirs[i], ours[j]
        if _begins(theirs, i) and _begins(ours, j):
            starts.append((reference[left].start, found[right].start))
        if _finishes(theirs, i) and _finishes(ours, j):
            ends.append((reference[left].end, found[right].end))
    return starts, ends


def boundary_errors(reference: Timed, found: Timed) -> Errors:
    """Compare one recording; `reference` is held to be right."""
    words = matched_words(reference.words, found.words)
    starts: list[tuple[float, float]] = []
    ends: list[tuple[float, float]] = []
    phones = 0
    for left, right in words:
        inside = reference.phones_of(left)
        more = matched_phones(inside, found.phones_of(right))
        starts, ends, phones = starts + more[0], ends + more[1], phones + len(inside)
    return Errors(
        word_starts=tuple(abs(left.start - right.start) for left, right in words),
        word_ends=tuple(abs(left.end - right.end) for left, right in words),
        phone_starts=tuple(abs(left - right) for left, right in starts),
        phone_ends=tuple(abs(left - right) for left, right in ends),
        words=len(reference.words),
        phones=phones,
    )


def summarize(errors: Sequence[Errors], *, seed: int) -> dict[str, BoundaryScore]:
    """Scores of word and phone borders (starts and ends together, and the words' apart).

    Intervals are bootstrapped over recordings. A kind of border that no recording has is left out.
    """
    kinds = {
        "words": [(one.word_starts + one.word_ends, 2 * one.words) for one in errors],
        "word starts": [(one.word_starts, one.words) for one in errors],
        "word ends": [(one.word_ends, one.words) for one in errors],
        "phones": [(one.phone_starts + one.phone_ends, 2 * one.phones) for one in errors],
    }
    return {name: _score(parts, seed) for name, parts in kinds.items() if any(found for found, _ in parts)}


def _score(parts: Sequence[tuple[tuple[float, ...], int]], seed: int) -> BoundaryScore:
    in_ms = [[1000 * seconds for seconds in found] for found, _ in parts]
    counts = [len(own) for own in in_ms]
    return BoundaryScore(
        borders=sum(counts),
        matched_share=sum(counts) / sum(wanted for _, wanted in parts),
        median_ms=median_interval(in_ms, seed=seed),
        mean_ms=ratio_interval([sum(own) for own in in_ms], counts, seed=seed),
        within={
            limit: ratio_interval([sum(one <= limit + ROUNDING_MS for one in own) for own in in_ms], counts, seed=seed)
            for limit in WITHIN_MS
        },
    )


def _begins(units: Sequence[tuple[str, int]], place: int) -> bool:
    return place == 0 or units[place - 1][1] != units[place][1]


def _finishes(units: Sequence[tuple[str, int]], place: int) -> bool:
    return place == len(units) - 1 or units[place + 1][1] != units[place][1]
