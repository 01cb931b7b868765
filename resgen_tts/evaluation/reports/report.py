"""The written report: one Markdown table with the systems side by side, and how it was made."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resgen_tts.evaluation.measures.robustness import LEAK_WORDS, SKIP_WORDS
from resgen_tts.evaluation.measures.speed import COLD, FIRST_AUDIO, PEAK_MEMORY, REAL_TIME_FACTOR, WARM, told_threads
from resgen_tts.evaluation.measures.statistics import Interval
from resgen_tts.evaluation.reports.protocol_facts import protocol_line, protocol_warnings
from resgen_tts.evaluation.score_report import ScoreReport, SystemScore
from resgen_tts.evaluation.summaries import HIGH_ERROR

EMBEDDED_MARK = "†"
NOT_MEASURED = "–"
OWN_FIRST = "own speaker most similar, others by the mean of their prompts"
OWN_PROMPT_FIRST = "own prompt more similar than any prompt of any other speaker"
UNCUT = "SIM-o with the uncut utterance that the prompt is from: what protocol V prints for recordings"
NO_LEAKS = "not defined in continuations, whose texts begin with the prompts' words"
ALONE = "the set has one speaker: nobody to compare with"
_SPEED = {  # figure: what it is
    "real-time factor": REAL_TIME_FACTOR,
    "real-time factor, cold": COLD,
    "real-time factor, warm": WARM,
    "cold start": COLD,
    "first audio": FIRST_AUDIO,
    "peak memory": PEAK_MEMORY,
}
_Row = Callable[[str, Callable[[SystemScore], str]], tuple[str, ...]]  # label, cell of a system -> a row of the table


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


def leak_rate(system: SystemScore) -> Interval | None:
    """Leaks as the second recogniser heard them, where there is one: a closed vocabulary of the texts' words cannot
    hear the prompts'. None of continuations."""
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


def naturalness(report: ScoreReport, system: SystemScore, figure: str) -> str:
    """A figure of naturalness, and of how many outputs it is where not all of them could be rated."""
    known, rated = system.naturalness.get(figure), system.rated.get(figure, 0)
    return plain(known) if rated == report.used else f"{plain(known)} ({rated} of {report.used} rated)"


def has_uncut(report: ScoreReport) -> bool:
    """True where voices are also compared with the uncut utterances that the prompts are from."""
    return any(system.similarity_uncut is not None for system in report.systems.values())


