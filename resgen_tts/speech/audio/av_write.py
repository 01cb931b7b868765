"""MP3, Opus and AAC: frames by FFmpeg's encoders, through PyAV, as soon as they are there."""

import functools
import zlib
from collections.abc import Mapping
from fractions import Fraction
from types import ModuleType

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import MissingExtraError, require
from resgen_tts.speech.audio.framing import DECODER_DELAY, OPUS_HZ, OggStream, adts_header, mp3_info_frame
from resgen_tts.speech.audio.tags import id3_tags, vorbis_tags

_PAGE_PACKETS = 10  # 0.2 s: what a listener waits for against what pages cost (about 1.3 kbit/s)


class _Codec:
    """Samples in, packets out.

    Args:
        name: of FFmpeg's encoder.
        samples: its sample format, of floats.
    Attributes:
        delay: samples that the encoder puts before the sound; known when the first packet is there.
        num_samples: taken so far.
        config: what a decoder must know beside the packets.
    """

    def __init__(self, name: str, samples: str, sample_rate: int, bit_rate: int):
        self._av = av = require("av", extra="formats")
        check_encoder(av, name)
        self._context = av.CodecContext.create(name, "w")
        self._context.sample_rate, self._context.bit_rate = sample_rate, bit_rate
        self._context.layout, self._context.format = "mono", samples
        self._context.time_base = Fraction(1, sample_rate)
        self._context.thread_count = 1
        self._context.open()
        self._sample_format, self._sample_rate = samples, sample_rate
        self._waiting = np.zeros(0, np.float32)
        self._num_encoded = self.num_samples = 0
        self.delay: int | None = None

    @property
    def config(self) -> bytes:
        return bytes(self._context.extradata or b"")

    def add(self, samples: Float[np.ndarray, " N"]) -> list[bytes]:
        self.num_samples += len(samples)
        waiting = np.concatenate([self._waiting, samples])
        size = self._context.frame_size
        whole = len(waiting) // size * size
        self._waiting = waiting[whole:]
        return [packet for frame in waiting[:whole].reshape(-1, size) for packet in self._encode(frame)]

    def finish(self) -> list[bytes]:
        packets = self._encode(self._waiting) if len(self._waiting) else []
        return packets + self._packets(None)

    def _encode(self, samples: Float[np.ndarray, " M"]) -> list[bytes]:
        frame = self._av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples)[None], format=self._sample_format, layout="mono"
        )
        frame.sample_rate, frame.pts = self._sample_rate, self._num_encoded
        frame.time_base = Fraction(1, self._sample_rate)
        self._num_encoded += len(samples)
        return self._packets(frame)

    def _packets(self, frame) -> list[bytes]:
        packets = self._context.encode(frame)
        if packets and self.delay is None:
            self.delay = -packets[0].pts
        return [bytes(packet) for packet in packets]


@functools.cache
def check_encoder(av: ModuleType, name: str) -> None:
    """PyAV's own wheels have all of them; one that is built against another FFmpeg may not.

    Raises:
        MissingExtraError: ENCODER_MISSING.
    """
    try:
        av.Codec(name, "w")
    except ValueError as error:  # UnknownCodecError
        raise MissingExtraError(
            f"this FFmpeg, which PyAV {av.__version__} uses, has no encoder {name}.",
            code="ENCODER_MISSING",
            hint="Install PyAV's wheel: pip install --force-reinstall --only-binary av 'resgen_tts[formats]'",
        ) from error


class Mp3Bytes:
    """An ID3 tag, a frame that tells the delay, and the frames of LAME at a constant bit rate."""

    def __init__(self, sample_rate: int, tags: Mapping[str, str], bit_rate: int):
        self._codec = _Codec("libmp3lame", "fltp", sample_rate, bit_rate)
        self._frame_samples = 1152 if sample_rate >= 32_000 else 576
        self._writer = f"Lavc{'.'.join(map(str, self._codec._av.library_versions['libavcodec'][:2]))}"
        self._head, self._first = id3_tags(tags), b""
        self._num_frames = self._num_bytes = 0
        self.patches: tuple[tuple[int, bytes], ...] = ()

    def add(self, samples: Float[np.ndarray, " N"]) -> bytes:
        return self._framed(self._codec.add(samples))

    def finish(self) -> bytes:
        data = self._framed(self._codec.finish())
        padding = self._num_frames * self._frame_samples - self._delay - self._codec.num_samples
        info = mp3_info_frame(
            self._first, delay=self._delay, writer=self._writer, padding=padding,
            num_frames=self._num_frames, num_bytes=self._num_bytes,
        )  # fmt: skip
        self.patches = ((len(self._head), info),)
        return data

    @property
    def _delay(self) -> int:
        assert self._codec.delay is not None
        return self._codec.delay - DECODER_DELAY

    def _framed(self, packets: list[bytes]) -> bytes:
        if not packets:
            return b""
        self._num_frames += len(packets)
        head, data = b"", b"".join(packets)
        if not self._first:
            self._first, head = packets[0], self._head
            data = mp3_info_frame(self._first, delay=self._delay, writer=self._writer) + data
        self._num_bytes += len(data)
        return head + data


class OpusBytes:
    """Opus in Ogg, in pages of 0.2 s. Head and tail that the encoder adds are marked, and decoders cut them off."""

    def __init__(self, sample_rate: int, tags: Mapping[str, str], bit_rate: int):
        self._codec = _Codec("libopus", "flt", sample_rate, bit_rate)
        self._clock = OPUS_HZ // sample_rate
        comments = b"OpusTags" + vorbis_tags(tags, "libopus")
        # Streams that are put one behind the other need numbers that differ; one of chance would make bytes differ.
        self._stream = OggStream(zlib.crc32(comments))
        self._head = self._stream.page([self._codec.config], 0) + self._stream.page([comments], 0)
        self._waiting: list[bytes] = []
        self._num_packets = 0
        self.patches: tuple[tuple[int, bytes], ...] = ()

    def add(self, samples: Float[np.ndarray, " N"]) -> bytes:
        self._waiting += self._codec.add(samples)
        return self._pages()

    def finish(self) -> bytes:
        self._waiting += self._codec.finish()
        data = self._pages()
        skipped = int.from_bytes(self._codec.config[10:12], "little")
        end = skipped + self._codec.num_samples * self._clock
        return data + self._stream.page(self._waiting, end, is_last=True)

    def _pages(self) -> bytes:
        """All pages but the last, which must be marked: one packet at least is kept for it."""
        data, self._head = self._head, b""
        while len(self._waiting) > _PAGE_PACKETS:
            packets, self._waiting = self._waiting[:_PAGE_PACKETS], self._waiting[_PAGE_PACKETS:]
            self._num_packets += _PAGE_PACKETS
            data += self._stream.page(packets, self._num_packets * OPUS_HZ // 50)
        return data


class AacBytes:
    """AAC-LC frames with ADTS headers, which have room for nothing else: no tags, no delay, no length."""

    def __init__(self, sample_rate: int, tags: Mapping[str, str], bit_rate: int):
        self._codec = _Codec("aac", "fltp", sample_rate, bit_rate)
        self._config = self._codec.config
        self.patches: tuple[tuple[int, bytes], ...] = ()

    def add(self, samples: Float[np.ndarray, " N"]) -> bytes:
        return self._framed(self._codec.add(samples))

    def finish(self) -> bytes:
        return self._framed(self._codec.finish())

    def _framed(self, packets: list[bytes]) -> bytes:
        return b"".join(adts_header(self._config, len(packet)) + packet for packet in packets)
