"""What several files ``score.json`` have in common: which may stand side by side, over what items, in what figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.common.listing import some
from resgen_tts.evaluation.measures.normalizers import LETTERS
from resgen_tts.evaluation.measures.statistics import Interval, Ratio, ratio_interval, share_interval
from resgen_tts.evaluation.reports.protocol_facts import DECIDING, protocol_warnings
from resgen_tts.evaluation.reports.report import EMBEDDED_MARK
from resgen_tts.evaluation.summaries import HIGH_ERROR

SCORES_FILE = "score.json"
LENGTH = "length / recording's"
Scores = Mapping[str, Any]  # what a file score.json holds
Output = Mapping[str, Any]  # one wave of one system in it
Counts = Callable[[Output], tuple[float, float] | None]  # what is summed, over what; None: not defined for this wave


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that is counted wave by wave."""

    name: str  # with the mark of an embedded judge
    counts: Counts
    is_share: bool = False  # of waves that something is true of

    def interval(self, ratio: Ratio, *, seed: int, groups: Sequence[str] | None) -> Interval:
        """Of one scores, as its report has it: a share that is 0 everywhere is not known to be 0."""
        if self.is_share:
            return share_interval([bool(hit) for hit in ratio[0]], seed=seed, groups=groups)
        return ratio_interval(*ratio, seed=seed, groups=groups)


@dataclass(frozen=True, kw_only=True)
class SharedItems:
    """The items that several scores have in common, in the order of the first, and those of one side alone."""

    ids: Sequence[str]
    speakers: Sequence[str]  # of each item
    targets: Sequence[str] | None  # of each item, where targets have several trials; None: every item is its own
    outputs: Sequence[Sequence[Output]]  # of each scores, item by item
    left_out: Sequence[Sequence[str]]  # of each scores: ids that some other lacks
    has_continuations: bool  # some outputs begin with their prompt
    notes: Sequence[str]

    def groups(self, places: Sequence[int]) -> tuple[list[str] | None, list[str]]:
        """Of some items: what is drawn and exchanged together where items are meant, and their speakers."""
        targets = None if self.targets is None else [self.targets[place] for place in places]
        return targets, [self.speakers[place] for place in places]


def by_name(figures: Sequence[Any], name: str) -> Any:
    """One of several by its field ``figure``, whatever its mark.

    Raises:
        KeyError: it is not among them.
    """
    return {one.figure.removesuffix(f" {EMBEDDED_MARK}"): one for one in figures}[name]


def embedded_scorers(scores: Scores) -> list[str]:
    """Names of the judges that come inside a package; of a file from before they were named, all of them or none."""
    if "embedded_scorers" in scores:
        return list(scores["embedded_scorers"])
    judges = [scores.get(name) for name in ("recognizer", "second_recognizer", "encoder")]
    return [name for name in judges if name] if scores.get("has_embedded_scorers") else []


def judged_by(scores: Scores) -> str:
    """The judges of a file and how texts were written, in one line."""
    judges = [scores["recognizer"], scores["encoder"], *scores.get("raters", ())]
    return f"{'; '.join(judges)}; normaliser: {_normalizer(scores)}"


