"""Symbols of spoken texts, the word of each, and what a model is given of them."""

import json
import re
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError, DataError, TextError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.text import backends, phonemes
from resgen_tts.speech.text.lexicon import Lexicon
from resgen_tts.speech.text.spell import spell
from resgen_tts.speech.text.symbols import PAUSE, SILENCE, Inventory, collect_inventory
from resgen_tts.speech.text.tokens import spoken_words, word_spans
from resgen_tts.speech.text.units import EncodedText, TextUnits
from tests.speech.tiny_system import tiny_synthesizer, wobble


def words_of(row):
    """The symbols of each word, joined."""
    last = max(row.words)
    pairs = list(zip(row.symbols, row.words, strict=True))
    return ["".join(symbol for symbol, owner in pairs if owner == word) for word in range(last + 1)]


def test_words_are_counted_with_inline_phonemes_as_atoms():
    text = "say [[h ə]], or [[x y]]s [[ not"
    assert spoken_words(text) == ["say", "[[h ə]],", "or", "[[x y]]s", "[[", "not"]
    assert [text[start:end] for start, end in word_spans(text)] == spoken_words(text)


def test_phones_words_and_pauses():
    first, second = spell(["hello world, yes", "no"], "phonemes")
    assert first.symbols.count(PAUSE) == 2 and "," in first.symbols
    assert words_of(first) == ["həlˈoʊ", "wˈɜːld", "jˈɛs"]
    assert [owner for symbol, owner in zip(first.symbols, first.words, strict=True) if symbol in " ,"] == [-1] * 3
    assert second.symbols == ("n", "ˈoʊ") and second.words == (0, 0)


def test_words_that_espeak_joins_keep_their_own_phones():
    (row,) = spell(["the end of the road and out of it, in the store"], "phonemes")
    assert words_of(row) == ["ðɪ", "ˈɛnd", "ʌv", "ðə", "ɹˈoʊd", "ænd", "ˌaʊɾ", "əv", "ɪt", "ɪn", "ðə", "stˈɔːɹ"]
    joined = "".join(row.symbols)
    assert "ʌvðə" in joined and "ɪnðə" in joined  # no pause is made where espeak hears none


def test_nothing_of_a_very_long_word_or_run_is_dropped():
    (row,) = spell(["na" * 250], "phonemes")
    assert sum("n" in symbol for symbol in row.symbols) == 250
    (row,) = spell(["of the " * 500], "phonemes")
    assert set(row.words) == {-1, *range(1000)}


def test_a_batch_gives_what_single_calls_give():
    texts = ["One of the first.", "No", "It is, is it?", "and the rest of it goes on and on."]
    assert spell(texts, "phonemes") == [spell([text], "phonemes")[0] for text in texts]


