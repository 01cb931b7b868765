"""What a file is, from its first bytes: a container that we read, one that we do not, or no audio at all."""

import io
import os
from typing import Literal

from resgen_tts.common.errors import AudioError

SNIFFED_BYTES = 64

# Containers that are read, and endings of their files: the first five by libsndfile, the others by FFmpeg's libraries.
SUFFIXES = {
    "WAV": (".wav", ".wave"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "AIFF": (".aif", ".aiff", ".aifc"),
    "MP4": (".m4a", ".mp4", ".m4b", ".m4r", ".mov", ".3gp", ".3g2"),
    "Matroska": (".webm", ".weba", ".mka", ".mkv"),
    "AAC": (".aac", ".adts"),
    "AMR": (".amr", ".awb"),
    "Core Audio": (".caf",),
}

_STREAMED = 0x7FFF0000  # a 32-bit size from here on, or 0, was written before the end was known
_MAX_CHUNKS = 1000  # before the samples: text, markers, pictures; a file has a dozen
_OGG_TAIL_BYTES = 1 << 17
_W64_RIFF = b"riff.\x91\xcf\x11\xa5\xd6(\xdb"
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heif", b"hevc", b"mif1", b"msf1", b"jxl ")

_OGG_WITH = (
    (b"\x7fFLAC", "FLAC"),
    (b"Speex   ", "Speex"),
    (b"fishead", "several tracks"),
    (b"\x80theora", "pictures"),
)
_UNSUPPORTED = (
    (b"0&\xb2u", 0, "Windows Media"),
    (b".snd", 0, "Sun AU"),
    (b"wvpk", 0, "WavPack"),
    (b"MAC ", 0, "Monkey's Audio"),
    (b"\x0bw", 0, "AC-3"),
    (b"NIST_1A", 0, "NIST Sphere"),
)
_NOT_AUDIO = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "Fetch it with: git lfs pull"),
    (b"/annex/objects", "a git-annex pointer, not the file itself", "Fetch it with: git annex get"),
    (b"PK\x03\x04", "a zip archive", "Unpack it first."),
    (b"PK\x05\x06", "an empty zip archive", ""),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"7z\xbc\xaf'\x1c", "a 7z archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"BZh", "a bzip2 archive", "Unpack it first."),
    (b"\xfd7zXZ", "an xz archive", "Unpack it first."),
    (b"#EXTM3U", "a playlist", "Give one of the recordings that it lists."),
    (b"[playlist]", "a playlist", "Give one of the recordings that it lists."),
    (b"%PDF", "a PDF document", ""),
    (b"\x89PNG", "a PNG picture", ""),
    (b"\xff\xd8\xff", "a JPEG picture", ""),
    (b"GIF8", "a GIF picture", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a program", ""),
    (b"SQLite", "a database", ""),
    (b"MThd", "a MIDI score, which holds notes and no sound", ""),
)
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<svg", b"<error")


