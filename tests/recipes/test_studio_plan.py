"""What the studio corpus is planned to be: its texts, its speakers, and who says what."""

import dataclasses
import hashlib
import math
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recipes.corpora import studio, studio_texts
from recipes.corpora.mini_speakers import HIGH_VOICES
from recipes.corpora.sentences import draw_sentences, vocabulary
from recipes.corpora.studio_speakers import (
    CLEARANCE,
    HIGH_RANGES,
    INTONATIONS,
    LOW_RANGES,
    RATES,
    TILTS_DB,
    cast,
    distance,
)
from recipes.corpora.studio_texts import finished, hold_out, is_speakable, language_model, readings, spoken, words_of
from recipes.corpora.synthesizers import BaseVoice, espeak_voices
from recipes.corpora.world_voice import Analysis, Transform, render
from resgen_tts.common.errors import ConfigError, DataError

NATURAL = [BaseVoice(engine="flite", name=name) for name in ("rms", "slt", "awb", "kal16")] + [
    BaseVoice(engine="festival", name=name) for name in ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
]
HARD = espeak_voices()[: studio.HARD_VOICES]
SENTENCES = draw_sentences(3000, random.Random(5), min_words=5)
FULL = studio.SIZES["full"]


def synset(words: str, gloss: str) -> str:
    """A line of WordNet's data files, see wndb(5)."""
    lemmas = words.split()
    return f"00001740 03 n {len(lemmas):02x} {' 0 '.join(lemmas)} 0 001 @ 00001930 n 0000 | {gloss}  \n"


@pytest.fixture
def wordnet(tmp_path) -> Path:
    """Four little files in WordNet's form."""
    licence = "  1 This software is provided under this licence.  \n  2   \n  3 Keep this notice.  \n"
    files = {
        "data.noun": synset("dog", 'a pet; "the dog barked all night"; "he has 3 dogs"; "the dog"')
        + synset("oaf big_oaf", '(offensive) a fool; "an unkind word was said"')
        + synset("table", 'furniture; "the table is laid"; "call the F.B.I. now"; "plan B failed again"'),
        "data.verb": synset("bark", 'make a noise; "the dog barked all night"; "Oafs and oaf alike left"; "bark!"'),
        "data.adj": synset("well", 'fine; "is she well?"; "the USA won again"; "café was closed"'),
        "data.adv": synset("so", f'thus; "{" ".join(["so"] * 19)}"; "so be it"'),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(licence + text, encoding="utf-8")
    return tmp_path


def test_examples_that_can_be_read_as_they_stand_are_taken_once(wordnet):
    examples = studio_texts.wordnet_examples(wordnet)
    assert examples == ["the dog barked all night", "the dog", "the table is laid", "is she well?", "so be it"]
    licence = studio_texts.wordnet_licence(wordnet)
    assert licence == "This software is provided under this licence.\n\nKeep this notice.\n"


@pytest.mark.parametrize("name", studio_texts.WORDNET_FILES)
def test_a_missing_wordnet_is_named_with_what_to_do(wordnet, name):
    (wordnet / name).unlink()
    with pytest.raises(DataError, match=f"no {name}") as caught:
        studio_texts.wordnet_examples(wordnet)
    assert caught.value.code == "CORPUS_MISSING"
    assert "wordnet-base" in caught.value.hint and "--texts" in caught.value.hint


def test_the_installed_wordnet_gives_the_sentences_that_the_recipe_was_measured_with():
    if not all((studio_texts.WORDNET / name).is_file() for name in studio_texts.WORDNET_FILES):
        pytest.skip("WORDNET IS NOT INSTALLED (tools/setup_env.sh installs wordnet-base as root): full texts untested")
    pytest.importorskip("pocketsphinx", reason="extra 'eval' is not installed")
    examples = studio_texts.wordnet_examples()
    assert len(examples) == 42131 == len(set(examples)) and all(map(is_speakable, examples))
    held_out = "\n".join(hold_out(examples, 220, studio.known_words()))
    # The evaluation's sentences: who changes them on purpose measures every score anew.
    assert hashlib.sha256(held_out.encode()).hexdigest().startswith("4714030d6b5dfd46")
    licence = studio_texts.wordnet_licence()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence and "LICENSEE agrees to preserve" in licence
    assert not re.search(r"^ *\d+ ", licence, re.MULTILINE)


def test_a_users_texts_are_read_once_each_and_lines_without_words_left_out(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("one two three\n\n  one two three \n---\n42\nfour five\n")
    assert studio_texts.read_texts(file) == ["one two three", "four five"]
    file.write_bytes(b"caf\xe9 au lait")
    for unreadable in (file, tmp_path / "nowhere.txt", tmp_path):
        with pytest.raises(DataError) as caught:
            studio_texts.read_texts(unreadable)
        assert caught.value.code == "TEXTS_UNREADABLE" and str(unreadable) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "written"),
    [("he ran", "He ran."), ("is she well?", "Is she well?"), ("well, -", "Well."), ("I ran!", "I ran!")],
)
def test_a_finished_text_has_a_capital_and_a_mark(text, written):
    assert finished(text) == written == finished(written)


