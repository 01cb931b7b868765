"""Two scored systems side by side: paired differences over the items that both have said.

For systems that differ in one thing, e.g. with and without the care that is taken of a reference: the same items, the
same judges. A difference whose interval holds 0 may be chance; how rarely chance gives as much is its p-value.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from resgen_tts.common.listing import some
from resgen_tts.evaluation.measures.statistics import (
    EXCHANGES,
    Interval,
    holm,
    paired_difference,
    permutation_test,
)
from resgen_tts.evaluation.reports.report import EMBEDDED_MARK, line
from resgen_tts.evaluation.reports.stored_scores import (
    Scores,
    by_name,
    counted,
    embedded_scorers,
    figures_of,
    judged_by,
    share_items,
)

SIDES = ("first", "second")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One figure on both sides, and second minus first."""

    figure: str
    items: int  # that have the figure on both sides
    first: Interval
    second: Interval
    difference: Interval  # over items
    difference_over_speakers: Interval
    p: float  # exchanging items
    p_holm: float  # corrected for all figures of all tables, see `correct`
    p_over_speakers: float  # exchanging whole speakers
    p_over_speakers_holm: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two systems over the items that both have."""

    systems: tuple[str, str]
    items: int
    speakers: int
    left_out: tuple[Sequence[str], Sequence[str]]  # ids that the other side lacks
    judges: str
    embedded_scorers: Sequence[str]
    seed: int
    differences: Sequence[Difference]
    notes: Sequence[str]
    tables: int = 1  # that the p-values are corrected over,
    tests: int  # and the figures in them

    def of(self, figure: str) -> Difference:
        """The difference of a figure, by its name without a mark.

        Raises:
            KeyError: it is not among them.
        """
        return by_name(self.differences, figure)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare(
    first: Scores, second: Scores, system: str, *, seed: int = 0, second_system: str | None = None
) -> Comparison:
    """Each figure of a system in the first scores and in the second, over shared items.

    Args:
        first, second: what two files ``score.json`` hold; the same one twice compares two systems of it.
        system: in the first scores.
        seed: of the bootstrap and of the exchanges.
        second_system: in the second scores; the same name where it is None.
    Raises:
        DataError: other scorers, normalisers or protocols, no shared items, a shared item with another text or
            speaker, a system that one side lacks, or a file of an older version that lacks what is compared.
    """
    systems = (system, second_system or system)
    shared = share_items([first, second], systems)
    found = []
    for figure in figures_of([first, second], shared):
        ratios, places = counted(figure, shared)
        if not places:
            continue  # e.g. lengths, where nobody has recorded the items
        one, two = ratios
        items, speakers = shared.groups(places)
        p, p_over_speakers = (permutation_test(two, one, seed=seed, groups=groups) for groups in (items, speakers))
        difference = Difference(
            figure=figure.name,
            items=len(places),
            first=figure.interval(one, seed=seed, groups=items),
            second=figure.interval(two, seed=seed, groups=items),
            difference=paired_difference(two, one, seed=seed, groups=items),
            difference_over_speakers=paired_difference(two, one, seed=seed, groups=speakers),
            p=p,
            p_holm=p,
            p_over_speakers=p_over_speakers,
            p_over_speakers_holm=p_over_speakers,
        )
        found.append(difference)
    notes = list(shared.notes)
    for side, names in zip(SIDES, shared.left_out, strict=True):
        if names:
            notes.append(f"{len(names)} items of the {side} alone are left out: {some(names)}.")
    made = Comparison(
        systems=systems,
        items=len(shared.ids),
        speakers=len(set(shared.speakers)),
        left_out=(shared.left_out[0], shared.left_out[1]),
        judges=judged_by(first),
        embedded_scorers=list(dict.fromkeys([*embedded_scorers(first), *embedded_scorers(second)])),
        seed=seed,
        differences=found,
        notes=notes,
        tests=len(found),
    )
    return correct([made])[0]


def correct(tables: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons that are shown together, their p-values corrected for the figures of all of them."""
    found = [one for table in tables for one in table.differences]
    over_items = iter(holm([one.p for one in found]))
    over_speakers = iter(holm([one.p_over_speakers for one in found]))
    return [
        replace(
            table,
            tables=len(tables),
            tests=len(found),
            differences=[
                replace(one, p_holm=next(over_items), p_over_speakers_holm=next(over_speakers))
                for one in table.differences
            ],
        )
        for table in tables
    ]


def comparison_markdown(found: Comparison, names: tuple[str, str] = SIDES) -> str:
    """The comparison as Markdown.

    Args:
        names: of the two sides, e.g. their folders.
    """
    own, other = (f"{name}: {system}" for name, system in zip(names, found.systems, strict=True))
    header = ["figure", "items", own, other, "difference, over items", "over speakers"]
    header += ["p", "p, Holm", "p over speakers, Holm"]
    lines = [line(header), "|" + " --- |" * len(header)]
    for one in found.differences:
        intervals = (one.first, one.second, one.difference, one.difference_over_speakers)
        p_values = (one.p, one.p_holm, one.p_over_speakers_holm)
        lines.append(line([one.figure, str(one.items), *map(_interval, intervals), *map(_p_value, p_values)]))
    lines += ["", f"{found.items} items of {found.speakers} speakers on both sides; {found.judges}; seed {found.seed}."]
    lines += [
        "Differences: second minus first, with 95 % bootstrap intervals over items and over whole speakers. p: "
        "two-sided, by exchanging the two systems item by item or speaker by speaker (all ways, or "
        f"{EXCHANGES:,} drawn); Holm: corrected for the {found.tests} figures of "
        + ("this table." if found.tables == 1 else f"all {found.tables} tables.")
    ]
    if found.embedded_scorers:
        lines.append(f"{EMBEDDED_MARK} by a small scorer that comes inside its package.")
    return "\n".join([*lines, *(f"* {note}" for note in found.notes)]) + "\n"


def _interval(part: Interval) -> str:
    return f"{part.value:.4f} [{part.low:.4f}, {part.high:.4f}]"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
