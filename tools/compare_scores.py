"""Two scored folders side by side: paired differences over the items that both have.

For systems that differ in one thing, e.g. with and without the care that is taken of a reference: the same items, the
same scorers, 95 % bootstrap intervals over items. A difference whose interval holds 0 may be chance.

    python tools/compare_scores.py exp/base/score_off exp/base/score --system clone
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import read_json
from resgen_tts.evaluation.measures.statistics import Interval, paired_difference, ratio_interval

SCORES_FILE = "score.json"
LENGTH = "length / recording's"
Output = Mapping[str, Any]  # one wave of one system, as score.json keeps it


def _errors(kind: str) -> Callable[[Output], tuple[float, float]]:
    def counts(output: Output) -> tuple[float, float]:
        found = output["text"][kind]
        wrong = found["substitutions"] + found["deletions"] + found["insertions"]
        return wrong, found["hits"] + found["substitutions"] + found["deletions"]

    return counts


FIGURES: dict[str, Callable[[Output], tuple[float, float]]] = {  # of an output: what is summed, over what
    "WER": _errors("words"),
    "CER": _errors("characters"),
    "leak": lambda output: (float(bool(output["robustness"]["leaked"])), 1.0),
    "skip": lambda output: (float(bool(output["robustness"]["skipped"])), 1.0),
    "repeat": lambda output: (float(bool(output["robustness"]["repeated"])), 1.0),
    "words heard / text's": lambda output: (output["robustness"]["num_heard"], output["robustness"]["num_target"]),
    "similarity to own prompt": lambda output: (output["speaker"]["own"], 1.0),
    LENGTH: lambda output: (output["length_ratio"], 1.0),
}


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], system: str, *, seed: int = 0
) -> dict[str, tuple[Interval, Interval, Interval]]:
    """Each figure of ``system`` in the first scores, in the second, and second minus first, over shared items.

    Args:
        first, second: what two files ``score.json`` hold.
        seed: of the bootstrap.
    Raises:
        DataError: other scorers, no shared items, a shared item with another text, or a system that one side lacks.
    """
    for scorer in ("recognizer", "encoder"):
        if first[scorer] != second[scorer]:
            raise DataError(f"scores of different scorers cannot be compared: {first[scorer]}, {second[scorer]}.")
    mine, others = ({item["item"]["id"]: item for item in scores["items"]} for scores in (first, second))
    shared = [name for name in mine if name in others]
    if not shared:
        raise DataError("the two folders share no item.")
    for name in shared:
        if mine[name]["item"]["text"] != others[name]["item"]["text"]:
            raise DataError(f"item {name} has another text in the second folder.")
    both = (mine, others)
    for items in both:
        if system not in items[shared[0]]["outputs"]:
            raise DataError(f"no system {system!r}; there are {', '.join(items[shared[0]]['outputs'])}.")
    found = {}
    for figure, counts in FIGURES.items():
        if figure == LENGTH and any(items[shared[0]]["outputs"][system]["length_ratio"] is None for items in both):
            continue  # nobody has recorded these items
        one, two = (
            tuple(zip(*(counts(items[name]["outputs"][system]) for name in shared), strict=True)) for items in both
        )
        difference = paired_difference(two, one, seed=seed)
        found[figure] = (ratio_interval(*one, seed=seed), ratio_interval(*two, seed=seed), difference)
    return found


def table(found: Mapping[str, tuple[Interval, Interval, Interval]]) -> str:
    """The comparison as Markdown."""
    lines = ["| figure | first | second | second - first |", "| --- | --- | --- | --- |"]
    for figure, intervals in found.items():
        cells = [f"{part.value:.3f} [{part.low:.3f}, {part.high:.3f}]" for part in intervals]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="a folder that `resgen-tts score` wrote")
    parser.add_argument("second", type=Path, help="another one, over the same items")
    parser.add_argument("--system", default="clone")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    options = parser.parse_args()
    first, second = (read_json(folder / SCORES_FILE) for folder in (options.first, options.second))
    found = compare(first, second, options.system, seed=options.seed)
    counts = [len(scores["items"]) for scores in (first, second)]
    print(f"{options.system}: {counts[0]} and {counts[1]} items; {first['recognizer']}; {first['encoder']}")  # noqa: T201
    print(table(found))  # noqa: T201


if __name__ == "__main__":
    main()
