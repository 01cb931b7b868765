"""Cuts of prompts: which samples, which words; and how far cuts at words lie from the true borders."""

import random
import shutil

import numpy as np
import pytest
import soundfile

from recipes.corpora.phone_times import read_aloud
from recipes.corpora.synthesizers import BaseVoice
from resgen_tts.evaluation.measures.timed import Span, Timed
from resgen_tts.evaluation.protocols.prompt_cut import (
    AlignedWords,
    align_words,
    cut_beginning,
    draw_hard,
    draw_words,
    words_of,
)

needs_flite = pytest.mark.skipif(
    shutil.which("flite") is None,
    reason="flite is not installed; cuts at words are NOT measured against true times (apt-get install flite)",
)
VOICES = ("kal16", "awb", "rms", "slt")
SENTENCES = (
    "the doctor opened the yellow window because the little room was full of warm and heavy summer air",
    "when the morning came, they walked along the river, and nobody said a word about the night before",
    "my sister keeps an old wooden boat near the harbor and she paints it blue every second spring",
    "the teacher asked the children to draw a house, a garden, and three birds on the same sheet of paper",
    "after dinner the two brothers played chess until their father told them that it was time for bed",
    "in the middle of the market an old man was selling apples, cheese, and fresh bread to the people",
    "the train stopped between two stations and for almost an hour nobody knew when it would move again",
    "she wrote a long letter to her friend, folded it twice, and put it under the clock in the kitchen",
)


def said(*words: tuple[str, float, float]) -> AlignedWords:
    return AlignedWords(words=tuple(word for word, _, _ in words), spans=tuple(Span(*one) for one in words))


SAID = said(("a", 0.2, 1.0), ("b", 1.0, 2.6), ("c", 2.7, 3.5), ("d", 3.5, 4.0))
SIZE = {"rate": 16_000, "num_samples": 64_000, "seconds": 3.0}


def test_a_hard_cut_is_exact_and_a_divided_word_goes_where_more_of_it_is():
    cut = cut_beginning(SAID, cut="hard", **SIZE)
    assert (cut.start, cut.stop, cut.first, cut.end) == (0, 48_000, 0, 2)  # 0.3 s of c lie before, 0.5 s behind
    more = said(("a", 0.2, 1.0), ("b", 1.0, 2.6), ("c", 2.7, 3.2), ("d", 3.5, 4.0))  # 0.3 s before, 0.2 s behind
    assert cut_beginning(more, cut="hard", **SIZE).end == 3
    # Exactly half of it is not more than half.
    half = said(("a", 0.2, 1.0), ("b", 1.0, 2.5), ("c", 2.5, 3.5), ("d", 3.5, 4.0))
    assert cut_beginning(half, cut="hard", **SIZE).end == 2


def test_a_cut_at_words_ends_with_the_last_whole_one():
    cut = cut_beginning(SAID, cut="word", **SIZE)
    assert (cut.start, cut.stop, cut.end) == (0, round(2.6 * 16_000), 2)
    to_the_point = said(("a", 0.2, 1.0), ("b", 1.0, 3.0), ("c", 3.0, 4.0))
    assert cut_beginning(to_the_point, cut="word", **SIZE).stop == 48_000


@pytest.mark.parametrize("kind", ["hard", "word"])
def test_a_beginning_without_words_or_with_all_is_none(kind):
    late = said(("a", 3.1, 3.5), ("b", 3.5, 4.0))
    early = said(("a", 0.1, 0.5), ("b", 0.5, 1.0))
    assert cut_beginning(late, cut=kind, **SIZE) is None and cut_beginning(early, cut=kind, **SIZE) is None


def test_drawn_words_are_as_many_as_fit_and_starts_are_drawn_evenly():
    words = said(*((f"w{n}", 0.5 * n, 0.5 * n + 0.5) for n in range(12)))  # 6 s
    size = {"rate": 16_000, "num_samples": 96_000, "seconds": 3.0}
    drawn = [draw_words(words, **size, shortest_seconds=2.0, rng=random.Random(seed)) for seed in range(900)]
    starts = [cut.first for cut in drawn]
    assert set(starts) == set(range(9))  # from w9 on less than 2 s are left
    counts = np.bincount(starts)
    assert np.abs(counts - 100).max() < 4 * 100**0.5  # four standard errors
    for cut in drawn:
        assert cut.end - cut.first == min(6, 12 - cut.first)
        assert (cut.start, cut.stop) == (8_000 * cut.first, 8_000 * cut.end)
        assert cut.stop - cut.start <= 48_000


