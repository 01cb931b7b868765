"""Samples beside a recipe: every pair whole, small, told where it is from, and the README's part in its place only."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from PIL import Image

from resgen_tts.common.errors import ConfigError, DataError

SPEC = importlib.util.spec_from_file_location(
    "make_samples", Path(__file__).resolve().parents[2] / "tools" / "make_samples.py"
)
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)

RATE = 16_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """What compresses worst."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


class FakeTTS:
    """Says every text as two seconds of noise by the seed."""

    sample_rate, sampler = RATE, SimpleNamespace(steps=16)

    def __init__(self):
        self.said = []

    def voice(self, audio, text):
        assert audio.is_file()
        return text

    def __call__(self, text, *, voice, seed):
        self.said.append((text, voice, seed))
        return SimpleNamespace(audio=noise(2, seed), seconds=2.0, warnings=("AUDIO_SHORT: of a | kind",))


@pytest.fixture
def tts(monkeypatch):
    from resgen_tts.apps.speaking.tts import TTS

    fake = FakeTTS()
    monkeypatch.setattr(TTS, "from_pretrained", lambda model: fake)
    return fake


def write_table(folder: Path, *rows: str, columns: str = "name\tfile\ttext\tsource\tlicence\tabout") -> Path:
    path = folder / "voices.tsv"
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    soundfile.write(folder / "a.wav", 0.1 * noise(3), RATE)
    soundfile.write(folder / "b.flac", 0.1 * noise(4), 2 * RATE)
    return path


TWO = ("amy\ta.wav\tThe [old] castle.\tmade here\tCC0\tcalm", "ben\tb.flac\tSeven dogs.\tLibriSpeech 84\tCC BY 4.0\t")


