"""The studio corpus made for real at a small size: the same bytes every time, resumable, with and without real."""

import dataclasses
import functools
import hashlib
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.corpora import made_speech, studio, studio_real, studio_texts
from recipes.corpora.manifests import Utterance
from recipes.corpora.sentences import draw_sentences
from recipes.corpora.synthesizers import BaseVoice, installed_voices
from recipes.corpora.world_voice import Transform
from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import read_json

pytest.importorskip("pyworld", reason="extra 'corpus' is not installed")
lhotse = pytest.importorskip("lhotse")

RATE = 16000


def voiced(seconds: float, pitch_hz: float) -> np.ndarray:
    """Harmonics in syllables: WORLD finds a pitch in it, the intake finds no fault with it."""
    time = np.arange(int(seconds * RATE)) / RATE
    waves = [np.sin(2 * np.pi * pitch_hz * harmonic * time) / harmonic for harmonic in range(1, 12)]
    return 0.1 * np.sum(waves, axis=0) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))


def recordings(folder: Path, clips: dict[str, int], *more: str) -> Path:
    """A table and its audio: so many clips of 1 s of each speaker, and rows as they are."""
    (folder / "audio").mkdir(parents=True)
    rows = ["id\tspeaker\tfile\ttext", *more]
    for turn, (speaker, count) in enumerate(clips.items()):
        for index in range(count):
            name = f"{speaker}-{index}"
            soundfile.write(folder / "audio" / f"{name}.wav", voiced(1.0, 100 + 15 * turn + index), RATE)
            rows.append(f"{name}\t{speaker}\taudio/{name}.wav\tclip {index} of {speaker}")
    (folder / "list.tsv").write_text("\n".join(rows) + "\n")
    return folder


def files_of(folder: Path) -> dict[str, str]:
    """Digest of every file but the report, which holds times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "data_report.json"
    }


def times_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def cuts_of(folder: Path, split: str) -> list:
    return list(lhotse.CutSet.from_file(folder / "manifests" / f"{split}.jsonl.gz"))


@pytest.fixture
def small(monkeypatch):
    """The smoke size cut down to some 15 clips."""
    size = dataclasses.replace(
        studio.SIZES["smoke"], hours=0.004, train_speakers=4, test_speakers=2, dev_clips=1, test_sentences=2,
        prompts=1, checked_clips=1,
    )  # fmt: skip
    monkeypatch.setitem(studio.SIZES, "smoke", size)


@pytest.fixture
def offline(small, monkeypatch, tmp_path):
    """Nothing but espeak, which is always there, a user's texts, and no listening."""
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(draw_sentences(60, random.Random(2), min_words=6)) + "\n")
    monkeypatch.setattr(studio, "installed_voices", list)
    monkeypatch.setattr(studio, "listen", lambda *_: ({}, {}))
    return functools.partial(studio.make, seed=3, smoke=True, texts=texts)


def test_a_smoke_corpus_with_the_voices_and_sentences_that_are_here(small, tmp_path, caplog):
    pytest.importorskip("pocketsphinx", reason="extra 'eval' is not installed")
    pytest.importorskip("resemblyzer", reason="extra 'eval' is not installed")
    if not all((studio_texts.WORDNET / name).is_file() for name in studio_texts.WORDNET_FILES):
        pytest.skip(
            "WORDNET IS NOT INSTALLED: the corpus's own sentences are untested (bash tools/setup_env.sh as root)"
        )
    output = tmp_path / "out"
    assert studio.main(["--output", str(output), "--smoke"]) == 0
    report = read_json(output / "manifests" / "data_report.json")
    assert report["read"] == report["used"] == sum(map(len, map(functools.partial(cuts_of, output), report["splits"])))
    assert report["sentences"] > 40000 and "Princeton" in report["sentences_from"] and report["real"] == {}
    assert "Princeton University" in (output / "LICENSE.wordnet").read_text()
    assert report["voices"] and all(voice["words"] > 0 for voice in report["voices"].values())
    assert report["speaker_identification"] == {}  # one prompt of each speaker: nothing to compare
    if not installed_voices():
        assert "espeak" in report["substitution"] and "STUDIO_VOICES" in caplog.text
        pytest.skip("NEITHER FLITE NOR FESTIVAL IS INSTALLED: made with espeak, the natural voices are untested")
    assert report["substitution"] == ""
    assert all(voice["wer"] <= 0.5 for voice in report["voices"].values())  # said and heard are the same sentences


