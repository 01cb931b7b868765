"""Mel pictures of an item: prompt, recording and outputs on one scale of time and level."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.run_dir import write_bytes
from resgen_tts.evaluation.measures.reconstruction import HOP_SAMPLES, log_mel
from resgen_tts.evaluation.waves import SCORING_RATE


def draw_mels(path: Path, waves: Mapping[str, Float[np.ndarray, "_"]], title: str) -> None:
    """Draw one log-mel below the other into a PNG file.

    Args:
        path: file to write.
        waves: name -> samples at 16 kHz, in the order to draw.
        title: of the whole picture; plain text.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # no pyplot: it keeps figures alive and wants a display

    mels = {name: log_mel(wave) for name, wave in waves.items()}
    longest = max(len(mel) for mel in mels.values()) * HOP_SAMPLES / SCORING_RATE
    loudest = max(float(mel.max()) for mel in mels.values())
    figure = Figure(figsize=(8, 0.6 + 1.1 * len(mels)), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, mel) in zip(figure.subplots(len(mels), 1, squeeze=False)[:, 0], mels.items(), strict=True):
        seconds = len(mel) * HOP_SAMPLES / SCORING_RATE
        axes.imshow(
            mel.T,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, mel.shape[1]),
            vmin=loudest - 9,
            vmax=loudest,
            interpolation="nearest",
        )
        axes.set_xlim(0, longest)
        axes.set_yticks([])
        axes.set_ylabel(name, fontsize=8)
        axes.tick_params(labelsize=7)
    axes.set_xlabel("seconds", fontsize=8)
    figure.suptitle(title, fontsize=8, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})  # the same bytes from any version
    write_bytes(path, buffer.getvalue())
