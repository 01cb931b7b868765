"""The mini corpus: a closed language, speakers that differ as told, the same bytes for the same seed."""

import dataclasses
import functools
import hashlib
import math
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recipes.corpora import made_speech, mini
from recipes.corpora.mini_speakers import cast
from recipes.corpora.sentences import bigram_arpa, draw_sentences, vocabulary
from recipes.corpora.synthesizers import BaseVoice, espeak_voices, installed_voices, speak
from recipes.corpora.world_voice import Transform, analyse, render
from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.run_dir import read_json

NATURAL = [BaseVoice(engine="flite", name=name) for name in ("rms", "slt", "awb", "kal16")] + [
    BaseVoice(engine="festival", name=name) for name in ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
]


def buzz(pitch_hz: float, formant_hz: float, seconds: float = 1.0, rate: int = 16000) -> np.ndarray:
    """Harmonics under one resonance."""
    time = np.arange(int(seconds * rate)) / rate
    harmonics = np.arange(1, int(7000 / pitch_hz)) * pitch_hz
    weights = 1 / (1 + ((harmonics - formant_hz) / 150) ** 2)
    return 0.1 * (weights[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time)).sum(axis=0)


def folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "data_report.json"):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_sentences_stay_in_the_vocabulary_and_out_of_the_excluded():
    words = set(vocabulary())
    first = draw_sentences(300, random.Random(1))
    second = draw_sentences(300, random.Random(1), exclude=first)
    assert 190 <= len(words) <= 230
    assert len(set(first)) == 300 and not set(first) & set(second)
    assert {word for sentence in first + second for word in sentence.split()} <= words
    assert all(3 <= len(sentence.split()) <= 9 for sentence in first + second)
    assert all(len(sentence.split()) >= 8 for sentence in draw_sentences(20, random.Random(2), min_words=8))


