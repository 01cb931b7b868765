"""Voices from references: the cut, its words, their durations, and codes equal to those of the kept samples alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import AudioError, TextError
from resgen_tts.speech.prompt import _fit, make_voice, samples_hash
from resgen_tts.speech.reference import ReferenceConfig
from tests.speech.prompt_toys import CODE, FRAMES_PER_CODE, HOP, RATE, recording, toy_system

NAMES = ("alpha", "bravo", "carol", "delta", "eagle", "fancy", "gamma", "hotel", "india", "jolly")


@pytest.fixture(scope="module")
def system():
    return toy_system()


def voice_of(system, wave, text, reference=None):
    return make_voice(system.tokenizer, system.generator, system.units, wave, text, reference)


def frames_of_words(voice) -> list[int]:
    """Mel frames of each word of a voice."""
    words = voice.encoded.words
    return [int(voice.durations[words == word].sum()) for word in range(int(words.max()) + 1)]


def test_with_every_step_off_the_codes_are_those_of_the_whole_recording(system):
    wave, text = recording(system, [(name, 40, 4) for name in NAMES[:5]])
    voice = voice_of(system, wave, text, ReferenceConfig.off())
    assert torch.equal(voice.codes, system.codes(wave))
    assert voice.text == voice.original_text == text
    assert frames_of_words(voice) == [40] * 5
    assert int(voice.durations.sum()) == FRAMES_PER_CODE * len(voice.codes)
    assert voice.facts["sha256"] == samples_hash(wave) and voice.facts["gain_db"] == "0.00"


def test_the_rate_is_that_of_the_sounds_alone(system):
    """10 frames a symbol are expected, 15 are there; pauses of any length change nothing."""
    for pause in (0, 10, 40):
        wave, text = recording(system, [(name, 75, pause) for name in NAMES[:4]])
        assert voice_of(system, wave, text, ReferenceConfig.off()).rate == pytest.approx(1.5, abs=1e-4)


def test_a_rate_beyond_the_bounds_is_limited_and_told(system):
    wave, text = recording(system, [(name, 125, 5) for name in NAMES[:3]])
    voice = voice_of(system, wave, text, ReferenceConfig.off())
    assert voice.rate == 2.0
    assert any(note.startswith("VOICE_RATE: the reference is 2.50") for note in voice.warnings)


def test_a_long_reference_is_cut_at_its_pause_and_its_text_at_the_same_word(system):
    """Ten words of 1.5 s; of the borders from 3 to 12 s only the one after the sixth is a pause."""
    pauses = [0, 0, 0, 0, 0, 40, 0, 0, 0, 16]
    wave, text = recording(system, [(n, 120, p) for n, p in zip(NAMES, pauses, strict=True)])
    config = ReferenceConfig(trim=False, level_db=None)
    voice = voice_of(system, wave, text, config)
    assert voice.text == " ".join(NAMES[:6]) and frames_of_words(voice) == [120] * 6
    end = (8 + 6 * 120) * HOP + round(config.keep_seconds * RATE)  # lead, six words, and a little of the pause
    closed = np.pad(wave[:end], (0, round(config.closing_seconds * RATE)))
    assert torch.equal(voice.codes, system.codes(closed))
    assert int(voice.durations.sum()) == FRAMES_PER_CODE * len(voice.codes)
    assert any(n.startswith("AUDIO_TRIMMED") and "first 6 words" in n and "pause" in n for n in voice.warnings)


def test_without_any_pause_the_cut_is_at_the_last_border_of_words_that_fits(system):
    wave, text = recording(system, [(name, 120, 0) for name in NAMES])
    voice = voice_of(system, wave, text, ReferenceConfig(trim=False, level_db=None))
    assert voice.text == " ".join(NAMES[:7])  # 0.1 s and 7 * 1.5 s; the eighth would end at 12.1 s
    assert any("between two words without a pause" in note for note in voice.warnings)


def test_a_long_reference_without_a_border_in_reach_is_refused(system):
    wave, text = recording(system, [("alpha", 1200, 0), ("bravo", 80, 0)])
    with pytest.raises(AudioError, match="AUDIO_TOO_LONG"):
        voice_of(system, wave, text, ReferenceConfig(trim=False, refuse_misfit=False))


@pytest.mark.parametrize("seconds", [3.0, 3.04, 2.25])
def test_an_exact_beginning_is_the_recordings_own_samples_in_whole_code_frames(system, seconds):
    """Bit for bit, whatever the other options say; the codes are those of these samples encoded alone."""
    wave, text = recording(system, [(name, 70, 10) for name in NAMES[:6]], lead=4)
    voice = voice_of(system, wave, text, ReferenceConfig(exact_seconds=seconds))
    frames = int(seconds * 10)  # 10 code frames a second, rounded down
    kept = wave[: frames * CODE]
    assert len(voice.codes) == frames
    assert torch.equal(voice.codes, system.codes(kept))
    whole = [k for k in range(6) if 4 + 80 * k + 70 < frames * FRAMES_PER_CODE]  # words that end before the cut
    assert voice.text.split() == list(NAMES[: len(whole)]) and frames_of_words(voice) == [70] * len(whole)
    assert int(voice.durations.sum()) == frames * FRAMES_PER_CODE
    assert voice.facts["seconds"] == f"{frames / 10:.3f}"


def test_the_mel_vae_is_causal_so_a_cut_changes_only_its_last_codes(system):
    """What lies behind the cut reaches one transform's half window (32 ms) before it: into the last code frame."""
    wave, _ = recording(system, [(name, 70, 3) for name in NAMES[:6]])
    whole, alone = system.codes(wave), system.codes(wave[: 30 * CODE])
    assert torch.equal(whole[:29], alone[:29])


