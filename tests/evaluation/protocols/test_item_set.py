"""Item sets: what is written is what is read, to the sample, and nothing can change unseen."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.evaluation.protocols.item_set import Clip, PlannedItem, read_item_set, write_cut, write_item_set

FACTS = {"name": "V", "mode": "continuation"}


@pytest.fixture
def source(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32767, 80_000).astype(np.int16)
    soundfile.write(str(tmp_path / "said.flac"), samples, 16_000)
    return tmp_path / "said.flac"


def planned(source, name="a", **changed):
    values = {
        "id": name, "speaker": "s", "target_id": "t", "text": "one two three", "say": "two three", "continues": True,
        "prompt": Clip(source=source, name="t-0-48000", text="one", start=0, stop=48_000),
        "recording": Clip(source=source, name="t", text="one two three"),
    }  # fmt: skip
    return PlannedItem(**(values | changed))


def test_a_set_is_read_as_it_was_written(source, tmp_path):
    items = write_item_set(tmp_path / "set", [planned(source), planned(source, "b", trial=1)], FACTS)
    assert items.facts["items"] == 2 and items.facts["reference_words"] == 6 and items.facts["name"] == "V"
    first, second = items.items
    assert (first.prompt, first.prompt_seconds, first.prompt_text) == ("prompt/t-0-48000.wav", 3.0, "one")
    assert (first.recording, first.recording_seconds) == ("recording/t.flac", 5.0)
    assert second == replace(first, id="b", trial=1)  # and so its files are the same ones
    cut, _ = soundfile.read(items.file(first.prompt), dtype="int16")
    whole, _ = soundfile.read(str(source), dtype="int16")
    assert np.array_equal(cut, whole[:48_000])
    assert items.file("recording/t.flac").read_bytes() == source.read_bytes()
    assert items.file(first.prompt).with_suffix(".txt").read_text() == "one\n"
    assert items.file("recording/t.flac").with_suffix(".txt").read_text() == "one two three\n"
    waves = sorted(path.name for path in (tmp_path / "set").rglob("*") if path.suffix in {".wav", ".flac"})
    assert waves == ["t-0-48000.wav", "t.flac"]


def test_the_hash_is_of_the_files_and_not_of_how_they_came_about(source, tmp_path):
    one = write_item_set(tmp_path / "one", [planned(source)], {**FACTS, "command": "this"})
    same = write_item_set(tmp_path / "same", [planned(source)], {**FACTS, "command": "that"})
    other = write_item_set(tmp_path / "other", [planned(source, "b")], FACTS)
    assert one.sha256 == same.sha256 != other.sha256
    listed = (tmp_path / "one" / "files.sha256").read_bytes()
    assert one.sha256 == hashlib.sha256(listed).hexdigest()
    for line in listed.decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / "one" / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", ["prompt/t-0-48000.wav", "recording/t.txt", "items.jsonl", "files.sha256"])
def test_a_changed_file_is_named(source, tmp_path, name):
    write_item_set(tmp_path / "set", [planned(source)], FACTS)
    path = tmp_path / "set" / name
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"s"', b'"z"') if name == "items.jsonl" else data[:-1] + b"\x07")
    with pytest.raises(DataError, match=rf"SET_CHANGED.*{name}"):
        read_item_set(tmp_path / "set")


def test_missing_waves_are_counted_and_named(source, tmp_path):
    write_item_set(tmp_path / "set", [planned(source)], FACTS)
    (tmp_path / "set" / "recording" / "t.flac").unlink()
    with pytest.raises(DataError, match=r"WAVES_MISSING.*1 of 2 waves are missing: recording/t\.flac"):
        read_item_set(tmp_path / "set")
    with pytest.raises(DataError, match=r"FILE_MISSING.*resgen-tts protocol"):
        read_item_set(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompt": "../said.flac"}, "leaves the folder"),
        ({"recording": "/etc/said.flac"}, "leaves the folder"),
        ({"id": "a/b"}, "not plain"),
        ({"say": " "}, "nothing in say"),
        ({"colour": "red"}, "unknown colour"),
        ({"say": "two four"}, "not those of the text"),
    ],
)
def test_a_broken_line_is_refused(source, tmp_path, changed, said):
    write_item_set(tmp_path / "set", [planned(source)], FACTS)
    path = tmp_path / "set" / "items.jsonl"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed) + "\n")
    with pytest.raises(DataError, match=rf"items\.jsonl:1.*{said}"):
        read_item_set(tmp_path / "set")


def test_a_set_that_cannot_be_is_not_left_half(source, tmp_path):
    bad = [
        ([planned(source), planned(source)], DataError, "appear twice"),
        ([planned(source), planned(source, "b", recording=None)], DataError, "1 of 2 items have no recording: b"),
        ([planned(source, prompt=Clip(source=source, name="../t", text="one"))], DataError, "not plain"),
        ([], DataError, "no item"),
        ([planned(source, recording=Clip(source=tmp_path / "no.flac", name="t", text="x"))], AudioError, "no.flac"),
        (
            [planned(source), planned(source, "b", recording=Clip(source=source, name="t", text="else"))],
            DataError, "two different clips",
        ),
        (
            [planned(source, prompt=Clip(source=source, name="p", text="one", start=79_000, stop=80_001))],
            AudioError, "80000 samples",
        ),
    ]  # fmt: skip
    for items, error, said in bad:
        with pytest.raises(error, match=said):
            write_item_set(tmp_path / "set", items, FACTS)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["said.flac"]
    write_item_set(tmp_path / "set", [planned(source)], FACTS)
    with pytest.raises(ConfigError, match="OUTPUT_EXISTS"):
        write_item_set(tmp_path / "set", [planned(source, "b")], FACTS)
    assert read_item_set(tmp_path / "set").items[0].id == "a"


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_cut_keeps_every_sample(tmp_path, subtype):
    samples = np.random.default_rng(1).uniform(-1, 1, (9_000, 2)).astype(np.float32)
    soundfile.write(str(tmp_path / "whole.wav"), samples, 44_100, subtype=subtype)
    write_cut(tmp_path / "cut.wav", tmp_path / "whole.wav", 1_234, 5_678)
    whole, _ = soundfile.read(str(tmp_path / "whole.wav"), dtype="float64")
    cut, rate = soundfile.read(str(tmp_path / "cut.wav"), dtype="float64")
    assert rate == 44_100 and np.array_equal(cut, whole[1_234:5_678])
