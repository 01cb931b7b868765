"""The results log of a recipe's README: one row a scoring, with the commands that make its figures again, to the digit.

What a clock or a meter has measured cannot be made again; such figures stand last in a row, marked as measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import write_text
from resgen_tts.evaluation.measures.speed import told_threads
from resgen_tts.evaluation.reports.protocol_facts import protocol_line
from resgen_tts.evaluation.reports.report import (
    OWN_FIRST,
    OWN_PROMPT_FIRST,
    has_uncut,
    leak_hearer,
    leak_rate,
    line,
    mark,
    naturalness,
    naturalness_figures,
    percent,
    plain,
    rate,
    rater_of,
    speed_figures,
    vocabulary,
    warnings,
)
from resgen_tts.evaluation.score_report import ScoreReport, SystemScore

LOG_HEADING = "## Results log"
LOG_COLUMNS = ("date", "commit", "hardware", "command", "figures")
MEASURED = "measured once: "  # leads the name of a figure that no command makes again
_BETWEEN = "<br>"


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One entry of a results log."""

    date: str  # ISO, e.g. 2026-11-21
    commit: str
    hardware: str
    command: str  # what makes the figures again: a recipe's, or synthesis && scoring
    figures: Mapping[str, str]  # name -> value with its interval, in the order to show

    @property
    def repeatable(self) -> dict[str, str]:
        """The figures that the command makes again."""
        return {name: value for name, value in self.figures.items() if not name.startswith(MEASURED)}


def log_figures(report: ScoreReport) -> dict[str, str]:
    """The figures that a results log keeps of a report, system by system; what was measured by a clock comes last."""
    warning, protocol = " ".join(warnings(report)), protocol_line(report.protocol)
    figures = {
        "items": f"{report.used} of {report.speakers} speakers",
        **({"protocol": protocol} if protocol else {}),
        **({"NOTE": warning} if warning else {}),
        "scorers": "; ".join([report.recognizer, report.encoder, *report.raters]),
        "normaliser": report.normalizer,
    }
    for name, system in report.systems.items():
        figures |= {f"{name} {figure}": value for figure, value in _figures(report, system)}
    marked = mark(report, report.second_recognizer or report.recognizer)
    for kind, interval in report.prompt_wer.items():
        figures[f"{kind} WER, open vocabulary{marked}"] = percent(interval)
    for name, system in report.systems.items():
        for figure, value in speed_figures(system).items():
            threads = "" if figure == "peak memory" else f", {told_threads(report.run)}"
            figures[f"{MEASURED}{name} {figure}{threads}"] = value
    return figures


def _figures(report: ScoreReport, system: SystemScore) -> Iterator[tuple[str, str]]:
    words, voices = mark(report, report.recognizer).strip(), mark(report, report.encoder).strip()
    hearer = leak_hearer(report)
    yield f"WER{words}", percent(system.wer)
    yield f"WER of items{words} / over 50 %{words}", f"{percent(system.wer_of_items)} / {percent(system.high_error)}"
    yield f"CER{words}", percent(system.cer)
    if report.second_recognizer is not None and system.second is not None:
        second = f"{vocabulary(report.second_recognizer)}{mark(report, report.second_recognizer).strip()}"
        yield f"WER, {second}", percent(system.second.wer)
    wrong = system.robustness
    yield (
        f"leak, {vocabulary(hearer)}{mark(report, hearer).strip()} / skip{words} / repeat{words}",
        f"{rate(leak_rate(system))} / {percent(wrong.skip)} / {percent(wrong.repeat)}",
    )
    yield f"SIM-o{voices} / others{voices}", f"{plain(system.similarity_own)} / {plain(system.similarity_others)}"
    if has_uncut(report):
        yield f"SIM-o with the uncut utterance{voices}", plain(system.similarity_uncut)
    if system.similarity_own_copy is not None:
        yield f"SIM-r{voices}", plain(system.similarity_own_copy)
    yield f"{OWN_FIRST}{voices}", rate(system.own_first)
    yield f"{OWN_PROMPT_FIRST}{voices}", rate(system.own_prompt_first)
    for figure in naturalness_figures(report):
        if figure in system.naturalness:
            yield f"{figure}{mark(report, rater_of(report, figure)).strip()}", naturalness(report, system, figure)
    if system.length_ratio is not None:
        yield "length ratio", plain(system.length_ratio)
    if system.mel_l1 is not None:
        yield "log-mel L1", plain(system.mel_l1)


