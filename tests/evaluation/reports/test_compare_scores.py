"""Two scored folders set side by side: differences counted by hand, and what must not be compared."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import write_json
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.scores import score_folder

SPEC = importlib.util.spec_from_file_location(
    "compare_scores", Path(__file__).parents[3] / "tools" / "compare_scores.py"
)
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


@pytest.fixture
def scores(synth, recognizer, encoder, tmp_path):
    """As score.json holds them: the second folder's clones leak once more, and one item less is in it."""
    found = []
    for number in range(2):
        if number:
            recognizer.heard["clone/a1"] = "what the prompt says the cat sat"
        report = score_folder(read_synth(synth), recognizer, encoder, seed=0)
        write_json(tmp_path / str(number) / "score.json", report.to_json())
        found.append(json.loads((tmp_path / str(number) / "score.json").read_text()))
    found[1]["items"] = [item for item in found[1]["items"] if item["item"]["id"] != "b2"]
    return found


def test_differences_are_of_shared_items_and_of_the_corpus(scores):
    found = tool.compare(*scores, "clone")
    first, second, difference = (interval.value for interval in found["leak"])
    assert (first, second, difference) == pytest.approx((0, 1 / 3, 1 / 3))
    # a1, a2, b1 have 3 + 4 + 2 words: bat for cat, a missing "away", an added "do"; then four words too many in a1
    assert [interval.value for interval in found["WER"]] == pytest.approx([3 / 9, (4 + 2) / 9, 3 / 9])
    assert found["similarity to own prompt"][2].value == 0
    assert found["leak"][2].low <= 1 / 3 <= found["leak"][2].high
    assert "| leak | 0.000 [0.000, 0.000] | 0.333" in tool.table(found)


def test_the_same_scores_do_not_differ(scores):
    for _, _, difference in tool.compare(scores[0], scores[0], "copy").values():
        assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_what_cannot_be_compared_is_refused(scores):
    other = copy.deepcopy(scores[1]) | {"recognizer": "another ear"}
    with pytest.raises(DataError, match="a table, another ear"):
        tool.compare(scores[0], other, "clone")
    other = copy.deepcopy(scores[1])
    other["items"][0]["item"]["text"] = "something else"
    with pytest.raises(DataError, match="item a1"):
        tool.compare(scores[0], other, "clone")
    with pytest.raises(DataError, match="there are recording, copy, clone"):
        tool.compare(*scores, "robot")
    with pytest.raises(DataError, match="share no item"):
        tool.compare(scores[0], scores[1] | {"items": []}, "clone")


def test_items_without_recordings_have_no_length_to_compare(scores):
    first, second = (copy.deepcopy(one) for one in scores)
    assert tool.LENGTH in tool.compare(first, second, "clone")
    for item in first["items"]:
        item["outputs"]["clone"]["length_ratio"] = None
    found = tool.compare(first, second, "clone")
    assert tool.LENGTH not in found and "WER" in found