def test_a_beginning_that_holds_no_whole_word_is_refused(system):
    wave, text = recording(system, [("alpha", 300, 5), ("bravo", 40, 5)])
    with pytest.raises(AudioError, match="AUDIO_TOO_SHORT"):
        voice_of(system, wave, text, ReferenceConfig(exact_seconds=3.0))
    with pytest.raises(AudioError, match="AUDIO_TOO_SHORT"):
        voice_of(system, wave, text, ReferenceConfig(exact_seconds=30.0))


def test_marks_and_capitals_stay_with_the_words_that_are_kept(system):
    wave, _ = recording(system, [(name, 120, p) for name, p in zip(NAMES[:8], [0, 0, 0, 0, 30, 0, 0, 9], strict=True)])
    aligner = system.generator.aligner
    told = aligner.told.tolist()
    comma = 1 + 6 * 4 + 5  # the place behind "eagle": its comma takes half of the pause
    aligner.told = torch.tensor([*told[:comma], 15, 15, *told[comma + 1 :]])
    written = "Alpha bravo carol delta eagle, fancy gamma hotel"
    voice = voice_of(system, wave, written, ReferenceConfig(trim=False, level_db=None, longest_seconds=11.0))
    assert voice.text.endswith("eagle,") and voice.original_text == "Alpha bravo carol delta eagle,"
    assert voice.encoded.symbols[-2] == ","


def test_closing_silence_lasts_what_was_asked_and_then_fills_the_code_frame(system):
    wave, text = recording(system, [(name, 60, 0) for name in NAMES[:4]])
    for closing in (0.0, 0.1, 0.35):
        config = ReferenceConfig(trim=False, level_db=None, closing_seconds=closing)
        voice = voice_of(system, wave, text, config)
        assert torch.equal(voice.codes, system.codes(np.pad(wave, (0, round(closing * RATE)))))


def test_warnings_from_before_lead_the_voices_own(system):
    wave, text = recording(system, [(name, 125, 5) for name in NAMES[:3]])
    voice = make_voice(
        system.tokenizer, system.generator, system.units, wave, text, ReferenceConfig.off(), ("AUDIO_SHORT: it is",)
    )
    assert voice.warnings[0] == "AUDIO_SHORT: it is" and len(voice.warnings) > 1


