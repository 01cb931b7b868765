"""A user's lexicon: what it says wins, and every bad line is named."""

import pytest

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.speech.text.lexicon import Lexicon
from resgen_tts.speech.text.spell import spell
from resgen_tts.speech.text.symbols import SILENCE, Inventory
from resgen_tts.speech.text.units import TextUnits


def write(tmp_path, text):
    path = tmp_path / "my words.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_words_are_read_whatever_their_case(tmp_path):
    path = write(tmp_path, "\ufeff# names\nResGen\tR EH1 S JH EH2 N\r\n\n  # more\ncafé\tK AE0 F EY1\n")
    lexicon = Lexicon.read(path)
    assert lexicon.entries == {"resgen": ("R", "EH1", "S", "JH", "EH2", "N"), "café": ("K", "AE0", "F", "EY1")}
    assert lexicon.get("RESGEN") == lexicon.get("'resgen'") == ("R", "EH1", "S", "JH", "EH2", "N")
    assert lexicon.get("res") is None
    assert len(lexicon.digest) == 64 and lexicon.digest != Lexicon.read(write(tmp_path, "a\tb")).digest


def test_every_bad_line_is_named_with_its_file(tmp_path):
    path = write(tmp_path, "good\ta b\nno tab here\ntwo words\ta\nempty\t \n# fine\nGood\tc\nx\ta\tb\n")
    with pytest.raises(DataError) as raised:
        Lexicon.read(path)
    assert raised.value.code == "LEXICON_INVALID"
    expected = {2: "0 tabs", 3: "not one word", 4: "no symbols", 6: "line 1 already", 7: "2 tabs"}
    problems = raised.value.message.split("; ")
    for (line, why), problem in zip(expected.items(), problems, strict=True):
        assert problem.startswith(f"my words.txt:{line}:") and why in problem


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DataError, match=r"FILE_MISSING.*nowhere"):
        Lexicon.read(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"my words.txt:2: not UTF-8"):
        Lexicon.read(write(tmp_path, b"a\tb\n\xff\xfe\tb\n"))


def test_the_lexicon_overrides_whole_words_and_leaves_their_neighbours():
    lexicon = Lexicon({"of": ("X", "Y")})
    (plain,), (changed,) = spell(["end of the office."], "phonemes"), spell(["end of the office."], "phonemes", lexicon)
    assert plain.symbols[:6] == ("ˈɛ", "n", "d", " ", "ʌ", "v")  # espeak joins "of the"
    assert changed.symbols[:7] == ("ˈɛ", "n", "d", " ", "X", "Y", " ")
    for word in (0, 2, 3):
        assert sounds_of(changed, word) == sounds_of(plain, word)
    assert sounds_of(changed, 1) == ["X", "Y"]


def sounds_of(row, word):
    return [symbol for symbol, owner in zip(row.symbols, row.words, strict=True) if owner == word]


@pytest.mark.parametrize("text", ["of", "of of of", "it's of, of!", "all of the of the time of"])
def test_pauses_stand_between_given_words(text):
    (row,) = spell([text], "phonemes", Lexicon({"of": ("X",)}))
    assert row.symbols.count("X") == text.split().count("of") + text.count("of,") + text.count("of!")
    for place, symbol in enumerate(row.symbols):
        if symbol == "X":
            assert place == 0 or row.symbols[place - 1] == " "
            assert row.symbols[place + 1 : place + 2] in ((), (" ",), (",",), ("!",))
    assert all(pair != (" ", " ") for pair in zip(row.symbols, row.symbols[1:], strict=False))


def test_entries_that_the_model_cannot_say_are_named_once():
    inventory = Inventory("phonemes", (SILENCE, "a", "b"))
    units = TextUnits(inventory, Lexicon({"one": ("a", "q"), "two": ("b",), "six": ("z", "z")}, name="mine.txt"))
    assert units.warnings == ("LEXICON_UNKNOWN_SYMBOLS: mine.txt: unknown to the model: one (q), six (z)",)
    assert TextUnits(inventory, Lexicon({"two": ("ˈb",)})).warnings == ()


@pytest.mark.parametrize("units", ["bytes"])
def test_units_of_letters_have_no_lexicon(units):
    with pytest.raises(ConfigError, match="lexicon"):
        spell(["a"], units, Lexicon({}))
    with pytest.raises(ConfigError, match="lexicon"):
        TextUnits(Inventory(units, (SILENCE, "a")), Lexicon({}))
