"""Reference hygiene: what is trimmed, how loud it becomes, where it may be cut."""

import numpy as np
import pytest

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.reference import (
    HIGHEST_PEAK,
    Cut,
    ReferenceConfig,
    choose_cut,
    clean,
    speech_level_db,
    word_frames,
)

RATE = 16_000


def tone(seconds: float, level: float = 0.1) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sqrt(2) * np.sin(2 * np.pi * 200 * time)).astype(np.float32)  # RMS = level


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def test_off_changes_no_sample():
    wave = np.concatenate([silence(1), tone(2), silence(1)])
    left = clean(wave, RATE, ReferenceConfig.off())
    assert np.array_equal(left.samples, wave) and (left.start, left.stop, left.gain_db) == (0, len(wave), 0.0)


def test_an_exact_beginning_switches_the_other_steps_off():
    wave = np.concatenate([silence(1), tone(2), silence(1)])
    assert np.array_equal(clean(wave, RATE, ReferenceConfig(exact_seconds=2.0)).samples, wave)


def test_silence_is_trimmed_to_what_is_kept():
    wave = np.concatenate([silence(1), tone(2), silence(0.5)])
    left = clean(wave, RATE, ReferenceConfig(level_db=None, keep_seconds=0.25))
    assert left.start / RATE == pytest.approx(0.75, abs=0.011)  # frames of 10 ms
    assert left.stop / RATE == pytest.approx(3.25, abs=0.011)
    assert np.array_equal(left.samples, wave[left.start : left.stop])


def test_the_level_is_that_of_the_speech_alone():
    """Half of it silent: the RMS of all would be 3 dB lower."""
    assert speech_level_db(np.concatenate([tone(2), silence(2)]), RATE) == pytest.approx(-20, abs=0.01)


@pytest.mark.parametrize("level", [0.003, 0.05, 0.3])
def test_speech_is_brought_to_the_level(level):
    left = clean(tone(3, level), RATE, ReferenceConfig(trim=False, level_db=-24.0))
    assert speech_level_db(left.samples, RATE) == pytest.approx(-24, abs=0.01)
    assert left.gain_db == pytest.approx(-24 - 20 * np.log10(level), abs=0.01)


def test_no_gain_lifts_a_peak_over_the_bound():
    wave = tone(3, 0.01)
    wave[RATE] = 0.5  # a click, 31 dB above the speech
    left = clean(wave, RATE, ReferenceConfig(trim=False, level_db=-12.0))
    assert np.abs(left.samples).max() == pytest.approx(HIGHEST_PEAK, rel=1e-4)
    loud = np.full(RATE, 0.99, np.float32)
    assert clean(loud, RATE, ReferenceConfig(trim=False, level_db=0.0)).gain_db == 0.0  # neither up nor down


def spoken(pauses: list[float], word_seconds: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Words of a length, a pause after each; the wave, and begin and end of each word."""
    parts, spans, at = [], [], 0.0
    for pause in pauses:
        parts += [tone(word_seconds), silence(pause)]
        spans.append((at, at + word_seconds))
        at += word_seconds + pause
    return np.concatenate(parts), np.array(spans)


def test_the_longest_pause_near_the_upper_end_is_chosen():
    """A second of pause is worth twenty of prompt: of equal pauses the later one, but not of 0.4 and 0.13 s."""
    config = ReferenceConfig(shortest_seconds=3.0, longest_seconds=10.0, keep_seconds=0.1)
    wave, spans = spoken([0, 0, 0, 0.2, 0, 0, 0, 0.2, 0, 0, 0, 0])
    assert choose_cut(wave, RATE, spans, config).words == 8
    wave, spans = spoken([0, 0, 0, 0, 0.4, 0, 0, 0, 0.13, 0, 0])
    found = choose_cut(wave, RATE, spans, config)
    assert found.words == 5 and found.pause_seconds == pytest.approx(0.4, abs=0.021)
    assert found.seconds == pytest.approx(5.1, abs=0.011)  # a tenth of a second into the pause


def test_the_pause_is_found_where_the_alignment_is_a_little_off():
    wave, spans = spoken([0, 0, 0, 0, 0.4, 0, 0, 0])
    for error in (-0.1, 0.1):
        found = choose_cut(wave, RATE, spans + error, ReferenceConfig(shortest_seconds=3.0, longest_seconds=7.0))
        assert found.words == 5 and found.seconds == pytest.approx(5.1, abs=0.011)


def test_a_pause_outside_the_limits_is_no_candidate():
    wave, spans = spoken([0, 0.5, 0, 0, 0, 0, 0.5, 0])
    found = choose_cut(wave, RATE, spans, ReferenceConfig(shortest_seconds=3.0, longest_seconds=6.0))
    assert found == Cut(5, 5.5, 0.0)  # the last border of words before 6 s
    assert choose_cut(wave, RATE, spans[:2], ReferenceConfig(shortest_seconds=3.0, longest_seconds=6.0)) is None


def test_frames_of_words_skip_silences_and_words_without_symbols():
    words = np.array([-1, 0, 0, -1, 2, 2, -1, -1])
    durations = np.array([3, 2, 4, 0, 5, 1, 2, 6])
    assert word_frames(words, durations).tolist() == [[0, 3, 9], [2, 9, 15]]
    assert word_frames(np.array([-1, -1]), np.array([1, 1])).shape == (0, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_seconds": -0.1}, {"closing_seconds": -1.0}, {"level_db": 3.0}, {"level_db": -90.0},
        {"shortest_seconds": 12.0}, {"exact_seconds": 0.0},
    ],
)  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError, match="reference"):
        ReferenceConfig(**wrong)
