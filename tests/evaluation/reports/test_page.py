"""The page: every item in a list, players and words of the worst ones, links that work, and no raw text."""

import dataclasses
import os
import re
from urllib.parse import unquote

import pytest

from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.reports.page import html_page
from resgen_tts.evaluation.reports.report import facts, table_rows
from resgen_tts.evaluation.scores import score_folder
from tests.evaluation.reports.page_reader import Page, make_page


def test_the_page_has_working_relative_links_and_no_raw_text(report, synth, tmp_path):
    text, page = make_page(report, synth, tmp_path / "exp" / "score ü")
    parsed = Page(text)
    assert parsed.open == []  # every tag is closed
    assert "b" not in parsed.tags and "note" not in parsed.tags  # "<b>chips</b>" and "<note>" are shown, not obeyed
    assert "fish & <b>chips</b>" in "".join(parsed.words) and "a <note>" in "".join(parsed.words)
    assert len(parsed.links) == 4 * 5 + 1
    for link in parsed.links:
        assert link.startswith("./") and (page.parent / unquote(link)).resolve().is_file()
    for cell in (cell for row in [*table_rows(report), *facts(report)] for cell in row):
        assert cell in "".join(parsed.words)
    assert text.index('id="item-b1"') < text.index('id="item-b2"')  # worst first
    assert "<mark>bat</mark><small> (cat)</small>" in text
    assert "<del>away</del>" in text and "<ins>do</ins>" in text
    assert "2.00</td>" in text and "AUDIO_TOO_SHORT</td>" in text  # ratings, and why there is none


def test_nothing_comes_from_elsewhere_and_everything_is_reached_by_keyboard(report, synth, tmp_path):
    parsed = Page(make_page(report, synth, tmp_path)[0])
    assert not {"link", "iframe", "object"} & set(parsed.tags) and parsed.tags.count("script") == 1
    assert len(parsed.ids) == len(set(parsed.ids)) and set(parsed.anchors) <= set(parsed.ids)
    assert {"main", "nav", "h1", "h2", "h3", "thead", "caption", "summary"} <= set(parsed.tags)
    text = make_page(report, synth, tmp_path)[0]
    assert "http" not in text and "@import" not in text and "url(" not in text
    assert text.count("<audio controls") == text.count('aria-label="') - 1 == 20  # and the one of the navigation
    assert 'aria-label="clone of b1"' in text


def list_rows(text):
    body = text[text.index("<tbody>", text.index('id="list"')) :]
    return re.findall(r"<tr>(.*)</tr>", body[: body.index("</tbody>")])


def test_all_items_are_listed_and_the_worst_ones_told(report, synth, tmp_path):
    text, _ = make_page(report, synth, tmp_path, worst=1)
    rows = list_rows(text)
    assert [re.sub("<.*?>", " ", row).split()[0] for row in rows] == ["b1", "a1", "a2", "b2"]
    assert " ".join(re.sub("<.*?>", " ", rows[0]).split()) == "b1 bert 0 1.00 1.0 0 1.00 1.0 50 1.00 1.5"
    assert '<a href="#item-b1">b1</a>' in rows[0] and not any("<a " in row for row in rows[1:])
    assert text.count('<section id="item-') == 1 and "The worst 1 items" in text
    parsed = Page(text)
    assert len(parsed.links) == 5 + 1 and set(parsed.anchors) <= set(parsed.ids)
    assert "<details open>" in text
    assert text.count('<section id="item-') == 1
    none, _ = make_page(report, synth, tmp_path, worst=0)
    assert len(list_rows(none)) == 4 and "<audio" not in none


def test_a_protocol_of_thousands_stays_light(report, synth, tmp_path):
    items = [
        dataclasses.replace(scored, item=dataclasses.replace(scored.item, id=f"{name}.{trial}", target_id=name))
        for name in (f"1089-134686-{number:04d}" for number in range(1237))
        for trial, scored in enumerate(report.items[:3])
    ]
    text, _ = make_page(dataclasses.replace(report, items=items, used=len(items)), synth, tmp_path)
    assert len(list_rows(text)) == 3711 and "<details><summary>3,711 items" in text
    assert text.count("<audio") == 20 * 5
    assert len(text) < 1_200_000


def test_a_part_of_a_protocol_shouts_on_the_page(synth, judges, tmp_path):
    folder = dataclasses.replace(read_synth(synth), protocol={"name": "V", "is_subset": True})
    text, _ = make_page(score_folder(folder, judges, seed=0), synth, tmp_path)
    assert '<p class="warning" role="note">SUBSET: 4 items' in text


def test_what_differs_from_the_published_protocol_and_missing_figures_are_on_the_page(synth, judges, tmp_path):
    read = read_synth(synth)
    items = [dataclasses.replace(item, speaker="anna") for item in read.items]
    facts = {"name": "V", "mode": "continuation", "items": 9}
    folder = dataclasses.replace(read, items=items, protocol=facts)
    text, _ = make_page(score_folder(folder, judges, seed=0), synth, tmp_path)
    found = re.findall(r'<p class="warning" role="note">(\w+):', text)
    assert found == ["SUBSET", "CHANGED"] and "trials not told, published 3" in text
    assert "(3 of 4 rated)" in text and "not rated by FAKEMOS 1.0: 1 AUDIO_TOO_SHORT" in text
    assert "None" not in text and "<td>–</td>" in text


def test_trials_of_the_same_recording_are_told_once(report, synth, tmp_path):
    twice = [
        dataclasses.replace(scored, item=dataclasses.replace(scored.item, id=f"{scored.item.id}.{trial}", trial=trial))
        for scored in report.items
        for trial in range(3)
    ]
    text, _ = make_page(dataclasses.replace(report, items=twice, used=12), synth, tmp_path, worst=4)
    assert len(list_rows(text)) == 12
    assert [name.split(".")[0] for name in re.findall(r'<section id="item-(\S+)"', text)] == ["b1", "a1", "a2", "b2"]


def test_waves_that_lie_elsewhere_are_linked_where_they_are(report, synth, tmp_path):
    folder = read_synth(synth)
    elsewhere = tmp_path / "other people" / "b1.wav"
    elsewhere.parent.mkdir()
    (synth / "wav/clone/b1.wav").rename(elsewhere)
    folder = dataclasses.replace(folder, places={"wav/clone/b1.wav": elsewhere})
    page = tmp_path / "score" / "index.html"
    text = html_page(report, folder=folder, page=page, pictures={}, title="elsewhere")
    links = Page(text).links
    assert "./../other%20people/b1.wav" in links
    assert all((page.parent / unquote(link)).resolve().is_file() for link in links)


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
