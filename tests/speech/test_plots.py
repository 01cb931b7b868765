"""Pictures of a synthesis: what they are drawn from is counted by hand, and that they are made, small and the same."""

import numpy as np
import pytest
import torch
from PIL import Image

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech import plots
from resgen_tts.speech.plots import (
    TimedText,
    fixed_at_step,
    pitch,
    save_alignment,
    save_durations,
    save_plots,
    save_unmasking,
    symbol_label,
    word_of_symbol,
)
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.result import Speech, SpeechChunk, join_chunks
from resgen_tts.speech.text.symbols import PAUSE, SILENCE
from resgen_tts.speech.text.units import EncodedText

SYMBOLS = (SILENCE, "h", "aɪ", PAUSE, "j", "uː", ".", SILENCE)
DURATIONS = np.array([2, 3, 4, 0, 3, 5, 0, 3])
TIMED = TimedText(SYMBOLS, DURATIONS, np.array([-1, 0, 0, -1, 1, 1, -1, -1]), ("hi", "you."))


def rng():
    return np.random.default_rng(0)


def make_trace(frames: int = 6, depth: int = 3, steps: int = 4) -> tuple[np.ndarray, ...]:
    """Level after level of all frames, then nothing is hidden."""
    codes = rng().integers(0, 9, (frames, depth))
    level = np.arange(depth)[None].repeat(frames, 0)
    return tuple(np.where(level >= step * depth / steps, -1, codes) for step in range(steps + 1))


def test_borders_and_words_are_counted_in_frames():
    assert TIMED.borders.tolist() == [0, 2, 5, 9, 9, 12, 17, 17, 20]
    assert TIMED.word_spans == [("hi", 2, 9), ("you.", 9, 17)]
    assert TimedText(SYMBOLS, DURATIONS).word_spans == []
    with pytest.raises(ConfigError, match="2 symbols for 3 durations"):
        TimedText(("a", "b"), np.array([1, 2, 3]))


def test_words_are_what_stands_between_pauses_marks_and_silences():
    assert word_of_symbol(SYMBOLS).tolist() == [-1, 0, 0, -1, 1, 1, -1, -1]
    assert word_of_symbol((SILENCE, "a", ",", PAUSE, "b", SILENCE)).tolist() == [-1, 0, -1, -1, 1, -1]


def test_each_code_has_the_step_that_fixed_it():
    before = np.array([[-1, -1], [-1, -1]])
    first = np.array([[5, -1], [-1, -1]])
    second = np.array([[5, -1], [7, 3]])
    third = np.array([[5, 1], [7, 3]])
    fixed = fixed_at_step((before, first, second, third))
    assert fixed[0].tolist() == [[0, 0], [0, 0]]
    assert fixed[2].tolist() == [[1, 0], [2, 2]]
    assert fixed[3].tolist() == [[1, 3], [2, 2]]


def test_a_code_that_was_hidden_again_was_fixed_when_it_came_back():
    states = [np.array([[value]]) for value in (-1, 4, -1, -1, 6)]
    assert fixed_at_step(states)[:, 0, 0].tolist() == [0, 1, 0, 0, 4]


def test_the_animation_shows_every_step_in_its_colour(tmp_path):
    trace = make_trace()
    save_unmasking(tmp_path / "a.png", tmp_path / "a.gif", trace)
    with Image.open(tmp_path / "a.gif") as movie:
        frames = []
        for step in range(movie.n_frames):
            movie.seek(step)
            frames.append(np.asarray(movie.convert("RGB")))
    assert len(frames) == 5 and frames[0].shape[1] >= 6
    bottom, top = -plots.LEVEL_PIXELS // 2, plots.STRIP_PIXELS + 2  # level 0, level 2
    hidden = list(plots.HIDDEN_COLOUR)
    assert frames[0][bottom, 2].tolist() == frames[0][top, 2].tolist() == hidden
    assert frames[1][bottom, 2].tolist() != hidden and frames[1][top, 2].tolist() == hidden
    assert frames[4][bottom, 2].tolist() == frames[1][bottom, 2].tolist() != frames[4][top, 2].tolist()


def test_no_trace_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="keep_trace=True") as caught:
        save_unmasking(tmp_path / "a.png", tmp_path / "a.gif", ())
    assert caught.value.code == "TRACE_MISSING"
    with pytest.raises(ConfigError, match="keep_trace=True"):
        save_plots(tmp_path, speech(chunk(trace=())), mel_rate_hz=100.0)
    assert list(tmp_path.iterdir()) == []


def test_symbols_that_cannot_be_printed_have_a_name():
    assert [symbol_label(symbol) for symbol in (SILENCE, PAUSE, "\x07", "aɪ", "<", "$")] == [
        "sil",
        "_",
        "x07",
        "aɪ",
        "<",
        "$",
    ]


