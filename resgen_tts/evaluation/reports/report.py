"""The written report: one Markdown table with the systems side by side, and how it was made."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resgen_tts.evaluation.measures.robustness import LEAK_WORDS, SKIP_WORDS
from resgen_tts.evaluation.measures.speed import COLD, FIRST_AUDIO, PEAK_MEMORY, REAL_TIME_FACTOR, WARM, told_threads
from resgen_tts.evaluation.measures.statistics import Interval
from resgen_tts.evaluation.protocols.synth_folder import RECORDING
from resgen_tts.evaluation.score_report import ScoreReport, SystemScore
from resgen_tts.evaluation.summaries import HIGH_ERROR

EMBEDDED_MARK = "†"
NOT_MEASURED = "–"
OWN_FIRST = "own speaker most similar, others by the mean of their prompts"
OWN_PROMPT_FIRST = "own prompt more similar than any prompt of any other speaker"
INTERVALS = (
    "Intervals: 95 %. Rates, means and ratios by bootstrap over items, or over whole speakers where a row says so; "
    "shares of items with a leak, a skip, a repeat or too many errors by the exact binomial law."
)
_SPEED = {  # figure: what it is
    "real-time factor": REAL_TIME_FACTOR,
    "real-time factor, cold": COLD,
    "real-time factor, warm": WARM,
    "cold start": COLD,
    "first audio": FIRST_AUDIO,
    "peak memory": PEAK_MEMORY,
}
_Row = Callable[[str, Callable[[SystemScore], str]], tuple[str, ...]]  # label, cell of a system -> a row of the table
_PROTOCOL_FACTS = {  # of protocol.json: how it is told
    "mode": "{}",
    "cut": "prompts cut {}",
    "aligner": "by {}",
    "seed": "seed {}",
    "trials": "trials: {}",
    "list_sha256": "list SHA-256 {}",
    "set_sha256": "set SHA-256 {}",
}


def percent(interval: Interval) -> str:
    """A rate with its bounds, e.g. ``12.3 % [10.1, 14.9]``."""
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def rate(interval: Interval | None) -> str:
    """`percent`, or a dash where it was not measured."""
    return NOT_MEASURED if interval is None else percent(interval)


def plain(interval: Interval | None) -> str:
    """A figure with its bounds, e.g. ``0.71 [0.69, 0.73]``, or a dash where it was not measured."""
    if interval is None:
        return NOT_MEASURED
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def leak_rate(system: SystemScore) -> Interval:
    """Leaks as the second recogniser heard them, where there is one: a closed vocabulary of the texts' words cannot
    hear the prompts'."""
    return (system.second or system).robustness.leak


def leak_hearer(report: ScoreReport) -> str:
    """Which recogniser `leak_rate` is of."""
    return report.second_recognizer or report.recognizer


def mark(report: ScoreReport, judge: str | None) -> str:
    """The mark of a row by its judge: empty unless that comes inside a package."""
    return f" {EMBEDDED_MARK}" if judge in report.embedded_scorers else ""


def rater_of(report: ScoreReport, figure: str) -> str | None:
    """The rater that a figure of naturalness is of: figures begin with the word that their rater's name begins with."""
    first = figure.split()[0]
    return next((name for name in report.raters if name.startswith(first)), None)


def naturalness_figures(report: ScoreReport) -> list[str]:
    """Names of the figures of naturalness, in the order to show them."""
    return list(dict.fromkeys(name for system in report.systems.values() for name in system.naturalness))


def table_rows(report: ScoreReport) -> list[tuple[str, ...]]:
    """Header and rows of the table, as text without markup: the one source of Markdown and HTML."""
    systems = list(report.systems.values())

    def row(label: str, cell: Callable[[SystemScore], str]) -> tuple[str, ...]:
        return (label, *(cell(system) for system in systems))

    return [
        (f"{report.used} items, {report.speakers} speakers", *report.systems),
        *_word_rows(report, row),
        *_voice_rows(report, row),
        *(
            row(
                f"{figure}{mark(report, rater_of(report, figure))}",
                lambda one, name=figure: plain(one.naturalness.get(name)),
            )
            for figure in naturalness_figures(report)
        ),
        row("length over the recording's", lambda one: plain(one.length_ratio)),
        row("log-mel L1 to the recording", lambda one: plain(one.mel_l1)),
        *_speed_rows(report, row),
        row("silent outputs", lambda one: str(one.silent)),
    ]


