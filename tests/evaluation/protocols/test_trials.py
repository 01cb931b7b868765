"""Protocol V: what a trial is depends on the seed, the target, the trial and the corpus, and on nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.evaluation.protocols.item_set import write_item_set
from resgen_tts.evaluation.protocols.librispeech import choose_targets, read_librispeech
from resgen_tts.evaluation.protocols.prompt_cut import words_of
from resgen_tts.evaluation.protocols.trials import (
    PlannedTrials,
    TrialConfig,
    plan_continuation,
    plan_cross_sentence,
    refuse_failures,
)
from tests.evaluation.protocols.made_corpus import EvenAligner


@pytest.fixture
def spoken(corpus):
    found, _ = read_librispeech(corpus)
    return found, choose_targets(found, subset=True).utterances


@pytest.fixture
def real(libri):
    found, _ = read_librispeech(libri)
    return found, choose_targets(found, subset=True).utterances


def samples(path, start=0, stop=None):
    return soundfile.read(str(path), dtype="int16", start=start, stop=stop)[0]


@pytest.mark.parametrize("cut", ["hard", "word"])
def test_real_continuations_are_the_samples_and_words_of_their_targets(real, aligner, cut, tmp_path):
    _, targets = real
    planned = plan_continuation(targets, TrialConfig(cut=cut, trials=2), aligner)
    assert len(planned.items) == 2 * (len(targets) - len(planned.skipped)) and len(planned.skipped) <= 1
    assert len(planned.items) >= 40
    by_id = {one.id: one for one in targets}
    items = write_item_set(tmp_path / "set", planned.items, {})
    for item in items.items:
        target = by_id[item.target_id]
        prompt = samples(items.file(item.prompt))
        assert np.array_equal(prompt, samples(target.path, 0, len(prompt)))
        assert len(prompt) == 48_000 if cut == "hard" else 16_000 < len(prompt) <= 48_000
        assert f"{item.prompt_text} {item.say}" == item.text == target.text and item.continues
        assert items.file(item.recording).read_bytes() == target.path.read_bytes()
        assert items.file(item.recording).with_suffix(".txt").read_text() == target.text + "\n"
        assert items.file(item.prompt).with_suffix(".txt").read_text() == item.prompt_text + "\n"
    first, second = items.items[:2]
    assert (first.trial, second.trial) == (0, 1) and first.prompt == second.prompt


@pytest.mark.parametrize("cut", ["hard", "word"])
def test_real_cross_sentence_prompts_are_parts_of_other_utterances(real, aligner, cut, tmp_path):
    found, targets = real
    planned = plan_cross_sentence(targets, found, TrialConfig(cut=cut), aligner)
    lone = {one.id for one in targets if one.speaker not in {"1089", "1688", "2609", "367"}}
    assert set(planned.absent) == lone and planned.skipped == {}
    assert len(planned.items) == 3 * (len(targets) - len(lone)) >= 45
    items = write_item_set(tmp_path / "set", planned.items, {})
    for item in items.items:
        utterance, start, stop = item.prompt_id.rsplit("-", 2)
        source = found[utterance]
        assert utterance != item.target_id and source.speaker == item.speaker
        prompt = samples(items.file(item.prompt))
        assert np.array_equal(prompt, samples(source.path, int(start), int(stop)))
        if cut == "hard":
            assert len(prompt) == 48_000
        else:
            borders = words_of(source.text, aligner.known[source.path.name].timed).spans
            lengths = [round(b.end * 16_000) - round(a.start * 16_000) for a in borders for b in borders]
            longest = max(length for length in lengths if length <= 48_000)
            assert min(32_000, longest) <= len(prompt) <= 48_000  # an utterance may be too short for 2 s
        assert f" {item.prompt_text} " in f" {source.text} " and item.say == item.text
        assert items.file(item.reference).read_bytes() == source.path.read_bytes()
    assert len({item.prompt_id for item in items.items}) > 0.8 * len(items.items)  # drawn anew for each trial


@pytest.mark.parametrize("cut", ["hard", "word"])
def test_a_trial_does_not_depend_on_order_others_or_the_number_of_trials(spoken, cut):
    found, targets = spoken
    config = TrialConfig(cut=cut)
    planned = {item.id: item for item in plan_cross_sentence(targets, found, config, EvenAligner()).items}
    again = plan_cross_sentence(targets[::-1], dict(reversed(found.items())), config, EvenAligner())
    assert {item.id: item for item in again.items} == planned and [*planned] == [item.id for item in again.items]
    alone = plan_cross_sentence(targets[1:2], found, replace(config, trials=1), EvenAligner())
    assert [planned[item.id] for item in alone.items] == list(alone.items)
    more = plan_cross_sentence(targets, found, replace(config, trials=5), EvenAligner())
    assert {item.id: item for item in more.items if item.trial < 3} == planned
    other = plan_cross_sentence(targets, found, replace(config, seed=50), EvenAligner())
    assert {item.id: item for item in other.items} != planned


def test_every_other_utterance_that_is_long_enough_is_drawn(spoken):
    found, targets = spoken
    planned = plan_cross_sentence(targets[:1], found, TrialConfig(cut="word", trials=60), EvenAligner())
    assert {item.reference.name for item in planned.items} == {"11-1-0001", "11-1-0002", "11-2-0000"}  # not 1.5 s


def test_a_prompt_that_cannot_be_aligned_gives_way_to_the_next_one(spoken):
    found, targets = spoken
    config = TrialConfig(cut="word")
    whole = {item.id: item for item in plan_cross_sentence(targets, found, config, EvenAligner()).items}
    lost = EvenAligner(lost=("11-2-0000",))
    planned = plan_cross_sentence(targets, found, config, lost)
    assert planned.failed == {"11-2-0000": "mumbled"} and planned.skipped == {}
    now = {item.id: item for item in planned.items}
    assert now.keys() == whole.keys() and any(one.reference.name == "11-2-0000" for one in whole.values())
    for name, item in whole.items():
        if item.reference.name == "11-2-0000":
            assert now[name].reference.name in {"11-1-0000", "11-1-0001", "11-1-0002"}
        else:
            assert now[name] == item
    assert all(len(set(names)) == len(names) for names in lost.asked)
    everyone = tuple(name for name in found if name.startswith("11-"))
    none = plan_cross_sentence(targets, found, config, EvenAligner(lost=everyone))
    assert set(none.skipped) == {"11-1-0000", "11-1-0001"} and set(none.absent) == {"33-1-0000"}
    assert {item.speaker for item in none.items} == {"22"}


def test_a_target_that_cannot_be_aligned_is_skipped_with_its_reason(spoken):
    _, targets = spoken
    planned = plan_continuation(targets, TrialConfig(cut="hard"), EvenAligner(lost=("22-1-0000",)))
    assert planned.skipped == {"22-1-0000": "mumbled"} and len(planned.items) == 15
    with pytest.raises(DataError, match=r"TOO_MANY_SKIPPED.*1 of 6 utterances.*22-1-0000: mumbled"):
        refuse_failures(planned, 0.01)
    refuse_failures(planned, 0.2)


def test_one_in_a_hundred_may_be_missing_and_no_more(spoken):
    _, targets = spoken
    (item, *_) = plan_continuation(targets, TrialConfig(cut="hard"), EvenAligner()).items
    used = [replace(item, target_id=str(number)) for number in range(99)]
    refuse_failures(PlannedTrials(items=used, skipped={"a": "x"}, asked=100, failed={"a": "x"}), 0.01)
    with pytest.raises(DataError, match="2 of 101"):
        refuse_failures(PlannedTrials(items=used, skipped={"a": "x", "b": "y"}, asked=101), 0.01)


@pytest.mark.parametrize("wrong", [{"cut": "soft"}, {"trials": 0}, {"prompt_seconds": 4.0}, {"prompt_seconds": 1.0}])
def test_choices_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError):
        TrialConfig(**({"cut": "hard"} | wrong))
