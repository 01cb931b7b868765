"""The text front end: what is spoken for what is written, symbols, and the errors of both."""

import time

import pytest

from resgen_tts.common.errors import ConfigError, DataError, TextError
from resgen_tts.speech.text.normalize import normalize
from resgen_tts.speech.text.phonemes import phonemize
from resgen_tts.speech.text.symbols import SILENCE, Inventory, collect_inventory, to_symbols


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It costs $2.50.", "It costs two dollars and fifty cents."),
        (
            "On the 21st of May, 1,234 people",
            "On the twenty first of May, one thousand two hundred and thirty four people",
        ),
        ("-3 degrees & 50%", "minus three degrees and fifty percent"),
        ("Dr. Smith’s café…", "doctor Smith's cafe."),
        ("a\u200bb", "ab"),
        ("pi is 3.14", "pi is three point one four"),
        ("well-known", "well known"),
    ],
)
def test_written_forms_are_spelled_out(written, spoken):
    assert normalize(written).text == spoken


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "TEXT_EMPTY"), (" \n", "TEXT_EMPTY"), ("!?", "TEXT_NO_SPEECH"), ("a" * 100_001, "TEXT_TOO_LONG"),
     ("\ud800", "TEXT_INVALID_UNICODE"), ("漢字", "TEXT_NO_SPEECH")],
)  # fmt: skip
def test_texts_that_cannot_be_spoken_have_a_code(text, code):
    with pytest.raises(TextError) as raised:
        normalize(text)
    assert raised.value.code == code


def test_what_is_left_out_is_named():
    notes = normalize("hello 漢字 <b>").warnings
    assert len(notes) == 1 and "漢" in notes[0] and "<" in notes[0]
    assert "TEXT_CONTROL_CHARS" in normalize("a\u200bb").warnings[0]


def test_a_hundred_thousand_characters_take_less_than_two_seconds():
    text = ("On May 3 it cost $12,345.67. " * 4000)[:100_000]
    started = time.process_time()
    normalize(text)
    assert time.process_time() - started < 2


def test_phones_words_and_pauses():
    first, second = phonemize(["hello world, yes", "no"])
    assert first.count(" ") == 2 and "," in first
    assert second == ["n", "ˈoʊ"]
    assert all(symbol == " " or symbol in ",.;:?!" or symbol.strip() for symbol in first)


def test_units_make_symbols_and_inventories():
    rows = to_symbols(["go on", "stop"], "phonemes")
    inventory = collect_inventory(rows, "phonemes")
    assert inventory.symbols[0] == SILENCE
    numbers, warnings = inventory.encode(rows[0])
    assert numbers[0] == numbers[-1] == 0 and 0 not in numbers[1:-1] and not warnings
    assert [inventory.symbols[n] for n in numbers[1:-1]] == rows[0]
    (row,) = to_symbols(["Hé"], "bytes")
    numbers, _ = collect_inventory([], "bytes").encode(row)
    assert [n - 1 for n in numbers[1:-1]] == list("hé".encode())


def test_a_phone_never_seen_stressed_stands_for_itself_and_a_stranger_is_named():
    inventory = Inventory("phonemes", (SILENCE, "a", "b"))
    numbers, warnings = inventory.encode(["ˈa", "q", "b"])
    assert numbers == [0, 1, 2, 0]
    assert "q" in warnings[0]
    with pytest.raises(TextError, match="TEXT_NO_SPEECH"):
        inventory.encode(["q"])


def test_broken_inventories_are_refused():
    with pytest.raises(ConfigError):
        Inventory("words", (SILENCE,))
    with pytest.raises(DataError):
        Inventory("phonemes", ("a", SILENCE))
    with pytest.raises(ConfigError):
        to_symbols(["a"], "words")
