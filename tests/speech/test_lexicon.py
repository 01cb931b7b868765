"""A user's lexicon: what it says wins, and every bad line is named."""

import re
import time

import pytest

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.speech.text.kept_words import find_words
from resgen_tts.speech.text.lexicon import Lexicon
from resgen_tts.speech.text.normalize import normalize
from resgen_tts.speech.text.spell import spell
from resgen_tts.speech.text.symbols import SILENCE, Inventory, collect_inventory
from resgen_tts.speech.text.units import TextUnits


def write(tmp_path, text):
    path = tmp_path / "my words.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_words_are_read_whatever_their_case(tmp_path):
    path = write(tmp_path, "\ufeff# names\nResGen\tR EH1 S JH EH2 N\r\n\n  # more\ncafé\tK AE0 F EY1\n")
    lexicon = Lexicon.read(path)
    assert lexicon.entries == {"resgen": ("R", "EH1", "S", "JH", "EH2", "N"), "café": ("K", "AE0", "F", "EY1")}
    assert lexicon.get("RESGEN", "arpabet") == ("R", "EH1", "S", "JH", "EH2", "N")
    assert lexicon.get("cafe\u0301", "arpabet") == ("K", "AE0", "F", "EY1")
    assert lexicon.get("res", "arpabet") is None
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


def units_with(*words):
    """A front end whose lexicon says each word as one symbol, its capitals in angle brackets."""
    lexicon = Lexicon({word: (f"<{word.upper()}>",) for word in words})
    symbols = {symbol for said in lexicon.entries.values() for symbol in said} | set("abdefhijklmnopstuvwzəɪɹ")
    return TextUnits(Inventory("phonemes", (SILENCE, *sorted(symbols))), lexicon)


@pytest.mark.parametrize(
    ("word", "text"),
    [("sql", "We use SQL, too."), ("sql", "(sql)"), ("sql", "SQL-based"), ("sql", "an \u201cSQL\u201d"),
     ("co-op", "a co-op."), ("caf\u00e9", "the Cafe\u0301!"), ("caf\u00e9", "the CAF\u00c9"), ("c++", "in C++."),
     ("c++", "C++"), ("1", "take 1 of it"), ("1", "only 1."), ("o'brien", "to O\u2019Brien"),
     ("node.js", "with Node.js, too"), (".net", "for .NET"), ("dr.", "dr. Who"), ("us", "to us"),
     ("b", "<i>b</i> <b>it</b>")],
)  # fmt: skip
@pytest.mark.parametrize("again", [False, True])
def test_the_lexicon_goes_before_the_normaliser(word, text, again):
    units = units_with(word)
    spoken = units.normalize(text).text
    if again:
        assert units.normalize(spoken).text == spoken
    (encoded,) = units.encode([spoken])
    assert encoded.symbols.count(f"<{word.upper()}>") == 1
    assert units.warnings == ()


@pytest.mark.parametrize(
    ("word", "text"),
    [("1", "$1.50 or 1,000 or 1.5 or 1:30 or 1st"), ("sql", "mysql and sqlite and x.sql and sql.com"),
     ("c", "c++ or C# or O'C"), ("cafe", "the cafe\u0301"), ("sql", "https://a.b/sql?x=sql"), ("sql", "say [[sql a]]"),
     ("b", "<b>it</b>")],
)  # fmt: skip
def test_parts_of_words_numbers_addresses_and_tags_are_not_the_word(word, text):
    kept = normalize(text, keep=frozenset((word,)))
    assert kept == normalize(text)
    assert find_words(text, frozenset((word,))) == [] or "<" in text


def test_kept_words_stay_in_their_place_among_inline_phonemes():
    text = "Use [[a]] SQL or [[b c]], co-op's 5 <!-- [[d]] sql --> SQL"
    spoken = normalize(text, keep=frozenset(("sql", "co-op")))
    assert spoken.text == "Use [[a]] SQL or [[b c]], co-op's five SQL"
    for word in ("SQL", "[[b c]]", "co-op's"):
        start = spoken.text.index(word)
        first, end = spoken.span(start, start + len(word))
        assert text[first:end] == word
    assert normalize("<!-- [[d]] --> hello").text == "hello"


