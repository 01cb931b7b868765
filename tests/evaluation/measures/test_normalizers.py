"""Ways of writing a text before its errors are counted, against cases written by hand."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import DataError, MissingExtraError
from resgen_tts.evaluation.measures import normalizers
from resgen_tts.evaluation.measures.normalizers import NORMALIZERS
from resgen_tts.evaluation.measures.text_error import ErrorCounts, text_error, total

TEXTS = st.text(alphabet="abcDE 'é’1279$.,-!?你好。（）\n", max_size=40)


@pytest.mark.parametrize(
    ("name", "text", "written"),
    [
        ("letters", "Don't STOP: it's Zoë's!", "dont stop its zoes"),
        ("letters", "well-known, $2.50", "well known 2 50"),
        ("whisper", "Don't STOP: it's Mr. Grey's colour!", "do not stop it is mister gray is color"),
        ("whisper", "Well-known, uh, [laughs] twenty two apples", "well known 22 apples"),
        ("whisper", "$2.50, twenty-one", "$2.5021"),  # the trap that its docstring tells of
        ("whisper", "(an aside) hmm", ""),
        ("punctuation", "Don't STOP: it's Zoë's!", "don't stop it's zoë's"),
        ("punctuation", "well-known — $2.50, twenty-one", "wellknown 250 twentyone"),
        ("punctuation", "“Don’t,” said ‘he’ …", "don't said he"),
        ("punctuation", "你好，世界。 OK", "你 好 世 界 o k"),
        ("punctuation", "the sign 好 is good", "the sign 好 is good"),
        ("punctuation", "?!", ""),
    ],
)
def test_cases_written_by_hand(name, text, written):
    assert NORMALIZERS[name].words(text) == written


def test_each_is_called_what_the_table_calls_it():
    assert {name: one.name for name, one in NORMALIZERS.items()} == {name: name for name in NORMALIZERS}


@pytest.mark.parametrize("name", sorted(NORMALIZERS))
@given(text=TEXTS)
def test_words_are_one_space_apart_and_a_text_against_itself_is_perfect(name, text):
    written = NORMALIZERS[name].words(text)
    assert written == " ".join(written.split())
    if not written:
        with pytest.raises(DataError, match=f"no letters for the normaliser {name}"):
            text_error(text, text, NORMALIZERS[name])
        return
    found = text_error(text, text, NORMALIZERS[name])
    assert found.words.errors == found.characters.errors == 0
    assert found.words.hits == len(written.split())


@pytest.mark.parametrize("name", sorted(NORMALIZERS))
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_corpus_rates_are_those_of_jiwer(name, pairs):
    write = NORMALIZERS[name].words
    pairs = [(said, heard) for said, heard in pairs if write(said)]
    if not pairs:
        return
    found = [text_error(said, heard, NORMALIZERS[name]) for said, heard in pairs]
    said, heard = ([write(text) for text in texts] for texts in zip(*pairs, strict=True))
    assert total([one.words for one in found]).rate == pytest.approx(jiwer.wer(said, heard))
    bare_said, bare_heard = ([text.replace(" ", "") for text in texts] for texts in (said, heard))
    assert total([one.characters for one in found]).rate == pytest.approx(jiwer.cer(bare_said, bare_heard))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        # "it's" and "isn't": letters write them as one word each and see 1 of 3 wrong
        ("letters", ErrorCounts(hits=2, substitutions=1)),
        # "it is grey" against "it is not gray"
        ("whisper", ErrorCounts(hits=3, insertions=1)),
        ("punctuation", ErrorCounts(hits=1, substitutions=2)),
    ],
)
def test_the_same_pair_has_another_rate_under_each(name, words):
    reference, heard = {
        "letters": ("It's grey, Zoe.", "Isn't grey zoë"),
        "whisper": ("It's grey.", "it's not gray"),
        "punctuation": ("It's grey, Zoe.", "its grey zoë"),
    }[name]
    assert text_error(reference, heard, NORMALIZERS[name]).words == words


def test_joined_numbers_make_one_wrong_word_of_one_wrong_digit():
    """The trap: beside each other two amounts are one word, which is wrong as a whole."""
    apart = text_error("two dollars and fifty cents then twenty one", "two dollars and fifty cents then twenty two")
    joined = text_error("$2.50, twenty-one", "$2.50, twenty-two", NORMALIZERS["whisper"])
    assert apart.words.rate == pytest.approx(1 / 8)
    assert joined.words == ErrorCounts(substitutions=1) and joined.words.rate == 1.0


def test_chinese_is_counted_by_characters():
    found = text_error("今天天气很好。", "今天天汽很好啊", NORMALIZERS["punctuation"])
    assert found.words == found.characters == ErrorCounts(hits=5, substitutions=1, insertions=1)


def test_a_missing_package_is_told_with_its_extra(monkeypatch):
    import sys

    normalizers._whisper_english.cache_clear()
    monkeypatch.setitem(sys.modules, "whisper_normalizer.english", None)
    with pytest.raises(MissingExtraError, match=r"resgen_tts\[eval\]"):
        NORMALIZERS["whisper"].words("hello")
