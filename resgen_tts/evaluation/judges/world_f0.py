"""Fundamental frequency by WORLD's DIO and StoneMask, through the package ``pyworld``."""

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import require
from resgen_tts.evaluation.waves import SCORING_RATE

FRAME_SECONDS = 0.005
LOWEST_HZ, HIGHEST_HZ = 71.0, 800.0  # WORLD's own limits


def world_f0(wave: Float[np.ndarray, "N"]) -> Float[np.ndarray, "T"]:
    """Hz at every 5 ms, 0 where there is no voice.

    DIO and not Harvest, which takes twenty times as long and calls more of what has no voice voiced (3 to 9 % of white
    noise; DIO: 0.4 %). A single frame an octave off weighs much in a root mean square: copies by WORLD
    itself, whose pitch is known, seem 180 to 380 cents off by Harvest, 45 to 130 by DIO.

    Args:
        wave: samples at 16 kHz.
    Raises:
        MissingExtraError: the extra ``eval`` is not installed.
    Source: DIO (Morise et al., AES 35th conference, 2009); WORLD (Morise et al., IEICE Trans. E99-D, 2016).
    """
    library = require("pyworld", extra="eval")
    samples = np.ascontiguousarray(wave, np.float64)
    coarse, times = library.dio(
        samples, SCORING_RATE, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=1000 * FRAME_SECONDS
    )
    return library.stonemask(samples, coarse, times, SCORING_RATE)
