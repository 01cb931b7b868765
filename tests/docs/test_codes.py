"""Every code that the source can give has a line in the troubleshooting page, and the page names none that is gone."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT
from tests.docs.source_codes import NOT_CODES, codes_in_source, codes_of

PAGE = ROOT / "resgen_tts" / "docs" / "troubleshooting.md"
ROW = re.compile(r"^\| <a id=\"(?P<anchor>[a-z0-9_]+)\"></a>`(?P<code>[A-Z0-9_]+)` \| (?P<means>.+) \| (?P<do>.+) \|$")


def rows() -> list[re.Match[str]]:
    return [row for line in PAGE.read_text(encoding="utf-8").splitlines() if (row := ROW.match(line))]


def test_every_code_has_an_entry():
    written = {row["code"] for row in rows()}
    missing = {code: places[0] for code, places in codes_in_source().items() if code not in written}
    advice = "(what is no code stands in NOT_CODES of tests/docs/source_codes.py)"
    assert not missing, f"codes without a row in {PAGE.relative_to(ROOT)}, and where they are given: {missing} {advice}"


def test_every_entry_has_a_code():
    stale = {row["code"] for row in rows()} - set(codes_in_source())
    assert not stale, f"entries of {PAGE.relative_to(ROOT)} that no source gives: {stale}"


def test_an_entry_stands_once_says_what_it_means_and_what_to_do_and_can_be_linked_to():
    entries = rows()
    assert [code for code, count in Counter(row["code"] for row in entries).items() if count > 1] == []
    for row in entries:
        assert row["anchor"] == row["code"].lower()
        assert len(row["means"].split()) >= 4, row["code"]
        assert len(row["do"].split()) >= 2, row["code"]


def test_each_table_row_of_the_page_is_an_entry():
    """A row that is written another way would be read by people and missed by these tests."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    in_tables = [line for line in lines if line.startswith("|") and not line.startswith(("| code ", "|---"))]
    assert len(in_tables) == len(rows()), [line for line in in_tables if not ROW.match(line)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise AudioError("it is empty", code="AUDIO_EMPTY")', {"AUDIO_EMPTY"}),
        ('raise ConfigError("no", code="A_B" if x else "C_D")', {"A_B", "C_D"}),
        ('raise ConfigError("no", code="USAGE")', {"USAGE"}),
        ('class E(ResGenError):\n    default_code = "STOPPED"', {"STOPPED"}),
        ('notes.append(f"AUDIO_SHORT: {name} is short")', {"AUDIO_SHORT"}),
        ('for what, code in (("x", "WAVES_SHORT"),): pass', {"WAVES_SHORT"}),
        ('"""A_B: words of a docstring."""', set()),
        ('__all__ = ["TRAINING_STATE"]', set()),
        ('os.environ["HF_HOME"] = os.environ.get("HF_CACHE", "")', set()),
        ('run(env={"OMP_NUM_THREADS": "1"})', set()),
        ('print("PSNR: 3 dB")', set()),
    ],
)
def test_the_scan_sees_every_way_of_giving_a_code(source, found):
    assert {code for code, _ in codes_of(ast.parse(source))} == found


def test_no_name_is_excepted_that_the_source_does_not_have():
    text = "".join(
        file.read_text(encoding="utf-8")
        for room in ("resgen_tts", "recipes", "tools")
        for file in Path(ROOT / room).rglob("*.py")
    )
    assert [name for name in sorted(NOT_CODES) if name not in text] == []
