"""What is heard of a generator while it trains: scores of fixed items against hours, as rows and as a picture."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import read_json, read_jsonl, write_json
from resgen_tts.evaluation.measures.statistics import Interval
from resgen_tts.evaluation.protocols.synth_folder import CLONE
from resgen_tts.evaluation.reports.report import leak_rate
from resgen_tts.evaluation.scores import ScoreReport

PANELS = {  # title: (key of a row, its name in the legend) of each line
    "word error rate, %": (("wer", "clone"), ("copy_wer", "copy"), ("recording_wer", "recording")),
    "similarity": (("similarity_own", "own prompt"), ("similarity_others", "other speakers")),
    "own voice most similar, %": (("own_first", "than others' mean"), ("own_prompt_first", "than any other prompt")),
    "length off the recording's, %": (("duration_error", "mean of |ratio - 1|"),),
    "log-mel L1 of copies": (("copy_mel_l1", "Mel-VAE and vocoder"),),
    "validation loss of the trainer": (("validation_loss", "generator"),),
}
PERCENT = ("wer", "copy_wer", "recording_wer", "own_first", "own_prompt_first", "duration_error")


def training_hours(metrics: Path, step: int) -> float | None:
    """Hours of training up to a step, from the trainer's own clock: validation and stops are not counted.

    A run that was continued from an older checkpoint logs its steps again; the last entry of each is the one that led
    here. Steps after the last entry are taken at its pace.

    Returns:
        None where nothing was logged up to that step.
    """
    if not metrics.is_file():
        return None
    pace = {
        row["step"]: row["seconds_per_step"]
        for row in read_jsonl(metrics)
        if row.get("kind") == "train" and "seconds_per_step" in row
    }
    seconds, before, last = 0.0, 0, None
    for logged in sorted(pace):
        if logged > step:
            break
        last = pace[logged]
        seconds += (logged - before) * last
        before = logged
    return None if last is None else (seconds + (step - before) * last) / 3600


def validation_loss(metrics: Path, step: int) -> float | None:
    """The trainer's own validation loss of a step, where it made one."""
    rows = read_jsonl(metrics) if metrics.is_file() else []
    found = [row.get("generator") for row in rows if row.get("kind") == "validate" and row.get("step") == step]
    return found[-1] if found else None


def curve_row(report: ScoreReport) -> dict[str, Any]:
    """The figures of one checkpoint: shares as shares, not as percent."""
    clone, recording = report.systems[CLONE], report.systems.get("recording")
    off = [
        abs(item.outputs[CLONE].length_ratio - 1)
        for item in report.items
        if item.outputs[CLONE].length_ratio is not None
    ]
    return {
        "items": report.used,
        "wer": clone.wer.value,
        "wer_low": clone.wer.low,
        "wer_high": clone.wer.high,
        "cer": clone.cer.value,
        "recording_wer": None if recording is None else recording.wer.value,
        "similarity_own": clone.similarity_own.value,
        "similarity_others": _value(clone.similarity_others),
        "own_first": _value(clone.own_first),
        "own_prompt_first": _value(clone.own_prompt_first),
        "duration_error": statistics.fmean(off) if off else None,
        "length_ratio": _value(clone.length_ratio),
        "leak": _value(leak_rate(clone)),
        "skip": clone.robustness.skip.value,
        "repeat": clone.robustness.repeat.value,
        "silent": clone.silent,
        "real_time_factor": None if clone.speed is None else clone.speed.real_time_factor,
    }


def _value(interval: Interval | None) -> float | None:
    return None if interval is None else interval.value


class Curve:
    """A folder with the rows that were measured."""

    def __init__(self, output: Path, settings: dict[str, Any]):
        self.output, self.file = output, output / "curve.jsonl"
        kept = output / "settings.json"
        if kept.is_file() and read_json(kept) != json.loads(json.dumps(settings)):
            raise DataError(
                f"{output} holds a curve of other items, another sampler, vocabulary or Mel-VAE.",
                code="STALE_OUTPUT",
                hint="Write to another folder, or remove it.",
            )
        write_json(kept, settings)
        self.rows: list[dict[str, Any]] = read_jsonl(self.file) if self.file.is_file() else []

    def admit(self, facts: dict[str, str | None]) -> list[str]:
        """Refuse to mix trainings, and tell what else is not as it was at the last row.

        Args:
            facts: of the row to come: ``training`` and ``vocoder``, beginnings of hashes.
        Raises:
            DataError: STALE_OUTPUT, the rows are of another training.
        """
        if any(row["training"] not in (None, facts["training"]) for row in self.rows):
            raise DataError(
                f"{self.output} holds the curve of another training.",
                code="STALE_OUTPUT",
                hint="Write to another folder, or remove it.",
            )
        before = self.rows[-1]["vocoder"] if self.rows else facts["vocoder"]
        if before == facts["vocoder"]:
            return []
        return [f"the vocoder is another one than at the last row: {facts['vocoder']}, and was {before}"]

    @property
    def steps(self) -> set[int]:
        """Those that have a row."""
        return {row["step"] for row in self.rows}

    def add(self, row: dict[str, Any], title: str) -> None:
        """Append a row and draw all of them."""
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows.append(row)
        draw_validation_curve(self.output / "curve.png", self.rows, title)


def draw_validation_curve(path: Path, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """One panel a figure, against hours of training, or against steps where hours are not known.

    Raises:
        ValueError: no row.
    """
    if not rows:
        raise ValueError("a curve needs at least one row")
    from matplotlib.figure import Figure  # needs no display and no global state

    rows = sorted(rows, key=lambda row: row["step"])
    has_hours = all(row.get("hours") is not None for row in rows)
    across = [row["hours"] if has_hours else row["step"] for row in rows]
    figure = Figure(figsize=(11, 6), layout="constrained")
    for axis, (name, lines) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
        for key, label in lines:
            scale = 100 if key in PERCENT else 1
            points = [(x, scale * row[key]) for x, row in zip(across, rows, strict=True) if row.get(key) is not None]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        if name.startswith("word error") and all("wer_low" in row for row in rows):
            low, high = ([100 * row[key] for row in rows] for key in ("wer_low", "wer_high"))
            axis.fill_between(across, low, high, alpha=0.2)
        axis.set(title=name, xlabel="hours of training" if has_hours else "steps")
        axis.title.set_fontsize(9)
        if axis.lines:
            axis.legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.stem}.tmp.png")
    figure.savefig(staged, dpi=90)
    staged.replace(path)