def test_silence_that_is_cut_off_is_told_and_so_is_little_speech(system):
    wave, text = recording(system, [(name, 40, 4) for name in NAMES[:3]])
    system.generator.aligner.told = None
    quiet = 1e-5 * np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32)
    lenient = ReferenceConfig(refuse_misfit=False)  # an untrained aligner fits no text
    voice = voice_of(system, np.concatenate([quiet, wave, quiet]), text, lenient)
    trimmed = next(note for note in voice.warnings if note.startswith("AUDIO_TRIMMED"))
    assert float(trimmed.split()[1]) == pytest.approx(4.0, abs=0.2)  # a tenth of a second is left on either side
    assert any(note.startswith("AUDIO_SHORT: 1.") for note in voice.warnings)
    short = voice_of(system, wave, text, lenient)  # the loader has told that the file is short
    assert not any(note.startswith(("AUDIO_SHORT", "AUDIO_TRIMMED")) for note in short.warnings)


def test_more_sounds_than_frames_are_refused(system):
    with pytest.raises(AudioError, match="AUDIO_TOO_SHORT"):
        voice_of(system, np.full(RATE, 0.1, np.float32), "word " * 100)


def test_a_text_far_longer_than_the_recording_is_refused_before_it_is_encoded(system, monkeypatch):
    def encode(*_):
        raise AssertionError("the encoder's attention is quadratic in the symbols")

    monkeypatch.setattr(system.generator.aligner, "encode", encode)
    with pytest.raises(AudioError, match=r"AUDIO_TOO_SHORT.*too short for its text of \d+ sounds"):
        voice_of(system, np.full(2 * RATE, 0.1, np.float32), "word " * 20_000)


def test_the_pauses_of_a_text_do_not_count_against_the_recording(system):
    """26 letters, 25 pauses between them and two silences; 48 mel frames are enough, as pauses may last none."""
    system.generator.aligner.told = None
    wave = np.random.default_rng(0).normal(0, 0.1, 48 * HOP).astype(np.float32)
    text = " ".join("abcdefghijklmnopqrstuvwxyz")
    assert len(voice_of(system, wave, text, ReferenceConfig.off()).encoded) == 53


def test_speech_of_less_than_a_second_is_refused_where_it_is_trimmed(system):
    """0.7 s between 2 s of silence, of which 0.1 s are kept; taken as it is, the recording passes."""
    wave, text = recording(system, [("alpha", 56, 0)], lead=1)
    quiet = 1e-5 * np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32)
    whole = np.concatenate([quiet, wave, quiet])
    with pytest.raises(AudioError, match=r"0\.9\d s of the reference are left.*at least 1 s") as caught:
        voice_of(system, whole, text)
    assert caught.value.code == "AUDIO_TOO_SHORT"
    for config in (ReferenceConfig.off(), ReferenceConfig(exact_seconds=4.5)):
        assert voice_of(system, whole, text, config).text == text


@pytest.mark.parametrize(("frames", "said"), [(250, "5.00 times"), (10, "0.20 times"), (4, "last one frame")])
def test_a_text_that_is_certainly_of_something_else_is_refused(system, frames, said):
    """Symbols of 50, of 2 frames, and all but the last one of a word of one, where 10 are expected."""
    wave, text = recording(system, [(name, max(frames, 10), 12) for name in NAMES[:8]])
    if frames == 4:
        told = system.generator.aligner.told
        uneven = torch.tensor([1, 1, 1, 1, 46])
        for word in range(8):
            told[1 + 6 * word : 6 + 6 * word] = uneven
        wave = np.pad(wave, (0, 8 * 40 * HOP), mode="wrap")
    with pytest.raises(TextError, match=f"VOICE_TEXT_MISMATCH.*{said}"):
        voice_of(system, wave, text, ReferenceConfig(trim=False))
    voice = voice_of(system, wave, text, ReferenceConfig.off())
    assert any(note.startswith("VOICE_TEXT_MISMATCH") and said in note for note in voice.warnings)