def test_threads_do_not_disturb_one_another():
    texts = [f"this is sentence number {word} of the lot" for word in ("one", "two", "three", "four")]
    expected = [spell([text], "phonemes") for text in texts]
    wrong = []

    def work(place):
        for _ in range(50):
            if spell([texts[place]], "phonemes") != expected[place]:
                wrong.append(place)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_there_is_one_backend_and_it_does_not_leak():
    """Resident memory of a process of its own over 3,000 calls of changing words, after 500 to warm up."""
    code = """if True:
        import resource, sys
        from resgen_tts.speech.text import phonemes
        names = ["one", "of", "the", "seven", "cats", "sat", "under", "forty", "tables", "and"]
        def call(n):
            phonemes.pronounce([[names[n % 10], names[n // 10 % 10], names[n // 100 % 10], names[n // 1000 % 10]]])
        for n in range(500): call(n)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for n in range(3000): call(n)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, phonemes._backend.cache_info().misses)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    grown_kib, backends = map(int, done.stdout.split())
    assert backends == 1
    assert grown_kib < 2048


def test_the_number_of_espeaks_lines_is_checked(monkeypatch):
    class Broken:
        def phonemize(self, lines, **_):
            return lines[:-1]

    monkeypatch.setattr(phonemes, "_backend", Broken)
    with pytest.raises(DataError, match="0 lines for 1 texts"):
        phonemes.pronounce([["one"]])


def test_inline_phonemes_are_said_as_they_stand():
    (row,) = spell(["say [[x ˈy]], of [[z]] the end"], "phonemes")
    assert words_of(row) == ["sˈeɪ", "xˈy", "ʌv", "z", "ðɪ", "ˈɛnd"]
    assert "".join(row.symbols).startswith("sˈeɪ xˈy, ʌv z ðɪ")
    assert spell(["[[a b]]"], "phonemes")[0].symbols == ("a", "b")


@pytest.mark.parametrize("units", ["bytes", "byt5"])
def test_units_of_letters_refuse_inline_phonemes(units):
    with pytest.raises(TextError) as raised:
        spell(["say [[h ə]] now"], units)
    assert raised.value.code == "TEXT_INLINE_PHONEMES"


def test_bytes_of_words_and_between_them():
    (row,) = spell(["Hé, a.b "], "bytes")
    assert [ord(symbol) for symbol in row.symbols] == list("hé, a.b".encode())
    assert row.words == (0, 0, 0, -1, -1, 1, -1, 1)
    assert bytes(map(ord, spell(["Hé"], "byt5")[0].symbols)) == "Hé".encode()


def test_units_make_symbols_and_inventories():
    rows = [list(row.symbols) for row in spell(["go on", "stop"], "phonemes")]
    inventory = collect_inventory(rows, "phonemes")
    assert inventory.symbols[0] == SILENCE
    numbers, warnings = inventory.encode(rows[0])
    assert numbers[0] == numbers[-1] == 0 and 0 not in numbers[1:-1] and not warnings
    assert [inventory.symbols[n] for n in numbers[1:-1]] == rows[0]
    (row,) = spell(["Hé"], "bytes")
    numbers, _ = collect_inventory([], "bytes").encode(list(row.symbols))
    assert [n - 1 for n in numbers[1:-1]] == list("hé".encode())


def test_a_phone_never_seen_with_its_stress_stands_for_itself_and_all_strangers_are_named_once():
    inventory = Inventory("phonemes", (SILENCE, "a", "b"))
    numbers, warnings = inventory.encode(["ˈa", "q", "b", "z", "q"])
    assert numbers == [0, 1, 2, 0]
    assert warnings == (
        "TEXT_UNSUPPORTED_CHARS: unknown to the model: q z",
        "TEXT_UNSUPPORTED_CHARS: known to the model with another stress only: ˈa",
    )
    assert Inventory("arpabet", (SILENCE, "AH0", "AH2", "B")).encode(["AH1", "B", "AH2"])[0] == [0, 1, 3, 2, 0]
    with pytest.raises(TextError, match="TEXT_NO_SPEECH"):
        inventory.encode(["q"])


def test_no_text_can_place_the_models_silence():
    units = TextUnits(Inventory("phonemes", (SILENCE, PAUSE, "a", "b")))
    (encoded,) = units.encode(["[[a <sil> b]]"])
    assert encoded.symbols == (SILENCE, "a", "b", SILENCE)
    assert encoded.warnings == ("TEXT_UNSUPPORTED_CHARS: unknown to the model: <sil>",)
    with pytest.raises(TextError, match="TEXT_NO_SPEECH"):
        units.encode(["[[<sil>]]"])
    inventory = units.inventory
    assert Lexicon({"one": (SILENCE,)}).warnings(inventory) == (
        "LEXICON_UNKNOWN_SYMBOLS: lexicon: unknown to the model: one (<sil>)",
    )


def test_voices_and_speech_pass_the_models_own_front_end(monkeypatch):
    system = tiny_synthesizer()
    system.units = TextUnits(replace(system.units.inventory, normalizer="wetext"))
    monkeypatch.setattr(backends, "rewrite_by", lambda name, traced: traced.sub(re.compile("five"), name))
    voice = system.voice(wobble(), "about five", reference=ReferenceConfig.off())
    assert (voice.text, voice.original_text) == ("about wetext", "about five")
    assert system("five", voice, seed=0, sampler=SamplerConfig(steps=1)).normalized_text == "wetext"


def test_inventories_come_back_from_json():
    more = Inventory("arpabet", (SILENCE, "AH0"), normalizer="nemo", lexicon_sha256="0" * 64)
    for inventory in (Inventory("arpabet", (SILENCE, "AH0")), collect_inventory([], "byt5", "some/name"), more):
        assert Inventory.from_plain(json.loads(json.dumps(inventory.to_plain()))) == inventory
    old = Inventory.from_plain({"units": "bytes", "symbols": [SILENCE, "a"]})
    assert (old.byt5, old.normalizer, old.lexicon_sha256) == ("", "builtin", "")


def test_broken_inventories_are_refused():
    for units, symbols, byt5 in (
        ("words", (SILENCE,), ""), ("phonemes", (SILENCE,), "a name"), ("byt5", (SILENCE,), ""),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            Inventory(units, symbols, byt5)
    with pytest.raises(DataError):
        Inventory("phonemes", ("a", SILENCE))
    with pytest.raises(DataError):
        Inventory("phonemes", (SILENCE, "a", "a"))
    with pytest.raises(ConfigError):
        spell(["a"], "words")
    with pytest.raises(ConfigError):
        TextUnits(collect_inventory([], "byt5", "a name"))


def encoded(text="one, two of the [[n ˈoʊ]]", more="q"):
    rows = spell([text], "phonemes")
    return TextUnits(collect_inventory([row.symbols for row in rows], "phonemes")).encode([text, f"{text} {more}"])


def test_encoded_texts_stand_between_silences_with_their_words():
    first, second = encoded(more="[[ʘ ʘ]] two")
    assert first.symbols == (SILENCE, *spell(["one, two of the [[n ˈoʊ]]"], "phonemes")[0].symbols, SILENCE)
    assert first.numbers[0] == first.numbers[-1] == 0 and first.num_words == 5
    assert first.words[0] == first.words[-1] == -1 and set(first.words.tolist()) == {-1, 0, 1, 2, 3, 4}
    assert second.warnings == ("TEXT_UNSUPPORTED_CHARS: unknown to the model: ʘ",)
    assert second.num_words == 7 and set(second.words.tolist()) == {-1, 0, 1, 2, 3, 4, 6}
    assert len(second.symbols) == len(second.numbers) == len(second.words)


def test_texts_are_cut_and_joined_by_words():
    first, second = encoded(more="[[ʘ ʘ]]")
    head, tail = first.cut_words(0, 1), first.cut_words(1, 5)
    assert head.symbols[-2:] == (",", SILENCE) and head.symbols[0] == SILENCE
    assert head.words.tolist()[1:-2] == [0] * (len(head) - 3)
    assert tail.num_words == 4 and tail.words[1] == 0 and tail.words.max() == 3
    joined = EncodedText.join([head, tail])
    assert joined.symbols == head.symbols + tail.symbols
    assert joined.num_words == 5
    assert torch.equal(joined.words[joined.words >= 0], first.words[first.words >= 0])
    both = EncodedText.join([second, first])  # the last word of the first has no known symbol, but counts
    assert both.words[len(second) + 1] == 6 and both.warnings == second.warnings
    assert first.numbers[first.word_span(0, 5)].tolist() == first.numbers[1:-1].tolist()
    with pytest.raises(TextError, match="words 5 to 6"):
        second.cut_words(5, 6)


def test_a_text_of_symbols_unknown_to_the_model_is_refused():
    units = TextUnits(Inventory("phonemes", (SILENCE, "a")))
    with pytest.raises(TextError, match="TEXT_NO_SPEECH"):
        units.encode(["go"])


def test_marks_that_the_model_does_not_know_stand_as_pauses():
    inventory = Inventory("phonemes", (SILENCE, PAUSE, "a", "b"))
    pause = inventory.number(PAUSE)
    assert inventory.encode([",", PAUSE, "a", ",", ".", PAUSE, "b", PAUSE, "?"]) == ([0, 2, pause, 3, 0], ())
    assert [place for place, _ in inventory.place(["a", ",", ".", PAUSE, "b", "!"])] == [0, 2, 4]
    with pytest.raises(TextError, match="TEXT_NO_SPEECH"):
        inventory.encode([".", PAUSE])
    without_pauses = Inventory("phonemes", (SILENCE, "a"))
    assert without_pauses.encode(["a", ".", "a"])[1] == ("TEXT_UNSUPPORTED_CHARS: unknown to the model: .",)
    knows = Inventory("phonemes", (SILENCE, PAUSE, ".", "a"))
    assert knows.encode(["a", ".", PAUSE, "a", "."])[0] == [0, 3, 2, 1, 3, 2, 0]


def test_a_mark_as_a_pause_keeps_its_sign_and_is_no_word():
    units = TextUnits(Inventory("phonemes", (SILENCE, PAUSE, "a", "b")))
    texts = ["[[a]]. [[b]], [[a . b]]!", "[[b]] [[a]]"]
    first, second = units.encode(texts)
    assert first.symbols == (SILENCE, "a", ".", "b", ",", "a", ".", "b", SILENCE)
    assert first.words.tolist() == [-1, 0, -1, 1, -1, 2, -1, 2, -1] and first.warnings == ()
    assert first.numbers[2] == first.numbers[4] == units.inventory.number(PAUSE)
    assert first.cut_words(0, 1).symbols == (SILENCE, "a", SILENCE)
    for alone, together in zip([units.encode([text])[0] for text in texts], (first, second), strict=True):
        assert alone.symbols == together.symbols and torch.equal(alone.numbers, together.numbers)


def test_an_unknown_symbol_is_named_with_its_first_word():
    known = {symbol for row in spell(["the pen, sent of"], "phonemes") for symbol in row.symbols}
    units = TextUnits(Inventory("phonemes", (SILENCE, *sorted(known | set("pntb")))))
    (encoded,) = units.encode(["the point, the joint"])
    (warning,) = (line for line in encoded.warnings if "unknown" in line)
    assert "point: ˈɔɪ" in warning and warning.count("ɔɪ") == 1
