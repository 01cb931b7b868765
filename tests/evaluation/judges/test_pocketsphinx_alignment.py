"""Forced alignment of synthetic speech, whose true times its synthesizer tells."""

import shutil

import numpy as np
import pytest
import soundfile

from recipes.corpora.phone_times import read_aloud
from recipes.corpora.synthesizers import BaseVoice
from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.evaluation.judges.pocketsphinx_alignment import PocketSphinxAligner
from resgen_tts.evaluation.measures.boundaries import boundary_errors
from resgen_tts.evaluation.measures.normalizers import spelled_words

pytest.importorskip("pocketsphinx", reason="the extra 'eval' is not installed; forced alignment is NOT tested")
needs_flite = pytest.mark.skipif(
    shutil.which("flite") is None,
    reason="flite is not installed; forced alignment is NOT tested (apt-get install flite)",
)

SENTENCES = ("the doctor opened the yellow window", "please read the book that he read again")  # two ways to say read


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Files of SENTENCES with their true times."""
    folder = tmp_path_factory.mktemp("spoken")
    readings = read_aloud(BaseVoice(engine="flite", name="rms"), SENTENCES)
    paths = [folder / f"{number}.wav" for number in range(len(readings))]
    for path, reading in zip(paths, readings, strict=True):
        soundfile.write(path, reading.wave, reading.sample_rate)
    return paths, [reading.timed for reading in readings]


@needs_flite
def test_borders_lie_near_the_true_ones(spoken):
    paths, truth = spoken
    for found, true in zip(PocketSphinxAligner().align(paths, SENTENCES), truth, strict=True):
        assert found.problem == "" and found.notes == ()
        errors = boundary_errors(true, found.timed)
        borders = [*errors.word_starts, *errors.word_ends]
        assert len(borders) == 2 * len(true.words)  # every word under its own name, its variant aside
        assert np.median(borders) < 0.02 and max(borders) < 0.1
        assert len(errors.phone_starts) > 0.9 * len(true.phones) and np.median(errors.phone_starts) < 0.02


@needs_flite
def test_times_do_not_depend_on_order_or_workers(spoken):
    paths, _ = spoken
    alone = [PocketSphinxAligner().align([path], [text])[0] for path, text in zip(paths, SENTENCES, strict=True)]
    assert PocketSphinxAligner().align(paths[::-1], SENTENCES[::-1])[::-1] == alone
    assert PocketSphinxAligner(workers=2).align(paths, SENTENCES) == alone


@needs_flite
def test_a_word_without_a_pronunciation_is_named(spoken):
    paths, truth = spoken
    text = "the doctor opened the zzellow window"
    (found,) = PocketSphinxAligner().align(paths[:1], [text])
    assert found.timed is None and found.problem == "not in the dictionary: zzellow"
    asked = []

    def pronounce(words):
        asked.extend(words)
        return [["y", "eh", "l", "ow"]]

    (found,) = PocketSphinxAligner(pronounce=pronounce).align(paths[:1], [text])
    assert asked == ["zzellow"] and found.notes == ("not in the dictionary: zzellow, said Y EH L OW",)
    assert [word.label for word in found.timed.words] == text.split()
    assert found.timed.words[4].start == pytest.approx(truth[0].words[4].start, abs=0.05)


def test_silence_and_no_words_have_no_times(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "hiss.wav", np.random.default_rng(0).normal(0, 0.05, 2_000), 16_000)
    silent, wordless, short = PocketSphinxAligner().align(
        [tmp_path / "silent.wav", tmp_path / "hiss.wav", tmp_path / "hiss.wav"],
        ["hello", " ... ", "far more words than such a short noise has room for in all its frames " * 3],
    )
    assert all(one.timed is None for one in (silent, wordless, short))
    assert "silent" in silent.problem and "no alignment" in short.problem


def test_a_bad_wave_is_named(tmp_path):
    (tmp_path / "bad.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        PocketSphinxAligner().align([tmp_path / "bad.wav"], ["hello"])
    with pytest.raises(ConfigError):
        PocketSphinxAligner(workers=0)


def test_words_are_spelled_as_in_the_dictionary():
    assert spelled_words("Don't “go”, the students' cat’s here!") == ["don't", "go", "the", "students", "cat's", "here"]
