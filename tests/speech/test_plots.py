"""Pictures of a synthesis: what they are drawn from is counted by hand, and that they are made, small and the same."""

import numpy as np
import pytest
import torch
from PIL import Image

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech import plots, unmasking_plot
from resgen_tts.speech.plots import (
    TimedText,
    label_rows,
    pitch,
    save_alignment,
    save_durations,
    save_plots,
    symbol_label,
    word_of_symbol,
)
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.result import Speech, SpeechChunk, join_chunks
from resgen_tts.speech.text.symbols import PAUSE, SILENCE
from resgen_tts.speech.text.units import EncodedText
from resgen_tts.speech.unmasking_plot import fixed_at_step, save_unmasking

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


def movie_of(path) -> list[np.ndarray]:
    with Image.open(path) as movie:
        frames = []
        for step in range(movie.n_frames):
            movie.seek(step)
            frames.append(np.asarray(movie.convert("RGB")).astype(int))
    return frames


def codes_box(empty: np.ndarray) -> tuple[slice, slice]:
    """Where the animation's first picture, which hides all codes, has the colour of what is hidden."""
    is_hidden = (empty == unmasking_plot.HIDDEN_COLOUR).all(-1)
    rows, columns = (np.flatnonzero(is_hidden.mean(axis) > 0.4) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def test_the_animation_shows_every_step_in_its_colour(tmp_path):
    save_unmasking(tmp_path / "a.png", tmp_path / "a.gif", make_trace(), 0.08)
    frames = movie_of(tmp_path / "a.gif")
    assert len(frames) == 5
    rows, columns = codes_box(frames[0])
    bottom, top, left = rows.stop - 3, rows.start + 3, columns.start + 3  # level 0, level 2
    hidden = list(unmasking_plot.HIDDEN_COLOUR)
    assert frames[0][bottom, left].tolist() == frames[0][top, left].tolist() == hidden
    assert frames[1][bottom, left].tolist() != hidden and frames[1][top, left].tolist() == hidden
    assert frames[4][bottom, left].tolist() == frames[1][bottom, left].tolist() != frames[4][top, left].tolist()


def test_the_animation_has_frames_across_and_levels_upwards(tmp_path):
    codes = np.full((4, 3), -1)
    codes[1, 2] = 7  # frame 1 of 4, the highest of 3 levels
    save_unmasking(tmp_path / "a.png", tmp_path / "a.gif", (np.full((4, 3), -1), codes), 0.08)
    empty, shown = movie_of(tmp_path / "a.gif")
    box = codes_box(empty)
    rows, columns = np.nonzero((shown[box] != unmasking_plot.HIDDEN_COLOUR).any(-1))
    height, width = shown[box].shape[:2]
    assert rows.min() == 0 and rows.max() + 1 == pytest.approx(height / 3, abs=2)
    assert [columns.min(), columns.max() + 1] == pytest.approx([width / 4, width / 2], abs=3)


def test_steps_are_counted_from_one_to_the_number_of_calls_and_time_in_seconds():
    fixed = fixed_at_step(make_trace(frames=6, steps=4))
    _, axes = unmasking_plot._step_map(fixed[-1], len(fixed) - 1, 0.08, "")
    assert axes.images[0].get_clim() == (0.5, 4.5)
    bar = axes.images[0].colorbar
    assert bar.get_ticks().tolist() == [1, 2, 3, 4] and "1 to 4" in bar.ax.get_ylabel()
    assert axes.get_xlim() == pytest.approx((0, 0.48)) and axes.get_xlabel() == "seconds"


def test_an_animation_of_many_steps_stays_small(tmp_path):
    order = rng().permutation(120 * 12).reshape(120, 12)
    trace = tuple(np.where(order < step * 8, 1, -1) for step in range(181))
    save_unmasking(tmp_path / "a.png", tmp_path / "a.gif", trace, 0.08)
    assert len(movie_of(tmp_path / "a.gif")) == unmasking_plot.MOST_STATES
    assert (tmp_path / "a.gif").stat().st_size < 250_000


def test_labels_of_a_row_do_not_touch():
    assert label_rows([0.0, 10.0, 20.0], [8.0] * 3) == [0, 0, 0]
    assert label_rows([0.0, 10.0, 20.0], [8.0] * 3, least_rows=2) == [0, 1, 0]
    assert label_rows([0.0, 2.0, 4.0, 20.0], [8.0] * 4) == [0, 1, 2, 0]
    assert label_rows([0.0, 2.0, 4.0], [8.0] * 3, most_rows=2) == [0, 1, 0]  # no room: over the oldest


def test_the_alignment_has_seconds_below_and_its_labels_apart_above():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), dpi=80)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    plots.draw_alignment(axes, np.zeros((20, 16), np.float32), TIMED, 0.01)
    figure.canvas.draw()
    assert axes.get_xlabel() == "seconds" and axes.get_xlim() == pytest.approx((0, 0.2))
    assert [text.get_text() for text in axes.texts] == ["sil", "h", "aɪ", "j", "uː", "sil", "hi", "you."]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])
    assert min(box.y0 for box in boxes) > axes.get_window_extent().y1
    assert min(box.y0 for box in boxes[6:]) > max(box.y1 for box in boxes[:6])  # the words above the symbols


def test_durations_share_their_scale(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: kept.append(figure))
    longer = TimedText(("a", "b"), np.array([50, 1]))
    save_durations(tmp_path / "a.png", {"prompt": TIMED, "text": longer}, 0.01)
    first, second = kept[0].axes
    assert first.get_ylim() == second.get_ylim() and first.get_ylim()[1] >= 500


def test_no_trace_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="keep_trace=True") as caught:
        save_unmasking(tmp_path / "a.png", tmp_path / "a.gif", (), 0.08)
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


@pytest.mark.parametrize(
    "level, probability, is_heard",
    [(0.5, 0.01, True), (0.5 * 10**-1.5, 0.01, False), (0.5 * 10**-1.5, 0.1, True), (0.5 * 10**-2, 0.9, False)],
    ids=["loud", "quiet and unsure", "quiet and sure", "40 dB down"],
)
def test_what_the_tracker_calls_a_voice_in_silence_is_none(monkeypatch, level, probability, is_heard):
    import librosa

    wave = np.full(16_000, level, np.float32)
    wave[:4_000] = 0.5
    found = np.full(101, 80.0), np.ones(101, bool), np.full(101, probability)
    monkeypatch.setattr(librosa, "pyin", lambda *args, **options: found)
    masked = pitch(wave, 16_000)
    assert not np.isnan(masked[5:20]).any()
    assert np.isnan(masked[40:95]).all() != is_heard


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
