"""What the figures of the scorers are worth: recordings made worse in known ways must move them as can be derived.

    python tools/bench/scorer_sensitivity.py --list libri-eval/utterances.tsv --list vctk-mini/utterances.tsv \\
        --output exp/sensitivity

Each recording gets a prompt, another recording of its speaker, and is scored beside its degraded versions (see
``degraded_speech.py``) by the path of ``resgen-tts score``. What words were heard in the recording tells what must be
heard once words are cut out, repeated or leaked: its counts are the expected ones. A change is of about the right size
when it lies between half and twice the expected one, for a splice also disturbs its neighbours. Intervals are tried by
drawing sets of items from those that there are, whose rate is known. What was listened to is kept in
``OUTPUT/memory``: a run that was stopped goes on. Writes the waves, ``sensitivity.json`` and ``sensitivity.md``.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import degraded_speech as degraded

from resgen_tts.common.errors import ResGenError
from resgen_tts.evaluation.measures.robustness import Robustness, robustness
from resgen_tts.evaluation.measures.statistics import Interval, paired_difference, ratio_interval
from resgen_tts.evaluation.measures.text_error import TextError, text_error
from resgen_tts.evaluation.protocols.synth_folder import RECORDING
from resgen_tts.evaluation.score_report import ItemScore, ScoreReport

HELD = (0.92, 0.98)  # what a 95 % interval may hold in 1,000 sets, of few and unequal units
ABOUT = (0.5, 2.0)  # times the expected change
SPLICED = (degraded.CUT, degraded.SOME_CUT, degraded.REPEATED, degraded.LEAKED)
FAILURE = {
    degraded.CUT: "skipped",
    degraded.SOME_CUT: "skipped",
    degraded.REPEATED: "repeated",
    degraded.LEAKED: "leaked",
}  # the kind that a splice makes
RATE = {"skipped": "skip", "repeated": "repeat", "leaked": "leak"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure that must move as it does."""

    name: str
    measured: Interval
    expected: float | None  # None: the direction alone can be derived
    rule: str
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How often an interval held the rate of those that its items were drawn from."""

    figure: str
    sets: int
    units: int  # items or speakers in a set
    held: float
    above: float  # share of intervals that lie above the rate
    below: float


class Findings:
    """A report, what was expected of it, and the checks."""

    def __init__(self, tasks: Sequence[degraded.Task], report: ScoreReport, prompts: Sequence[str], seed: int):
        """``prompts``: what was heard of each task's prompt."""
        self.tasks, self.report, self.seed, self.items = tasks, report, seed, report.items
        self.expected: dict[str, list[tuple[TextError, Robustness]]] = {name: [] for name in SPLICED}
        for task, scored, heard in zip(tasks, self.items, prompts, strict=True):
            prompt = text_error(task.prompt.text, heard)
            words = degraded.expected_words(task, scored.outputs[RECORDING].text, prompt)
            for name, own in words.items():
                error = text_error(task.recording.text, own)
                self.expected[name].append((error, robustness(error, task.prompt.text)))
        self.checks: list[Check] = []

    def run(self) -> list[Check]:
        """All checks."""
        self.lengths()
        self.splices()
        self.noise()
        self.speed()
        self.voices()
        return self.checks

    def lengths(self) -> None:
        """Length ratios are known to the sample."""
        expected = {name: [1 / speed] * len(self.tasks) for name, speed in degraded.SPEED.items()}
        for name in SPLICED:
            expected[name] = [self._length(name, *pair) for pair in zip(self.tasks, self.items, strict=True)]
        for name, ratios in expected.items():
            measured, wanted = self.report.systems[name].length_ratio, float(np.mean(ratios))
            self._add(f"{name}: length ratio", measured, wanted, "within 0.001", abs(measured.value - wanted) < 1e-3)

    def splices(self) -> None:
        """Word errors, and the failure that a splice makes, rise by what was heard of these words before."""
        words = [len(scored.outputs[RECORDING].text.reference.split()) for scored in self.items]
        ones = [1] * len(words)
        for name in SPLICED:
            for title, counted in (("WER", _errors), (f"share with words {FAILURE[name]}", _fails(FAILURE[name]))):
                below = words if title == "WER" else ones
                made = [counted(item.outputs[name].text, item.outputs[name].robustness) for item in self.items]
                before = [
                    counted(item.outputs[RECORDING].text, item.outputs[RECORDING].robustness) for item in self.items
                ]
                wanted = (sum(counted(*pair) for pair in self.expected[name]) - sum(before)) / sum(below)
                change = paired_difference((made, below), (before, below), seed=self.seed)
                self._about(f"{name}: change of {title}", change, wanted)
        for title in RATE:
            highest = max(
                (sum(bool(getattr(item.outputs[name].robustness, title)) for item in self.items) / len(words), name)
                for name in (RECORDING, *SPLICED)
                if FAILURE.get(name) != title
            )
            own = getattr(self.report.systems[RECORDING].robustness, RATE[title])
            self._add(
                f"share with words {title} where none are: {highest[1]}",
                Interval(value=highest[0], low=highest[0], high=highest[0]),
                own.value,
                f"not above {own.high:.3f}, the upper end of the recordings' interval",
                highest[0] <= own.high,
            )

    def noise(self) -> None:
        """More noise, more errors; the size cannot be derived."""
        for quiet, loud in pairwise((RECORDING, *degraded.SNR_DB)):
            self._moves(f"WER, {quiet} to {loud}", self._change(quiet, loud, _word_errors), up=True)
            for figure in self.report.systems[loud].naturalness:
                if figure.endswith(("OVRL", "BAK")):
                    self._moves(f"{figure}, {quiet} to {loud}", self._change(quiet, loud, _rating(figure)), up=False)
            self._moves(f"SIM own, {quiet} to {loud}", self._change(quiet, loud, _own), up=False)

    def speed(self) -> None:
        """Another speed keeps the words and most of the voice."""
        for name in degraded.SPEED:
            ratio = self.report.systems[name].robustness.word_ratio
            own = self.report.systems[RECORDING].robustness.word_ratio.value
            is_near = abs(ratio.value / own - 1) < 0.15
            self._add(f"{name}: words heard over words said", ratio, own, "within 15 % of the recordings'", is_near)
            self._moves(f"SIM own, {RECORDING} to {name}", self._change(RECORDING, name, _own), up=False)
            similarity = self.report.systems[name]
            is_right = similarity.similarity_own.low > similarity.similarity_others.high
            self._add(f"{name}: SIM own", similarity.similarity_own, None, "above SIM others", is_right)

    def voices(self) -> None:
        """Another speaker's voice is as far from the prompt as others are; spliced words keep the voice."""
        plain, other = self.report.systems[RECORDING], self.report.systems[degraded.OTHER]
        texts = [text_error(task.recording.text, task.other.text).words for task in self.tasks]
        wanted = sum(count.errors for count in texts) / sum(count.reference_size for count in texts)
        self._add("other: WER", other.wer, wanted, "80 % at least", other.wer.value >= 0.8)
        share = float(np.mean([count.rate > 0.5 for count in texts]))
        is_right = other.high_error.value >= share - 0.05
        self._add("other: share over 50 % WER", other.high_error, share, "5 points below at most", is_right)
        near, wanted = other.similarity_own, plain.similarity_others.value
        self._add("other: SIM own", near, wanted, "its interval holds SIM others", near.low <= wanted <= near.high)
        chance = 1 / self.report.speakers
        first = other.own_first
        self._add("other: own first", first, chance, "at most chance: their owner is before", first.value <= chance)
        self._add("recording: own first", plain.own_first, 1.0, "over 90 %", plain.own_first.value > 0.9)
        # A change matters where it is a good part of what lies between one's own voice and other people's.
        scale = plain.similarity_own.value - plain.similarity_others.value
        for name in (degraded.CUT, degraded.SOME_CUT, degraded.REPEATED):
            change = self._change(RECORDING, name, _own)
            is_right = abs(change.value) < 0.1 * scale
            self._add(f"SIM own, {RECORDING} to {name}", change, 0.0, f"within {0.1 * scale:.3f}", is_right)
        change = self._change(RECORDING, degraded.LEAKED, _own)
        self._moves(f"SIM own, {RECORDING} to {degraded.LEAKED}: it holds the prompt itself", change, up=True)

    def _length(self, name: str, task: degraded.Task, scored: ItemScore) -> float:
        seconds = scored.outputs[RECORDING].seconds
        start, end = task.row
        prompt = degraded.read_wave(task.prompt.file)
        added = {
            degraded.CUT: start - end,
            degraded.SOME_CUT: (start - end) * task.is_some,
            degraded.REPEATED: end - start,
            degraded.LEAKED: len(prompt) / degraded.SCORING_RATE - task.prompt_tail_seconds,
        }
        return 1 + added[name] / seconds

    def _change(self, first: str, second: str, value: Callable[[Any], tuple[float, float]]) -> Interval:
        """Of the figure from one system to another, over the items that have it under both."""
        pairs = [(value(item.outputs[second]), value(item.outputs[first])) for item in self.items]
        pairs = [pair for pair in pairs if None not in (pair[0][0], pair[1][0])]
        after, before = (tuple(zip(*side, strict=True)) for side in zip(*pairs, strict=True))
        return paired_difference(after, before, seed=self.seed)

    def _moves(self, name: str, change: Interval, *, up: bool) -> None:
        is_right = change.low > 0 if up else change.high < 0
        self._add(name, change, None, "up" if up else "down", is_right)

    def _about(self, name: str, change: Interval, expected: float) -> None:
        is_right = change.low > 0 and ABOUT[0] * expected <= change.value <= ABOUT[1] * expected
        self._add(name, change, expected, "up, half to twice", is_right)

    def _add(self, name: str, measured: Interval, expected: float | None, rule: str, is_right: bool) -> None:
        self.checks.append(Check(name=name, measured=measured, expected=expected, rule=rule, is_right=bool(is_right)))


