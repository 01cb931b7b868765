"""One system at several seeds: each seed's figures, their mean, their spread, and an interval over the items."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.statistics import Interval, seeds_interval, spread
from resgen_tts.evaluation.reports.report import EMBEDDED_MARK, NOT_MEASURED, line
from resgen_tts.evaluation.reports.stored_scores import (
    Scores,
    counted,
    embedded_scorers,
    figures_of,
    judged_by,
    share_items,
    some,
)

FEWEST_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class SeedsFigure:
    """One figure at every seed."""

    figure: str
    items: int  # that have the figure at every seed
    by_seed: Sequence[Interval]  # in the order of the seeds, over items
    mean: Interval  # of the seeds, over items, each drawn with all its seeds
    mean_over_speakers: Interval
    spread: float | None  # standard deviation over seeds, with n - 1; None of one seed


@dataclass(frozen=True, kw_only=True)
class SeedsReport:
    """One system at several seeds."""

    system: str
    seeds: Sequence[int]
    items: int
    speakers: int
    judges: str
    embedded_scorers: Sequence[str]
    seed: int  # of the bootstrap
    figures: Sequence[SeedsFigure]
    notes: Sequence[str]

    def of(self, figure: str) -> SeedsFigure:
        """A figure by its name without a mark.

        Raises:
            KeyError: it is not among them.
        """
        names = {one.figure.removesuffix(f" {EMBEDDED_MARK}"): one for one in self.figures}
        return names[figure]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def summarize_seeds(several: Sequence[Scores], system: str, *, seed: int = 0) -> SeedsReport:
    """The figures of one system over files ``score.json`` that differ in the seed of its synthesis.

    Args:
        several: what the files hold; three of them at least, or a note says that there are too few.
        system: in all of them.
        seed: of the bootstrap.
    Raises:
        DataError: no scores, a seed that stands twice or is not recorded, or as `comparison.compare`.
    """
    if not several:
        raise DataError("no scores to take together.")
    seeds = [_seed(scores, place) for place, scores in enumerate(several, start=1)]
    twice = sorted({one for one in seeds if seeds.count(one) > 1})
    if twice:
        raise DataError(
            f"seed {twice[0]} stands twice: the same outputs again are no further seed.", code="SEED_REPEATED"
        )
    shared = share_items(several, [system] * len(several))
    found = []
    for figure in figures_of(several, shared):
        ratios, places = counted(figure, shared)
        if not places:
            continue
        items, speakers = shared.groups(places)
        by_seed = [figure.interval(one, seed=seed, groups=items) for one in ratios]
        found.append(
            SeedsFigure(
                figure=figure.name,
                items=len(places),
                by_seed=by_seed,
                mean=seeds_interval(ratios, seed=seed, groups=items),
                mean_over_speakers=seeds_interval(ratios, seed=seed, groups=speakers),
                spread=spread([one.value for one in by_seed]) if len(by_seed) > 1 else None,
            )
        )
    return SeedsReport(
        system=system,
        seeds=seeds,
        items=len(shared.ids),
        speakers=len(set(shared.speakers)),
        judges=judged_by(several[0]),
        embedded_scorers=list(dict.fromkeys(name for scores in several for name in embedded_scorers(scores))),
        seed=seed,
        figures=found,
        notes=[*_notes(several, seeds, shared.left_out), *shared.notes],
    )


def seeds_markdown(found: SeedsReport) -> str:
    """The seeds as Markdown."""
    header = ["figure", "items", *(f"seed {one}" for one in found.seeds)]
    header += ["mean, over items", "over speakers", "standard deviation over seeds"]
    lines = [line(header), "|" + " --- |" * len(header)]
    for one in found.figures:
        cells = [one.figure, str(one.items), *(f"{part.value:.4f}" for part in one.by_seed)]
        cells += [f"{part.value:.4f} [{part.low:.4f}, {part.high:.4f}]" for part in (one.mean, one.mean_over_speakers)]
        lines.append(line([*cells, NOT_MEASURED if one.spread is None else f"{one.spread:.4f}"]))
    lines += ["", f"{found.system}: {found.items} items of {found.speakers} speakers at {len(found.seeds)} seeds."]
    lines += [f"{found.judges}; bootstrap seed {found.seed}."]
    lines += [
        "Intervals: 95 %, bootstrap over items or over whole speakers, all seeds of one drawn together: how far other "
        "items would lie. How far another seed would lie tells the standard deviation over seeds, with n - 1."
    ]
    if found.embedded_scorers:
        lines.append(f"{EMBEDDED_MARK} by a small scorer that comes inside its package.")
    return "\n".join([*lines, *(f"* {note}" for note in found.notes)]) + "\n"


def _seed(scores: Scores, place: int) -> int:
    seed = (scores.get("run") or {}).get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise DataError(f"scores {place} do not record the seed of the synthesis (run.seed is {seed!r}).")
    return seed


def _notes(several: Sequence[Scores], seeds: Sequence[int], left_out: Sequence[Sequence[str]]) -> list[str]:
    notes = []
    if len(seeds) < FEWEST_SEEDS:
        notes.append(f"**TOO FEW SEEDS: {len(seeds)}; {FEWEST_SEEDS} at least are needed to tell a spread.**")
    models = {_weights(scores) for scores in several}
    if len(models) > 1:
        notes.append(
            f"{len(models)} different sets of weights: the spread is of training, too, not of synthesis alone."
        )
    for seed, names in zip(seeds, left_out, strict=True):
        if names:
            notes.append(f"{len(names)} items of seed {seed} are left out, which another seed lacks: {some(names)}.")
    return notes


def _weights(scores: Scores) -> tuple[str, ...]:
    models = (scores.get("run") or {}).get("models")
    parts = models.values() if isinstance(models, Mapping) else ()
    return tuple(str(part.get("sha256")) if isinstance(part, Mapping) else str(part) for part in parts)
