"""Judges that remember: equal bytes are listened to once, other bytes never pass for them, and a kill costs a chunk."""

import base64
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.evaluation.judges import remembered
from resgen_tts.evaluation.judges.remembered import (
    CHUNK_WAVES,
    Memory,
    RememberingEncoder,
    RememberingRater,
    RememberingRecognizer,
    shard,
)


class Counting:
    """A judge of every kind; the waves are text files."""

    name, is_embedded, figures = "Counting 1.0, all ears", True, ("LENGTH", "NOISE")

    def __init__(self, name="Counting 1.0, all ears"):
        self.name, self.asked, self.chunks = name, [], []

    def transcribe(self, paths):
        self.asked += [path.name for path in paths]
        self.chunks.append(len(paths))
        return [path.read_text() for path in paths]

    def embed(self, path, start_seconds=0.0):
        self.asked.append(path.name)
        seed = [*path.read_bytes(), round(1000 * start_seconds)]
        return np.random.default_rng(seed).normal(size=256).astype(np.float32)

    def rate(self, path, start_seconds=0.0):
        self.asked.append(path.name)
        if start_seconds > 60:
            raise AudioError(f"{path} holds no samples after {start_seconds} s.", code="AUDIO_NO_SAMPLES")
        if path.read_text() == "two two":
            raise AudioError(f"{path} is too short.", code="AUDIO_TOO_SHORT", hint="Speak longer.")
        return {"LENGTH": np.float32(len(path.read_text()) / 3), "NOISE": 0.1 + start_seconds}


def files(folder):
    for name, words in {"a": "one", "b": "two two", "c": "one"}.items():
        (folder / name).write_text(words)
    return [folder / name for name in "abca"]


def many(folder, count):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03d}").write_text(f"words of {number}")
    return sorted(folder.iterdir())


@pytest.fixture(params=["memory", "disk"])
def memory(request, tmp_path):
    return Memory(tmp_path / "kept" if request.param == "disk" else None)


def stored(folder):
    (path,) = folder.glob("*.jsonl")
    return path


def test_words_are_heard_once_and_in_the_order_asked(tmp_path, memory):
    judge = Counting()
    recognizer = RememberingRecognizer(judge, memory)
    assert recognizer.transcribe(files(tmp_path)) == ["one", "two two", "one", "one"]
    assert len(judge.asked) == 2
    (tmp_path / "a").write_text("three")
    assert recognizer.transcribe([tmp_path / "a", tmp_path / "b"]) == ["three", "two two"]
    assert judge.asked[2:] == ["a"]
    assert recognizer.transcribe([]) == []


def test_prints_are_made_once_for_each_time_they_start_at(tmp_path, memory):
    judge = Counting()
    encoder = RememberingEncoder(judge, memory)
    a, b, c, _ = files(tmp_path)
    prints = [encoder.embed(path) for path in (a, b, c, a)]
    assert judge.asked == ["a", "b"]
    assert (prints[0] == prints[2]).all() and (prints[0] == prints[3]).all() and (prints[0] != prints[1]).any()
    later = encoder.embed(a, 1.5)
    assert (later != prints[0]).any() and (encoder.embed(c, start_seconds=1.5) == later).all()
    assert judge.asked == ["a", "b", "a"]
    later[:] = 0  # the caller's own: what is remembered stays
    assert encoder.embed(a, 1.5).any()


def test_ratings_and_why_there_are_none_are_remembered(tmp_path, memory):
    judge = Counting()
    rater = RememberingRater(judge, memory)
    a, b, c, _ = files(tmp_path)
    assert rater.figures == judge.figures
    assert rater.rate(a) == rater.rate(c) == {"LENGTH": 1.0, "NOISE": 0.1}
    raised = []
    for _ in range(2):
        with pytest.raises(AudioError, match="too short") as caught:
            rater.rate(b)
        raised.append((caught.value.code, str(caught.value)))
    assert raised[0] == raised[1] and raised[0][0] == "AUDIO_TOO_SHORT" and raised[0][1].endswith("Speak longer.")
    assert judge.asked == ["a", "b"]


def test_ratings_are_made_once_for_each_time_they_start_at(tmp_path, memory):
    judge = Counting()
    rater = RememberingRater(judge, memory)
    a, _, c, _ = files(tmp_path)
    assert rater.rate(a)["NOISE"] == 0.1 and rater.rate(a, 0.5)["NOISE"] == 0.6
    assert rater.rate(c, start_seconds=0.5) == rater.rate(a, 0.5) and judge.asked == ["a", "a"]
    for _ in range(2):  # there is nothing so late, and there is something from the start
        with pytest.raises(AudioError, match="no samples after 90"):
            rater.rate(a, 90.0)
    assert rater.rate(a)["NOISE"] == 0.1 and judge.asked == ["a", "a", "a"]