def test_the_longest_word_is_meant():
    (encoded,) = (units := units_with("co", "co-op", "co-op's")).encode(["the co-op co-op's co"])
    assert [symbol for symbol in encoded.symbols if "C" in symbol] == ["<CO-OP>", "<CO-OP'S>", "<CO>"]
    assert units.normalize("the co-op co-op's co").text == "the co-op co-op's co"


@pytest.mark.parametrize(
    ("units", "last", "expected"),
    [("phonemes", "t", ["s"]), ("phonemes", "dʒ", ["ᵻ", "z"]), ("phonemes", "ˈuː", ["z"]), ("phonemes", "n̩", ["z"]),
     ("arpabet", "TH", ["S"]), ("arpabet", "CH", ["IH0", "Z"]), ("arpabet", "AH0", ["Z"])],
)  # fmt: skip
@pytest.mark.parametrize("apostrophe", ["'", "\u2019"])
def test_a_possessive_ends_as_its_sound_asks_for(units, last, expected, apostrophe):
    lexicon = Lexicon({"nginx": ("X", last)})
    assert list(lexicon.get(f"Nginx{apostrophe}s", units)) == ["X", last, *expected]


def test_possessives_of_the_lexicon_are_said():
    lexicon = Lexicon({"nginx": ("X", "t")})
    (row,) = spell([normalize("the nginx’s end, 'nginx'", keep=lexicon.words).text], "phonemes", lexicon)
    assert sounds_of(row, 1) == ["X", "t", "s"] and sounds_of(row, 3) == ["X", "t"]


@pytest.mark.parametrize("text", ["say c", "c", "c, c. say c!"])
def test_no_pause_is_left_behind_by_a_word_that_espeak_says_as_several(text, monkeypatch):
    from resgen_tts.speech.text import phonemes

    def several(runs):
        return [
            [pair for place, _ in enumerate(run) for pair in ((" ", -1), ("a", place), (" ", -1), ("b", place))][1:]
            for run in runs
        ]

    monkeypatch.setattr(phonemes, "pronounce", several)
    (row,) = spell([text], "phonemes", Lexicon({"c": ("X",)}))
    assert row.symbols[-1] != " "
    assert all(after not in ",.!" for before, after in zip(row.symbols, row.symbols[1:], strict=False) if before == " ")


def test_entries_that_no_text_can_reach_are_named():
    lost = ("...", "<b>", "a\u200bb", ":)", "[[x]]", "\U0001f600", "https://a.b")
    lexicon = Lexicon(
        dict.fromkeys((*lost, "sql", "tom@x.y", "c++", "'tis", "4g", "caf\u00e9"), ("a",)), name="mine.txt"
    )
    (warning,) = lexicon.warnings(Inventory("phonemes", (SILENCE, "a")))
    assert warning == f"LEXICON_UNREACHABLE: mine.txt: no text can hold these as a word: {', '.join(lost)}"


def test_a_front_end_uses_the_normaliser_of_its_corpus(monkeypatch):
    from resgen_tts.speech.text import backends

    monkeypatch.setattr(backends, "rewrite_by", lambda name, traced: traced.sub(re.compile("five"), name))
    plain = {"units": "bytes", "symbols": collect_inventory([], "bytes").symbols}
    assert TextUnits(Inventory.from_plain({**plain, "normalizer": "wetext"})).normalize("five").text == "wetext"
    assert TextUnits(Inventory.from_plain(plain)).normalize("five").text == "five"


def test_finding_words_takes_linear_time():
    words = frozenset(("c++", "sql", "a.b", "'tis", "["))
    for text in ("!" * 50_000, "[[" * 25_000, "www." * 12_000, "a.b'" * 12_000, "'" * 50_000, "c+" * 25_000):
        started = time.process_time()
        find_words(text, words)
        assert time.process_time() - started < 2