def test_each_pair_is_written_small_linked_and_told_where_it_is_from(tmp_path, tts):
    table, output = write_table(tmp_path, *TWO), tmp_path / "samples"
    assert tool.main(["--list", str(table), "--say", "First.", "--say", "Second.", "--output", str(output)]) == 0
    assert tts.said[1:] == [
        ("First.", "The [old] castle.", 0),
        ("Second.", "Seven dogs.", 0),
    ]  # the one before warms up
    page = (output / "index.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert sorted(links) == sorted(file.name for file in output.iterdir() if file.name != "index.md")
    assert len(links) == 6
    for said in ("made here", "CC BY 4.0", "The \\[old\\] castle.", "of a \\| kind", "calm"):
        assert said in page
    assert str(tmp_path) not in page  # no place on this machine
    for file in output.iterdir():
        assert file.stat().st_size < (80_000 if file.suffix == ".png" else 100_000)
    wave, rate = soundfile.read(output / "amy_output.flac", dtype="float32")
    assert rate == RATE
    assert np.abs(wave - noise(2)).max() < 2**-15
    assert soundfile.info(output / "ben_prompt.flac").frames == 2 * RATE  # 4 s x 16 kHz / 2, read at another rate
    with soundfile.SoundFile(output / "amy_output.flac") as file:
        assert "Synthetic speech" in file.comment
    with Image.open(output / "amy.png") as picture:
        assert picture.mode == "P" and picture.width > 300


def test_what_is_too_large_as_flac_is_vorbis_and_what_is_too_large_at_all_is_refused(tmp_path):
    assert tool.write_sound(tmp_path / "short", noise(2), RATE, comment="made") == "short.flac"
    assert tool.write_sound(tmp_path / "long", noise(8), RATE, comment="made") == "long.ogg"
    assert abs(soundfile.info(tmp_path / "long.ogg").duration - 8) < 0.01
    with pytest.raises(DataError) as error:
        tool.write_sound(tmp_path / "endless", noise(60), RATE, comment="made")
    assert error.value.code == "SAMPLE_TOO_LARGE"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["long.ogg", "short.flac"]


def test_a_picture_shows_prompt_above_output_on_one_scale_of_time(tmp_path):
    """A loud prompt and a silent output: the upper half is bright, the lower one is not."""
    name = tool.write_picture(tmp_path / "amy.png", noise(2), np.zeros(RATE, np.float32), RATE)
    with Image.open(tmp_path / name) as picture:
        grey = np.asarray(picture.convert("L"), dtype=float)
    middle = grey[:, grey.shape[1] // 4]
    assert middle[20:90].mean() > middle[125:195].mean() + 50


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("amy\t\tWords.\tmade\tCC0\t", "nothing in audio"),
        ("amy\ta.wav\t\tmade\tCC0\t", "nothing in audio"),
        ("../amy\ta.wav\tWords.\tmade\tCC0\t", "cannot name files"),
        ("amy\ta.wav\tWords.\tmade\t\t", "licence of amy's"),
        ("amy\ta.wav\tWords.\t\tCC0\t", "source or licence"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, row, said):
    with pytest.raises(DataError, match=said) as error:
        tool.read_list(write_table(tmp_path, TWO[0], row), ["Hello."])
    assert "voices.tsv:3" in str(error.value)


def test_lists_one_after_another_take_the_sentences_in_turn(tmp_path, tts):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, row in ((first, TWO[0]), (second, TWO[1])):
        folder.mkdir()
        write_table(folder, row)
    lists = [word for folder in (first, second) for word in ("--list", str(folder / "voices.tsv"))]
    assert tool.main([*lists, "--say", "One.", "--say", "Two.", "--output", str(tmp_path / "samples")]) == 0
    assert [said for said, _, _ in tts.said[1:]] == ["One.", "Two."]


def test_a_list_of_the_benches_will_do(tmp_path):
    table = write_table(tmp_path, "a.wav\tWords.\tTo be said.", columns="audio\ttext\ttarget")
    assert tool.read_list(table, ["Hello."], source="made", licence="CC0") == [
        tool.Item(name="a", audio=tmp_path / "a.wav", text="Words.", target="To be said.", source="made", licence="CC0")
    ]


def test_the_readme_shows_the_first_samples_between_its_marks_and_nothing_else_changes(tmp_path, tts):
    table, readme = write_table(tmp_path, *TWO), tmp_path / "README.md"
    readme.write_text(f"before\n\n{tool.README_BEGIN}\nold\n{tool.README_END}\n\nafter\n")
    words = ["--list", str(table), "--output", str(tmp_path / "egs" / "samples"), "--readme", str(readme)]
    assert tool.main([*words, "--readme-items", "1"]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n\n{tool.README_BEGIN}\n\n|") and text.endswith(
        f"|\n\n{tool.README_END}\n\nafter\n"
    )
    assert "old" not in text and "ben" not in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 3 and all((tmp_path / link).is_file() for link in links)
    once = text
    assert tool.main([*words, "--readme-items", "1", "--force"]) == 0
    assert readme.read_text(encoding="utf-8") == once


def test_the_notices_beside_the_lists_go_with_the_samples(tmp_path, tts):
    lists, words = [], []
    for name, row, notice in (("a", TWO[0], "Amy's notice."), ("b", TWO[1], "Ben's notice."), ("c", TWO[1], None)):
        (tmp_path / name).mkdir()
        lists.append(write_table(tmp_path / name, row))
        words.append(["--list", str(lists[-1])])
        if notice:
            (tmp_path / name / "LICENSES.md").write_text(f"{notice}\n", encoding="utf-8")
    output = tmp_path / "samples"
    assert tool.main([*words[0], *words[1], "--output", str(output)]) == 0
    assert (output / "LICENSES.md").read_text(encoding="utf-8") == "Amy's notice.\n\nBen's notice.\n"
    assert "](LICENSES.md)" in (output / "index.md").read_text(encoding="utf-8")
    assert tool.main([*words[2], "--output", str(output), "--force"]) == 0
    assert not (output / "LICENSES.md").exists()
    assert "LICENSES" not in (output / "index.md").read_text(encoding="utf-8")


def test_nothing_is_written_where_something_is_wrong(tmp_path, tts):
    table, output, readme = write_table(tmp_path, *TWO), tmp_path / "samples", tmp_path / "README.md"
    words = ["--list", str(table), "--output", str(output)]
    assert tool.main([*words, "--readme", str(readme)]) == 2  # no such README: known before anything is spoken
    assert tts.said == [] and not output.exists()
    for text in ("no marks", f"{tool.README_END}\n{tool.README_BEGIN}\n", 2 * f"{tool.README_BEGIN}{tool.README_END}"):
        readme.write_text(text)
        assert tool.main([*words, "--readme", str(readme)]) == 2  # the marks too
        assert tts.said == [] and not output.exists() and readme.read_text() == text
    with pytest.raises(DataError, match="once each"):
        tool.put_into_readme(readme, "table")
    with pytest.raises(ConfigError):
        tool.place_of(tmp_path / "samples", tmp_path / "other" / "README.md")
    assert tool.main(["--list", str(table), "--list", str(table), "--output", str(output)]) == 2  # names stand twice
    assert not output.exists()
    output.mkdir()
    assert tool.main(words) == 2
    assert list(output.iterdir()) == []
