"""Six formats, written at once or piece by piece: the same bytes, and for two decoders the same speech."""

import importlib.util
import io
import itertools
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.errors import AudioError, ConfigError, MissingExtraError
from resgen_tts.speech.audio.av_write import check_encoder
from resgen_tts.speech.audio.encode import FORMATS, AudioEncoder, encode, format_for, open_audio_file, save_audio
from resgen_tts.speech.audio.load import load_audio
from resgen_tts.speech.audio.save import save_wav

RATE = 24_000
TAGS = {"software": "resgen_tts 0.1.0", "comment": '{"synthetic_speech": true, "seed": 7}'}
needs_av = pytest.mark.skipif(not importlib.util.find_spec("av"), reason="the extra formats (PyAV) is not installed")
EVERY = [pytest.param(name, marks=needs_av if one.extra else ()) for name, one in FORMATS.items()]
LOSSY = [pytest.param(name, marks=needs_av) for name, one in FORMATS.items() if not one.is_lossless]


def speech(seconds: float = 1.5, rate: int = RATE) -> np.ndarray:
    """Four syllables of a rising, buzzing voice with breath in it."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(110 + 40 * time / seconds) / rate
    voice = sum(np.sin(k * phase + k * k) / k for k in range(1, 25))
    breath = 0.2 * np.random.default_rng(0).standard_normal(len(time))
    loudness = np.sin(np.pi * 4 * time / seconds) ** 2
    return (0.12 * loudness * (voice + breath)).astype(np.float32)


def cut(samples: np.ndarray, places: list[int]) -> list[np.ndarray]:
    return np.split(samples, sorted(place % len(samples) for place in places))


def in_pieces(pieces: list[np.ndarray], format: str, rate: int = RATE, **options) -> tuple[list[bytes], AudioEncoder]:
    encoder = AudioEncoder(format, rate, TAGS, **options)
    return [*[encoder.add(piece) for piece in pieces], encoder.finish()], encoder


def by_sndfile(data: bytes, format: str, rate: int) -> np.ndarray:
    if format == "pcm":
        return np.frombuffer(data, "<i2") / 32767
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.samplerate, file.channels) == (rate, 1)
        return file.read() * (32768 / 32767 if FORMATS[format].is_lossless else 1)


def by_ffmpeg(data: bytes, format: str, rate: int) -> np.ndarray:
    import av

    with av.open(io.BytesIO(data), format={"opus": "ogg"}.get(format, format)) as file:
        frames = list(file.decode(audio=0))
    wave = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    wave = wave / 32767 if wave.dtype == np.int16 else wave
    return soxr.resample(wave, frames[0].sample_rate, rate)  # Opus is always decoded at 48 kHz


READERS = [
    pytest.param(format, decode, marks=needs_av if FORMATS[format].extra or decode is by_ffmpeg else ())
    for format, decode in itertools.product(FORMATS, (by_sndfile, by_ffmpeg))
    if (format, decode) not in (("aac", by_sndfile), ("pcm", by_ffmpeg))  # neither reads everything
]


def lag(decoded: np.ndarray, samples: np.ndarray) -> int:
    """Samples by which one is behind the other."""
    size = 1 << (len(decoded) + len(samples)).bit_length()
    match = np.fft.irfft(np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(samples, size)), size)
    place = int(np.argmax(match))
    return place - size if place > size // 2 else place


def spectral_distance_db(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference of the logarithms of the mel-like band energies of 32 ms frames that are not near silence."""

    def bands(wave: np.ndarray) -> np.ndarray:
        frames = np.lib.stride_tricks.sliding_window_view(wave, 768)[::384] * np.hanning(768)
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
        edges = np.unique(np.round(np.geomspace(4, 240, 25)).astype(int))  # 125 Hz to 7.5 kHz
        return 10 * np.log10(np.add.reduceat(power, edges, axis=1)[:, :-1] + 1e-6)

    first, second = bands(a), bands(b)
    is_loud = first > first.max() - 45
    return float(np.abs(first - second)[is_loud].mean())


