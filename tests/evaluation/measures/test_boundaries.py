"""Borders compared: closed forms of the differences, and the alignment of labels against a plain search."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.boundaries import (
    boundary_errors,
    edit_alignment,
    matched_phones,
    matched_words,
    summarize,
)
from resgen_tts.evaluation.measures.phone_names import CONSONANTS, VOWELS, from_arpabet, from_ipa, substitution_cost
from resgen_tts.evaluation.measures.timed import Span, Timed

# Every symbol that espeak has given for the corpora of the recipes, and two phones of foreign names.
ESPEAK = """aɪ aɪə aɪɚ aʊ b d dʒ eɪ f h i iə iː j k l m n n̩ oʊ oːɹ p s t tʃ uː v w x z æ ð ŋ ɐ ɑː ɑːɹ ɔ ɔɪ ɔː ɔːɹ ə əl ɚ
ɛ ɛɹ ɜː ɡ ɪ ɪɹ ɹ ɾ ʃ ʊ ʊɹ ʌ ʒ ʔ θ ᵻ""".split()  # noqa: SIM905


def timed(words: str, phones: str = "", step: float = 0.1, start: float = 0.5) -> Timed:
    """Words of `step` each, one behind the other; phones of a word are split by dots and share its time."""
    spans = [Span(word, start + step * k, start + step * (k + 1)) for k, word in enumerate(words.split())]
    sounds = []
    for span, own in zip(spans, phones.split() if phones else (), strict=False):
        names = own.split(".")
        each = step / len(names)
        sounds += [Span(name, span.start + each * k, span.start + each * (k + 1)) for k, name in enumerate(names)]
    return Timed(words=tuple(spans), phones=tuple(sounds))


def shifted(original: Timed, seconds: float) -> Timed:
    def move(spans):
        return tuple(Span(one.label, one.start + seconds, one.end + seconds) for one in spans)

    return Timed(words=move(original.words), phones=move(original.phones))


@given(first=st.text("abo", max_size=5), second=st.text("abo", max_size=5))
def test_the_alignment_is_the_cheapest(first, second):
    def cost(a, b):
        return 0.0 if a == b else 2.0 if "o" in (a, b) else 0.5

    @functools.cache
    def cheapest(i, j):
        if i == 0 or j == 0:
            return i + j
        return min(
            cheapest(i - 1, j) + 1, cheapest(i, j - 1) + 1, cheapest(i - 1, j - 1) + cost(first[i - 1], second[j - 1])
        )

    pairs = edit_alignment(list(first), list(second), cost)
    assert [i for i, _ in pairs if i is not None] == list(range(len(first)))
    assert [j for _, j in pairs if j is not None] == list(range(len(second)))
    assert sum(1 if None in pair else cost(first[pair[0]], second[pair[1]]) for pair in pairs) == cheapest(
        len(first), len(second)
    )


def test_a_shift_is_measured_as_it_is():
    truth = timed("the old cat", "dh.ax ow.l.d k.ae.t")
    errors = [boundary_errors(truth, shifted(truth, 0.03)), boundary_errors(truth, shifted(truth, -0.03))]
    scores = summarize(errors, seed=0)
    assert scores.keys() == {"words", "word starts", "word ends", "phones"}
    assert scores["words"].borders == 12 and scores["phones"].borders == 32
    for score in scores.values():
        assert score.matched_share == 1
        for interval in (score.median_ms, score.mean_ms):
            assert [interval.value, interval.low, interval.high] == pytest.approx([30] * 3)
        assert {limit: share.value for limit, share in score.within.items()} == {20: 0, 40: 1, 60: 1, 100: 1}


def test_starts_and_ends_are_told_apart():
    truth = Timed(words=(Span("a", 1.0, 2.0), Span("b", 2.0, 3.0)))
    found = Timed(words=(Span("a", 1.01, 2.2), Span("b", 2.03, 3.0)))
    errors = boundary_errors(truth, found)
    assert errors.word_starts == pytest.approx((0.01, 0.03)) and errors.word_ends == pytest.approx((0.2, 0.0))
    scores = summarize([errors], seed=0)
    assert scores["words"].median_ms.value == pytest.approx(20) and scores["words"].mean_ms.value == pytest.approx(60)
    assert scores["word starts"].mean_ms.value == pytest.approx(20) and "phones" not in scores


def test_only_words_that_both_have_are_compared():
    reference, found = timed("the cat sat on the mat"), timed("a cat sat quietly on mat")
    pairs = matched_words(reference.words, found.words)
    assert [left.label for left, _ in pairs] == ["cat", "sat", "on", "mat"]
    assert all(left.label == right.label for left, right in pairs)
    score = summarize([boundary_errors(reference, found)], seed=0)["words"]
    assert score.matched_share == pytest.approx(4 / 6) and score.borders == 8


def test_a_symbol_of_two_phones_gives_its_outer_borders():
    reference = [Span(name, float(k), k + 1.0) for k, name in enumerate(("d", "ao", "r", "z"))]
    found = [Span("d", 0.0, 1.5), Span("ao r", 1.5, 3.25), Span("z", 3.25, 4.0)]
    starts, ends = matched_phones(reference, found)
    assert starts == [(0.0, 0.0), (1.0, 1.5), (3.0, 3.25)] and ends == [(1.0, 1.5), (3.0, 3.25), (4.0, 4.0)]
    assert matched_phones(found, reference)[1] == [(1.5, 1.0), (3.25, 3.0), (4.0, 4.0)]  # whichever side has it


def test_a_vowel_never_stands_for_a_consonant():
    reference = [Span("ah", 0.0, 1.0), Span("t", 1.0, 2.0)]
    assert matched_phones(reference, [Span("s", 0.0, 1.0)])[0] == [(1.0, 0.0)]
    assert matched_phones(reference[:1], [Span("s", 0.0, 1.0)]) == ([], [])


def test_phones_are_found_by_their_middle():
    truth = timed("the old cat", "dh.ax ow.l.d k.ae.t")
    assert [[one.label for one in truth.phones_of(word)] for word in truth.words] == [
        ["dh", "ax"], ["ow", "l", "d"], ["k", "ae", "t"],
    ]  # fmt: skip


def test_names_of_phones():
    names = {symbol: from_ipa(symbol) for symbol in ESPEAK}
    assert all(name and set(name.split()) <= VOWELS | CONSONANTS for name in names.values()), names
    assert from_ipa("ˈoʊ") == "ow" and from_ipa("ˌɔːɹ") == "ao r" and from_ipa("dʒ") == "jh"
    assert [from_ipa(mark) for mark in " ,.;:?!"] == [""] * 7 == [from_arpabet(mark) for mark in " ,.;:?!"]
    assert from_ipa("ʘ") is None and from_arpabet("QX") is None
    assert from_arpabet("AA1") == from_arpabet("aa") == "aa" and from_arpabet("SIL") == ""
    assert not VOWELS & CONSONANTS


def test_costs_of_phones():
    assert substitution_cost("t", "t") == substitution_cost("ah", "ax") == substitution_cost("dx", "t") == 0
    assert 0 < substitution_cost("ih", "iy") == substitution_cost("b", "s") < 1  # rather changed than left out
    assert substitution_cost("ae", "s") >= 2


def test_times_survive_a_file_and_nonsense_does_not():
    truth = timed("the cat", "dh.ax k.ae.t")
    assert boundary_errors(truth, Timed.from_json(truth.to_json())).phone_ends == pytest.approx([0] * 5, abs=1e-5)
    for wrong in ({}, {"words": [["a", 0.0]], "phones": []}, {"words": [["a", "x", 1]], "phones": []}):
        with pytest.raises(DataError) as caught:
            Timed.from_json(wrong)
        assert caught.value.code == "TIMES_INVALID"
    with pytest.raises(DataError, match="lasts from"):
        Span("a", 2.0, 1.0)