def _errors(error: TextError, _: Robustness) -> float:
    return float(error.words.errors)


def _fails(kind: str) -> Callable[[TextError, Robustness], float]:
    return lambda _, found: float(bool(getattr(found, kind)))


def _word_errors(output: Any) -> tuple[float, float]:
    return float(output.text.words.errors), float(output.text.words.reference_size)


def _own(output: Any) -> tuple[float, float]:
    return output.speaker.own, 1.0


def _rating(figure: str) -> Callable[[Any], tuple[float | None, float]]:
    return lambda output: (output.naturalness.get(figure), 1.0)


def coverage(
    figure: str,
    top: Sequence[float],
    bottom: Sequence[float],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
    size: int = 30,
    sets: int = 1000,
) -> Coverage:
    """Draw sets with replacement and see how often their intervals hold the rate of all.

    Args:
        figure: its name.
        top, bottom: counts of each item of the population.
        seed: of the sets and the intervals.
        groups: the speaker of each item; whole speakers are then drawn, as many as there are.
        size: items in a set.
        sets: how many.
    """
    above, below = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    truth = above.sum() / below.sum()
    rng = np.random.default_rng(seed)
    members = [np.array([place]) for place in range(len(above))]
    if groups is not None:
        members = [np.flatnonzero(np.array(groups) == name) for name in sorted(set(groups))]
        size = len(members)
    low = high = 0
    for number in range(sets):
        drawn = [members[place] for place in rng.integers(len(members), size=size)]
        picked = np.concatenate(drawn)
        units = np.repeat(np.arange(size), [len(own) for own in drawn]).astype(str).tolist()
        found = ratio_interval(
            above[picked].tolist(), below[picked].tolist(), seed=number, groups=None if groups is None else units
        )
        low, high = low + (truth < found.low), high + (truth > found.high)
    return Coverage(
        figure=figure, sets=sets, units=size, held=1 - (low + high) / sets, above=low / sets, below=high / sets
    )


