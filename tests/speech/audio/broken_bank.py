"""A bank of odd and broken recordings, and what must become of each: for the loader and for every door before it.

An outcome is the code of an error, or ``ok`` and the warnings: "ok AUDIO_TRUNCATED". Where a decoder may give up
earlier or later, two outcomes are right: "AUDIO_CORRUPT | AUDIO_NO_SAMPLES". They are those of a reference at 24 kHz or
less: what lasts less than a second is loaded, and is no reference.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.speech.audio.sound_files import (
    HAS_FFMPEG,
    RATE,
    chunk,
    encoded,
    encoded_by_ffmpeg,
    film_without_sound,
    flipped,
    pcm16,
    voice,
    wav,
    wav_format,
)  # fmt: skip

Row = tuple[str, bytes, str]  # name of the file, its bytes, the outcome


@dataclass(frozen=True)
class Case:
    """One file of the bank.

    Attributes:
        path: of the file, which may not be there.
        outcomes: those that are right.
        is_upload: a client could send it: a regular file.
    """

    path: Path
    outcomes: tuple[str, ...]
    is_upload: bool = True

    @property
    def is_accepted(self) -> bool:
        """The recording is used."""
        return self.outcomes[0].startswith("ok")

    def allows(self, code: str, warnings: tuple[str, ...] = ()) -> bool:
        """Is this what may become of it?

        Args:
            code: of the error; "" for none.
            warnings: "CODE: words", or codes; those that are not about the file (AUDIO_SHORT) do not count.
        """
        told = {warning.split(":")[0] for warning in warnings} - {"AUDIO_SHORT"}
        return any(code == outcome or ("ok", told) == _parts(outcome, code) for outcome in self.outcomes)


def _parts(outcome: str, code: str) -> tuple[str, set[str]]:
    first, *warnings = outcome.split()
    return ("" if code else first), set(warnings)


def bank(folder: Path) -> list[Case]:
    """Make all files in a folder that is empty or not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [*_names(), *_no_audio(), *_formats(), *_headers(), *_samples(), *_cut_and_damaged(), *_bombs()]
    cases = []
    for name, content, outcome in rows:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + os.fsencode(name)))
        assert not path.exists(), f"{name!r} stands twice in the bank"
        path.write_bytes(content)
        cases.append(Case(path, tuple(one.strip() for one in outcome.split("|"))))
    return cases + _entries(folder)


def _names() -> Iterator[Row]:
    good = encoded(voice())
    for name in (
        "my voice.wav", " leading.wav", "trailing .wav", "it's me.wav", 'say "hi".wav', "line\nbreak.wav",
        "tab\there.wav", "return\r.wav", "-n.wav", "--help.wav", "$(id).wav", "`id`.wav", "a;b&c|d.wav", "*.wav",
        "what?.wav", "back\\slash.wav", "per%cent%s%n.wav", "{0}.wav", "<script>alert(1)<.wav", "日本語.wav",
        "e\u0301te\u0301.wav", "\U0001f600.wav", "\u202egnp.wav", "zero\u200bwidth.wav", "bell\x07.wav",
        "\x1b[31mred.wav", os.fsdecode(b"caf\xe9.wav"), "x" * 240 + ".wav", "no ending", ".wav", "two.mp3.wav",
        "UPPER.WAV", "dot.", "~.wav", "#hash.wav", "a=b,c.wav", "-.wav", "CON.wav", "http:.wav",
    ):  # fmt: skip
        yield name, good, "ok"
    yield "really wav.mp3", good, "ok AUDIO_EXTENSION"
    yield "really flac.wav", encoded(voice(), format="FLAC"), "ok AUDIO_EXTENSION"
    yield "really wav.m4a", good, "ok AUDIO_EXTENSION"
    yield "wav.txt", good, "ok"  # no recording's ending says nothing about the recording


