"""What a file is, from its first bytes: a container that we read, one that we do not, or no audio at all."""

from resgen_tts.common.errors import AudioError

SNIFFED_BYTES = 64

# Containers that libsndfile reads and that we let it read.
SUFFIXES = {
    "WAV": (".wav", ".wave"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "AIFF": (".aif", ".aiff", ".aifc"),
}

_UNSUPPORTED = (
    (b"\x1aE\xdf\xa3", 0, "Matroska or WebM"),
    (b"ftyp", 4, "MP4, M4A or MOV"),
    (b"0&\xb2u", 0, "Windows Media"),
    (b"#!AMR", 0, "AMR"),
    (b"caff", 0, "Core Audio"),
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
    """A frame header of MPEG audio, layers I to III: 11 set bits, and no reserved layer, bit rate or sample rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and bit_rate != 15 and rate != 3


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
    if (head[:4] in (b"RIFF", b"RIFX", b"RF64") and form == b"WAVE") or head[:12] == b"riff.\x91\xcf\x11\xa5\xd6(\xdb":
        return "WAV"
    if head[:4] == b"fLaC":
        return "FLAC"
    if head[:4] == b"OggS":
        return "OGG"
    if head[:4] == b"FORM" and form in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[:3] == b"ID3":
        return "MP3"
    for mark, offset, kind in _UNSUPPORTED:
        if head[offset : offset + len(mark)] == mark:
            raise _unsupported(name, kind)
    if head[:2] in (b"\xff\xf1", b"\xff\xf9", b"\xff\xf0", b"\xff\xf8"):
        raise _unsupported(name, "AAC")
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


def wav_is_cut_short(head: bytes, size: int) -> bool:
    """True when a RIFF header announces more bytes than the file has; sizes of streams (0, all ones) announce none."""
    if head[:4] not in (b"RIFF", b"RIFX") or len(head) < 8:
        return False
    announced = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
    return 0 < announced < 0x7FFFFFFF and announced + 8 > size + 1


def ogg_is_cut_short(tail: bytes) -> bool:
    """True when the last page of an Ogg stream does not carry the end-of-stream flag.

    Args:
        tail: the last 64 KiB and more of the file (a page is at most that long).
    """
    last = tail.rfind(b"OggS")
    return last < 0 or last + 6 > len(tail) or not tail[last + 5] & 0x04