def share_items(several: Sequence[Scores], systems: Sequence[str]) -> SharedItems:
    """Make sure that scores may stand side by side, and find the items of all of them.

    Args:
        several: what the files hold.
        systems: of each file, the system that is looked at.
    Raises:
        DataError: other scorers, normalisers or protocols, no shared items, a shared item with another text or
            speaker, a system that is not there, or a file that was written before scores were kept item by item.
    """
    _refuse_others(several)
    by_id = [{_entry(item)["id"]: item for item in scores["items"]} for scores in several]
    shared = [name for name in by_id[0] if all(name in items for items in by_id)]
    if not shared:
        raise DataError("the scores share no item.")
    told = [{name: _entry(items[name]) for name in shared} for items in by_id]
    for fact in ("text", "speaker"):
        other = [name for name in shared if len({items[name][fact] for items in told}) > 1]
        if other:
            raise DataError(f"item {other[0]} has another {fact} elsewhere ({len(other)} such items).")
    for items, system in zip(by_id, systems, strict=True):
        if system not in items[shared[0]]["outputs"]:
            raise DataError(f"no system {system!r}; there are {', '.join(items[shared[0]]['outputs'])}.")
    notes = [*_protocol_notes(several), *_other_prompts(told, shared)]
    has_trials = any(entry.get("trial", 0) for entry in told[0].values())
    if has_trials:
        notes.append("All trials of a target are drawn and exchanged together: they are no items of their own.")
    has_continuations = any(entry.get("continued_seconds", 0) > 0 for items in told for entry in items.values())
    if has_continuations:
        notes.append("Leaks are not counted: the texts of continuations begin with the prompts' words.")
    return SharedItems(
        ids=shared,
        speakers=[told[0][name]["speaker"] for name in shared],
        targets=[told[0][name]["target_id"] for name in shared] if has_trials else None,
        outputs=[
            [items[name]["outputs"][system] for name in shared] for items, system in zip(by_id, systems, strict=True)
        ],
        left_out=[[name for name in items if name not in set(shared)] for items in by_id],
        has_continuations=has_continuations,
        notes=notes,
    )


def figures_of(several: Sequence[Scores], shared: SharedItems) -> list[Figure]:
    """The figures that all of the files can give."""
    first, embedded = several[0], {name for scores in several for name in embedded_scorers(scores)}

    def named(name: str, judge: str | None) -> str:
        return f"{name} {EMBEDDED_MARK}" if judge in embedded else name

    words, voices, second = first["recognizer"], first["encoder"], first.get("second_recognizer")
    has_second = second is not None and all(scores.get("second_recognizer") == second for scores in several)
    hearer = second if has_second else words
    found = {
        named("WER", words): _errors("words"),
        named("WER, mean of the items'", words): lambda output: (_rate(output), 1.0),
        named(f"items with over {100 * HIGH_ERROR:.0f} % WER", words): lambda one: (
            float(_rate(one) > HIGH_ERROR),
            1.0,
        ),
        named("CER", words): _errors("characters"),
        **({named(f"WER ({second})", second): lambda one: _errors("words")(one["second"])} if has_second else {}),
        **({} if shared.has_continuations else {named("leak", hearer): _has("leaked", heard_again=has_second)}),
        named("skip", words): _has("skipped"),
        named("repeat", words): _has("repeated"),
        named("words heard / text's", words): lambda one: (
            one["robustness"]["num_heard"],
            one["robustness"]["num_target"],
        ),
        named("SIM-o", voices): lambda output: (output["speaker"]["own"], 1.0),
        named("SIM-r", voices): _optional(lambda output: output["speaker"]["own_copy"]),
        named("SIM-o with the uncut utterance", voices): _optional(lambda output: output["speaker"].get("uncut")),
        LENGTH: _optional(lambda output: output["length_ratio"]),
    }
    rated = dict.fromkeys(name for one in shared.outputs[0] for name in one.get("naturalness", {}))
    for figure in rated:
        rater = next((name for name in first.get("raters", ()) if name.startswith(figure.split()[0])), None)
        found[named(figure, rater)] = _optional(lambda output, figure=figure: output.get("naturalness", {}).get(figure))
    shares = ("items with", "leak", "skip", "repeat")
    return [Figure(name=name, counts=counts, is_share=name.startswith(shares)) for name, counts in found.items()]


def counted(figure: Figure, shared: SharedItems) -> tuple[list[Ratio], list[int]]:
    """Numerators and denominators of each scores, over the items where all of them have the figure.

    Returns:
        one ratio a scores, and the places of those items; both empty where there are none.
    Raises:
        DataError: the file was written before this figure was kept.
    """
    try:
        rows = [[figure.counts(output) for output in outputs] for outputs in shared.outputs]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"the scores lack {error} of an output, which {figure.name!r} needs: an older version wrote them.",
            code="STALE_OUTPUT",
            hint="Score the folder again.",
        ) from error
    places = [place for place in range(len(shared.ids)) if all(row[place] is not None for row in rows)]
    if not places:
        return [], []
    return [tuple(zip(*(row[place] for place in places), strict=True)) for row in rows], places