def _no_audio() -> Iterator[Row]:
    rows = {
        "text": b"Hello, this is my voice.", "letter": b"a", "nul": b"\0", "nuls": bytes(4096),
        "bom": b"\xef\xbb\xbfhello", "utf-16": "hello there".encode("utf-16"), "html": b"\n<!DOCTYPE html><html>404",
        "html capitals": b"<HTML><BODY>", "xml": b'<?xml version="1.0"?><Error/>', "svg": b"<svg xmlns='x'></svg>",
        "json": b'{"error": "not found"}', "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "annex": b"/annex/objects/SHA256E-s1--0.wav\n", "zip": b"PK\x03\x04" + bytes(40),
        "empty zip": b"PK\x05\x06" + bytes(18), "gzip": b"\x1f\x8b\x08" + bytes(40),
        "7z": b"7z\xbc\xaf'\x1c" + bytes(40), "rar": b"Rar!\x1a\x07" + bytes(40), "bzip2": b"BZh91AY" + bytes(40),
        "xz": b"\xfd7zXZ\0" + bytes(40), "m3u": b"#EXTM3U\nhttp://localhost/a.mp3", "pls": b"[playlist]\nFile1=a.mp3",
        "concat": b"ffconcat version 1.0\nfile /etc/passwd\n", "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        "pdf": b"%PDF-1.7\n", "png": b"\x89PNG\r\n\x1a\n" + bytes(40),
        "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(40), "gif": b"GIF89a" + bytes(40),
        "heic": b"\0\0\0\x18ftypheic" + bytes(40), "webp": b"RIFF\x20\0\0\0WEBPVP8 " + bytes(24),
        "avi": b"RIFF\x20\0\0\0AVI LIST" + bytes(24), "elf": b"\x7fELF" + bytes(60), "exe": b"MZ\x90\0" + bytes(60),
        "sqlite": b"SQLite format 3\0" + bytes(40), "midi": b"MThd\0\0\0\x06" + bytes(40),
        "script": b"#!/bin/sh\nid\n", "pickle": b"\x80\x04\x95\x0c\0\0\0\0\0\0\0\x8c\x02os\x94.",
        "safetensors": b"\x08\0\0\0\0\0\0\0{}      ", "random": np.random.default_rng(2).bytes(5000),
        "raw pcm": b"\0\0" + pcm16(voice(1.0)), "srt": b"1\n00:00:01 --> 00:00:02\nHi",
        "tar": b"voice.wav" + bytes(248) + b"ustar\0" + bytes(300), "riff alone": b"RIFF",
        "no mpeg": b"\xff\xfb\xf0\x64" + bytes(60),
    }  # fmt: skip
    for name, content in rows.items():
        yield f"is {name}.wav", content, "AUDIO_NOT_AUDIO"


