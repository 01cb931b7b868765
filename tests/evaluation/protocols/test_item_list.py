"""Lists of items without recordings: what a table may hold, and that every beginning of a crossing is balanced."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.evaluation.protocols.item_list import Prompt, cross, read_list, read_prompts, write_list


def prompts(count: int) -> list[Prompt]:
    return [Prompt(speaker=f"s{n}", audio=Path(f"audio/s{n}.wav"), text=f"this is {n}") for n in range(count)]


@given(num_prompts=st.integers(1, 9), num_texts=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_crossing_holds_every_pair_once_and_its_beginnings_are_balanced(num_prompts, num_texts, seed):
    texts = [f"text {n}" for n in range(num_texts)]
    items = cross(prompts(num_prompts), texts, num_items=None, seed=seed)
    pairs = [(item.speaker, item.target) for item in items]
    assert sorted(pairs) == sorted(itertools.product((f"s{n}" for n in range(num_prompts)), texts))
    assert len({item.id for item in items}) == len(items)
    speakers, targets = Counter({f"s{n}": 0 for n in range(num_prompts)}), Counter(dict.fromkeys(texts, 0))
    for speaker, target in pairs:
        speakers[speaker] += 1
        targets[target] += 1
        assert max(speakers.values()) - min(speakers.values()) <= 1
        assert max(targets.values()) - min(targets.values()) <= 1


def test_a_part_is_the_beginning_of_the_whole():
    whole = cross(prompts(3), ["a", "b", "c", "d"], num_items=None, seed=4)
    assert cross(prompts(3), ["a", "b", "c", "d"], num_items=5, seed=4) == whole[:5]
    assert cross(prompts(3), ["a", "b", "c", "d"], num_items=5, seed=5) != whole[:5]
    for wanted in (0, 13):
        with pytest.raises(ConfigError, match="12 items"):
            cross(prompts(3), ["a", "b", "c", "d"], num_items=wanted, seed=4)


def test_prompts_with_one_file_name_give_items_of_different_names():
    twins = [Prompt(speaker=name, audio=Path(name, "prompt.wav"), text="so") for name in ("anna", "bert")]
    items = cross(twins, ["one", "two"], num_items=None, seed=0)
    assert len({item.id for item in items}) == 4 and twins[0].id != twins[1].id


def test_a_written_list_reads_back_from_its_own_folder(tmp_path):
    placed = [Prompt(speaker=one.speaker, audio=tmp_path / one.audio, text=one.text) for one in prompts(2)]
    items = cross(placed, ["one, two", 'a "quoted" word'], num_items=None, seed=0)
    write_list(tmp_path / "lists" / "items.tsv", items)
    again = read_list(tmp_path / "lists" / "items.tsv")
    assert [(one.id, one.speaker, one.text, one.target) for one in again] == [
        (one.id, one.speaker, one.text, one.target) for one in items
    ]
    assert [one.audio.resolve() for one in again] == [one.audio.resolve() for one in items]
    assert [one.prompt.id for one in again] == [one.prompt.id for one in items]  # however the path is written
    bad = cross(placed, ["a\ttab"], num_items=None, seed=0)
    with pytest.raises(DataError, match="tab"):
        write_list(tmp_path / "bad.tsv", bad)


def test_a_prompts_name_is_of_its_bytes_and_not_of_where_it_lies(tmp_path):
    names = []
    for place, sound in (("here", b"one"), ("there", b"one"), ("else", b"two")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a b.wav").write_bytes(sound)
        names.append(Prompt(speaker="s", audio=tmp_path / place / "a b.wav", text="so").id)
    assert names[0] == names[1] != names[2] and names[0].startswith("a_b-")


def test_a_list_without_ids_is_numbered_and_every_reference_is_a_speaker(tmp_path):
    table = tmp_path / "items.tsv"
    table.write_text("audio\ttext\ttarget\na.wav\tso\tone\nb/a.wav\tso\ttwo\na.wav\tso\tthree\n")
    first, second, third = read_list(table)
    assert [first.id, second.id, third.id] == ["0001", "0002", "0003"]
    assert first.speaker == third.speaker != second.speaker


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "lists no item"),
        ("a/b\ts\ta.wav\tso\tone\n", "items.tsv:2: id 'a/b' is not plain"),
        ("x\ts\ta.wav\tso\tone\nx\ts\ta.wav\tso\ttwo\n", "stand twice"),
        ("x\ts\ta.wav\t\tone\n", "items.tsv:2: nothing in text"),
    ],
)
def test_broken_lists_are_refused(tmp_path, rows, said):
    table = tmp_path / "items.tsv"
    table.write_text("id\tspeaker\taudio\ttext\ttarget\n" + rows)
    with pytest.raises(DataError, match=said):
        read_list(table)


@pytest.mark.parametrize("content", [b"audio\ttext\ttarget\n\xff\tx\ty\n", b"audio\ttext\ttarget\na\0.wav\tx\ty\n"])
def test_a_table_that_is_no_text_is_refused(tmp_path, content):
    table = tmp_path / "items.tsv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=r"items\.tsv.*(UTF-8|NUL)"):
        read_list(table)


def test_a_mark_of_byte_order_is_no_part_of_a_columns_name(tmp_path):
    table = tmp_path / "items.tsv"
    table.write_bytes(b"\xef\xbb\xbfaudio\ttext\ttarget\na.wav\tx\ty\n")
    assert read_list(table)[0].target == "y"


def test_prompts_are_read_beside_columns_that_nobody_asked_for(tmp_path):
    table = tmp_path / "prompts.tsv"
    table.write_text("speaker\taudio\ttext\tsex\nanna\ta.wav\tso\tF\nbert\tb.wav\tno\tM\n")
    assert [(one.speaker, one.audio, one.text) for one in read_prompts(table)] == [
        ("anna", tmp_path / "a.wav", "so"),
        ("bert", tmp_path / "b.wav", "no"),
    ]
    table.write_text("speaker\taudio\nanna\ta.wav\n")
    with pytest.raises(DataError, match="nothing in text"):
        read_prompts(table)