def _entry(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item["item"]


def _normalizer(scores: Scores) -> str:
    return scores.get("normalizer", LETTERS.name)  # the only one before it had a name


def _refuse_others(several: Sequence[Scores]) -> None:
    for place, scores in enumerate(several, start=1):
        missing = [name for name in ("recognizer", "encoder", "items") if name not in scores]
        if missing:
            raise DataError(
                f"scores {place} hold no {', '.join(missing)}: this is no score.json, or one of an older version.",
                code="STALE_OUTPUT",
                hint="Score the folder again.",
            )
    kinds: dict[str, Callable[[Scores], Any]] = {
        "scorers": lambda scores: scores["recognizer"],
        "scorers of voices": lambda scores: scores["encoder"],
        "normalisers": _normalizer,
    }
    for kind, name in kinds.items():
        names = list(dict.fromkeys(map(name, several)))
        if len(names) > 1:
            raise DataError(f"scores of different {kind} cannot be compared: {', '.join(names)}.")
    raters = [set(scores.get("raters", ())) for scores in several]
    rated = [one for one in raters if one]
    if any(one != rated[0] for one in rated):
        names = ", ".join(sorted(set.union(*rated)))
        raise DataError(f"scores of different raters cannot be compared: {names}.")
    for fact in DECIDING:
        values = [(scores.get("protocol") or {}).get(fact) for scores in several]
        if any(value != values[0] for value in values):
            shown = ", ".join("none" if value is None else str(value) for value in dict.fromkeys(map(_key, values)))
            raise DataError(f"scores of different protocols cannot be compared: {fact} {shown}.")


def _key(value: Any) -> Any:
    return value if value is None else str(value)


def _protocol_notes(several: Sequence[Scores]) -> list[str]:
    """Which of the scores are of a part of a protocol, or of a change of it, and whether their item sets differ."""
    known = [scores.get("protocol") or {} for scores in several]
    told = [
        protocol_warnings(
            protocol, used=scores.get("used", len(scores["items"])), skipped=len(scores.get("skipped", ()))
        )
        for protocol, scores in zip(known, several, strict=True)
    ]
    places: dict[str, list[str]] = {}
    for place, warnings in enumerate(told, start=1):
        for warning in warnings:
            places.setdefault(warning, []).append(str(place))
    notes = [f"**{warning}** (scores {', '.join(at)})" for warning, at in places.items()]
    for fact, what in (("is_subset", "only some are of a subset"), ("set_sha256", "their item sets are not the same")):
        values = [protocol.get(fact) for protocol in known]
        if any(value != values[0] for value in values):
            shown = ", ".join(str(value) for value in dict.fromkeys(values))
            notes.append(f"The scores are of one protocol, but {what}: {fact} {shown}.")
    return notes


def _other_prompts(told: Sequence[Mapping[str, Mapping[str, Any]]], shared: Sequence[str]) -> list[str]:
    other = [name for name in shared if len({items[name].get("prompt_id") for items in told}) > 1]
    return [f"{len(other)} items have another prompt elsewhere: {some(other)}."] if other else []


def _errors(kind: str) -> Counts:
    def counts(output: Output) -> tuple[float, float]:
        found = output["text"][kind]
        wrong = found["substitutions"] + found["deletions"] + found["insertions"]
        return float(wrong), float(found["hits"] + found["substitutions"] + found["deletions"])

    return counts


def _rate(output: Output) -> float:
    wrong, words = _errors("words")(output)
    return wrong / words


def _has(kind: str, *, heard_again: bool = False) -> Counts:
    def counts(output: Output) -> tuple[float, float]:
        return float(bool((output["second"] if heard_again else output)["robustness"][kind])), 1.0

    return counts


def _optional(value: Callable[[Output], float | None]) -> Counts:
    def counts(output: Output) -> tuple[float, float] | None:
        found = value(output)
        return None if found is None else (float(found), 1.0)

    return counts