def _formats() -> Iterator[Row]:
    speech = voice()
    for name, options in {
        "pcm24.wav": {"subtype": "PCM_24"}, "pcm32.wav": {"subtype": "PCM_32"}, "u8.wav": {"subtype": "PCM_U8"},
        "float.wav": {"subtype": "FLOAT"}, "double.wav": {"subtype": "DOUBLE"}, "ulaw.wav": {"subtype": "ULAW"},
        "alaw.wav": {"subtype": "ALAW"}, "ima.wav": {"subtype": "IMA_ADPCM"}, "ms adpcm.wav": {"subtype": "MS_ADPCM"},
        "x.wav": {"format": "WAVEX"}, "rf64.wav": {"format": "RF64"}, "w64.wav": {"format": "W64"},
        "rifx.wav": {"endian": "BIG"}, "plain.flac": {"format": "FLAC"}, "vorbis.ogg": {"format": "OGG"},
        "opus.opus": {"format": "OGG", "subtype": "OPUS"}, "plain.mp3": {"format": "MP3"},
        "plain.aiff": {"format": "AIFF"}, "float.aifc": {"format": "AIFF", "subtype": "FLOAT"},
    }.items():  # fmt: skip
        yield name, encoded(speech, **options), "ok"
    mp3 = encoded(speech, format="MP3", bitrate_mode="VARIABLE")
    yield "uncounted.mp3", mp3[mp3.index(b"\xff\xf3", 4) :], "ok"  # without the frame that says how many there are
    yield "tagged.mp3", b"ID3\x04\0\0\0\0\x07\x68" + bytes(1000) + mp3, "ok"
    yield "is sun.au", encoded(speech, format="AU"), "AUDIO_FORMAT_UNSUPPORTED"
    for name, head in {
        "wma": b"0&\xb2u\x8ef\xcf\x11", "wavpack": b"wvpk", "ape": b"MAC \x96\x0f", "ac3": b"\x0bw",
        "sphere": b"NIST_1A\n", "speex": b"OggS\0\x02" + bytes(20) + b"\x01\x50Speex   ",
        "theora": b"OggS\0\x02" + bytes(20) + b"\x01\x2a\x80theora",
    }.items():  # fmt: skip
        yield f"is {name}.bin", head + bytes(80), "AUDIO_FORMAT_UNSUPPORTED"
    yield "mp3 pretends.wav", wav([chunk(b"fmt ", wav_format(tag=0x0161)), chunk(b"data", bytes(9000))]), _UNSUPPORTED
    if not HAS_FFMPEG:
        yield "is.m4a", b"\0\0\0\x20ftypM4A " + bytes(50), "AUDIO_FORMAT_UNSUPPORTED"
        return
    for name, kind, codec, options in (
        ("aac.m4a", "ipod", "aac", {}), ("alac.m4a", "ipod", "alac", {}), ("aac.3gp", "3gp", "aac", {}),
        ("pieces.mp4", "mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}), ("pcm.mov", "mov", "pcm_s16le", {}),
        ("film.mp4", "mp4", "aac", {"with_picture": True}), ("film.mkv", "matroska", "aac", {"with_picture": True}),
        ("opus.webm", "webm", "libopus", {}), ("flac.mka", "matroska", "flac", {}), ("stream.aac", "adts", "aac", {}),
        ("alac.caf", "caf", "alac", {}), ("pcm.caf", "caf", "pcm_s16be", {}),
    ):  # fmt: skip
        yield name, encoded_by_ffmpeg(speech, kind, codec, **options), "ok"
    live = encoded_by_ffmpeg(speech, "webm", "libopus", live="1")  # as browsers record: no length
    yield "live.webm", live, "ok"
    yield "is m4a.wav", encoded_by_ffmpeg(speech, "ipod", "aac"), "ok AUDIO_EXTENSION"
    yield "note.amr", encoded_by_ffmpeg(voice(3.2, 8000), "amr", "libopencore_amrnb", 8000), "ok AUDIO_LOW_BANDWIDTH"
    yield "both.webm", encoded_by_ffmpeg(np.stack([speech, speech], 1), "webm", "libopus"), "ok"
    yield "flac.oga", encoded_by_ffmpeg(speech, "ogg", "flac"), "AUDIO_FORMAT_UNSUPPORTED"
    yield "ac3.mp4", encoded_by_ffmpeg(voice(3.2, 48_000), "mp4", "ac3", 48_000), "AUDIO_FORMAT_UNSUPPORTED"
    yield "mute film.mp4", film_without_sound(), "AUDIO_NO_SAMPLES"


_UNSUPPORTED = "AUDIO_FORMAT_UNSUPPORTED | AUDIO_CORRUPT"


def _headers() -> Iterator[Row]:
    speech = voice()
    data = chunk(b"data", pcm16(speech))
    plain = chunk(b"fmt ", wav_format())

    def with_format(**options: int) -> bytes:
        return wav([chunk(b"fmt ", wav_format(**options)), data])

    yield "riff.wav", wav([]), "AUDIO_CORRUPT"
    yield "no data.wav", wav([plain]), "AUDIO_CORRUPT | AUDIO_NO_SAMPLES"
    yield "empty data.wav", wav([plain, chunk(b"data", b"")]), "AUDIO_NO_SAMPLES"
    yield "no format.wav", wav([data]), "AUDIO_CORRUPT"
    yield "data first.wav", wav([data, plain]), "AUDIO_CORRUPT"
    yield "short format.wav", wav([chunk(b"fmt ", wav_format()[:10]), data]), "AUDIO_CORRUPT"
    yield "huge format.wav", wav([chunk(b"fmt ", wav_format(), 0x7FFFFFFF), data]), "AUDIO_CORRUPT"
    yield "no channels.wav", with_format(channels=0), "AUDIO_CORRUPT"
    yield "nine channels.wav", encoded(np.tile(voice(1.0)[:, None], 9)), "AUDIO_CHANNELS"
    yield "many channels.wav", with_format(channels=0xFFFF, align=2), "AUDIO_CORRUPT | AUDIO_CHANNELS"
    yield "rate 0.wav", with_format(rate=0), "AUDIO_CORRUPT | AUDIO_SAMPLE_RATE"
    for rate in (1, 4000, 7999, 192_001, 500_000):
        yield f"rate {rate}.wav", with_format(rate=rate), "AUDIO_SAMPLE_RATE"
    yield "rate huge.wav", with_format(rate=0xFFFFFFFF), "AUDIO_CORRUPT | AUDIO_SAMPLE_RATE"
    yield "rate 8000.wav", encoded(voice(3.2, 8000), 8000), "ok AUDIO_LOW_BANDWIDTH"
    yield "rate 192000.wav", encoded(voice(3.2, 192_000), 192_000), "ok"
    yield "no bits.wav", with_format(bits=0, align=2), "AUDIO_CORRUPT | AUDIO_FORMAT_UNSUPPORTED"
    yield "odd bits.wav", with_format(bits=77, align=2), "AUDIO_CORRUPT | AUDIO_FORMAT_UNSUPPORTED"
    yield "streamed.wav", wav([plain, chunk(b"data", pcm16(speech), 0xFFFFFFFF)], announced=0xFFFFFFFF), "ok"
    yield "streamed by sox.wav", wav([plain, chunk(b"data", pcm16(speech), 0x7FFFF000)], announced=0x7FFFF024), "ok"
    yield "notes first.wav", wav([chunk(b"LIST", b"INFOISFT\x04\0\0\0me\0\0"), plain, data]), "ok"
    yield "odd note.wav", wav([plain, chunk(b"note", b"abc"), data]), "ok"
    yield "notes behind.wav", wav([plain, data, chunk(b"LIST", bytes(100))]), "ok"
    yield "many chunks.wav", wav([plain, *[chunk(b"junk", b"")] * 900, data]), "ok | AUDIO_CORRUPT"
    yield "announces more.wav", wav([plain, chunk(b"data", pcm16(speech), 1_000_000)]), "ok AUDIO_TRUNCATED"
    yield "announces 2 GB.wav", wav([plain, chunk(b"data", pcm16(speech), 0x7FFE0000)]), "ok AUDIO_TRUNCATED"
    yield "announces less.wav", wav([plain, data], announced=100), "ok | AUDIO_CORRUPT"
    yield "header.flac", b"fLaC" + bytes(60), "AUDIO_CORRUPT"
    yield "header.ogg", b"OggS" + bytes(60), "AUDIO_CORRUPT"
    yield "header.mp3", b"\xff\xfb\x90\x64" + bytes(60), "AUDIO_CORRUPT"
    yield "tag.mp3", b"ID3\x04\0\0\0\0\x07\x68" + bytes(1000), "AUDIO_CORRUPT"
    yield "endless tag.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(1000), "AUDIO_CORRUPT"
    yield "tag before zip.mp3", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"PK\x03\x04" + bytes(60), "AUDIO_CORRUPT"
    yield "tag before au.mp3", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + encoded(speech, format="AU"), "AUDIO_CORRUPT"
    yield "header.aiff", b"FORM\0\0\1\0AIFF" + bytes(60), "AUDIO_CORRUPT"
    if HAS_FFMPEG:
        for name, content in {
            "m4a": b"\0\0\0\x20ftypM4A " + bytes(50), "webm": b"\x1aE\xdf\xa3" + bytes(60),
            "aac": b"\xff\xf1\x50\x80" + bytes(60), "caf": b"caff\0\1\0\0" + bytes(60),
            "mp4": b"\0\0\0\x18ftypisom" + bytes(12) + b"\xff\xff\xff\xffmoov",
        }.items():  # fmt: skip
            yield f"header.{name}", content, "AUDIO_CORRUPT | AUDIO_NO_SAMPLES"
        yield "header.amr", b"#!AMR\n", "AUDIO_NO_SAMPLES | AUDIO_CORRUPT"
        link = encoded_by_ffmpeg(speech, "mov", "pcm_s16le").replace(b"url ", b"alis")
        yield "points elsewhere.mov", link, "ok | AUDIO_CORRUPT | AUDIO_NO_SAMPLES"


def _samples() -> Iterator[Row]:
    speech = voice()

    def spoiled(value: float) -> np.ndarray:
        wave = speech.copy()
        wave[777] = value
        return wave

    for value in (np.nan, np.inf, -np.inf):
        yield f"holds {value}.wav", encoded(spoiled(value), subtype="FLOAT"), "AUDIO_NONFINITE"
    yield "holds 1e300.wav", encoded(spoiled(1.0).astype(np.float64) * 1e300, subtype="DOUBLE"), "AUDIO_NONFINITE"
    yield "all nan.wav", encoded(np.full(RATE, np.nan), subtype="FLOAT"), "AUDIO_NONFINITE"
    yield "integers as floats.wav", encoded(32768 * speech, subtype="FLOAT"), "AUDIO_OUT_OF_RANGE"
    yield "holds 1e30.wav", encoded(spoiled(1e30), subtype="FLOAT"), "AUDIO_OUT_OF_RANGE"
    yield "loud.wav", encoded(5 * speech, subtype="FLOAT"), "ok AUDIO_OUT_OF_RANGE"
    yield "silent.wav", encoded(np.zeros(4 * RATE)), "AUDIO_SILENT"
    yield "silent.flac", encoded(np.zeros(4 * RATE), format="FLAC"), "AUDIO_SILENT"
    yield "nearly silent.wav", encoded(1e-5 * speech, subtype="FLOAT"), "AUDIO_SILENT"
    yield "denormal.wav", encoded(1e-40 * speech, subtype="FLOAT"), "AUDIO_SILENT"
    yield "quiet.wav", encoded(0.01 * speech, subtype="FLOAT"), "ok"
    yield "off centre.wav", encoded(speech + 0.2), "ok AUDIO_DC_OFFSET"
    yield "constant.wav", encoded(np.full(4 * RATE, 0.3)), "AUDIO_SILENT"
    yield "overdriven.wav", encoded(np.clip(_overdriven(), -1, 1)), "ok AUDIO_CLIPPED"
    yield "both.wav", encoded(np.stack([speech, 0.5 * speech], 1)), "ok"
    yield "against.wav", encoded(np.stack([0.9 * speech, -speech], 1)), "ok AUDIO_PHASE_CANCEL"
    yield "one side.wav", encoded(np.stack([speech, 0 * speech], 1)), "ok"
    yield "eight.wav", encoded(np.tile(speech[:, None], 8)), "ok"
    yield "telephone.wav", encoded(_telephone(), subtype="FLOAT"), "ok AUDIO_LOW_BANDWIDTH"
    yield "one sample.wav", encoded(speech[:1]), "AUDIO_TOO_SHORT | AUDIO_SILENT"
    yield "one of 192000.wav", encoded(speech[1000:1001], 192_000), "AUDIO_NO_SAMPLES | AUDIO_SILENT"
    yield "short.wav", encoded(voice(0.4)), "AUDIO_TOO_SHORT"
    yield "just short.wav", encoded(voice(0.99)), "AUDIO_TOO_SHORT"
    yield "long enough.wav", encoded(voice(1.0)), "ok"


def _overdriven() -> np.ndarray:
    return 3 * np.sin(2 * np.pi * 200 * np.arange(4 * RATE) / RATE) + 0.1 * np.resize(voice(), 4 * RATE)


def _telephone() -> np.ndarray:
    import soxr

    return soxr.resample(voice(3.2, 8000), 8000, RATE)


def _cut_and_damaged() -> Iterator[Row]:
    speech = voice()
    for name, options, cut, damaged in (
        ("wav", {}, "ok AUDIO_TRUNCATED", "ok"),  # what a sample was nobody knows
        ("flac", {"format": "FLAC"}, "AUDIO_CORRUPT", "AUDIO_CORRUPT"),
        ("aiff", {"format": "AIFF"}, "ok AUDIO_TRUNCATED", "ok"),
        ("mp3", {"format": "MP3"}, "ok AUDIO_TRUNCATED", "ok AUDIO_TRUNCATED | AUDIO_CORRUPT"),
        ("ogg", {"format": "OGG"}, "ok AUDIO_TRUNCATED", "ok AUDIO_TRUNCATED | AUDIO_CORRUPT"),
        ("opus", {"format": "OGG", "subtype": "OPUS"}, "ok AUDIO_TRUNCATED | AUDIO_TOO_SHORT", "ok AUDIO_TRUNCATED"),
    ):  # fmt: skip
        whole = encoded(speech, **options)
        yield f"cut.{name}", whole[: len(whole) * 7 // 10], cut
        yield f"end cut.{name}", whole[: len(whole) * 96 // 100], cut
        yield f"damaged.{name}", flipped(whole, 0.45, 0.55), damaged
        yield f"head cut.{name}", whole[:20], "AUDIO_CORRUPT | AUDIO_NO_SAMPLES"
    yield "cut.w64", encoded(speech, format="W64")[:100_000], "ok AUDIO_TRUNCATED"
    yield "cut.rf64", encoded(speech, format="RF64")[:100_000], "ok AUDIO_TRUNCATED"
    yield "and a zip behind.wav", encoded(speech) + b"PK\x03\x04" + bytes(500), "ok"
    yield "twice.mp3", encoded(speech, format="MP3") * 2, "ok"
    yield "twice.ogg", encoded(speech, format="OGG") * 2, "ok | AUDIO_CORRUPT"
    if not HAS_FFMPEG:
        return
    for name, kind, codec, cut, damaged in (
        ("m4a", "ipod", "aac", "AUDIO_CORRUPT", "AUDIO_CORRUPT"),  # the table of its packets is at its end
        ("webm", "webm", "libopus", "ok AUDIO_TRUNCATED", "ok AUDIO_TRUNCATED | AUDIO_CORRUPT | AUDIO_TOO_SHORT"),
        ("mka", "matroska", "flac", "ok AUDIO_TRUNCATED", "ok AUDIO_TRUNCATED | AUDIO_CORRUPT"),
        ("aac", "adts", "aac", "ok AUDIO_TRUNCATED | ok", "AUDIO_CORRUPT | ok AUDIO_TRUNCATED"),
        ("caf", "caf", "pcm_s16be", "ok AUDIO_TRUNCATED", "ok"),
    ):  # fmt: skip
        whole = encoded_by_ffmpeg(speech, kind, codec)
        yield f"cut by ffmpeg.{name}", whole[: len(whole) * 7 // 10], cut
        yield f"damaged by ffmpeg.{name}", flipped(whole, 0.45, 0.55), damaged
    pieces = encoded_by_ffmpeg(speech, "mp4", "aac", movflags="frag_keyframe+empty_moov+default_base_moof")
    yield "cut pieces.mp4", pieces[: len(pieces) * 7 // 10], "ok AUDIO_TRUNCATED"


def _bombs() -> Iterator[Row]:
    """Little files that become large ones."""
    yield "eleven minutes.flac", encoded(np.zeros(660 * 8000, np.int16), 8000, "FLAC"), "AUDIO_TOO_LONG"
    yield "two minutes and more.wav", encoded(np.resize(voice(1.0, 8000), 121 * 8000), 8000), "AUDIO_TOO_LONG"
    yield "announces a month.flac", _announcing(voice(), 0xFFFFFFFFF), "AUDIO_TOO_LONG"
    yield "announces 300 MB.flac", _announcing(np.tile(voice()[:, None], 8), 9_400_000), "AUDIO_TOO_LARGE"
    yield "announces hours.wav", _rf64_of_hours(), "ok AUDIO_TRUNCATED | AUDIO_TOO_LONG"


def _announcing(samples: np.ndarray, frames: int) -> bytes:
    """A FLAC whose header counts otherwise: the count is the last 36 bits before 16 bytes of a hash."""
    content = bytearray(encoded(samples, format="FLAC"))
    content[21] = content[21] & 0xF0 | frames >> 32
    content[22:26] = (frames % 2**32).to_bytes(4, "big")
    return bytes(content)


def _rf64_of_hours() -> bytes:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 1 << 40, 1 << 40, 1 << 39, 0))
    body = [sizes, chunk(b"fmt ", wav_format()), chunk(b"data", pcm16(voice()), 0xFFFFFFFF)]
    return wav(body, kind=b"RF64", announced=0xFFFFFFFF)


def _entries(folder: Path) -> list[Case]:
    """What stands in a folder and is no recording, and what does not stand there."""
    (folder / "empty.wav").touch()
    with open(folder / "large.wav", "wb") as file:
        file.write(encoded(voice(1.0)))
        file.truncate(50_000_001)
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "pipe.wav")
    good = folder / "my voice.wav"
    (folder / "link.wav").symlink_to(good)
    (folder / "broken link.wav").symlink_to(folder / "nowhere")
    (folder / "circle.wav").symlink_to(folder / "circle.wav")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(folder, os.O_RDONLY)  # the path of a socket must be short
        try:
            server.bind(f"/proc/self/fd/{here}/socket.wav")
        finally:
            os.close(here)
    outcomes = {
        folder / "folder.wav": "AUDIO_NOT_A_FILE", folder / "pipe.wav": "AUDIO_NOT_A_FILE",
        folder / "link.wav": "AUDIO_NOT_A_FILE", folder / "broken link.wav": "AUDIO_NOT_A_FILE",
        folder / "circle.wav": "AUDIO_NOT_A_FILE", folder / "socket.wav": "AUDIO_NOT_A_FILE",
        Path("/dev/zero"): "AUDIO_NOT_A_FILE", Path("/dev/null"): "AUDIO_NOT_A_FILE", Path("/"): "AUDIO_NOT_A_FILE",
        Path("/proc/self/mem"): "AUDIO_EMPTY", folder / "absent.wav": "AUDIO_NOT_FOUND",
        folder / "no folder" / "a.wav": "AUDIO_NOT_FOUND", good / "below.wav": "AUDIO_NOT_FOUND",
        folder / ("x" * 300): "AUDIO_NOT_FOUND", folder / "file:" / "etc" / "passwd": "AUDIO_NOT_FOUND",
        folder / "https:" / "localhost" / "a.wav": "AUDIO_NOT_FOUND", folder / "lone\ud800.wav": "AUDIO_NOT_FOUND",
    }  # fmt: skip
    sent = [Case(folder / "empty.wav", ("AUDIO_EMPTY",)), Case(folder / "large.wav", ("AUDIO_TOO_LARGE",))]
    return sent + [Case(path, (outcome,), is_upload=False) for path, outcome in outcomes.items()]
