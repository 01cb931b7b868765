"""The results log: written once, read back as it was written, and what no command makes again set apart."""

from pathlib import Path

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.reports.results_log import MEASURED, ResultRow, append_result, log_figures, read_results

ROW = ResultRow(date="2026-11-21", commit="abc", hardware="2 cores", command="run | tee", figures={"WER": "3 %"})


def append_twice(readme: Path) -> str:
    assert append_result(readme, ROW)
    before = readme.read_text()
    later = ResultRow(date="2027-01-01", commit="abc", hardware="2 cores", command="run | tee", figures={"WER": "3 %"})
    assert not append_result(readme, later)
    assert readme.read_text() == before
    return before


def test_results_log_is_made_and_kept(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# egs/mini\n\nWords.\n")
    text = append_twice(readme)
    assert text.startswith("# egs/mini\n\nWords.\n\n## Results log\n\n| date | commit |")
    assert "| 2026-11-21 | abc | 2 cores | `run \\| tee` | WER: 3 % |" in text
    better = ResultRow(date="2026-11-22", commit="def", hardware="2 cores", command="run", figures={"WER": "2 %"})
    assert append_result(readme, better)
    assert readme.read_text().splitlines()[-1].startswith("| 2026-11-22 | def |")
    assert read_results(readme) == [ROW, better]


def test_results_log_stands_before_what_follows_it(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# x\n\n## Results log\n\nRemarks.\n\n## Next\n\n| a | b |\n| --- | --- |\n")
    text = append_twice(readme)
    assert text.index("2026-11-21") < text.index("Remarks.") < text.index("## Next") < text.index("| a | b |")
    assert read_results(readme) == [ROW]


def test_another_table_is_not_written_into(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("## Results log\n\n| a | b |\n| --- | --- |\n")
    for use in (lambda: append_result(readme, ROW), lambda: read_results(readme)):
        with pytest.raises(DataError, match=r"README\.md:3"):
            use()
    with pytest.raises(DataError, match="does not exist"):
        append_result(tmp_path / "none.md", ROW)
    (tmp_path / "plain.md").write_text("# nothing\n")
    with pytest.raises(DataError, match="no results log"):
        read_results(tmp_path / "plain.md")


def test_a_row_is_read_as_it_was_written(report, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# x\n")
    command = "resgen-tts synthesize-list --output 'a b|c' && resgen-tts score --synth 'a b|c'"
    row = ResultRow(date="2026-11-21", commit="abc", hardware="x | y", command=command, figures=log_figures(report))
    append_result(readme, row)
    assert read_results(readme) == [row]


def test_a_broken_row_is_named(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# x\n")
    append_result(readme, ROW)
    readme.write_text(readme.read_text().replace("| 2 cores |", "|"))
    with pytest.raises(DataError, match=r"README.md:7: 4 cells, 5 are needed"):
        read_results(readme)


def test_what_a_clock_measured_stands_apart_and_last(report):
    figures = log_figures(report)
    measured = [name for name in figures if name.startswith(MEASURED)]
    assert figures[f"{MEASURED}clone real-time factor, 2 threads"].startswith("0.500")
    assert list(figures)[-len(measured) :] == measured
    row = ResultRow(date="d", commit="c", hardware="h", command="x", figures=figures)
    assert "clone WER†" in row.repeatable and not any("factor" in name for name in row.repeatable)


def test_the_log_keeps_the_figures_that_decide(report):
    figures = log_figures(report)
    assert figures["clone WER†"].startswith("23.1 %") and figures["scorers"] == "a table; another table; FAKEMOS 1.0"
    # b1 has 1 of 2 words wrong, a1 1 of 3, a2 1 of 4: none over half
    assert (
        figures["clone WER of items† / over 50 %†"].startswith("27.1 % ")
        and " / 0.0 % " in (figures["clone WER of items† / over 50 %†"])
    )
    assert figures["clone FAKEMOS OVRL†"] == "2.00 [2.00, 2.00] (3 of 4 rated)" and figures["normaliser"] == "letters"
    assert figures["clone SIM-o† / others†"].startswith("0.90 ") and figures["clone SIM-r†"].startswith("0.90 ")
    assert "protocol" not in figures