@pytest.mark.parametrize("format", EVERY)
@settings(max_examples=12, deadline=None)
@given(places=st.lists(st.integers(0, 10**6), max_size=9), rate=st.sampled_from([RATE, 22_050]))
def test_any_division_gives_the_same_bytes(format, places, rate):
    wave = speech(0.7, rate)
    parts, encoder = in_pieces(cut(wave, places), format, rate)
    whole, _ = in_pieces([wave], format, rate)
    assert b"".join(parts) == b"".join(whole)
    file = bytearray(b"".join(parts))
    for offset, data in encoder.patches:
        file[offset : offset + len(data)] = data
    assert file == encode(wave, format, rate, TAGS)
    assert (encoder.num_samples, encoder.num_clipped) == (len(wave), 0)


@pytest.mark.parametrize(("format", "decode"), READERS)
def test_a_file_gives_back_the_speech_from_its_first_sample_to_its_last(format, decode):
    wave = speech()
    decoded = decode(encode(wave, format, RATE, TAGS), format, RATE)
    lead = 1024 if format == "aac" else 0  # ADTS cannot tell it
    assert lag(decoded, wave) == lead
    if format == "aac":
        assert 0 <= len(decoded) - lead - len(wave) < 1024
    else:
        assert len(decoded) == len(wave)
    decoded = decoded[lead : lead + len(wave)]
    if FORMATS[format].is_lossless:
        np.testing.assert_array_equal(np.round(decoded * 32767), np.round(wave * 32767))
    else:
        assert np.corrcoef(decoded, wave)[0, 1] > 0.99
        assert spectral_distance_db(wave, decoded) < 1.5


def test_the_distance_of_spectra_sees_what_a_codec_may_not_do():
    wave = speech()
    muffled = soxr.resample(soxr.resample(wave, RATE, 8000), 8000, RATE)[: len(wave)]
    noisy = wave + 0.01 * np.random.default_rng(1).standard_normal(len(wave))
    assert spectral_distance_db(wave, muffled) > 1.5 and spectral_distance_db(wave, noisy) > 1.5


@pytest.mark.parametrize(("rate", "format", "written"), [
    (22_050, "opus", 24_000), (44_100, "opus", 48_000), (96_000, "opus", 48_000), (16_000, "opus", 16_000),
    (22_050, "mp3", 22_050), (96_000, "mp3", 48_000), (44_100, "aac", 44_100), (44_100, "flac", 44_100),
    (16_000, "pcm", 24_000), (48_000, "pcm", 24_000), (22_050, "wav", 22_050),
])  # fmt: skip
def test_the_rate_of_a_file_is_one_that_its_format_has(rate, format, written):
    if FORMATS[format].extra:
        pytest.importorskip("av", reason="the extra formats (PyAV) is not installed")
    wave = speech(0.8, rate)
    data = encode(wave, format, rate)
    assert AudioEncoder(format, rate).output_rate == written
    decoded = (by_ffmpeg if format == "aac" else by_sndfile)(data, format, written)
    wanted = soxr.resample(wave, rate, written)
    lead = 1024 if format == "aac" else 0
    assert lag(decoded, wanted) == lead
    decoded = decoded[lead : lead + len(wanted)]
    assert np.corrcoef(decoded, wanted)[0, 1] > (0.9999 if FORMATS[format].is_lossless else 0.95)


@pytest.mark.parametrize("format", [one for one in EVERY if one.values[0] != "flac"])
def test_most_of_the_speech_is_out_before_its_end(format):
    """What lets a listener hear the first chunk while the second is made: at most 0.25 s are kept back."""
    wave = speech(2.0)
    assert FORMATS[format].comes_early
    data = AudioEncoder(format, RATE).add(wave)
    decoded = (by_sndfile if format == "pcm" else by_ffmpeg)(data, format, RATE)
    begun = lag(decoded, wave)
    assert len(decoded) - begun > 1.75 * RATE
    assert np.corrcoef(decoded[begun : begun + RATE], wave[:RATE])[0, 1] > 0.99
    encoder = AudioEncoder("flac", RATE)
    assert encoder.add(wave) == b"" and not FORMATS["flac"].comes_early


@needs_av
def test_an_mp3_from_a_pipe_begins_with_a_silence_of_two_frames_at_most():
    wave = speech()
    parts, _ = in_pieces([wave], "mp3")
    for decode in (by_sndfile, by_ffmpeg):
        assert 0 < lag(decode(b"".join(parts), "mp3", RATE), wave) <= 2 * 576


