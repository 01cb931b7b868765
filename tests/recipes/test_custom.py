"""A user's tables: every row is read, checked, and either used or listed with its reason."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.corpora import custom, intake
from recipes.corpora.manifests import Skipped, Utterance, choose_pairs, write_manifests, write_report
from recipes.corpora.tables import read_rows
from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.run_dir import read_json

lhotse = pytest.importorskip("lhotse")

RATE = 16000
REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


def voice(seconds: float, seed: int = 0, rate: int = RATE, silence: float = 0.0) -> np.ndarray:
    """Noise in syllables, with silence at both ends."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    wave = 0.2 * rng.standard_normal(len(time)).clip(-3, 3) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))
    return np.concatenate([np.zeros(int(silence * rate)), wave, np.zeros(int(silence * rate))])


def corpus(folder: Path, speakers: int = 3, clips: int = 4, name: str = "list.tsv", prefix: str = "s") -> Path:
    """A good corpus: TSV and WAV files."""
    (folder / "audio").mkdir(parents=True)
    lines = ["id\tspeaker\tfile\ttext"]
    for speaker in range(speakers):
        for clip in range(clips):
            id_ = f"{prefix}{speaker}_{clip}"
            soundfile.write(folder / "audio" / f"{id_}.wav", voice(1 + 0.2 * clip, 10 * speaker + clip), RATE)
            lines.append(f"{id_}\t{prefix}{speaker}\taudio/{id_}.wav\tsentence number {clip}")
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def run(data: Path, output: Path, *options: str) -> int:
    return custom.main(["--data", str(data), "--output", str(output), *options])


def report_of(output: Path) -> dict:
    report = read_json(output / "manifests" / "data_report.json")
    assert report["read"] == report["used"] + sum(report["skipped"].values())
    assert len(report["skipped_items"]) == sum(report["skipped"].values())
    return report