def coverages(report: ScoreReport, seed: int, sets: int) -> list[Coverage]:
    """Of word errors and similarity of the recordings, over items and over speakers."""
    outputs = [item.outputs[RECORDING] for item in report.items]
    speakers = [item.item.speaker for item in report.items]
    found = []
    for figure, value in (("WER", _word_errors), ("SIM own", _own)):
        top, bottom = zip(*map(value, outputs), strict=True)
        found.append(coverage(f"{figure} over items", top, bottom, seed=seed, sets=sets))
        found.append(coverage(f"{figure} over speakers", top, bottom, seed=seed, groups=speakers, sets=sets))
    return found


def markdown(report: ScoreReport, checks: Sequence[Check], held: Sequence[Coverage], facts: Mapping[str, Any]) -> str:
    """Table of the systems, the checks, and the coverage of the intervals."""
    columns: dict[str, Callable[[Any], Interval | None]] = {
        "WER": lambda own: own.wer,
        "CER": lambda own: own.cer,
        "mean of items' WER": lambda own: own.wer_of_items,
        "over 50 % WER": lambda own: own.high_error,
        "leak": lambda own: own.robustness.leak,
        "skip": lambda own: own.robustness.skip,
        "repeat": lambda own: own.robustness.repeat,
        "words heard / said": lambda own: own.robustness.word_ratio,
        "SIM own": lambda own: own.similarity_own,
        "SIM others": lambda own: own.similarity_others,
        "own first": lambda own: own.own_first,
        "length ratio": lambda own: own.length_ratio,
    }
    for figure in report.systems[RECORDING].naturalness:
        columns[figure] = lambda own, figure=figure: own.naturalness.get(figure)
    lines = ["| system | " + " | ".join(columns) + " |", "|" + " --- |" * (len(columns) + 1)]
    for name, own in report.systems.items():
        lines.append(f"| {name} | " + " | ".join(_shown(get(own)) for get in columns.values()) + " |")
    lines += ["", f"{sum(one.is_right for one in checks)} of {len(checks)} checks are right.", ""]
    lines += ["| check | measured | expected | rule | right |", "| --- | --- | --- | --- | --- |"]
    for one in checks:
        expected = "" if one.expected is None else f"{one.expected:.3f}"
        verdict = "yes" if one.is_right else "**NO**"
        lines.append(f"| {one.name} | {_shown(one.measured)} | {expected} | {one.rule} | {verdict} |")
    lines += ["", "| interval of 95 % | sets | units | holds | all above | all below |", "|" + " --- |" * 6]
    for one in held:
        mark = "" if HELD[0] <= one.held <= HELD[1] else " **outside 92..98 %**"
        cells = (one.figure, str(one.sets), str(one.units), f"{one.held:.1%}{mark}", f"{one.above:.1%}")
        lines.append("| " + " | ".join([*cells, f"{one.below:.1%}"]) + " |")
    return "\n".join([*lines, "", *(f"* {name}: {value}" for name, value in facts.items()), ""])