def append_result(readme: Path, row: ResultRow) -> bool:
    """Append a row to the results log of a recipe's README, making the log where there is none.

    The log is the table under ``## Results log``. A row with the same commit, hardware, command and figures is not
    written twice, whatever its date.

    Returns:
        True when the row was added.
    Raises:
        DataError: the README does not exist, or another table stands where the log should.
    """
    lines = _read_lines(readme)
    figures = _BETWEEN.join(f"{name}: {value}" for name, value in row.figures.items())
    cells = (row.commit, row.hardware, f"`{row.command}`", figures)
    entry = line((row.date, *cells))
    if LOG_HEADING not in lines:
        lines += ["", LOG_HEADING]
    start, end, table = _find_table(lines)
    if not table:
        lines[start:start] = ["", line(LOG_COLUMNS), "|" + " --- |" * len(LOG_COLUMNS), entry]
        if end > start and lines[start + 4 : start + 5] not in ([], [""]):
            lines.insert(start + 4, "")
    else:
        first, last = _check_table(readme, lines, table)
        same = line(("", *cells)).removeprefix("|  ")
        if any(text.endswith(same) for text in lines[first:last]):
            return False
        lines.insert(last, entry)
    write_text(Path(readme), "\n".join(lines) + "\n")
    return True


def read_results(readme: Path) -> list[ResultRow]:
    """The rows of the results log of a README, the oldest first.

    Raises:
        DataError: no README, no log in it, another table in its place, or a row with another number of cells.
    """
    lines = _read_lines(readme)
    _, _, table = _find_table(lines) if LOG_HEADING in lines else (0, 0, [])
    if not table:
        raise DataError(
            f"{readme} has no results log.", code="FILE_MISSING", hint="resgen-tts score --readme makes one."
        )
    first, last = _check_table(Path(readme), lines, table)
    rows = []
    for number in range(first + 2, last):
        cells = _split_cells(lines[number])
        if len(cells) != len(LOG_COLUMNS):
            raise DataError(f"{Path(readme).name}:{number + 1}: {len(cells)} cells, {len(LOG_COLUMNS)} are needed.")
        date, commit, hardware, command, told = cells
        figures = dict(_named(entry) for entry in told.split(_BETWEEN))
        rows.append(ResultRow(date=date, commit=commit, hardware=hardware, command=_unquoted(command), figures=figures))
    return rows


def _named(entry: str) -> tuple[str, str]:
    lead = MEASURED if entry.startswith(MEASURED) else ""
    name, _, value = entry.removeprefix(lead).partition(": ")
    return lead + name, value


def _unquoted(command: str) -> str:
    """A cell that is one code span, without its marks; another one as it is."""
    is_code = command.startswith("`") and command.endswith("`") and command.count("`") == 2
    return command[1:-1] if is_code else command


def _split_cells(text: str) -> list[str]:
    """Cells of a row; ``\\|`` is a stroke inside one."""
    cells, before = [""], ""
    for letter in text.strip().removeprefix("|"):
        if letter == "|" and before != "\\":
            cells.append("")
        else:
            cells[-1] = cells[-1][:-1] + "|" if letter == "|" else cells[-1] + letter
        before = letter
    return [cell.strip() for cell in cells[:-1]]


def _read_lines(readme: Path) -> list[str]:
    if not Path(readme).is_file():
        raise DataError(f"{readme} does not exist; a results log is a part of a recipe's README.", code="FILE_MISSING")
    return Path(readme).read_text(encoding="utf-8").splitlines()


def _find_table(lines: Sequence[str]) -> tuple[int, int, list[int]]:
    """Of the part under the heading: its first line, the line behind its last one, and which lines are of a table."""
    start = lines.index(LOG_HEADING) + 1
    end = next((i for i in range(start, len(lines)) if lines[i].startswith(("# ", "## "))), len(lines))
    return start, end, [i for i in range(start, end) if lines[i].startswith("|")]


def _check_table(readme: Path, lines: Sequence[str], table: Sequence[int]) -> tuple[int, int]:
    """First line of the log and the line behind its last one; later tables of the part are no logs."""
    first = table[0]
    if lines[first] != line(LOG_COLUMNS):
        raise DataError(f"{Path(readme).name}:{first + 1}: the table under {LOG_HEADING!r} is not a results log.")
    last = next((i for i in range(first, len(lines)) if not lines[i].startswith("|")), len(lines))
    return first, last
