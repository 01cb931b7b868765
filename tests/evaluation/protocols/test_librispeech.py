"""LibriSpeech's layout and its two published lists: what is not the list is told, with counts."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from resgen_tts.common.errors import AudioError, DataError
from resgen_tts.evaluation.protocols.librispeech import (
    TARGET_WORDS,
    TARGETS_SHA256,
    Utterance,
    choose_targets,
    list_hash,
    plan_librispeech_pc,
    read_ids,
    read_librispeech,
)
from tests.evaluation.protocols.made_corpus import write_corpus

LISTS = Path(__file__).parents[4] / "shared" / "data" / "eval-lists"
needs_lists = pytest.mark.skipif(
    not LISTS.is_dir(), reason=f"{LISTS} is not here; the published lists are NOT compared with their hashes"
)
VALLE, PC = LISTS / "librispeech_test_clean_valle_1237.tsv", LISTS / "librispeech_pc_test_clean_cross_sentence.lst"


def utterance(name: str, text: str = "so", seconds: float = 5.0) -> Utterance:
    return Utterance(
        id=name, speaker=name.split("-")[0], path=Path(f"{name}.flac"), text=text, rate=16_000,
        num_samples=round(seconds * 16_000),
    )  # fmt: skip


@pytest.fixture
def published() -> dict[str, Utterance]:
    """The 1,237 utterances with their words; their lengths are made up."""
    with open(VALLE, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["utt"]: utterance(row["utt"], row["text"]) for row in rows}


def test_the_layout_is_read(corpus):
    found, missing = read_librispeech(corpus)
    assert missing == [] and len(found) == 9
    one = found["11-1-0001"]
    assert (one.speaker, one.seconds, one.rate) == ("11", 10.0, 16_000)
    assert one.text.startswith("b0 b1 b2 ") and len(one.text.split()) == 25
    assert one.path == corpus / "11" / "1" / "11-1-0001.flac"
    one.path.unlink()
    found, missing = read_librispeech(corpus)
    assert missing == ["11-1-0001"] and len(found) == 8


def test_what_is_no_layout_is_told(corpus, tmp_path):
    with pytest.raises(DataError, match="FILE_MISSING"):
        read_librispeech(tmp_path / "empty")
    transcript = corpus / "22" / "1" / "22-1.trans.txt"
    whole = transcript.read_text()
    for line, said in (
        ("11-1-0000 SO\n", "no utterance of chapter 22-1"),
        ("22-1-0009\n", "no utterance of chapter 22-1"),
        ("22-1-0000 SO\n", "22-1-0000 is there twice"),
    ):
        transcript.write_text(whole + line)
        with pytest.raises(DataError, match=said):
            read_librispeech(corpus)
    transcript.write_text(whole)
    (corpus / "22" / "1" / "22-1-0000.flac").write_text("no sound")
    with pytest.raises(AudioError, match="22-1-0000"):
        read_librispeech(corpus)


def test_targets_last_four_to_ten_seconds_both_included(corpus):
    found, _ = read_librispeech(corpus)
    targets = choose_targets(found, subset=True)
    assert [one.id for one in targets.utterances] == [
        "11-1-0000", "11-1-0001", "22-1-0000", "22-1-0001", "22-1-0002", "33-1-0000",
    ]  # fmt: skip
    assert targets.facts["is_subset"] is True and targets.facts["list_sha256"] != TARGETS_SHA256
    a_sample_more = {name: replace(one, num_samples=one.num_samples + 1) for name, one in found.items()}
    assert "11-1-0001" not in {one.id for one in choose_targets(a_sample_more, subset=True).utterances}
    with pytest.raises(DataError, match=r"LIST_DIFFERENT.*6 of 9 utterances, of 3 speakers.*1231 are missing"):
        choose_targets(found, subset=False)
    with pytest.raises(DataError, match="1 recordings of its transcripts are missing: 1-2-3"):
        choose_targets(found, missing=["1-2-3"], subset=False)


@needs_lists
def test_the_published_list_has_the_pinned_hash_and_words(published):
    assert list_hash(published) == TARGETS_SHA256 == list_hash(sorted(published, reverse=True))
    assert len({one.speaker for one in published.values()}) == 40 and read_ids(VALLE) == sorted(published)
    assert 3 * TARGET_WORDS == 66_174
    by_length = choose_targets({**published, "1-1-1": utterance("1-1-1", seconds=3)}, subset=False)
    by_list = choose_targets({**published, "1-1-1": utterance("1-1-1")}, VALLE, subset=False)
    assert by_length.utterances == by_list.utterances and len(by_length.utterances) == 1237
    assert by_length.facts["is_subset"] is False and by_length.absent == {}
    # Asked for or not, it is no subset when everything is there.
    assert choose_targets(published, subset=True).facts["is_subset"] is False


@needs_lists
def test_what_differs_from_the_published_list_is_counted(published):
    first = sorted(published)[0]
    fewer = {name: one for name, one in published.items() if name != first}
    with pytest.raises(DataError, match=r"LIST_DIFFERENT.* 1 are missing"):
        choose_targets(fewer, subset=False)
    with pytest.raises(DataError, match=f"1 of the 1,237 listed utterances are not in the directory: {first}"):
        choose_targets(fewer, VALLE, subset=False)
    assert choose_targets(fewer, VALLE, subset=True).absent == {first: "not in the directory"}
    with pytest.raises(DataError, match=" 1 are too many"):
        choose_targets({**published, "1-1-1": utterance("1-1-1")}, subset=False)
    with pytest.raises(DataError, match="some are others"):
        choose_targets({**fewer, "1-1-1": utterance("1-1-1")}, subset=False)
    with pytest.raises(DataError, match="22,058"):
        choose_targets({**published, first: utterance(first, "so")}, subset=False)


def test_a_list_of_ids_is_checked(tmp_path, corpus):
    found, _ = read_librispeech(corpus)
    listed = tmp_path / "ids.txt"
    listed.write_text("11-2-0000\n22-1-0000\n99-1-0000\n")
    with pytest.raises(DataError, match=r"LIST_DIFFERENT.*lists 3 ids"):
        choose_targets(found, listed, subset=False)
    targets = choose_targets(found, listed, subset=True)  # of any length: the list says which
    assert [one.id for one in targets.utterances] == ["11-2-0000", "22-1-0000"] and "99-1-0000" in targets.absent
    listed.write_text("a\na\n")
    with pytest.raises(DataError, match="twice"):
        read_ids(listed)
    with pytest.raises(DataError, match="FILE_MISSING"):
        read_ids(tmp_path / "none.txt")


@needs_lists
def test_the_list_of_librispeech_pc_is_the_published_one():
    rows = [line.split("\t") for line in PC.read_text(encoding="utf-8").splitlines()]
    found = {}
    for prompt, prompt_seconds, _, target, seconds, _ in rows:
        for name, length in ((prompt, prompt_seconds), (target, seconds)):
            found[name] = utterance(name, seconds=float(length))
    items, targets = plan_librispeech_pc(found, PC, subset=False)
    assert len(items) == 1127 and targets.facts["is_subset"] is False
    first = items[0]
    assert (first.prompt.name, first.target_id) == (rows[0][0], rows[0][3])
    assert (first.prompt.text, first.prompt.stop, first.text, first.say) == (rows[0][2], None, rows[0][5], rows[0][5])
    other = {**found, rows[0][3]: replace(found[rows[0][3]], num_samples=found[rows[0][3]].num_samples + 480)}
    with pytest.raises(DataError, match=f"1 recordings are not those of the list: {rows[0][3]} lasts"):
        plan_librispeech_pc(other, PC, subset=False)
    with pytest.raises(DataError, match=r"LIST_DIFFERENT.*cannot be built"):
        plan_librispeech_pc({name: one for name, one in found.items() if name != rows[0][3]}, PC, subset=False)


def test_a_missing_or_other_list_of_librispeech_pc_is_told(tmp_path):
    found, _ = read_librispeech(write_corpus(tmp_path / "c", {"1-1-0": 3.5, "1-1-1": 5.0}))
    with pytest.raises(DataError, match=r"FILE_MISSING.*SWivid/F5-TTS.*2ae2c9bd9b64"):
        plan_librispeech_pc(found, tmp_path / "none.lst", subset=False)
    listed = tmp_path / "own.lst"
    listed.write_text("1-1-0\t3.5\tOh, yes.\t1-1-1\t5.01\tNo!\n1-1-0\t3.5\tOh, yes.\t1-1-9\t5.0\tNo!\n")
    with pytest.raises(DataError, match=r"LIST_DIFFERENT.*SWivid/F5-TTS"):
        plan_librispeech_pc(found, listed, subset=False)
    (item,), targets = plan_librispeech_pc(found, listed, subset=True)
    assert (item.id, item.text, item.prompt.text) == ("1-1-1", "No!", "Oh, yes.")
    assert targets.absent == {"1-1-9": "not in the directory: 1-1-9"} and targets.facts["is_subset"] is True
    for line in ("1-1-0\t3.5\tso\t1-1-1\t5.0", "1-1-0\tx\tso\t1-1-1\t5.0\tno", "1-1-0\t3.5\tso\t1-1-0\t3.5\tso"):
        listed.write_text(line + "\n")
        with pytest.raises(DataError, match=r"own\.lst:1"):
            plan_librispeech_pc(found, listed, subset=True)
