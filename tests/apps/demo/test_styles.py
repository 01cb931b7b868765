"""Several voices in one text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.apps.demo.styles import Part, split_styles
from resgen_tts.common.errors import ConfigError, DataError, TextError

KNOWN = ["anna", "bob", "x-1_Y"]


def test_names_hand_over():
    assert split_styles("[anna] Hello. [bob] Hi.", "x-1_Y", KNOWN) == [Part("anna", "Hello."), Part("bob", "Hi.")]


def test_what_stands_before_a_name_is_the_chosen_voice():
    assert split_styles("Well. [bob] Hi.", "anna", KNOWN) == [Part("anna", "Well."), Part("bob", "Hi.")]


def test_neighbours_of_one_voice_are_one_part():
    assert split_styles("a [anna] b [anna] [bob] [anna] c", "anna", KNOWN) == [Part("anna", "a b c")]


def test_phonemes_in_double_brackets_are_text():
    assert split_styles("say [[bob]] now", "anna", KNOWN) == [Part("anna", "say [[bob]] now")]


def test_brackets_around_no_name_are_text():
    assert split_styles("[two words] [] [é] x", "anna", KNOWN) == [Part("anna", "[two words] [] [é] x")]


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match=r"\[carol\].*anna, bob, x-1_Y") as told:
        split_styles("[carol] Hello.", "anna", KNOWN)
    assert told.value.code == "VOICE_UNKNOWN"


def test_nothing_to_say_and_nobody_to_say_it():
    with pytest.raises(TextError) as told:
        split_styles("[anna]  \n [bob]", "anna", KNOWN)
    assert told.value.code == "TEXT_EMPTY"
    with pytest.raises(ConfigError) as told:
        split_styles("Hello. [bob] Hi.", "", KNOWN)
    assert told.value.code == "VOICE_MISSING"
    assert split_styles("[bob] Hi.", "", KNOWN) == [Part("bob", "Hi.")]


@given(st.lists(st.tuples(st.sampled_from(KNOWN), st.from_regex(r"[a-z]{1,5}", fullmatch=True)), min_size=1))
def test_no_word_is_lost_or_given_to_another(pieces):
    parts = split_styles(" ".join(f"[{voice}] {word}" for voice, word in pieces), "", KNOWN)
    assert [(part.voice, word) for part in parts for word in part.text.split()] == pieces
    assert all(one.voice != other.voice for one, other in itertools.pairwise(parts))