def intervals_note(report: ScoreReport) -> str:
    """What the intervals of the table are over."""
    if any(scored.item.trial for scored in report.items):
        return (
            "Intervals: 95 %, by bootstrap over targets, each drawn with all its trials, or over whole speakers where "
            "a row says so. A share of items with a leak, a skip, a repeat or too many errors that is 0 or 100 %: by "
            "the exact binomial law of as many items as there are targets."
        )
    return (
        "Intervals: 95 %. Rates, means and ratios by bootstrap over items, or over whole speakers where a row says so; "
        "shares of items with a leak, a skip, a repeat or too many errors by the exact binomial law of the items."
    )


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
                lambda one, name=figure: naturalness(report, one, name),
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
    no_leaks = "" if all(leak_rate(one) for one in report.systems.values()) else f" ({NO_LEAKS})"
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
            f"{no_leaks}{mark(report, hearer)}",
            lambda one: rate(leak_rate(one)),
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
    alone = report.speakers < 2
    chance = ALONE if alone else f"chance {100 / report.speakers:.0f} %"
    return [
        row(f"SIM-o: similarity to own prompt ({report.encoder}){marked}", lambda one: plain(one.similarity_own)),
        row(over_speakers, lambda one: plain(one.similarity_own_over_speakers)),
        row(f"SIM-r: similarity to own prompt's copy{marked}", lambda one: plain(one.similarity_own_copy)),
        *([row(f"{UNCUT}{marked}", lambda one: plain(one.similarity_uncut))] if has_uncut(report) else []),
        row(
            f"similarity to other speakers{f' ({ALONE})' if alone else ''}{marked}",
            lambda one: plain(one.similarity_others),
        ),
        row(f"{OWN_FIRST} ({chance}){marked}", lambda one: rate(one.own_first)),
        row(over_speakers, lambda one: rate(one.own_first_over_speakers)),
        row(
            f"the same, averaged over speakers{marked}",
            lambda one: _measured(one.own_first_of_speakers, "{:.1%}").replace("%", " %"),
        ),
        row(f"{OWN_PROMPT_FIRST}{marked}", lambda one: rate(one.own_prompt_first)),
        row(over_speakers, lambda one: rate(one.own_prompt_first_over_speakers)),
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


def warnings(report: ScoreReport) -> list[str]:
    """What must be read before the figures: that they are of a part of a protocol, or of a change of it."""
    return protocol_warnings(report.protocol, used=report.used, skipped=len(report.skipped))


def notes(report: ScoreReport) -> list[str]:
    """Remarks below the figures: those of the scoring, which outputs are not rated and why, which items are skipped."""
    found = list(report.notes)
    for name in report.systems:
        reasons: dict[str, dict[str, int]] = {}  # rater: code: outputs
        for scored in report.items:
            for rater, code in scored.outputs[name].left_out.items():
                codes = reasons.setdefault(rater, {})
                codes[code] = codes.get(code, 0) + 1
        found += [
            f"{sum(codes.values())} of {report.used} outputs of {name} are not rated by {rater}: "
            f"{', '.join(f'{count} {code}' for code, count in sorted(codes.items()))}."
            for rater, codes in reasons.items()
        ]
    return [*found, *(f"skipped {name}: {reason}" for name, reason in report.skipped.items())]


def compared_with(report: ScoreReport) -> str:
    """What similarities are with: protocols differ in it."""
    items = [scored.item for scored in report.items]
    told = "outputs and recordings with the prompt (SIM-o) and with its copy (SIM-r)"
    if any(item.continued_seconds for item in items):
        told += ", the prompt's samples being cut off the outputs, which begin with them"
    if has_uncut(report):
        told += "; besides with the uncut utterance that the prompt is from, in a row of its own"
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
            ("protocol", protocol_line(report.protocol)),
            ("items of the protocol", " ".join(warnings(report)) or "all, as it is published"),
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
        ("scoring device", _shown(scoring.get("device"))),
        ("data SHA-256", report.data_sha256),
    ]
    parts = run.get("models")
    for name, part in parts.items() if isinstance(parts, Mapping) else ():
        known = part if isinstance(part, Mapping) else {}
        count, digest = known.get("parameters"), _shown(known.get("sha256"))
        size = f"{count:,} parameters" if isinstance(count, int) else "parameters not recorded"
        rows.append((f"model {name}", f"{size}, SHA-256 {digest}"))
    # The protocol has rows of its own, and what could not be spoken stands among the skipped.
    told = {"command", "commit", "seed", "hardware", "threads", "models", "protocol", "failed"}
    rows += [(f"synthesis {name}", _shown(value)) for name, value in run.items() if name not in told]
    return rows


def markdown(report: ScoreReport) -> str:
    """The report as Markdown."""
    header, *rows = table_rows(report)
    lines = ["# Scores", ""]
    for warning in warnings(report):
        lines += [f"**{cell(warning)}**", ""]
    lines += [line(header), "|" + " --- |" * len(header), *map(line, rows), "", intervals_note(report)]
    if report.embedded_scorers:
        lines += [embedded_note(report)]
    lines += ["", "| what | value |", "| --- | --- |", *(line(fact) for fact in facts(report)), ""]
    remarks = notes(report)
    if remarks:
        lines += ["Notes:", "", *(f"* {cell(remark)}" for remark in remarks), ""]
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
