"""What a sound file says about itself: the program that made it and a comment, written and read."""

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from resgen_tts.speech.audio.limits import AudioLimits
from resgen_tts.speech.audio.load import open_regular, shown_name

LONGEST_TAG = 8192
"""Characters. It keeps the head of an Ogg file within one page, and is far more than there is to say."""

_RIFF_IDS = {"software": b"ISFT", "comment": b"ICMT"}
_ID3_IDS = {"software": b"TSSE", "comment": b"COMM"}
_VORBIS_NAMES = {"software": "SOFTWARE", "comment": "COMMENT"}
_MOST_READ = 1 << 20  # bytes of a head; our own has a few hundred
_MOST_PARTS = 1000  # of a head


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse what not every format could hold.

    Raises:
        ValueError: a tag is none of software and comment, is longer than LONGEST_TAG, or holds a NUL.
    """
    for name, value in tags.items():
        if name not in _RIFF_IDS:
            raise ValueError(f"there is no tag {name!r}, only {', '.join(_RIFF_IDS)}")
        if len(value.encode("utf-8")) > LONGEST_TAG or "\0" in value:
            raise ValueError(f"tag {name} must be at most {LONGEST_TAG} bytes without a NUL")


def riff_tags(tags: Mapping[str, str]) -> bytes:
    """A LIST chunk of kind INFO for a WAV file; nothing where there are no tags."""
    if not tags:
        return b""
    body = b"INFO"
    for name, value in tags.items():
        data = value.encode("utf-8") + b"\0"
        body += _RIFF_IDS[name] + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
    return b"LIST" + len(body).to_bytes(4, "little") + body


def vorbis_tags(tags: Mapping[str, str], vendor: str) -> bytes:
    """The comments of FLAC and Ogg: counted UTF-8 strings NAME=value (Vorbis I, section 5)."""
    lines = [f"{_VORBIS_NAMES[name]}={value}" for name, value in tags.items()]
    return (
        _counted(vendor.encode("utf-8"))
        + len(lines).to_bytes(4, "little")
        + b"".join(_counted(line.encode("utf-8")) for line in lines)
    )


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def id3_tags(tags: Mapping[str, str]) -> bytes:
    """An ID3 tag of version 2.4 in UTF-8; nothing where there are no tags."""
    if not tags:
        return b""
    frames = b""
    for name, value in tags.items():
        kind = _ID3_IDS[name]
        # A comment has a language (unknown) and an empty description before it.
        data = b"\3" + (b"und\0" if kind == b"COMM" else b"") + value.encode("utf-8")
        frames += kind + _synchsafe(len(data)) + b"\0\0" + data
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames


def _synchsafe(value: int) -> bytes:
    """28 bits in four bytes whose highest bits are 0."""
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def read_tags(path: Path | str) -> dict[str, str]:
    """The tags "software" and "comment" of a WAV, FLAC, Ogg or MP3 file.

    Returns:
        those that are there; none for a file of another kind, and none that lie behind a damaged place.
    Raises:
        AudioError: AUDIO_NOT_FOUND, AUDIO_NOT_A_FILE, AUDIO_PERMISSION, AUDIO_EMPTY.
    """
    # A file's size does not matter, as little of it is read.
    limits = AudioLimits(max_bytes=1 << 62, follow_links=True)
    with io.BufferedReader(open_regular(path, shown_name(path), limits)) as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            return dict(_of_riff(file))
        if head[:4] == b"fLaC":
            return dict(_of_flac(file))
        if head[:4] == b"OggS":
            return dict(_of_ogg(file))
        if head[:3] == b"ID3":
            return dict(_of_id3(file))
    return {}


def _of_riff(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Tags of every LIST chunk of kind INFO, before or behind the samples."""
    end = file.seek(0, os.SEEK_END)
    place = 12
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"LIST":
            body = file.read(min(size, _MOST_READ))
            if body[:4] == b"INFO":
                yield from _of_info(body)
        place += 8 + size + size % 2
        if place >= end:  # also where the samples are of unknown length
            return


def _of_info(body: bytes) -> Iterator[tuple[str, str]]:
    names = {kind: name for name, kind in _RIFF_IDS.items()}
    place = 4
    while place + 8 <= len(body):
        kind, size = body[place : place + 4], int.from_bytes(body[place + 4 : place + 8], "little")
        if kind in names:
            yield names[kind], _text(body[place + 8 : place + 8 + size])
        place += 8 + size + size % 2


def _of_flac(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Tags of the metadata blocks before the sound."""
    place = 4
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(4)
        if len(head) < 4:
            return
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == 4:  # VORBIS_COMMENT
            yield from _of_vorbis(file.read(min(size, _MOST_READ)))
        if head[0] & 0x80:  # the last one
            return
        place += 4 + size


def _of_ogg(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Tags of the second packet of the first stream, which Opus and Vorbis fill with comments."""
    data = file.read(_MOST_READ)
    packets: list[bytes] = []
    packet, place, serial = bytearray(), 0, data[14:18]
    while len(packets) < 2 and data[place : place + 4] == b"OggS" and place + 27 <= len(data):
        lacing = data[place + 27 : place + 27 + data[place + 26]]
        body = place + 27 + data[place + 26]
        is_ours = data[place + 14 : place + 18] == serial
        place = body + sum(lacing)
        if not is_ours:
            continue
        for size in lacing:
            packet += data[body : body + size]
            body += size
            if size < 255:
                packets.append(bytes(packet))
                packet.clear()
    if len(packets) < 2:
        return
    for mark in (b"OpusTags", b"\3vorbis"):
        if packets[1].startswith(mark):
            yield from _of_vorbis(packets[1][len(mark) :])


def _of_vorbis(data: bytes) -> Iterator[tuple[str, str]]:
    names = {kind: name for name, kind in _VORBIS_NAMES.items()}
    place = 4 + int.from_bytes(data[:4], "little")
    count = int.from_bytes(data[place : place + 4], "little")
    place += 4
    for _ in range(min(count, _MOST_PARTS)):
        size = int.from_bytes(data[place : place + 4], "little")
        kind, _, value = data[place + 4 : place + 4 + size].partition(b"=")
        if (name := names.get(kind.decode("utf-8", "replace").upper())) is not None:
            yield name, _text(value)
        place += 4 + size
        if place >= len(data):
            return


def _of_id3(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Tags of an ID3 tag of version 2.3 or 2.4; comments with a description are somebody else's."""
    names = {kind: name for name, kind in _ID3_IDS.items()}
    head = file.read(10)
    version, size = head[3] if len(head) == 10 else 0, _from_synchsafe(head[6:10])
    if version not in (3, 4) or head[5] & 0xC0:  # an older one, or one that is unsynchronised or extended
        return
    data = file.read(min(size, _MOST_READ))
    place = 0
    while place + 10 < len(data) and data[place]:
        kind, counted = data[place : place + 4], data[place + 4 : place + 8]
        size = _from_synchsafe(counted) if version == 4 else int.from_bytes(counted, "big")
        body = data[place + 10 : place + 10 + size]
        place += 10 + size
        if kind in names and body and body[0] in _ID3_CODES:
            code, body = _ID3_CODES[body[0]], body[1:]
            if kind == b"COMM":
                ending = b"\0\0" if code == "utf-16" else b"\0"
                if not body[3:].removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").startswith(ending):
                    continue
                body = body[3:].partition(ending)[2]
            yield names[kind], _text(body, code)


_ID3_CODES = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}


def _from_synchsafe(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _text(data: bytes, code: str = "utf-8") -> str:
    return data.decode(code, "replace").partition("\0")[0]
