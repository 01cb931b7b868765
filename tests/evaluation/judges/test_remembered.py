"""Scorers that remember: equal bytes are listened to once, other bytes never pass for them."""

import numpy as np

from resgen_tts.evaluation.judges.remembered import RememberingEncoder, RememberingRecognizer


class Counting:
    name, is_embedded = "counting", True

    def __init__(self):
        self.asked = []

    def transcribe(self, paths):
        self.asked += [path.name for path in paths]
        return [path.read_text() for path in paths]

    def embed(self, path):
        self.asked.append(path.name)
        return np.array([float(len(path.read_text()))])


def files(folder):
    for name, words in {"a": "one", "b": "two two", "c": "one"}.items():
        (folder / name).write_text(words)
    return [folder / name for name in "abca"]


def test_words_are_heard_once_and_in_the_order_asked(tmp_path):
    inner = Counting()
    recognizer = RememberingRecognizer(inner)
    assert recognizer.transcribe(files(tmp_path)) == ["one", "two two", "one", "one"]
    assert len(inner.asked) == 2
    (tmp_path / "a").write_text("three")
    assert recognizer.transcribe([tmp_path / "a", tmp_path / "b"]) == ["three", "two two"]
    assert inner.asked[2:] == ["a"]


def test_prints_are_made_once(tmp_path):
    inner = Counting()
    encoder = RememberingEncoder(inner)
    assert [float(encoder.embed(path)[0]) for path in files(tmp_path)] == [3, 7, 3, 3]
    assert inner.asked == ["a", "b"]
