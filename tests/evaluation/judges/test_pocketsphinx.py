"""The recogniser on synthetic speech, with a closed vocabulary made here."""

import math
import shutil

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
from resgen_tts.evaluation.measures.normalizers import letters_only

pytest.importorskip("pocketsphinx", reason="the extra 'eval' is not installed; recognition is NOT tested")

SENTENCES = (
    "the doctor opened the yellow window",
    "seven students waited behind the castle",
    "don't jump across the river",
)
WORDS = sorted({word for sentence in SENTENCES for word in sentence.split()})


def write_vocabulary(folder, words):
    folder.mkdir()
    (folder / "words.txt").write_text("\n".join(words) + "\n")
    each = math.log10(1 / (len(words) + 1))
    lines = ["\\data\\", f"ngram 1={len(words) + 2}", "", "\\1-grams:", "-99 <s>", f"{each:.4f} </s>"]
    lines += [f"{each:.4f} {word}" for word in words]
    (folder / "vocabulary.arpa").write_text("\n".join([*lines, "", "\\end\\", ""]))
    return folder


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("lm") / "lm", WORDS)


@pytest.fixture(scope="module")
def spoken(speak):
    return [speak(sentence) for sentence in SENTENCES]


def test_a_closed_vocabulary_recognises_flite(spoken, vocabulary):
    recognizer = PocketSphinx(vocabulary)
    assert recognizer.transcribe(spoken) == list(SENTENCES)
    assert f"closed vocabulary of {len(WORDS)} words" in recognizer.name
    assert recognizer.is_embedded


def test_words_do_not_depend_on_order_or_workers(spoken, vocabulary):
    """A decoder keeps a noise estimate; it must not carry over from one wave to the next."""
    paths = [*spoken, spoken[0]]
    alone = [PocketSphinx(vocabulary).transcribe([path])[0] for path in paths]
    assert PocketSphinx(vocabulary).transcribe(paths[::-1])[::-1] == alone
    assert PocketSphinx(vocabulary, workers=2).transcribe(paths) == alone


def test_the_open_vocabulary_finds_most_words(spoken):
    heard = letters_only(PocketSphinx().transcribe([spoken[0]])[0]).split()
    assert len(set(heard) & set(SENTENCES[0].split())) >= 3


def test_silence_has_no_words(tmp_path, vocabulary):
    soundfile.write(str(tmp_path / "silent.wav"), np.zeros(16_000), 16_000)
    soundfile.write(str(tmp_path / "click.wav"), np.full(10, 0.5), 16_000)
    assert PocketSphinx(vocabulary).transcribe([tmp_path / "silent.wav", tmp_path / "click.wav"])[0] == ""
    assert PocketSphinx(vocabulary).transcribe([]) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_wave_is_named(tmp_path, vocabulary, workers):
    (tmp_path / "bad.wav").write_text("not audio")
    soundfile.write(str(tmp_path / "good.wav"), np.zeros(1600), 16_000)
    with pytest.raises(AudioError, match=r"bad\.wav"):
        PocketSphinx(vocabulary, workers=workers).transcribe([tmp_path / "good.wav", tmp_path / "bad.wav"])


def test_words_without_a_pronunciation_are_all_named(tmp_path):
    folder = write_vocabulary(tmp_path / "lm", ["castle", "qwrtz", "zzyzzx"])
    with pytest.raises(DataError, match=r"2 of 3 words.*qwrtz, zzyzzx") as caught:
        PocketSphinx(folder)
    assert caught.value.code == "LM_UNKNOWN_WORDS"


def test_the_name_tells_language_models_of_as_many_words_apart(tmp_path):
    first = write_vocabulary(tmp_path / "first", ["castle", "river"])
    name = PocketSphinx(first).name
    assert PocketSphinx(shutil.copytree(first, tmp_path / "copy")).name == name
    assert name.rpartition(", ")[2] == "closed vocabulary of 2 words"
    assert PocketSphinx().name.rpartition(", ")[2] == "open vocabulary"
    other_words = write_vocabulary(tmp_path / "other", ["castle", "window"])
    (first / "vocabulary.arpa").write_text((first / "vocabulary.arpa").read_text().replace("-0.47", "-0.57"))
    (tmp_path / "list").mkdir()
    for file, folder in {"vocabulary.arpa": other_words, "words.txt": first}.items():
        shutil.copy(folder / file, tmp_path / "list" / file)
    names = {name, *(PocketSphinx(folder).name for folder in (first, other_words, tmp_path / "list"))}
    assert len(names) == 4 and len({one.rpartition(", ")[2] for one in names}) == 1


def test_an_incomplete_language_model_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"vocabulary\.arpa does not exist"):
        PocketSphinx(tmp_path)
    folder = write_vocabulary(tmp_path / "lm", ["castle"])
    (folder / "vocabulary.arpa").write_text("not a language model\n")
    with pytest.raises(DataError, match="cannot load the language model"):
        PocketSphinx(folder).transcribe([tmp_path / "any.wav"])
    with pytest.raises(ConfigError):
        PocketSphinx(folder, workers=0)
