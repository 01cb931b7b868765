"""From predicted log-durations to whole mel frames: sums, floors, caps, lengths that were asked for."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.speech.length import LengthConfig, fit_frames, is_vowel, plan_durations, round_frames
from resgen_tts.speech.text.symbols import PAUSE, SILENCE, Inventory
from resgen_tts.speech.text.units import EncodedText, TextUnits

CODE_RATE, PER_CODE = 10.0, 8  # a mel frame is 12.5 ms
NO_FLOORS = {"least_phone_seconds": 0.0, "least_vowel_seconds": 0.0, "least_word_seconds": 0.0, "least_seconds": 0.0}


def text_of(*words: str) -> EncodedText:
    """Words of phones that are separated by dots; a pause between two of them."""
    symbols, owner = [SILENCE], [-1]
    for number, word in enumerate(words):
        if number:
            symbols.append(PAUSE), owner.append(-1)
        phones = word.split(".")
        symbols += phones
        owner += [number if phone not in ",?!" else -1 for phone in phones]
    symbols.append(SILENCE), owner.append(-1)
    return EncodedText(torch.arange(len(symbols)), tuple(symbols), torch.tensor(owner))


def plan(text: EncodedText, frames: list[float], length: LengthConfig, *, slowness=1.0, std=0.0, seed=0):
    """Plan predictions of so many frames between the two silences."""
    mean = torch.tensor([5.0, *frames, 5.0]).log1p()
    is_optional = torch.tensor([symbol == PAUSE for symbol in text.symbols])
    return plan_durations(
        mean, torch.full_like(mean, std), text, is_optional, length, slowness=slowness, code_rate_hz=CODE_RATE,
        frames_per_code=PER_CODE, rng=torch.Generator().manual_seed(seed),
    )  # fmt: skip


@given(frames=st.lists(st.floats(0, 40), min_size=1, max_size=60), seed=st.integers(0, 99))
def test_rounding_errors_do_not_add_up(frames, seed):
    frames = torch.tensor(frames, dtype=torch.double)
    least = torch.randint(0, 2, (len(frames),), generator=torch.Generator().manual_seed(seed))
    rounded = round_frames(frames, least)
    assert bool((rounded >= least).all())
    raised = torch.maximum(frames, least)
    assert bool(((rounded.cumsum(0) - raised.cumsum(0)).abs() <= 0.5 + len(frames) / 1024).all())


@given(frames=st.lists(st.floats(0, 40), min_size=1, max_size=40), total=st.integers(0, 3000), seed=st.integers(0, 99))
def test_a_wanted_total_is_met_unless_the_least_is_more(frames, total, seed):
    frames = torch.tensor(frames, dtype=torch.double)
    draw = torch.Generator().manual_seed(seed)
    least = torch.randint(0, 2, (len(frames),), generator=draw)
    least[0] = 1  # some symbol is never left out
    gives = torch.rand(len(frames), generator=draw) < 0.3
    fitted = fit_frames(frames, least, gives, total)
    assert int(fitted.sum()) == max(total, int(least.sum()))
    assert bool((fitted >= least).all())


def test_pauses_give_first_and_speech_only_then():
    frames, least = torch.tensor([10.0, 20.0, 10.0, 20.0]), torch.ones(4, dtype=torch.long)
    gives = torch.tensor([False, True, False, True])
    assert fit_frames(frames, least, gives, 50).tolist() == [10, 15, 10, 15]
    assert fit_frames(frames, least, gives, 40).tolist() == [10, 10, 10, 10]
    assert fit_frames(frames, least, gives, 20).tolist() == [5, 5, 5, 5]  # pauses gave half, then all by one factor
    assert fit_frames(frames, least, gives, 100).tolist() == [10, 40, 10, 40]
    assert fit_frames(frames, least, gives, 200).tolist() == [20, 80, 20, 80]


def test_predictions_become_frames_and_the_closing_silence_fills_the_last_code_frame():
    text = text_of("b.ˈeɪ.k", "t.ˈuː")
    length = LengthConfig(opening_seconds=0.1, closing_seconds=0.2, **NO_FLOORS)
    durations = plan(text, [4, 9, 5, 0.2, 6, 11], length).durations
    assert durations[1:-1].tolist() == [4, 9, 5, 0, 6, 11]
    assert int(durations[0]) == 8 and 16 <= int(durations[-1]) < 16 + PER_CODE
    assert int(durations.sum()) % PER_CODE == 0
    slow = plan(text, [4, 9, 5, 0.2, 6, 11], length, slowness=2.0).durations
    assert slow[1:-1].tolist() == [8, 18, 10, 0, 12, 22] and int(slow[0]) == 8  # the ends are no part of the rate


def test_speed_divides_everything_that_is_spoken():
    text = text_of(*["b.ˈeɪ.k"] * 20)
    frames = ([6.0, 12.0, 6.0, 3.0] * 20)[:-1]
    plain, fast, slow = (plan(text, frames, LengthConfig(speed=speed)).durations for speed in (1.0, 2.0, 0.5))
    assert abs(int(fast[1:-1].sum()) * 2 - int(plain[1:-1].sum())) <= 2
    assert abs(int(slow[1:-1].sum()) - int(plain[1:-1].sum()) * 2) <= 2


def test_a_pause_may_vanish_and_a_sound_may_not():
    text = text_of("ə", "t.ə")
    durations = plan(text, [0.0, 0.0, 0.0, 0.0], LengthConfig(**NO_FLOORS)).durations
    assert durations[1:-1].tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(("mark", "seconds"), [(".", 0.25), ("?", 0.25), ("!", 0.25), (",", 0.12), (":", 0.12)])
@pytest.mark.parametrize("known", [(), tuple(",.:?!")])
@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_marks_between_words_have_their_least_pause(mark, seconds, known, speed):
    """Whether the model knows the mark or only the pause; the last mark and plain pauses are as predicted."""
    units = TextUnits(Inventory("phonemes", (SILENCE, PAUSE, *known, "ə")))
    (text,) = units.encode([f"[[ə]] [[ə]]{mark} [[ə]]{mark}"])
    mean = torch.where(text.words >= 0, 9.0, 0.5).log1p()
    found = plan_durations(
        mean, torch.zeros_like(mean), text, text.numbers == 1, LengthConfig(speed=speed), slowness=1.0,
        code_rate_hz=CODE_RATE, frames_per_code=PER_CODE, rng=torch.Generator(),
    )  # fmt: skip
    places = (text.words >= 0).nonzero()[:, 0].tolist()
    between = [int(found.durations[a + 1 : b].sum()) for a, b in itertools.pairwise(places)]
    assert between[0] <= 1 and abs(between[1] - seconds / speed / 0.0125) <= 1
    assert speed != 1 or mark not in ".?!" or between[1] * 0.0125 >= 0.25
    assert int(found.durations[places[-1] + 1 : -1].sum()) <= 1


def test_a_pause_that_is_long_enough_stays():
    """A mark and the pause beside it count together."""
    units = TextUnits(Inventory("phonemes", (SILENCE, PAUSE, ".", "ə")))
    (text,) = units.encode(["[[ə]]. [[ə]]"])
    assert text.symbols == (SILENCE, "ə", ".", PAUSE, "ə", SILENCE)
    assert plan(text, [20, 1, 24, 20], LengthConfig()).durations[1:-1].tolist() == [20, 1, 24, 20]


def test_one_short_word_is_whole():
    """ "No." predicted at a frame each lasts as long as a spoken word does, most of it in the vowel."""
    text = EncodedText(torch.arange(5), (SILENCE, "n", "ˈoʊ", ".", SILENCE), torch.tensor([-1, 0, 0, -1, -1]))
    durations = plan(text, [1.0, 1.0, 1.0], LengthConfig()).durations
    assert int(durations[1:3].sum()) * 0.0125 >= 0.3 - 0.0125
    assert int(durations[2]) > int(durations[1])


def test_a_word_has_its_least_time_wherever_it_stands():
    text = text_of("s.t.r.ˈɛ.ŋ.θ", "ə", "s.t.r.ˈɛ.ŋ.θ")
    frames = [8.0] * 6 + [0.0, 1.0, 0.0] + [8.0] * 6
    durations = plan(text, frames, LengthConfig(least_word_seconds=0.1)).durations
    assert int(durations[8]) == 8 and durations[1:7].tolist() == [8] * 6


def test_what_runs_away_is_capped_and_named():
    text = text_of("b.ˈeɪ.k", "t.ˈuː")
    found = plan(text, [4, 1e6, 5, 900, 6, 11], LengthConfig(longest_symbol_seconds=0.5, longest_pause_seconds=0.25))
    assert found.durations[1:-1].tolist() == [4, 40, 5, 20, 6, 11]
    (note,) = found.notes
    assert note.startswith("DURATION_CAPPED") and "'ˈeɪ' (number 2)" in note and "' ' (number 4)" in note
    assert plan(text, [4, 9, 5, 1, 6, 11], LengthConfig()).notes == ()


def test_a_chunk_that_runs_away_is_capped():
    text = text_of(*["b.ˈeɪ.k"] * 40)
    found = plan(text, ([40.0] * 3 + [0.0]) * 39 + [40.0] * 3, LengthConfig(longest_seconds=10.0))
    assert abs(int(found.durations.sum()) - 800) <= PER_CODE + 1
    assert found.notes == ("DURATION_CAPPED: the text was predicted to last 60.3 s; 10 s are used",)


@pytest.mark.parametrize("seconds", [0.9, 1.5, 2.0, 7.3])
@pytest.mark.parametrize("ends_give", [True, False])
def test_a_duration_is_met_to_a_code_frame(seconds, ends_give):
    text = text_of("b.ˈeɪ.k", "t.ˈuː")
    length = LengthConfig(duration_seconds=seconds, ends_give=ends_give, opening_seconds=0.1, closing_seconds=0.2)
    durations = plan(text, [4, 9, 5, 0.2, 6, 11], length).durations
    assert int(durations.sum()) == round(seconds * CODE_RATE) * PER_CODE
    assert ends_give or (int(durations[0]), int(durations[-1])) == (8, 16)


@pytest.mark.parametrize(("seconds", "told"), [(0.35, True), (0.7, False), (2.0, False), (6.0, True)])
def test_a_duration_far_from_the_voice_is_told(seconds, told):
    """Speech of 0.8 s and ends of 0.2 s, which give first."""
    text = text_of("b.ˈeɪ.k", "t.ˈuː")
    found = plan(text, [12, 14, 12, 0, 12, 14], LengthConfig(duration_seconds=seconds))
    assert [note.split(":")[0] for note in found.notes] == ["DURATION_RATE"] * told
    if told:
        spoken = int(found.durations[text.words >= 0].sum())
        assert f"{64 / spoken:.2f} times as fast" in found.notes[0]


def test_a_duration_that_cannot_be_met_gives_the_shortest():
    text = text_of(*["b.ˈeɪ.k"] * 10)
    durations = plan(text, ([6.0] * 3 + [2.0]) * 9 + [6.0] * 3, LengthConfig(duration_seconds=0.1)).durations
    assert int(durations.sum()) == 32  # thirty sounds and two silences, one frame each
    assert int(durations[text.words >= 0].max()) == 1


def test_forty_equal_words_stay_forty_equal_words():
    text = text_of(*["b.ˈeɪ.k"] * 40)
    durations = plan(text, ([6.0, 12.3, 5.5, 0.4] * 40)[:-1], LengthConfig()).durations
    lengths = torch.zeros(40, dtype=torch.long).index_add(0, text.words[text.words >= 0], durations[text.words >= 0])
    assert int(lengths.max() - lengths.min()) <= 1


def test_spread_follows_the_predicted_deviation_and_the_seed():
    text = text_of(*["b.ˈeɪ.k"] * 200)
    frames = ([20.0, 20.0, 20.0, 0.0] * 200)[:-1]
    wide = LengthConfig(spread=0.5, longest_symbol_seconds=9.0, longest_seconds=900.0, **NO_FLOORS)
    spoken = text.words >= 0
    first, again, other = (plan(text, frames, wide, std=0.4, seed=seed).durations for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    logs = first[spoken].double().log1p()
    assert float(logs.std()) == pytest.approx(0.2, rel=0.15)
    assert float(logs.mean()) == pytest.approx(np.log(21), abs=0.05)
    mean = plan(text, frames, LengthConfig(longest_seconds=900.0, **NO_FLOORS), std=0.4, seed=1).durations
    assert set(mean[spoken].tolist()) == {20}


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [("ˈoʊ", True), ("ə", True), ("AH0", True), ("AH", True), ("t", False), ("HH", False), ("e", False), (" ", False)],
)
def test_vowels(symbol, expected):
    assert is_vowel(symbol) is expected


def test_a_prediction_that_is_no_number_is_refused():
    with pytest.raises(ResGenError, match="MODEL_NONFINITE"):
        plan(text_of("b.ˈeɪ"), [float("nan"), 3.0], LengthConfig())


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": 9.0}, {"speed": 0.0}, {"duration_seconds": 0.0}, {"duration_seconds": float("inf")},
        {"duration_seconds": 2.0, "speed": 2.0}, {"spread": -0.1}, {"least_word_seconds": -1.0},
        {"longest_symbol_seconds": 0.01}, {"longest_pause_seconds": 0.2}, {"longest_seconds": 0.1},
    ],
)  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        LengthConfig(**wrong)
