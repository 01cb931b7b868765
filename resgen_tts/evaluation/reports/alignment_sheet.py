"""Pictures of alignments: the mel of each recording, one system's borders and words above, another's below."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.run_dir import write_bytes
from resgen_tts.evaluation.measures.timed import Span, Timed

ABOVE, BELOW = "#d1495b", "#00798c"
SPREAD = 9.0  # of the natural-log mel below its loudest point that the greys show
COLOURS = (64, 32, 16, 8)  # tried in this order until a picture is small enough


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One recording."""

    title: str
    mel: Float[np.ndarray, "T M"]
    seconds: float
    above: Timed
    below: Timed


def draw_alignments(
    path: Path,
    panels: Sequence[Panel],
    *,
    names: tuple[str, str],
    columns: int,
    inches: tuple[float, float],
    with_phones: bool = True,
    max_bytes: int | None = None,
) -> None:
    """Draw panels row by row into a PNG file.

    Args:
        names: of the systems above and below, for the legend.
        columns: panels side by side.
        inches: width and height of a panel, at 100 dots an inch.
        with_phones: also short strokes at the phones' borders.
        max_bytes: colours are reduced until the file is as small; the last try is written all the same.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # no pyplot: it keeps figures alive and wants a display

    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * inches[0], rows * inches[1] + 0.3), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    size = 7.0 if inches[0] > 4 else 4.5
    for axes, panel in zip(grid, panels, strict=False):
        loudest = float(panel.mel.max())
        axes.imshow(
            panel.mel.T, origin="lower", aspect="auto", extent=(0, panel.seconds, 0, 1), cmap="gray_r",
            vmin=loudest - SPREAD, vmax=loudest, interpolation="nearest",
        )  # fmt: skip
        axes.set_title(panel.title, fontsize=size, loc="left", pad=size + 3, parse_math=False)
        axes.set_yticks([])
        axes.tick_params(labelsize=size - 0.5, length=2, pad=size + 2)
        for timed, colour, half in ((panel.above, ABOVE, (0.5, 1.0)), (panel.below, BELOW, (0.0, 0.5))):
            _draw_words(axes, timed.words, colour, half, size)
            if with_phones:
                edge = (0.88, 1.0) if half[1] == 1.0 else (0.0, 0.12)
                axes.vlines(_borders(timed.phones), *edge, colors=colour, linewidth=0.6)
        axes.set_xlim(0, panel.seconds)
        axes.set_ylim(0, 1)
    figure.suptitle(f"above: {names[0]}, below: {names[1]}", fontsize=8, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})  # the same bytes from any version
    write_bytes(path, buffer.getvalue() if max_bytes is None else _smaller(buffer, max_bytes))


def _draw_words(axes, words: Sequence[Span], colour: str, half: tuple[float, float], size: float) -> None:
    axes.vlines(_borders(words), *half, colors=colour, linewidth=0.9)
    above = half[1] == 1.0
    for word in words:
        axes.annotate(
            word.label,
            ((word.start + word.end) / 2, half[1] if above else half[0]),
            xytext=(0, 1 if above else -1),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=size,
            color=colour,
            parse_math=False,
        )


def _borders(spans: Sequence[Span]) -> list[float]:
    return sorted({one.start for one in spans} | {one.end for one in spans})


def _smaller(png: io.BytesIO, max_bytes: int) -> bytes:
    """The picture with as many colours as fit."""
    from PIL import Image  # comes with matplotlib

    picture = Image.open(png).convert("RGB")
    for colours in COLOURS:
        buffer = io.BytesIO()
        picture.quantize(colours).save(buffer, format="png", optimize=True)
        if buffer.tell() <= max_bytes:
            break
    return buffer.getvalue()
