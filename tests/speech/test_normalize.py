"""The text front end: what is spoken for what is written, and the errors and warnings of it."""

import re
import time
from collections import defaultdict
from pathlib import Path

import pytest

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.speech.text.normalize import MAX_CHARACTERS, normalize

BANK = Path(__file__).parent / "text_bank.tsv"
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})|\\([nrt])")


def read_bank() -> list[tuple[str, str, str]]:
    """Class, written and spoken form of each item."""

    def unescaped(text: str) -> str:
        return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else {"n": "\n", "r": "\r", "t": "\t"}[m[2]], text)

    rows = [line.split("\t") for line in BANK.read_text(encoding="utf-8").splitlines() if not line.startswith("# ")]
    return [(kind, unescaped(written), spoken) for kind, written, spoken in rows]


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What is spoken for each item of the bank, or the error."""
    forms = []
    for _, written, _ in read_bank():
        try:
            forms.append(normalize(written).text)
        except TextError as error:
            forms.append(str(error))
    return forms


def test_the_bank_is_spoken_as_a_reader_would(said):
    """At least 97 % exact over all, 90 % in each class; the misses are listed."""
    right, misses = defaultdict(list), []
    for (kind, written, expected), spoken in zip(read_bank(), said, strict=True):
        right[kind].append(spoken == expected)
        if spoken != expected:
            misses.append(f"{kind}: {written!r}: {spoken!r} instead of {expected!r}")
    listed = "\n" + "\n".join(misses)
    total = sum(map(len, right.values()))
    assert total >= 320 and min(map(len, right.values())) >= 8
    assert len(misses) <= 0.03 * total, listed
    assert all(sum(hits) >= 0.9 * len(hits) for hits in right.values()), listed


def test_spoken_forms_of_the_bank_stay_as_they_are(said):
    assert [form for form in said if normalize(form).text != form] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "TEXT_EMPTY"), (" \n", "TEXT_EMPTY"), ("!?", "TEXT_NO_SPEECH"), ("\U0001f600", "TEXT_NO_SPEECH"),
     ("a" * (MAX_CHARACTERS + 1), "TEXT_TOO_LONG"), ("\ud800", "TEXT_INVALID_UNICODE"), ("<b></b>", "TEXT_NO_SPEECH"),
     ("漢字漢字", "TEXT_UNSUPPORTED_LANGUAGE"), ("Привет, мир", "TEXT_UNSUPPORTED_LANGUAGE"),
     ("שלום hi עולם", "TEXT_UNSUPPORTED_LANGUAGE"), ("Καλημέρα κόσμε", "TEXT_UNSUPPORTED_LANGUAGE")],
)  # fmt: skip
def test_texts_that_cannot_be_spoken_have_a_code(text, code):
    with pytest.raises(TextError) as raised:
        normalize(text)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("hello 漢字 there", "TEXT_UNSUPPORTED_CHARS", "字 漢"),
        ("so good 😀", "TEXT_UNSUPPORTED_CHARS", "😀"),
        ("hello ★ there", "TEXT_UNSUPPORTED_CHARS", "★"),
        ("Ж is a letter", "TEXT_UNSUPPORTED_CHARS", "Ж"),
        ("a\u200bb", "TEXT_CONTROL_CHARS", "U+200B"),
        ("\u202eabc", "TEXT_CONTROL_CHARS", "U+202E"),
        ("<b>bold</b>", "TEXT_MARKUP", "<b>"),
        ("see https://a.com", "TEXT_MARKUP", "https://"),
        ("AT&amp;T", "TEXT_MARKUP", "&amp; (read as written)"),
        ("<!-- secret -->shown", "TEXT_MARKUP", "<!--"),
        ("Please say [[x y]] or a [[ then", "TEXT_INLINE_PHONEMES", "[[ without ]] at character 25"),
        ("say [[ ]] now", "TEXT_INLINE_PHONEMES", "[[]] holds no phoneme at character 5"),
    ],
)
def test_what_is_left_out_is_named(text, code, named):
    (warning,) = normalize(text).warnings
    assert warning.startswith(code + ": ") and named in warning


@pytest.mark.parametrize(
    "text", ["<|endoftext|>", "[INST] hi [/INST]", "x < y", 'it\'s "fine" (really) - yes', "50% & $5"]
)
def test_what_is_read_is_not_warned_of(text):
    assert normalize(text).warnings == ()


def test_entities_are_never_expanded():
    assert "<" not in normalize("a &lt;b&gt; c").text
    said = normalize("x &lol9; y &#65; z").text
    assert "lol" in said and "A" not in said


def test_no_letter_is_dropped_in_silence():
    """Every letter of a text without numbers or abbreviations is in its spoken form, in order."""
    letters = iter(normalize("o_x {y} <z> |q| ~k~ `c` *b* #d @e \\f ^g [h] (i) /j/ l=m n+o p>r").text.lower())
    assert all(letter in letters for letter in "oxyzqkcbdefghijlmnopr")


@pytest.mark.parametrize(
    "unit",
    [
        "A quick fox. ",
        "On May 3 it cost $12,345.67. ",
        "1234567890",
        "?!.,;",
        "a",
        "A.",
        "[[",
        "<a ",
        "<!--",
        "&amp",
        "1/2/",
        "\u0301\u0323",
        " ",
        "\n",
        " \n",
        "-",
        ". ",
    ],
)
def test_a_hundred_thousand_characters_take_less_than_two_seconds(unit):
    """A fifth of them, and a tenth: twice as many may take little more than twice as long."""
    seconds = []
    for characters in (10_000, 20_000):
        text = "so" + unit * (characters // len(unit)) + "on"
        started = time.process_time()
        normalize(text)
        seconds.append(time.process_time() - started)
    assert seconds[1] < 2 and seconds[1] < 4 * seconds[0] + 0.2


def test_transcripts_in_capitals_are_words():
    text = "IT IS NOT FOR US TO SAY WHO LED THEM AND WHAT IT'S WORTH TO THE REST OF US"
    assert normalize(text).text == text


def test_five_thousand_words_pass():
    said = normalize("forty two cats " * 2000)
    assert said.text.count("cats") == 2000


def test_an_unknown_back_end_is_refused():
    with pytest.raises(ConfigError):
        normalize("hello", backend="other")