def test_the_next_run_knows_everything_to_the_last_bit(tmp_path):
    paths = files(tmp_path)
    kept, first, second = tmp_path / "kept", Counting(), Counting()

    def ask(judge, memory):
        prints = [RememberingEncoder(judge, memory).embed(path, 0.25) for path in paths]
        ratings = [RememberingRater(judge, memory).rate(paths[0])]
        with pytest.raises(AudioError) as caught:
            RememberingRater(judge, memory).rate(paths[1])
        words = RememberingRecognizer(judge, memory).transcribe(paths)
        return [one.tobytes() for one in prints], [one.dtype for one in prints], ratings, words, str(caught.value)

    assert ask(first, Memory(kept)) == ask(second, Memory(kept))
    assert first.asked and not second.asked
    assert ask(first, Memory(kept))[0][0] == first.embed(paths[0], 0.25).tobytes()
    assert stored(kept).name.startswith("counting-1-0-all-ears-") and stored(kept).name.endswith(".0.jsonl")


def test_special_floats_survive(tmp_path):
    strange = np.array([np.nan, np.inf, -0.0, 1e-45, np.float32(0.1)], np.float32)

    class Strange(Counting):
        def embed(self, path, start_seconds=0.0):
            return strange

        def rate(self, path, start_seconds=0.0):
            return {"LENGTH": float("inf"), "NOISE": 0.1 + 0.2}

    path = files(tmp_path)[0]
    for judge in (Strange(), Counting()):  # the second one would say something else
        assert RememberingEncoder(judge, Memory(tmp_path / "kept")).embed(path).tobytes() == strange.tobytes()
        rater = RememberingRater(judge, Memory(tmp_path / "kept"))
        assert rater.rate(path) == {"LENGTH": float("inf"), "NOISE": 0.30000000000000004}


def test_judges_of_other_names_share_nothing(tmp_path):
    paths = files(tmp_path)
    RememberingRecognizer(Counting("one, 100 words"), Memory(tmp_path / "kept")).transcribe(paths)
    other = Counting("one: 100 words")  # the same plain name
    RememberingRecognizer(other, Memory(tmp_path / "kept")).transcribe(paths)
    assert other.asked == ["a", "b"] and len(list((tmp_path / "kept").glob("one-100-words-*.jsonl"))) == 2


def test_on_disk_a_recogniser_gets_chunks_that_are_kept_one_by_one(tmp_path):
    paths = many(tmp_path / "waves", 2 * CHUNK_WAVES + 5)
    judge = Counting()
    assert RememberingRecognizer(judge).transcribe(paths) == [path.read_text() for path in paths]
    assert judge.chunks == [len(paths)]  # nothing to be kept: all at once

    class Failing(Counting):
        def transcribe(self, paths):
            if len(self.chunks) == 2:
                raise DataError("no more")
            return super().transcribe(paths)

    failing, judge = Failing(), Counting()
    with pytest.raises(DataError, match="no more"):
        RememberingRecognizer(failing, Memory(tmp_path / "kept")).transcribe(paths)
    assert failing.chunks == [CHUNK_WAVES, CHUNK_WAVES]
    recognizer = RememberingRecognizer(judge, Memory(tmp_path / "kept"))
    assert recognizer.transcribe(paths) == [path.read_text() for path in paths]
    assert judge.chunks == [5]
    parallel = Counting()
    parallel.workers = 2  # each has as much to do
    RememberingRecognizer(parallel, Memory(tmp_path / "other")).transcribe(paths)
    assert parallel.chunks == [2 * CHUNK_WAVES, 5]


def test_two_writers_side_by_side_and_then_one_who_reads_both(tmp_path):
    paths = many(tmp_path / "waves", 40)
    judges = [Counting(), Counting()]
    runs = [
        RememberingEncoder(judge, Memory(tmp_path / "kept", writer=f"{number}-of-2"))
        for number, judge in enumerate(judges)
    ]
    for place, path in enumerate(paths):
        runs[place % 2].embed(path)
    assert len(list((tmp_path / "kept").iterdir())) == 2
    third = Counting()
    merged = RememberingEncoder(third, Memory(tmp_path / "kept"))
    assert all((merged.embed(path) == Counting().embed(path)).all() for path in paths)
    assert not third.asked and sorted(judges[0].asked + judges[1].asked) == [path.name for path in paths]


