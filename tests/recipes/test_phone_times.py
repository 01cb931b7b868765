"""Times that the synthesizers report: they fit the sound, the words, and what the mini corpus makes of both."""

import itertools
import json

import numpy as np
import pytest
import soundfile

from recipes.corpora import made_speech, mini_times, phone_times
from recipes.corpora.manifests import Utterance, write_manifests
from recipes.corpora.phone_times import group_words, read_aloud
from recipes.corpora.synthesizers import BaseVoice, installed_voices
from recipes.corpora.world_voice import Transform
from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import write_json
from resgen_tts.evaluation.measures.timed import Span, Timed

TEXTS = ("where did the doctor's father go", "my sister bought five letters today")
VOICES = installed_voices()
needs_voices = pytest.mark.skipif(
    not VOICES, reason="neither flite nor festival is installed; times of phones are NOT tested (tools/setup_env.sh)"
)


def assert_spoken_between(wave: np.ndarray, rate: int, start: float, end: float) -> None:
    """Nearly all energy lies between two times, and the sound begins and ends near them."""
    energy, edge = np.square(wave), round(0.06 * rate)
    first, last = round(start * rate), round(end * rate)
    assert energy[first - edge // 3 : last + edge].sum() > 0.99 * energy.sum()
    for inside in (energy[first : first + edge], energy[last - 2 * edge : last]):
        assert inside.mean() > 3e-4 * energy.max()


@needs_voices
@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.key)
def test_times_fit_the_sound(voice):
    for text, reading in zip(TEXTS, read_aloud(voice, TEXTS), strict=True):
        phones, words = reading.timed.phones, reading.timed.words
        assert [word.label for word in words] == text.replace("'", "").split()
        assert [one for word in words for one in reading.timed.phones_of(word)] == list(phones)  # all, in order
        assert all(left.end == right.start for left, right in itertools.pairwise(words))  # no pause inside
        assert phones[-1].end < len(reading.wave) / reading.sample_rate
        assert_spoken_between(reading.wave, reading.sample_rate, phones[0].start, phones[-1].end)


@needs_voices
def test_the_reported_end_is_the_end_of_the_wave():
    """Where the engine itself neither cuts nor draws out the closing pause: flite's statistical voices."""
    name = next((voice.name for voice in VOICES if voice.name in ("rms", "slt", "awb")), None)
    if name is None:
        pytest.skip("flite has no statistical voice; the end of its times is NOT tested")
    (reading,) = read_aloud(BaseVoice(engine="flite", name=name), TEXTS[:1])
    last = float(phone_times._flite(name, TEXTS[0], "-psdur")[-1].split(":")[1])
    assert abs(last - len(reading.wave) / reading.sample_rate) < 0.005  # one of its frames


def test_words_are_grouped_by_how_they_sound_alone():
    said = "ah r ah n d dh iy ae k t er".split()  # noqa: SIM905
    phones = [Span(name, k / 10, (k + 1) / 10) for k, name in enumerate(said)]
    alone = [["er"], ["ae", "n", "d"], ["dh", "ax"], ["ae", "k", "t", "er"]]
    words = group_words(phones, ["er", "and", "the", "actor"], alone)
    assert [(word.label, word.start, word.end) for word in words] == [
        ("er", 0.0, 0.2), ("and", 0.2, 0.5), ("the", 0.5, 0.7), ("actor", 0.7, 1.1),
    ]  # fmt: skip
    with pytest.raises(DataError, match="no phones were found for lost"):
        group_words(phones[:1], ["er", "lost"], [["ah"], ["t"]])


def test_phones_of_no_word_go_with_the_word_before():
    lines = ["phone pau 0.1", "phone ah 0.2", "phone r 0.3", "phone pau 0.4", "phone t 0.5", "phone pau 0.9"]
    words = ["token Er,", "word 0.1 0.2", "word 0 0", "token T's", "word 0.4 0.5"]
    found = phone_times._parse_festival(lines + words)
    assert [(one.label, one.start, one.end) for one in found.words] == [("er", 0.1, 0.3), ("ts", 0.4, 0.5)]
    assert [one.label for one in found.phones] == ["ah", "r", "t"]