def test_the_recogniser_knows_every_word_and_no_two_sound_alike():
    pocketsphinx = pytest.importorskip("pocketsphinx", reason="extra 'eval' is not installed")
    words, sounds = set(vocabulary()), {}
    with open(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        for line in file:
            word, *phones = line.split()
            if word in words:
                sounds.setdefault(" ".join(phones), set()).add(word)
    assert set().union(*sounds.values()) == words
    assert all(len(alike) == 1 for alike in sounds.values())


def test_the_language_model_is_a_distribution_after_every_word():
    sentences = draw_sentences(200, random.Random(0))
    words = [*vocabulary(), "</s>"]
    unigram, backoff, bigram = {}, {}, {}
    for line in bigram_arpa(sentences, vocabulary()).splitlines():
        cells = line.split()
        if len(cells) in (2, 3) and cells[0][0] == "-" and not (len(cells) == 3 and cells[2][0] not in "-0123456789"):
            unigram[cells[1]] = 10 ** float(cells[0])
            backoff[cells[1]] = 10 ** float(cells[2]) if len(cells) == 3 else 1.0
        elif len(cells) == 3:
            bigram[cells[1], cells[2]] = 10 ** float(cells[0])
    assert math.isclose(sum(unigram[word] for word in words), 1.0, abs_tol=1e-3)
    for left in ("<s>", "the", "my", "chocolate", "zzz" if "zzz" in unigram else "dragon"):
        after = [bigram.get((left, word), backoff[left] * unigram[word]) for word in words]
        assert math.isclose(sum(after), 1.0, abs_tol=2e-3) and min(after) > 0


@pytest.mark.parametrize("voices", [NATURAL, NATURAL[:2], NATURAL[:1], espeak_voices()], ids=len)
def test_enough_speakers_and_all_of_them_distinct(voices):
    speakers = cast(voices)
    by_split = {split: [one for one in speakers if one.split == split] for split in ("train", "dev", "test")}
    assert len(by_split["train"]) >= 24 and len(by_split["dev"]) == 4 and len(by_split["test"]) == 8
    assert len({(one.base, one.transform) for one in speakers}) == len(speakers) == len({one.name for one in speakers})


def test_test_sentences_are_not_said_in_training():
    clips, model_sentences = mini.plan(cast(NATURAL), mini.SIZES["full"], seed=0)
    said = {split: {clip.text for clip in clips if clip.split == split} for split in ("train", "dev", "test")}
    assert not said["train"] & said["test"] and not said["train"] & said["dev"] and not said["dev"] & said["test"]
    assert not set(model_sentences) & (said["test"] | said["dev"])
    assert len({clip.id for clip in clips}) == len(clips)
    assert mini.plan(cast(NATURAL), mini.SIZES["full"], seed=0) == (clips, model_sentences)
    assert mini.plan(cast(NATURAL), mini.SIZES["full"], seed=1)[0] != clips
    in_jobs = [clip for job in made_speech.jobs_of(clips) for _, own in job.readings for clip in own]
    assert sorted(clip.id for clip in in_jobs) == sorted(clip.id for clip in clips)


@pytest.mark.parametrize(
    ("pitch", "formant", "rate"), [(1.0, 1.0, 1.0), (1.5, 1.0, 1.0), (1.0, 1.2, 1.25), (0.7, 0.85, 0.9)]
)
def test_world_moves_pitch_formant_and_rate_as_told(pitch, formant, rate):
    pytest.importorskip("pyworld", reason="extra 'corpus' is not installed")
    wave = render(analyse(buzz(120, 1500), 16000), Transform(pitch=pitch, formant=formant, rate=rate))
    found = analyse(wave, 16000)
    heard = np.median(found.pitch_hz[found.pitch_hz > 0])
    middle = found.envelope[len(found.envelope) // 4 : -len(found.envelope) // 4].mean(axis=0)
    peak_hz = middle.argmax() * 8000 / (len(middle) - 1)
    assert abs(len(wave) / 16000 - 1 / rate) < 0.02
    assert abs(heard / (120 * pitch) - 1) < 0.03
    assert abs(peak_hz / (1500 * formant) - 1) < 0.08


def test_world_refuses_what_is_not_voiced_and_transforms_that_are_no_voice():
    pytest.importorskip("pyworld", reason="extra 'corpus' is not installed")
    with pytest.raises(DataError, match="voiced"):
        analyse(np.zeros(16000), 16000)
    with pytest.raises(ConfigError, match="pitch"):
        Transform(pitch=10.0)


def test_edges_and_level():
    wave = np.zeros(32000)
    wave[8000:16000] = buzz(120, 1500, 0.5)
    trimmed = made_speech.trim_edges(wave, 16000)
    edge = int(made_speech.EDGE_SECONDS * 16000)
    assert abs(len(trimmed) - 8000 - 2 * edge) <= 320
    assert (
        len(made_speech.trim_edges(wave[8000:16000], 16000)) >= 8000 + 2 * edge - 320
    )  # silence is added where there is none
    for gain in (0.001, 1.0, 50.0):
        level = made_speech.normalize_level(gain * trimmed)
        assert np.abs(level).max() <= made_speech.LEVEL_PEAK + 1e-9
        assert np.sqrt(np.mean(level**2)) <= made_speech.LEVEL_RMS + 1e-9
        np.testing.assert_allclose(level, made_speech.normalize_level(trimmed), atol=1e-9)


@pytest.mark.parametrize("voice", [pytest.param(voice, id=voice.key) for voice in NATURAL] + [espeak_voices()[1]])
def test_each_synthesizer_says_the_same_twice(voice):
    if voice.engine != "espeak" and voice not in installed_voices():
        pytest.skip(f"{voice.key} is not installed (tools/setup_env.sh installs it as root)")
    (first, rate), (second, _) = speak(voice, ["please open the window", "please open the window"])
    assert 0.5 < len(first) / rate < 4 and np.abs(first).max() <= 1
    np.testing.assert_array_equal(first, second)


@pytest.fixture
def tiny(monkeypatch):
    """A corpus of 7 speakers with one or two clips each, by espeak, which is always there."""
    pytest.importorskip("pyworld", reason="extra 'corpus' is not installed")
    monkeypatch.setattr(mini, "installed_voices", list)
    chosen = ("train00", "train01", "train02", "train03", "dev00", "test00", "test01")
    monkeypatch.setattr(mini, "cast", lambda *args, **options: [s for s in cast(*args, **options) if s.name in chosen])
    monkeypatch.setattr(made_speech, "TEXTS_PER_JOB", 2)
    size = dataclasses.replace(mini.SIZES["smoke"], train_clips=1, dev_clips=1, test_clips=2)
    monkeypatch.setitem(mini.SIZES, "smoke", size)
    return functools.partial(mini.make, seed=3, smoke=True, measure=False)


def test_the_same_bytes_whatever_the_number_of_processes_and_after_a_kill(tiny, tmp_path, monkeypatch, caplog):
    tiny(tmp_path / "one", num_jobs=1)
    assert "espeak" in caplog.text  # the substitution is said aloud
    tiny(tmp_path / "two", num_jobs=2)
    assert folder_hash(tmp_path / "one") == folder_hash(tmp_path / "two")

    real, done = mini.run_job, []

    def killed(job, root):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return real(job, root)

    monkeypatch.setattr(mini, "run_job", killed)
    with pytest.raises(KeyboardInterrupt):
        tiny(tmp_path / "three", num_jobs=1)
    monkeypatch.setattr(mini, "run_job", real)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "three").rglob("*.flac")}
    assert made and not (tmp_path / "three" / "manifests").exists()
    tiny(tmp_path / "three", num_jobs=1)
    assert folder_hash(tmp_path / "three") == folder_hash(tmp_path / "one")
    assert all(path.stat().st_mtime_ns == when for path, when in made.items())  # not made twice

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*") if path.is_file()}
    tiny(tmp_path / "one", num_jobs=1)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*") if path.is_file()}


def test_what_the_mini_corpus_leaves_behind(tiny, tmp_path):
    lhotse = pytest.importorskip("lhotse")
    tiny(tmp_path, num_jobs=1)
    report = read_json(tmp_path / "manifests" / "data_report.json")
    assert report["read"] == report["used"] == 4 + 1 + 4 and report["skipped"] == {}
    assert "espeak" in report["substitution"]
    cuts = {
        split: lhotse.CutSet.from_file(tmp_path / "manifests" / f"{split}.jsonl.gz")
        for split in ("train", "dev", "test")
    }
    for cut in [cut for own in cuts.values() for cut in own]:
        (supervision,) = cut.supervisions
        assert cut.sampling_rate == 16000 and supervision.custom == {"has_text": True}
        path = Path(cut.recording.sources[0].source)
        assert not path.is_absolute() and soundfile.info(tmp_path / path).frames == cut.num_samples
        assert set(supervision.text.split()) <= set(vocabulary())
    speakers = {split: {cut.supervisions[0].speaker for cut in own} for split, own in cuts.items()}
    assert not speakers["train"] & speakers["test"]
    ids = {cut.id: cut.supervisions[0] for cut in cuts["test"]}
    header, *pairs = (tmp_path / "manifests" / "pairs.tsv").read_text().splitlines()
    assert header.split("\t") == ["id", "prompt", "target", "speaker"] and len(pairs) == 2
    for pair in pairs:
        _, prompt, target, speaker = pair.split("\t")
        assert ids[prompt].speaker == ids[target].speaker == speaker and ids[prompt].text != ids[target].text
