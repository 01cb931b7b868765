"""Pictures of a synthesis: alignment, durations, the order in which codes were fixed, and the pitch.

The functions take plain arrays; only `save_plots` knows what a `Speech` is. Every picture has the same bytes each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.figures import new_figure, save_figure
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.result import Speech
from resgen_tts.speech.text.symbols import PAUSE, SILENCE
from resgen_tts.speech.text.tokens import MARKS, spoken_words
from resgen_tts.speech.unmasking_plot import no_trace, save_unmasking

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F0_HZ = (60.0, 500.0)  # pitch is looked for in here, for every voice alike
F0_RATE_HZ, F0_HOP, F0_WINDOW = 16_000, 160, 1024  # samples per second, per step and per window of the pitch tracker
F0_ENERGY_WINDOW, F0_SILENT_DB = 512, -35.0  # samples; what is that far below the loudest window has no pitch
F0_QUIET_DB, F0_LEAST_VOICED = -20.0, 0.02  # below this level the tracker must be surer; loud voices, too, have 0.01
LABEL_POINTS, WORD_POINTS = 8.5, 9.0  # font sizes of symbols and words


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
    """Mel over seconds with a line at each symbol's border; above it the symbols, and above these the words.

    Args:
        text: None where nothing is aligned: the mel alone.
        frame_seconds: of a mel frame.
    """
    seconds = len(mel) * frame_seconds
    axes.imshow(mel.T, origin="lower", aspect="auto", extent=(0, seconds, 0, mel.shape[1]), interpolation="nearest")
    axes.set_ylabel("mel band", fontsize=8)
    axes.set_xlabel("seconds", fontsize=8)
    axes.tick_params(labelsize=7)
    if text is None:
        return
    borders = text.borders * frame_seconds
    axes.vlines(borders[1:-1], 0, mel.shape[1], color="white", linewidth=0.4)
    middles = (borders[:-1] + borders[1:]) / 2
    heard = np.flatnonzero(np.asarray(text.durations) > 0)
    labels = [(float(middles[place]), symbol_label(text.symbols[place])) for place in heard]
    top = _write_above(axes, labels, LABEL_POINTS, seconds, bottom=2.0)
    spans = text.word_spans
    words = [((start + end) / 2 * frame_seconds, word) for word, start, end in spans]
    _write_above(axes, words, WORD_POINTS, seconds, bottom=top + 3.0)
    edges = [frame * frame_seconds for _, start, end in spans for frame in (start, end)]
    axes.vlines(edges, 0, mel.shape[1], color="white", linewidth=1.0)
    axes.set_xlim(0, seconds)


def label_rows(middles: Sequence[float], widths: Sequence[float], most_rows: int = 4, least_rows: int = 1) -> list[int]:
    """A row for each label, so that those of a row do not touch: the lowest free one, or the one that is free first.

    Args:
        middles: where the labels are centred, ascending, in the unit of ``widths``.
        least_rows: the rows are taken in turn up to here, whether or not there is room in one.
    """
    ends = [-np.inf] * most_rows
    rows = []
    for number, (middle, width) in enumerate(zip(middles, widths, strict=True)):
        in_turn = [(number + shift) % least_rows for shift in range(least_rows)]
        order = [*in_turn, *range(least_rows, most_rows)]
        row = next((row for row in order if ends[row] <= middle - width / 2), int(np.argmin(ends)))
        ends[row] = middle + width / 2
        rows.append(row)
    return rows


def save_alignment(
    path: Path, mel: Float[np.ndarray, "T M"], text: TimedText | None, frame_seconds: float, title: str = ""
) -> None:
    """`draw_alignment` as a PNG that is as wide as its symbols need."""
    figure = new_figure(width=_wide(0 if text is None else len(text.symbols)), height=3.6)
    axes = figure.subplots()
    draw_alignment(axes, mel, text, frame_seconds)
    figure.suptitle(title, fontsize=8, parse_math=False)
    save_figure(figure, path)


def save_durations(path: Path, texts: Mapping[str, TimedText], frame_seconds: float, title: str = "") -> None:
    """One panel of bars for each text, all to one scale: the milliseconds of each symbol."""
    longest = max(len(text.symbols) for text in texts.values())
    figure = new_figure(width=_wide(longest), height=2.0 * len(texts))
    grid = figure.subplots(len(texts), 1, squeeze=False, sharey=True)[:, 0]
    for axes, (name, text) in zip(grid, texts.items(), strict=True):
        places = np.arange(len(text.symbols))
        axes.bar(places, 1000 * frame_seconds * np.asarray(text.durations), width=0.8)
        # Every other label stands a line lower: neighbours do not touch.
        labels = ["\n" * (place % 2) + symbol_label(symbol) for place, symbol in enumerate(text.symbols)]
        axes.set_xticks(places, labels, parse_math=False)
        axes.set_xlim(-1, longest)
        axes.tick_params(labelsize=7, length=0)
        axes.tick_params(axis="x", labelsize=LABEL_POINTS)
        axes.set_ylabel(f"{name}\nms", fontsize=8, parse_math=False)
    figure.suptitle(title, fontsize=8, parse_math=False)
    save_figure(figure, path)


def pitch(wave: Float[np.ndarray, " N"], sample_rate: int) -> Float[np.ndarray, " T"]:
    """F0 in Hz every 10 ms by probabilistic YIN, NaN where there is no voice or next to no sound.

    Source: Mauch and Dixon, pYIN (ICASSP 2014), in librosa.
    """
    import librosa
    import soxr

    if sample_rate != F0_RATE_HZ:
        wave = soxr.resample(wave, sample_rate, F0_RATE_HZ)
    found, is_voiced, probability = librosa.pyin(
        wave, fmin=F0_HZ[0], fmax=F0_HZ[1], sr=F0_RATE_HZ, frame_length=F0_WINDOW, hop_length=F0_HOP
    )
    # The tracker calls the hum of a silence a voice, most often at its lowest pitch.
    energy = librosa.feature.rms(y=wave, frame_length=F0_ENERGY_WINDOW, hop_length=F0_HOP)[0, : len(found)]
    level = 20 * np.log10(np.maximum(energy, 1e-9) / max(energy.max(), 1e-9))  # dB
    is_sure = (level > F0_QUIET_DB) | (probability >= F0_LEAST_VOICED)
    return np.where(is_voiced & is_sure & (level > F0_SILENT_DB), found, np.nan)


def save_pitch(path: Path, waves: Mapping[str, tuple[Float[np.ndarray, " _"], int]], title: str = "") -> None:
    """F0 of each wave (samples, Hz) over its own time, with the median in the legend."""
    figure = new_figure(width=8.0, height=2.6)
    axes = figure.subplots()
    for name, (wave, sample_rate) in waves.items():
        found = pitch(wave, sample_rate)
        is_voiced = ~np.isnan(found)
        middle = f"median {np.median(found[is_voiced]):.0f} Hz" if is_voiced.any() else "no voice found"
        axes.plot(np.arange(len(found)) * F0_HOP / F0_RATE_HZ, found, linewidth=1.2, label=f"{name}, {middle}")
    axes.set_xlim(left=0)
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
    save_figure(figure, path)


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
        raise no_trace()
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
        code_seconds = len(chunk.mel) / len(chunk.codes) / mel_rate_hz
        save_unmasking(still, animation, chunk.trace, code_seconds, chunk.text)
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


def _write_above(
    axes: "Axes", labels: Sequence[tuple[float, str]], size: float, seconds: float, bottom: float
) -> float:
    """Write labels (second, text) above the axes in as many rows as they need; points above the axes where they end."""
    inches = axes.get_figure().get_figwidth() - 0.8  # about what the axes have
    scale = 72 * inches / seconds
    widths = [size * (0.62 * len(text) + 0.4) for _, text in labels]
    rows = label_rows([second * scale for second, _ in labels], widths, least_rows=2 if size == LABEL_POINTS else 1)
    for (second, text), row in zip(labels, rows, strict=True):
        axes.annotate(
            text, (second, 1), (0, bottom + 1.25 * size * row), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", fontsize=size, parse_math=False,
        )  # fmt: skip
    return bottom + 1.25 * size * (max(rows, default=-1) + 1)


def _wide(num_symbols: int) -> float:
    """Inches that the labels of so many symbols need."""
    return min(20.0, max(7.0, 1 + 0.2 * num_symbols))
