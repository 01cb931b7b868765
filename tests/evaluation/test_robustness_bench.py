"""The bench of leaks and counts: both ways of speaking are judged alike, and counted words are the right ones."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.waves import read_wave

SPEC = importlib.util.spec_from_file_location(
    "robustness_bench", Path(__file__).parents[2] / "tools" / "bench" / "robustness.py"
)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)


class FakeTTS:
    """Leaks the reference where nothing was done to it; writes what it says beside the wave."""

    def __init__(self):
        self.spoken = 0

    def voice(self, audio, text, reference=None):
        return SimpleNamespace(text=text, leaks=reference == bench.CARE["off"])

    def __call__(self, text, *, voice, seed):
        self.spoken += 1
        said = f"{voice.text} {text}" if voice.leaks else text

        def save(path):
            soundfile.write(str(path), np.full(160, 0.1, np.float32), 16_000)
            path.with_suffix(".txt").write_text(said)

        return SimpleNamespace(save=save, seconds=0.01)


class Reader:
    """Hears what was written beside the wave."""

    name, is_embedded = "a reader", True

    def transcribe(self, paths):
        return [path.with_suffix(".txt").read_text() for path in paths]


def write_list(folder: Path, *rows: str) -> Path:
    path = folder / "items.tsv"
    path.write_text("\n".join(["audio\ttext\ttarget", *rows]) + "\n")
    return path


def test_leaks_with_and_without_care_stand_side_by_side(tmp_path):
    items = bench.read_list(
        write_list(tmp_path, "a.wav\tThe old castle is far.\tBirds sing.", "b.wav\tYes.\tFive dogs ran.")
    )
    assert items[0].audio == tmp_path / "a.wav"
    tts, found = FakeTTS(), {}
    for name, reference in bench.CARE.items():
        paths = bench.speak_items(tts, items, reference, tmp_path / name, 0)
        found[name] = bench.judge(items, paths, Reader())
    assert [one.leaked for one in found["off"]] == [("the old castle is far",), ()]
    assert [one.leaked for one in found["on"]] == [(), ()]
    line = next(line for line in bench.table(found).splitlines() if line.startswith("leak"))
    assert line.split()[1] == "50.0" and "-50.0" in line
    bench.speak_items(tts, items, bench.CARE["on"], tmp_path / "on", 0)
    assert tts.spoken == 4  # what is there is kept


def test_an_incomplete_list_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"items\.tsv:2: nothing in target"):
        bench.read_list(write_list(tmp_path, "a.wav\tYes."))


def test_a_number_is_listened_for_as_it_is_said():
    texts = bench.count_texts("seven", "47", 3)
    assert texts["repetitions"] == ("seven, seven, seven.", "seven", 3)
    assert texts["one number"] == ("47", "forty seven", 1)


@pytest.mark.parametrize("times", [1, 3, 12])
def test_repetitions_are_counted(speak, times):
    pytest.importorskip("pocketsphinx", reason="the extra 'eval' is not installed; counting is NOT tested")
    wave = read_wave(speak(", ".join(["seven"] * times) + "."))
    assert bench.count_words(wave, "seven") == times
    with pytest.raises(DataError, match="qwrtz"):
        bench.count_words(wave, "qwrtz")


def test_silence_has_no_words():
    pytest.importorskip("pocketsphinx", reason="the extra 'eval' is not installed; counting is NOT tested")
    assert bench.count_words(np.zeros(16_000, np.float32), "seven") == 0