@pytest.mark.parametrize(("format", "rate"), [("wav", 24_000), ("flac", 24_000)])
def test_a_wave_from_a_pipe_is_read_to_its_end(tmp_path, format, rate):
    wave = speech()
    parts, _ = in_pieces(np.array_split(wave, 5), format)
    (tmp_path / "a").write_bytes(b"".join(parts))
    loaded = load_audio(tmp_path / "a", sample_rate=rate)
    assert np.abs(loaded.samples - wave).max() <= 1 / 32767 and not loaded.warnings


def test_a_wave_is_what_libsndfile_writes(tmp_path):
    wave = speech(0.2)
    save_wav(tmp_path / "a.wav", wave, RATE)
    assert encode(wave, "wav", RATE) == (tmp_path / "a.wav").read_bytes()
    size = struct.unpack("<I", encode(wave, "wav", RATE, TAGS)[4:8])[0]
    assert size == len(encode(wave, "wav", RATE, TAGS)) - 8


@needs_av
def test_streams_of_opus_differ_in_number_and_not_from_one_time_to_the_next():
    wave = speech(0.3)
    one, other = encode(wave, "opus", RATE, TAGS), encode(wave, "opus", RATE, TAGS | {"comment": "another"})
    assert one == encode(wave, "opus", RATE, TAGS) and one[14:18] != other[14:18]
    flags, place = [], 0
    while place < len(one):
        assert one[place : place + 4] == b"OggS"
        flags.append(one[place + 5])
        count = one[place + 26]
        place += 27 + count + sum(one[place + 27 : place + 27 + count])
    assert flags == [2, 0, *[0] * (len(flags) - 3), 4]  # the first and the last page are marked


@pytest.mark.parametrize("format", LOSSY)
@pytest.mark.parametrize("num_samples", [1, 2, 479, 481, 576, 1024, 1025])
def test_speech_of_a_few_samples_can_be_written(format, num_samples):
    data = encode(speech()[:num_samples], format, RATE)
    assert len(by_ffmpeg(data, format, RATE)) >= num_samples
    if format != "aac":
        assert len(by_sndfile(data, format, RATE)) == num_samples


@pytest.mark.parametrize("format", EVERY)
def test_what_is_too_loud_is_cut_off_and_told(format):
    wave = 12 * speech()
    num_loud = int((np.abs(wave) > 1 + 0.5 / 32767).sum())
    _, encoder = in_pieces(np.array_split(wave, 3), format)
    assert encoder.num_clipped == num_loud > 1000
    assert encoder.warnings[0].startswith(f"AUDIO_CLIPPED: {num_loud} of {len(wave)} ")
    assert encode(wave, format, RATE, TAGS) == encode(np.clip(wave, -1, 1), format, RATE, TAGS)


@pytest.mark.parametrize("format", EVERY)
def test_what_cannot_be_sound_is_refused(format):
    encoder = AudioEncoder(format, RATE, name="a.out")
    with pytest.raises(AudioError, match=r"AUDIO_NONFINITE: a\.out"):
        encoder.add(np.array([0.1, np.nan], np.float32))
    with pytest.raises(AudioError, match=r"AUDIO_NO_SAMPLES: a\.out"):
        encoder.finish()
    with pytest.raises(AudioError, match="AUDIO_NO_SAMPLES"):
        encode(np.zeros(0, np.float32), format, RATE)


@pytest.mark.parametrize(("format", "rate"), [
    ("mp3", 96_000), ("opus", 22_050), ("aac", 7350), ("wav", 0), ("flac", 384_000),
])  # fmt: skip
def test_a_rate_that_a_format_cannot_have_is_refused(format, rate):
    with pytest.raises(ConfigError, match=f"OUTPUT_RATE: {format} cannot have {rate} Hz") as caught:
        AudioEncoder(format, RATE, output_rate=rate)
    assert caught.value.hint


def test_tags_that_not_every_format_could_hold_are_a_fault_of_the_program():
    for tags in ({"title": "a"}, {"comment": "a" * 10_000}, {"comment": "a\0b"}):
        with pytest.raises(ValueError, match="tag"):
            AudioEncoder("wav", RATE, tags)


