"""Tables and a picture of the schemes side by side, from the figures that ``bench schemes`` measures."""

import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resgen_tts.common.run_dir import write_bytes

NOT_MEASURED = "–"
_QUALITY_NOTE = (
    "Frechet distances are to {samples} real test pictures, whose distance to others like them is the least that can "
    "be told from 0. Nats per code of a mixture are of a density: not to be compared with those of schemes over codes."
)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns also line up in a terminal."""
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def speed_table(speed: Mapping[str, Mapping[str, Any]], reference: str) -> str:
    """One row a scheme: size, network calls, median seconds of a generation and their ratio to the reference's."""
    header = [
        "scheme",
        "parameters",
        "width x layers",
        "steps",
        "network calls",
        "seconds",
        f"/ {reference}",
        "peak MiB",
    ]
    base = speed[reference]["seconds"]["median"]
    rows = []
    for name, figures in speed.items():
        peak = figures.get("peak_bytes")
        rows.append(
            [
                name, f"{figures['parameters'] / 1e6:.3f} M", f"{figures['width']} x {figures['layers']}",
                figures["steps_note"], calls_text(figures["calls"]), f"{figures['seconds']['median']:.4f}",
                f"{figures['seconds']['median'] / base:.2f}", NOT_MEASURED if peak is None else f"{peak / 2**20:.1f}",
            ]
        )  # fmt: skip
    return table(header, rows)


def depth_table(depths: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """One row a scheme: median seconds by depth, their ratio to those of the first depth, steps where they differ."""
    levels = list(next(iter(depths.values())))
    rows = []
    for name, by_depth in depths.items():
        figures = [by_depth[level] for level in levels]
        first = figures[0]["seconds"]["median"]
        is_equal = len({one["steps"] for one in figures}) == 1
        rows.append(
            [name]
            + [
                f"{one['seconds']['median']:.4f} ({one['seconds']['median'] / first:.2f})"
                + ("" if is_equal else f", {one['steps']} steps")
                for one in figures
            ]
        )
    return table(["seconds at depth", *levels], rows)


def draw_depths(path: Path, depths: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Seconds of a generation against depth, both axes logarithmic, one line a scheme; a PNG."""
    from matplotlib.figure import Figure  # no pyplot: it keeps figures alive and wants a display

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for name, by_depth in depths.items():
        seconds = [figures["seconds"]["median"] for figures in by_depth.values()]
        axis.plot([int(level) for level in by_depth], seconds, marker="o", label=name)
    axis.set(xscale="log", yscale="log", xlabel="depth (levels of codes)", ylabel="seconds of one generation")
    ticks = [int(level) for level in next(iter(depths.values()))]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def quality_table(quality: Mapping[str, Any]) -> str:
    """One row for each checkpoint and guidance weight, the mean of a scheme's checkpoints behind them; then bounds."""
    header = ["scheme", "checkpoint", "w", "Frechet", "class agreement", "nats / code", "network calls"]
    header += ["s / picture, alone", "in a batch"]
    rows = []
    for scheme in dict.fromkeys(row["scheme"] for row in quality["checkpoints"]):
        figures = [row for row in quality["checkpoints"] if row["scheme"] == scheme]
        rows += [[scheme, row["run"], *_cells([row])] for row in figures]
        for weight in dict.fromkeys(row["guidance_end"] for row in figures):
            same = [row for row in figures if row["guidance_end"] == weight]
            if len(same) > 1:
                rows.append([scheme, f"mean of {len(same)}", *_cells(same)])
    for name, real in quality["real"].items():
        rows.append(
            ["real pictures", name, NOT_MEASURED, f"{real['frechet']:.3f}", f"{100 * real['agreement']:.2f} %"]
            + [NOT_MEASURED] * 4
        )
    return f"{table(header, rows)}\n\n{_QUALITY_NOTE.format(samples=quality['samples'])}"


def calls_text(calls: Mapping[str, int]) -> str:
    """``16``, or ``64 + 512`` where a smaller network is called too."""
    return " + ".join(str(count) for count in calls.values())


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Figures of one checkpoint at one weight, or of several."""
    return [
        f"{rows[0]['guidance_end']:g}",
        _mean([row["frechet"] for row in rows], "{:.3f}"),
        _mean([row["agreement"] for row in rows], "{:.2f} %", 100.0),
        _mean([row["nats_per_code"] for row in rows], "{:.3f}"),
        rows[0]["network_calls"],
        _mean([row["seconds_alone"] for row in rows], "{:.4f}"),
        _mean([row["seconds_in_batch"] for row in rows], "{:.4f}"),
    ]


def _mean(values: Sequence[float | None], form: str, scale: float = 1.0) -> str:
    """The mean, and half of the range of several; a dash where one was not measured."""
    if any(value is None for value in values):
        return NOT_MEASURED
    mean = form.format(scale * statistics.mean(values))
    return mean if len(values) == 1 else f"{mean} ± {form.format(scale * (max(values) - min(values)) / 2)}"
