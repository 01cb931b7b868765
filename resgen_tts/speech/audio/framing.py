"""What stands around the frames of a codec: Ogg pages, the information frame of MP3, the header of ADTS.

Written here, and not by a library's writers: they need no file that can be gone back in, give each frame as soon as it
is there, and have no serial numbers of chance and no dates in them.

Sources: RFC 3533 (Ogg), RFC 7845 (Opus in it), ISO/IEC 13818-7 (ADTS), ISO/IEC 11172-3 (MP3's frame header).
"""

import functools
import struct

OPUS_HZ = 48_000
"""The clock of Opus, whatever the rate of the samples."""

DECODER_DELAY = 529
"""Samples by which a decoder of MP3 lags, by convention; the delay that the information frame tells is without it."""


class OggStream:
    """The pages of one stream of packets.

    Args:
        serial: number of the stream.
    """

    def __init__(self, serial: int):
        self._serial, self._num_pages = serial & 0xFFFFFFFF, 0

    def page(self, packets: list[bytes], granule: int, *, is_last: bool = False) -> bytes:
        """A page of whole packets.

        Args:
            granule: the clock at the end of the last of them.
        """
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
        assert len(lacing) <= 255, f"{len(packets)} packets of {sum(map(len, packets))} bytes fill more than a page"
        flags = 2 * (self._num_pages == 0) | 4 * is_last
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, self._serial, self._num_pages, 0, len(lacing))
        page = head + lacing + b"".join(packets)
        self._num_pages += 1
        return page[:22] + ogg_crc(page).to_bytes(4, "little") + page[26:]


def ogg_crc(data: bytes) -> int:
    """The checksum of a page whose own place for it holds zeros."""
    crc, table = 0, _ogg_table()
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ table[crc >> 24 ^ byte]
    return crc


@functools.cache
def _ogg_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        value <<= 24
        for _ in range(8):
            value = value << 1 ^ (0x104C11DB7 if value & 0x80000000 else 0)
        table.append(value)
    return tuple(table)


def mp3_info_frame(
    first: bytes, *, delay: int, writer: str, num_frames: int = 0, num_bytes: int = 0, padding: int = 0
) -> bytes:
    """A silent frame that tells a decoder what to cut off, before the first frame of the sound.

    Its length stays the same, so that it can be written first without the numbers, and again when they are known.

    Args:
        first: frame of the sound; mono, at a constant bit rate.
        delay: samples that the encoder put before the sound.
        writer: of the sound; nine characters are kept.
        num_frames, num_bytes: of the whole, where they are known: without this frame, and with it.
        padding: samples that the encoder put behind the sound.
    """
    is_mpeg1 = first[1] & 0x08 != 0
    size = len(first) - (first[2] >> 1 & 1)  # without the byte that evens out the bit rate
    frame = bytes([*first[:2], first[2] & ~0x02, first[3]]) + b"\0" * (17 if is_mpeg1 else 9)
    if num_frames:
        contents = bytes(256 * place // 100 for place in range(100))  # at a constant bit rate: a straight line
        frame += struct.pack(">4sIII100sI", b"Info", 0x0F, num_frames, num_bytes, contents, 0)
    else:
        frame += struct.pack(">4sI", b"Info", 0)
    assert 0 <= delay < 4096 and 0 <= padding < 4096, (delay, padding)
    frame += writer.encode("ascii")[:9].ljust(9) + b"\1" + b"\0" * 11  # 1: constant bit rate
    frame += (delay << 12 | padding).to_bytes(3, "big") + b"\0" * 4 + num_bytes.to_bytes(4, "big") + b"\0" * 2
    frame += _crc16(frame).to_bytes(2, "big")
    assert len(frame) <= size, f"frames of {size} bytes have no room for {len(frame)}"
    return frame.ljust(size, b"\0")


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def adts_header(config: bytes, num_bytes: int) -> bytes:
    """What stands before a frame of AAC.

    Args:
        config: AudioSpecificConfig of the encoder.
        num_bytes: of the frame.
    """
    kind, rate, channels = config[0] >> 3, (config[0] & 7) << 1 | config[1] >> 7, config[1] >> 3 & 15
    bits = 0xFFF1  # the mark; MPEG-4, no checksum
    for value, width in ((kind - 1, 2), (rate, 4), (0, 1), (channels, 3), (0, 4), (num_bytes + 7, 13), (0x7FF, 11)):
        bits = bits << width | value
    return (bits << 2).to_bytes(7, "big")  # one block of samples in the frame
