"""Item lists and synth folders: what is accepted, and what is refused with its line."""

import gzip
import json

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.protocols.pairs import read_items
from resgen_tts.evaluation.protocols.synth_folder import read_synth


def cut(name, speaker, text, source=None, start=0):
    source = source or f"audio/{name}.flac"
    return {
        "id": name,
        "start": start,
        "duration": 2.5,
        "channel": 0,
        "supervisions": [{"id": name, "speaker": speaker, "text": text}],
        "recording": {"id": name, "sources": [{"type": "file", "channels": [0], "source": source}]},
        "type": "MonoCut",
    }


def prepared(root, cuts, pairs):
    (root / "manifests").mkdir(parents=True)
    with gzip.open(root / "manifests" / "test.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in cuts)
    (root / "manifests" / "pairs.tsv").write_text("id\tprompt\ttarget\tspeaker\n" + "".join(p + "\n" for p in pairs))
    return root


CUTS = [cut("p", "anna", "the prompt"), cut("t", "anna", "the target"), cut("x", "bert", "other"), cut("e", "anna", "")]


def test_pairs_join_the_manifest(tmp_path):
    (item,) = read_items(prepared(tmp_path, CUTS, ["i1\tp\tt\tanna"]))
    assert (item.id, item.speaker, item.text, item.prompt_text) == ("i1", "anna", "the target", "the prompt")
    assert item.target_audio == tmp_path / "audio" / "t.flac" and item.target_seconds == 2.5


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("i1\tp\tt\tbert", "the prompt is anna's"),
        ("i1\tx\tt\tanna", "the prompt is bert's"),
        ("i1\tp\tmissing\tanna", "'missing' is not in the test manifest"),
        ("i1\tt\tt\tanna", "the same cut"),
        ("i1\tp\te\tanna", "no text"),
        ("a b\tp\tt\tanna", "not plain"),
        ("../i\tp\tt\tanna", "not plain"),
        ("i1\tp", "not in the test manifest"),
    ],
)
def test_bad_pairs_name_their_line(tmp_path, pair, said):
    with pytest.raises(DataError, match=said) as caught:
        read_items(prepared(tmp_path, CUTS, [pair]))
    assert "pairs.tsv:2" in str(caught.value)


@pytest.mark.parametrize("source", ["/etc/passwd", "../outside.flac", "audio/../../x.flac"])
def test_manifest_paths_stay_inside(tmp_path, source):
    with pytest.raises(DataError, match="leaves the folder"):
        read_items(prepared(tmp_path, [cut("p", "anna", "a", source)], []))


def test_repeated_ids_are_refused(tmp_path):
    with pytest.raises(DataError, match="appear twice: i1"):
        read_items(prepared(tmp_path, CUTS, ["i1\tp\tt\tanna", "i1\tp\tt\tanna"]))


def test_a_written_folder_reads_back(synth):
    folder = read_synth(synth)
    assert [item.id for item in folder.items] == ["a1", "a2", "b1", "b2"]
    assert folder.systems == ["recording", "copy", "clone"]
    assert folder.run["models"]["generator"]["parameters"] == 1_234_567


def test_missing_waves_are_counted_and_named(synth):
    (synth / "wav/clone/a2.wav").unlink()
    (synth / "wav/prompt/b1.wav").unlink()
    with pytest.raises(DataError, match=r"2 of 20 waves are missing: wav/clone/a2\.wav, wav/prompt/b1\.wav") as caught:
        read_synth(synth)
    assert caught.value.code == "WAVES_MISSING"


def rewrite(synth, change):
    path = synth / "requests.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[1].update(prompt="/tmp/a.wav"), "requests.jsonl:2.*leaves the folder"),
        (lambda rows: rows[1]["systems"].update(clone="../../a.wav"), "requests.jsonl:2.*leaves the folder"),
        (lambda rows: rows[2].pop("text"), "requests.jsonl:3.*text"),
        (lambda rows: rows[0].update(id="a\nb"), "requests.jsonl:1.*not plain"),
        (lambda rows: rows[0].update(id="a2"), "1 ids appear twice: a2"),
        (lambda rows: rows[3]["systems"].pop("clone"), "1 of 4 items lack a system.*b2"),
        (lambda rows: [row["systems"].pop("recording") for row in rows], "no system 'recording'"),
        (lambda rows: rows.clear(), "lists no items"),
    ],
)
def test_broken_request_logs_are_refused(synth, change, said):
    rewrite(synth, change)
    with pytest.raises(DataError, match=said):
        read_synth(synth)


def test_clones_alone_are_a_folder_too(synth):
    rewrite(synth, lambda rows: [row.update(systems={"clone": row["systems"]["clone"]}) for row in rows])
    assert read_synth(synth).systems == ["clone"]


def test_a_log_may_carry_more_than_scoring_needs(synth):
    rewrite(synth, lambda rows: rows[0].update(timings={"codes": 0.1}))
    assert len(read_synth(synth).items) == 4


def test_an_unfinished_folder_is_refused(synth):
    with pytest.raises(DataError, match=r"FILE_MISSING.*nowhere.requests\.jsonl.*synthesize-list"):
        read_synth(synth / "nowhere")
    (synth / "run.json").unlink()
    with pytest.raises(DataError, match=r"run\.json"):
        read_synth(synth)
