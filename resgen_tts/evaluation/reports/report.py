"""The written report: one Markdown table with the systems side by side, and the results log of a recipe's README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import write_text
from resgen_tts.evaluation.measures.robustness import LEAK_WORDS, SKIP_WORDS
from resgen_tts.evaluation.measures.speed import REAL_TIME_FACTOR, told_threads
from resgen_tts.evaluation.measures.statistics import Interval
from resgen_tts.evaluation.scores import ScoreReport, SystemScore

EMBEDDED_MARK = "†"
LOG_HEADING = "## Results log"
LOG_COLUMNS = ("date", "commit", "hardware", "command", "figures")
NOT_MEASURED = "–"
OWN_FIRST = "own speaker most similar, others by the mean of their prompts"
OWN_PROMPT_FIRST = "own prompt more similar than any prompt of any other speaker"


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One entry of a results log."""

    date: str  # ISO, e.g. 2026-11-21
    commit: str
    hardware: str
    command: str
    figures: Mapping[str, str]  # name -> value with its interval, in the order to show


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


def table_rows(report: ScoreReport) -> list[tuple[str, ...]]:
    """Header and rows of the table, as text without markup: the one source of Markdown and HTML."""
    names = list(report.systems)
    systems = list(report.systems.values())
    words, voices = report.recognizer, report.encoder
    mark = f" {EMBEDDED_MARK}" if report.has_embedded_scorers else ""

    def row(label: str, cells: Sequence[str]) -> tuple[str, ...]:
        return (label, *cells)

    def factor(system: SystemScore) -> str:
        if system.speed is None:
            return NOT_MEASURED
        return f"{system.speed.real_time_factor:.3f} (median {system.speed.median:.3f})"

    again = [system.second for system in systems]
    second_rows = []
    if report.second_recognizer is not None:
        other = _vocabulary(report.second_recognizer)
        second_rows = [
            row(f"WER ({report.second_recognizer}){mark}", [rate(one and one.wer) for one in again]),
            row(f"CER, {other}{mark}", [rate(one and one.cer) for one in again]),
            *(
                row(f"{kind}s, {other}{mark}", [rate(one and getattr(one.robustness, kind)) for one in again])
                for kind in ("skip", "repeat")
            ),
        ]
    return [
        row(f"{report.used} items, {report.speakers} speakers", names),
        row(f"WER ({words}){mark}", [percent(system.wer) for system in systems]),
        row(f"CER{mark}", [percent(system.cer) for system in systems]),
        row(
            f"leaks: items with {LEAK_WORDS} words of the prompt that the text lacks, heard by "
            f"{leak_hearer(report)}{mark}",
            [percent(leak_rate(system)) for system in systems],
        ),
        row(
            f"skips: items with {SKIP_WORDS} words of the text in a row missing{mark}",
            [percent(system.robustness.skip) for system in systems],
        ),
        row(
            f"repeats: items with words said over again{mark}",
            [percent(system.robustness.repeat) for system in systems],
        ),
        row(f"words heard over the text's{mark}", [plain(system.robustness.word_ratio) for system in systems]),
        *second_rows,
        row(f"similarity to own prompt ({voices}){mark}", [plain(system.similarity_own) for system in systems]),
        row(f"similarity to own prompt's copy{mark}", [plain(system.similarity_own_copy) for system in systems]),
        row(f"similarity to other speakers{mark}", [plain(system.similarity_others) for system in systems]),
        row(
            f"{OWN_FIRST} (chance {100 / report.speakers:.0f} %){mark}",
            [percent(system.own_first) for system in systems],
        ),
        row(f"the same, interval over speakers{mark}", [percent(system.own_first_over_speakers) for system in systems]),
        row(
            f"the same, averaged over speakers{mark}",
            [f"{100 * system.own_first_of_speakers:.1f} %" for system in systems],
        ),
        row(f"{OWN_PROMPT_FIRST}{mark}", [percent(system.own_prompt_first) for system in systems]),
        row(
            f"the same, interval over speakers{mark}",
            [percent(system.own_prompt_first_over_speakers) for system in systems],
        ),
        row("length over the recording's", [plain(system.length_ratio) for system in systems]),
        row("log-mel L1 to the recording", [plain(system.mel_l1) for system in systems]),
        row(f"real-time factor, {told_threads(report.run)}", [factor(system) for system in systems]),
        row("silent outputs", [str(system.silent) for system in systems]),
    ]


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
    rows += [
        ("items", f"{report.read} read = {report.used} used + {len(report.skipped)} skipped"),
        ("synthesis command", _shown(run.get("command"))),
        ("synthesis commit", _shown(run.get("commit"))),
        ("synthesis seed", _shown(run.get("seed"))),
        ("synthesis hardware", f"{_shown(run.get('hardware'))}; {told_threads(run)}"),
        ("real-time factor", REAL_TIME_FACTOR),
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
    lines = ["# Scores", "", _line(header), "|" + " --- |" * len(header), *map(_line, rows), ""]
    lines += ["Intervals: 95 %, bootstrap over items."]
    if report.has_embedded_scorers:
        lines += [embedded_note(report)]
    lines += ["", "| what | value |", "| --- | --- |", *(_line(fact) for fact in facts(report)), ""]
    if report.notes or report.skipped:
        lines += ["Notes:", ""]
        lines += [f"* {_cell(note)}" for note in report.notes]
        lines += [f"* skipped {name}: {_cell(reason)}" for name, reason in report.skipped.items()]
        lines += [""]
    return "\n".join(lines)


def embedded_note(report: ScoreReport) -> str:
    """What the mark in the table means."""
    return (
        f"{EMBEDDED_MARK} small scorers that come inside their packages ({report.recognizer}; {report.encoder}): for "
        "comparing rows of this table, never with figures of Whisper, HuBERT or WavLM."
    )


def log_figures(report: ScoreReport) -> dict[str, str]:
    """The figures that a results log keeps of a report, system by system."""
    mark = EMBEDDED_MARK if report.has_embedded_scorers else ""
    figures = {
        "items": f"{report.used} of {report.speakers} speakers",
        "scorers": f"{report.recognizer}; {report.encoder}",
    }
    for name, system in report.systems.items():
        figures[f"{name} WER{mark}"] = percent(system.wer)
        figures[f"{name} CER{mark}"] = percent(system.cer)
        if system.second is not None:
            figures[f"{name} WER, {_vocabulary(str(report.second_recognizer))}{mark}"] = percent(system.second.wer)
        wrong = system.robustness
        figures[f"{name} leak, {_vocabulary(leak_hearer(report))}{mark} / skip{mark} / repeat{mark}"] = (
            f"{percent(leak_rate(system))} / {percent(wrong.skip)} / {percent(wrong.repeat)}"
        )
        figures[f"{name} similarity own{mark} / others{mark}"] = (
            f"{plain(system.similarity_own)} / {plain(system.similarity_others)}"
        )
        figures[f"{name} {OWN_FIRST}{mark}"] = percent(system.own_first)
        figures[f"{name} {OWN_PROMPT_FIRST}{mark}"] = percent(system.own_prompt_first)
        if system.length_ratio is not None:
            figures[f"{name} length ratio"] = plain(system.length_ratio)
        if system.mel_l1 is not None:
            figures[f"{name} log-mel L1"] = plain(system.mel_l1)
        if system.speed is not None:
            figures[f"{name} real-time factor, {told_threads(report.run)}"] = f"{system.speed.real_time_factor:.3f}"
    for kind, interval in report.prompt_wer.items():
        figures[f"{kind} WER, open vocabulary{mark}"] = percent(interval)
    return figures


def append_result(readme: Path, row: ResultRow) -> bool:
    """Append a row to the results log of a recipe's README, making the log where there is none.

    The log is the table under ``## Results log``. A row with the same commit, hardware, command and figures is not
    written twice, whatever its date.

    Returns:
        True when the row was added.
    Raises:
        DataError: the README does not exist, or another table stands where the log should.
    """
    readme = Path(readme)
    if not readme.is_file():
        raise DataError(f"{readme} does not exist; a results log is a part of a recipe's README.", code="FILE_MISSING")
    text = readme.read_text(encoding="utf-8")
    figures = "<br>".join(f"{name}: {value}" for name, value in row.figures.items())
    cells = (row.commit, row.hardware, f"`{row.command}`", figures)
    entry = _line((row.date, *cells))
    lines = text.splitlines()
    if LOG_HEADING not in lines:
        lines += ["", LOG_HEADING]
    start = lines.index(LOG_HEADING) + 1
    end = next((i for i in range(start, len(lines)) if lines[i].startswith(("# ", "## "))), len(lines))
    table = [i for i in range(start, end) if lines[i].startswith("|")]
    if not table:
        lines[start:start] = ["", _line(LOG_COLUMNS), "|" + " --- |" * len(LOG_COLUMNS), entry]
        if end > start and lines[start + 4 : start + 5] not in ([], [""]):
            lines.insert(start + 4, "")
    else:
        first, last = table[0], next(i for i in range(table[0], end + 1) if i == end or not lines[i].startswith("|"))
        if lines[first] != _line(LOG_COLUMNS):
            raise DataError(f"{readme.name}:{first + 1}: the table under {LOG_HEADING!r} is not a results log.")
        same = _line(("", *cells)).removeprefix("|  ")
        if any(line.endswith(same) for line in lines[first:last]):
            return False
        lines.insert(last, entry)
    write_text(readme, "\n".join(lines) + "\n")
    return True


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _vocabulary(recognizer: str) -> str:
    """What follows model and version in a recogniser's name, e.g. "open vocabulary"."""
    return recognizer.rpartition(", ")[2]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return "not recorded" if value is None or value == "" else str(value)
