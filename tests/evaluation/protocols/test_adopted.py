"""Other people's audio beside the recordings of a set: every item, or an error that counts."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.evaluation.protocols.adopted import adopt, begins_with
from resgen_tts.evaluation.protocols.item_set import Clip, PlannedItem, write_item_set
from tests.evaluation.conftest import write_tone

REAL = Path(__file__).parents[4] / "shared" / "data" / "libri-eval"


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


def wobble(number, seconds):
    """Noise whose loudness in two bands goes its own way, as speech does."""
    rng = np.random.default_rng(number)
    time = np.arange(round(seconds * 16_000)) / 16_000
    steps = rng.uniform(-3, 0, (2, 40))
    low, high = (10 ** np.interp(time, np.arange(40) * 0.1, row) for row in steps)
    return 0.3 * (low * np.sin(2 * np.pi * 500 * time) + high * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)


def make_continuations(root, count=5):
    planned = []
    for number in range(count):
        source = root / f"t{number}.wav"
        soundfile.write(str(source), wobble(number, 3.0), 16_000)
        prompt = Clip(source=source, name=f"t{number}-p", text="one", start=0, stop=24_000)
        planned.append(
            PlannedItem(
                id=f"t{number}", speaker="s", target_id=f"t{number}", text="one two", say="two", prompt=prompt,
                recording=Clip(source=source, name=f"t{number}", text="one two"), continues=True,
            )
        )  # fmt: skip
    return write_item_set(root / "set", planned, {"name": "V"})


def test_outputs_that_are_not_continuations_are_told(tmp_path):
    items, theirs = make_continuations(tmp_path), tmp_path / "theirs"
    theirs.mkdir()

    def write(number, samples, rate=16_000):
        soundfile.write(str(theirs / f"t{number}.wav"), samples, rate)

    for number in range(5):  # the prompt itself: at another level, a little late, early, with noise, at another rate
        made = np.concatenate([wobble(number, 3.0)[:24_000], wobble(100 + number, 2.0)])
        if number == 0:
            made = np.concatenate([np.zeros(1000, np.float32), 0.2 * made])
        elif number == 1:
            made = made[800:]
        elif number == 2:
            made = made + 0.001 * np.random.default_rng(0).standard_normal(len(made)).astype(np.float32)
        write(number, made[::2] if number == 3 else made, 8_000 if number == 3 else 16_000)
    assert "not_continued" not in adopt(items, {"theirs": theirs}).run
    for number in (0, 1):  # what was said behind the prompt alone
        write(number, wobble(100 + number, 3.0))
    assert adopt(items, {"theirs": theirs}).run["not_continued"] == {"theirs": ["t0", "t1"]}
    write(4, wobble(104, 3.0))
    with pytest.raises(DataError, match=r"WAVES_NOT_CONTINUED: theirs: 3 of 5 .* t0, t1, t4.*in front of each"):
        adopt(items, {"theirs": theirs})


def test_real_prompts_whose_phases_were_made_anew_count_as_prompts(tmp_path):
    """As a vocoder's: the samples are others, the sound is not."""
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is not here; copies of real prompts are NOT told from other utterances")
    import librosa

    paths = sorted((REAL / "test-other").glob("1688-*.flac"))[:6]
    for path in paths:
        samples, rate = soundfile.read(str(path), dtype="float32", frames=48_000)
        mel = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=1024, hop_length=256, n_mels=80)
        power = librosa.feature.inverse.mel_to_stft(mel, sr=rate, n_fft=1024)
        copy = librosa.griffinlim(power, n_iter=8, hop_length=256, random_state=0)
        soundfile.write(str(tmp_path / f"{path.stem}.wav"), samples, rate)
        soundfile.write(str(tmp_path / f"{path.stem}-copy.wav"), 0.5 * copy, rate)
    for place, path in enumerate(paths):
        prompt = tmp_path / f"{path.stem}.wav"
        assert begins_with(tmp_path / f"{path.stem}-copy.wav", prompt)
        assert not begins_with(paths[place - 1], prompt)  # of the same speaker


def test_names_of_our_own_systems_and_nothing_at_all_are_refused(tmp_path):
    items = make_set(tmp_path, has_recordings=False)
    with pytest.raises(ConfigError, match="clone is a name of our own"):
        adopt(items, {"clone": tmp_path})
    with pytest.raises(ConfigError, match="no recordings"):
        adopt(items, {})
    for target in ("t0", "t1"):
        write_tone(tmp_path / "theirs" / f"{target}.wav", 1.0)
    assert adopt(items, {"theirs": tmp_path / "theirs"}).systems == ["theirs"]
