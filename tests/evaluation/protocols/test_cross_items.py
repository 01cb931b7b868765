"""The tool that crosses sentences with prompts, from tables and from a prepared corpus."""

import importlib.util
import sys
from pathlib import Path

import pytest

from resgen_tts.evaluation.protocols.item_list import read_list
from tests.evaluation.protocols.test_synth_folder import cut, prepared

SPEC = importlib.util.spec_from_file_location("cross_items", Path(__file__).parents[3] / "tools" / "cross_items.py")
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


@pytest.fixture
def corpus(tmp_path):
    """Two speakers, two pairs each; one sentence is said twice."""
    cuts = [cut(f"{who}{n}", who, f"sentence {n}") for who in ("anna", "bert") for n in range(3)]
    pairs = [f"{who}{n}\t{who}0\t{who}{n}\t{who}" for who in ("anna", "bert") for n in (1, 2)]
    root = prepared(tmp_path / "data", cuts, pairs)
    for one in cuts:
        (root / "audio").mkdir(exist_ok=True)
        (root / "audio" / f"{one['id']}.flac").write_bytes(b"")
    return root


def run(monkeypatch, *words) -> int:
    monkeypatch.setattr(sys, "argv", ["cross_items.py", *map(str, words)])
    return tool.main()


def test_a_corpus_gives_first_prompts_and_its_sentences_once(corpus, tmp_path, monkeypatch, capsys):
    output = tmp_path / "lists" / "items.tsv"
    assert run(monkeypatch, "--prompts", corpus, "--texts", corpus, "--output", output) == 0
    items = read_list(output)
    assert {(one.speaker, one.text, one.target) for one in items} == {
        (who, "sentence 0", text) for who in ("anna", "bert") for text in ("sentence 1", "sentence 2")
    }
    assert all(one.audio.resolve() == corpus / "audio" / f"{one.speaker}0.flac" for one in items)
    assert "4 items, 2 sentences, 2 speakers" in capsys.readouterr().out


def test_tables_and_files_of_sentences(corpus, tmp_path, monkeypatch, capsys):
    (tmp_path / "prompts.tsv").write_text("speaker\taudio\ttext\nanna\tdata/audio/anna1.flac\tso\n")
    (tmp_path / "texts.txt").write_text("One.\n\nTwo.\nOne.\n")
    line = ["--prompts", tmp_path / "prompts.tsv", "--texts", tmp_path / "texts.txt", "--output", tmp_path / "out.tsv"]
    assert run(monkeypatch, *line, "--items", 1) == 0
    (item,) = read_list(tmp_path / "out.tsv")
    assert (item.speaker, item.text) == ("anna", "so") and item.target in ("One.", "Two.")
    assert run(monkeypatch, *line, "--items", 3) == 2
    assert "1 references are 2 items" in capsys.readouterr().err
    (corpus / "audio" / "anna1.flac").unlink()
    assert run(monkeypatch, *line) == 2
    assert "are no files" in capsys.readouterr().err