def test_engines_without_times_and_odd_words_are_refused():
    with pytest.raises(DataError, match="espeak reports no times"):
        read_aloud(BaseVoice(engine="espeak", name="en-us"), ["hello"])


def test_times_follow_the_wave_when_it_is_cut_and_sped_up():
    timed = Timed(words=(Span("a", 0.5, 0.7),), phones=(Span("ax", 0.5, 0.7),))
    found = mini_times.moved(timed, seconds=-0.1, rate=2.0)
    for one in (found.words[0], found.phones[0]):
        assert (one.start, one.end) == pytest.approx((0.2, 0.3))


def test_the_shift_of_trimming_is_found():
    rate, rng = made_speech.SAMPLE_RATE, np.random.default_rng(0)
    for silence in (0.05, 0.4):
        wave = np.concatenate([np.zeros(int(silence * rate)), rng.normal(0, 0.1, rate), np.zeros(rate // 2)])
        trimmed, shift = made_speech.trim_edges(wave, rate), round(mini_times.trimming_shift(wave) * rate)
        assert shift == pytest.approx((made_speech.EDGE_SECONDS - silence) * rate, abs=1)
        inside = slice(int(silence * rate), int(silence * rate) + rate)
        assert np.array_equal(trimmed[inside.start + shift : inside.stop + shift], wave[inside])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two clips of one speaker as the mini corpus makes them."""
    base = next((voice for voice in VOICES if voice.name == "kal16"), VOICES[0])
    root, transform = tmp_path_factory.mktemp("mini"), Transform(pitch=1.2, formant=1.05, rate=0.9)
    clips = [
        made_speech.Clip(
            id=f"test00_{number}", speaker="test00", split="test", base=base, transform=transform, text=text
        )
        for number, text in enumerate(("the cat ran away", "my sister knew"))
    ]
    (job,) = made_speech.jobs_of(clips)
    lengths = made_speech.run_job(job, root)["samples"]
    rows = [
        Utterance(
            id=clip.id, speaker=clip.speaker, text=clip.text, path=made_speech.clip_path(clip).as_posix(),
            num_samples=int(lengths[clip.id]), sample_rate=made_speech.SAMPLE_RATE,
        )
        for clip in clips
    ]  # fmt: skip
    write_manifests(root, {"test": rows})
    write_json(
        root / "manifests" / "data_report.json",
        {"speakers": {"test00": {"voice": base.key, **vars(transform)}}},
    )
    return root, clips


@needs_voices
def test_times_of_a_clip_fit_its_sound(corpus, tmp_path):
    root, clips = corpus
    assert mini_times.main(["--data", str(root), "--output", str(tmp_path / "times.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [clip.id for clip in clips]
    for row, clip in zip(rows, clips, strict=True):
        timed = Timed.from_json(row)
        assert [word.label for word in timed.words] == clip.text.split()
        wave, rate = soundfile.read(root / made_speech.clip_path(clip))
        assert_spoken_between(wave, rate, timed.words[0].start, timed.words[-1].end)


@needs_voices
def test_other_sound_is_refused(corpus, tmp_path, capsys):
    root, clips = corpus
    path = root / made_speech.clip_path(clips[0])
    kept, (wave, rate) = path.read_bytes(), soundfile.read(path)
    try:
        soundfile.write(path, wave * 0.99, rate)
        assert mini_times.main(["--data", str(root), "--output", str(tmp_path / "times.jsonl")]) == 2
    finally:
        path.write_bytes(kept)
    assert "MINI_DIFFERENT: test00_0" in capsys.readouterr().err and not (tmp_path / "times.jsonl").exists()
