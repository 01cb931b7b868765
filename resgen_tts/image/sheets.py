"""Contact sheets: rows of small pictures on one page."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from resgen_tts.image.dataset import to_bytes


def draw_sheet(path: Path, rows: Sequence[tuple[str, Tensor]]) -> None:
    """Draw rows of pictures [N, 1|3, H, W] in [-1, 1], each with its name; a PNG."""
    from matplotlib.figure import Figure  # needs no display and no global state

    columns = max(len(images) for _, images in rows)
    figure = Figure(figsize=(0.7 * columns + 0.3, 0.95 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes, (title, images) in zip(grid, rows, strict=True):
        axes[0].set_title(title, fontsize=7, loc="left")
        for axis in axes:
            axis.set_axis_off()
        for axis, image in zip(axes, to_bytes(images.detach().cpu()), strict=False):
            axis.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=255, interpolation="none")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