def _word_rows(report: ScoreReport, row: _Row) -> list[tuple[str, ...]]:
    marked, hearer = mark(report, report.recognizer), leak_hearer(report)
    found = [
        row(f"WER ({report.recognizer}; normaliser: {report.normalizer}){marked}", lambda one: percent(one.wer)),
        row(f"the same, interval over speakers{marked}", lambda one: percent(one.wer_over_speakers)),
        row(
            f"WER, mean of the items' own, as the scripts of F5-TTS and Seed-TTS-eval print it{marked}",
            lambda one: percent(one.wer_of_items),
        ),
        row(f"items with over {100 * HIGH_ERROR:.0f} % WER{marked}", lambda one: percent(one.high_error)),
        row(f"CER{marked}", lambda one: percent(one.cer)),
        row(
            f"leaks: items with {LEAK_WORDS} words of the prompt that the text lacks, heard by {hearer}"
            f"{mark(report, hearer)}",
            lambda one: percent(leak_rate(one)),
        ),
        row(
            f"skips: items with {SKIP_WORDS} words of the text in a row missing{marked}",
            lambda one: percent(one.robustness.skip),
        ),
        row(f"repeats: items with words said over again{marked}", lambda one: percent(one.robustness.repeat)),
        row(f"words heard over the text's{marked}", lambda one: plain(one.robustness.word_ratio)),
    ]
    if report.second_recognizer is None:
        return found
    other, marked = vocabulary(report.second_recognizer), mark(report, report.second_recognizer)

    def second(kind: str) -> Callable[[SystemScore], str]:
        def cell(system: SystemScore) -> str:
            again = system.second
            if again is None:
                return NOT_MEASURED
            return percent({"WER": again.wer, "CER": again.cer}.get(kind) or getattr(again.robustness, kind))

        return cell

    return [
        *found,
        row(f"WER ({report.second_recognizer}){marked}", second("WER")),
        row(f"CER, {other}{marked}", second("CER")),
        row(f"skips, {other}{marked}", second("skip")),
        row(f"repeats, {other}{marked}", second("repeat")),
    ]


def _voice_rows(report: ScoreReport, row: _Row) -> list[tuple[str, ...]]:
    marked = mark(report, report.encoder)
    over_speakers = f"the same, interval over speakers{marked}"
    return [
        row(f"SIM-o: similarity to own prompt ({report.encoder}){marked}", lambda one: plain(one.similarity_own)),
        row(over_speakers, lambda one: plain(one.similarity_own_over_speakers)),
        row(f"SIM-r: similarity to own prompt's copy{marked}", lambda one: plain(one.similarity_own_copy)),
        row(f"similarity to other speakers{marked}", lambda one: plain(one.similarity_others)),
        row(f"{OWN_FIRST} (chance {100 / report.speakers:.0f} %){marked}", lambda one: percent(one.own_first)),
        row(over_speakers, lambda one: percent(one.own_first_over_speakers)),
        row(f"the same, averaged over speakers{marked}", lambda one: f"{100 * one.own_first_of_speakers:.1f} %"),
        row(f"{OWN_PROMPT_FIRST}{marked}", lambda one: percent(one.own_prompt_first)),
        row(over_speakers, lambda one: percent(one.own_prompt_first_over_speakers)),
    ]


def speed_figures(system: SystemScore) -> dict[str, str]:
    """Wall-clock figures and memory of a system, those that were measured: name -> value with its unit."""
    speed = system.speed
    if speed is None:
        return {}
    told = {
        "real-time factor": f"{speed.real_time_factor:.3f} (median {speed.median:.3f})",
        "real-time factor, cold": _measured(speed.cold_real_time_factor, "{:.3f}"),
        "real-time factor, warm": _measured(speed.warm_real_time_factor, "{:.3f}"),
        "cold start": _measured(speed.cold_seconds, "{:.2f} s"),
        "first audio": _measured(speed.first_audio_seconds, "{:.2f} s"),
        "peak memory": _measured(speed.peak_memory_mib, "{:.0f} MiB"),
    }
    return {name: value for name, value in told.items() if value != NOT_MEASURED}


def _speed_rows(report: ScoreReport, row: _Row) -> list[tuple[str, ...]]:
    return [
        row(
            name if name == "peak memory" else f"{name}, {told_threads(report.run)}",
            lambda one, name=name: speed_figures(one).get(name, NOT_MEASURED),
        )
        for name in _speed_names(report)
    ]


def _speed_names(report: ScoreReport) -> list[str]:
    return list(dict.fromkeys(name for system in report.systems.values() for name in speed_figures(system)))


def _measured(value: float | None, shape: str) -> str:
    return NOT_MEASURED if value is None else shape.format(value)


def protocol_line(report: ScoreReport) -> str:
    """The protocol of an item set in a line, e.g. ``V, continuation, seed 49, ...``; "" for a corpus's own items."""
    known = report.protocol
    if not known:
        return ""
    told = [shape.format(known[name]) for name, shape in _PROTOCOL_FACTS.items() if known.get(name) not in (None, "")]
    return ", ".join([_shown(known.get("name")), *told])


