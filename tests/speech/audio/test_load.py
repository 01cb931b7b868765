"""The loader refuses what it must, with the right code, and warns about what it repairs."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.speech.audio import checks
from resgen_tts.speech.audio.container import ogg_is_cut_short, sniff, wav_is_cut_short
from resgen_tts.speech.audio.load import AudioLimits, load_audio, load_reference, shown_name
from resgen_tts.speech.audio.save import save_wav

RATE = 16000


def voice(seconds: float, rate: int = RATE, peak: float = 0.5) -> np.ndarray:
    """A buzz with harmonics and some noise, so that it fills its band like speech."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * time + k * k) / k for k in range(1, int(rate / 2 / 120)))
    wave = buzz + 0.05 * np.random.default_rng(0).standard_normal(len(time))
    return (peak * wave / np.abs(wave).max()).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **options) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def code_of(path, **options) -> str:
    with pytest.raises(AudioError) as caught:
        load_audio(path, sample_rate=RATE, **options)
    assert "\n" not in str(caught.value)
    return caught.value.code


def warned(loaded) -> list[str]:
    return [warning.split(":")[0] for warning in loaded.warnings]


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


def test_resampling_keeps_pitch_level_and_length(tmp_path):
    time = np.arange(44100) / 44100
    path = write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time) + 0.01 * voice(1.0, 44100), 44100)
    loaded = load_audio(path, sample_rate=RATE)
    assert len(loaded.samples) == RATE
    assert np.abs(np.fft.rfft(loaded.samples)).argmax() == 440
    assert abs(np.sqrt(np.mean(loaded.samples**2)) - 0.5 / np.sqrt(2)) < 0.01


def test_codes_of_the_directory_entry(tmp_path):
    good = write(tmp_path / "good.wav", voice(1.5))
    assert code_of(tmp_path / "absent.wav") == "AUDIO_NOT_FOUND"
    assert code_of(tmp_path / "good.wav" / "below") == "AUDIO_NOT_FOUND"
    assert code_of("a\0b.wav") == "AUDIO_NOT_FOUND"
    assert code_of(tmp_path / ("x" * 300)) == "AUDIO_NOT_FOUND"
    assert code_of(tmp_path) == "AUDIO_NOT_A_FILE"
    os.mkfifo(tmp_path / "pipe.wav")
    assert code_of(tmp_path / "pipe.wav") == "AUDIO_NOT_A_FILE"  # and does not wait for a writer
    (tmp_path / "link.wav").symlink_to(good)
    assert code_of(tmp_path / "link.wav") == "AUDIO_NOT_A_FILE"
    assert load_audio(tmp_path / "link.wav", sample_rate=RATE, limits=AudioLimits(follow_links=True)).seconds == 1.5
    (tmp_path / "empty.wav").touch()
    assert code_of(tmp_path / "empty.wav") == "AUDIO_EMPTY"
    assert code_of(good, limits=AudioLimits(max_bytes=1000)) == "AUDIO_TOO_LARGE"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = write(tmp_path / "a.wav", voice(1.0))
    path.chmod(0)
    assert code_of(path) == "AUDIO_PERMISSION"


