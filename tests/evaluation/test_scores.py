"""Scores of a small folder whose answers are known."""

import json

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.reports.report import markdown
from resgen_tts.evaluation.reports.results_log import log_figures
from resgen_tts.evaluation.scores import Judges, score_folder, worst_first
from tests.evaluation.reports.page_reader import make_page


def scored(folder, recognizer, encoder, *, notes=(), **others):
    judges = Judges(recognizer=recognizer, encoder=encoder, **others)
    return score_folder(read_synth(folder), judges, seed=0, notes=notes)


@pytest.fixture
def report(synth, recognizer, encoder):
    return scored(synth, recognizer, encoder, notes=["a <note>"])


def test_hand_counted_corpus_figures(report):
    # 3 + 4 + 2 + 4 reference words ("fish & <b>chips</b>" is fish b chips b)
    assert report.systems["recording"].wer.value == 0.0
    assert report.systems["copy"].wer.value == pytest.approx(1 / 13)  # "s" is heard besides
    assert report.systems["clone"].wer.value == pytest.approx(3 / 13)
    assert report.wer_differences["clone - copy"].value == pytest.approx(2 / 13)
    assert report.systems["clone"].length_ratio.value == pytest.approx(1.5)
    assert report.systems["copy"].mel_l1.value == 0.0
    assert report.systems["clone"].mel_l1 is None
    assert report.systems["clone"].speed.real_time_factor == pytest.approx(0.5)
    assert report.read == report.used == 4 and not report.skipped


def test_a_clone_in_the_wrong_voice_is_not_its_own_speaker(report):
    assert report.systems["recording"].own_first.value == 1.0
    assert report.systems["clone"].own_first.value == pytest.approx(3 / 4)
    assert report.systems["clone"].own_first_of_speakers == pytest.approx((1 + 1 / 2) / 2)
    assert report.systems["clone"].similarity_own.value == pytest.approx((1 + 1 + 1 + 0.6) / 4)
    assert report.systems["clone"].similarity_others.value == pytest.approx(0.8 / 4)


def test_leaks_skips_and_repeats_of_each_system(synth, recognizer, encoder, tmp_path):
    recognizer.heard["clone/a1"] = "what the prompt the cat sat"  # leaks
    recognizer.heard["clone/a2"] = "a dog"  # skips "ran away"
    recognizer.heard["clone/b1"] = "birds birds sing"  # repeats
    recognizer.heard["copy/b1"] = "birds sing sing"
    report = scored(synth, recognizer, encoder)
    rates = {name: system.robustness for name, system in report.systems.items()}
    assert [rates["clone"].leak.value, rates["clone"].skip.value, rates["clone"].repeat.value] == [0.25] * 3
    assert [rates["copy"].leak.value, rates["copy"].skip.value, rates["copy"].repeat.value] == [0, 0, 0.25]
    assert rates["recording"].word_ratio.value == 1 and rates["clone"].word_ratio.value == pytest.approx(15 / 13)
    stored = {item["item"]["id"]: item["outputs"]["clone"]["robustness"] for item in report.to_json()["items"]}
    assert stored["a1"]["leaked"] == ("what the prompt",) and stored["b1"]["repeated"] == ("birds",)
    text, _ = make_page(report, synth, tmp_path)
    assert "<small>leak:</small> what the prompt" in text and "<small>skip:</small> ran away" in text


class Deaf:
    """Hears the same words everywhere."""

    name, is_embedded = "a deaf one, open vocabulary", True

    def __init__(self, words):
        self.words, self.paths = words, []

    def transcribe(self, paths):
        self.paths += paths
        return [self.words] * len(paths)


def test_a_second_hearing_stands_beside_the_first(synth, recognizer, encoder, report, tmp_path):
    other = Deaf("birds sing what the prompt says")
    both = scored(synth, recognizer, encoder, second=other, prompt_recognizer=other)
    assert both.systems["clone"].wer == report.systems["clone"].wer
    again = both.systems["clone"].second
    # Six words are heard against 3, 4, 2 and 4; right are b1's two, and "the" of a1: 5 + 6 + 4 + 6 errors.
    assert again.wer.value == pytest.approx(21 / 13) and again.robustness.leak.value == 1
    assert both.second_wer_differences["clone - copy"].value == 0 and not both.prompt_wer
    text = markdown(both)
    assert "| WER (a deaf one, open vocabulary) † | 161.5 % " in text and "| skips, open vocabulary † | " in text
    assert log_figures(both)["clone WER, open vocabulary†"].startswith("161.5 %")
    assert "what the prompt says" in make_page(both, synth, tmp_path)[0]


