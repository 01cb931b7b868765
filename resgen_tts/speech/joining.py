"""Chunks of speech to one wave: pauses of a fixed length between them, and no click."""

import numpy as np
from jaxtyping import Float, Int

from resgen_tts.speech.audio.checks import FRAME_SECONDS, frame_levels_db

HELD_SECONDS = 0.01  # kept beside what is heard as speech
EDGE_SECONDS = 0.003  # fade at an edge that has no silence
BELOW_LOUD_DB = 35.0  # what is so far under the loud frames is silence ...
ABOVE_FLOOR_DB = 10.0  # ... and so is the noise of a room, up to here over its level


def spoken_span(
    wave: Float[np.ndarray, " N"], sample_rate: int, durations: Int[np.ndarray, " S"] | None, hop_samples: int
) -> tuple[int, int]:
    """Samples that must not be cut off: those between the planned end silences, and all that is heard as speech.

    Args:
        durations: mel frames of each symbol, silence first and last; None where they are not known.
        hop_samples: of a mel frame.
    """
    levels, size = frame_levels_db(wave, sample_rate), max(1, round(FRAME_SECONDS * sample_rate))
    start, stop = len(wave), 0
    quiet, quietest = levels, 5
    if durations is not None:
        start, stop = int(durations[0]) * hop_samples, len(wave) - int(durations[-1]) * hop_samples
        quiet, quietest = np.concatenate([levels[: start // size], levels[-(-stop // size) :]]), 20
    if len(levels) < 3:
        return min(start, stop), max(start, stop)
    floor = np.percentile(quiet, quietest) if len(quiet) else -np.inf  # speech may have spilt into some of it
    held = np.minimum(np.minimum(levels[:-2], levels[1:-1]), levels[2:])  # three frames in a row: no click
    heard = np.flatnonzero(held > max(np.percentile(levels, 95) - BELOW_LOUD_DB, floor + ABOVE_FLOOR_DB))
    if len(heard):
        spare = round(HELD_SECONDS * sample_rate)
        start = min(start, max(0, int(heard[0]) * size - spare))
        stop = max(stop, min(len(wave), int(heard[-1] + 3) * size + spare))
    return min(start, stop), max(start, stop)  # of a chunk of unknown plan in which nothing stands out: all of it


class Joiner:
    """Joins chunks as they come: what :meth:`add` returns, one behind the other, is the whole wave.

    Between two chunks there is a pause of the length asked for, made of the end of one's closing and the beginning of
    the other's opening silence, which cross-fade with equal power; where they are too short, zeros between them. Speech
    is never cut. Only as many samples as a cross-fade has are held back.
    """

    def __init__(self, sample_rate: int, cross_fade_seconds: float):
        self.fade = round(cross_fade_seconds * sample_rate)
        self.edge = max(1, round(EDGE_SECONDS * sample_rate))
        self.given = 0  # samples returned so far
        self._held: np.ndarray | None = None  # faded end of the chunk before
        self._pause = 0  # samples that the next chunk's speech must begin behind the end of _held

    def add(
        self,
        wave: Float[np.ndarray, " N"],
        span: tuple[int, int],
        pause_samples: int | None,
        total_samples: int | None = None,
    ) -> Float[np.ndarray, " M"]:
        """The next samples of the whole.

        Args:
            wave: of the next chunk.
            span: its speech, in samples.
            pause_samples: between its speech and the next chunk's; None for the last chunk.
            total_samples: what the whole shall have; the last chunk's closing silence is cut or filled for it.
        """
        start, stop = span
        if self._held is None:
            spoken = wave[:stop]
        else:
            num_silent = min(start, max(0, len(self._held) + self._pause))  # of the opening silence that fit
            spoken = self._seam(wave[start - num_silent : stop], num_silent)
        if pause_samples is None:
            body = self._fit(np.concatenate([spoken, wave[stop:]]), len(wave) - stop, total_samples)
        else:
            kept = min(len(wave) - stop, (pause_samples + self.fade + 1) // 2)
            body = np.concatenate([spoken, wave[stop : stop + kept]])
            faded = self._fade_samples(kept, len(body))
            self._held, self._pause = body[len(body) - faded :] * _fall(faded), pause_samples - kept
            body = body[: len(body) - faded]
        self.given += len(body)
        return body.astype(np.float32)

    def _seam(self, wave: np.ndarray, num_silent: int) -> np.ndarray:
        """The held end, the pause, and a wave that begins with so many silent samples."""
        raised = self._fade_samples(num_silent, len(wave))
        wave = wave.copy()
        wave[:raised] *= _fall(raised)[::-1]
        place = max(0, len(self._held) + self._pause - num_silent)  # of the wave behind the beginning of what is held
        whole = np.zeros(max(len(self._held), place + len(wave)), dtype=np.float32)
        whole[: len(self._held)] = self._held
        whole[place : place + len(wave)] += wave
        return whole

    def _fade_samples(self, num_silent: int, size: int) -> int:
        """A cross-fade within the silence; where there is none, just enough against a click."""
        return min(max(min(self.fade, num_silent), self.edge), size)

    def _fit(self, body: np.ndarray, num_silent: int, total_samples: int | None) -> np.ndarray:
        """Cut the closing silence, or fill it with zeros, for a length that was asked for."""
        missing = 0 if total_samples is None else total_samples - self.given - len(body)
        if missing == 0:
            return body
        body = body[: len(body) - min(max(0, -missing), num_silent)].copy()
        faded = min(self.edge, len(body))
        body[len(body) - faded :] *= _fall(faded)
        return np.pad(body, (0, max(0, missing)))


def _fall(size: int) -> Float[np.ndarray, " N"]:
    """A fall from 1 to 0 whose square, and that of its mirror image, add up to 1."""
    return np.cos((np.arange(size) + 0.5) / max(1, size) * (np.pi / 2)).astype(np.float32)