def test_permission_error_has_its_code(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", voice(1.0))

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert code_of(path) == "AUDIO_PERMISSION"
    monkeypatch.setattr(os, "lstat", refuse)
    assert code_of(path) == "AUDIO_PERMISSION"


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
        (b"\x00\x00\x00\x20ftypM4A \x00\x00", "AUDIO_FORMAT_UNSUPPORTED", "M4A"),
        (b"\x1aE\xdf\xa3\x9f", "AUDIO_FORMAT_UNSUPPORTED", "WebM"),
        (b"\xff\xf1\x50\x80\x00", "AUDIO_FORMAT_UNSUPPORTED", "AAC"),
        (b"#!AMR\n", "AUDIO_FORMAT_UNSUPPORTED", "AMR"),
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


def test_codes_of_the_header(tmp_path):
    assert code_of(write(tmp_path / "slow.wav", voice(1.0, 8000), 4000)) == "AUDIO_SAMPLE_RATE"
    assert code_of(write(tmp_path / "fast.wav", voice(1.0), 200_000)) == "AUDIO_SAMPLE_RATE"
    assert code_of(write(tmp_path / "many.wav", np.tile(voice(1.0)[:, None], 9))) == "AUDIO_CHANNELS"
    assert code_of(write(tmp_path / "none.wav", np.zeros(0))) == "AUDIO_NO_SAMPLES"
    path = write(tmp_path / "long.wav", voice(2.0))
    assert code_of(path, limits=AudioLimits(max_seconds=1.9)) == "AUDIO_TOO_LONG"
    assert code_of(path, limits=AudioLimits(max_decoded_bytes=1000)) == "AUDIO_TOO_LARGE"
    assert code_of(path, limits=AudioLimits(max_wall_seconds=1e-9)) == "AUDIO_TOO_LARGE"


def test_ten_minutes_of_silence_in_a_small_file_is_refused_unread(tmp_path):
    path = write(tmp_path / "bomb.flac", np.zeros(601 * 8000, np.int16), 8000)
    assert path.stat().st_size < 100_000
    assert code_of(path) == "AUDIO_TOO_LONG"


def test_codes_of_the_samples(tmp_path):
    wave = voice(1.0)
    for value, code in ((np.nan, "AUDIO_NONFINITE"), (-np.inf, "AUDIO_NONFINITE"), (30000.0, "AUDIO_OUT_OF_RANGE")):
        bad = wave.copy()
        bad[777] = value
        assert code_of(write(tmp_path / "a.wav", bad, subtype="FLOAT")) == code
    assert code_of(write(tmp_path / "a.wav", np.zeros(RATE))) == "AUDIO_SILENT"
    assert code_of(write(tmp_path / "a.wav", 1e-5 * wave, subtype="FLOAT")) == "AUDIO_SILENT"


def test_a_loud_float_file_is_scaled_and_said_so(tmp_path):
    loaded = load_audio(write(tmp_path / "a.wav", voice(1.0, peak=2.5), subtype="FLOAT"), sample_rate=RATE)
    assert warned(loaded) == ["AUDIO_OUT_OF_RANGE"]
    np.testing.assert_allclose(loaded.samples, voice(1.0, peak=1.0), atol=1e-6)


def test_clipping_offset_bandwidth_and_ending_are_warned_about(tmp_path):
    sine = 3 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE) + 0.1 * voice(1.0)
    assert warned(load_audio(write(tmp_path / "a.wav", np.clip(sine, -1, 1)), sample_rate=RATE)) == ["AUDIO_CLIPPED"]
    offset = load_audio(write(tmp_path / "a.wav", voice(1.0) + 0.1), sample_rate=RATE)
    assert warned(offset) == ["AUDIO_DC_OFFSET"] and abs(offset.samples.mean()) < 1e-6
    narrow = load_audio(write(tmp_path / "a.wav", voice(1.0, 8000), 8000), sample_rate=RATE)
    assert warned(narrow) == ["AUDIO_LOW_BANDWIDTH"] and len(narrow.samples) == RATE
    upsampled = write(tmp_path / "b.wav", narrow.samples, subtype="FLOAT")
    assert warned(load_audio(upsampled, sample_rate=RATE)) == ["AUDIO_LOW_BANDWIDTH"]
    write(tmp_path / "a.flac", voice(1.0)).rename(tmp_path / "c.wav")
    assert warned(load_audio(tmp_path / "c.wav", sample_rate=RATE)) == ["AUDIO_EXTENSION"]


def test_channels_are_mixed_unless_they_cancel(tmp_path):
    wave = voice(1.0)
    both = load_audio(write(tmp_path / "a.wav", np.stack([wave, 0.5 * wave], 1), subtype="FLOAT"), sample_rate=RATE)
    np.testing.assert_allclose(both.samples, 0.75 * wave, atol=1e-6)
    assert both.warnings == ()
    against = write(tmp_path / "a.wav", np.stack([0.9 * wave, -wave], 1), subtype="FLOAT")
    loaded = load_audio(against, sample_rate=RATE)
    assert warned(loaded) == ["AUDIO_PHASE_CANCEL"]
    np.testing.assert_allclose(loaded.samples, -wave, atol=1e-6)
    one_sided = write(tmp_path / "a.wav", np.stack([wave, np.zeros_like(wave)], 1), subtype="FLOAT")
    assert load_audio(one_sided, sample_rate=RATE).warnings == ()


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


def test_sizes_of_streams_are_not_cut_short():
    assert not wav_is_cut_short(b"RIFF\xff\xff\xff\xffWAVE", 1000)
    assert not wav_is_cut_short(b"RIFF\x00\x00\x00\x00WAVE", 1000)
    assert not wav_is_cut_short(b"RIFF" + (992).to_bytes(4, "little") + b"WAVE", 1000)
    assert wav_is_cut_short(b"RIFF" + (2000).to_bytes(4, "little") + b"WAVE", 1000)
    assert ogg_is_cut_short(b"OggS\x00\x00" + bytes(20)) and not ogg_is_cut_short(b"OggS\x00\x04" + bytes(20))
    assert ogg_is_cut_short(b"")