def subset_warning(report: ScoreReport) -> str:
    """What must be read before the figures of a part of a protocol's items; "" for all of them."""
    if not report.protocol.get("is_subset"):
        return ""
    name = _shown(report.protocol.get("name"))
    return f"SUBSET: {report.used} items, which are not all of protocol {name}. These are not figures of the protocol."


def compared_with(report: ScoreReport) -> str:
    """What similarities are with: protocols differ in it."""
    items = [scored.item for scored in report.items]
    told = "outputs with the prompt that they were made from (SIM-o) and with its copy (SIM-r)"
    if any(item.continued_seconds for item in items):
        told += ", the prompt's samples being cut off the outputs, which begin with them"
    if any(item.reference for item in items):
        told += "; recordings with the uncut utterance that the prompt is from"
    elif RECORDING in report.systems:
        told += "; recordings with the same prompt"
    return told


def facts(report: ScoreReport) -> list[tuple[str, str]]:
    """What is needed to make the table again: name and value, as plain text."""
    run, scoring = report.run, report.provenance
    rows = [
        (f"WER difference in points, {pair} (same items)", percent(interval).replace(" %", ""))
        for pair, interval in report.wer_differences.items()
    ]
    rows += [
        (f"the same, {report.second_recognizer}, {pair}", percent(interval).replace(" %", ""))
        for pair, interval in report.second_wer_differences.items()
    ]
    names = {"prompt": "the prompts", "prompt_copy": "the prompts' copies"}
    rows += [
        (f"WER of {names[kind]}, open vocabulary", percent(interval)) for kind, interval in report.prompt_wer.items()
    ]
    if report.protocol:
        rows += [
            ("protocol", protocol_line(report)),
            ("items of the protocol", subset_warning(report) or "all"),
            ("item set's command", _shown(report.protocol.get("command"))),
            ("item set's commit", _shown(report.protocol.get("commit"))),
        ]
    rows += [
        ("words", f"{report.recognizer}; normaliser: {report.normalizer}"),
        ("voices", report.encoder),
        ("naturalness", "; ".join(report.raters) or NOT_MEASURED),
        ("similarity of", compared_with(report)),
        ("items", f"{report.read} read = {report.used} used + {len(report.skipped)} skipped"),
        ("synthesis command", _shown(run.get("command"))),
        ("synthesis commit", _shown(run.get("commit"))),
        ("synthesis seed", _shown(run.get("seed"))),
        ("synthesis hardware", f"{_shown(run.get('hardware'))}; {told_threads(run)}"),
        *((name, _SPEED[name]) for name in _speed_names(report)),
        ("scoring command", _shown(scoring.get("command"))),
        ("scoring commit", _shown(scoring.get("commit"))),
        ("scoring seed", str(report.seed)),
        ("scoring hardware", _shown(scoring.get("hardware"))),
        ("data SHA-256", report.data_sha256),
    ]
    parts = run.get("models")
    for name, part in parts.items() if isinstance(parts, Mapping) else ():
        known = part if isinstance(part, Mapping) else {}
        count, digest = known.get("parameters"), _shown(known.get("sha256"))
        size = f"{count:,} parameters" if isinstance(count, int) else "parameters not recorded"
        rows.append((f"model {name}", f"{size}, SHA-256 {digest}"))
    told = {"command", "commit", "seed", "hardware", "threads", "models"}
    rows += [(f"synthesis {name}", _shown(value)) for name, value in run.items() if name not in told]
    return rows


def markdown(report: ScoreReport) -> str:
    """The report as Markdown."""
    header, *rows = table_rows(report)
    warning = subset_warning(report)
    lines = ["# Scores", "", *([f"**{cell(warning)}**", ""] if warning else [])]
    lines += [line(header), "|" + " --- |" * len(header), *map(line, rows), "", INTERVALS]
    if report.embedded_scorers:
        lines += [embedded_note(report)]
    lines += ["", "| what | value |", "| --- | --- |", *(line(fact) for fact in facts(report)), ""]
    if report.notes or report.skipped:
        lines += ["Notes:", ""]
        lines += [f"* {cell(note)}" for note in report.notes]
        lines += [f"* skipped {name}: {cell(reason)}" for name, reason in report.skipped.items()]
        lines += [""]
    return "\n".join(lines)


def embedded_note(report: ScoreReport) -> str:
    """What the mark in the table means."""
    return (
        f"{EMBEDDED_MARK} by a small scorer that comes inside its package ({'; '.join(report.embedded_scorers)}): for "
        "comparing rows of this table, never with figures of Whisper, HuBERT or WavLM."
    )


def line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(map(cell, cells)) + " |"


def cell(text: str) -> str:
    """Text as it may stand in a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def vocabulary(recognizer: str) -> str:
    """What follows model and version in a recogniser's name, e.g. "open vocabulary"."""
    return recognizer.rpartition(", ")[2]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return "not recorded" if value is None or value == "" else str(value)
