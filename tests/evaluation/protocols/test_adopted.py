"""Other people's audio beside the recordings of a set: every item, or an error that counts."""

import pytest

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.evaluation.protocols.adopted import adopt
from resgen_tts.evaluation.protocols.item_set import Clip, PlannedItem, write_item_set
from tests.evaluation.conftest import write_tone


def make_set(root, *, trials=1, continues=False, has_recordings=True, name="set"):
    planned = []
    for target in ("t0", "t1"):
        write_tone(root / f"{target}.wav", 2.0)
        clip = Clip(source=root / f"{target}.wav", name=target, text="one two")
        prompt = Clip(source=clip.source, name=f"{target}-p", text="one", start=0, stop=16_000)
        planned += [
            PlannedItem(
                id=f"{target}-t{trial}", trial=trial, speaker=target, target_id=target, text="one two",
                say="two" if continues else "one two", prompt=prompt, recording=clip if has_recordings else None,
                reference=None if continues else clip, continues=continues,
            )
            for trial in range(trials)
        ]  # fmt: skip
    return write_item_set(root / name, planned, {"name": "V"})


def test_recordings_alone_are_a_system(tmp_path):
    items = make_set(tmp_path, trials=2)
    folder = adopt(items, {})
    assert folder.systems == ["recording"] and folder.protocol["name"] == "V" and len(folder.items) == 4
    first, second = folder.items[:2]
    assert first.systems["recording"] == second.systems["recording"] and (first.trial, second.trial) == (0, 1)
    assert first.continued_seconds == 0.0 and first.reference == "reference/t0.wav"
    assert all(folder.wave(path).is_file() for item in folder.items for path in item.paths())


def test_waves_of_others_are_found_by_item_or_by_target(tmp_path):
    items = make_set(tmp_path)
    write_tone(tmp_path / "theirs" / "t0.wav", 1.0)
    write_tone(tmp_path / "theirs" / "t1-t0.flac", 1.0)
    write_tone(tmp_path / "b" / "t0-t0.wav", 1.0)
    write_tone(tmp_path / "b" / "t1-t0.wav", 1.0)
    folder = adopt(items, {"theirs": tmp_path / "theirs", "b": tmp_path / "b"})
    assert folder.systems == ["recording", "b", "theirs"]
    assert [folder.wave(item.systems["theirs"]) for item in folder.items] == [
        tmp_path / "theirs" / "t0.wav", tmp_path / "theirs" / "t1-t0.flac",
    ]  # fmt: skip
    assert folder.wave(folder.items[0].systems["b"]) == tmp_path / "b" / "t0-t0.wav"
    assert folder.wave(folder.items[0].prompt) == items.file(items.items[0].prompt)


def test_missing_doubled_and_short_waves_are_counted_and_named(tmp_path):
    items = make_set(tmp_path, trials=2)
    theirs = tmp_path / "theirs"
    write_tone(theirs / "t0.wav", 1.0)  # says nothing about which trial
    write_tone(theirs / "t0-t0.wav", 1.0)
    with pytest.raises(DataError, match=r"WAVES_MISSING: theirs: 3 of 4 items have no wave.*t0-t1, t1-t0, t1-t1"):
        adopt(items, {"theirs": theirs})
    with pytest.raises(DataError, match="not a folder"):
        adopt(items, {"theirs": tmp_path / "nowhere"})
    for name in ("t0-t1", "t1-t0", "t1-t1"):
        write_tone(theirs / f"{name}.wav", 1.0)
    write_tone(theirs / "t1-t1.flac", 1.0)
    with pytest.raises(DataError, match=r"1 of 4 items have two waves.*t1-t1\.flac and t1-t1\.wav"):
        adopt(items, {"theirs": theirs})


def test_outputs_of_continuations_begin_with_the_prompt(tmp_path):
    items = make_set(tmp_path, continues=True)
    for target in ("t0", "t1"):
        write_tone(tmp_path / "theirs" / f"{target}.wav", 2.5 if target == "t0" else 1.0)
    with pytest.raises(DataError, match=r"WAVES_SHORT.*1 of 2.*t1\.wav \(1\.00 s, prompt 1\.00 s\)"):
        adopt(items, {"theirs": tmp_path / "theirs"})
    write_tone(tmp_path / "theirs" / "t1.wav", 1.5)
    folder = adopt(items, {"theirs": tmp_path / "theirs"})
    assert [item.continued_seconds for item in folder.items] == [1.0, 1.0]
    assert folder.items[0].text == "one two"  # words are counted over the whole


def test_names_of_our_own_systems_and_nothing_at_all_are_refused(tmp_path):
    items = make_set(tmp_path, has_recordings=False)
    with pytest.raises(ConfigError, match="clone is a name of our own"):
        adopt(items, {"clone": tmp_path})
    with pytest.raises(ConfigError, match="no recordings"):
        adopt(items, {})
    for target in ("t0", "t1"):
        write_tone(tmp_path / "theirs" / f"{target}.wav", 1.0)
    assert adopt(items, {"theirs": tmp_path / "theirs"}).systems == ["theirs"]
