"""The mini corpus: speech made on the spot, without a download, the same bytes for the same seed.

`python -m recipes.corpora.mini --output DIR --seed 0 --nj 2 [--smoke]`

Sentences of a small grammar (`sentences`) are read by synthesizers (`synthesizers`), and WORLD (`world_voice`) turns
each reading into several speakers (`mini_speakers`). Test speakers and test sentences are not heard in training.
"""

import functools
import hashlib
import json
import logging
import random
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from recipes.corpora.manifests import (
    Skipped,
    Utterance,
    choose_pairs,
    write_flac,
    write_manifests,
    write_pairs,
    write_report,
)
from recipes.corpora.mini_speakers import MiniSpeaker, cast
from recipes.corpora.parallel import in_parallel
from recipes.corpora.recording_checks import speaker_identification, word_errors
from recipes.corpora.resume import forget_work, is_complete, once, work_folder
from recipes.corpora.sentences import bigram_arpa, draw_sentences, vocabulary
from recipes.corpora.synthesizers import BaseVoice, espeak_voices, installed_voices, speak
from recipes.corpora.world_voice import Transform, analyse, render
from resgen_tts.common.errors import ResGenError
from resgen_tts.common.run_dir import write_text

SAMPLE_RATE = 16000
RECIPE_VERSION = 1  # raise it when the same seed is to give other sound
EDGE_SECONDS = 0.12  # silence kept at both ends
EDGE_DB = -40.0  # a frame this far below the loudest one is silence
LEVEL_RMS, LEVEL_PEAK = 0.07, 0.89
TEXTS_PER_JOB = 12
PROMPT_SECONDS = (2.5, 5.0)
LANGUAGE_MODEL_SENTENCES = 4000
UNRECOGNIZED_WER = 0.3  # a voice above this, and three times worse than the median voice, is dropped

log = logging.getLogger("recipes.corpora.mini")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is made. With 42 training speakers the full size gives about 50 minutes."""

    train_clips: int = 25  # per speaker
    dev_clips: int = 12
    test_clips: int = 12  # half of them long enough for prompts
    speakers_per_reading: int = 2  # how many training speakers share one reading of a sentence
    checked_clips: int = 8  # per base voice, for the recogniser


SIZES = {"full": Size(), "smoke": Size(train_clips=6, dev_clips=4, test_clips=4, checked_clips=2)}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording to make."""

    id: str
    speaker: str
    split: str
    base: BaseVoice
    transform: Transform
    text: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """A few sentences in one base voice, each with the clips that are rendered from it."""

    base: BaseVoice
    readings: tuple[tuple[str, tuple[Clip, ...]], ...]

    def key(self) -> str:
        """Name of the job's marker: a hash of all that its sound depends on."""
        return hashlib.sha256(f"{RECIPE_VERSION} {self!r}".encode()).hexdigest()[:24]