def _shown(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def main() -> int:
    from resgen_tts.apps.scoring.recording_alignment import say_in_arpabet
    from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json, write_text
    from resgen_tts.evaluation.judges.dnsmos import Dnsmos
    from resgen_tts.evaluation.judges.pocketsphinx_alignment import PocketSphinxAligner
    from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
    from resgen_tts.evaluation.judges.remembered import (
        Memory,
        RememberingEncoder,
        RememberingRater,
        RememberingRecognizer,
    )
    from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer
    from resgen_tts.evaluation.protocols.recordings import read_recordings
    from resgen_tts.evaluation.protocols.synth_folder import read_synth
    from resgen_tts.evaluation.scores import Judges, score_folder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", type=Path, action="append", required=True, help="table of recordings; repeatable")
    parser.add_argument("--limit", type=int, help="the first so many items, the speakers in turn")
    parser.add_argument("--no_ratings", action="store_true", help="without DNSMOS")
    parser.add_argument("--sets", type=int, default=1000, help="that the intervals are tried with")
    parser.add_argument("--nj", type=int, default=1, help="processes of the recogniser")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    try:
        recordings = [one for table in options.list for one in read_recordings(table)]
        aligner = PocketSphinxAligner(workers=options.nj, pronounce=say_in_arpabet)
        tasks, left_out = degraded.choose_tasks(recordings, aligner, seed=options.seed, limit=options.limit)
        facts = {
            "items": f"{len(tasks)} of {len({task.recording.speaker for task in tasks})} speakers",
            "left out": "; ".join(f"{count}: {reason}" for reason, count in Counter(left_out.values()).items())
            or "none",
            "seed": options.seed,
            "commit": commit_hash(),
            "hardware": hardware_line(),
        }
        degraded.write_degraded(options.output, tasks, seed=options.seed, facts=facts)
        memory = Memory(options.output / "memory")
        judges = Judges(
            recognizer=RememberingRecognizer(PocketSphinx(workers=options.nj), memory),
            encoder=RememberingEncoder(Resemblyzer(), memory),
            raters=[] if options.no_ratings else [RememberingRater(Dnsmos(), memory)],
        )
        folder = read_synth(options.output)
        report = score_folder(folder, judges, seed=options.seed)
        prompts = judges.recognizer.transcribe([folder.wave(item.prompt) for item in folder.items])
    except ResGenError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    checks = Findings(tasks, report, prompts, options.seed).run()
    held = coverages(report, options.seed, options.sets)
    judged = [report.recognizer, report.encoder, *report.raters, f"normaliser {report.normalizer}"]
    text = markdown(report, checks, held, facts | {"judges": "; ".join(judged)})
    found = {"facts": facts, "checks": [asdict(one) for one in checks], "coverage": [asdict(one) for one in held]}
    write_text(options.output / "sensitivity.md", text)
    write_json(options.output / "sensitivity.json", found | {"report": report.to_json()})
    print(text)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
