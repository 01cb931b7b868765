"""A sound that a watermark can hide in: a voice that hums, its pitch and its formant on the move."""

import numpy as np


def voice_like(seconds: float = 4.0, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """[N] float32, peak about 0.6, with short pauses."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time) + 10 * np.sin(2 * np.pi * 3.1 * time)  # Hz
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formant = 600 + 300 * np.sin(2 * np.pi * 1.3 * time)  # Hz
    wave = np.zeros(len(time))
    for partial in range(1, min(30, rate // 360)):
        wave += np.exp(-(((partial * 130 - formant) / 500) ** 2)) * np.sin(partial * phase)
    wave *= np.clip(np.sin(2 * np.pi * 2.1 * time) + 0.6, 0, 1)
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.1 * wave + 0.001 * noise).astype(np.float32)
