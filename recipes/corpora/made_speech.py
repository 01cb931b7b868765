"""Speech made by synthesizers: a base voice reads a sentence once, and WORLD turns the reading into its speakers."""

import functools
import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from recipes.corpora.manifests import Utterance, write_flac
from recipes.corpora.resume import once, work_folder
from recipes.corpora.synthesizers import BaseVoice, speak
from recipes.corpora.world_voice import Transform, analyse, render
from resgen_tts.common.errors import DataError

SAMPLE_RATE = 16000
RECIPE_VERSION = 1  # raise it when the same plan is to give other sound
EDGE_SECONDS = 0.12  # silence kept at both ends
EDGE_DB = -40.0  # a frame this far below the loudest one is silence
LEVEL_RMS, LEVEL_PEAK = 0.07, 0.89
TEXTS_PER_JOB = 12


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording to make."""

    id: str
    speaker: str
    split: str
    base: BaseVoice
    transform: Transform
    text: str


class MadeSpeaker(Protocol):
    """A base voice and what WORLD turns it into, under a name."""

    @property
    def name(self) -> str: ...
    @property
    def base(self) -> BaseVoice: ...
    @property
    def transform(self) -> Transform: ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """A few sentences in one base voice, each with the clips that are rendered from it."""

    base: BaseVoice
    readings: tuple[tuple[str, tuple[Clip, ...]], ...]

    def key(self) -> str:
        """Name of the job's marker: a hash of all that its sound depends on."""
        return hashlib.sha256(f"{RECIPE_VERSION} {self!r}".encode()).hexdigest()[:24]


def jobs_of(clips: Iterable[Clip]) -> list[Job]:
    """Group clips by voice and sentence, so that a sentence is read and analysed once for all its speakers."""
    grouped: dict[BaseVoice, dict[str, list[Clip]]] = {}
    for clip in clips:
        grouped.setdefault(clip.base, {}).setdefault(clip.text, []).append(clip)
    jobs = []
    for base, readings in grouped.items():
        rows = [(text, tuple(wanted)) for text, wanted in readings.items()]
        jobs += [
            Job(base=base, readings=tuple(rows[start : start + TEXTS_PER_JOB]))
            for start in range(0, len(rows), TEXTS_PER_JOB)
        ]
    return jobs


def speech_span(wave: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """First sample of the first loud frame of [N], and the one behind the last."""
    frame = sample_rate // 100
    energy = np.square(wave[: len(wave) // frame * frame]).reshape(-1, frame).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (EDGE_DB / 10))
    return int(loud[0]) * frame, int(loud[-1] + 1) * frame


def trim_edges(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut or fill the silence at both ends of [N] to EDGE_SECONDS."""
    edge = int(EDGE_SECONDS * sample_rate)
    first, end = speech_span(wave, sample_rate)
    return np.pad(wave, edge)[first : end + 2 * edge]


def normalize_level(wave: np.ndarray) -> np.ndarray:
    """Scale to a common loudness without clipping."""
    gain = min(LEVEL_RMS / np.sqrt(np.mean(np.square(wave))), LEVEL_PEAK / np.abs(wave).max())
    return wave * gain


def run_job(job: Job, root: Path) -> dict[str, dict[str, float]]:
    """Make the clips of one job, unless an earlier run has.

    Returns:
        samples: length of each clip by id, without those of a reading that has no voiced sound ("psst", said by some
        voices); seconds: of work by part.
    """
    paths = {clip.id: root / clip_path(clip) for _, clips in job.readings for clip in clips}
    return once(
        work_folder(root) / f"{job.key()}.json",
        functools.partial(_make_clips, job, root),
        lambda made: [paths[name] for name in made["samples"]],
    )


def _make_clips(job: Job, root: Path) -> dict[str, dict[str, float]]:
    import soxr

    began = time.perf_counter()
    spoken = speak(job.base, [text for text, _ in job.readings])
    spent = {"speak": time.perf_counter() - began, "analyse": 0.0, "render": 0.0, "write": 0.0}
    lengths: dict[str, float] = {}
    for (text, clips), (wave, rate) in zip(job.readings, spoken, strict=True):
        began = time.perf_counter()
        wave = wave if rate == SAMPLE_RATE else soxr.resample(wave, rate, SAMPLE_RATE)
        try:
            found = analyse(trim_edges(wave, SAMPLE_RATE), SAMPLE_RATE)
        except DataError as error:
            if error.code != "AUDIO_SILENT":
                raise DataError(f"{job.base.key} reading {text!r}: {error.message}", code=error.code) from error
            continue
        spent["analyse"] += time.perf_counter() - began
        for clip in clips:
            began = time.perf_counter()
            samples = normalize_level(render(found, clip.transform))
            rendered = time.perf_counter()
            write_flac(root / clip_path(clip), samples, SAMPLE_RATE)
            spent["render"] += rendered - began
            spent["write"] += time.perf_counter() - rendered
            lengths[clip.id] = len(samples)
    return {"samples": lengths, "seconds": spent}


def clip_path(clip: Clip) -> Path:
    """Where a clip lies, relative to the corpus root."""
    return Path("audio") / clip.split / clip.speaker / f"{clip.id}.flac"


def utterance_of(clip: Clip, num_samples: int) -> Utterance:
    """The manifest entry of a finished clip."""
    return Utterance(
        id=clip.id,
        speaker=clip.speaker,
        text=clip.text,
        path=clip_path(clip).as_posix(),
        num_samples=num_samples,
        sample_rate=SAMPLE_RATE,
    )


def making_facts(
    speakers: Iterable[MadeSpeaker],
    parts: Sequence[Mapping[str, Mapping[str, float]]],
    measured: Mapping[str, Any],
    identified: Mapping[str, Any],
) -> dict[str, Any]:
    """What the report of a made corpus says of every one: what the checks found, who spoke, and the work that it was.

    Args:
        parts: what `run_job` returned of each job.
        measured: word errors by base voice.
        identified: whether the speakers of test are told apart.
    """
    return {
        "voices": measured,
        "speaker_identification": identified,
        "speakers": {speaker.name: {"voice": speaker.base.key, **asdict(speaker.transform)} for speaker in speakers},
        "work_seconds": {
            kind: round(sum(made["seconds"][kind] for made in parts), 2)
            for kind in ("speak", "analyse", "render", "write")
        },
    }


def log_checks(log: logging.Logger, measured: Mapping[str, Any], identified: Mapping[str, Any]) -> None:
    """Say what the checks found, if there were any."""
    if measured:
        log.info("word errors: %s", json.dumps({key: voice["wer"] for key, voice in measured.items()}))
        log.info("speakers of test told apart: %s", json.dumps(identified))
