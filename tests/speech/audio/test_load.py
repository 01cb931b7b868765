"""The loader refuses what it must, with the right code, and warns about what it repairs."""

import os
import stat

import numpy as np
import pytest
import soundfile

from resgen_tts.common.errors import AudioError, ConfigError
from resgen_tts.speech.audio import checks
from resgen_tts.speech.audio.limits import Gathered
from resgen_tts.speech.audio.load import AudioLimits, check_recording, load_audio, load_reference, shown_name
from resgen_tts.speech.audio.save import save_wav
from tests.speech.audio.outcomes import RATE, code_of, voice, warned, write


def test_samples_are_gathered_whatever_was_announced():
    """Blocks beyond the announced length, and less than it; the array is grown in place."""
    rng = np.random.default_rng(0)
    blocks = [rng.uniform(-1, 1, (size, 2)).astype(np.float32) for size in (7, 100_000, 1)]
    for frames in (0, 50, 200_000):
        gathered = Gathered(rate=RATE, channels=2, frames=frames, name="a", limits=AudioLimits())
        for block in blocks:
            gathered.add(block)
        assert np.array_equal(gathered.samples(), np.concatenate(blocks))


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


def test_codes_of_the_header(tmp_path):
    assert code_of(write(tmp_path / "slow.wav", voice(1.0, 8000), 4000)) == "AUDIO_SAMPLE_RATE"
    assert code_of(write(tmp_path / "fast.wav", voice(1.0), 200_000)) == "AUDIO_SAMPLE_RATE"
    assert code_of(write(tmp_path / "many.wav", np.tile(voice(1.0)[:, None], 9))) == "AUDIO_CHANNELS"
    assert code_of(write(tmp_path / "none.wav", np.zeros(0))) == "AUDIO_NO_SAMPLES"
    path = write(tmp_path / "long.wav", voice(2.0))
    assert code_of(path, limits=AudioLimits(max_seconds=1.9)) == "AUDIO_TOO_LONG"
    assert code_of(path, limits=AudioLimits(max_decoded_bytes=1000)) == "AUDIO_TOO_LARGE"
    assert code_of(path, limits=AudioLimits(max_wall_seconds=1e-9)) == "AUDIO_TOO_LARGE"


def test_what_is_no_recording_is_told_before_it_is_decoded(tmp_path):
    check_recording(write(tmp_path / "good.wav", voice(0.2)))
    (tmp_path / "page.wav").write_bytes(b"<html>")
    (tmp_path / "header.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    check_recording(tmp_path / "header.wav")  # what is wrong with it the decoder tells
    for name in ("page.wav", "none.wav"):
        with pytest.raises(AudioError) as early:
            check_recording(tmp_path / name)
        assert early.value.code == code_of(tmp_path / name)


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
    assert code_of(write(tmp_path / "a.wav", np.full(RATE, 0.3))) == "AUDIO_SILENT"  # nothing but an offset


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


def test_clipping_is_counted_across_blocks(monkeypatch):
    """The blocks that bound memory do not show: runs that cross their borders count once, and whole."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        wave = np.where(rng.random(60) < 0.6, 1.0, 0.1).astype(np.float32)
        runs = [len(run) for run in "".join("x" if level == 1 else " " for level in wave).split()]
        for share in (0.3, 0.4, 0.5):
            monkeypatch.setattr(checks, "CLIPPED_SHARE", share)
            expected = sum(run for run in runs if run >= checks.CLIPPED_RUN) > share * len(wave)
            for block in (1, 7, 60, 1000):
                monkeypatch.setattr(checks, "BLOCK", block)
                assert checks.is_clipped(wave) == expected


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


def test_names_that_no_file_can_have(tmp_path):
    assert code_of(str(tmp_path) + "/lone\ud800.wav") == "AUDIO_NOT_FOUND"
    long = shown_name("x" * 100_000 + ".wav")
    assert len(long) == 100 and long.startswith("xxx") and long.endswith("x.wav")


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