def test_pictures_are_small_and_the_same_each_time(tmp_path):
    mel = rng().standard_normal((20, 16)).astype(np.float32)
    odd = TimedText(("$x$", "\x00", "字"), np.array([5, 5, 10]), np.array([0, 0, 1]), ("a$b$", "字"))
    for name, draw in {
        "alignment": lambda path: save_alignment(path, mel, TIMED, 0.01, "hi $you$"),
        "odd": lambda path: save_alignment(path, mel, odd, 0.01),
        "bare": lambda path: save_alignment(path, mel, None, 0.01),
        "durations": lambda path: save_durations(path, {"prompt": TIMED, "text": odd}, 0.01),
    }.items():
        pictures = []
        for number in range(2):
            draw(tmp_path / name / f"{number}.png")
            pictures.append((tmp_path / name / f"{number}.png").read_bytes())
        assert pictures[0] == pictures[1] and pictures[0].startswith(b"\x89PNG") and len(pictures[0]) < 50_000


def sawtooth(hertz: float, seconds: float, rate: int) -> np.ndarray:
    phase = hertz * np.arange(round(seconds * rate)) / rate
    return (0.5 * (phase % 1) - 0.25).astype(np.float32)


@pytest.mark.slow  # the tracker is compiled
@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_the_pitch_of_a_sawtooth_is_found_and_silence_has_none(rate):
    found = pitch(np.concatenate([sawtooth(140, 0.3, rate), np.zeros(rate * 3 // 10, np.float32)]), rate)
    assert len(found) in (60, 61)
    assert np.nanmedian(found[5:25]) == pytest.approx(140, rel=0.01)
    assert np.isnan(found[40:]).all()


def chunk(number: int = 0, num_chunks: int = 1, **changes) -> SpeechChunk:
    values = {
        "number": number,
        "num_chunks": num_chunks,
        "text": "hi you.",
        "start": 0,
        "end": 7,
        "boundary": "end",
        "audio": sawtooth(120, 0.2, 16_000),
        "sample_rate": 16_000,
        "begin_seconds": 0.0,
        "symbols": SYMBOLS,
        "durations": DURATIONS,
        "mel": rng().standard_normal((20, 16)).astype(np.float32),
        "codes": make_trace()[-1],
        "warnings": (),
        "timings": {},
        "trace": make_trace(),
    }
    return SpeechChunk(**(values | changes))


def speech(*chunks: SpeechChunk) -> Speech:
    return join_chunks(chunks, text="Hi you.", normalized_text="hi you.", seed=0, timings={}, warnings=())


def voice() -> Voice:
    encoded = EncodedText(torch.arange(len(SYMBOLS)), SYMBOLS, torch.full((len(SYMBOLS),), -1))
    return Voice(
        text="hi you.", original_text="Hi you.", codes=torch.zeros(2, 3, dtype=torch.long), encoded=encoded,
        durations=torch.from_numpy(DURATIONS), rate=1.0,
    )  # fmt: skip


NAMES = ["alignment.png", "durations.png", "f0.png", "unmasking.gif", "unmasking.png"]


@pytest.fixture
def drawn_waves(monkeypatch):
    """Pitch without the tracker, which takes seconds to compile; what it was asked for."""
    seen = []

    def fake(wave, sample_rate):
        seen.append(len(wave))
        return np.full(len(wave) // 160, 120.0)

    monkeypatch.setattr(plots, "pitch", fake)
    return seen


def test_a_synthesis_of_one_chunk_has_five_pictures(tmp_path, drawn_waves):
    prompt = (sawtooth(100, 0.3, 16_000), 16_000)
    saved = save_plots(tmp_path / "plots", speech(chunk()), voice(), mel_rate_hz=100.0, prompt=prompt)
    assert sorted(saved.files) == sorted(path.name for path in (tmp_path / "plots").iterdir()) == NAMES
    assert saved.warnings == () and drawn_waves == [4800, 3200]


def test_chunks_have_folders_and_what_is_not_drawn_is_said(tmp_path, drawn_waves):
    parts = [chunk(number, 3, durations=None) for number in range(3)]
    saved = save_plots(tmp_path, speech(*parts), mel_rate_hz=100.0, most_chunks=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chunk_000", "chunk_001"]
    assert sorted(saved.files)[:4] == [f"chunk_000/{name}" for name in NAMES if name != "durations.png"]
    assert [note.split(":")[0] for note in saved.warnings] == ["PLOT_CUT", "PLOT_LEFT_OUT", "PLOT_LEFT_OUT"]
    assert "2 of 3 chunks" in saved.warnings[0] and "chunk_001/durations.png" in saved.warnings[2]


def test_words_that_were_spoken_as_one_are_not_guessed(tmp_path, drawn_waves):
    saved = save_plots(tmp_path, speech(chunk(text="hi to you.")), mel_rate_hz=100.0)
    assert "no words" in saved.warnings[0]
