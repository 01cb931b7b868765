"""Two scored systems set side by side: differences counted by hand, and what must not be compared."""

import copy
import json
from dataclasses import replace

import pytest

from resgen_tts.apps.scoring import score_comparison
from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import write_json
from resgen_tts.evaluation.measures.statistics import holm, paired_difference, permutation_test
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.reports.comparison import compare, comparison_markdown, correct
from resgen_tts.evaluation.reports.stored_scores import LENGTH, SCORES_FILE
from resgen_tts.evaluation.scores import score_folder


@pytest.fixture
def scores(synth, judges, tmp_path):
    """As score.json holds them: the second folder's clones leak once more, and one item less is in it."""
    found = []
    for number in range(2):
        if number:
            judges.recognizer.heard["clone/a1"] = "what the prompt says the cat sat"
        write_json(tmp_path / f"{number}.json", score_folder(read_synth(synth), judges, seed=0).to_json())
        found.append(json.loads((tmp_path / f"{number}.json").read_text()))
    found[1]["items"] = [item for item in found[1]["items"] if item["item"]["id"] != "b2"]
    return found


def values(difference):
    return [part.value for part in (difference.first, difference.second, difference.difference)]


def test_differences_are_of_shared_items_and_of_the_corpus(scores):
    found = compare(*scores, "clone")
    assert values(found.of("leak")) == pytest.approx([0, 1 / 3, 1 / 3])
    # a1, a2, b1 have 3 + 4 + 2 words: bat for cat, a missing "away", an added "do"; then four words too many in a1
    assert values(found.of("WER")) == pytest.approx([3 / 9, (4 + 2) / 9, 3 / 9])
    assert values(found.of("WER, mean of the items'")) == pytest.approx(
        [(1 / 3 + 1 / 4 + 1 / 2) / 3, (4 / 3 + 1 / 4 + 1 / 2) / 3, 1 / 3]
    )
    assert values(found.of("items with over 50 % WER")) == pytest.approx([0, 1 / 3, 1 / 3])
    assert found.of("SIM-o").difference.value == found.of("SIM-r").difference.value == 0
    leak = found.of("leak").difference
    assert leak.low <= 1 / 3 <= leak.high and found.of("leak").items == 3
    assert (found.items, found.speakers, found.left_out) == (3, 2, (["b2"], []))


def test_p_values_and_intervals_are_those_of_the_statistics(scores):
    found = compare(*scores, "clone", seed=3)
    first, second, speakers = ([1, 1, 1], [3, 4, 2]), ([4, 1, 1], [3, 4, 2]), ["anna", "anna", "bert"]
    wer = found.of("WER")
    assert wer.difference == paired_difference(second, first, seed=3)
    assert wer.difference_over_speakers == paired_difference(second, first, seed=3, groups=speakers)
    # One item of three differs: exchanged or not, the difference is as large.
    assert wer.p == permutation_test(second, first, seed=3) == 1.0
    assert wer.p_over_speakers == permutation_test(second, first, seed=3, groups=speakers)
    assert [one.p_holm for one in found.differences] == holm([one.p for one in found.differences])
    assert [one.p_over_speakers_holm for one in found.differences] == holm(
        [one.p_over_speakers for one in found.differences]
    )


def test_a_difference_that_every_item_has_is_told_from_chance(scores):
    first, second = (copy.deepcopy(scores[0]) for _ in range(2))
    for scored, shift in ((first, 0.0), (second, 0.1)):
        grown = []
        for number in range(12):
            for item in copy.deepcopy(scored["items"]):
                item["item"]["id"] += f"-{number}"
                item["outputs"]["clone"]["speaker"]["own"] = 0.5 + 0.01 * number + shift
                grown.append(item)
        scored["items"] = grown
    found = compare(first, second, "clone")
    assert found.of("SIM-o").difference.value == pytest.approx(0.1)
    assert found.of("SIM-o").p == pytest.approx(1 / 10_001)  # of 48 items no drawn exchange gives as much
    assert found.of("SIM-o").p_holm == pytest.approx(len(found.differences) / 10_001)
    assert found.of("SIM-o").p_over_speakers == 0.5  # two speakers cannot tell
    assert found.of("WER").p == 1.0


