"""Formats that keep 16 bits of every sample: WAV, FLAC, and the bare samples."""

import io
import struct
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from resgen_tts.speech.audio.save import to_pcm
from resgen_tts.speech.audio.tags import riff_tags, vorbis_tags

_UNKNOWN_SIZE = 0xFFFFFFFF  # what players take for: until the end


class PcmBytes:
    """Samples and nothing else: signed 16-bit, little-endian."""

    patches: tuple[tuple[int, bytes], ...] = ()

    def __init__(self, sample_rate: int, tags: Mapping[str, str]):
        pass  # there is no place for either

    def add(self, samples: Float[np.ndarray, " N"]) -> bytes:
        return to_pcm(samples)[0].astype("<i2").tobytes()

    def finish(self) -> bytes:
        return b""


class WavBytes:
    """A header, which says "until the end" instead of a size, and the samples."""

    def __init__(self, sample_rate: int, tags: Mapping[str, str]):
        self._list = riff_tags(tags)
        self._head = self._header(sample_rate, _UNKNOWN_SIZE, _UNKNOWN_SIZE)
        self._sample_rate, self._num_bytes, self._is_begun = sample_rate, 0, False
        self.patches: tuple[tuple[int, bytes], ...] = ()

    def _header(self, sample_rate: int, riff_size: int, data_size: int) -> bytes:
        form = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", riff_size, b"WAVE", b"fmt ", 16, 1, 1, sample_rate,
                           2 * sample_rate, 2, 16)  # fmt: skip
        return form + self._list + struct.pack("<4sI", b"data", data_size)

    def add(self, samples: Float[np.ndarray, " N"]) -> bytes:
        data = to_pcm(samples)[0].astype("<i2").tobytes()
        self._num_bytes += len(data)
        head, self._is_begun = b"" if self._is_begun else self._head, True
        return head + data

    def finish(self) -> bytes:
        size = len(self._head) - 8 + self._num_bytes
        if size < _UNKNOWN_SIZE:  # 4 GiB are 25 hours; beyond them the header stays as it is
            self.patches = ((0, self._header(self._sample_rate, size, self._num_bytes)),)
        return b""


class FlacBytes:
    """Frames by libFLAC through libsndfile, behind a header of our own with the tags.

    All of it comes at the end: the header says how long the sound is, and libsndfile, and with it much of Python, does
    not read a file whose header does not know.
    """

    patches: tuple[tuple[int, bytes], ...] = ()

    def __init__(self, sample_rate: int, tags: Mapping[str, str]):
        import soundfile

        self._made = io.BytesIO()
        self._file = soundfile.SoundFile(
            self._made, "w", samplerate=sample_rate, channels=1, format="FLAC", subtype="PCM_16"
        )
        self._tags = tags

    def add(self, samples: Float[np.ndarray, " N"]) -> bytes:
        self._file.write(to_pcm(samples)[0])
        return b""

    def finish(self) -> bytes:
        self._file.close()
        data = self._made.getvalue()
        # The first block has the lengths and the MD5; the comments are made anew: libsndfile adds its name to ours.
        place, is_last, vendor = 4, False, b""
        while not is_last:
            kind, size = data[place], int.from_bytes(data[place + 1 : place + 4], "big")
            if kind & 0x7F == 4:
                vendor = data[place + 8 : place + 8 + int.from_bytes(data[place + 4 : place + 8], "little")]
            place, is_last = place + 4 + size, bool(kind & 0x80)
        comments = vorbis_tags(self._tags, vendor.decode("utf-8"))
        return data[:42] + b"\x84" + len(comments).to_bytes(3, "big") + comments + data[place:]
