"""Seed-TTS-eval's folder, and tables of one's own."""

import pytest

from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.evaluation.protocols.item_list import read_list, write_list
from resgen_tts.evaluation.protocols.item_set import write_item_set
from resgen_tts.evaluation.protocols.published import departures
from resgen_tts.evaluation.protocols.seed_tts import plan_list, plan_seed_tts
from tests.evaluation.conftest import write_tone

META = (
    "c_1-c_2|Oh, yes.|prompt-wavs/c_1.wav|No, sir!\n"
    "c_1-c_3|Oh, yes.|prompt-wavs/c_1.wav|Never.|own/c_3.wav\n"
    "\n"
    "c_4-c_5|So.|prompt-wavs/c_4.wav|Now.\n"
)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "en"
    for name in ("prompt-wavs/c_1.wav", "prompt-wavs/c_4.wav", "wavs/c_1-c_2.wav", "own/c_3.wav", "wavs/c_4-c_5.wav"):
        write_tone(root / name, 1.0)
    (root / "meta.lst").write_text(META)
    return root


def test_lines_of_both_lengths_are_read(folder, tmp_path):
    planned, facts = plan_seed_tts(folder, "en", subset=True)
    assert [(one.id, one.speaker, one.text, one.prompt.text) for one in planned] == [
        ("c_1-c_2", "c_1", "No, sir!", "Oh, yes."), ("c_1-c_3", "c_1", "Never.", "Oh, yes."),
        ("c_4-c_5", "c_4", "Now.", "So."),
    ]  # fmt: skip
    sources = [one.recording.source.relative_to(folder).as_posix() for one in planned]
    assert sources == ["wavs/c_1-c_2.wav", "own/c_3.wav", "wavs/c_4-c_5.wav"]
    assert (facts["read"], facts["used"], facts["is_subset"], facts["judge_note"]) == (3, 3, True, "")
    items = write_item_set(tmp_path / "set", planned, facts)
    assert items.items[0].prompt == items.items[1].prompt == "prompt/c_1.wav" and items.facts["speakers"] == 2


def test_recordings_may_be_missing_and_prompts_may_not(folder):
    for path in [*(folder / "wavs").iterdir()]:
        path.unlink()
    (folder / "meta.lst").write_text(META.replace("|own/c_3.wav", ""))
    planned, _ = plan_seed_tts(folder, "en", subset=True)
    assert all(one.recording is None for one in planned)
    (folder / "prompt-wavs" / "c_4.wav").unlink()
    with pytest.raises(DataError, match=r"WAVES_MISSING.*1 of 3.*c_4-c_5 \(not in the folder: prompt-wavs/c_4\.wav\)"):
        plan_seed_tts(folder, "en", subset=False)
    planned, facts = plan_seed_tts(folder, "en", subset=True)
    assert len(planned) == 2 == facts["used"] and list(facts["absent"]) == ["c_4-c_5"]


def test_another_length_than_the_published_one_is_told(folder):
    with pytest.raises(DataError, match=r"LIST_DIFFERENT.*3 items, the published list of en 1,088"):
        plan_seed_tts(folder, "en", subset=False)
    line = "c_{0}|So.|prompt-wavs/c_1.wav|Now.\n"
    (folder / "meta.lst").write_text("".join(line.format(number) for number in range(1088)))
    planned, facts = plan_seed_tts(folder, "en", subset=False)
    # Any 1,088 lines pass, since no hash of the published list is known: the set says so.
    assert len(planned) == 1088 and facts["is_subset"] is False and facts["list_checked"] == "count only"
    assert departures({"name": "S", "mode": "seed_tts", **facts}) == [
        "the list is checked by its length alone: no hash of the published one is known"
    ]
    with pytest.raises(DataError, match="2,020 or 400"):
        plan_seed_tts(folder, "zh", subset=False)


def test_chinese_is_told_to_have_no_recogniser_here(folder):
    assert "Paraformer" in plan_seed_tts(folder, "zh", subset=True)[1]["judge_note"]
    with pytest.raises(ConfigError, match="language"):
        plan_seed_tts(folder, "de", subset=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a|b|c\n", "meta.lst:1"),
        ("a||p.wav|t\n", "meta.lst:1"),
        ("a|b|../p.wav|t\n", "leaves the folder"),
        ("a b|b|p.wav|t\n", "not plain"),
        ("a|b|p.wav|t\na|b|p.wav|t\n", "twice"),
        ("", "no items"),
        ("a|b|p.wav|t\nc|b|p.wav|19 - 84!\n", "meta.lst:2: item c: '19 - 84!' holds no letters"),
    ],
)
def test_broken_lists_are_refused(tmp_path, line, said):
    (tmp_path / "meta.lst").write_text(line)
    with pytest.raises(DataError, match=said):
        plan_seed_tts(tmp_path, "en", subset=True)


def test_a_table_may_name_recordings(tmp_path):
    for name in ("a.wav", "b.wav", "said.wav"):
        write_tone(tmp_path / name, 1.0, 200 + ord(name[0]))
    table = tmp_path / "items.tsv"
    table.write_text("id\taudio\ttext\ttarget\trecording\nx\ta.wav\tso\tone\tsaid.wav\ny\tb.wav\tso\ttwo\tsaid.wav\n")
    rows = read_list(table)
    assert [row.recording for row in rows] == [tmp_path / "said.wav"] * 2
    items = write_item_set(tmp_path / "set", plan_list(rows), {})
    assert [one.recording for one in items.items] == ["recording/x.wav", "recording/y.wav"]
    assert items.items[0].speaker != items.items[1].speaker and items.items[0].say == "one"
    (tmp_path / "lists").mkdir()
    write_list(tmp_path / "lists" / "again.tsv", rows)
    again = read_list(tmp_path / "lists" / "again.tsv")
    assert [row.recording.resolve() for row in again] == [row.recording.resolve() for row in rows]
    table.write_text("audio\ttext\ttarget\trecording\na.wav\tso\tone\t\n")
    assert read_list(table)[0].recording is None
    table.write_text("audio\ttext\ttarget\na.wav\tso\tone\nc.wav\tso\ttwo\n")
    with pytest.raises(AudioError, match=r"AUDIO_NOT_FOUND.*1 of 2 files.*c\.wav"):
        plan_list(read_list(table))
    table.write_text("id\taudio\ttext\ttarget\nx\ta.wav\tso\tone\ny\ta.wav\tso\t?!\n")
    with pytest.raises(DataError, match=r"TEXT_EMPTY.*line 3 of the table: item y: '\?!' holds no letters"):
        plan_list(read_list(table))