def _is_mpeg_audio(head: bytes) -> bool:
    """A frame header of MPEG audio, layers II and III: 11 set bits, and no reserved version, bit rate or sample rate.

    Layer I is not looked for: nobody's recordings have it, and text in UTF-16 begins with its bits.
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer in (1, 2) and bit_rate != 15 and rate != 3


def _is_adts(head: bytes) -> bool:
    """A frame header of AAC: 12 set bits, layer 0, and a sample rate that exists."""
    return len(head) >= 4 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13


def sniff(head: bytes, name: str) -> str:
    """Name the container of a file that begins with these bytes.

    Args:
        head: the first SNIFFED_BYTES bytes, or all there are.
        name: of the file, for the error.
    Returns:
        a key of SUFFIXES.
    Raises:
        AudioError: AUDIO_FORMAT_UNSUPPORTED for audio of another kind, AUDIO_NOT_AUDIO for anything else; both say
            what it is.
    """
    form = head[8:12]
    if (head[:4] in (b"RIFF", b"RIFX", b"RF64") and form == b"WAVE") or head[:12] == _W64_RIFF:
        return "WAV"
    if head[:4] == b"fLaC":
        return "FLAC"
    if head[:4] == b"OggS":
        for mark, kind in _OGG_WITH:
            if head[28 : 28 + len(mark)] == mark:  # the first packet, behind a page header of one segment
                raise _unsupported(name, f"OGG with {kind}")
        return "OGG"
    if head[:4] == b"FORM" and form in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[:3] == b"ID3":
        return "MP3"
    if head[4:8] == b"ftyp" and form in _PICTURE_BRANDS:
        raise AudioError(f"{name} is a HEIC or AVIF picture.", code="AUDIO_NOT_AUDIO")
    if head[4:8] == b"ftyp" or (head[:1] == b"\0" and head[4:8] in (b"moov", b"mdat", b"wide")):
        return "MP4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "Matroska"
    if head[:6] in (b"#!AMR\n", b"#!AMR-"):
        return "AMR"
    if head[:4] == b"caff":
        return "Core Audio"
    for mark, offset, kind in _UNSUPPORTED:
        if head[offset : offset + len(mark)] == mark:
            raise _unsupported(name, kind)
    if _is_adts(head):
        return "AAC"
    for mark, kind, hint in _NOT_AUDIO:
        if head.startswith(mark):
            raise AudioError(f"{name} is {kind}.", code="AUDIO_NOT_AUDIO", hint=hint)
    if _is_mpeg_audio(head):
        return "MP3"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_MARKUP):
        raise AudioError(
            f"{name} is a web page or XML, not audio.",
            code="AUDIO_NOT_AUDIO",
            hint="A download may have answered with an error page; open it in an editor.",
        )
    kind = "a text file" if _is_text(head) else "not in a format that is known"
    raise AudioError(f"{name} is {kind}, not audio.", code="AUDIO_NOT_AUDIO", hint="Give a WAV, FLAC, OGG or MP3 file.")


def _unsupported(name: str, kind: str) -> AudioError:
    return AudioError(
        f"{name} is {kind}, which is not read here.",
        code="AUDIO_FORMAT_UNSUPPORTED",
        hint="Convert it to WAV, FLAC, OGG or MP3.",
    )


def _is_text(head: bytes) -> bool:
    printable = sum(byte >= 32 or byte in b"\t\n\r" for byte in head)
    return bool(head) and b"\0" not in head and printable == len(head)


def is_cut_short(file: io.FileIO, container: str) -> bool:
    """True when the file ends before the samples that its own sizes, or flags, announce.

    Of containers that count their samples (FLAC, MP4, some MP3) the decoder tells; AAC and AMR announce nothing. The
    position in the file is moved.
    """
    size = os.fstat(file.fileno()).st_size
    if container == "OGG":
        file.seek(max(0, size - _OGG_TAIL_BYTES))
        return _ogg_is_cut_short(file.read())
    if container in ("WAV", "AIFF"):
        return _samples_are_cut_short(file, size)
    if container == "Core Audio":
        return _caf_is_cut_short(file, size)
    return False


def counts_its_frames(file: io.FileIO) -> bool:
    """True when an MP3 says how long it is, in a frame before the first of sound; else its length can be guessed only.

    The position in the file is moved.
    """
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:  # a tag, whose size is in four groups of seven bits
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(200)  # 4 bytes of header, up to 32 that are empty, then the mark
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def _samples_are_cut_short(file: io.FileIO, size: int) -> bool:
    """Walk the chunks of a RIFF, RF64, Wave64 or AIFF file up to that of the samples."""
    file.seek(0)
    head = file.read(12)
    is_w64 = head == _W64_RIFF
    order: Literal["big", "little"] = "big" if head[:4] in (b"RIFX", b"FORM") else "little"
    place, in_ds64 = (40 if is_w64 else 12), None
    for _ in range(_MAX_CHUNKS):
        if place > size:
            return False
        file.seek(place)
        header = file.read(24 if is_w64 else 8)
        if len(header) < (24 if is_w64 else 8):
            return False  # the decoder says what is wrong with a file without samples
        name, announced = header[:4], int.from_bytes(header[16:] if is_w64 else header[4:], order)
        begin = place + len(header)
        if is_w64:
            announced -= len(header)  # which counts here
        if name == b"ds64":
            in_ds64 = int.from_bytes(file.read(16)[8:], "little")
        if name in (b"data", b"SSND"):
            if not is_w64 and in_ds64 is not None:
                announced = in_ds64
            elif not is_w64 and (announced == 0 or announced >= _STREAMED):
                return False
            return announced > size - begin + 1  # one byte may be padding
        if announced < 0:
            return False
        place = begin + announced + (-announced % 8 if is_w64 else announced % 2)
    return False


def _ogg_is_cut_short(tail: bytes) -> bool:
    """True when the last page of an Ogg stream is not whole, or does not carry the end-of-stream flag.

    Args:
        tail: the last 64 KiB and more of the file (a page is at most that long).
    """
    last = tail.rfind(b"OggS\0")
    page = tail[last:] if last >= 0 else b""
    if len(page) < 27 or not page[5] & 0x04:
        return True
    num_segments = page[26]
    sizes = page[27 : 27 + num_segments]
    return len(sizes) < num_segments or len(page) < 27 + num_segments + sum(sizes)


def _caf_is_cut_short(file: io.FileIO, size: int) -> bool:
    """Walk the chunks of a Core Audio file: a name and a signed size of 64 bits each."""
    place = 8
    for _ in range(_MAX_CHUNKS):
        if place > size:
            return False
        file.seek(place)
        header = file.read(12)
        if len(header) < 12:
            return False
        announced, place = int.from_bytes(header[4:], "big", signed=True), place + len(header)
        if header[:4] == b"data" or announced < 0:  # -1: up to the end
            return announced > size - place
        place += announced
    return False
