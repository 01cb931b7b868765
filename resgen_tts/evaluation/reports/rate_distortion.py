"""The report on a tokenizer: a row for each depth and bound, figures of its levels, speed, and curves over bitrate."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resgen_tts.common.run_dir import write_bytes
from resgen_tts.evaluation.copy_scores import FIGURES, NATURALNESS, RECORDING, SystemSummary
from resgen_tts.evaluation.measures.speed import SpeedSummary
from resgen_tts.evaluation.measures.statistics import Interval
from resgen_tts.evaluation.reports.report import EMBEDDED_MARK, NOT_MEASURED, percent
from resgen_tts.evaluation.reports.scheme_table import table

TITLES = {
    "mel_l1": "mel L1",
    "spectral_convergence": "STFT convergence",
    "log_magnitude": "STFT log magnitude",
    "pesq": "PESQ",
    "stoi": "STOI",
    "extended_stoi": "ESTOI",
    "similarity": "similarity",
    "f0_cents": "F0 error, cents",
    "voicing": "voicing differs, share",
    NATURALNESS: "DNSMOS OVRL",
}
_BY_EMBEDDED = ("similarity", NATURALNESS)  # figures of judges that may come inside their packages
STEPS = {
    "encode": "encode: wave to codes",
    "decode": "decode: codes to wave, deepest copy",
    "decode_mel": "of that, codes to mel",
    "vocoder": "of that, mel to wave",
}


@dataclass(frozen=True, kw_only=True)
class LevelFigures:
    """One level of codes over the scored set."""

    usage: float  # share of the codebook that was used at all
    perplexity: float  # exp of the entropy of the codes' shares; the codebook's size where all are used alike
    cycle: float  # share of frames whose code encoding the deepest copy gives again


@dataclass(frozen=True, kw_only=True)
class TokenizerReport:
    """Everything that was measured of a tokenizer, and what it was measured with."""

    tokenizer: Mapping[str, Any]  # spec, vocoder, rates, depth, codebook size, parameters, hashes
    systems: Mapping[str, SystemSummary]  # recordings, bounds, then depths, shallow to deep
    kbps: Mapping[str, float]  # of the depths
    first_level_cycle: Mapping[str, float]  # of the depths: level 0 of encode(copy) against the copy's own
    levels: Sequence[LevelFigures]
    worse_when_deeper: Mapping[str, Sequence[tuple[str, str, Interval]]]  # figure: (shallower, deeper, difference)
    speed: Mapping[str, SpeedSummary]  # by the names of STEPS
    threads: Sequence[int]  # torch's, in the passes that were timed
    read: int
    used: int
    skipped: Mapping[str, str]  # id: reason; read = used + skipped
    seconds: float  # of the recordings used
    recognizer: str  # empty where nothing was recognised
    encoder: str
    has_embedded_scorers: bool
    seed: int
    data_sha256: str  # of the ids and of the recordings used
    provenance: Mapping[str, str] = field(default_factory=dict)  # command, commit and hardware
    rater: str = ""  # of naturalness; empty where it was not rated

    def to_json(self) -> dict[str, Any]:
        """Plain values, the tokenizer first."""
        return asdict(self)


def markdown(report: TokenizerReport) -> str:
    """The report as Markdown."""
    lines = ["# Scores of a tokenizer", "", _system_table(report), ""]
    lines += [
        "Means over recordings (WER and CER: over their words and letters), 95 % intervals by bootstrap over",
        "recordings; all is listened to at 16 kHz. Lower is better for mel L1, STFT, F0 error, voicing, WER and CER.",
        "F0 error: root mean square over the frames voiced in both; a semitone is 100, some 50 are the measure's own.",
    ]
    if report.has_embedded_scorers:
        names = "; ".join(name for name in (report.recognizer, report.encoder, report.rater) if name)
        lines += [
            f"{EMBEDDED_MARK} small scorers that come inside their packages ({names}): for comparing rows of this "
            "table, never with figures of Whisper, HuBERT or WavLM."
        ]
    lines += ["", "## Levels", "", _level_table(report), ""]
    lines += ["## Speed", "", _speed_table(report), "", "## Facts", "", *_fact_lines(report), ""]
    notes = _notes(report)
    if notes:
        lines += ["Notes:", "", *(f"* {' '.join(note.split())}" for note in notes), ""]
    return "\n".join(lines)


def draw_rate_distortion(path: Path, report: TokenizerReport) -> None:
    """Draw mel L1, PESQ and WER against bitrate, with the bounds that do not depend on it; a PNG."""
    from matplotlib.figure import Figure  # no pyplot: it keeps figures alive and wants a display

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    bounds = [name for name in report.systems if name not in report.kbps]
    for axis, (title, scale, pick) in zip(figure.subplots(1, 3), _CURVES, strict=True):
        points = [(rate, pick(report.systems[name])) for name, rate in report.kbps.items()]
        points = [(rate, interval) for rate, interval in points if interval is not None]
        if points:
            values = [scale * interval.value for _, interval in points]
            # Bounds of few items may lie beside the estimate; a bar never has a negative length.
            below = [max(0.0, scale * (interval.value - interval.low)) for _, interval in points]
            above = [max(0.0, scale * (interval.high - interval.value)) for _, interval in points]
            rates = [rate for rate, _ in points]
            axis.errorbar(rates, values, yerr=[below, above], marker="o", capsize=2, label="depths")
            axis.set_xscale("log")
            axis.set_xticks(rates, [f"{rate:.2g}" for rate in rates], fontsize=7)
            axis.minorticks_off()
        for place, name in enumerate(bounds):
            interval = pick(report.systems[name])
            if interval is not None and not (name == RECORDING and title != _WER):
                line = {"linestyle": ("--", ":", "-.")[place % 3], "color": f"C{place + 1}"}
                axis.axhline(scale * interval.value, label=name, **line)
        axis.set(xlabel="kbps", title=title)
        if points or axis.lines:
            axis.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})  # the same bytes from any version
    write_bytes(path, buffer.getvalue())


_WER = "WER in %"
_CURVES = (
    ("mel L1", 1.0, lambda system: system.figures["mel_l1"]),
    ("PESQ", 1.0, lambda system: system.figures["pesq"]),
    (_WER, 100.0, lambda system: system.wer),
)


def _system_table(report: TokenizerReport) -> str:
    mark = f" {EMBEDDED_MARK}" if report.has_embedded_scorers else ""
    header = [f"{report.used} recordings", "kbps"]
    figures = [figure for figure in FIGURES if figure != NATURALNESS or report.rater]
    header += [TITLES[figure] + (mark if figure in _BY_EMBEDDED else "") for figure in figures]
    header += [f"WER{mark}", f"CER{mark}", "WER over the recordings', points", "silent"]
    rows = []
    for name, system in report.systems.items():
        rate = report.kbps.get(name)
        difference = system.wer_difference
        rows.append(
            [name, NOT_MEASURED if rate is None else f"{rate:.3f}"]
            + [_shown(system.figures[figure]) for figure in figures]
            + [NOT_MEASURED if rate is None else percent(rate) for rate in (system.wer, system.cer)]
            + [NOT_MEASURED if difference is None else percent(difference).replace(" %", ""), str(system.silent)]
        )
    return table(header, rows)


def _level_table(report: TokenizerReport) -> str:
    rows = [
        [str(level), f"{100 * one.usage:.1f} %", f"{one.perplexity:.1f}", f"{100 * one.cycle:.1f} %"]
        for level, one in enumerate(report.levels)
    ]
    return table(["level", "codes used", "perplexity", "encode(copy) = code, deepest copy"], rows)


def _speed_table(report: TokenizerReport) -> str:
    rows = [
        [title, f"{one.real_time_factor:.4f}", f"{1 / one.real_time_factor:.0f} x", f"{one.median:.4f}"]
        for step, title in STEPS.items()
        if (one := report.speed.get(step)) is not None
    ]
    return table(["step", "real-time factor", "faster than real time", "median"], rows)


def _fact_lines(report: TokenizerReport) -> list[str]:
    """What is needed to make the report again; not in columns, because some values are long."""
    rows = [[name.replace("_", " "), str(value)] for name, value in report.tokenizer.items() if value != ""]
    cycles = ", ".join(f"{name} {100 * share:.1f} %" for name, share in report.first_level_cycle.items())
    rows += [
        ["first level of encode(copy) = that of the codes", cycles],
        ["deeper prefixes never worse on average", _monotone(report)],
        ["recordings", f"{report.read} read = {report.used} used + {len(report.skipped)} skipped"],
        ["seconds", f"{report.seconds:.1f}"],
        ["recogniser", report.recognizer or "not used"],
        ["speaker encoder", report.encoder],
        ["rater of naturalness", report.rater or "not used"],
        ["threads of the timed passes", ", ".join(map(str, report.threads))],
        ["seed", str(report.seed)],
        ["data SHA-256", report.data_sha256],
    ]
    return [f"* {name}: {' '.join(value.split())}" for name, value in [*rows, *report.provenance.items()]]


def _monotone(report: TokenizerReport) -> str:
    if not report.worse_when_deeper:
        return "true of every figure"
    told = []
    for figure, steps in report.worse_when_deeper.items():
        for shallow, deep, change in steps:
            told.append(f"{TITLES[figure]} {shallow} to {deep} by {_shown(change)}")
    return "not true: " + "; ".join(told)


def _notes(report: TokenizerReport) -> list[str]:
    notes = [f"skipped {name}: {reason}" for name, reason in report.skipped.items()]
    for name, system in report.systems.items():
        for measure, codes in system.left_out.items():
            told = ", ".join(f"{count} {code}" for code, count in codes.items())
            notes.append(f"{name}: {measure} is not defined for {sum(codes.values())} of {system.items} ({told})")
    recognised = {system.items_with_text for system in report.systems.values() if system.wer is not None}
    if recognised and recognised != {report.used}:
        notes.append(f"WER and CER are over {', '.join(map(str, sorted(recognised)))} recordings with a text")
    return notes


def _shown(interval: Interval | None) -> str:
    if interval is None:
        return NOT_MEASURED
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
