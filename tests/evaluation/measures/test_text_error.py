"""Error rates against counts made by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.normalizers import letters_only
from resgen_tts.evaluation.measures.text_error import ErrorCounts, text_error, total


def test_hand_counted_words():
    found = text_error("The cat sat on the big old mat today.", "the bat sat the big old mat mat today")
    assert found.words == ErrorCounts(hits=7, substitutions=1, deletions=1, insertions=1)
    assert found.words.rate == pytest.approx(3 / 9)


def test_hand_counted_characters_without_spaces():
    found = text_error("ab cd", "abc d")  # the spaces differ, the letters do not
    assert found.characters == ErrorCounts(hits=4)
    assert found.words == ErrorCounts(substitutions=2)


def test_corpus_rate_weighs_items_by_their_words():
    long, short = text_error("one two three four five six", "one two three four five six"), text_error("no", "yes")
    assert total([long.words, short.words]).rate == pytest.approx(1 / 7)  # not the mean of 0 and 1


@pytest.mark.parametrize(
    ("said", "heard", "words", "characters"),  # (hits, substitutions, deletions, insertions) counted by hand
    [
        ("a b c", "a b c", (3, 0, 0, 0), (3, 0, 0, 0)),
        ("a b c", "a c", (2, 0, 1, 0), (2, 0, 1, 0)),
        ("a c", "a b c", (2, 0, 0, 1), (2, 0, 0, 1)),
        ("cat", "cut", (0, 1, 0, 0), (2, 1, 0, 0)),
        ("cat", "", (0, 0, 1, 0), (0, 0, 3, 0)),
        ("no", "no no no no", (1, 0, 0, 3), (2, 0, 0, 6)),  # rate 3
        ("Stop! Go; now.", "stop go now", (3, 0, 0, 0), (9, 0, 0, 0)),
        ("it's here", "its here", (2, 0, 0, 0), (7, 0, 0, 0)),
        ("ice cream", "icecream", (0, 1, 1, 0), (8, 0, 0, 0)),  # one word wrong, one gone, no letter wrong
        ("room 12", "room twelve", (1, 1, 0, 0), (4, 2, 0, 4)),
        ("all is well that ends well", "all as well ends well", (4, 1, 1, 0), (16, 1, 4, 0)),
        ("Zoë was naïve", "zoe was naive", (3, 0, 0, 0), (11, 0, 0, 0)),
    ],
)
def test_hand_counted_cases(said, heard, words, characters):
    found = text_error(said, heard)
    for counts, expected in ((found.words, words), (found.characters, characters)):
        assert (counts.hits, counts.substitutions, counts.deletions, counts.insertions) == expected


def test_silence_is_all_deletions_and_babble_can_exceed_one():
    assert text_error("hear me now", "").words == ErrorCounts(deletions=3)
    assert text_error("hear", "i do not hear you").words.rate == 4.0


def test_alignment_tells_what_was_said_and_heard():
    pieces = text_error("please open the very old front door", "please shut the old front door now").alignment
    assert [(piece.kind, piece.reference, piece.heard) for piece in pieces] == [
        ("equal", ("please",), ("please",)),
        ("substitute", ("open",), ("shut",)),
        ("equal", ("the",), ("the",)),
        ("delete", ("very",), ()),
        ("equal", ("old", "front", "door"), ("old", "front", "door")),
        ("insert", (), ("now",)),
    ]


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("Don’t STOP — it's Zoë's!", "dont stop its zoes"),
        ("well-known  words\n(really)", "well known words really"),
        ("room 12", "room 12"),
        ("...", ""),
        ("snake_case", "snake case"),
    ],
)
def test_letters_only(text, normalised):
    assert letters_only(text) == normalised


@given(st.text(max_size=60))
def test_normaliser_is_stable_and_a_text_against_itself_is_perfect(text):
    once = letters_only(text)
    assert letters_only(once) == once
    if once:
        found = text_error(text, text)
        assert found.words.errors == found.characters.errors == 0


def test_a_reference_without_letters_is_refused():
    with pytest.raises(DataError, match="no letters"):
        text_error("?!", "hello")
