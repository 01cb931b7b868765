"""Pictures of a synthesis: alignment, durations, the order in which codes were fixed, and the pitch.

The functions take plain arrays; only `save_plots` knows what a `Speech` is. Every picture has the same bytes each time.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import write_bytes
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.result import Speech
from resgen_tts.speech.text.symbols import PAUSE, SILENCE
from resgen_tts.speech.text.tokens import MARKS, spoken_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F0_HZ = (60.0, 500.0)  # pitch is looked for in here, for every voice alike
F0_RATE_HZ, F0_HOP, F0_WINDOW = 16_000, 160, 1024  # samples per second, per step and per window of the pitch tracker
COLOURS = "viridis"
HIDDEN_COLOUR = (220, 220, 220)
LEVEL_PIXELS, WIDEST_PIXELS, STRIP_PIXELS = 10, 800, 14  # of the animation; its text stands in the strip
STEP_MS, LAST_STEP_MS = 120, 1500  # how long the animation shows a step


@dataclass(frozen=True)
class TimedText:
    """Symbols of a text and how long each lasts.

    Args:
        symbols: one label each.
        durations: mel frames, 0 for a pause that is not made.
        words: index into ``texts`` for each symbol, -1 for silences, pauses and marks; None where it is not known.
        texts: the words.
    """

    symbols: Sequence[str]
    durations: Int[np.ndarray, " N"]
    words: Int[np.ndarray, " N"] | None = None
    texts: Sequence[str] = ()

    def __post_init__(self):
        if len(self.symbols) != len(self.durations):
            raise ConfigError(f"{len(self.symbols)} symbols for {len(self.durations)} durations")

    @property
    def borders(self) -> Int[np.ndarray, " borders"]:
        """First frame of each symbol, and the frame behind the last one."""
        return np.concatenate(([0], np.cumsum(self.durations)))

    @property
    def word_spans(self) -> list[tuple[str, int, int]]:
        """Each word that has a symbol, its first frame and the frame behind its last one."""
        if self.words is None:
            return []
        borders = self.borders
        places = {index: np.flatnonzero(self.words == index) for index in range(len(self.texts))}
        return [
            (self.texts[index], int(borders[own[0]]), int(borders[own[-1] + 1]))
            for index, own in places.items()
            if len(own)
        ]


@dataclass(frozen=True)
class SavedPlots:
    """The pictures that were made, by name, and what could not be drawn ("CODE: words")."""

    files: Mapping[str, Path]
    warnings: tuple[str, ...]


def draw_alignment(axes: "Axes", mel: Float[np.ndarray, "T M"], text: TimedText | None, frame_seconds: float) -> None:
    """Mel with a line at each symbol's border, the symbols below and the words above.

    Args:
        text: None where nothing is aligned: the mel alone.
        frame_seconds: of a mel frame.
    """
    seconds = len(mel) * frame_seconds
    axes.imshow(mel.T, origin="lower", aspect="auto", extent=(0, seconds, 0, mel.shape[1]), interpolation="nearest")
    axes.set_ylabel("mel band", fontsize=8)
    axes.tick_params(labelsize=7)
    if text is None:
        axes.set_xlabel("seconds", fontsize=8)
        return
    borders = text.borders * frame_seconds
    axes.vlines(borders[1:-1], 0, mel.shape[1], color="white", linewidth=0.4)
    is_heard = np.asarray(text.durations) > 0
    labels = [symbol_label(symbol) for symbol, heard in zip(text.symbols, is_heard, strict=True) if heard]
    axes.set_xticks(((borders[:-1] + borders[1:]) / 2)[is_heard], labels, fontsize=7, parse_math=False)
    axes.tick_params(axis="x", length=0, pad=1)
    axes.set_xlim(0, seconds)
    above = axes.secondary_xaxis("top")
    spans = text.word_spans
    above.set_xticks(
        [(start + end) / 2 * frame_seconds for _, start, end in spans],
        [word for word, _, _ in spans],
        fontsize=8,
        parse_math=False,
    )
    above.tick_params(length=0)
    edges = [frame * frame_seconds for _, start, end in spans for frame in (start, end)]
    axes.vlines(edges, 0, mel.shape[1], color="white", linewidth=1.0)


def save_alignment(
    path: Path, mel: Float[np.ndarray, "T M"], text: TimedText | None, frame_seconds: float, title: str = ""
) -> None:
    """`draw_alignment` as a PNG that is as wide as its symbols need."""
    figure = _figure(width=_wide(0 if text is None else len(text.symbols)), height=3.0)
    axes = figure.subplots()
    draw_alignment(axes, mel, text, frame_seconds)
    figure.suptitle(title, fontsize=8, parse_math=False)
    _save(figure, path)


def save_durations(path: Path, texts: Mapping[str, TimedText], frame_seconds: float, title: str = "") -> None:
    """One panel of bars for each text: the milliseconds of each symbol."""
    longest = max(len(text.symbols) for text in texts.values())
    figure = _figure(width=_wide(longest), height=2.0 * len(texts))
    for axes, (name, text) in zip(figure.subplots(len(texts), 1, squeeze=False)[:, 0], texts.items(), strict=True):
        places = np.arange(len(text.symbols))
        axes.bar(places, 1000 * frame_seconds * np.asarray(text.durations), width=0.8)
        labels = [symbol_label(symbol) for symbol in text.symbols]
        axes.set_xticks(places, labels, fontsize=7, parse_math=False)
        axes.set_xlim(-1, longest)
        axes.tick_params(labelsize=7, length=0)
        axes.set_ylabel(f"{name}\nms", fontsize=8, parse_math=False)
    figure.suptitle(title, fontsize=8, parse_math=False)
    _save(figure, path)


def fixed_at_step(trace: Sequence[Int[np.ndarray, "L D"]]) -> Int[np.ndarray, "S_plus_1 L D"]:
    """Which step fixed each code, before the first step and after each one: 1 for the first step, 0 = still hidden.

    A code that is hidden again counts as fixed by the step that reveals it anew.

    Args:
        trace: codes before the first step and after each one, -1 at hidden slots.
    """
    hidden = np.stack([codes < 0 for codes in trace])
    fixed = np.zeros(hidden.shape, np.int64)
    for step in range(len(hidden)):
        before = fixed[step - 1] if step else 0
        fixed[step] = np.where(hidden[step], 0, np.where(before == 0, step, before))
    return fixed


def save_unmasking(still: Path, animation: Path, trace: Sequence[Int[np.ndarray, "L D"]], title: str = "") -> None:
    """The order in which codes were fixed: a GIF step by step, and a PNG of the whole. Level 0 is at the bottom.

    Raises:
        ConfigError: TRACE_MISSING where no trace was kept.
    """
    if len(trace) < 2:
        raise _no_trace()
    fixed = fixed_at_step(trace)
    _save_step_map(still, fixed[-1], title)
    write_bytes(animation, _animation(fixed))


def pitch(wave: Float[np.ndarray, " N"], sample_rate: int) -> Float[np.ndarray, " T"]:
    """F0 in Hz every 10 ms by probabilistic YIN, NaN where there is no voice.

    Source: Mauch and Dixon, pYIN (ICASSP 2014), in librosa.
    """
    import librosa
    import soxr

    if sample_rate != F0_RATE_HZ:
        wave = soxr.resample(wave, sample_rate, F0_RATE_HZ)
    found, is_voiced, _ = librosa.pyin(
        wave, fmin=F0_HZ[0], fmax=F0_HZ[1], sr=F0_RATE_HZ, frame_length=F0_WINDOW, hop_length=F0_HOP
    )
    return np.where(is_voiced, found, np.nan)


def save_pitch(path: Path, waves: Mapping[str, tuple[Float[np.ndarray, " _"], int]], title: str = "") -> None:
    """F0 of each wave (samples, Hz) over its own time, with the median in the legend."""
    figure = _figure(width=8.0, height=2.6)
    axes = figure.subplots()
    for name, (wave, sample_rate) in waves.items():
        found = pitch(wave, sample_rate)
        is_voiced = ~np.isnan(found)
        middle = f"median {np.median(found[is_voiced]):.0f} Hz" if is_voiced.any() else "no voice found"
        axes.plot(np.arange(len(found)) * F0_HOP / F0_RATE_HZ, found, linewidth=1.2, label=f"{name}, {middle}")
    axes.set_yscale("log")
    axes.set_ylim(*F0_HZ)
    ticks = [60, 80, 100, 150, 200, 300, 400, 500]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_xlabel("seconds", fontsize=8)
    axes.set_ylabel("F0 in Hz", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, loc="upper right")
    figure.suptitle(title, fontsize=8, parse_math=False)
    _save(figure, path)


def save_plots(
    folder: Path,
    speech: Speech,
    voice: Voice | None = None,
    *,
    mel_rate_hz: float,
    prompt: tuple[Float[np.ndarray, " N"], int] | None = None,
    most_chunks: int = 10,
) -> SavedPlots:
    """All pictures of a synthesis: alignment, durations, unmasking (still and animated) and pitch.

    They are made chunk by chunk; those of a text of several chunks lie in folders ``chunk_000``, ``chunk_001``, ...

    Args:
        folder: is made if need be.
        speech: spoken with ``keep_trace=True``.
        voice: its durations are drawn above the text's.
        mel_rate_hz: mel frames per second.
        prompt: samples and rate of the reference, whose pitch is drawn beside the speech's.
        most_chunks: chunks to draw, the first ones.
    Raises:
        ConfigError: TRACE_MISSING where no trace was kept.
    """
    if not all(chunk.trace for chunk in speech.chunks):
        raise _no_trace()
    files: dict[str, Path] = {}
    notes: list[str] = []
    if len(speech.chunks) > most_chunks:
        notes.append(f"PLOT_CUT: the first {most_chunks} of {len(speech.chunks)} chunks are drawn")
    for chunk in speech.chunks[:most_chunks]:
        part = "" if len(speech.chunks) == 1 else f"chunk_{chunk.number:03d}/"
        names = ("alignment.png", "durations.png", "unmasking.png", "unmasking.gif", "f0.png")
        alignment, durations, still, animation, f0 = (Path(folder) / (part + name) for name in names)
        timed = {} if voice is None else {"prompt": TimedText(voice.encoded.symbols, voice.durations.numpy())}
        if chunk.durations is None:
            notes.append(f"PLOT_LEFT_OUT: {part}durations.png: the model predicts no length of single symbols")
        else:
            texts = spoken_words(chunk.text)
            words = word_of_symbol(chunk.symbols)
            if words.max(initial=-1) + 1 != len(texts):
                notes.append(f"PLOT_LEFT_OUT: {part}alignment.png: no words, some are spoken as one")
                words = None
            timed["text"] = TimedText(chunk.symbols, chunk.durations, words, texts)
            save_durations(durations, timed, 1 / mel_rate_hz, chunk.text)
            files[part + names[1]] = durations
        save_alignment(alignment, chunk.mel, timed.get("text"), 1 / mel_rate_hz, chunk.text)
        save_unmasking(still, animation, chunk.trace, chunk.text)
        waves = {} if prompt is None else {"prompt": prompt}
        save_pitch(f0, {**waves, "speech": (chunk.audio, chunk.sample_rate)}, chunk.text)
        files |= {part + path.name: path for path in (alignment, still, animation, f0)}
    return SavedPlots(files, tuple(notes))


def word_of_symbol(symbols: Sequence[str]) -> Int[np.ndarray, " N"]:
    """Index of the word of each symbol, counting what stands between silences, pauses and marks; -1 for these."""
    found, count, is_inside = [], -1, False
    for symbol in symbols:
        was_inside, is_inside = is_inside, symbol not in (SILENCE, PAUSE, *MARKS)
        count += is_inside and not was_inside
        found.append(count if is_inside else -1)
    return np.asarray(found, np.int64)


def symbol_label(symbol: str) -> str:
    """A symbol as it can be read below a picture."""
    if symbol.startswith("<") and symbol.endswith(">"):
        return symbol[1:-1]
    if symbol.isspace():
        return "_"
    return symbol if symbol.isprintable() else f"x{ord(symbol[0]):02x}"


def _no_trace() -> ConfigError:
    return ConfigError(
        "the synthesis kept no trace of its steps.", code="TRACE_MISSING", hint="Speak with keep_trace=True."
    )


def _save_step_map(path: Path, fixed: Int[np.ndarray, "L D"], title: str) -> None:
    frames, depth = fixed.shape
    figure = _figure(width=8.0, height=1.0 + 0.14 * depth)
    axes = figure.subplots()
    shown = axes.imshow(
        np.where(fixed.T > 0, fixed.T, np.nan),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=COLOURS,
        extent=(0, frames, -0.5, depth - 0.5),
    )
    axes.set_xlabel("code frame", fontsize=8)
    axes.set_ylabel("level, 0 coarsest", fontsize=8)
    axes.tick_params(labelsize=7)
    bar = figure.colorbar(shown, ax=axes)
    bar.set_label("fixed by step", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=8, parse_math=False)
    _save(figure, path)


def _animation(fixed: Int[np.ndarray, "S_plus_1 L D"]) -> bytes:
    from matplotlib import colormaps
    from PIL import Image, ImageDraw

    states, frames, _ = fixed.shape
    # Colour 0 is what is hidden, 254 the last step; 255 is the writing.
    shades = (colormaps[COLOURS](np.linspace(0, 1, 254))[:, :3] * 255).round().astype(int)
    palette = [*HIDDEN_COLOUR, *shades.ravel().tolist(), 0, 0, 0]
    colour = np.where(fixed > 0, 1 + np.round(253 * (fixed - 1) / max(1, states - 2)), 0).astype(np.uint8)
    width = max(1, min(12, WIDEST_PIXELS // frames))
    pictures = []
    for step, state in enumerate(colour):
        cells = np.repeat(np.repeat(state.T[::-1], LEVEL_PIXELS, axis=0), width, axis=1)  # level 0 at the bottom
        picture = Image.fromarray(np.pad(cells, ((STRIP_PIXELS, 0), (0, max(0, 100 - cells.shape[1])))), "P")
        picture.putpalette(palette)
        draw = ImageDraw.Draw(picture)
        draw.fontmode = "1"  # no grey letters: the palette has none
        draw.text((3, 1), f"step {step} of {states - 1}", fill=255)
        pictures.append(picture)
    shown_ms = [STEP_MS] * (states - 1) + [LAST_STEP_MS]
    buffer = io.BytesIO()
    first, *others = pictures
    first.save(
        buffer, format="GIF", save_all=True, append_images=others, duration=shown_ms, loop=0, optimize=False, disposal=1
    )
    return buffer.getvalue()


def _wide(num_symbols: int) -> float:
    """Inches that the labels of so many symbols need."""
    return min(40.0, max(6.0, 1 + 0.11 * num_symbols))


def _figure(*, width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # no pyplot: it keeps figures alive and wants a display

    figure = Figure(figsize=(width, height), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", path: Path) -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a letter that the font lacks is drawn as a box
        figure.savefig(buffer, format="png", metadata={"Software": None})  # the same bytes from any version
    write_bytes(path, buffer.getvalue())
