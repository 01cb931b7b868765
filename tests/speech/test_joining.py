"""Chunks joined to one wave: where the speech lies, how loud the seam is, and that nothing clicks."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.speech.joining import Joiner, spoken_span

RATE = 16_000


def chunk(opening: int, speech: int, closing: int, *, level: float = 0.5, noise: float = 0.0, seed: int = 0):
    """Silence, a constant level (so that its samples can be counted), silence; and the span of the speech."""
    wave = noise * np.random.default_rng(seed).standard_normal(opening + speech + closing)
    wave[opening : opening + speech] = level
    return wave.astype(np.float32), (opening, opening + speech)


def joined(chunks, pauses, fade_seconds=0.02, total=None):
    joiner = Joiner(RATE, fade_seconds)
    parts = [joiner.add(*one, pause) for one, pause in zip(chunks[:-1], pauses, strict=True)]
    parts.append(joiner.add(*chunks[-1], None, total))
    assert joiner.given == sum(map(len, parts))
    return np.concatenate(parts)


silences = st.integers(0, 6000)


@given(
    ends=st.lists(st.tuples(silences, st.integers(200, 900), silences), min_size=2, max_size=5),
    pause=st.integers(0, 5000),
    fade=st.sampled_from([0.0, 0.005, 0.02]),
)
def test_all_speech_is_there_and_pauses_are_as_long_as_asked(ends, pause, fade):
    chunks = [chunk(*one, level=0.1 * (number + 1)) for number, one in enumerate(ends)]
    whole = joined(chunks, [pause] * (len(chunks) - 1), fade)
    edge = 48  # samples that may be faded where there is no silence beside the speech
    spoken = np.zeros(len(whole), bool)
    begins = []
    for number, (_, speech, _) in enumerate(ends):
        here = np.flatnonzero(np.isclose(whole, 0.1 * (number + 1), atol=1e-6))
        assert speech - 2 * edge <= len(here) <= speech  # whole but for the fades of hard edges
        spoken[here] = True
        begins.append((here[0], here[-1]))
    for (_, end), (begin, _) in itertools.pairwise(begins):
        assert pause - 2 <= begin - end - 1 <= pause + 2 * edge
    assert len(whole) == ends[0][0] + sum(s for _, s, _ in ends) + pause * (len(ends) - 1) + ends[-1][2]


def test_the_cross_fade_keeps_the_power_of_the_silence():
    """Room noise of equal level on both sides: the seam is as loud as the room."""
    power = []
    for seed in range(40):
        left, right = (chunk(4000, 800, 4000, noise=0.01, seed=2 * seed + side) for side in (0, 1))
        whole = joined([left, right], [3200])
        middle = 4000 + 800 + 1600
        power.append(np.square(whole[middle - 160 : middle + 160], dtype=np.float64))
    assert np.sqrt(np.mean(power)) == pytest.approx(0.01, rel=0.03)
    assert np.sqrt(np.mean(power, axis=0)).reshape(20, 16).mean(1) == pytest.approx(np.full(20, 0.01), rel=0.12)


def test_there_is_no_click_where_silence_is_lacking():
    """A tone that runs to both edges: the largest step from sample to sample stays that of the tone."""
    tone = (0.5 * np.sin(2 * np.pi * 200 * np.arange(8000) / RATE)).astype(np.float32)
    whole = joined([(tone[:7930], (0, 7930)), (tone[30:], (0, 7970))], [1600])
    assert np.abs(np.diff(whole)).max() < 1.3 * np.abs(np.diff(tone)).max()


@pytest.mark.parametrize("total", [9000, 10_400, 11_200])
def test_the_last_silence_is_cut_or_filled_for_a_length_that_was_asked_for(total):
    chunks = [chunk(1600, 3200, 1600), chunk(1600, 1600, 1600)]
    whole = joined(chunks, [1600], total=total)
    plain = joined(chunks, [1600])
    assert len(whole) == max(total, len(plain) - 1600)  # never into the speech
    assert np.isclose(whole, 0.5).sum() == 4800 - (0 if total > len(plain) - 1600 else 48)


def test_the_first_and_the_last_chunk_keep_their_outer_silence():
    wave, span = chunk(1600, 3200, 2000, noise=0.001)
    assert np.array_equal(joined([(wave, span)], []), wave)


def test_the_spoken_span_holds_what_is_planned_and_what_is_heard():
    wave, _ = chunk(1600, 8000, 1600, noise=1e-5)
    durations = np.array([12, 20, 20, 12])  # of 200 samples: the plan believes in more silence than there is
    start, stop = spoken_span(wave, RATE, durations, 200)
    assert 1600 - 320 <= start <= 1600 and 9600 <= stop <= 9600 + 320
    durations = np.array([4, 24, 24, 4])  # and here in less
    assert spoken_span(wave, RATE, durations, 200) == (800, 11_200 - 800)
    heard = spoken_span(wave, RATE, None, 200)
    assert heard == (start, stop)


def test_the_noise_of_a_room_is_no_speech_and_what_spills_into_silence_is():
    """Noise 20 dB under the voice: the plan's silences are trusted, but not where the voice is still heard."""
    wave = 0.02 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    wave[1600:14_400] += (0.3 * np.sin(0.1 * np.arange(12_800))).astype(np.float32)
    spare = 160
    assert spoken_span(wave, RATE, np.array([8, 64, 8]), 200) == (1600 - spare, 14_400 + spare)
    start, stop = spoken_span(wave, RATE, np.array([12, 56, 12]), 200)
    assert 1600 - 320 <= start <= 1600 and 14_400 <= stop <= 14_400 + 320
    assert spoken_span(wave, RATE, None, 200) == (start, stop)
    hiss = 0.02 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    assert spoken_span(hiss, RATE, None, 200) == (0, 8000)
