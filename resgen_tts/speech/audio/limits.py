"""How much of a recording is accepted, and the place where its samples are gathered within that."""

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError, ConfigError

_GROWTH_BYTES = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class AudioLimits:
    """What is accepted. The values are those for a file that a user hands in."""

    max_bytes: int = 50_000_000
    max_seconds: float = 600.0
    max_decoded_bytes: int = 256 * 2**20  # as float32, all channels
    min_rate: int = 8000  # Hz
    max_rate: int = 192_000  # Hz
    max_channels: int = 8
    max_wall_seconds: float = 10.0  # for decoding one file
    follow_links: bool = False  # True where the caller has checked where a symbolic link leads

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_seconds", "max_decoded_bytes", "max_channels", "max_wall_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"limits.{name} must be positive, got {getattr(self, name)}")
        if not 0 < self.min_rate <= self.max_rate:
            raise ConfigError(f"limits.min_rate {self.min_rate} must be positive and at most max_rate {self.max_rate}")

    def check_layout(self, rate: int, channels: int, name: str) -> None:
        """Refuse what a header says about its samples.

        Raises:
            AudioError: AUDIO_SAMPLE_RATE or AUDIO_CHANNELS.
        """
        if not self.min_rate <= rate <= self.max_rate:
            raise AudioError(
                f"{name} has a sample rate of {rate} Hz; {self.min_rate} to {self.max_rate} Hz are accepted.",
                code="AUDIO_SAMPLE_RATE",
                hint="Resample it to 16 kHz or more.",
            )
        if not 1 <= channels <= self.max_channels:
            raise AudioError(
                f"{name} has {channels} channels, 1 to {self.max_channels} are accepted.",
                code="AUDIO_CHANNELS",
                hint="Mix it down.",
            )

    def check_amount(self, frames: int, rate: int, channels: int, name: str) -> None:
        """Refuse more samples than are accepted, announced or decoded so far.

        Raises:
            AudioError: AUDIO_TOO_LONG or AUDIO_TOO_LARGE.
        """
        if frames > self.max_seconds * rate:
            raise AudioError(
                f"{name} is {frames / rate:.0f} s long or more, the limit is {self.max_seconds:.0f} s.",
                code="AUDIO_TOO_LONG",
                hint="Cut it into pieces.",
            )
        if frames * channels * 4 > self.max_decoded_bytes:
            raise AudioError(
                f"{name} takes {frames * channels * 4 / 2**20:.0f} MiB decoded, the limit is "
                f"{self.max_decoded_bytes / 2**20:.0f} MiB.",
                code="AUDIO_TOO_LARGE",
                hint="Cut it, mix it down, or lower its rate.",
            )


class Gathered:
    """Samples as a decoder gives them, within the limits; they are never in memory twice.

    Args:
        frames: how many the header announces; 0 where it does not. More or fewer may come.
        name: of the file, for messages.
    """

    def __init__(self, *, rate: int, channels: int, frames: int, name: str, limits: AudioLimits):
        limits.check_layout(rate, channels, name)
        limits.check_amount(frames, rate, channels, name)
        self.rate, self.num_frames = rate, 0
        self._name, self._limits = name, limits
        self._deadline = time.monotonic() + limits.max_wall_seconds
        self._samples = np.empty((frames, channels), np.float32)  # not touched, so not taken, before samples come

    def add(self, block: Float[np.ndarray, "N K"]) -> None:
        """Take the next samples.

        Raises:
            AudioError: AUDIO_TOO_LONG or AUDIO_TOO_LARGE, by length, memory or time.
        """
        channels, end = self._samples.shape[1], self.num_frames + len(block)
        self._limits.check_amount(end, self.rate, channels, self._name)
        self.check_time()
        if end > len(self._samples):
            # In place where the system can: numpy asks for a reallocation, and large blocks are moved by their pages.
            room = end + _GROWTH_BYTES // (4 * channels)
            self._samples.resize((room, channels), refcheck=False)
        self._samples[self.num_frames : end] = block
        self.num_frames = end

    def check_time(self) -> None:
        """To be called where a decoder may work without giving samples.

        Raises:
            AudioError: AUDIO_TOO_LARGE.
        """
        if time.monotonic() > self._deadline:
            raise AudioError(
                f"{self._name} was not decoded within {self._limits.max_wall_seconds:.0f} s.",
                code="AUDIO_TOO_LARGE",
                hint="Cut it.",
            )

    def samples(self) -> Float[np.ndarray, "N K"]:
        """All samples, which are the caller's now."""
        self._samples.resize((self.num_frames, self._samples.shape[1]), refcheck=False)
        return self._samples


@dataclass(frozen=True)
class Decoded:
    """What a decoder found.

    Attributes:
        channels: float32 [N, K], not checked.
        rate: Hz.
        is_complete: as many samples came as were announced, or nothing was.
    """

    channels: Float[np.ndarray, "N K"]
    rate: int
    is_complete: bool


CONVERT_HINT = "Copy or convert it again."


def corrupt(name: str, container: str, why: str) -> AudioError:
    """AUDIO_CORRUPT, with what the decoder said."""
    said = " ".join("".join(letter if letter.isprintable() else " " for letter in why).split())
    return AudioError(f"{name} looks like {container} but is damaged: {said[:200].rstrip('.')}.", hint=CONVERT_HINT)