def test_what_is_held_out_does_not_depend_on_order_and_little_on_additions():
    known = set(vocabulary())
    held_out = hold_out(SENTENCES, 50, known)
    assert held_out == hold_out(SENTENCES[::-1], 50, known) and len(set(held_out)) == 50
    assert all(6 <= len(sentence.split()) <= 12 for sentence in held_out)
    doctored = hold_out([*SENTENCES, *(sentence.capitalize() + "!" for sentence in held_out)], 50, known)
    assert len({spoken(sentence) for sentence in doctored}) == 50  # one of those that differ in marks alone
    more = hold_out([*SENTENCES, *draw_sentences(60, random.Random(6), SENTENCES, min_words=6)], 50, known)
    assert len(set(more) & set(held_out)) >= 45
    assert not any("the" in sentence.split() for sentence in hold_out(SENTENCES, 50, known - {"the"}))


def test_readings_use_every_example_before_any_comes_again():
    examples = [f"{first} {second} {third}" for first in "abcdef" for second in "ghij" for third in "kl"]
    texts = readings(examples, 40, random.Random(0))
    assert len(texts) >= 40 and texts == readings(examples, 40, random.Random(0))
    said = Counter(part for text in texts for part in re.findall(r"[A-Z] [a-z] [a-z]\.", text))
    assert len(said) > 35 and max(said.values()) == 1
    for greeting in studio_texts.GREETINGS:
        assert words_of(greeting) and finished(greeting)
    kept_out = {spoken(greeting) for greeting in studio_texts.GREETINGS[1:]}
    greeted = {spoken(text) for text in readings(examples, 2000, random.Random(1), kept_out)}
    assert "hello" in greeted and not greeted & kept_out
    grammar = set(draw_sentences(100, random.Random(1)))  # what readings() draws first
    assert greeted & grammar
    again = {spoken(text) for text in readings(examples, 2000, random.Random(1), greeted & grammar)}
    assert not again & greeted & grammar


def test_the_language_model_counts_its_own_sentences_and_stretches_of_their_words():
    sentences = ["The dog saw the cat", "home zebra the", "the dog, the dog ran", "ran"]
    text = language_model(["Home ran the dog."], sentences)
    unigrams, bigrams = text.split("\\1-grams:")[1].split("\\2-grams:")
    listed = {line.split()[1] for line in unigrams.splitlines() if line}
    found = {tuple(line.split()[1:]): float(line.split()[0]) for line in bigrams.splitlines() if line.startswith("-")}
    assert listed == {"the", "dog", "ran", "home", "<s>", "</s>"}
    # "saw", "cat" and "zebra" break the stretches; a single word, as in "the cat" or "ran", is no stretch.
    own = {("<s>", "home"), ("home", "ran"), ("ran", "the"), ("the", "dog"), ("dog", "</s>")}
    assert found.keys() == own | {("<s>", "the"), ("dog", "the"), ("dog", "ran"), ("ran", "</s>")}
    count = studio_texts.TESTED_COUNT
    assert math.isclose(10 ** found["<s>", "home"], (count - 0.5) / (count + 2), rel_tol=1e-3)  # against two stretches
    assert math.isclose(10 ** found["<s>", "the"], 1.5 / (count + 2), rel_tol=1e-3)