def plan(speakers: Sequence[MiniSpeaker], size: Size, seed: int) -> tuple[list[Clip], list[str]]:
    """Who says what.

    Returns:
        clips in the order of the manifests, and sentences for the language model; none of those is said in dev or test.
    """
    rng = random.Random(f"mini {seed}")
    short, long = size.test_clips // 2, size.test_clips - size.test_clips // 2
    held_out: list[str] = []
    said: dict[str, list[str]] = {}
    for speaker in speakers:
        if speaker.split == "test":
            said[speaker.name] = draw_sentences(short, rng, held_out, min_words=5)
            said[speaker.name] += draw_sentences(long, rng, [*held_out, *said[speaker.name]], min_words=8)
            held_out += said[speaker.name]
        elif speaker.split == "dev":
            said[speaker.name] = draw_sentences(size.dev_clips, rng, held_out)
            held_out += said[speaker.name]
    train = [speaker for speaker in speakers if speaker.split == "train"]
    readings: dict[BaseVoice, list[list[str]]] = {}
    for base in dict.fromkeys(speaker.base for speaker in train):
        cohort = [speaker for speaker in train if speaker.base == base]
        for start in range(0, len(cohort), size.speakers_per_reading):
            texts = draw_sentences(size.train_clips, rng, held_out)
            readings.setdefault(base, []).append(texts)
            for speaker in cohort[start : start + size.speakers_per_reading]:
                said[speaker.name] = texts
    clips = [
        Clip(
            id=f"{speaker.name}_{index:03d}",
            speaker=speaker.name,
            split=speaker.split,
            base=speaker.base,
            transform=speaker.transform,
            text=text,
        )
        for speaker in speakers
        for index, text in enumerate(said[speaker.name])
    ]
    return clips, draw_sentences(LANGUAGE_MODEL_SENTENCES, rng, held_out)


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
        samples: length of each clip by id; seconds: of work by part.
    """
    paths = [root / clip_path(clip) for _, clips in job.readings for clip in clips]
    return once(work_folder(root) / f"{job.key()}.json", functools.partial(_make_clips, job, root), lambda _: paths)


def _make_clips(job: Job, root: Path) -> dict[str, dict[str, float]]:
    import soxr

    began = time.perf_counter()
    spoken = speak(job.base, [text for text, _ in job.readings])
    spent = {"speak": time.perf_counter() - began, "analyse": 0.0, "render": 0.0, "write": 0.0}
    lengths: dict[str, float] = {}
    for (_, clips), (wave, rate) in zip(job.readings, spoken, strict=True):
        began = time.perf_counter()
        wave = wave if rate == SAMPLE_RATE else soxr.resample(wave, rate, SAMPLE_RATE)
        found = analyse(trim_edges(wave, SAMPLE_RATE), SAMPLE_RATE)
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


def check(clips: Sequence[Clip], root: Path, size: Size, num_jobs: int) -> tuple[dict[str, dict], dict[str, float]]:
    """Listen to a sample: can the words be recognised, and the speakers of test be told apart?

    Returns:
        word errors by base voice, over a sample spread over its speakers; `speaker_identification` of the test clips.
    """
    by_voice: dict[str, list[Clip]] = {}
    for clip in clips:
        by_voice.setdefault(clip.base.key, []).append(clip)
    sample = [
        clip
        for own in by_voice.values()
        for clip in own[:: max(1, len(own) // size.checked_clips)][: size.checked_clips]
    ]
    test = [clip for clip in clips if clip.split == "test"]
    model, shards = root / "lm", [sample[start::num_jobs] for start in range(num_jobs)]
    calls = [
        functools.partial(
            speaker_identification,
            [root / clip_path(clip) for clip in test],
            [clip.speaker for clip in test],
        )
    ] + [
        functools.partial(
            word_errors,
            [root / clip_path(clip) for clip in shard],
            [clip.text for clip in shard],
            model,
        )
        for shard in shards
    ]
    identified, *counted = in_parallel(calls, num_jobs, "check")
    voices = {key: {"clips": 0, "errors": 0, "words": 0, "wer": 0.0} for key in by_voice}
    for shard, errors in zip(shards, counted, strict=True):
        for clip, count in zip(shard, errors, strict=True):
            voice = voices[clip.base.key]
            voice["clips"] += 1
            voice["errors"] += count
            voice["words"] += len(clip.text.split())
    for voice in voices.values():
        voice["wer"] = round(voice["errors"] / voice["words"], 4)
    return voices, identified


def unrecognized(voices: dict[str, dict[str, float]]) -> list[str]:
    """Voices that a recogniser cannot follow although it follows the others."""
    median = float(np.median([voice["wer"] for voice in voices.values()]))
    return [key for key, voice in voices.items() if voice["wer"] > max(UNRECOGNIZED_WER, 3 * median)]


def make(output: Path, *, seed: int, num_jobs: int, smoke: bool = False, measure: bool = True) -> None:
    """Make the corpus, or complete what an interrupted run has left.

    Args:
        output: root of the corpus; see `manifests` for what lies there.
        seed: of the sentences; speakers do not depend on it.
        num_jobs: worker processes; the sound does not depend on it.
        smoke: 14 speakers with a handful of clips each.
        measure: find word errors and speaker identification for the report.
    """
    began = time.perf_counter()
    size = SIZES["smoke" if smoke else "full"]
    voices = installed_voices()
    substitution = ""
    if not voices:
        voices = espeak_voices()
        substitution = (
            "neither flite nor festival is installed: espeak's formant voices speak instead, which pocketsphinx follows"
            " far worse; install flite and festival (bash tools/setup_env.sh as root) for useful word errors"
        )
        log.warning("MINI_VOICES: %s", substitution)
    speakers = cast(voices, smoke=smoke)
    clips, model_sentences = plan(speakers, size, seed)
    fingerprint = hashlib.sha256(repr((RECIPE_VERSION, clips, size, measure)).encode()).hexdigest()
    if is_complete(output, fingerprint):
        log.info("%s is complete; nothing to do", output)
        return
    (output / "manifests" / "data_report.json").unlink(missing_ok=True)
    write_text(output / "lm" / "words.txt", "\n".join(vocabulary()) + "\n")
    write_text(output / "lm" / "vocabulary.arpa", bigram_arpa(model_sentences, vocabulary()))
    jobs = jobs_of(clips)
    log.info("base voices: %s", ", ".join(voice.key for voice in voices))
    log.info("%d clips of %d speakers, %d processes", len(clips), len(speakers), num_jobs)
    parts = in_parallel([functools.partial(run_job, job, output) for job in jobs], num_jobs, "speak")
    spoken_at = time.perf_counter()
    lengths = {name: count for part in parts for name, count in part["samples"].items()}

    measured, identified = check(clips, output, size, num_jobs) if measure else ({}, {})
    dropped = unrecognized(measured) if measure else []
    for key in dropped:
        log.warning("MINI_VOICE_DROPPED: %s has a word error rate of %.0f %%", key, 100 * measured[key]["wer"])
    skipped = [
        Skipped(item=clip.id, reason="VOICE_NOT_RECOGNIZED", detail=clip.base.key)
        for clip in clips
        if clip.base.key in dropped
    ]
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for clip in clips:
        if clip.base.key not in dropped:
            splits[clip.split].append(
                Utterance(
                    id=clip.id,
                    speaker=clip.speaker,
                    text=clip.text,
                    path=clip_path(clip).as_posix(),
                    num_samples=lengths[clip.id],
                    sample_rate=SAMPLE_RATE,
                )
            )
    test = splits["test"]
    write_manifests(output, splits)
    write_pairs(
        output, choose_pairs(test, prompt_seconds=PROMPT_SECONDS, targets_per_speaker=max(1, size.test_clips // 2))
    )
    done = time.perf_counter()
    write_report(
        output,
        read=len(clips),
        splits=splits,
        skipped=skipped,
        fingerprint=fingerprint,
        seed=seed,
        vocabulary=len(vocabulary()),
        substitution=substitution,
        voices=measured,
        dropped_voices=dropped,
        speaker_identification=identified,
        speakers={speaker.name: {"voice": speaker.base.key, **asdict(speaker.transform)} for speaker in speakers},
        work_seconds={
            part: round(sum(made["seconds"][part] for made in parts), 2)
            for part in ("speak", "analyse", "render", "write")
        },
        wall_seconds={"clips": round(spoken_at - began, 2), "checks": round(done - spoken_at, 2)},
    )
    forget_work(output)
    total = sum(utterance.seconds for utterances in splits.values() for utterance in utterances)
    log.info("%s: %d clips, %.1f min of speech in %.0f s", output, len(clips) - len(skipped), total / 60, done - began)
    if measured:
        log.info("word errors: %s", json.dumps({key: voice["wer"] for key, voice in measured.items()}))
        log.info("speakers of test told apart: %s", json.dumps(identified))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0, or the exit status of the error that it prints."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="python -m recipes.corpora.mini", description=__doc__.split("\n")[0])
    parser.add_argument("--config", action="config", help="YAML with any of these options")
    parser.add_argument("--output", type=str, required=True, help="root of the corpus")
    parser.add_argument("--seed", type=int, default=0, help="of the sentences")
    parser.add_argument("--nj", type=int, default=1, help="worker processes; the sound does not depend on it")
    parser.add_argument("--smoke", action="store_true", help="a handful of clips of 14 speakers")
    parser.add_argument("--check", type=bool, default=True, help="measure word errors and speakers for the report")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        make(Path(options.output), seed=options.seed, num_jobs=options.nj, smoke=options.smoke, measure=options.check)
    except ResGenError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
