"""Tables and folders of recordings: columns by their usual names, and refusals that name the line."""

from pathlib import Path

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.protocols.recordings import Recording, find_recordings, read_recordings

DATA = Path(__file__).parents[4] / "shared" / "data"


def table(folder: Path, *lines: str) -> Path:
    path = folder / "utterances.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_columns_are_found_by_name(tmp_path):
    path = table(
        tmp_path, "speaker\tutt\tgender\tflac\ttext", 'anna\ta-1\tF\tx/a.flac\the said "hm', "bert\tb_1\tM\tb.flac\t"
    )
    found = read_recordings(path)
    assert found[0] == Recording(id="a-1", file=tmp_path / "x/a.flac", speaker="anna", text='he said "hm')
    assert found[1] == Recording(id="b_1", file=tmp_path / "b.flac", speaker="bert", text="")
    bare = read_recordings(table(tmp_path, "id\tfile", "1\ta.wav"))
    assert bare == [Recording(id="1", file=tmp_path / "a.wav")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["utt\tspeaker", "a\tb"], "no column for the file"),
        (["utt\tfile"], "no recordings"),
        (["utt\tfile", "a\ta.wav", "a\tb.wav"], r"utterances.tsv:3: the id 'a' is there twice"),
        (["utt\tfile", "../a\ta.wav"], r"utterances.tsv:2: the id '../a' cannot name a file"),
        (["utt\tfile", "a"], r"utterances.tsv:2: the file is empty"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read_recordings(table(tmp_path, *lines))


def test_a_folder_is_searched_in_order(tmp_path):
    for name in ("b/z.WAV", "a.flac", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [(one.id, one.file) for one in find_recordings(tmp_path)] == [
        ("a", tmp_path / "a.flac"),
        ("b-z", tmp_path / "b/z.WAV"),
    ]
    (tmp_path / "b-z.ogg").touch()
    with pytest.raises(DataError, match="twice"):
        find_recordings(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        find_recordings(tmp_path / "none")


@pytest.mark.data
@pytest.mark.parametrize(("name", "count"), [("libri-eval", 88), ("vctk-mini", 76)])
def test_the_evaluation_sets_are_read_whole(name, count):
    if not (DATA / name).is_dir():
        pytest.skip(f"shared/data/{name} is not beside the checkout; its table is NOT tested")
    found = read_recordings(DATA / name / "utterances.tsv")
    assert len(found) == count and all(one.file.is_file() and one.text and one.speaker for one in found)