@pytest.mark.parametrize("format", [name for name, one in FORMATS.items() if one.extra])
def test_a_format_without_its_library_names_what_to_install(format, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"EXTRA_MISSING: av is not installed.*resgen_tts\[formats\]"):
        AudioEncoder(format, RATE)


@needs_av
def test_a_library_without_an_encoder_is_told():
    import av

    with pytest.raises(MissingExtraError, match=r"ENCODER_MISSING: this FFmpeg.* has no encoder libnothing"):
        check_encoder(av, "libnothing")


@pytest.mark.parametrize(("path", "format", "chosen"), [
    (None, None, "wav"), ("-", None, "wav"), ("-", "mp3", "mp3"), ("take", None, "wav"), ("take", "opus", "opus"),
    ("a.WAV", None, "wav"), ("a.flac", "flac", "flac"), ("a.ogg", None, "opus"), ("a.raw", None, "pcm"),
    ("v1.2/a.mp3", None, "mp3"), ("a.mp3", "wav", None), ("a.wma", None, None), ("a.wma", "mp3", None),
    (None, "ogg", None),
])  # fmt: skip
def test_the_format_is_what_is_asked_for_and_what_the_name_says(path, format, chosen):
    path = None if path is None else Path(path)
    if chosen is not None:
        assert format_for(path, format) == chosen
        return
    with pytest.raises(ConfigError) as caught:
        format_for(path, format)
    assert caught.value.code == "OUTPUT_FORMAT" and caught.value.hint


@pytest.mark.parametrize("format", EVERY)
def test_a_file_that_is_written_while_it_is_made_appears_whole(tmp_path, format):
    wave, path = speech(0.5), tmp_path / f"a{FORMATS[format].suffixes[0]}"
    with open_audio_file(path, None, RATE, TAGS) as file:
        for piece in np.array_split(wave, 4):
            file.write(piece)
        assert not path.exists()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == encode(wave, format, RATE, TAGS)
    assert (file.num_samples, file.seconds) == (len(wave), 0.5)
    codes = [note.split(":")[0] for note in file.warnings]
    assert codes == ([] if FORMATS[format].has_tags else ["TAGS_NOT_CARRIED"])
    assert save_audio(tmp_path / "b", wave, RATE, format, TAGS) == file.warnings
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("pieces", [[], [np.zeros(10, np.float32), np.array([np.inf], np.float32)]])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_what_cannot_be_kept_leaves_the_older_file(tmp_path, suffix, pieces):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"before")
    with pytest.raises(AudioError), open_audio_file(path, None, RATE) as file:
        for piece in pieces:
            file.write(piece)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"before"]


def test_a_stop_leaves_nothing_and_a_place_that_is_none_is_told(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_audio_file(tmp_path / "a.wav", None, RATE) as file:
        file.write(speech(0.1))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="OUTPUT_NOT_WRITABLE"), open_audio_file(tmp_path / "no/a.wav", None, RATE):
        pass


def test_an_open_file_gets_a_head_that_knows_the_length_and_a_pipe_does_not_wait(tmp_path):
    wave = speech(0.2)
    streamed = b"".join(in_pieces([wave], "wav")[0])
    whole = encode(wave, "wav", RATE, TAGS)
    assert streamed != whole and streamed[-1000:] == whole[-1000:]

    def written(file) -> None:
        with open_audio_file(file, "wav", RATE, TAGS, name="standard output") as target:
            target.write(wave)
        assert not file.closed

    (tmp_path / "a").write_bytes(b"first ")
    with open(tmp_path / "a", "r+b") as file:
        file.seek(6)
        written(file)
        file.write(b" last")
    assert (tmp_path / "a").read_bytes() == b"first " + whole + b" last"
    with open(tmp_path / "b", "ab") as file:  # as a shell opens it for >>: every write goes to the end
        written(file)
    assert (tmp_path / "b").read_bytes() == streamed
    memory = io.BytesIO()
    written(memory)
    assert memory.getvalue() == whole

    reading, writing = os.pipe()
    with open(reading, "rb") as source, open(writing, "wb") as pipe:
        with open_audio_file(pipe, "wav", RATE, TAGS) as target:
            target.write(wave)
            early = source.read(5000)  # more would be waited for
        pipe.close()
        assert early + source.read() == streamed
