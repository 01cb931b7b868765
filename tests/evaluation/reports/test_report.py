"""The written report: it says what was measured, marks each row by its own judge, and names the protocol."""

import dataclasses
import functools
import itertools
import json
import re

import pytest

from resgen_tts.common.run_dir import write_json
from resgen_tts.evaluation.measures.speed import COLD, PEAK_MEMORY, REAL_TIME_FACTOR, told_threads
from resgen_tts.evaluation.protocols.librispeech import TARGETS_SHA256
from resgen_tts.evaluation.protocols.published import PUBLISHED
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.reports.report import OWN_FIRST, markdown, percent, plain, rate, table_rows, warnings
from resgen_tts.evaluation.reports.results_log import log_figures
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
            value, low, high = (float(number) for number in re.findall(r"-?[\d.]+", cell.partition(" (")[0]))
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


PROTOCOL = {"name": "V", "mode": "continuation", "cut": "hard", "aligner": None, "seed": 49, "trials": 3}
PROTOCOL |= {"prompt_seconds": 3.0, "list_sha256": TARGETS_SHA256, "is_subset": False, "items": 4, "used": 4}
PROTOCOL |= {"absent": {}, "skipped": {}, "command": "resgen-tts protocol", "commit": "c0de"}


def scored(synth, judges, protocol=PROTOCOL, run=None, **changes):
    """The report of a folder whose items are of a protocol."""
    folder = read_synth(synth)
    items = [dataclasses.replace(item, **changes) for item in folder.items]
    folder = dataclasses.replace(folder, protocol=protocol, items=items, run={**folder.run, **(run or {})})
    return score_folder(folder, judges, seed=0)


def test_a_protocol_is_named_and_said_once(synth, judges):
    report = scored(synth, judges, run={"protocol": PROTOCOL | {"skipped": {"an-id": "why"}}})
    text = markdown(report)
    told = f"V, continuation, prompts cut hard, prompts of 3.0 s, seed 49, trials: 3, list SHA-256 {TARGETS_SHA256}"
    assert f"| protocol | {told} |" in text and "| items of the protocol | all, as it is published |" in text
    assert "| item set's command | resgen-tts protocol |" in text and "| item set's commit | c0de |" in text
    assert warnings(report) == [] and "SUBSET" not in text and "CHANGED" not in text
    assert "synthesis protocol" not in text and "an-id" not in text


@pytest.mark.parametrize(
    ("other", "kinds"),
    [
        ({"is_subset": True}, ["SUBSET"]),
        ({"items": 3711}, ["SUBSET"]),  # requests of some items alone
        ({"trials": 1}, ["CHANGED"]),
        ({"prompt_seconds": 5.0}, ["CHANGED"]),
        ({"items": 5, "seed": 3}, ["SUBSET", "CHANGED"]),
        ({"mode": "custom", "name": "custom", "cut": None}, []),
        ({"mode": "custom", "name": "custom", "items": 5}, ["SUBSET"]),
    ],
)
def test_parts_and_changes_of_a_protocol_shout(synth, judges, other, kinds):
    report = scored(synth, judges, PROTOCOL | other)
    text, logged = markdown(report), log_figures(report).get("NOTE", "")
    assert [warning.split(":")[0] for warning in warnings(report)] == kinds
    lines = [line for line in text.splitlines()[1:8] if line.startswith("**")]
    assert lines == [f"**{warning}**" for warning in warnings(report)] and logged == " ".join(warnings(report))
    assert ("| items of the protocol | all, as it is published |" in text) == (not kinds)
    for name in {"trials", "prompt_seconds", "seed"} & set(other):
        assert f"{name} {other[name]:g}, published {PUBLISHED['continuation'].trial_facts[name]:g}" in text
    if other.get("items") == 3711:
        assert "SUBSET: 4 items, which are not all of protocol V (3,711 in the item set)." in text