def test_without_a_long_enough_stretch_the_longest_is_taken():
    words = said(("a", 0.0, 0.5), ("b", 0.5, 1.2), ("c", 4.5, 5.0))  # the pause is too long for b c
    cut = draw_words(words, rate=100, num_samples=500, seconds=3.0, shortest_seconds=2.0, rng=random.Random(0))
    assert (cut.first, cut.end, cut.start, cut.stop) == (0, 2, 0, 120)
    drawl = said(("aaaah", 0.0, 4.0))
    assert draw_words(drawl, **SIZE, shortest_seconds=2.0, rng=random.Random(0)) is None


def test_a_hard_draw_is_exact_and_anywhere():
    words = said(*((f"w{n}", 0.5 * n, 0.5 * n + 0.5) for n in range(12)))
    size = {"rate": 16_000, "num_samples": 96_000, "seconds": 3.0}
    drawn = [draw_hard(words, **size, rng=random.Random(seed)) for seed in range(300)]
    assert all(cut.stop - cut.start == 48_000 and 0 <= cut.start <= 48_000 for cut in drawn)
    assert min(cut.start for cut in drawn) < 2_000 and max(cut.start for cut in drawn) > 46_000
    for cut in drawn:
        inside = [n for n in range(12) if cut.start <= (0.5 * n + 0.25) * 16_000 < cut.stop]
        assert list(range(cut.first, cut.end)) == inside
    assert draw_hard(words, rate=16_000, num_samples=47_999, seconds=3.0, rng=random.Random(0)) is None


def test_words_of_a_transcript_get_the_times_of_their_pieces():
    timed = Timed(words=(Span("dont", 0.0, 0.4), Span("well", 0.5, 0.7), Span("known", 0.7, 1.0)))
    found = words_of("don't well-known", timed)
    assert found.words == ("don't", "well-known")
    assert [(one.start, one.end) for one in found.spans] == [(0.0, 0.4), (0.5, 1.0)]
    assert words_of("don't well", timed) is None and words_of("do well known", timed) is None


@needs_flite
def test_cuts_at_words_lie_within_40_ms_of_the_true_borders(aligner, tmp_path):
    """32 made utterances of 4 voices, whose synthesizer tells when each word is said."""
    spoken, truth = {}, {}
    for voice in VOICES:
        for number, reading in enumerate(read_aloud(BaseVoice(engine="flite", name=voice), SENTENCES)):
            name = f"{voice}-{number}"
            soundfile.write(str(tmp_path / f"{name}.wav"), reading.wave, reading.sample_rate)
            spoken[name] = tmp_path / f"{name}.wav", SENTENCES[number].replace(",", "")
            truth[name] = reading
    assert len(spoken) >= 30
    aligned, failed = align_words(aligner, spoken)
    assert failed == {}
    errors = []
    for name, words in aligned.items():
        reading, known = truth[name], truth[name].timed.words
        size = {"rate": reading.sample_rate, "num_samples": len(reading.wave), "seconds": 3.0}
        cuts = [cut_beginning(words, cut="word", **size)]
        cuts += [draw_words(words, **size, shortest_seconds=2.0, rng=random.Random(seed)) for seed in range(3)]
        for place, cut in enumerate(cuts):
            borders = [(cut.stop, known[cut.end - 1].end)] + ([(cut.start, known[cut.first].start)] if place else [])
            errors += [abs(sample / reading.sample_rate - true) for sample, true in borders]
    near = float(np.mean(np.array(errors) <= 0.04))
    told = f"{len(errors)} cuts, median {1000 * np.median(errors):.1f} ms, {100 * near:.1f} % within 40 ms"
    print(told)  # noqa: T201 (shown by pytest -s: the figure behind the bounds)
    assert np.median(errors) <= 0.04, told
    assert near >= 0.9, told
