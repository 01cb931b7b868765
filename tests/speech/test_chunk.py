"""Chunks of a long text: whole, in order, cut at the strongest boundary, never inside a word."""

import inspect
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.speech.text.chunk import LONGEST_INLINE, LONGEST_WORD, split
from resgen_tts.speech.text.normalize import NormalizedText, normalize
from resgen_tts.speech.text.tokens import spoken_words


def spoken(original: str) -> NormalizedText:
    """A text that is said as it is written, its blanks made single."""
    places = [(m.start(), m.end()) for m in re.finditer(r"\S|(?<=\S)\s+(?=\S)", original)]
    text = "".join(" " if original[start].isspace() else original[start] for start, _ in places)
    return NormalizedText(text, (), original, np.array(places, dtype=np.int32).reshape(-1, 2))


def texts(chunks):
    return [chunk.text.strip() for chunk in chunks]


WORDS = st.sampled_from(["a", "is", "house", "it's", "[[h ə l ˈoʊ]]", "[[", "]]", "incomprehensibilities", "x" * 55])
PARTS = st.tuples(WORDS, st.sampled_from(["", "", "", ",", ";", ".", "?", "!"]), st.sampled_from([" ", " ", "\n \n"]))


@settings(deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=60), st.integers(20, 60), st.integers(0, 10))
def test_chunks_joined_are_the_text_and_hold_every_word_whole(parts, longest, shortest):
    text = spoken("".join("".join(part) for part in parts).strip())
    chunks = split(text, longest, shortest)
    assert "".join(chunk.text for chunk in chunks) == text.text
    assert [word for chunk in chunks for word in spoken_words(chunk.text)] == spoken_words(text.text)
    for chunk in chunks:
        assert chunk.text == text.text[chunk.start : chunk.end]
        assert chunk.text.strip()
        words = spoken_words(chunk.text)
        assert len(chunk.text.rstrip()) <= longest + shortest or max(map(len, words)) > longest
    assert [chunk.boundary for chunk in chunks].count("end") == 1 and chunks[-1].boundary == "end"


def test_sentences_are_packed_and_not_torn():
    first, second, third = "This is the first sentence.", "Is this the second?", "Here is, finally, the third one!"
    chunks = split(spoken(f"{first} {second} {third}"), longest=50, shortest=10)
    assert texts(chunks) == [f"{first} {second}", third]
    assert [chunk.boundary for chunk in chunks] == ["sentence", "end"]


def test_a_long_sentence_is_cut_at_clauses_then_evenly_at_blanks():
    chunks = split(spoken("one two three four, five six seven eight nine; ten eleven twelve."), longest=30, shortest=5)
    assert texts(chunks) == ["one two three four,", "five six seven eight nine;", "ten eleven twelve."]
    assert [chunk.boundary for chunk in chunks] == ["clause", "clause", "end"]
    chunks = split(spoken("word " * 10), longest=40, shortest=5)  # 49 characters: not 39 and 9
    assert texts(chunks) == ["word word word word word"] * 2
    assert chunks[0].boundary == "word"


def test_a_paragraph_ends_a_chunk_though_more_would_fit():
    chunks = split(spoken("The heading of it all\n\nIt was late. It\nwas dark.\n \t\nThe end came soon."), 200, 10)
    assert texts(chunks) == ["The heading of it all", "It was late. It was dark.", "The end came soon."]
    assert [chunk.boundary for chunk in chunks] == ["paragraph", "paragraph", "end"]


def test_paragraphs_are_found_through_what_the_normaliser_changes():
    text = normalize("It cost $1,250 in May 1999\n\nDr. Smith paid 50%\r\n\r\nWhat? \u201cYes\u201d")
    chunks = split(text, 200, 5)
    assert [chunk.boundary for chunk in chunks] == ["paragraph", "paragraph", "end"]
    assert texts(chunks)[1].startswith("doctor Smith") and texts(chunks)[2].startswith("What")