@pytest.mark.parametrize("voices", [NATURAL, NATURAL[:2], NATURAL[:1], espeak_voices()], ids=len)
def test_speakers_are_as_many_as_asked_distinct_and_clear_of_the_evaluations(voices):
    speakers = cast(voices, HARD, train=420, dev=10, test=10)
    assert speakers == cast(voices, HARD, train=420, dev=10, test=10)
    assert Counter(one.split for one in speakers) == {"train": 420, "dev": 10, "test": 10}
    assert len({(one.base, one.transform) for one in speakers}) == len({one.name for one in speakers}) == 440
    held = [one for one in speakers if one.split != "train"]
    for one in held:
        for other in speakers:
            if other.base == one.base and other.split != one.split:
                assert distance(one.transform, other.transform) >= CLEARANCE, (one.name, other.name)
    assert not {one.base for one in held} & (set(HARD) - set(voices))
    if voices is NATURAL:
        assert sum(one.base in HARD for one in speakers) == 21  # a twentieth of training's
        assert {one.base for one in speakers if one.split == "test"} == set(NATURAL) - {NATURAL[4]}


def test_drawn_voices_lie_in_their_ranges_and_fill_them():
    trained = [one for one in cast(NATURAL, HARD, train=420, dev=10, test=10) if one.split != "test"]
    for is_high, (formants, pitches) in ((False, LOW_RANGES), (True, HIGH_RANGES)):
        own = [one.transform for one in trained if (one.base.name in HIGH_VOICES) == is_high]
        for name, (low, high) in (
            ("formant", formants), ("pitch", pitches), ("rate", RATES), ("tilt_db", TILTS_DB),
            ("intonation", INTONATIONS),
        ):  # fmt: skip
            values = [getattr(transform, name) for transform in own]
            assert low <= min(values) < low + 0.1 * (high - low) and high - 0.1 * (high - low) < max(values) <= high
        breaths = [transform.breathiness for transform in own]
        assert 0.25 < breaths.count(0.0) / len(breaths) < 0.5 and 0.3 < max(breaths) < 0.4


@pytest.fixture(scope="module")
def planned():
    speakers = cast(NATURAL, HARD, train=420, dev=10, test=10)
    return speakers, studio.plan(speakers, SENTENCES, set(vocabulary()), FULL, 0)


def test_no_speaker_and_no_text_of_the_evaluation_is_heard_in_training(planned):
    _, plan = planned
    said, heard = {}, {}
    for clip in plan.clips:
        said.setdefault(clip.split, set()).update(spoken(part) for part in re.split(r"(?<=[.?!]) ", clip.text))
        heard.setdefault(clip.split, set()).add(clip.speaker)
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not said[one] & said[other] and not heard[one] & heard[other]
    assert not {spoken(sentence) for sentence in plan.model_sentences} & (said["test"] | said["dev"])
    targets = {clip.text for clip in plan.clips if clip.split == "test" and "_p" not in clip.id}
    assert plan.words == {word for text in targets for word in words_of(text)}
    assert len({clip.id for clip in plan.clips}) == len(plan.clips)


def test_texts_of_the_evaluation_do_not_come_back_in_other_capitals_as_greetings_or_from_the_grammar():
    shouted = [sentence.upper().replace(" A ", " a ") for sentence in SENTENCES]  # the grammar draws them again
    speakers = cast(NATURAL, HARD, train=42, dev=2, test=2)
    size = dataclasses.replace(FULL, hours=3.0, train_speakers=42, dev_speakers=2, test_speakers=2, test_sentences=400)
    for seed in range(2):
        plan = studio.plan(speakers, [*SENTENCES, *shouted], set(vocabulary()), size, seed)
        held = {spoken(clip.text) for clip in plan.clips if clip.split != "train"}
        assert len(held) == 400 + 2 * 4 + 2 * 8
        for clip in plan.clips:
            if clip.split == "train":
                assert not held & {spoken(part) for part in re.split(r"(?<=[.?!]) ", clip.text)}