def cuts_of(output: Path, split: str) -> list:
    return list(lhotse.CutSet.from_file(output / "manifests" / f"{split}.jsonl.gz"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "data_report.json"
    }


def pairs_of(output: Path) -> list[list[str]]:
    return [line.split("\t") for line in (output / "manifests" / "pairs.tsv").read_text().splitlines()[1:]]


def test_a_good_corpus_becomes_manifests(tmp_path):
    data, output = corpus(tmp_path / "in"), tmp_path / "out"
    assert run(data, output) == 0
    assert report_of(output)["read"] == 12 and report_of(output)["skipped"] == {}
    splits = {split: cuts_of(output, split) for split in ("train", "dev", "test")}
    assert sum(map(len, splits.values())) == 12 and all(splits.values())
    speakers = {split: {cut.supervisions[0].speaker for cut in cuts} for split, cuts in splits.items()}
    assert len(speakers["test"]) == 1 and not speakers["test"] & (speakers["train"] | speakers["dev"])
    for cut in (cut for cuts in splits.values() for cut in cuts):
        source = cut.recording.sources[0].source
        assert source.startswith("audio/") and ".." not in source
        info = soundfile.info(output / source)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (RATE, 1, "PCM_16", cut.num_samples)
        assert cut.supervisions[0].text.startswith("sentence number") and cut.supervisions[0].language == "en"
    texts = {cut.id: cut.supervisions[0].text for cut in splits["test"]}
    pairs = pairs_of(output)
    assert len(pairs) == 4 and all(texts[prompt] != texts[target] for _, prompt, target, _ in pairs)


def test_every_bad_row_is_listed_with_its_reason(tmp_path, capsys):
    data, output = corpus(tmp_path / "in", speakers=4, clips=5), tmp_path / "out"
    audio = data / "audio"
    (audio / "empty.wav").touch()
    (audio / "text.wav").write_text("no audio at all")
    (audio / "page.wav").write_text("<html>404</html>")
    bad = voice(1.0).astype(np.float32)
    bad[5] = np.nan
    soundfile.write(audio / "nan.wav", bad, RATE, subtype="FLOAT")
    soundfile.write(audio / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(audio / "short.wav", voice(0.2), RATE)
    soundfile.write(audio / "pause.wav", voice(0.2, silence=2.0), RATE)  # long enough only with its silence
    soundfile.write(audio / "long.wav", voice(4.0), RATE)
    soundfile.write(tmp_path / "outside.wav", voice(1.0), RATE)
    (audio / "link.wav").symlink_to(tmp_path / "outside.wav")
    (audio / "folder.wav").mkdir()
    rows = {
        "missing": ("AUDIO_NOT_FOUND", "missing\ts0\taudio/nowhere.wav\tx"),
        "empty": ("AUDIO_EMPTY", "empty\ts0\taudio/empty.wav\tx"),
        "text": ("AUDIO_NOT_AUDIO", "text\ts0\taudio/text.wav\tx"),
        "page": ("AUDIO_NOT_AUDIO", "page\ts0\taudio/page.wav\tx"),
        "nan": ("AUDIO_NONFINITE", "nan\ts0\taudio/nan.wav\tx"),
        "silent": ("AUDIO_SILENT", "silent\ts0\taudio/silent.wav\tx"),
        "short": ("AUDIO_TOO_SHORT", "short\ts0\taudio/short.wav\tx"),
        "pause": ("AUDIO_TOO_SHORT", "pause\ts0\taudio/pause.wav\tx"),
        "long": ("AUDIO_TOO_LONG", "long\ts0\taudio/long.wav\tx"),
        "up": ("PATH_OUTSIDE", "up\ts0\t../outside.wav\tx"),
        "absolute": ("PATH_OUTSIDE", f"absolute\ts0\t{tmp_path / 'outside.wav'}\tx"),
        "link": ("PATH_OUTSIDE", "link\ts0\taudio/link.wav\tx"),
        "folder": ("AUDIO_NOT_A_FILE", "folder\ts0\taudio/folder.wav\tx"),
        "nofile": ("BAD_PATH", "nofile\ts0\t\tx"),
        "nobody": ("BAD_SPEAKER", "nobody\t\taudio/s0_0.wav\tx"),
        "s0_0": ("DUPLICATE_ID", "s0_0\ts0\taudio/s0_1.wav\tx"),
        "a/b": ("BAD_ID", "a/b\ts0\taudio/s0_1.wav\tx"),
        "in/list.tsv:39": ("ROW_COLUMNS", "wide\ts0\taudio/s0_1.wav\tx\ty"),
        "in/list.tsv:40": ("ROW_COLUMNS", "narrow\ts0"),
    }
    with open(data / "list.tsv", "a") as file:
        file.write("\n".join(row for _, row in rows.values()) + "\n\n")
    options = ("--max_seconds", "3")
    assert run(data, output, *options) == 2
    said = capsys.readouterr().err
    assert "TOO_MANY_BAD_ROWS" in said and "19 of 39" in said and "missing: AUDIO_NOT_FOUND in/list.tsv:22" in said
    assert report_of(output)["read"] == 39 and not (output / "manifests" / "train.jsonl.gz").exists()

    assert run(data, output, *options, "--max_bad_fraction", "0.5") == 0
    report = report_of(output)
    assert {item["item"]: item["reason"] for item in report["skipped_items"]} == {
        name: reason for name, (reason, _) in rows.items()
    }
    assert report["used"] == 20 == sum(len(cuts_of(output, split)) for split in ("train", "dev", "test"))


def test_one_bad_row_in_two_hundred_does_not_stop_the_stage(tmp_path, caplog):
    data = corpus(tmp_path / "in", speakers=2, clips=3)
    with open(data / "list.tsv", "a") as file:
        for index in range(193):
            file.write(f"more{index}\ts{index % 2}\taudio/s0_0.wav\tx\n")
        file.write("gone\ts0\taudio/gone.wav\tx\n")
    assert run(data, tmp_path / "out") == 0
    assert report_of(tmp_path / "out")["skipped"] == {"AUDIO_NOT_FOUND": 1}
    assert "gone: AUDIO_NOT_FOUND" in caplog.text


def test_tables_as_people_write_them(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(
        "\ufeffUtt,Speaker,Path,Transcript,age\r\n"
        'a,anna,"x, y.wav","She said ""no"", and\nleft.",30\r\n'
        "\r\n"
        "b,Zoë,b.wav\r\n".encode()
    )
    first, second = read_rows(path)
    assert (first.id, first.speaker, first.file, first.text) == ("a", "anna", "x, y.wav", 'She said "no", and left.')
    assert (second.id, second.speaker, second.file, second.text) == ("b", "Zoë", "b.wav", "")
    path = tmp_path / "t.tsv"
    path.write_text('speaker\tflac\tutt\ttext\ns\t"a b.flac"\tx\t"Stop!" he said\ns\tb.flac\ty\t"open quote\n')
    first, second = read_rows(path)
    assert (first.file, first.text) == ("a b.flac", '"Stop!" he said')
    assert (second.id, second.text) == ("y", '"open quote')  # and the line after it would not be swallowed
    path.write_text("id;speaker;file\na;s;a.wav\n")
    assert read_rows(path)[0].id == "a"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "TABLE_EMPTY"),
        (b",", "TABLE_EMPTY"),
        (b"\0id\tspeaker\tfile\n", "TABLE_COLUMNS"),
        (b"name\twho\na\tb\n", "TABLE_COLUMNS"),
        (b'id,speaker,file\na,s,"never closed\n', "TABLE_UNREADABLE"),
        (b"id\tspeaker\tfile\n\xff\xfe\tb\tc\n", "TABLE_UNREADABLE"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, content, code):
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / "t.tsv")
    assert caught.value.code == code and "t.tsv" in str(caught.value) and str(caught.value).isprintable()


def test_a_folder_without_a_table_names_those_below(tmp_path, capsys):
    corpus(tmp_path / "in" / "part")
    assert run(tmp_path / "in", tmp_path / "out") == 2
    assert "--list part/list.tsv" in capsys.readouterr().err


def test_the_same_bytes_whatever_the_number_of_processes_and_after_a_kill(tmp_path, monkeypatch):
    data = corpus(tmp_path / "in")
    monkeypatch.setattr(custom, "ROWS_PER_JOB", 4)
    assert run(data, tmp_path / "one") == 0
    assert run(data, tmp_path / "two", "--nj", "2") == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")

    real, calls = intake.write_flac, []

    def killed(path, *arguments):
        calls.append(path)
        if len(calls) == 7:
            raise KeyboardInterrupt
        real(path, *arguments)

    monkeypatch.setattr(intake, "write_flac", killed)
    stray = tmp_path / "three" / "audio" / "00" / ".x.flac.1.tmp"  # what a kill between write and rename leaves
    stray.parent.mkdir(parents=True)
    stray.touch()
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "three")
    assert run(data, tmp_path / "three") == 0
    assert len(calls) == 7 + (12 - 4)  # the finished job of four was not done again
    assert files_of(tmp_path / "three") == files_of(tmp_path / "one")
    assert not list((tmp_path / "three").rglob(".*"))
    assert run(data, tmp_path / "three") == 0 and len(calls) == 15  # complete: nothing is done