def test_what_is_too_short_joins_a_neighbour():
    assert texts(split(spoken("Yes.\n\nThis is what he said to me."), 100, 10)) == ["Yes. This is what he said to me."]
    assert texts(split(spoken("This is what he said.\n\nYes."), 100, 10)) == ["This is what he said. Yes."]
    long = "This sentence has exactly forty letters."
    assert texts(split(spoken(f"{long} No. {long}"), 40, 10)) == [f"{long} No.", long]


@pytest.mark.parametrize("text", ["go", "Supercalifragilistic.", "x" * LONGEST_WORD, "[[h ə l ˈoʊ w ˈɜː l d]]"])
def test_a_text_of_one_word_is_one_chunk(text):
    (chunk,) = split(spoken(text), 20, 5)
    assert (chunk.text, chunk.start, chunk.end, chunk.boundary) == (text, 0, len(text), "end")


@pytest.mark.parametrize("ending", ["", ".", ", and more words."])
@pytest.mark.parametrize("size", [201, 399, 1000, 12_345])
def test_what_is_too_long_for_a_word_is_cut_into_equal_parts(size, ending):
    text = "b" * size + ending
    chunks = split(spoken(text), 200, 20)
    assert "".join(chunk.text for chunk in chunks) == text
    assert [text[chunk.start : chunk.end] for chunk in chunks] == [chunk.text for chunk in chunks]
    assert max(len(chunk.text.strip()) for chunk in chunks) < 200 + 20
    assert all(chunk.text.count("b") > 90 for chunk in chunks[:-1])
    assert all(chunk.boundary == "word" for chunk in chunks[:-1] if chunk.text.endswith("b"))


@given(st.lists(st.sampled_from(["ab", "x" * 30, "[[h ə l ˈoʊ]]", "[[" + "a " * 60 + "]]"]), min_size=1, max_size=40))
def test_no_cut_is_inside_phonemes(parts):
    text = "".join(parts)
    chunks = split(spoken(text), 60, 10)
    assert "".join(chunk.text for chunk in chunks) == text
    for chunk in chunks:
        assert chunk.text.count("[[") == chunk.text.count("]]")
        assert len(chunk.text) < 60 + 10 or max(map(len, chunk.text.split("]]"))) > 60


def test_phonemes_without_end_are_refused():
    group = "[[" + "a" * (LONGEST_INLINE - 4) + "]]"
    assert texts(split(spoken(group * 2), 100, 10)) == [group, group]
    with pytest.raises(TextError, match="TEXT_INLINE_PHONEMES"):
        split(spoken("[[" + "a" * LONGEST_INLINE + "]]"), 100, 10)


def test_all_repetitions_of_a_word_are_kept():
    for longest in (10, 37, 100, 200):
        chunks = split(spoken("really " * 40), longest, min(5, longest))
        assert sum(chunk.text.split().count("really") for chunk in chunks) == 40


LONG = ["word " * 20_000, "a" * 100_000, "[[ " * 33_000, "It is so. " * 10_000, "I.\n\n" * 25_000]


def test_a_hundred_thousand_characters_take_less_than_a_second():
    """In a process without the tests' checks of every call's types, as users have it."""
    code = (
        "import json, re, sys, time\nimport numpy as np\n"
        "from resgen_tts.speech.text.chunk import split\n"
        "from resgen_tts.speech.text.normalize import NormalizedText\n"
        f"{inspect.getsource(inspect.unwrap(spoken))}\n"
        "for text in json.load(sys.stdin):\n"
        "    ready, started = spoken(text), time.process_time()\n"
        "    chunks = split(ready)\n"
        "    print(time.process_time() - started, ''.join(chunk.text for chunk in chunks) == ready.text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(LONG), capture_output=True, text=True, check=True
    )
    told = [line.split() for line in done.stdout.splitlines()]
    assert len(told) == len(LONG) and all(whole == "True" for _, whole in told)
    assert max(float(seconds) for seconds, _ in told) < 1


def test_nonsense_sizes_are_refused():
    for longest, shortest in ((0, 0), (10, 11), (10, -1)):
        with pytest.raises(ConfigError):
            split(spoken("a"), longest, shortest)