def test_a_protocol_with_items_that_were_skipped_is_not_whole(synth, judges):
    report = dataclasses.replace(scored(synth, judges), skipped={"z": "not synthesized: too long"}, read=5)
    (warning,) = warnings(report)
    assert warning.startswith("SUBSET: 4 items") and "1 skipped" in warning
    assert "* skipped z: not synthesized: too long" in markdown(report)
    assert warnings(dataclasses.replace(report, protocol={})) == []  # a corpus's own items are no protocol's


def test_leaks_of_continuations_are_a_dash_and_it_is_said_why(report, synth, judges):
    continued = scored(synth, judges, continued_seconds=0.5)
    rows = {row[0]: row[1:] for row in table_rows(continued)}
    (label,) = [label for label in rows if label.startswith("leaks")]
    assert "not defined in continuations" in label and set(rows[label]) == {"–"}
    assert log_figures(continued)["clone leak, a table† / skip† / repeat†"].startswith("– / 0.0 %")
    assert "the prompt's samples being cut off the outputs" in markdown(continued)
    assert not any("continuations" in row[0] for row in table_rows(report))


def test_a_set_of_one_speaker_has_nobody_to_compare_with(synth, judges):
    alone = scored(synth, judges, speaker="anna")
    rows = {row[0]: row[1:] for row in table_rows(alone)}
    for start in ("similarity to other speakers (the set", "own speaker most", "own prompt more", "the same, averaged"):
        (cells,) = [cells for label, cells in rows.items() if label.startswith(start)]
        assert set(cells) == {"–"}
    assert any(label.startswith("own speaker") and "nobody to compare with" in label for label in rows)
    figures = log_figures(alone)
    assert figures["clone SIM-o† / others†"].endswith(" / –") and figures[f"clone {OWN_FIRST}†"] == "–"


def test_recordings_with_the_uncut_utterance_have_a_row_of_their_own(report, synth, judges):
    uncut = scored(synth, judges, reference="wav/recording/a1.wav")
    (row,) = [row for row in table_rows(uncut) if "uncut utterance" in row[0]]
    system = uncut.systems["recording"]
    assert "what protocol V prints for recordings" in row[0] and row[0].endswith("†")
    assert row[1:] == tuple(plain(one.similarity_uncut) for one in uncut.systems.values())
    assert system.similarity_uncut.value == pytest.approx(0.5)  # two of four are of the other voice
    assert system.similarity_own.value == pytest.approx(1.0)
    assert log_figures(uncut)["recording SIM-o with the uncut utterance†"] == plain(system.similarity_uncut)
    assert "besides with the uncut utterance" in markdown(uncut) and "uncut" not in markdown(report)


def test_how_many_could_be_rated_stands_beside_the_rating(report):
    (row,) = [row for row in table_rows(report) if row[0].startswith("FAKEMOS OVRL")]
    assert row[1:] == ("4.00 [4.00, 4.00]", "3.00 [3.00, 3.00]", "2.00 [2.00, 2.00] (3 of 4 rated)")
    text = markdown(report)
    assert "* 1 of 4 outputs of clone are not rated by FAKEMOS 1.0: 1 AUDIO_TOO_SHORT." in text
    assert text.count("are not rated by") == 1
    assert log_figures(report)["clone FAKEMOS OVRL†"].endswith("(3 of 4 rated)")


def test_intervals_name_their_units(report, synth, judges):
    assert "by bootstrap over items" in markdown(report) and "targets" not in markdown(report)
    text = markdown(scored(synth, judges, target_id="t", trial=1))
    assert "over targets, each drawn with all its trials" in text and "bootstrap over items" not in text


def test_both_commits_and_the_device_of_the_judges_are_told(report):
    text = markdown(dataclasses.replace(report, provenance={"commit": "def456", "device": "cuda:0"}))
    assert "| synthesis commit | abc123 |" in text and "| scoring commit | def456 |" in text
    assert "| scoring device | cuda:0 |" in text and rate(None) == "–"


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
