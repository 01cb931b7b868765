"""Reference recordings made fit to lead a sentence: trimmed, brought to one level, cut between two words."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.audio.checks import FRAME_SECONDS, frame_levels_db, speech_span

HIGHEST_PEAK = 0.97  # what a gain may lift the loudest sample to
SPEECH_BELOW_LOUD_DB = 35.0  # frames up to here under the loud ones are speech
QUIET_BELOW_SPEECH_DB = 20.0  # frames so far under the speech belong to a pause
SHORTEST_PAUSE_SECONDS = 0.12  # a shorter quiet moment may be the closure of a plosive
GAP_REACH_SECONDS = 0.05  # by so much an aligned gap between words is widened; half of its pause must lie in it
PAUSE_WORTH = 20.0  # seconds of prompt that one second of pause at the cut is worth ...
LONGEST_PAUSE_SECONDS = 0.4  # ... up to a pause of this length


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """What is done to a reference before it becomes codes; every step can be left out.

    The default level is that of the speech in public corpora (medians of -25.6 dB in LibriSpeech, -21.6 in VCTK,
    -20.0 in LJ Speech, -23 in the recipe's mini corpus).
    """

    trim: bool = True  # cut silence at both ends
    keep_seconds: float = 0.1  # of the silence where something is cut off
    level_db: float | None = -24.0  # RMS of the speech, relative to full scale; None leaves it as it is
    shortest_seconds: float = 3.0  # a longer reference is cut at a pause from here ...
    longest_seconds: float | None = 12.0  # ... to here; None cuts nothing
    closing_seconds: float = 0.1  # of silence behind the last word, before the filling of the last code frame
    exact_seconds: float | None = None  # the first so many seconds in whole code frames, and nothing else is done
    refuse_misfit: bool = True  # a transcript that certainly is of something else is an error; else a warning

    def __post_init__(self):
        if min(self.keep_seconds, self.closing_seconds) < 0:
            raise ConfigError(f"reference: keep_seconds and closing_seconds must be at least 0, got {self}")
        if self.level_db is not None and not -60 <= self.level_db <= 0:
            raise ConfigError(f"reference.level_db must lie in -60..0 dB, got {self.level_db}")
        if self.longest_seconds is not None and not 0 <= self.shortest_seconds < self.longest_seconds:
            raise ConfigError(
                f"reference: 0 <= shortest_seconds < longest_seconds, got {self.shortest_seconds}, "
                f"{self.longest_seconds}"
            )
        if self.exact_seconds is not None and not self.exact_seconds > 0:
            raise ConfigError(f"reference.exact_seconds must be positive, got {self.exact_seconds}")

    @classmethod
    def off(cls) -> "ReferenceConfig":
        """Nothing is done: the recording as it is, filled up to a whole code frame."""
        return cls(trim=False, level_db=None, longest_seconds=None, closing_seconds=0.0, refuse_misfit=False)

    @property
    def is_cut(self) -> bool:
        """Whether a long recording is cut, and its text with it."""
        return self.longest_seconds is not None or self.exact_seconds is not None

    @property
    def before_alignment(self) -> "ReferenceConfig":
        """What is done before the text is aligned; nothing where the beginning is wanted sample for sample."""
        return replace(self.off(), keep_seconds=self.keep_seconds) if self.exact_seconds is not None else self


@dataclass(frozen=True)
class CleanReference:
    """A recording after the steps that need no text.

    Attributes:
        start, stop: what was kept of the samples that came in.
        gain_db: what they were multiplied by.
    """

    samples: Float[np.ndarray, " N"]
    start: int
    stop: int
    gain_db: float


def clean(samples: Float[np.ndarray, " N"], sample_rate: int, config: ReferenceConfig) -> CleanReference:
    """Trim both ends and bring the speech to a level; no sample is lifted above :data:`HIGHEST_PEAK`."""
    steps = config.before_alignment
    start, stop = (
        speech_span(samples, sample_rate, below_loud_db=SPEECH_BELOW_LOUD_DB, keep_seconds=steps.keep_seconds)
        if steps.trim
        else (0, len(samples))
    )
    kept = samples[start:stop]
    gain_db = 0.0
    if steps.level_db is not None and (peak := float(np.abs(kept).max(initial=0.0))) > 0:
        gain_db = steps.level_db - speech_level_db(kept, sample_rate)
        gain_db = min(gain_db, max(0.0, 20 * np.log10(HIGHEST_PEAK / peak)))
        kept = (kept * np.float32(10 ** (gain_db / 20))).astype(np.float32)
    return CleanReference(kept, start, stop, float(gain_db))


def speech_level_db(samples: Float[np.ndarray, " N"], sample_rate: int) -> float:
    """RMS of the frames that hold speech, in dB relative to full scale: pauses do not make a voice quieter."""
    levels = frame_levels_db(samples, sample_rate)
    if not len(levels):
        return 10 * float(np.log10(max(np.square(samples, dtype=np.float64).mean(), 1e-12)))
    speech = levels[levels > np.percentile(levels, 95) - SPEECH_BELOW_LOUD_DB]
    return 10 * float(np.log10(np.mean(10 ** (speech / 10))))


@dataclass(frozen=True)
class Cut:
    """Where a reference ends: behind its first ``words`` words, at a time, in a pause of a length (0: in none)."""

    words: int
    seconds: float
    pause_seconds: float


def choose_cut(
    samples: Float[np.ndarray, " N"],
    sample_rate: int,
    spans: Float[np.ndarray, "W 2"],
    config: ReferenceConfig,
) -> Cut | None:
    """The border of two words at which a long reference is cut: a long pause, near the upper end.

    A border is worth its seconds and twenty times its pause's (up to 0.4 s); one without a pause is taken only where
    there is none with one. With an aligner of egs/custom, 91 % of the cuts of 46 utterances of LibriSpeech longer than
    12.5 s lie between the words, within 60 ms, by pocketsphinx's forced alignment; all of them in a pause.

    Args:
        samples: the whole recording.
        spans: begin and end of each word in seconds, in order.
    Returns:
        nothing where no border lies within the limits.
    """
    assert config.longest_seconds is not None
    runs = _quiet_runs(samples, sample_rate)
    cuts = []
    for index, (end, following) in enumerate(zip(spans[:-1, 1], spans[1:, 0], strict=True)):
        pause = _pause_between(runs, end - GAP_REACH_SECONDS, following + GAP_REACH_SECONDS)
        if pause is None:
            cuts.append(Cut(index + 1, float(end + following) / 2, 0.0))
        else:
            start, length = pause
            cuts.append(Cut(index + 1, start + min(config.keep_seconds, length / 2), length))
    within = [cut for cut in cuts if config.shortest_seconds <= cut.seconds <= config.longest_seconds]
    pauses = [cut for cut in within if cut.pause_seconds]
    return max(pauses or within, key=_worth, default=None)


def _worth(cut: Cut) -> float:
    return cut.seconds + PAUSE_WORTH * min(cut.pause_seconds, LONGEST_PAUSE_SECONDS)


def _quiet_runs(samples: Float[np.ndarray, " N"], sample_rate: int) -> Float[np.ndarray, "R 2"]:
    """Begin and end, in seconds, of the moments that are long and quiet enough for a pause."""
    is_quiet = frame_levels_db(samples, sample_rate) < speech_level_db(samples, sample_rate) - QUIET_BELOW_SPEECH_DB
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_quiet, [False]]).astype(np.int8)))
    runs = edges.reshape(-1, 2) * FRAME_SECONDS
    return runs[runs[:, 1] - runs[:, 0] >= SHORTEST_PAUSE_SECONDS - FRAME_SECONDS / 2]


def _pause_between(
    runs: Float[np.ndarray, "R 2"], begin_seconds: float, end_seconds: float
) -> tuple[float, float] | None:
    """Begin and length of the longest quiet run of which at least half lies between two times."""
    lengths = runs[:, 1] - runs[:, 0]
    inside = np.minimum(runs[:, 1], end_seconds) - np.maximum(runs[:, 0], begin_seconds)
    (found,) = np.nonzero(inside >= lengths / 2)
    if not len(found):
        return None
    longest = found[lengths[found].argmax()]
    return float(runs[longest, 0]), float(lengths[longest])


def word_frames(words: Int[np.ndarray, " N"], durations: Int[np.ndarray, " N"]) -> Int[np.ndarray, "W 3"]:
    """Index, first frame and the frame behind the last one of each word that has symbols.

    Args:
        words: the word of each symbol, -1 for silences, pauses and marks.
        durations: frames of each symbol.
    """
    ends = durations.cumsum()
    rows = []
    for word in np.unique(words[words >= 0]):
        (places,) = np.nonzero(words == word)
        rows.append((word, ends[places[0]] - durations[places[0]], ends[places[-1]]))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
