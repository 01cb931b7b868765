"""What is fuzzed: inputs, and what must be true of each of them (see tools/fuzz.py)."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
MAX_SECONDS = 10.0
AUDIO_CODES = {
    "AUDIO_EMPTY", "AUDIO_NO_SAMPLES", "AUDIO_TOO_LONG", "AUDIO_TOO_LARGE", "AUDIO_SAMPLE_RATE", "AUDIO_CHANNELS",
    "AUDIO_NONFINITE", "AUDIO_OUT_OF_RANGE", "AUDIO_SILENT", "AUDIO_CORRUPT", "AUDIO_NOT_AUDIO",
    "AUDIO_FORMAT_UNSUPPORTED",
}  # fmt: skip
AUDIO_WARNINGS = {
    "AUDIO_LOW_BANDWIDTH", "AUDIO_CLIPPED", "AUDIO_DC_OFFSET", "AUDIO_PHASE_CANCEL", "AUDIO_TRUNCATED",
    "AUDIO_EXTENSION", "AUDIO_OUT_OF_RANGE",
}  # fmt: skip
TEXT_CODES = {
    "TEXT_EMPTY", "TEXT_NO_SPEECH", "TEXT_TOO_LONG", "TEXT_UNSUPPORTED_LANGUAGE", "TEXT_INVALID_UNICODE"
}  # fmt: skip

# Numbers that sizes, counts and rates are kept in, and that go wrong at their ends.
EDGE_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


# ---------------------------------------------------------------------------------------------------------------- bytes


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...], max_edits: int, kept: int) -> bytes:
    """One of the seeds, edited a few times, near its beginning above all: there the headers are.

    Args:
        kept: bytes at the beginning that are changed less often, as by them alone it would be something else.
    """
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, max_edits))):
        reach = len(content) if draw(st.integers(0, 3)) == 0 else min(len(content), 300)
        first = 0 if draw(st.integers(0, 9)) == 0 else min(kept, max(0, reach - 1))
        place = draw(st.integers(first, max(0, reach - 1)))
        kind = draw(st.sampled_from(("number", "bits", "cut", "delete", "insert", "repeat", "splice")))
        if kind == "number":
            width, order = draw(st.sampled_from((1, 2, 4, 8))), draw(st.sampled_from(("little", "big")))
            number = draw(st.one_of(st.sampled_from(EDGE_NUMBERS), st.integers(0, 2**64 - 1)))
            content[place : place + width] = (number % 256**width).to_bytes(width, order)
        elif kind == "bits" and content:
            content[place] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del content[draw(st.integers(min(first, len(content)), len(content))) :]
        elif kind == "delete":
            del content[place : place + draw(st.integers(1, 64))]
        elif kind == "insert":
            content[place:place] = draw(st.binary(max_size=32))
        elif kind == "repeat":
            content[place:place] = content[place : place + draw(st.integers(1, 2000))]
        else:
            other = draw(st.sampled_from(seeds))
            start = draw(st.integers(0, len(other)))
            content[place:] = other[start : start + 20_000]
    return bytes(content)


# --------------------------------------------------------------------------------------------------------------- loader


def audio_files() -> st.SearchStrategy[bytes]:
    """Short recordings in every format that can be written here, mutated."""
    from tests.speech.audio.sound_files import HAS_FFMPEG, encoded, encoded_by_ffmpeg, voice

    speech, slow = voice(0.3, 16_000), voice(0.3, 8_000)
    seeds = [
        encoded(speech, 16_000, kind, **options)
        for kind, options in (
            ("WAV", {}), ("WAV", {"subtype": "FLOAT"}), ("WAV", {"subtype": "IMA_ADPCM"}), ("WAV", {"subtype": "ULAW"}),
            ("WAV", {"subtype": "MS_ADPCM"}), ("WAV", {"subtype": "GSM610"}), ("WAVEX", {}), ("RF64", {}), ("W64", {}),
            ("FLAC", {}), ("OGG", {}), ("OGG", {"subtype": "OPUS"}), ("MP3", {}), ("AIFF", {}),
            ("AIFF", {"subtype": "FLOAT"}), ("AU", {}), ("CAF", {}),
        )
    ]  # fmt: skip
    seeds.append(encoded(speech.reshape(-1, 2), 16_000, "FLAC"))
    if HAS_FFMPEG:
        seeds += [
            encoded_by_ffmpeg(speech, kind, codec, 16_000, **options)
            for kind, codec, options in (
                ("ipod", "aac", {}), ("ipod", "alac", {}), ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
                ("mov", "pcm_s16le", {}), ("matroska", "flac", {}), ("matroska", "pcm_s16le", {}), ("adts", "aac", {}),
                ("caf", "alac", {}), ("mp4", "aac", {"with_picture": True}),
            )
        ]  # fmt: skip
        seeds.append(encoded_by_ffmpeg(voice(0.3), "webm", "libopus"))
        seeds.append(encoded_by_ffmpeg(slow, "amr", "libopencore_amrnb", 8_000))
    return st.one_of(mutated(tuple(seeds), max_edits=6, kept=12), st.binary(max_size=200))


def check_loader(content: bytes, folder: Path) -> str:
    """A recording is loaded or refused as documented, in time, and leaves no open file."""
    import numpy as np

    from resgen_tts.common.errors import AudioError
    from resgen_tts.speech.audio.load import load_audio

    path = folder / "recording.wav"
    path.write_bytes(content)
    descriptors, started = len(os.listdir("/proc/self/fd")), time.monotonic()
    try:
        loaded = load_audio(path, sample_rate=24_000)
    except AudioError as error:
        assert error.code in AUDIO_CODES, f"unknown code {error.code}"
        _check_words(str(error))
        outcome = error.code
    else:
        samples = loaded.samples
        assert samples.dtype == np.float32 and samples.ndim == 1 and len(samples), "not mono float32"
        assert np.isfinite(samples).all() and np.abs(samples).max() <= 1, "not within [-1, 1]"
        codes = {warning.split(":")[0] for warning in loaded.warnings}
        assert codes <= AUDIO_WARNINGS, f"unknown warnings {codes - AUDIO_WARNINGS}"
        for warning in loaded.warnings:
            _check_words(warning)
        outcome = "accepted" + (" with warnings" if codes else "")
    assert time.monotonic() - started < MAX_SECONDS, "too slow"
    assert len(os.listdir("/proc/self/fd")) == descriptors, "a descriptor was left open"
    return outcome


def _check_words(words: str) -> None:
    assert words.isprintable() and len(words) < 600, f"not one printable line: {words!r}"


# ----------------------------------------------------------------------------------------------------------- normalizer


def texts() -> st.SearchStrategy[bytes]:
    """Pieces of real texts, of nasty ones and of any characters, joined."""
    bank = (ROOT / "tests" / "speech" / "text_bank.tsv").read_text(encoding="utf-8")
    written = [line.split("\t")[1] for line in bank.splitlines() if not line.startswith("# ")]
    nasty = (
        "[[", "]]", "[[h ə l oʊ]]", "<|end|>", "<b>", "</b>", "<!--", "-->", "&amp;", "&#65;", "\u200b", "\u202e",
        "\ufeff", "\u0301", "ﬁ", "①", "½", "²", "₤", "😀", "\U0001f469\u200d\U0001f467", "漢字", "Ж", "‘’“”", "…", "—",
        "\t", "\r\n", "\u2028", "\0", "\x1b[31m", "1" * 30, "1,234,567.89", "1/2/3/4", "-5", "$", "%", "Dr.", "St.",
        "No.", "a.b.c", "http://", "@", "IV", "x^2", "5'6\"", "10:30", "3rd", "'", "''", '"', "...", "?!?!", " ", "  ",
        "\n\n", ".", "O'", "s'", "A", "İ", "ß", "ǆ",
    )  # fmt: skip
    piece = st.one_of(
        st.sampled_from(written),
        st.sampled_from(nasty),
        st.text(max_size=12),
        st.text(alphabet="abcdeXYZ019.,;:'\"-/$%&()[]<>@#*+=~^_|\\ \n", max_size=20),
    )
    return st.lists(piece, min_size=1, max_size=8).flatmap(
        lambda pieces: st.sampled_from(("", " ", ". ", "\n")).map(lambda joint: joint.join(pieces))
    ).map(lambda text: text.encode("utf-8", "surrogatepass"))  # fmt: skip


def check_normalizer(content: bytes, folder: Path) -> str:
    """What is spoken is spoken the same when read again, and knows where each of its characters came from."""
    import numpy as np

    from resgen_tts.common.errors import TextError
    from resgen_tts.speech.text.normalize import normalize

    text = content.decode("utf-8", "surrogatepass")
    started = time.monotonic()
    try:
        said = normalize(text)
    except TextError as error:
        assert error.code in TEXT_CODES, f"unknown code {error.code}"
        _check_words(str(error))
        return error.code
    assert time.monotonic() - started < 2, "too slow"
    assert said.original == text and len(said.origins) == len(said.text), "origins of another length"
    outside = set(_without_phonemes(said.text)) - set("' ,.;:?!")
    assert all(letter.isalpha() and letter.isascii() for letter in outside), f"not spoken letters: {outside}"
    assert said.text == said.text.strip() and "  " not in said.text, "blanks at an end or doubled"
    assert (said.origins >= 0).all() and (said.origins <= len(text)).all(), "origins outside the text"
    assert (said.origins[:, 0] < said.origins[:, 1]).all(), "an origin of nothing"
    assert (np.diff(said.origins, axis=0) >= 0).all(), "origins that fall"
    for warning in said.warnings:
        assert warning.startswith("TEXT_") and warning.isprintable(), f"not one printable line: {warning!r}"
    again = normalize(said.text)
    assert again.text == said.text, f"read again it is {again.text!r}"
    return "spoken" + (" with warnings" if said.warnings else "")


def _without_phonemes(text: str) -> str:
    import re

    return re.sub(r"\[\[.*?\]\]", "", text)


# ------------------------------------------------------------------------------------------------------------- manifest


def tables() -> st.SearchStrategy[bytes]:
    """Tables of recordings, of pairs and of items, mutated; and tables of any cells under known columns."""
    seeds = (
        b"id\tspeaker\tfile\ttext\na1\tanna\ta1.wav\tHello there.\nb1\tbob\tsub/b1.flac\tGood.\nb2\tbob\tb2.wav\t\n",
        b'utt,spk,path,transcript\na1,anna,a1.wav,"Hello, there."\nb1,bob,b1.wav,"He said ""no""."\n',
        b"\xef\xbb\xbfid;speaker;wav;sentence\r\na1;anna;a1.wav;x\r\nb1;bob;../b1.wav;y\r\n",
        b"prompt\ttarget\na1\tb1\nb1\tb2\n",
        b"audio\ttext\ttarget\nanna.wav\tI said this.\tSay that.\nbob.wav\tAnd I this.\tSay more.\n",
        b"id\tspeaker\taudio\ttext\ttarget\trecording\n1\tanna\ta.wav\tx\ty\tz.wav\n2\tbob\tb.wav\tx\ty\t\n",
        b"speaker\taudio\ttext\nanna\ta.wav\tsaid\n",
    )
    names = st.sampled_from(
        ("id", "speaker", "file", "path", "text", "audio", "target", "prompt", "recording", "x", "")
    )
    cell = st.one_of(
        st.sampled_from(("a1", "anna", "a.wav", "../a.wav", "/etc/passwd", ".", "..", "", '"', "a\0b", "~", "a/b/c")),
        st.text(max_size=8),
        st.integers().map(str),
    )

    def written(columns: list[str], rows: list[list[str]], joint: str, end: str) -> bytes:
        lines = [joint.join(columns), *(joint.join(row) for row in rows)]
        return end.join(lines).encode("utf-8", "surrogatepass")

    known = (
        ["id", "speaker", "file", "text"],
        ["prompt", "target"],
        ["audio", "text", "target"],
        ["speaker", "audio", "text"],
    )
    made = st.builds(
        written,
        st.builds(lambda most, more: most + more, st.sampled_from(known), st.lists(names, max_size=2)),
        st.lists(st.lists(cell, min_size=2, max_size=6), max_size=6),
        st.sampled_from("\t,;"),
        st.sampled_from(("\n", "\r\n", "\r")),
    )
    return st.one_of(mutated(seeds, max_edits=3, kept=25), made)


def check_manifest(content: bytes, folder: Path) -> str:
    """Every reader gives rows, or a DataError of one line; what was read as a list can be written and read again."""
    from recipes.corpora.rows import collect
    from recipes.corpora.tables import is_recording_table, read_pairs, read_rows
    from resgen_tts.evaluation.protocols.item_list import read_list, read_prompts, write_list

    table, copy = folder / "table.tsv", folder / "copy.tsv"
    table.write_bytes(content)
    outcomes = []
    for read in (read_rows, read_pairs, read_list, read_prompts, lambda path: collect([path], [], folder)):
        result = _or_data_error(lambda read=read: read(table))
        outcomes.append("-" if result is None else "read")
        if read is read_rows:
            assert is_recording_table(table) == (result is not None), "a table and none"
        if read is read_list and result and _or_data_error(lambda items=result: write_list(copy, items) or True):
            told = [[(i.id, i.speaker, i.text, i.target) for i in items] for items in (result, read_list(copy))]
            assert told[0] == told[1], f"{told[0]} was written, {told[1]} read"
        if isinstance(result, list) and read is not read_pairs:
            assert all(result), "a row of nothing"
    return " ".join(outcomes)


def _or_data_error(read: Callable[[], Any]) -> Any:
    from resgen_tts.common.errors import DataError

    try:
        return read()
    except DataError as error:
        assert len(str(error)) < 5000, "a message without end"
        assert str(error).isprintable(), f"not one printable line: {str(error)!r}"
        return None


TARGETS: dict[str, tuple[Callable[[], st.SearchStrategy[bytes]], Callable[[bytes, Path], str]]] = {
    "loader": (audio_files, check_loader),
    "normalizer": (texts, check_normalizer),
    "manifest": (tables, check_manifest),
}