def test_the_table_tells_what_it_is_of(scores):
    text = comparison_markdown(compare(*scores, "clone", seed=4), ("old", "new"))
    assert "| old: clone | new: clone |" in text and "| leak † | 3 | 0.0000 [0.0000, 0.7076] | 0.3333" in text
    assert "3 items of 2 speakers on both sides; a table; another table; FAKEMOS 1.0; normaliser: letters" in text
    assert "* 1 items of the first alone are left out: b2." in text and "over whole speakers" in text
    assert "all ways, or 10,000 drawn" in text and "seed 4" in text


def test_the_same_scores_do_not_differ(scores):
    for one in compare(scores[0], scores[0], "copy").differences:
        assert (one.difference.value, one.difference.low, one.difference.high, one.p) == (0, 0, 0, 1)


def test_two_systems_of_one_scoring_are_compared(scores):
    found = compare(scores[0], scores[0], "recording", second_system="clone")
    assert found.systems == ("recording", "clone") and found.of("WER").difference.value == pytest.approx(3 / 13)
    assert found.of(LENGTH).difference.value == pytest.approx(0.5)


def test_ratings_are_compared_where_both_sides_have_them(scores):
    found = compare(scores[0], scores[0], "recording", second_system="clone").of("FAKEMOS OVRL")
    assert values(found) == pytest.approx([4.0, 2.0, -2.0]) and found.items == 3  # one clone could not be rated


def test_what_cannot_be_compared_is_refused(scores):
    first, second = scores
    for other, reason in (
        ({"recognizer": "another ear"}, "a table, another ear"),
        ({"encoder": "another nose"}, "another table, another nose"),
        ({"normalizer": "whisper"}, "normalisers.*letters, whisper"),
        ({"raters": ["FAKEMOS 2.0"]}, "raters.*FAKEMOS 1.0, FAKEMOS 2.0"),
        ({"protocol": {"name": "V", "seed": 49}}, "protocols.*none, V"),
        ({"items": []}, "share no item"),
    ):
        with pytest.raises(DataError, match=reason):
            compare(first, second | other, "clone")
    for fact in ("text", "speaker"):
        other = copy.deepcopy(second)
        other["items"][0]["item"][fact] = "something else"
        with pytest.raises(DataError, match=f"item a1 has another {fact}"):
            compare(first, other, "clone")
    with pytest.raises(DataError, match="there are recording, copy, clone"):
        compare(*scores, "robot")


def test_p_values_are_corrected_over_all_tables_of_a_call(scores):
    tables = [compare(scores[0], other, "clone") for other in (scores[1], scores[0])]
    tables[0].differences[0] = replace(tables[0].differences[0], p=0.001)
    found = correct(tables)
    every = [one.p for table in tables for one in table.differences]
    assert [one.p_holm for table in found for one in table.differences] == holm(every)
    assert found[0].differences[0].p_holm == pytest.approx(0.001 * len(every))  # and not the half of it
    assert f"corrected for the {len(every)} figures of all 2 tables." in comparison_markdown(found[0])
    assert f"corrected for the {len(every) // 2} figures of this table." in comparison_markdown(tables[0])


def test_one_call_of_the_verb_corrects_over_its_tables(scores, tmp_path, capsys):
    for name, stored in zip("abc", [*scores, scores[0]], strict=True):
        write_json(tmp_path / name / SCORES_FILE, stored)
    score_comparison.main(["--compare", *(str(tmp_path / name) for name in "abc"), "--output", str(tmp_path / "out")])
    made = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert len(made) == 2 and {table["tables"] for table in made} == {2}
    assert {table["tests"] for table in made} == {sum(len(table["differences"]) for table in made)}
    assert capsys.readouterr().out.count("figures of all 2 tables.") == 2
    two = compare(scores[0], scores[1], "clone")
    assert made[0]["differences"][0]["difference"]["value"] == two.differences[0].difference.value


def test_leaks_of_continuations_are_not_compared(scores):
    for scored in scores:
        for item in scored["items"]:
            item["item"]["continued_seconds"] = 0.5
    found = compare(*scores, "clone")
    assert "leak †" not in [one.figure for one in found.differences] and found.of("skip")
    assert any("Leaks are not counted" in note for note in found.notes)


