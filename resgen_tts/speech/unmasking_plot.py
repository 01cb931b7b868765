"""The order in which the codes of an utterance were fixed: a picture of the whole, and an animation of the steps."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import write_bytes
from resgen_tts.speech.figures import draw_figure, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS, MOST_COLOURS = "viridis", 180  # shades of the animation's palette; the others are its greys
HIDDEN_COLOUR = (220, 220, 220)
MOST_STATES = 60  # pictures of the animation; of more steps some are passed over
STEP_MS, LAST_STEP_MS = 120, 1500  # how long the animation shows a step


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


def save_unmasking(
    still: Path, animation: Path, trace: Sequence[Int[np.ndarray, "L D"]], frame_seconds: float, title: str = ""
) -> None:
    """The order in which codes were fixed: a GIF step by step, and a PNG of the whole. Level 0 is at the bottom.

    Steps are counted in calls of the network, from 1: one for which the schedule reveals nothing is not made.

    Args:
        frame_seconds: of a code frame.
    Raises:
        ConfigError: TRACE_MISSING where no trace was kept.
    """
    if len(trace) < 2:
        raise no_trace()
    fixed = fixed_at_step(trace)
    figure, _ = _step_map(fixed[-1], len(fixed) - 1, frame_seconds, title)
    save_figure(figure, still)
    write_bytes(animation, _animation(fixed, frame_seconds, title))


def no_trace() -> ConfigError:
    """The error where the steps are asked for and were not kept."""
    return ConfigError(
        "the synthesis kept no trace of its steps.", code="TRACE_MISSING", hint="Speak with keep_trace=True."
    )


def _step_map(fixed: Int[np.ndarray, "L D"], steps: int, frame_seconds: float, title: str) -> tuple["Figure", "Axes"]:
    """Seconds x levels, each code in the colour of its step; 0 = hidden."""
    from matplotlib import colormaps

    frames, depth = fixed.shape
    figure = new_figure(width=8.0, height=1.4 + 0.14 * depth)
    axes = figure.subplots()
    axes.set_facecolor([value / 255 for value in HIDDEN_COLOUR])
    shown = axes.imshow(
        np.where(fixed.T > 0, fixed.T, np.nan),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=colormaps[COLOURS].resampled(min(steps, MOST_COLOURS)),
        vmin=0.5,
        vmax=steps + 0.5,
        extent=(0, frames * frame_seconds, -0.5, depth - 0.5),
    )
    axes.set_xlabel("seconds", fontsize=8)
    axes.set_ylabel("level, 0 coarsest", fontsize=8)
    axes.tick_params(labelsize=7)
    ticks = np.unique(np.linspace(1, steps, min(steps, 6)).round().astype(int))
    bar = figure.colorbar(shown, ax=axes, ticks=ticks)
    bar.set_label(f"fixed by step (1 to {steps})", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.ax.minorticks_off()
    figure.suptitle(title, fontsize=8, parse_math=False)
    return figure, axes


def _animation(fixed: Int[np.ndarray, "S_plus_1 L D"], frame_seconds: float, title: str) -> bytes:
    """The step map of nothing, drawn once, and every state's codes painted into it."""
    from matplotlib import colormaps
    from PIL import Image, ImageDraw

    steps, frames, depth = len(fixed) - 1, *fixed.shape[1:]
    figure, axes = _step_map(np.zeros_like(fixed[0]), steps, frame_seconds, title)
    axes.set_title(" ", fontsize=9)  # room for the number of the step
    draw_figure(figure)
    canvas = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())

    # Colour 0 is what is hidden, then come the steps' shades, then greys from black to white for the writing; the last
    # one, which occurs nowhere else, is what stays as it was in the picture before: that keeps the file small.
    shades = min(steps, MOST_COLOURS)
    coloured = (colormaps[COLOURS].resampled(shades)(np.arange(shades))[:, :3] * 255).round().astype(int)
    greys = np.linspace(0, 255, 254 - shades).round().astype(int).repeat(3)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*HIDDEN_COLOUR, *coloured.ravel().tolist(), *greys.tolist(), 255, 0, 255])
    canvas = canvas.quantize(palette=palette, dither=Image.Dither.NONE)
    colour = np.where(fixed > 0, 1 + (fixed - 1) * shades // steps, 0).astype(np.uint8)

    box = axes.get_window_extent()
    across = np.arange(int(box.x0) + 2, int(box.x1) - 1)  # pixels within the frame, from the left
    upwards = np.arange(int(box.y0) + 2, int(box.y1) - 1)  # from the bottom
    frame = ((across + 0.5 - box.x0) / box.width * frames).astype(int)
    level = ((upwards + 0.5 - box.y0) / box.height * depth).astype(int)
    states = np.unique(np.linspace(0, steps, min(steps + 1, MOST_STATES)).round().astype(int))
    whole = []
    for step in states:
        pixels = np.array(canvas)
        pixels[np.ix_(canvas.height - 1 - upwards, across)] = colour[step][frame][:, level].T
        picture = Image.fromarray(pixels)
        draw = ImageDraw.Draw(picture)
        draw.fontmode = "1"  # no grey letters
        draw.text((across[0], canvas.height - box.y1 - 15), f"step {step} of {steps}", fill=1 + shades)
        whole.append(np.asarray(picture))
    pictures = [
        Image.fromarray(now if before is None else np.where(now == before, 255, now).astype(np.uint8))
        for before, now in zip([None, *whole], whole, strict=False)
    ]
    for picture in pictures:
        picture.putpalette(palette.getpalette())
    shown_ms = [STEP_MS] * (len(states) - 1) + [LAST_STEP_MS]
    buffer = io.BytesIO()
    first, *others = pictures
    first.save(
        buffer, format="GIF", save_all=True, append_images=others, duration=shown_ms, loop=0,
        optimize=False, disposal=1, transparency=255,
    )  # fmt: skip
    return buffer.getvalue()
