"""A build that was stopped does not listen twice, and one that went on has the times of one that was not stopped."""

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.timed import Forced
from resgen_tts.evaluation.protocols import kept_alignments
from resgen_tts.evaluation.protocols.kept_alignments import KeptAlignments
from tests.evaluation.protocols.made_corpus import EvenAligner, write_corpus


@pytest.fixture
def spoken(tmp_path):
    root = write_corpus(tmp_path / "corpus", {f"1-1-000{number}": 1.0 + number / 3 for number in range(4)})
    paths = sorted(root.rglob("*.flac"))
    return paths, ["one two three"] * 3 + ["four"]


def test_what_was_found_is_not_looked_for_again(spoken, tmp_path):
    paths, texts = spoken
    kept = tmp_path / "new" / "kept.jsonl"
    first = KeptAlignments(EvenAligner(lost=("1-1-0002",)), kept)
    found = first.align(paths, texts)
    assert found == EvenAligner(lost=("1-1-0002",)).align(paths, texts) and found[2].problem == "mumbled"
    again = EvenAligner()
    assert KeptAlignments(again, kept).align(paths, texts) == found and again.asked == []  # to the last digit
    # Another text, another recording, another aligner: each is aligned.
    KeptAlignments(again, kept).align(paths[:2], ["four", texts[1]])
    paths[3].write_bytes(paths[2].read_bytes())
    KeptAlignments(again, kept).align(paths[3:], ["four"])
    again.name = "other"
    KeptAlignments(again, kept).align(paths[:1], texts[:1])
    assert again.asked == [["1-1-0000"], ["1-1-0003"], ["1-1-0000"]]


def test_a_stop_loses_one_chunk_and_a_torn_line_at_most(spoken, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_alignments, "CHUNK", 2)
    paths, texts = spoken
    kept = tmp_path / "kept.jsonl"

    class Stopped(EvenAligner):
        def align(self, paths, texts):
            if self.asked:
                raise KeyboardInterrupt
            return super().align(paths, texts)

    with pytest.raises(KeyboardInterrupt):
        KeptAlignments(Stopped(), kept).align(paths, texts)
    aligner = EvenAligner()
    kept.write_bytes(kept.read_bytes()[:-9])  # killed while writing
    found = KeptAlignments(aligner, kept).align(paths, texts)
    assert aligner.asked == [["1-1-0001", "1-1-0002"], ["1-1-0003"]]
    assert found == EvenAligner().align(paths, texts)
    assert KeptAlignments(aligner, kept).align(paths, texts) == found and len(aligner.asked) == 2


def test_a_broken_line_is_named(tmp_path):
    kept = tmp_path / "kept.jsonl"
    kept.write_text('{"aligner": "evenly"}\n')
    with pytest.raises(DataError, match=r"kept\.jsonl:1 is no alignment"):
        KeptAlignments(EvenAligner(), kept)


def test_silence_is_kept_too(tmp_path, spoken):
    class Nothing(EvenAligner):
        def align(self, paths, texts):
            return [Forced(timed=None, problem="silent", notes=("a note",)) for _ in paths]

    paths, texts = spoken
    KeptAlignments(Nothing(), tmp_path / "kept.jsonl").align(paths, texts)
    (found,) = KeptAlignments(EvenAligner(), tmp_path / "kept.jsonl").align(paths[:1], texts[:1])
    assert found == Forced(timed=None, problem="silent", notes=("a note",))
