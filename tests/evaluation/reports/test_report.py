"""The written report: it says what was measured, marks each row by its own judge, and names the protocol."""

import dataclasses
import functools
import itertools
import json
import re

import pytest

from resgen_tts.common.run_dir import write_json
from resgen_tts.evaluation.measures.speed import COLD, PEAK_MEMORY, REAL_TIME_FACTOR, told_threads
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.reports.report import markdown, percent, plain, subset_warning, table_rows
from resgen_tts.evaluation.scores import score_folder

WORDS = ("WER", "items with over", "CER", "leaks", "skips", "repeats", "words heard")
VOICES = ("SIM-o", "SIM-r", "similarity to", "own speaker", "own prompt")


def test_the_table_says_what_the_json_says(report, tmp_path):
    write_json(tmp_path / "score.json", report.to_json())
    stored = json.loads((tmp_path / "score.json").read_text())
    rows = {cells[0]: cells[1:] for line in markdown(report).splitlines() if (cells := _cells(line))}
    labels = {
        "WER (": ("wer", 100),
        "WER, mean of the items": ("wer_of_items", 100),
        "items with over 50 % WER": ("high_error", 100),
        "CER": ("cer", 100),
        "leaks": ("robustness.leak", 100),
        "skips": ("robustness.skip", 100),
        "repeats": ("robustness.repeat", 100),
        "words heard": ("robustness.word_ratio", 1),
        "SIM-o: similarity to own prompt (": ("similarity_own", 1),
        "SIM-r: similarity to own prompt's copy": ("similarity_own_copy", 1),
        "similarity to other": ("similarity_others", 1),
        "own speaker most": ("own_first", 100),
        "own prompt more": ("own_prompt_first", 100),
        "FAKEMOS OVRL": ("naturalness.FAKEMOS OVRL", 1),
        "length over": ("length_ratio", 1),
    }
    for start, (name, scale) in labels.items():
        (shown,) = [cells for label, cells in rows.items() if label.startswith(start)]
        for cell, system in zip(shown, stored["systems"].values(), strict=True):
            value, low, high = (float(number) for number in re.findall(r"-?[\d.]+", cell))
            kept = functools.reduce(dict.__getitem__, name.split("."), system)
            expected = [scale * kept[part] for part in ("value", "low", "high")]
            assert [value, low, high] == pytest.approx(expected, abs=0.0501 if scale == 100 else 0.00501)


def test_rows_over_speakers_follow_what_they_are_of(report):
    rows = table_rows(report)
    found = [(before[0], row) for before, row in itertools.pairwise(rows) if "interval over speakers" in row[0]]
    wanted = ("wer_over_speakers", "similarity_own_over_speakers", "own_first_over_speakers")
    shown = [plain if name.startswith("similarity") else percent for name in wanted]
    assert [before.split()[0] for before, _ in found[:3]] == ["WER", "SIM-o:", "own"]
    for (_, row), name, show in zip(found, wanted, shown, strict=False):
        assert list(row[1:]) == [show(getattr(system, name)) for system in report.systems.values()]


def _cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] if line.startswith("| ") else []


def marked(report):
    """Labels of the table that are marked, and those that are not."""
    labels = [row[0] for row in table_rows(report)[1:]]
    return [label for label in labels if "†" in label], [label for label in labels if "†" not in label]


def test_every_row_of_an_embedded_judge_is_marked_and_no_other(report, synth, judges):
    with_mark, without = marked(report)
    assert all(any(label.startswith(start) for label in with_mark) for start in (*WORDS, *VOICES, "FAKEMOS OVRL"))
    assert [label.split(",")[0] for label in without][:3] == [
        "length over the recording's",
        "log-mel L1 to the recording",
        "real-time factor",
    ]
    text = markdown(report)
    assert "(a table; another table; FAKEMOS 1.0)" in text and "never with figures of Whisper" in text

    judges.encoder.is_embedded = judges.raters[0].is_embedded = False  # as a large verifier beside small ears
    with_mark, without = marked(score_folder(read_synth(synth), judges, seed=0))
    kinds = [label for label in with_mark if not label.startswith("the same")]
    assert all(label.startswith(WORDS) for label in kinds) and len(kinds) == 8
    assert any(label.startswith("SIM-o") for label in without) and any("FAKEMOS" in label for label in without)

    judges.recognizer.is_embedded = False
    report = score_folder(read_synth(synth), judges, seed=0)
    assert not marked(report)[0] and "†" not in markdown(report)


def test_how_it_was_made_is_told(report):
    text = markdown(report)
    for needed in ("1,234,567 parameters", "f00d", "abc123", "a machine; 2 threads", report.data_sha256):
        assert needed in text
    assert "| words | a table; normaliser: letters |" in text and "| naturalness | FAKEMOS 1.0 |" in text
    assert "| synthesis sampler | steps 16 |" in text and "synthesis models" not in text and "{" not in text
    assert "bootstrap over items, or over whole speakers" in text and "exact binomial law" in text
    assert "protocol" not in text


def test_a_protocol_is_named_and_a_part_of_it_shouts(synth, judges):
    facts = {"name": "V", "mode": "continuation", "cut": "hard", "aligner": None, "seed": 49, "trials": 3}
    facts |= {"list_sha256": "beef", "is_subset": False, "command": "resgen-tts protocol", "commit": "c0de"}
    folder = read_synth(synth)
    items = [dataclasses.replace(item, continued_seconds=0.5) for item in folder.items]
    folder = dataclasses.replace(folder, protocol=facts, items=items)
    text = markdown(score_folder(folder, judges, seed=0))
    assert "| protocol | V, continuation, prompts cut hard, seed 49, trials: 3, list SHA-256 beef |" in text
    assert "| item set's command | resgen-tts protocol |" in text and "SUBSET" not in text
    assert "the prompt's samples being cut off the outputs" in text and "recordings with the same prompt" in text

    items = [dataclasses.replace(item, reference=item.systems["recording"]) for item in folder.items]
    part = score_folder(dataclasses.replace(folder, items=items, protocol=facts | {"is_subset": True}), judges, seed=0)
    text = markdown(part)
    assert text.splitlines()[2].startswith("**SUBSET: 4 items, which are not all of protocol V.")
    assert subset_warning(part) in text and "recordings with the uncut utterance" in text


def test_speed_stands_with_its_threads_and_one_definition(report, synth, judges):
    text = markdown(report)
    assert "| real-time factor, 2 threads | – | – | 0.500 " in text
    assert f"| real-time factor | {REAL_TIME_FACTOR} |" in text and "cold" not in text
    assert told_threads({"threads": [1]}) == "1 thread" and told_threads({"threads": [1, 2]}) == "1 and 2 threads"
    folder = read_synth(synth)
    speed = {"first_seconds": 6.0, "first_audio_seconds_of_output": 1.5, "peak_memory_mib": 812.4}
    text = markdown(score_folder(dataclasses.replace(folder, run={**folder.run, "speed": speed}), judges, seed=0))
    assert "| real-time factor, cold, 2 threads | – | – | 4.000 |" in text
    assert "| cold start, 2 threads | – | – | 6.00 s |" in text and "| peak memory | – | – | 812 MiB |" in text
    assert f"| cold start | {COLD} |" in text and f"| peak memory | {PEAK_MEMORY} |" in text
    assert "first audio," not in text


def test_a_figure_that_was_not_measured_is_a_dash(report):
    assert plain(None) == "–"
    assert percent(report.systems["recording"].wer) == "0.0 % [0.0, 0.0]"
