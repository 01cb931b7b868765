"""Where spoken characters come from: the rewriting engine, and truths about every text."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import TextError
from resgen_tts.speech.text.normalize import normalize
from resgen_tts.speech.text.rewrite import Notes, Spans, TracedText, word_set

SPOKEN = re.compile(r"[A-Za-z' ,.;:?!]*")
_INLINE = re.compile(r"\[\[[^\[\]\n]+\]\]")
# Pieces that meet each other's rules; hypothesis finds the awkward neighbours.
_WORDS = word_set(
    """1 2 0 5 19 1984 2005 007 1,234 3.5 . , ; : ? ! ' " - – — … / \\ ( ) [ ] [[ ]] [[x]] < > <b> </b>
    & &amp; % $ £ € ¢ @ # * _ + = × ÷ ° ² ½ km kg m ft in pm a.m. st nd th s Dr. St. No. Mr. e.g.
    i.e. etc. vs. U.S. NASA FBI PCs A I V X II XIV Louis King Chapter May Jan. Mon. Main the on a
    and é ñ ﬁ ü 漢 π я 😀 ❤️ www. .com http:// x.y@z.com v1.2 hello World o'clock 'tis dogs' | ~ ^ ` {
    } :) <| |> 'a b' -5 ±"""
)
PIECES = st.sampled_from([*sorted(_WORDS), "\u200b", "\u202e", "\u0301", "\n", "\n\n", "\t"])
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.tuples(PIECES, st.sampled_from(["", " "])), max_size=14).map(
        lambda items: "".join(a + b for a, b in items)
    ),
)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(text="U.S. I. V")
@example(text="²@0.AA")
@example(text="www.a²b–c/½.com #a² v1.2²")
def test_truths_about_every_text(text):
    """Only spoken characters, spans in range and rising, and the spoken form of a spoken form is itself."""
    try:
        said = normalize(text)
    except TextError:
        return
    assert SPOKEN.fullmatch(_INLINE.sub("", said.text)), said.text
    assert said.text == said.text.strip() and "  " not in _INLINE.sub("x", said.text)
    assert said.original == text and said.origins.shape == (len(said.text), 2)
    assert (
        (said.origins[:, 0] < said.origins[:, 1]).all() and said.origins.min() >= 0 and said.origins.max() <= len(text)
    )
    assert (np.diff(said.origins, axis=0) >= 0).all()
    assert normalize(said.text).text == said.text


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.from_regex(r"[b-hj-z][a-z]{2,7}", fullmatch=True), min_size=1, max_size=8),
    mark=st.sampled_from(",;?!"),
)
def test_plain_words_stand_for_themselves(words, mark):
    text = f"{mark} ".join(words)
    said = normalize(text)
    assert said.text == text
    assert (said.origins == TracedText.start(text).origins).all()
    assert said.span(0, len(text)) == (0, len(text))


def test_words_know_the_characters_they_were_spoken_for():
    text = "Pay $2.50 to Dr. Lee — now\u200b!"
    said = normalize(text)
    for word, written in [
        ("two dollars and fifty cents", "$2.50"),
        ("doctor", "Dr."),
        ("Lee", "Lee"),
        ("now", "now"),
        ("!", "!"),
    ]:
        first = said.text.index(word)
        start, end = said.span(first, first + len(word))
        assert text[start:end] == written


def test_inline_phonemes_stand_for_themselves():
    text = "5 [[h@'loU]] 6"
    said = normalize(text)
    first = said.text.index("[[")
    assert said.text[first : first + 11] == "[[h@'loU]]"[:11] + said.text[first + 10]
    assert said.origins[first : first + 10].tolist() == [[place, place + 1] for place in range(2, 12)]


@settings(max_examples=100, deadline=None)
@given(text=st.text("abc ", max_size=20), data=st.data())
def test_edits_are_string_splicing_with_memory(text, data):
    """Against a plain loop: pairs of character and span, spliced one edit at a time."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    edits = [(a, b, data.draw(st.text("abc", max_size=4))) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    traced = TracedText.start(text).edit(edits)
    expected, done = "", 0
    for first, end, new in edits:
        expected += text[done:first] + new
        done = end
    assert traced.text == expected + text[done:]
    assert traced.origins.shape == (len(traced.text), 2)
    # Characters outside the edits stand for themselves, those inside for something inside.
    place = done = 0
    for first, end, new in [*edits, (len(text), len(text), "")]:
        outside = traced.origins[place : place + first - done]
        assert outside.tolist() == [[p, p + 1] for p in range(done, first)]
        place += first - done
        inside = traced.origins[place : place + len(new)]
        assert ((inside[:, 0] >= first) & (inside[:, 1] <= end)).all()
        place, done = place + len(new), end


def test_what_an_edit_leaves_stands_for_itself():
    traced = TracedText.start("a well-known b").edit([(2, 12, "well known")])
    assert traced.text == "a well known b"
    assert (traced.origins == TracedText.start("a well-known b").origins).all()
    grown = TracedText.start("ab").edit([(0, 1, "xyz")]).edit([(2, 4, "")])
    assert grown.text == "xy" and grown.origins.tolist() == [[0, 1], [0, 1]]
    with pytest.raises(AssertionError):
        TracedText.start("abc").edit([(1, 3, "x"), (0, 1, "y")])


def test_spans_and_notes():
    spans = Spans([(1, 3), (5, 6)])
    assert [place in spans for place in range(7)] == [False, True, True, False, False, True, False]
    notes = Notes(unspoken={chr(0x4E00 + number) for number in range(30)}, controls={"\u200b"})
    control, unspoken = notes.warnings()
    assert control == "TEXT_CONTROL_CHARS: removed: U+200B"
    assert unspoken.startswith("TEXT_UNSUPPORTED_CHARS: not spoken: 一") and unspoken.endswith("and 10 more")
