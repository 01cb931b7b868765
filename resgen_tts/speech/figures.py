"""Figures in memory: made without a display, saved with the same bytes each time."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from resgen_tts.common.run_dir import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(*, width: float, height: float) -> "Figure":
    """An empty figure of that size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # no pyplot: it keeps figures alive and wants a display

    figure = Figure(figsize=(width, height), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_figure(figure: "Figure", path: io.BytesIO | None = None) -> None:
    """Draw into memory, or into a PNG that has the same bytes from any version."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a letter that the font lacks is drawn as a box
        if path is None:
            figure.canvas.draw()
        else:
            figure.savefig(path, format="png", metadata={"Software": None})


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG, whole or not at all."""
    buffer = io.BytesIO()
    draw_figure(figure, buffer)
    write_bytes(path, buffer.getvalue())
