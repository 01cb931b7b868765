"""One recording of a user's corpus, from its file to FLAC at the recipe's rate, or a reason why not."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.corpora.manifests import write_flac
from recipes.corpora.resume import once, work_folder
from recipes.corpora.rows import file_state
from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.checks import speech_span
from resgen_tts.speech.audio.load import AudioLimits, load_audio

INTAKE_VERSION = 1  # raise it when the same file is to give other samples
LIMITS = AudioLimits(follow_links=True)  # where a path leads was checked with its row


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is done to every recording."""

    sample_rate: int
    min_seconds: float
    max_seconds: float
    trim: bool


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An id and the file behind it."""

    id: str
    source: str


def audio_path(name: str) -> Path:
    """Where the FLAC of an id lies, relative to the corpus root; in 256 folders, so that none grows too large."""
    return Path("audio") / hashlib.sha256(name.encode()).hexdigest()[:2] / f"{name}.flac"


def take_in(recordings: Sequence[Recording], options: Options, root: Path) -> dict[str, dict[str, Any]]:
    """Convert a few recordings, unless an earlier run has.

    Returns:
        by id: num_samples and warnings (codes), or reason and detail.
    """
    identity = repr((INTAKE_VERSION, options, [(item, file_state(Path(item.source))) for item in recordings]))
    marker = work_folder(root) / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.json"
    return once(
        marker,
        functools.partial(_convert_all, recordings, options, root),
        lambda results: [root / audio_path(name) for name in results],  # a refused one has no file: it is tried again
    )


def _convert_all(recordings: Sequence[Recording], options: Options, root: Path) -> dict[str, dict[str, Any]]:
    results = {}
    for item in recordings:
        try:
            results[item.id] = _convert(item, options, root)
        except AudioError as error:
            results[item.id] = {"reason": error.code, "detail": error.message}
    return results


def _convert(item: Recording, options: Options, root: Path) -> dict[str, Any]:
    loaded = load_audio(item.source, sample_rate=options.sample_rate, limits=LIMITS)
    samples = loaded.samples
    if options.trim:
        start, stop = speech_span(samples, options.sample_rate)
        samples = samples[start:stop]
    seconds = len(samples) / options.sample_rate
    trimmed = " after trimming" if options.trim else ""
    if seconds < options.min_seconds:
        raise AudioError(f"{seconds:.2f} s{trimmed}, shorter than {options.min_seconds} s.", code="AUDIO_TOO_SHORT")
    if seconds > options.max_seconds:
        raise AudioError(f"{seconds:.2f} s{trimmed}, longer than {options.max_seconds} s.", code="AUDIO_TOO_LONG")
    write_flac(root / audio_path(item.id), samples, options.sample_rate)
    return {"num_samples": len(samples), "warnings": [warning.split(":")[0] for warning in loaded.warnings]}