def test_the_same_bytes_anywhere_nothing_twice_and_on_from_a_kill(offline, tmp_path, monkeypatch, caplog):
    real = recordings(tmp_path / "real", {"anna": 3, "bert": 2})
    monkeypatch.setattr(studio_real, "VARIED_SECONDS", 2.5)
    make = functools.partial(offline, num_jobs=1, real=real)
    make(tmp_path / "one")
    assert "STUDIO_VOICES" in caplog.text  # the substitution is said aloud
    report = read_json(tmp_path / "one" / "manifests" / "data_report.json")
    assert report["read"] == report["used"] and report["sentences_from"].endswith("texts.txt")
    assert report["real"]["recordings"] == 5 and not (tmp_path / "one" / "LICENSE.wordnet").exists()
    before = times_of(tmp_path / "one")
    make(tmp_path / "one")
    assert times_of(tmp_path / "one") == before

    run_job, done = studio.run_job, []

    def killed(job, root):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(job)
        return run_job(job, root)

    monkeypatch.setattr(studio, "run_job", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "two")
    monkeypatch.setattr(studio, "run_job", run_job)
    made = {path: when for path, when in times_of(tmp_path / "two").items() if path.suffix == ".flac"}
    assert len(made) >= 5 + 3 and not (tmp_path / "two" / "manifests").exists()
    make(tmp_path / "two")
    assert all(path.stat().st_mtime_ns == when for path, when in made.items())  # not made twice
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")

    cuts = {split: cuts_of(tmp_path / "one", split) for split in ("train", "dev", "test")}
    for cut in (cut for own in cuts.values() for cut in own):
        source = Path(cut.recording.sources[0].source)
        info = soundfile.info(tmp_path / "one" / source)
        assert not source.is_absolute() and (info.samplerate, info.channels) == (RATE, 1)
        assert info.frames == cut.num_samples and cut.supervisions[0].text
    speakers = {split: {cut.supervisions[0].speaker for cut in own} for split, own in cuts.items()}
    assert not speakers["train"] & speakers["dev"] and not speakers["test"] & (speakers["train"] | speakers["dev"])
    assert {"anna", "bert"} & speakers["train"] and {"anna", "bert"} & speakers["dev"]
    words = set((tmp_path / "one" / "lm" / "words.txt").read_text().split())
    by_id = {cut.id: cut.supervisions[0] for cut in cuts["test"]}
    for name, count in (("pairs.tsv", 2), ("pairs_full.tsv", 4)):
        pairs = [line.split("\t") for line in (tmp_path / "one" / "manifests" / name).read_text().splitlines()[1:]]
        assert len(pairs) == count
        for _, prompt, target, speaker in pairs:
            assert (
                by_id[prompt].speaker == by_id[target].speaker == speaker and by_id[prompt].text != by_id[target].text
            )
            assert set(studio_texts.words_of(by_id[target].text)) <= words
    assert "10 times the test sentences" in (tmp_path / "one" / "lm" / "about.txt").read_text()
    arpa = (tmp_path / "one" / "lm" / "vocabulary.arpa").read_text()
    assert {line.split()[1] for line in arpa.split("\\1-grams:")[1].split("\\2-grams:")[0].splitlines() if line} == (
        words | {"<s>", "</s>"}
    )


