"""One system at several seeds: each seed's figures, their mean, their spread, and an interval over the items."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.common.listing import some
from resgen_tts.evaluation.measures.statistics import Interval, seeds_interval, spread
from resgen_tts.evaluation.reports.report import EMBEDDED_MARK, NOT_MEASURED, line
from resgen_tts.evaluation.reports.stored_scores import (
    Scores,
    by_name,
    counted,
    embedded_scorers,
    figures_of,
    judged_by,
    share_items,
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
    seeds: Sequence[int | None]  # None: what made the outputs recorded no seed
    names: Sequence[str]  # of the seeds as they are told: "seed 3", "run 2"
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
        return by_name(self.figures, figure)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def summarize_seeds(several: Sequence[Scores], system: str, *, seed: int = 0) -> SeedsReport:
    """The figures of one system over files ``score.json`` that differ in the seed of its synthesis.

    Args:
        several: what the files hold; three of them at least, or a note says that there are too few. Those of other
            people's audio record no seed and are told as runs.
        system: in all of them.
        seed: of the bootstrap.
    Raises:
        DataError: no scores, a seed or the same outputs twice, a seed that is no number, or as `comparison.compare`.
    """
    if not several:
        raise DataError("no scores to take together.")
    seeds = [_seed(scores, place) for place, scores in enumerate(several, start=1)]
    twice = sorted({one for one in seeds if one is not None and seeds.count(one) > 1})
    if twice:
        raise DataError(
            f"seed {twice[0]} stands twice: the same outputs again are no further seed.", code="SEED_REPEATED"
        )
    names = [f"run {place}" if one is None else f"seed {one}" for place, one in enumerate(seeds, start=1)]
    _refuse_same_data(several, names)
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
        names=names,
        items=len(shared.ids),
        speakers=len(set(shared.speakers)),
        judges=judged_by(several[0]),
        embedded_scorers=list(dict.fromkeys(name for scores in several for name in embedded_scorers(scores))),
        seed=seed,
        figures=found,
        notes=[*_notes(several, names, shared.left_out), *shared.notes],
    )


def seeds_markdown(found: SeedsReport) -> str:
    """The seeds as Markdown."""
    header = ["figure", "items", *found.names]
    header += ["mean, over items", "over speakers", "standard deviation over seeds"]
    lines = [line(header), "|" + " --- |" * len(header)]
    for one in found.figures:
        cells = [one.figure, str(one.items), *(f"{part.value:.4f}" for part in one.by_seed)]
        cells += [f"{part.value:.4f} [{part.low:.4f}, {part.high:.4f}]" for part in (one.mean, one.mean_over_speakers)]
        lines.append(line([*cells, NOT_MEASURED if one.spread is None else f"{one.spread:.4f}"]))
    lines += ["", f"{found.system}: {found.items} items of {found.speakers} speakers at {len(found.seeds)} "]
    lines[-1] += "runs." if None in found.seeds else "seeds."
    lines += [f"{found.judges}; bootstrap seed {found.seed}."]
    lines += [
        "Intervals: 95 %, bootstrap over items or over whole speakers, all seeds of one drawn together: how far other "
        "items would lie. How far another seed would lie tells the standard deviation over seeds, with n - 1."
    ]
    if found.embedded_scorers:
        lines.append(f"{EMBEDDED_MARK} by a small scorer that comes inside its package.")
    return "\n".join([*lines, *(f"* {note}" for note in found.notes)]) + "\n"


def _seed(scores: Scores, place: int) -> int | None:
    seed = (scores.get("run") or {}).get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise DataError(f"the seed of the synthesis in scores {place} is no whole number: {seed!r}.")
    return seed


def _refuse_same_data(several: Sequence[Scores], names: Sequence[str]) -> None:
    known: dict[str, str] = {}
    for scores, name in zip(several, names, strict=True):
        digest = scores.get("data_sha256")
        if digest and known.setdefault(digest, name) != name:
            raise DataError(
                f"{known[digest]} and {name} are scores of the same data (SHA-256 {digest[:12]}): the same outputs "
                "again are no further seed.",
                code="SEED_REPEATED",
            )


def _notes(several: Sequence[Scores], names: Sequence[str], left_out: Sequence[Sequence[str]]) -> list[str]:
    notes = []
    if len(names) < FEWEST_SEEDS:
        notes.append(f"**TOO FEW SEEDS: {len(names)}; {FEWEST_SEEDS} at least are needed to tell a spread.**")
    unknown = [name for name in names if name.startswith("run ")]
    if unknown:
        notes.append(
            f"{', '.join(unknown)}: what made these outputs recorded no seed; that another one was used is not checked."
        )
    models = {_weights(scores) for scores in several}
    if len(models) > 1:
        notes.append(
            f"{len(models)} different sets of weights: the spread is of training, too, not of synthesis alone."
        )
    for name, lacking in zip(names, left_out, strict=True):
        if lacking:
            notes.append(f"{len(lacking)} items of {name} are left out, which another one lacks: {some(lacking)}.")
    return notes


def _weights(scores: Scores) -> tuple[str, ...]:
    models = (scores.get("run") or {}).get("models")
    parts = models.values() if isinstance(models, Mapping) else ()
    return tuple(str(part.get("sha256")) if isinstance(part, Mapping) else str(part) for part in parts)