def test_every_test_sentence_is_paired_with_every_test_speaker(planned):
    speakers, plan = planned
    clips = {clip.id: clip for clip in plan.clips}
    names = {one.name for one in speakers if one.split == "test"}
    assert len(plan.pairs) == 1000 == len({pair.id for pair in plan.pairs})
    targets = {(clips[pair.target].text, pair.speaker) for pair in plan.pairs}
    assert len(targets) == 1000 and len({text for text, _ in targets}) == 100 and {name for _, name in targets} == names
    for pair in plan.pairs:
        prompt, target = clips[pair.prompt], clips[pair.target]
        assert prompt.speaker == target.speaker == pair.speaker and prompt.text != target.text
    chosen = studio.balanced(plan.pairs, 10)
    assert set(chosen) <= set(plan.pairs)
    assert len({clips[pair.target].text for pair in chosen}) == len(chosen) == 100
    assert set(Counter(pair.speaker for pair in chosen).values()) == {10}
    assert set(Counter(pair.prompt for pair in chosen).values()) == {2, 3}  # four prompts a speaker, in turn


def test_training_is_as_long_as_asked_and_shared_fairly(planned):
    speakers, plan = planned
    train = [clip for clip in plan.clips if clip.split == "train"]
    assert abs(len(train) * studio.SECONDS_PER_READING / 3600 - FULL.hours) < 0.1
    own = {one.name: one for one in speakers}
    assert all((clip.base, clip.transform) == (own[clip.speaker].base, own[clip.speaker].transform) for clip in train)
    by_speaker = Counter(clip.speaker for clip in train)
    assert len(by_speaker) == 420 and max(by_speaker.values()) - min(by_speaker.values()) <= 4
    shared = Counter((clip.base, clip.text) for clip in train)
    assert np.median(list(shared.values())) == FULL.speakers_per_reading


def test_the_seed_decides_who_says_what_and_not_what_is_held_out(planned):
    speakers, plan = planned
    assert studio.plan(speakers, SENTENCES, set(vocabulary()), FULL, 0) == plan
    other = studio.plan(speakers, SENTENCES, set(vocabulary()), FULL, 1)
    assert other.clips != plan.clips and (other.pairs, other.words) == (plan.pairs, plan.words)


@pytest.mark.parametrize(("count", "known"), [(300, vocabulary()), (3000, ["the"])])
def test_too_few_sentences_are_said_to_be_too_few(planned, count, known):
    with pytest.raises(DataError, match="220 are held out") as caught:
        studio.plan(planned[0], SENTENCES[:count], set(known), FULL, 0)
    assert caught.value.code == "TOO_FEW_SENTENCES"


def test_breath_is_noise_above_and_nothing_where_it_is_not_asked_for():
    pytest.importorskip("pyworld", reason="extra 'corpus' is not installed")
    flat = np.ones((200, 513))
    found = Analysis(pitch_hz=np.full(200, 120.0), envelope=1e-6 * flat, aperiodicity=0.01 * flat, sample_rate=16000)
    np.testing.assert_array_equal(render(found, Transform(breathiness=0.0)), render(found, Transform()))

    def noise_share(breathiness: float, low_hz: float, high_hz: float) -> float:
        """Energy between the harmonics over all energy, of the middle of the rendered wave."""
        made = render(found, Transform(breathiness=breathiness))[2000:14000]
        power = np.abs(np.fft.rfft(made * np.hanning(len(made)))) ** 2
        hz = np.fft.rfftfreq(len(made), 1 / 16000)
        band = (hz >= low_hz) & (hz < high_hz)
        between = np.abs((hz / 120 + 0.5) % 1 - 0.5) > 0.2
        return power[band & between].sum() / power[band].sum()

    plain, little, much = (noise_share(breathiness, 3000, 6500) for breathiness in (0.0, 0.15, 0.35))
    assert plain < 0.6 * little < 0.6 * much and much > 0.05
    assert math.isclose(noise_share(0.35, 60, 420), noise_share(0.0, 60, 420), abs_tol=0.02)  # hardly any of it below
    with pytest.raises(ConfigError, match="breathiness"):
        Transform(breathiness=1.0)