def test_a_torn_last_line_is_dropped_wherever_it_is_torn(tmp_path, capsys):
    paths, kept = many(tmp_path / "waves", 3), tmp_path / "kept"
    RememberingEncoder(Counting(), Memory(kept)).embed(paths[0])
    path = stored(kept)
    first = path.stat().st_size
    RememberingEncoder(Counting(), Memory(kept)).embed(paths[1])
    whole = path.read_bytes()
    capsys.readouterr()
    for size in [1, first - 1, first + 1, first + 100, len(whole) - 1]:
        path.write_bytes(whole[:size])
        judge = Counting()
        encoder = RememberingEncoder(judge, Memory(kept))
        assert f"{path}: the last line is not whole" in capsys.readouterr().err
        assert [encoder.embed(one).tobytes() for one in paths] == [Counting().embed(one).tobytes() for one in paths]
        assert judge.asked == [one.name for one in paths[(size > first) :]]
        again = Counting()  # what was appended behind the torn line can be read
        assert [RememberingEncoder(again, Memory(kept)).embed(one) is not None for one in paths] and not again.asked
        assert capsys.readouterr().err == ""


def spoil(line, **changed):
    return json.dumps(json.loads(line) | changed).encode()


@pytest.mark.parametrize(
    ("number", "spoiled"),
    [
        (1, lambda line: spoil(line, judge="somebody else")),
        (1, lambda line: spoil(line, soxr="0.0")),
        (2, lambda line: line[:20]),
        (2, lambda line: b""),
        (2, lambda line: b"[1, 2]"),
        (2, lambda line: b"{}"),
        (2, lambda line: spoil(line, start_seconds="soon")),
        (2, lambda line: spoil(line, print="abc")),
        (2, lambda line: spoil(line, print={"dtype": "<f4", "base64": base64.b64encode(b"12345").decode()})),
        (2, lambda line: spoil(line, print={"dtype": "<f4", "base64": "A*B="})),
    ],
)
def test_a_torn_line_in_the_middle_is_an_error(tmp_path, number, spoiled):
    encoder = RememberingEncoder(Counting(), Memory(tmp_path / "kept"))
    for path in many(tmp_path / "waves", 2):
        encoder.embed(path)
    path = stored(tmp_path / "kept")
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = spoiled(lines[number - 1])
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=rf"{path.name}:{number}: ") as caught:
        RememberingEncoder(Counting(), Memory(tmp_path / "kept"))
    assert caught.value.code == "MEMORY_INVALID" and "Delete" in caught.value.hint


@pytest.mark.parametrize("spoiled", [{"words": 3}, {"ratings": {"error": {"code": "X"}}}, {"ratings": 1.0}])
def test_an_entry_of_another_form_is_an_error(tmp_path, spoiled):
    path = files(tmp_path)[0]
    kind = next(iter(spoiled))
    if kind == "words":
        RememberingRecognizer(Counting(), Memory(tmp_path / "kept")).transcribe([path])
    else:
        RememberingRater(Counting(), Memory(tmp_path / "kept")).rate(path)
    file = stored(tmp_path / "kept")
    head, line, _ = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([head, spoil(line, **spoiled), b""]))
    with pytest.raises(DataError, match=rf"{file.name}:2: "):
        Memory(tmp_path / "kept").shelf(Counting.name, kind, remembered.versions_of(Counting()))


RUN = """
import sys, time
from pathlib import Path
from resgen_tts.evaluation.judges.remembered import Memory, RememberingEncoder, RememberingRecognizer
sys.path.insert(0, sys.argv[1])
from test_remembered import Counting

class Slow(Counting):
    def transcribe(self, paths):
        for path in paths:
            self.log(path)
        return super().transcribe(paths)

    def embed(self, path, start_seconds=0.0):
        self.log(path)
        return super().embed(path, start_seconds)

    def log(self, path):
        time.sleep(0.002)
        with open(sys.argv[4], "a") as file:
            file.write(path.name + chr(10))

paths = sorted(Path(sys.argv[2]).iterdir())
memory, judge = Memory(Path(sys.argv[3])), Slow()
for word in RememberingRecognizer(judge, memory).transcribe(paths):
    print(word)
encoder = RememberingEncoder(judge, memory)
for path in paths:
    print(encoder.embed(path).tobytes().hex())
"""