def test_leaks_are_those_of_whoever_can_hear_the_prompts_words(synth, recognizer, encoder, report, tmp_path):
    # The first recogniser knows the texts' words alone: of a clone that says the prompt first it hears the text.
    both = scored(synth, recognizer, encoder, second=Deaf("what the prompt says the cat sat"))
    assert both.systems["clone"].robustness.leak.value == 0
    (line,) = [line for line in markdown(both).splitlines() if line.startswith("| leaks")]
    assert "heard by a deaf one, open vocabulary †" in line and line.count("| 100.0 % ") == 3
    assert log_figures(both)["clone leak, open vocabulary† / skip† / repeat†"].startswith("100.0 % ")
    assert "<small>leak:</small> what the prompt says" in make_page(both, synth, tmp_path)[0]
    (line,) = [line for line in markdown(report).splitlines() if line.startswith("| leaks")]
    assert "heard by a table †" in line and line.count("| 0.0 % ") == 3
    assert log_figures(report)["clone leak, a table† / skip† / repeat†"].startswith("0.0 % ")


def test_one_near_prompt_of_another_speaker_is_a_rival_that_their_mean_hides(synth, recognizer, encoder):
    encoder.prints["prompt/b1"] = (0.8, 0.6)
    encoder.prints["prompt/a1"], encoder.prints["clone/a1"] = (0.6, 0.8), (0.8, 0.6)
    clone = scored(synth, recognizer, encoder).systems["clone"]
    # a1: own 0.96, bert's 1.0 and 0.6; a2: own 1.0, 0.8 and 0; b1: own 0.6, anna's 0.8 and 0; b2: own 0.6, 0.96 and 0.8
    assert clone.own_first.value == pytest.approx(3 / 4)
    assert clone.own_prompt_first.value == pytest.approx(1 / 4)
    over = clone.own_prompt_first_over_speakers
    assert over.value == pytest.approx(1 / 4) and over.high - over.low <= 0.5 + 1e-9


def without_recordings(synth):
    log = synth / "requests.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for row in rows:
        row["systems"] = {"clone": row["systems"]["clone"]}
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return synth


def test_items_that_nobody_recorded_are_scored_by_words_and_voice(synth, recognizer, encoder, report, tmp_path):
    other = Deaf("what the prompt")
    found = scored(without_recordings(synth), recognizer, encoder, prompt_recognizer=other)
    clone = found.systems["clone"]
    assert list(found.systems) == ["clone"] and not found.wer_differences
    assert clone.wer == report.systems["clone"].wer and clone.own_first == report.systems["clone"].own_first
    assert clone.length_ratio is None and clone.mel_l1 is None
    # One of the four words of each prompt is missing.
    assert [found.prompt_wer[kind].value for kind in ("prompt", "prompt_copy")] == [0.25, 0.25]
    assert len(other.paths) == 8
    text = markdown(found)
    assert (
        "| length over the recording's | – |" in text
        and "| WER of the prompts' copies, open vocabulary | 25.0 %" in text
    )
    assert not any("length" in name for name in log_figures(found))
    page, _ = make_page(found, synth, tmp_path)
    assert "1.50 s</td>" in page and "(x " not in page


def test_worst_items_come_first(report):
    # b1: 1 of 2 words; a1: 1 of 3; a2: 1 of 4; b2: none
    assert [scored.item.id for scored in worst_first(report)] == ["b1", "a1", "a2", "b2"]


def test_an_unreadable_item_is_named_and_fails_a_small_set(synth, recognizer, encoder):
    (synth / "wav/clone/b1.wav").write_text("this is not audio")
    with pytest.raises(DataError, match=r"1 of 4 items cannot be scored \(b1: .*clone/b1.wav") as caught:
        scored(synth, recognizer, encoder)
    assert caught.value.code == "TOO_MANY_SKIPPED"


def test_read_is_used_plus_skipped(synth, recognizer, encoder, monkeypatch):
    monkeypatch.setattr("resgen_tts.evaluation.scores.MAX_SKIPPED_SHARE", 0.25)
    (synth / "wav/copy/a1.wav").write_text("this is not audio")
    report = scored(synth, recognizer, encoder)
    assert (report.read, report.used, list(report.skipped)) == (4, 3, ["a1"])
    assert all(scored.item.id != "a1" for scored in report.items)
    assert "4 read = 3 used + 1 skipped" in markdown(report) and "skipped a1" in markdown(report)


def test_a_changed_wave_changes_the_data_hash(synth, recognizer, encoder, report):
    other = synth / "wav/clone/a2.wav"
    other.write_bytes((synth / "wav/clone/b2.wav").read_bytes())
    assert scored(synth, recognizer, encoder).data_sha256 != report.data_sha256
