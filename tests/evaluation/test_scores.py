"""Scores of a small folder whose answers are known, the written report, and the page."""

import functools
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import write_json
from resgen_tts.evaluation.measures.speed import REAL_TIME_FACTOR, told_threads
from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.reports.page import html_page
from resgen_tts.evaluation.reports.pictures import draw_mels
from resgen_tts.evaluation.reports.report import (
    ResultRow,
    append_result,
    log_figures,
    markdown,
    percent,
    plain,
    table_rows,
)
from resgen_tts.evaluation.scores import score_folder, worst_first
from resgen_tts.evaluation.waves import read_wave


@pytest.fixture
def report(synth, recognizer, encoder):
    return score_folder(read_synth(synth), recognizer, encoder, seed=0, notes=["a <note>"])


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
    report = score_folder(read_synth(synth), recognizer, encoder, seed=0)
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
    both = score_folder(read_synth(synth), recognizer, encoder, seed=0, second=other, prompt_recognizer=other)
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
    both = score_folder(
        read_synth(synth), recognizer, encoder, seed=0, second=Deaf("what the prompt says the cat sat")
    )  # fmt: skip
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
    clone = score_folder(read_synth(synth), recognizer, encoder, seed=0).systems["clone"]
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
    found = score_folder(
        read_synth(without_recordings(synth)), recognizer, encoder, seed=0, prompt_recognizer=other
    )  # fmt: skip
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
        score_folder(read_synth(synth), recognizer, encoder, seed=0)
    assert caught.value.code == "TOO_MANY_SKIPPED"


def test_read_is_used_plus_skipped(synth, recognizer, encoder, monkeypatch):
    monkeypatch.setattr("resgen_tts.evaluation.scores.MAX_SKIPPED_SHARE", 0.25)
    (synth / "wav/copy/a1.wav").write_text("this is not audio")
    report = score_folder(read_synth(synth), recognizer, encoder, seed=0)
    assert (report.read, report.used, list(report.skipped)) == (4, 3, ["a1"])
    assert all(scored.item.id != "a1" for scored in report.items)
    assert "4 read = 3 used + 1 skipped" in markdown(report) and "skipped a1" in markdown(report)


def test_one_speaker_has_nothing_to_compare_with(synth, recognizer, encoder):
    path = synth / "requests.jsonl"
    path.write_text(path.read_text().replace('"bert"', '"anna"'))
    with pytest.raises(DataError, match="only speaker"):
        score_folder(read_synth(synth), recognizer, encoder, seed=0)


def test_a_changed_wave_changes_the_data_hash(synth, recognizer, encoder, report):
    other = synth / "wav/clone/a2.wav"
    other.write_bytes((synth / "wav/clone/b2.wav").read_bytes())
    assert score_folder(read_synth(synth), recognizer, encoder, seed=0).data_sha256 != report.data_sha256


def test_the_table_says_what_the_json_says(report, tmp_path):
    write_json(tmp_path / "score.json", report.to_json())
    stored = json.loads((tmp_path / "score.json").read_text())
    rows = {cells[0]: cells[1:] for line in markdown(report).splitlines() if (cells := _cells(line))}
    labels = {
        "WER (": ("wer", 100),
        "CER": ("cer", 100),
        "leaks": ("robustness.leak", 100),
        "skips": ("robustness.skip", 100),
        "repeats": ("robustness.repeat", 100),
        "words heard": ("robustness.word_ratio", 1),
        "similarity to own prompt (": ("similarity_own", 1),
        "similarity to other": ("similarity_others", 1),
        "own speaker most": ("own_first", 100),
        "own prompt more": ("own_prompt_first", 100),
        "length over": ("length_ratio", 1),
    }
    for start, (name, scale) in labels.items():
        (shown,) = [cells for label, cells in rows.items() if label.startswith(start)]
        for cell, system in zip(shown, stored["systems"].values(), strict=True):
            value, low, high = (float(number) for number in re.findall(r"-?[\d.]+", cell))
            kept = functools.reduce(dict.__getitem__, name.split("."), system)
            expected = [scale * kept[part] for part in ("value", "low", "high")]
            assert [value, low, high] == pytest.approx(expected, abs=0.0501 if scale == 100 else 0.00501)


def _cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] if line.startswith("| ") else []


def test_embedded_scorers_are_marked_in_every_table(report):
    text = markdown(report)
    judged = ("WER (", "CER", "leaks", "skips", "repeats", "words heard", "similarity", "own speaker", "own prompt")
    marked = [line for line in text.splitlines() if line.startswith(tuple(f"| {label}" for label in judged))]
    assert len(marked) == 11 and all("†" in line.split("|")[1] for line in marked)
    assert "never with figures of Whisper" in text
    assert any("†" in name for name in log_figures(report))
    for needed in ("1,234,567 parameters", "f00d", "abc123", "a machine; 2 threads", report.data_sha256):
        assert needed in text
    assert "| synthesis sampler | steps 16 |" in text and "synthesis models" not in text and "{" not in text


