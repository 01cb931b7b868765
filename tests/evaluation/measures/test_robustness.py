"""Leaks, skips and repeats, counted by hand."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.evaluation.measures.robustness import leaks, repeats, robustness, robustness_rates
from resgen_tts.evaluation.measures.text_error import text_error

PROMPT = "Seven students waited behind the old castle."


def judged(target: str, heard: str, prompt: str = PROMPT):
    return robustness(text_error(target, heard), prompt)


@pytest.mark.parametrize(
    ("target", "heard", "leaked"),
    [
        ("The doctor opened it.", "the doctor opened it", ()),
        ("The doctor opened it.", "the old castle the doctor opened it", ("the old castle",)),
        ("The doctor opened it.", "behind the old castle the doctor opened it", ("behind the old castle",)),
        ("The doctor opened it.", "old castle the doctor opened it", ()),  # two words may be chance
        ("Behind the old castle.", "behind the old castle", ()),  # the text says so itself
        ("Behind the old barn.", "behind the old castle", ("the old castle",)),
        ("A b c.", "seven students waited a b c the old castle", ("seven students waited", "the old castle")),
        ("A b c.", "", ()),
    ],
)
def test_leaks(target, heard, leaked):
    assert judged(target, heard).leaked == leaked


def test_a_short_prompt_cannot_leak():
    assert judged("a b c d", "hello there a b c d", prompt="Hello there!").leaked == ()
    assert judged("a b c d", "hello there a b c d", prompt="").leaked == ()


@pytest.mark.parametrize(
    ("target", "heard", "skipped"),
    [
        ("one two three four five", "one two three four five", ()),
        ("one two three four five", "one two four five", ()),  # one word is no run
        ("one two three four five", "one four five", ("two three",)),
        ("one two three four five six", "three four", ("one two", "five six")),
        ("one two three four five", "", ("one two three four five",)),
        ("one two three four five", "one two nine ten five", ()),  # other words, but none is missing
        ("hello", "", ("hello",)),
        ("hello", "yellow", ()),
        ("hello you", "hello", ()),
    ],
)
def test_skips(target, heard, skipped):
    assert judged(target, heard).skipped == skipped


@pytest.mark.parametrize(
    ("target", "heard", "repeated"),
    [
        ("the cat sat", "the cat sat", ()),
        ("the cat sat", "the cat the cat sat", ("the cat",)),
        ("the cat sat", "the cat sat sat", ("sat",)),
        ("the cat sat", "the cat sat the cat sat", ("the cat sat",)),
        ("the cat and the cat", "the cat and the cat", ()),  # not directly
        ("very very good", "very very good", ()),
        ("very very good", "very very very good", ("very",)),
        ("very very very good", "very very good", ()),
        ("very good", "very very very very good", ("very",)),  # not "very very", too
        ("a b a b a", "a b a b a", ()),
        ("a b a b a", "a b a b a b", ("a b",)),
        ("a b a b", "b a b a", ("b a",)),
        ("la la la and no no", "la la la no no no", ("no",)),
        ("a b", "", ()),
    ],
)
def test_repeats(target, heard, repeated):
    assert judged(target, heard).repeated == repeated


def test_the_right_count_of_forty_repetitions_matters():
    assert not repeats(["go"] * 40, ["go"] * 40)
    assert repeats(["go"] * 41, ["go"] * 40) == ["go"]
    assert not repeats(["go"] * 39, ["go"] * 40)


def test_five_thousand_equal_words_take_no_time():
    assert repeats(["go"] * 5001, ["go"] * 5000) == ["go"]


def plainly_repeats(heard: list[str], target: list[str]) -> bool:
    """Count every row of words at every place."""

    def times(words, row, place):
        count = 0
        while words[place : place + len(row)] == row:
            count, place = count + 1, place + len(row)
        return count

    for start, end in itertools.combinations(range(len(heard) + 1), 2):
        row = heard[start:end]
        allowed = max([1, *(times(target, row, place) for place in range(len(target)))])
        if times(heard, row, start) > allowed:
            return True
    return False


@settings(deadline=None, max_examples=200)
@given(heard=st.lists(st.sampled_from("abc"), max_size=9), target=st.lists(st.sampled_from("abc"), max_size=9))
def test_repeats_and_leaks_agree_with_a_plain_search(heard, target):
    assert bool(repeats(heard, target)) == plainly_repeats(heard, target)
    reference = list("abcab")
    rows = [tuple(words[place : place + 3]) for words in [reference] for place in range(3)]
    said = [tuple(target[place : place + 3]) for place in range(len(target) - 2)]
    leaked = [tuple(heard[place : place + 3]) for place in range(len(heard) - 2)]
    assert bool(leaks(heard, reference, target)) == any(row in rows and row not in said for row in leaked)


def test_rates_are_shares_of_items_and_a_ratio_of_words():
    items = [
        judged("one two three four", "one two three four"),
        judged("one two three four", "the old castle one two three four"),
        judged("one two three four", "one"),
        judged("one two three four", "one two one two three four"),
    ]
    rates = robustness_rates(items, seed=0)
    assert (rates.leak.value, rates.skip.value, rates.repeat.value) == (0.25, 0.25, 0.25)
    assert rates.word_ratio.value == (4 + 7 + 1 + 6) / 16
    assert 0 <= rates.leak.low < 0.25 < rates.leak.high <= 1
    assert [item.word_ratio for item in items] == [1, 1.75, 0.25, 1.5]
