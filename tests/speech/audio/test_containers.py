"""Every container is told by its first bytes, read by the decoder for it, and noticed when a part of it is missing."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.container import is_cut_short, sniff
from resgen_tts.speech.audio.load import AudioLimits, load_audio
from tests.speech.audio.outcomes import RATE, code_of, voice, warned, write
from tests.speech.audio.sound_files import chunk, encoded, encoded_by_ffmpeg, pcm16, wav, wav_format


@pytest.mark.parametrize(
    ("suffix", "options", "rate", "error"),
    [
        (".wav", {"subtype": "PCM_16"}, 16000, 1e-4),
        (".wav", {"subtype": "PCM_24"}, 16000, 1e-6),
        (".wav", {"subtype": "FLOAT"}, 16000, 1e-7),
        (".wav", {"subtype": "ULAW"}, 16000, 0.03),
        (".flac", {}, 16000, 1e-4),
        (".aiff", {}, 16000, 1e-4),
        (".ogg", {"subtype": "VORBIS"}, 16000, None),
        (".opus", {"format": "OGG", "subtype": "OPUS"}, 48000, None),
        (".mp3", {}, 24000, None),
    ],
)
def test_every_format_gives_back_the_sound(tmp_path, suffix, options, rate, error):
    wave = voice(2.0, rate)
    loaded = load_audio(write(tmp_path / f"a{suffix}", wave, rate, **options), sample_rate=rate)
    assert loaded.samples.dtype == np.float32 and loaded.samples.ndim == 1
    assert abs(loaded.seconds - 2.0) < 0.1 and loaded.warnings == ()
    if error is not None:
        assert np.abs(loaded.samples - wave).max() < error
    else:  # lossy: the spectrum stays
        middle = slice(rate // 2, rate)
        before, after = (np.abs(np.fft.rfft(signal[middle])) for signal in (wave, loaded.samples))
        assert np.corrcoef(before, after)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("kind", "codec", "error"),
    [("ipod", "aac", None), ("ipod", "alac", 1e-4), ("mov", "pcm_s16le", 1e-4), ("mov", "pcm_s24le", 1e-4),
     ("mov", "pcm_u8", 0.01), ("matroska", "pcm_f32le", 1e-4), ("webm", "libopus", None), ("matroska", "flac", 1e-4),
     ("caf", "pcm_s32be", 1e-4)],
)  # fmt: skip
def test_formats_of_the_extra_give_back_the_sound(tmp_path, kind, codec, error):
    """In their place, too: what an encoder puts before the sound is taken out."""
    pytest.importorskip("av", reason="the extra `formats` is not installed")
    wave = voice(2.0, 24_000)
    both = np.stack([wave, 0.5 * wave], 1)
    for samples, level in ((wave, 1.0), (both, 0.75)):
        (tmp_path / "a").write_bytes(encoded_by_ffmpeg(samples, kind, codec, 24_000))
        loaded = load_audio(tmp_path / "a", sample_rate=24_000)
        assert loaded.warnings == () and abs(loaded.seconds - 2.0) < 0.03
        got = loaded.samples[: len(wave)]
        if error is not None:
            assert np.abs(got - level * wave).max() < error
        assert np.corrcoef(got, wave[: len(got)])[0, 1] > 0.9


def test_without_the_extra_its_formats_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.m4a").write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(50))
    with pytest.raises(AudioError, match=r"a\.m4a is MP4.*resgen_tts\[formats\].*WAV") as caught:
        load_audio(tmp_path / "a.m4a", sample_rate=RATE)
    assert caught.value.code == "AUDIO_FORMAT_UNSUPPORTED"


def test_ffmpeg_is_given_no_playlist_and_no_address(tmp_path):
    """A Matroska mark in front of a list of files does not make FFmpeg open one of them."""
    pytest.importorskip("av", reason="the extra `formats` is not installed")
    write(tmp_path / "secret.wav", voice(2.0))
    for head in (b"\x1aE\xdf\xa3", b"\0\0\0\x08wide", b"caff"):
        for text in (b"ffconcat version 1.0\nfile secret.wav\n", b"#EXTM3U\n#EXTINF:2\nsecret.wav\n"):
            (tmp_path / "a.webm").write_bytes(head + b"\n" + text)
            assert code_of(tmp_path / "a.webm") in ("AUDIO_CORRUPT", "AUDIO_NO_SAMPLES")


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (b"hello, this is my voice", "AUDIO_NOT_AUDIO", "text file"),
        (b"\n <!DOCTYPE html><html>404", "AUDIO_NOT_AUDIO", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "AUDIO_NOT_AUDIO", "LFS"),
        (b"PK\x03\x04rest", "AUDIO_NOT_AUDIO", "zip"),
        (b"#EXTM3U\nhttp://example.org/a.mp3", "AUDIO_NOT_AUDIO", "playlist"),
        (b"[playlist]\nFile1=a.mp3", "AUDIO_NOT_AUDIO", "playlist"),
        (b"\x89PNG\r\n\x1a\n", "AUDIO_NOT_AUDIO", "picture"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "AUDIO_NOT_AUDIO", "JPEG"),
        (b"\x00\x01\x02\x03" * 20, "AUDIO_NOT_AUDIO", "known"),
        (b"wvpk\x00\x00\x00\x00", "AUDIO_FORMAT_UNSUPPORTED", "WavPack"),
        (b"OggS\x00\x02" + bytes(20) + b"\x01\x50Speex   ", "AUDIO_FORMAT_UNSUPPORTED", "Speex"),
        (b"fLaC" + bytes(60), "AUDIO_CORRUPT", "FLAC"),
        (b"OggS" + bytes(60), "AUDIO_CORRUPT", "OGG"),
        (b"RIFF\x40\x00\x00\x00WAVEfmt " + bytes(50), "AUDIO_CORRUPT", "WAV"),
    ],
)
def test_what_is_no_audio_is_named(tmp_path, content, code, word):
    path = tmp_path / "me.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=word) as caught:
        load_audio(path, sample_rate=RATE)
    assert caught.value.code == code and "me.wav" in str(caught.value)


def test_mpeg_header_is_told_from_other_bytes():
    assert sniff(b"\xff\xfb\x90\x64" + bytes(60), "a") == "MP3"  # layer III, 128 kbit/s, 44.1 kHz
    with pytest.raises(AudioError, match="known"):
        sniff(b"\xff\xfb\xf0\x64" + bytes(60), "a")  # a bit rate that does not exist


@pytest.mark.parametrize(
    ("suffix", "options"), [(".wav", {}), (".flac", {}), (".ogg", {"subtype": "VORBIS"}), (".mp3", {})]
)
def test_a_file_that_was_cut_off_is_noticed(tmp_path, suffix, options):
    path = write(tmp_path / f"a{suffix}", voice(3.0, 24000), 24000, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    try:
        loaded = load_audio(path, sample_rate=24000)
    except AudioError as error:
        assert error.code == "AUDIO_CORRUPT"  # the decoder gave up
    else:
        assert "AUDIO_TRUNCATED" in warned(loaded) and 0.5 < loaded.seconds < 2.5


@pytest.mark.parametrize(
    ("announced", "is_cut"), [(None, False), (0xFFFFFFFF, False), (0x7FFFF000, False), (65_000, True)]
)
def test_sizes_of_streams_are_not_cut_short(tmp_path, announced, is_cut):
    data = chunk(b"data", pcm16(voice(2.0)), announced)
    path = tmp_path / "a.wav"
    path.write_bytes(wav([chunk(b"note", b"odd"), chunk(b"fmt ", wav_format(rate=RATE)), data], announced=0xFFFFFFFF))
    with open(path, "rb", buffering=0) as file:
        assert is_cut_short(file, "WAV") == is_cut


@pytest.mark.parametrize("format", ["RF64", "W64", "AIFF", "CAF", "OGG"])
def test_a_file_is_cut_short_by_its_own_sizes(tmp_path, format):
    path, whole = tmp_path / "a", encoded(voice(2.0), RATE, format)
    container = {"RF64": "WAV", "W64": "WAV", "CAF": "Core Audio"}.get(format, format)
    for content, is_cut in ((whole, False), (whole[:-1000], True), (whole[:-20], True)):
        path.write_bytes(content)
        with open(path, "rb", buffering=0) as file:
            assert is_cut_short(file, container) == is_cut


def test_a_size_beyond_all_files_is_no_place_to_look(tmp_path):
    """Found by fuzzing: the system refuses to go there."""
    path = tmp_path / "a"
    for head, container in ((b"caff\0\1\0\0desc" + b"\x7f" * 8, "Core Audio"), (_wave64_of(2**63), "WAV")):
        path.write_bytes(head + bytes(64))
        with open(path, "rb", buffering=0) as file:
            assert not is_cut_short(file, container)


def _wave64_of(announced: int) -> bytes:
    return encoded(np.zeros(0), RATE, "W64")[:40] + b"junk" + bytes(12) + announced.to_bytes(8, "little")


def test_an_mp3_that_does_not_count_is_not_called_cut_off(tmp_path):
    """What a decoder takes for its length is a guess from the bit rate of its first frames: here thrice as much."""
    quiet_first = np.concatenate([np.zeros(5 * 24_000, np.float32), voice(5.0, 24_000)])
    mp3 = encoded(quiet_first, 24_000, "MP3", bitrate_mode="VARIABLE", compression_level=0.3)
    path = tmp_path / "a.mp3"
    path.write_bytes(mp3[mp3.index(b"\xff\xf3", 4) :])
    with soundfile.SoundFile(path) as source:
        assert source.frames > 20 * 24_000
    loaded = load_audio(path, sample_rate=24_000, limits=AudioLimits(max_seconds=15.0))
    assert loaded.warnings == () and abs(loaded.seconds - 10) < 0.2


def test_the_mp3_decoder_does_not_talk(tmp_path):
    """In a process with one thread: where there are others, what they say must not be lost."""
    path = tmp_path / "a.mp3"
    path.write_bytes(encoded(voice(2.0, 24_000), 24_000, "MP3")[:6000])
    code = (
        "import os, sys; from resgen_tts.speech.audio.load import load_audio; "
        "print(load_audio(sys.argv[1], sample_rate=24_000).warnings[0][:15]); os.write(2, b'heard')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("AUDIO_TRUNCATED\n", "heard")  # afterwards others are heard again