@pytest.mark.parametrize(("frames", "refused"), [(195, False), (205, True), (16, False), (14, True)])
def test_the_rates_that_are_certainly_wrong_lie_beyond_three_tenths_and_four(system, frames, refused):
    wave, text = recording(system, [(name, frames, 20) for name in NAMES[:8]])
    config = ReferenceConfig(trim=False, shortest_seconds=0.0)
    if refused:
        with pytest.raises(TextError, match="VOICE_TEXT_MISMATCH"):
            voice_of(system, wave, text, config)
    else:
        assert voice_of(system, wave, text, config).rate in (0.5, 2.0)


@pytest.mark.parametrize(
    ("text", "code"), [("", "TEXT_EMPTY"), ("...", "TEXT_NO_SPEECH"), ("a" * 1_000_001, "TEXT_TOO_LONG")]
)
def test_errors_of_a_references_text_say_that_it_is_meant(system, text, code):
    with pytest.raises(TextError, match=r"reference's text.*--ref-text") as caught:
        voice_of(system, np.full(RATE, 0.1, np.float32), text)
    assert caught.value.code == code


def test_durations_that_a_cut_shortens_leave_one_frame_to_sounds_and_none_to_pauses():
    is_optional = torch.tensor([False, *[False, True] * 5, False, False])
    durations = torch.tensor([3, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1])
    assert _fit(durations, 9, is_optional).tolist() == [2, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1]
    assert _fit(durations, 12, is_optional).tolist() == [3, *durations[1:-1].tolist(), 3]


@given(data=st.data())
def test_fitted_durations_add_up_and_no_sound_is_lost(data):
    pauses = data.draw(st.lists(st.booleans(), max_size=12))
    is_optional = torch.tensor([False, *pauses, False])
    least = (~is_optional).long()
    more = data.draw(st.lists(st.integers(0, 6), min_size=len(least), max_size=len(least)))
    durations = least + torch.tensor(more)
    total = data.draw(st.integers(int(least.sum()), int(durations.sum()) + 5))
    fitted = _fit(durations, total, is_optional)
    assert int(fitted.sum()) == total and bool((fitted >= least).all())
    untouched = durations[:-1].cumsum(0) + least.flip(0).cumsum(0).flip(0)[1:] <= total  # and all before them
    assert torch.equal(fitted[:-1][untouched], durations[:-1][untouched])


@pytest.fixture(scope="module")
def real():
    """A long recording of LibriSpeech with its text."""
    import csv

    import soundfile

    root = Path(__file__).resolve().parents[3] / "shared" / "data" / "librispeech-train-mini"
    if not (root / "utterances.tsv").is_file():
        pytest.skip("shared/data is not beside the checkout; prompts from real recordings are NOT tested")
    with open(root / "utterances.tsv", encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file, delimiter="\t") if 13 < float(row["seconds"]) < 16)
    samples, rate = soundfile.read(root / row["flac"], dtype="float32")
    assert rate == RATE
    return samples, row["text"].lower()


@pytest.mark.data
def test_the_beginning_of_a_real_recording_is_kept_sample_for_sample(system, real):
    samples, text = real
    voice = voice_of(system, samples, text, ReferenceConfig(exact_seconds=3.0))
    assert torch.equal(voice.codes, system.codes(samples[: 30 * CODE])) and len(voice.codes) == 30
    assert text.startswith(voice.text) and text != voice.text


@pytest.mark.data
def test_a_real_recording_is_cut_to_the_limits_and_its_text_to_whole_words(system, real):
    samples, text = real
    voice = voice_of(system, samples, text, ReferenceConfig(refuse_misfit=False))
    seconds = len(voice.codes) * CODE / RATE
    assert 3 <= seconds <= 12 + 0.1 + 0.1  # closing silence, and the filling of a code frame
    assert text.split()[: len(voice.text.split())] == voice.text.split()
    assert any(note.startswith("AUDIO_TRIMMED") for note in voice.warnings)