def test_another_choice_is_another_corpus_and_the_number_of_processes_is_not(offline, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(studio, "is_complete", lambda _, fingerprint: asked.append(fingerprint) or True)
    real = recordings(tmp_path / "real", {"anna": 1})
    make = functools.partial(offline, tmp_path / "out", num_jobs=1)
    make()
    make(num_jobs=7)
    assert asked[0] == asked[1] and not (tmp_path / "out").exists()
    make(seed=4)
    make(hours=0.02)
    make(real=real)
    make(real=real, real_list=["list.tsv"])  # the same table by its name
    soundfile.write(real / "audio" / "anna-0.wav", voiced(1.2, 99), RATE)
    make(real=real)
    assert asked[4] == asked[5] and len(set(asked)) == 5


def test_a_reading_without_pitch_gives_no_clip_and_is_counted(offline, tmp_path, monkeypatch):
    def speak(voice: BaseVoice, texts: list[str]) -> list[tuple[np.ndarray, int]]:
        return [(voiced(1.0, 2500 if text == hushed else 120), RATE) for text in texts]

    size, hushed = studio.SIZES["smoke"], ""
    speakers = studio.cast(studio.espeak_voices(), [], train=4, dev=size.dev_speakers, test=2)
    examples = studio.read_texts(tmp_path / "texts.txt")
    train = [
        clip for clip in studio.plan(speakers, examples, studio.known_words(), size, 3).clips if clip.split == "train"
    ]
    hushed = train[0].text
    monkeypatch.setattr(made_speech, "speak", speak)
    offline(tmp_path / "out", num_jobs=1)
    report = read_json(tmp_path / "out" / "manifests" / "data_report.json")
    silent = sum(clip.text == hushed for clip in train)
    assert silent and report["skipped"] == {"NOT_VOICED": silent} and report["read"] == report["used"] + silent
    assert {item["detail"] for item in report["skipped_items"]} == {hushed}
    assert hushed not in {cut.supervisions[0].text for cut in cuts_of(tmp_path / "out", "train")}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--nj", "0"], "--nj"),
        (["--hours", "-1"], "--hours"),
        (["--real_list", "a.tsv"], "--real DIR"),
        (["--real", "/nowhere"], "CORPUS_MISSING"),
        (["--texts", "/nowhere.txt"], "TEXTS_UNREADABLE"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(tmp_path, capsys, options, word):
    if "--real" in options:
        (tmp_path / "texts.txt").write_text("\n".join(draw_sentences(90, random.Random(2), min_words=6)))
        options = [*options, "--texts", str(tmp_path / "texts.txt")]
    assert studio.main(["--output", str(tmp_path / "out"), "--smoke", *options]) == 2
    assert word in capsys.readouterr().err and not (tmp_path / "out").exists()


# -- real speech ----------------------------------------------------------------------------------------------------


def take_in(real: Path, root: Path, tables: tuple[str, ...] = ()) -> studio_real.Intake:
    intake = studio_real.take_in_real(real, tables, root, sample_rate=RATE, num_jobs=1)
    assert intake.read == len(intake.train) + len(intake.dev) + len(intake.skipped)
    return intake


def test_real_speakers_of_dev_are_not_heard_in_training_and_much_speech_is_varied(tmp_path, monkeypatch):
    monkeypatch.setattr(studio_real, "VARIED_SECONDS", 2.5)
    silent = "mute-0\tmute\taudio/anna-0.wav\t\nmute-1\tmute\taudio/anna-1.wav\t\nmute-2\tmute\taudio/anna-2.wav\t"
    bad = "bad id\tanna\taudio/anna-0.wav\tx\nmute-0\tanna\taudio/anna-0.wav\tx\nout\tanna\t../list.tsv\tx"
    real = recordings(tmp_path / "real", {"anna": 4, "bert": 2, "carl": 3, "dora": 3}, silent, bad)
    intake = take_in(real, tmp_path / "out")
    assert Counter(item.reason for item in intake.skipped) == {"BAD_ID": 1, "DUPLICATE_ID": 1, "PATH_OUTSIDE": 1}
    (held_out,) = {item.speaker for item in intake.dev}
    heard = {item.speaker.split("_v")[0] for item in intake.train}
    assert held_out not in heard and heard | {held_out} == {"anna", "bert", "carl", "dora", "mute"}
    own = {item.id: item for item in intake.train if "_v" not in item.id}
    varied = [item for item in intake.train if "_v" in item.id]
    # Two of a recording; not of bert, who says 2 s, nor of mute, who has no text, nor of the speaker of dev.
    assert {item.speaker.split("_v")[0] for item in varied} == {"anna", "carl", "dora"} - {held_out}
    assert set(Counter(item.id.split("_v")[0] for item in varied).values()) == {studio_real.VARIANTS_PER_RECORDING}
    assert len({item.id for item in intake.train}) == len(intake.train)
    for item in varied:
        source = own[item.id.split("_v")[0]]
        info = soundfile.info(tmp_path / "out" / item.path)
        assert item.text == source.text and item.speaker == f"{source.speaker}_v{item.id[-1]}"
        assert (info.frames, info.samplerate) == (item.num_samples, RATE)
        assert 1 / 1.09 < item.num_samples / source.num_samples < 1 / 0.92
    assert intake.report["variants"] == len(varied) and intake.report["recordings"] == 15

    before = times_of(tmp_path / "out")
    assert take_in(real, tmp_path / "out") == intake and times_of(tmp_path / "out") == before
    lost = tmp_path / "out" / varied[0].path
    digest = hashlib.sha256(lost.read_bytes()).hexdigest()
    lost.unlink()
    assert take_in(real, tmp_path / "out") == intake
    assert hashlib.sha256(lost.read_bytes()).hexdigest() == digest


def test_one_real_speaker_is_for_training_and_none_at_all_is_an_error(tmp_path):
    gone = "gone\tanna\taudio/gone.wav\tx"
    intake = take_in(recordings(tmp_path / "real", {"anna": 2}, gone), tmp_path / "out")
    assert len(intake.train) == 2 and not intake.dev and intake.skipped[0].reason == "AUDIO_NOT_FOUND"
    empty = recordings(tmp_path / "empty", {}, gone)
    with pytest.raises(DataError, match=r"none of the 1 .* gone: AUDIO_NOT_FOUND") as caught:
        take_in(empty, tmp_path / "out")
    assert caught.value.code == "REAL_UNUSABLE"


def test_recordings_without_pitch_are_not_varied_but_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(studio_real, "VARIED_SECONDS", 0.5)
    real = recordings(
        tmp_path / "real", {"anna": 1, "bert": 1}, "hiss\tanna\taudio/hiss.wav\tx\nhush\tbert\taudio/hiss.wav\tx"
    )
    soundfile.write(real / "audio" / "hiss.wav", voiced(1.0, 2500), RATE)  # far above any voice's pitch
    intake = take_in(real, tmp_path / "out")
    assert {item.reason for item in intake.skipped} == {"VARIANT_UNVOICED"} and len(intake.skipped) == 2
    assert len(intake.train) == 2 + 2 and len(intake.dev) == 2  # the recordings themselves are used
    assert take_in(real, tmp_path / "out") == intake


def test_a_variants_id_is_fit_however_long_that_of_its_recording_is():
    def item(name: str) -> Utterance:
        return Utterance(id=name, speaker="anna", text="x", path="x.flac", num_samples=9, sample_rate=RATE)

    assert studio_real._variant(item("a" * 125), "anna", 3).id == "a" * 125 + "_v3"
    long = [studio_real._variant(item("a" * length), "anna", index).id for length in (126, 128) for index in (0, 1)]
    assert len(set(long)) == 4 and all(len(name) <= 128 for name in long)
    transforms = {studio_real._variant(item("a"), "anna", index).transform for index in range(studio_real.VARIANTS)}
    assert len(transforms) == studio_real.VARIANTS


def test_names_that_are_taken_are_found_before_an_hour_of_speaking():
    base = BaseVoice(engine="espeak", name="en-us")
    clip = studio.Clip(id="train000_000", speaker="train000", split="train", base=base, transform=Transform(), text="x")

    def intake(*names: tuple[str, str]) -> studio_real.Intake:
        rows = [
            Utterance(id=id_, speaker=speaker, text="x", path="x", num_samples=9, sample_rate=RATE)
            for id_, speaker in names
        ]
        return studio_real.Intake(train=rows[:1], dev=rows[1:])

    studio.refuse_taken_names([clip], intake(("a", "anna"), ("b", "bert")))
    for code, rows in (
        ("DUPLICATE_ID", [("train000_000", "anna")]),
        ("DUPLICATE_ID", [("a_v0", "anna"), ("a_v0", "anna_v0")]),
        ("SPEAKER_OVERLAP", [("a", "train000")]),
    ):
        with pytest.raises(DataError) as caught:
            studio.refuse_taken_names([clip], intake(*rows))
        assert caught.value.code == code