def test_a_run_that_is_killed_goes_on_where_it_stopped(tmp_path):
    waves = tmp_path / "waves"
    many(waves, 3 * CHUNK_WAVES)

    def command(kept, log):
        own = os.path.dirname(__file__)
        return [sys.executable, "-c", RUN, own, str(waves), str(tmp_path / kept), str(tmp_path / log)]

    def kept_lines(kept):
        return [line for path in (tmp_path / kept).glob("*.jsonl") for line in path.read_bytes().split(b"\n")[1:-1]]

    whole = subprocess.run(command("whole", "whole.log"), check=True, capture_output=True, text=True)
    heard_whole = (tmp_path / "whole.log").read_text().split()
    assert len(heard_whole) == 6 * CHUNK_WAVES
    flushed = {}
    # Once in the middle of a chunk of words, once among the prints.
    for turn, wanted in enumerate((CHUNK_WAVES, 4 * CHUNK_WAVES)):
        running = subprocess.Popen(
            command("kept", f"killed-{turn}.log"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while len(kept_lines("kept")) < wanted and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
        assert running.wait(timeout=10) == -signal.SIGKILL
        flushed[turn] = len(kept_lines("kept"))
        assert wanted <= flushed[turn] < 6 * CHUNK_WAVES
    resumed = subprocess.run(command("kept", "resumed.log"), check=True, capture_output=True, text=True)
    assert resumed.stdout == whole.stdout and len(whole.stdout.split("\n")) == 6 * CHUNK_WAVES + 1
    heard = [(tmp_path / name).read_text().split() for name in ("killed-0.log", "killed-1.log", "resumed.log")]
    # Words come first, then prints: each run goes on behind what had been flushed.
    assert heard[1] == heard_whole[flushed[0] :][: len(heard[1])]
    assert heard[2] == heard_whole[flushed[1] :]


def test_two_processes_of_one_writer_tear_nothing(tmp_path):
    """It should not happen, and costs double work, but no line."""
    folders = [tmp_path / "first", tmp_path / "second"]
    command = [sys.executable, "-c", RUN, os.path.dirname(__file__)]
    for folder in folders:
        many(folder, 40)
    for path in folders[1].iterdir():
        path.write_text(f"other {path.read_text()}")
    running = [
        subprocess.Popen(
            [*command, str(folder), str(tmp_path / "kept"), str(tmp_path / f"{folder.name}.log")],
            stdout=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    assert [one.wait(timeout=60) for one in running] == [0, 0]
    judge = Counting()
    encoder = RememberingEncoder(judge, Memory(tmp_path / "kept"))
    assert all(encoder.embed(path).any() for folder in folders for path in folder.iterdir()) and not judge.asked


def test_a_missing_file_is_named_and_a_writer_must_be_plain(tmp_path):
    for ask in (
        lambda path: RememberingRecognizer(Counting()).transcribe([path]),
        lambda path: RememberingEncoder(Counting()).embed(path),
        lambda path: RememberingRater(Counting()).rate(path),
    ):
        with pytest.raises(AudioError, match="nothing") as caught:
            ask(tmp_path / "nothing")
        assert caught.value.code == "AUDIO_NOT_FOUND"
    for writer in ("", "a.b", "../a"):
        with pytest.raises(ConfigError, match="writer"):
            Memory(tmp_path, writer=writer)


def test_shards_are_disjoint_complete_and_balanced(tmp_path):
    rng, seconds = np.random.default_rng(0), {}
    for number in range(60):
        path = tmp_path / f"{number:02d}.wav"
        seconds[path] = round(float(rng.uniform(0.1, 3.0)), 2)
        soundfile.write(path, np.zeros(round(1000 * seconds[path])), 1000)
    (tmp_path / "bad.wav").write_text("not audio")
    paths = [*seconds, tmp_path / "bad.wav"]
    for num in (1, 3, 7):
        parts = [shard(paths, num, index) for index in range(num)]
        assert sorted(path for part in parts for path in part) == sorted(paths)
        assert all(part == [path for path in paths if path in part] for part in parts)  # in the order given
        loads = [sum(seconds.get(path, 0.0) for path in part) for part in parts]
        assert max(loads) - min(loads) <= max(seconds.values())
        assert [set(shard([*paths[::-1], paths[0]], num, index)) for index in range(num)] == [set(own) for own in parts]
    assert shard([], 2, 1) == []
    for num, index in ((0, 0), (2, 2), (2, -1)):
        with pytest.raises(ConfigError, match="shard"):
            shard(paths, num, index)
