"""Other normalisers behind the same call: with small stand-ins, and the real ones where they are installed."""

import importlib.util
import sys
import time
import types

import pytest

from resgen_tts.common.errors import MissingExtraError
from resgen_tts.speech.text import nemo_backend, wetext_backend
from resgen_tts.speech.text.normalize import normalize


class StandIn:
    """Reads a few numbers in its own way, puts a word in front, and drops another."""

    def __init__(self, **options):
        assert options["lang"] == "en"

    def normalize(self, text: str, **_) -> str:
        said = text.replace("$5", "five bucks").replace("42", "forty and two").replace("drop ", "")
        return "well " + said if text.startswith("front") else said


@pytest.fixture(params=["wetext", "nemo"])
def backend(request, monkeypatch):
    module = types.ModuleType("stand_in")
    module.Normalizer = StandIn
    names = {"wetext": ["wetext"], "nemo": ["nemo_text_processing", "nemo_text_processing.text_normalization",
                                            "nemo_text_processing.text_normalization.normalize"]}  # fmt: skip
    for name in names[request.param]:
        monkeypatch.setitem(sys.modules, name, module)
    wetext_backend.reader.cache_clear()
    nemo_backend.reader.cache_clear()
    yield request.param
    wetext_backend.reader.cache_clear()
    nemo_backend.reader.cache_clear()


def test_the_library_reads_between_our_clean_up_and_our_last_passes(backend):
    said = normalize("<b>pay</b> $5, 42 or 7 [[42]] caf\u00e9\u200bs", backend=backend)
    assert said.text == "pay five bucks, forty and two or seven [[42]] cafes"
    assert {warning.split(":")[0] for warning in said.warnings} == {"TEXT_MARKUP", "TEXT_CONTROL_CHARS"}


def test_words_know_where_they_came_from(backend):
    text = "we have 42 cats and 42 dogs"
    said = normalize(text, backend=backend)
    first = said.text.rindex("forty")
    assert said.span(first, first + len("forty and two")) == (20, 22)
    assert said.span(said.text.index("cats"), said.text.index("cats") + 4) == (11, 15)


def test_words_put_in_and_left_out_move_no_others(backend):
    said = normalize("front and drop back", backend=backend)
    assert said.text == "well front and back"
    assert said.span(0, 4) == said.span(5, 10) or said.span(5, 10) == (0, 5)
    assert said.span(15, 19) == (15, 19)


def test_long_texts_stay_linear(backend):
    started = time.process_time()
    said = normalize("the number is 42 and more of it. " * 600, backend=backend)
    assert said.text.count("forty and two") == 600
    assert (said.origins[:, 0] < said.origins[:, 1]).all()
    assert time.process_time() - started < 4


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wetext", None)
    wetext_backend.reader.cache_clear()
    with pytest.raises(MissingExtraError, match="wetext"):
        normalize("5 cats", backend="wetext")


@pytest.mark.parametrize(("name", "module"), [("wetext", "wetext"), ("nemo", "nemo_text_processing")])
def test_the_real_library_reads_numbers(name, module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install 'resgen_tts[{name}]'")
    said = normalize("She has 3 cats on May 5, 2021.", backend=name)
    assert "three cats" in said.text and "twenty one" in said.text
    assert said.span(said.text.index("three"), said.text.index("three") + 5) == (8, 9)