def test_uncut_similarities_are_compared_where_both_sides_have_them(scores):
    assert "uncut" not in comparison_markdown(compare(*scores, "clone"))
    for scored, value in zip(scores, (0.25, 0.5), strict=True):
        for item in scored["items"]:
            item["outputs"]["clone"]["speaker"]["uncut"] = value
    assert values(compare(*scores, "clone").of("SIM-o with the uncut utterance")) == pytest.approx([0.25, 0.5, 0.25])


def test_prompts_of_another_length_are_refused_and_parts_of_a_protocol_are_told(scores):
    facts = {"name": "X", "mode": "custom", "prompt_seconds": 3.0, "items": 4, "set_sha256": "beef", "is_subset": False}
    with pytest.raises(DataError, match=r"prompt_seconds 3\.0, 5\.0"):
        compare(scores[0] | {"protocol": facts}, scores[1] | {"protocol": facts | {"prompt_seconds": 5.0}}, "clone")
    same = compare(*(one | {"protocol": facts} for one in scores), "clone")
    assert not any("protocol" in note for note in same.notes)
    other = facts | {"set_sha256": "f00d", "is_subset": True}
    notes = compare(scores[0] | {"protocol": facts}, scores[1] | {"protocol": other}, "clone").notes
    assert any("set_sha256 beef, f00d" in note for note in notes) and any("is_subset False, True" in n for n in notes)
    assert any(note.startswith("**SUBSET: 4 items") and note.endswith("(scores 2)") for note in notes)
    changed = [one | {"protocol": {"name": "V", "mode": "continuation", "trials": 1, "items": 4}} for one in scores]
    notes = compare(*changed, "clone").notes
    assert any(note.startswith("**CHANGED:") and note.endswith("(scores 1, 2)") for note in notes)


def test_another_prompt_is_told(scores):
    scores[1]["items"][0]["item"]["prompt_id"] = "another"
    assert any("1 items have another prompt elsewhere: a1" in note for note in compare(*scores, "clone").notes)


def test_trials_of_a_target_are_no_items_of_their_own(scores):
    first, second = (copy.deepcopy(scores[0]) for _ in range(2))
    for scored, shift in ((first, 0.0), (second, 0.1)):
        for place, item in enumerate(scored["items"]):
            item["item"] |= {"trial": place % 2, "target_id": f"target-{place // 2}"}
            item["outputs"]["clone"]["speaker"]["own"] = 0.5 + shift
    found = compare(first, second, "clone")
    assert found.of("SIM-o").p == 0.5  # two targets; as four items it would be 1/8
    assert any("trials of a target" in note for note in found.notes)


def test_items_without_recordings_have_no_length_to_compare(scores):
    assert compare(*scores, "clone").of(LENGTH)
    for item in scores[0]["items"]:
        item["outputs"]["clone"]["length_ratio"] = None
    found = compare(*scores, "clone")
    assert found.of("WER") and LENGTH not in [one.figure for one in found.differences]


def test_files_from_before_are_read_or_refused_with_a_word(scores):
    old = copy.deepcopy(scores[0])
    for name in ("normalizer", "raters", "protocol", "embedded_scorers"):
        del old[name]
    old["has_embedded_scorers"] = True
    for item in old["items"]:
        for name in ("trial", "continued_seconds", "reference"):
            del item["item"][name]
        for output in item["outputs"].values():
            del output["naturalness"], output["left_out"]
    found = compare(old, scores[1], "clone")
    assert values(found.of("WER")) == pytest.approx([3 / 9, 6 / 9, 3 / 9])
    assert any(one.figure == "SIM-o †" for one in found.differences)
    assert "FAKEMOS OVRL" not in comparison_markdown(found)
    for item in old["items"]:
        for output in item["outputs"].values():
            del output["robustness"]
    with pytest.raises(DataError, match=r"'robustness'.*older version.*Score the folder again"):
        compare(old, scores[1], "clone")
    with pytest.raises(DataError, match="hold no recognizer, encoder, items"):
        compare({}, scores[1], "clone")