@pytest.mark.parametrize(
    "name",
    [
        "my voice.wav",
        'it\'s "me".wav',
        "line\nbreak.wav",
        "-n.wav",
        "$(echo hi).wav",
        "`id`;.wav",
        "日本.wav",
        "a%s.wav",
    ],
)
def test_odd_names_are_plain_names(tmp_path, name):
    write(tmp_path / "plain.wav", voice(1.0)).rename(tmp_path / name)
    assert load_audio(tmp_path / name, sample_rate=RATE).seconds == 1.0
    (tmp_path / name).write_bytes(b"no audio")
    assert code_of(tmp_path / name) == "AUDIO_NOT_AUDIO"


def test_a_name_that_is_not_utf8(tmp_path):
    odd = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    os.rename(write(tmp_path / "plain.wav", voice(1.0)), odd)
    assert load_audio(os.fsdecode(odd), sample_rate=RATE).seconds == 1.0
    assert shown_name(odd) == "caf\\xe9.wav"


def test_references_by_length(tmp_path):
    def reference(seconds: float):
        return load_reference(write(tmp_path / "me.wav", voice(seconds)), sample_rate=RATE)

    with pytest.raises(AudioError, match=r"me\.wav is 0\.40 s; a reference needs at least 1 s") as caught:
        reference(0.4)
    assert caught.value.code == "AUDIO_TOO_SHORT"
    assert warned(reference(1.5)) == ["AUDIO_SHORT"]
    assert reference(3.0).warnings == () and reference(30.0).warnings == ()


def test_a_long_reference_is_not_cut_without_its_text(tmp_path):
    """Its transcript would go on: it is left whole where both will be cut, and refused elsewhere."""
    rate = 8000
    path = write(tmp_path / "me.wav", np.resize(voice(5.0, rate), 40 * rate), rate)
    assert load_reference(path, sample_rate=rate).seconds == 40.0
    with pytest.raises(AudioError, match=r"AUDIO_TOO_LONG: me\.wav is 40\.0 s.*30 s.*--no-hygiene"):
        load_reference(path, sample_rate=rate, is_cut=False)
    path = write(tmp_path / "me.wav", np.resize(voice(5.0, rate), 121 * rate), rate)
    with pytest.raises(AudioError, match=r"AUDIO_TOO_LONG: me\.wav is 121\.0 s.*120 s.*Pass a part"):
        load_reference(path, sample_rate=rate)


def test_saved_is_loaded_again(tmp_path):
    wave = voice(1.0)
    save_wav(tmp_path / "out.wav", wave, RATE)
    assert soundfile.info(tmp_path / "out.wav").subtype == "PCM_16"
    assert np.abs(load_audio(tmp_path / "out.wav", sample_rate=RATE).samples - wave).max() <= 1 / 32767
    save_wav(tmp_path / "out.wav", 2 * wave, RATE)  # replaces, clips
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0]).max() <= 1
    assert stat.S_ISREG(os.lstat(tmp_path / "out.wav").st_mode) and os.listdir(tmp_path) == ["out.wav"]


@pytest.mark.parametrize(
    ("samples", "code"),
    [([0.1, np.nan], "AUDIO_NONFINITE"), ([0.1, np.inf], "AUDIO_NONFINITE"), ([], "AUDIO_NO_SAMPLES")],
)
def test_saving_nonsense_leaves_nothing(tmp_path, samples, code):
    with pytest.raises(AudioError) as caught:
        save_wav(tmp_path / "out.wav", np.array(samples, np.float32), RATE)
    assert caught.value.code == code and not os.listdir(tmp_path)


def test_speech_span_finds_the_speech_and_not_a_click():
    wave = np.full(3 * RATE, 1e-4, np.float32)
    wave[RATE : 2 * RATE] = voice(1.0)
    wave[RATE // 4] = 0.5  # one sample: a click
    start, stop = checks.speech_span(wave, RATE, keep_seconds=0.1)
    assert abs(start - 0.9 * RATE) <= 0.02 * RATE and abs(stop - 2.1 * RATE) <= 0.02 * RATE
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)
    assert checks.speech_span(noise, RATE) == (0, RATE)
    assert checks.speech_span(noise[:100], RATE) == (0, 100)
    clicks = np.zeros(RATE, np.float32)
    clicks[::800] = 0.5  # nothing lasts 30 ms
    assert checks.speech_span(clicks, RATE) == (0, RATE)


def test_a_word_in_a_long_silence_is_found():
    wave = np.zeros(6 * RATE, np.float32)
    wave[3 * RATE : int(3.2 * RATE)] = voice(0.2)
    start, stop = checks.speech_span(wave, RATE, keep_seconds=0.1)
    assert abs(start - 2.9 * RATE) <= 0.02 * RATE and abs(stop - 3.3 * RATE) <= 0.02 * RATE


def test_limits_refuse_nonsense():
    with pytest.raises(ConfigError, match="max_bytes"):
        AudioLimits(max_bytes=0)
    with pytest.raises(ConfigError, match="min_rate"):
        AudioLimits(min_rate=48000, max_rate=16000)