def test_processes_end_with_their_parent():
    code = "import time, functools; from recipes.corpora.parallel import in_parallel; "
    code += "in_parallel([functools.partial(time.sleep, 60)] * 2, 2, 'wait')"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    listing = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    until(lambda: sum(b"spawn_main" in command_of(pid) for pid in listing.read_text().split()) == 2)
    workers = listing.read_text().split()
    time.sleep(1)  # they import and take up their work
    parent.kill()
    parent.wait()
    until(lambda: not any(b"spawn_main" in command_of(pid) for pid in workers))


def command_of(pid: str) -> bytes:
    """Command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def until(condition, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.1)


def test_a_changed_recording_is_read_again(tmp_path):
    data, output = corpus(tmp_path / "in"), tmp_path / "out"
    assert run(data, output) == 0
    before = files_of(output)
    soundfile.write(data / "audio" / "s1_1.wav", voice(2.5, 99), RATE)
    assert run(data, output) == 0
    changed = {name for name, content in files_of(output).items() if before[name] != content}
    assert len(changed) == 2 and any(name.endswith("s1_1.flac") for name in changed)  # and the manifest that has it


def test_silence_is_trimmed_unless_told_otherwise(tmp_path):
    data = corpus(tmp_path / "in")
    soundfile.write(data / "audio" / "s0_0.wav", voice(1.0, silence=0.5), RATE)
    for output, options, seconds in (("out", (), 1.2), ("whole", ("--trim", "false"), 2.0)):
        assert run(data, tmp_path / output, *options) == 0
        found = [cut for split in ("train", "dev", "test") for cut in cuts_of(tmp_path / output, split)]
        assert abs(next(cut.duration for cut in found if cut.id == "s0_0") - seconds) < 0.05


def test_several_tables_a_test_table_and_pairs(tmp_path):
    root = tmp_path / "in"
    corpus(root / "one", speakers=2, prefix="a")
    corpus(root / "two", speakers=2, prefix="b", name="list.csv")
    corpus(root / "eval", speakers=2, prefix="e")
    # The same name in two corpora is two people.
    for name in ("one/list.tsv", "two/list.csv"):
        path = root / name
        path.write_text(path.read_text().replace("\ta0\t", "\tsame\t").replace("\tb0\t", "\tsame\t"))
    (root / "pairs.tsv").write_text("prompt_utt\tprompt_seconds\ttarget_utt\ne0_1\t1\te0_0\ne1_2\t1\te1_3\n")
    conf = tmp_path / "prepare.yaml"
    conf.write_text("list: [one/list.tsv, two/list.csv]\ntest_list: [eval/list.tsv]\n")
    output = tmp_path / "out"
    assert run(root, output, "--config", str(conf), "--pairs", str(root / "pairs.tsv")) == 0
    assert {cut.supervisions[0].speaker for cut in cuts_of(output, "train")} == {"same@one", "a1", "same@two", "b1"}
    assert {cut.supervisions[0].speaker for cut in cuts_of(output, "test")} == {"e0", "e1"}
    assert [pair[1:] for pair in pairs_of(output)] == [["e0_1", "e0_0", "e0"], ["e1_2", "e1_3", "e1"]]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("e0_1\te9_9", "e9_9"),
        ("e0_1\te1_1", "different speakers"),
        ("e0_1\ta0_0", "heard in training"),
        ("e0_1", "cells"),
    ],
)
def test_pairs_that_make_no_sense(tmp_path, capsys, row, word):
    root = tmp_path / "in"
    corpus(root, prefix="a", name="train.tsv")
    corpus(root / "eval", prefix="e")
    (root / "pairs.txt").write_text(f"prompt\ttarget\n{row}\n")
    options = ("--test_list", "eval/list.tsv", "--pairs", str(root / "pairs.txt"), "--dev_fraction", "0.1")
    assert run(root, tmp_path / "out", *options) == 2
    said = capsys.readouterr().err
    assert "PAIRS_INVALID" in said and word in said and "pairs.txt:2" in said


def test_a_test_speaker_who_is_heard_in_training_is_refused(tmp_path, capsys):
    root = corpus(tmp_path / "in", name="train.tsv")
    corpus(root / "eval", prefix="e")
    path = root / "eval" / "list.tsv"
    path.write_text(path.read_text().replace("\te1\t", "\ts1\t"))
    assert run(root, tmp_path / "out", "--test_list", "eval/list.tsv") == 2
    assert "SPEAKER_OVERLAP" in capsys.readouterr().err


def test_speakers_for_test_can_be_named(tmp_path, capsys):
    data = corpus(tmp_path / "in")
    assert run(data, tmp_path / "out", "--test_speakers", "s2,s0") == 0
    assert {cut.supervisions[0].speaker for cut in cuts_of(tmp_path / "out", "test")} == {"s0", "s2"}
    assert run(data, tmp_path / "two", "--test_speakers", "s2,nobody") == 2
    assert "nobody" in capsys.readouterr().err
    assert run(corpus(tmp_path / "alone", speakers=1), tmp_path / "three") == 2
    assert "TOO_FEW_SPEAKERS" in capsys.readouterr().err


def test_text_may_be_missing(tmp_path):
    data = corpus(tmp_path / "in")
    lines = (data / "list.tsv").read_text().splitlines()
    lines[1] = lines[1].rsplit("\t", 1)[0] + "\t"
    (data / "list.tsv").write_text("\n".join(lines))
    assert run(data, tmp_path / "out", "--test_speakers", "s2") == 0
    found = {cut.id: cut.supervisions[0] for split in ("train", "dev") for cut in cuts_of(tmp_path / "out", split)}
    assert found["s0_0"].text == "" and found["s0_0"].custom == {"has_text": False}
    assert found["s0_1"].custom == {"has_text": True}


def test_a_handful_keeps_what_the_pairs_need(tmp_path):
    root = corpus(tmp_path / "in", speakers=5, clips=4, prefix="a", name="train.tsv")
    corpus(root / "eval", speakers=3, clips=6, prefix="e")
    (root / "pairs.txt").write_text("prompt\ttarget\ne2_5\te2_4\ne1_0\te1_3\n")
    options = ("--test_list", "eval/list.tsv", "--pairs", str(root / "pairs.txt"), "--max_utterances", "10")
    assert run(root, tmp_path / "out", *options) == 0
    trained = cuts_of(tmp_path / "out", "train") + cuts_of(tmp_path / "out", "dev")
    assert len(trained) == 10 and len({cut.supervisions[0].speaker for cut in trained}) == 5
    assert len(cuts_of(tmp_path / "out", "test")) == 8 and len(pairs_of(tmp_path / "out")) == 2


def test_nonsense_options_are_refused():
    for wrong in ({"min_seconds": 5, "max_seconds": 1}, {"dev_fraction": 0.9}, {"sample_rate": 100}, {"nj": 0}):
        with pytest.raises(ConfigError):
            custom.CustomConfig(data="x", output="y", **wrong)


def utterance(name: str, speaker: str, seconds: float = 3.0, text: str = "") -> Utterance:
    return Utterance(
        id=name,
        speaker=speaker,
        text=text or name,
        path=f"{name}.flac",
        num_samples=int(seconds * RATE),
        sample_rate=RATE,
    )


def test_prompts_are_of_the_wanted_length_and_say_something_else():
    spoken = [utterance("a", "s", 2.0), utterance("b", "s", 4.0), utterance("c", "s", 9.0), utterance("d", "t", 4.0)]
    pairs = {pair.target: pair.prompt for pair in choose_pairs(spoken, prompt_seconds=(3, 5), targets_per_speaker=9)}
    assert pairs == {"a": "b", "b": "a", "c": "b"}  # "a" is 1 s off, "c" is 4 s off; "d" is alone
    same = [utterance("a", "s", text="x"), utterance("b", "s", text="x")]
    assert choose_pairs(same, prompt_seconds=(3, 5), targets_per_speaker=9) == []


def test_manifests_and_report_refuse_what_does_not_add_up(tmp_path):
    with pytest.raises(DataError, match="twice"):
        write_manifests(tmp_path, {"train": [utterance("a", "s")], "test": [utterance("a", "t")]})
    with pytest.raises(DataError, match="also in train"):
        write_manifests(tmp_path, {"train": [utterance("a", "s")], "test": [utterance("b", "s")]})
    with pytest.raises(DataError, match="does not match"):
        write_manifests(tmp_path, {"train": [utterance("a b", "s")]})
    with pytest.raises(AssertionError, match="read 3"):
        write_report(tmp_path, read=3, splits={"train": [utterance("a", "s")]}, skipped=[Skipped(item="b", reason="X")])


@pytest.mark.data
@pytest.mark.skipif(
    not REAL.is_dir(), reason="REAL RECORDINGS ARE ABSENT: shared/data beside the checkout is not there"
)
def test_a_handful_of_the_real_recordings(tmp_path):
    tables = [
        f"{name}/utterances.tsv" for name in ("librispeech-train-mini", "librispeech-voices", "speechocean762-adult")
    ]
    options = ["--list", *tables, "--test_list", "libri-eval/utterances.tsv", "--max_utterances", "40"]
    pairs = REAL / "libri-eval" / "pairs-test-other-cross-sentence.tsv"
    assert run(REAL, tmp_path / "out", *options, "--pairs", str(pairs)) == 0
    report = report_of(tmp_path / "out")
    assert report["read"] == report["used"] == 50
    assert len(pairs_of(tmp_path / "out")) >= 5
    kinds = {Path(cut.id).suffix for cut in cuts_of(tmp_path / "out", "train")}
    assert kinds == {""} and all(cut.sampling_rate == RATE for cut in cuts_of(tmp_path / "out", "train"))
    shutil.rmtree(tmp_path / "out")
