"""What a file says about itself is read back from it, by us and by others, and damage to it does no harm."""

import importlib.util
import io
import os

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.encode import FORMATS, encode
from resgen_tts.speech.audio.tags import LONGEST_TAG, read_tags

RATE = 24_000
HAS_AV = importlib.util.find_spec("av") is not None
CARRIERS = [
    pytest.param(name, marks=pytest.mark.skipif(bool(one.extra) and not HAS_AV, reason="the extra formats is missing"))
    for name, one in FORMATS.items()
    if one.has_tags
]
WAVE = (0.2 * np.sin(np.arange(4000) / 9)).astype(np.float32)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tags")


@pytest.mark.parametrize("format", CARRIERS)
@settings(max_examples=25, deadline=None)
@given(tags=st.fixed_dictionaries({}, optional={"software": text, "comment": text}))
def test_tags_come_back(folder, format, tags):
    path = folder / "a"
    path.write_bytes(encode(WAVE, format, RATE, tags))
    assert read_tags(path) == tags


@pytest.mark.parametrize("format", CARRIERS)
def test_the_longest_tags_come_back(folder, format):
    tags = {"software": "ä" * (LONGEST_TAG // 2), "comment": "b" * LONGEST_TAG}
    (folder / "a").write_bytes(encode(WAVE, format, RATE, tags))
    assert read_tags(folder / "a") == tags


@pytest.mark.parametrize("format", CARRIERS)
def test_others_read_them_too(format):
    tags = {"software": "resgen_tts 0.1.0", "comment": '{"synthetic_speech": true}'}
    data = encode(WAVE, format, RATE, tags)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert file.comment == tags["comment"]
        assert len(file.read()) == len(WAVE)
    if HAS_AV:
        import av

        with av.open(io.BytesIO(data)) as file:
            told = {**file.metadata, **file.streams.audio[0].metadata}
        assert {name.lower(): value for name, value in told.items()}["comment"] == tags["comment"]


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_those_of_other_writers_are_read(folder, format, subtype):
    path = folder / "other"
    with soundfile.SoundFile(path, "w", RATE, 1, format=format, subtype=subtype) as file:
        file.comment = "by hand"
        file.write(WAVE)
    assert read_tags(path)["comment"] == "by hand"


def test_a_comment_that_somebody_described_is_not_ours(folder):
    frames = b"COMM\0\0\0\x09\0\0\0engiTunNORM"[:10] + b"\0eng" + b"x\0abc"
    data = b"ID3\3\0\0\0\0\0" + bytes([len(frames)]) + frames
    (folder / "a").write_bytes(data)
    assert read_tags(folder / "a") == {}
    plain = data.replace(b"\0engx\0abc", b"\0eng\0abcd")
    (folder / "a").write_bytes(plain)
    assert read_tags(folder / "a") == {"comment": "abcd"}


@pytest.mark.parametrize("format", CARRIERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_is_survived(folder, format, data):
    whole = encode(WAVE[:500], format, RATE, {"software": "resgen_tts", "comment": "c" * 40})
    head = bytearray(whole[: data.draw(st.integers(0, min(len(whole), 400)))])
    for _ in range(data.draw(st.integers(0, 6))):
        if head:
            head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    (folder / "broken").write_bytes(bytes(head) or b"\0")
    told = read_tags(folder / "broken")
    assert set(told) <= {"software", "comment"} and all(isinstance(value, str) for value in told.values())


def test_a_file_without_tags_has_none_and_what_is_no_file_is_told(folder):
    (folder / "plain.wav").write_bytes(encode(WAVE, "wav", RATE))
    (folder / "text").write_text("software=resgen_tts")
    assert read_tags(folder / "plain.wav") == read_tags(folder / "text") == {}
    for path, code in ((folder / "none", "AUDIO_NOT_FOUND"), (folder, "AUDIO_NOT_A_FILE")):
        with pytest.raises(AudioError) as caught:
            read_tags(path)
        assert caught.value.code == code
    os.mkfifo(folder / "pipe")
    with pytest.raises(AudioError, match="AUDIO_NOT_A_FILE"):
        read_tags(folder / "pipe")
