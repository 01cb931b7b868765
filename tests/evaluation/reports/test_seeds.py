"""Several seeds of one system: what each says, their mean and spread, and what is no seed."""

import copy
import json
import statistics

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import write_json
from resgen_tts.evaluation.measures.statistics import seeds_interval
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.reports.seeds import seeds_markdown, summarize_seeds
from resgen_tts.evaluation.scores import score_folder


@pytest.fixture
def several(synth, judges, tmp_path):
    """Seeds 3, 4, 5: three, two and one word of 13 wrong."""
    found = []
    for seed, mended in ((3, {}), (4, {"clone/a1": "the cat sat"}), (5, {"clone/a2": "a dog ran away"})):
        judges.recognizer.heard |= mended
        stored = score_folder(read_synth(synth), judges, seed=0).to_json()
        stored |= {"run": stored["run"] | {"seed": seed}, "data_sha256": f"da7a{seed}"}
        write_json(tmp_path / f"{seed}.json", stored)
        found.append(json.loads((tmp_path / f"{seed}.json").read_text()))
    return found


def test_mean_spread_and_interval_of_three_seeds(several):
    found = summarize_seeds(several, "clone", seed=1)
    wer = found.of("WER")
    assert found.seeds == [3, 4, 5] and (found.items, found.speakers) == (4, 2)
    assert [one.value for one in wer.by_seed] == pytest.approx([3 / 13, 2 / 13, 1 / 13])
    assert wer.mean.value == pytest.approx(2 / 13)
    assert wer.spread == pytest.approx(statistics.stdev([3 / 13, 2 / 13, 1 / 13]))
    words = [3, 4, 2, 4]
    ratios = [([1, 1, 1, 0], words), ([0, 1, 1, 0], words), ([0, 0, 1, 0], words)]
    assert wer.mean == seeds_interval(ratios, seed=1)
    assert wer.mean_over_speakers == seeds_interval(ratios, seed=1, groups=["anna", "anna", "bert", "bert"])
    assert found.of("FAKEMOS OVRL").items == 3 and found.of("SIM-o").spread == 0
    assert json.loads(json.dumps(found.to_json()))["figures"][0]["by_seed"][2]["value"] == pytest.approx(1 / 13)


def test_the_table_shows_every_seed(several):
    text = seeds_markdown(summarize_seeds(several, "clone"))
    assert "| figure | items | seed 3 | seed 4 | seed 5 | mean, over items |" in text
    assert "| WER † | 4 | 0.2308 | 0.1538 | 0.0769 | 0.1538 [" in text and "| 0.0769 |" in text
    assert "clone: 4 items of 2 speakers at 3 seeds." in text and "TOO FEW" not in text and "weights" not in text


def test_too_few_seeds_are_loud(several):
    assert "**TOO FEW SEEDS: 2; 3 at least" in seeds_markdown(summarize_seeds(several[:2], "clone"))
    one = summarize_seeds(several[:1], "clone")
    assert one.of("WER").spread is None and "TOO FEW SEEDS: 1" in seeds_markdown(one) and "| – |" in seeds_markdown(one)


def test_what_is_no_further_seed_is_refused(several):
    with pytest.raises(DataError, match="seed 4 stands twice") as caught:
        summarize_seeds([several[0], several[1], several[1]], "clone")
    assert caught.value.code == "SEED_REPEATED"
    for odd in ("three", True):
        unknown = several[0] | {"run": {"seed": odd}}
        with pytest.raises(DataError, match="seed of the synthesis in scores 2 is no whole number"):
            summarize_seeds([several[1], unknown], "clone")
    with pytest.raises(DataError, match="another ear"):
        summarize_seeds([several[0], several[1] | {"recognizer": "another ear"}], "clone")
    with pytest.raises(DataError, match="no scores"):
        summarize_seeds([], "clone")


def test_other_weights_and_missing_items_are_told(several):
    several[1]["run"]["models"] = {"generator": {"sha256": "beef"}}
    several[2]["items"] = several[2]["items"][1:]
    found = summarize_seeds(several, "clone")
    assert found.items == 3 and found.of("WER").by_seed[0].value == pytest.approx(2 / 10)
    text = seeds_markdown(found)
    assert "2 different sets of weights" in text and "1 items of seed 3 are left out" in text


def test_runs_that_record_no_seed_are_told_as_runs(several):
    for scores in several[:2]:
        del scores["run"]["seed"]
    found = summarize_seeds(several, "clone")
    assert found.seeds == [None, None, 5] and found.of("WER").spread > 0
    text = seeds_markdown(found)
    assert "| figure | items | run 1 | run 2 | seed 5 |" in text and "4 items of 2 speakers at 3 runs." in text
    assert "* run 1, run 2: what made these outputs recorded no seed" in text


def test_the_same_data_twice_is_no_further_run(several):
    again = copy.deepcopy(several)
    for scores in again:
        scores["run"] = {"systems": {"others": "waves"}}  # as adopted waves have it
    again[2]["data_sha256"] = again[0]["data_sha256"]
    with pytest.raises(DataError, match="run 1 and run 3 are scores of the same data") as caught:
        summarize_seeds(again, "clone")
    assert caught.value.code == "SEED_REPEATED"
