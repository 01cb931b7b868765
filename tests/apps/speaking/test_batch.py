"""``resgen-tts batch``: a list spoken into a folder, over one small random system."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.cli import main
from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.apps.speaking import batch as batch_module
from resgen_tts.apps.speaking.batch_list import read_batch
from resgen_tts.apps.speaking.batch_results import BatchResults
from resgen_tts.common.errors import AudioError, DataError
from resgen_tts.speech.audio.encode import AudioFileWriter
from resgen_tts.speech.audio.tags import read_tags
from resgen_tts.speech.synthesizer import AUDIO_TOLERANCE, Synthesizer

TEXTS = {"one": "hello there", "two": "a quiet river", "three": "la la la la, and then some more of it"}


@pytest.fixture
def batch(voiced, tmp_path, capsys):
    """Calls the verb on rows: (status, facts, what was said)."""

    def call(rows, *more, output="out", name="list.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        line = ["batch", str(path), "-o", str(tmp_path / output), "--model", str(voiced), "--steps", "1", "--json"]
        status = main([*line, *more])
        said = capsys.readouterr()
        return status, json.loads(said.out) if said.out else None, said.err

    return call


def results(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def rows_of(texts, **more):
    return [{"id": name, "text": text, **more} for name, text in texts.items()]


def test_every_row_has_its_file_and_its_line(batch, tmp_path):
    status, facts, said = batch(rows_of(TEXTS), "--seed", "5")
    assert status == 0 and (facts["spoken"], facts["failed"], facts["kept"], facts["seed"]) == (3, 0, 0, 5)
    lines = results(tmp_path / "out")
    assert [line["id"] for line in lines] == list(TEXTS) and {line["status"] for line in lines} == {"ok"}
    for line in lines:
        samples, rate = soundfile.read(tmp_path / "out" / line["file"])
        assert abs(len(samples) / rate - line["seconds"]) < 1e-3 and line["voice"] == "zoe"
        assert Provenance.from_tags(read_tags(tmp_path / "out" / line["file"])).to_json() == line["provenance"]
        assert line["provenance"]["seed"] == line["seed"]
    assert len({line["seed"] for line in lines}) == 3
    assert facts["seconds"] == pytest.approx(sum(line["seconds"] for line in lines), abs=1e-3)
    assert f"{tmp_path / 'out'}: 3 of 3 rows spoken, 0 failed; " in said and "seed 5, model" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "one.wav",
        "results.jsonl",
        "three.wav",
        "two.wav",
    ]


def test_a_row_is_what_synth_speaks_of_it(batch, tmp_path, voiced, reference, capsys):
    row = {"id": "a", "text": "hello there", "seed": 9, "speed": 1.3, "ref_audio": reference.name, "ref_text": "la la"}
    os.link(reference, tmp_path / reference.name)  # names are relative to the list
    assert batch([row], "--batch-size", "1")[0] == 0
    line = [
        "synth",
        "--model",
        str(voiced),
        "--text",
        "hello there",
        "--ref-audio",
        str(reference),
        "--ref-text",
        "la la",
    ]
    assert main([*line, "--seed", "9", "--speed", "1.3", "--steps", "1", "-o", str(tmp_path / "b.wav")]) == 0
    capsys.readouterr()
    assert (tmp_path / "out" / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_rows_share_calls_of_the_generator_and_sound_as_they_do_alone(batch, tmp_path, monkeypatch):
    sizes, speak = [], Synthesizer._speak

    def counted(self, jobs, *more):
        sizes.append(len(jobs))
        return speak(self, jobs, *more)

    monkeypatch.setattr(Synthesizer, "_speak", counted)
    assert batch(rows_of(TEXTS), "--seed", "5")[0] == 0
    assert sizes[0] == 3
    sizes.clear()
    assert batch(rows_of(TEXTS), "--seed", "5", "--batch-size", "1", output="alone")[0] == 0
    assert set(sizes) == {1}
    for name in TEXTS:
        together, _ = soundfile.read(tmp_path / "out" / f"{name}.wav")
        alone, _ = soundfile.read(tmp_path / "alone" / f"{name}.wav")
        assert np.abs(together - alone).max() < AUDIO_TOLERANCE + 2**-15


def test_a_bad_row_does_not_stop_the_rest_and_only_what_is_missing_is_spoken_again(batch, tmp_path, monkeypatch):
    rows = [
        {"id": "empty", "text": ""},
        {"id": "good", "text": "hello"},
        {"id": "nobody", "text": "hello", "voice": "nobody"},
        {"id": "fast", "text": "hello", "speed": 99},
        {"id": "lost", "text": "hello", "ref_audio": "lost.wav", "ref_text": "la"},
        {"text": "hello"},
        {"id": "no_text"},
    ]
    status, facts, said = batch(rows, "--seed", "5")
    assert status == 2 and (facts["spoken"], facts["failed"]) == (2, 5)
    assert [(line["id"], line.get("code")) for line in results(tmp_path / "out")] == [
        ("empty", "TEXT_EMPTY"), ("good", None), ("nobody", "VOICE_UNKNOWN"), ("fast", "DATA_INVALID"),
        ("lost", "AUDIO_NOT_FOUND"), ("0006", None), ("no_text", "TEXT_EMPTY"),
    ]  # fmt: skip
    assert "list.jsonl:4: fast: DATA_INVALID: speed must be between 0.25 and 4, got 99." in said
    assert "BATCH_FAILED: 5 of 7 rows could not be spoken" in said.splitlines()[-1]
    before = (tmp_path / "out" / "good.wav").stat()
    for row in rows:
        row.update(text="hello", speed=1.0)
        row.pop("voice", None), row.pop("ref_audio", None), row.pop("ref_text", None)
    status, facts, said = batch(rows, "--seed", "5", "--resume")
    assert status == 0 and (facts["kept"], facts["spoken"]) == (2, 5) and "2 of 7 rows are there already" in said
    assert (tmp_path / "out" / "good.wav").stat() == before
    monkeypatch.setattr(batch_module, "load_tts", None)  # nothing is missing: no model is loaded
    assert batch(rows, "--seed", "5", "--resume")[1]["kept"] == 7


def test_what_is_known_to_fail_waits_for_no_model(batch, tmp_path, monkeypatch):
    (tmp_path / "page.wav").write_text("<html>", encoding="utf-8")
    monkeypatch.setattr(batch_module, "load_tts", None)
    rows = [
        {"id": "lost", "text": "hello", "ref_audio": "lost.wav", "ref_text": "la"},
        {"id": "page", "text": "hello", "ref_audio": "page.wav"},
    ]
    status, facts, said = batch(rows)
    assert status == 2 and facts["failed"] == 2 and "list.jsonl:2: page: AUDIO_NOT_AUDIO: page.wav" in said
    assert [line["code"] for line in results(tmp_path / "out")] == ["AUDIO_NOT_FOUND", "AUDIO_NOT_AUDIO"]
    status, _, said = batch([{"text": "hello"}], "--ref-audio", str(tmp_path / "lost.wav"), output="other")
    assert status == 2 and said.startswith("AUDIO_NOT_FOUND") and not (tmp_path / "other").exists()


def test_what_was_changed_is_told_and_spoken_anew_by_force(batch, tmp_path):
    assert batch(rows_of(TEXTS))[0] == 0
    assert batch(rows_of(TEXTS), "--resume")[1]["kept"] == 3  # drawn seeds are as good as any
    texts = {**TEXTS, "two": "another text"}
    status, _, said = batch(rows_of(texts), "--resume")
    assert status == 2 and "STALE_OUTPUT" in said and "two.wav was spoken with another text" in said
    status, _, said = batch(rows_of(TEXTS, speed=1.5), "--resume", "--format", "flac")
    assert status == 2 and "another speed, format" in said
    assert batch(rows_of(texts), "--resume", "--force")[1]["kept"] == 2
    (tmp_path / "out" / "three.wav").write_bytes(b"cut off")
    assert batch(rows_of(texts), "--resume")[1]["kept"] == 2
    status, _, said = batch(rows_of(texts))
    assert status == 2 and "OUTPUT_EXISTS" in said
    assert batch(rows_of(texts), "--force")[1]["spoken"] == 3


def test_a_run_that_was_stopped_goes_on_where_it_was(batch, tmp_path, monkeypatch):
    take, taken = batch_module._Open.take, []

    def stopped(self, chunk):
        take(self, chunk)
        taken.append(self.item.id)
        if len(taken) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch_module._Open, "take", stopped)
        assert batch(rows_of(TEXTS), "--batch-size", "1")[0] == 130
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.wav", "results.jsonl"]
    with open(tmp_path / "out" / "results.jsonl", "a", encoding="utf-8") as file:
        file.write('{"id": "two", "sta')  # as a kill would leave it
    status, facts, _ = batch(rows_of(TEXTS), "--resume")
    assert status == 0 and (facts["kept"], facts["spoken"]) == (1, 2)
    assert [line["id"] for line in results(tmp_path / "out")] == list(TEXTS)


def test_a_row_that_fails_while_it_is_written_leaves_nothing(batch, tmp_path, monkeypatch):
    write = AudioFileWriter.write

    def broken(self, samples):
        if len(samples) == longest:
            raise AudioError("it would hold NaN.", code="AUDIO_NONFINITE")
        write(self, samples)

    assert batch(rows_of(TEXTS), "--seed", "5", output="before")[0] == 0
    lengths = {name: soundfile.info(tmp_path / "before" / f"{name}.wav").frames for name in TEXTS}
    longest = max(lengths.values())
    monkeypatch.setattr(AudioFileWriter, "write", broken)
    status, facts, _ = batch(rows_of(TEXTS), "--seed", "5")
    assert status == 2 and facts["failed"] == 1
    (name,) = [name for name, length in lengths.items() if length == longest]
    assert facts["failures"][0]["id"] == name and not (tmp_path / "out" / f"{name}.wav").exists()
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_two_at_once_do_not_speak_into_one_folder(batch, tmp_path):
    (tmp_path / "out").mkdir()
    with batch_module.held(tmp_path / "out"):
        status, _, said = batch(rows_of(TEXTS))
    assert status == 2 and "OUTPUT_BUSY" in said


def test_a_voice_is_made_once_and_its_fault_is_every_rows(batch, tmp_path, reference, monkeypatch):
    made = []
    make = batch_module.make_voice
    monkeypatch.setattr(batch_module, "make_voice", lambda *words: made.append(words[1]) or make(*words))
    own = {"ref_audio": str(reference), "ref_text": "la la"}
    soundfile.write(tmp_path / "silent.wav", np.zeros(48_000), 16_000)
    broken = {"ref_audio": str(tmp_path / "silent.wav"), "ref_text": "la la"}
    rows = [{"text": "hello", **voice} for voice in (own, broken, own, broken)]
    assert batch(rows)[1]["failed"] == 2
    assert len(made) == 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.tsv", "", "has no rows"),
        ("a.tsv", "id\ttext\n", "has no rows"),
        ("a.tsv", "id\twords\na\thello\n", "a.tsv:1: no column is named 'words'"),
        ("a.tsv", "id\tspeed\na\t1\n", "a.tsv:1: there is no column text"),
        ("a.tsv", "text\ttext\na\tb\n", "a column stands twice"),
        ("a.tsv", "id\ttext\na\thello\tthere\n", "a.tsv:2: 3 cells, and 2 columns"),
        ("a.tsv", "id\ttext\na\thi\n\na\tho\n", "a.tsv:4: the id a stands in line 2, too"),
        ("a.tsv", "id\ttext\n../a\thi\n", "a.tsv:2: the id '../a' cannot name a file"),
        ("a.jsonl", '{"text": "hi"}\nhello\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", '["hi"]\n', "a.jsonl:1: not an object, but list"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1: not JSON"),
        ("a.jsonl", '{"text": "hi", "pitch": 3}\n', "no column is named 'pitch'"),
        ("a.csv", "text\nhi\n", "ends in .csv"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_batch(tmp_path / name)
    assert caught.value.code == "DATA_INVALID" and said in str(caught.value)


def test_a_list_that_is_not_there_or_not_utf8(tmp_path):
    with pytest.raises(DataError, match="FILE_MISSING"):
        read_batch(tmp_path / "no.tsv")
    (tmp_path / "a.tsv").write_bytes("text\ncaf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8: byte 8"):
        read_batch(tmp_path / "a.tsv")


def test_cells_are_read_as_they_are(tmp_path):
    (tmp_path / "a.tsv").write_bytes('\ufefftext\tspeed\tseed\r\n"It\'s", he said — “so”.\t\t\r\nho\t2\t7\r\n'.encode())
    first, second = read_batch(tmp_path / "a.tsv")
    assert (first.id, first.text, first.speed) == ("0001", '"It\'s", he said — “so”.', None)
    assert (second.id, second.speed, second.seed, second.line) == ("0002", 2.0, 7, 3)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"seed": 1.5}, "seed must be a whole number, got 1.5"),
        ({"seed": True}, "seed must be a whole number, got True"),
        ({"speed": "fast"}, "speed must be a number, got 'fast'"),
        ({"speed": "nan"}, "speed must be between 0.25 and 4, got 'nan'"),
        ({"duration": 0}, "duration must be more than 0 seconds, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"seed": -1}, "seed must be between 0 and 9223372036854775807, got -1"),
        ({"seed": 2**63}, "seed must be between 0 and 9223372036854775807, got 9223372036854775808"),
        ({"speed": 10**400}, "speed must be a number"),
        ({"speed": 1, "duration": 3}, "speed and duration exclude each other"),
        ({"voice": "a", "ref_audio": "b"}, "voice and ref_audio exclude each other"),
        ({"ref_text": "la"}, "ref_text goes with ref_audio"),
        ({"voice": 3}, "voice must be text, got 3"),
        ({"text": 3}, "text must be text, got 3"),
    ],
)
def test_a_value_that_makes_no_sense_is_its_rows_own_fault(tmp_path, cells, said):
    rows = [{"text": "hi", **cells}, {"text": "ho"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first, second = read_batch(tmp_path / "a.jsonl")
    assert said in str(first.error) and second.error is None


def test_broken_results_are_told_but_a_line_that_was_cut_off_is_not(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"id": "a", "status": "failed"}\n{"id": "b"', encoding="utf-8")
    assert list(BatchResults(tmp_path, is_continued=True).lines) == ["a"]
    path.write_text('{"id": "a"\n{"id": "b"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"results.jsonl:1 is no result"):
        BatchResults(tmp_path, is_continued=True)


@pytest.mark.slow
def test_a_killed_batch_loses_no_row_that_was_told(voiced, tmp_path):
    rows = "".join(json.dumps({"text": f"hello number {number}"}) + "\n" for number in range(200))
    (tmp_path / "list.jsonl").write_text(rows)
    words = [str(tmp_path / "list.jsonl"), "-o", str(tmp_path / "out"), "--model", str(voiced), "--batch-size", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "resgen_tts.apps.cli", "batch", *words], stderr=subprocess.DEVNULL
    )
    told = tmp_path / "out" / "results.jsonl"
    until = time.monotonic() + 120
    while not (told.exists() and told.read_text().count("\n") >= 3):
        assert time.monotonic() < until and running.poll() is None
        time.sleep(0.02)
    running.kill()
    running.wait()
    found = BatchResults(tmp_path / "out", is_continued=True)
    assert 3 <= len(found.lines) < 200 and all(found.is_spoken(name) for name in found.lines)