def test_speed_stands_with_its_threads_and_one_definition(report, synth, recognizer, encoder):
    assert "| real-time factor, 2 threads | – | – | 0.500 " in markdown(report)
    assert f"| real-time factor | {REAL_TIME_FACTOR} |" in markdown(report)
    assert log_figures(report)["clone real-time factor, 2 threads"] == "0.500"
    assert told_threads({"threads": [1]}) == "1 thread" and told_threads({"threads": [1, 2]}) == "1 and 2 threads"
    run = json.loads((synth / "run.json").read_text())
    del run["threads"]
    write_json(synth / "run.json", run)
    old = score_folder(read_synth(synth), recognizer, encoder, seed=0)
    assert log_figures(old)["clone real-time factor, threads not recorded"] == "0.500"


class Page(HTMLParser):
    """Balanced tags, links, and text."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.tags, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def make_page(report, synth, out):
    picture = out / "mel" / "b1.png"
    wave = read_wave(synth / "wav/clone/b1.wav")
    draw_mels(picture, {"prompt": wave, "clone": wave[:8000]}, "$b1$ <x>")
    assert picture.read_bytes().startswith(b"\x89PNG")
    page = out / "index.html"
    return html_page(report, synth=synth, page=page, pictures={"b1": picture}, title="A & B"), page


def test_the_page_has_working_relative_links_and_no_raw_text(report, synth, tmp_path):
    text, page = make_page(report, synth, tmp_path / "exp" / "score ü")
    parsed = Page(text)
    assert parsed.open == []  # every tag is closed
    assert "b" not in parsed.tags and "note" not in parsed.tags  # "<b>chips</b>" and "<note>" are shown, not obeyed
    assert "fish & <b>chips</b>" in "".join(parsed.words) and "a <note>" in "".join(parsed.words)
    assert len(parsed.links) == 4 * 5 + 1
    for link in parsed.links:
        assert link.startswith("./") and (page.parent / unquote(link)).resolve().is_file()
    for cell in (cell for row in table_rows(report) for cell in row):
        assert cell in "".join(parsed.words)
    assert text.index('id="b1"') < text.index('id="b2"')  # worst first
    assert '<span class="substitute">bat</span><small> (cat)</small>' in text
    assert '<span class="delete">away</span>' in text and '<span class="insert">do</span>' in text


def test_links_survive_moving_the_experiment(report, synth, tmp_path):
    text, _ = make_page(report, synth, tmp_path / "exp" / "score")
    assert str(tmp_path) not in text
    os.rename(tmp_path / "exp", tmp_path / "moved")
    assert all((tmp_path / "moved" / "score" / unquote(link)).is_file() for link in Page(text).links)


@pytest.mark.parametrize("name", ["blank in name", "quo'te\"", "per%cent", "co:lon", "hash#?"])
def test_odd_folder_names_are_linked(report, synth, tmp_path, name):
    moved = tmp_path / name
    synth.rename(moved)
    text, page = make_page(report, moved, tmp_path / "score")
    assert all((page.parent / unquote(link)).is_file() for link in Page(text).links)


ROW = ResultRow(date="2026-11-21", commit="abc", hardware="2 cores", command="run | tee", figures={"WER": "3 %"})


def append_twice(readme: Path) -> str:
    assert append_result(readme, ROW)
    before = readme.read_text()
    later = ResultRow(date="2027-01-01", commit="abc", hardware="2 cores", command="run | tee", figures={"WER": "3 %"})
    assert not append_result(readme, later)
    assert readme.read_text() == before
    return before


def test_results_log_is_made_and_kept(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# egs/mini\n\nWords.\n")
    text = append_twice(readme)
    assert text.startswith("# egs/mini\n\nWords.\n\n## Results log\n\n| date | commit |")
    assert "| 2026-11-21 | abc | 2 cores | `run \\| tee` | WER: 3 % |" in text
    better = ResultRow(date="2026-11-22", commit="def", hardware="2 cores", command="run", figures={"WER": "2 %"})
    assert append_result(readme, better)
    assert readme.read_text().splitlines()[-1].startswith("| 2026-11-22 | def |")


def test_results_log_stands_before_what_follows_it(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# x\n\n## Results log\n\nRemarks.\n\n## Next\n\n| a | b |\n| --- | --- |\n")
    text = append_twice(readme)
    assert text.index("2026-11-21") < text.index("Remarks.") < text.index("## Next") < text.index("| a | b |")


def test_another_table_is_not_written_into(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("## Results log\n\n| a | b |\n| --- | --- |\n")
    with pytest.raises(DataError, match=r"README\.md:3"):
        append_result(readme, ROW)
    with pytest.raises(DataError, match="does not exist"):
        append_result(tmp_path / "none.md", ROW)


def test_a_figure_that_was_not_measured_is_a_dash(report):
    assert plain(None) == "–"
    assert percent(report.systems["recording"].wer) == "0.0 % [0.0, 0.0]"
