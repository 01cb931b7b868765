"""ARPAbet without network: the dictionary, homographs by their neighbours, and words that nobody lists."""

import re

import pytest

pytest.importorskip("g2p_en", reason="extra g2p")

from resgen_tts.speech.text import arpabet
from resgen_tts.speech.text.homographs import tag
from resgen_tts.speech.text.spell import spell
from resgen_tts.speech.text.symbols import PAUSE


def said(text):
    """Phones of each word, joined by blanks."""
    words = text.split()
    row = arpabet.pronounce([words])[0]
    return [" ".join(phone for phone, owner in row if owner == place) for place in range(len(words))]


def test_nothing_is_fetched(monkeypatch):
    import nltk

    monkeypatch.setattr(nltk, "download", lambda *_, **__: pytest.fail("nltk.download was called"))
    arpabet._model.cache_clear()
    assert said("hello") == ["HH AH0 L OW1"]
    assert nltk.download.__name__ == "<lambda>"  # what was there is there again


def test_words_are_separated_by_pauses_and_vowels_keep_their_stress():
    (row,) = spell(["Hello world, it's two o'clock"], "arpabet")
    text = "".join("/" if symbol == PAUSE else symbol + "." for symbol in row.symbols)
    assert text == "HH.AH0.L.OW1./W.ER1.L.D.,./IH1.T.S./T.UW1./AH0.K.L.AA1.K."
    assert [w for s, w in zip(row.symbols, row.words, strict=True) if s in (PAUSE, ",")] == [-1] * 5
    vowels = [s for s in row.symbols if s[0] in "AEIOU"]
    assert vowels and all(re.fullmatch(r"[A-Z]{2}[012]", vowel) for vowel in vowels)


def test_inline_phones_and_lexicons_work_as_for_phonemes():
    (row,) = spell(["say [[HH AH0 L OW1]] now"], "arpabet")
    assert "/".join("".join(row.symbols).split(PAUSE)) == "SEY1/HHAH0LOW1/NAW1"


@pytest.mark.parametrize(
    ("text", "place", "phones"),
    [
        ("i refuse to collect the refuse", 1, "R IH0 F Y UW1 Z"),
        ("i refuse to collect the refuse", 5, "R EH1 F Y UW2 Z"),
        ("they record a record", 1, "R IH0 K AO1 R D"),
        ("they record a record", 3, "R EH1 K ER0 D"),
        ("do not permit it", 2, "P ER0 M IH1 T"),
        ("show me your permit", 3, "P ER1 M IH2 T"),
        ("please close the door", 1, "K L OW1 Z"),
        ("a close friend", 1, "K L OW1 S"),
        ("he uses it", 1, "Y UW1 Z IH0 Z"),
        ("its many uses are known", 2, "Y UW1 S IH0 Z"),
        ("the use of force", 1, "Y UW1 S"),
        ("we never use it", 2, "Y UW1 Z"),
        ("they used to go", 1, "Y UW1 S T"),
        ("it is used to cut", 2, "Y UW1 Z D"),
        ("i will read a book", 2, "R IY1 D"),
        ("she had read it", 2, "R EH1 D"),
        ("a good read", 2, "R IY1 D"),
        ("people live here", 1, "L IH1 V"),
        ("live music", 0, "L AY1 V"),
        ("they lost their lives", 3, "L AY1 V Z"),
        ("he lives alone", 1, "L IH1 V Z"),
        ("the wind is cold", 1, "W IH1 N D"),
        ("to wind a clock", 1, "W AY1 N D"),
        ("object to the object", 3, "AA1 B JH EH0 K T"),
        ("we object to it", 1, "AH0 B JH EH1 K T"),
        ("they exploit a rebel", 1, "EH2 K S P L OY1 T"),
        ("they exploit a rebel", 3, "R EH1 B AH0 L"),
        ("processes", 0, "P R AA1 S EH0 S AH0 Z"),
        ("the contents of the box", 1, "K AA1 N T EH0 N T S"),
        ("it is not perfect", 3, "P ER1 F IH2 K T"),
        ("a house", 1, "HH AW1 S"),
        ("to house them", 1, "HH AW1 Z"),
    ],
)
def test_homographs_by_the_words_beside_them(text, place, phones):
    assert said(text)[place] == phones


def test_tags_need_no_neighbours():
    assert tag(["use"], 0) == "N" and tag(["used"], 0) == "VBN"


def test_words_that_no_dictionary_lists_are_said_whole():
    (cats, fish, boat), (letters,) = said("zyxel's blish's flurk's"), said("xqzt")
    assert cats.endswith(" Z") and fish.endswith("IH0 Z") and boat.endswith("K S")
    assert letters == "EH1 K S K Y UW1 Z IY1 T IY1"
    part, whole = said("blishflurkzonka " + "blishflurkzonka" * 2)  # the network alone stops after 20 phones
    assert whole == f"{part} {part}" and len(whole.split()) > 20
    assert not any(mark in "".join(said("xyloquartz")) for mark in "<>")


def test_a_word_without_sound_leaves_no_pause():
    (row,) = arpabet.pronounce([["the", "'", "'hello'"]])
    assert [phone for phone, _ in row].count(PAUSE) == 1 and row[-1] == ("OW1", 2)
