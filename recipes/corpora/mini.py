"""The mini corpus: speech made on the spot, without a download, the same bytes for the same seed.

`python -m recipes.corpora.mini --output DIR --seed 0 --nj 2 [--smoke]`

Sentences of a small grammar (`sentences`) are read by synthesizers (`synthesizers`), and WORLD (`world_voice`) turns
each reading into several speakers (`mini_speakers`). Test speakers and test sentences are not heard in training.
"""

import functools
import hashlib
import logging
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.corpora.made_checks import listen, sample_of_voices, unrecognized
from recipes.corpora.made_speech import (
    RECIPE_VERSION,
    Clip,
    jobs_of,
    log_checks,
    making_facts,
    run_job,
    utterance_of,
)
from recipes.corpora.manifests import (
    Skipped,
    Utterance,
    choose_pairs,
    write_manifests,
    write_pairs,
    write_report,
)
from recipes.corpora.mini_speakers import MiniSpeaker, cast
from recipes.corpora.parallel import in_parallel
from recipes.corpora.resume import forget_work, is_complete
from recipes.corpora.sentences import bigram_arpa, draw_sentences, vocabulary
from recipes.corpora.synthesizers import BaseVoice, espeak_voices, installed_voices
from resgen_tts.common.errors import ResGenError
from resgen_tts.common.run_dir import write_text

PROMPT_SECONDS = (2.5, 5.0)
LANGUAGE_MODEL_SENTENCES = 4000

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

    test = [clip for clip in clips if clip.split == "test"]
    sample = sample_of_voices(clips, size.checked_clips)
    measured, identified = listen(sample, test, output, num_jobs) if measure else ({}, {})
    dropped = unrecognized(measured)
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
            splits[clip.split].append(utterance_of(clip, lengths[clip.id]))
    write_manifests(output, splits)
    write_pairs(
        output,
        choose_pairs(splits["test"], prompt_seconds=PROMPT_SECONDS, targets_per_speaker=max(1, size.test_clips // 2)),
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
        dropped_voices=dropped,
        **making_facts(speakers, parts, measured, identified),
        wall_seconds={"clips": round(spoken_at - began, 2), "checks": round(done - spoken_at, 2)},
    )
    forget_work(output)
    total = sum(utterance.seconds for utterances in splits.values() for utterance in utterances)
    log.info("%s: %d clips, %.1f min of speech in %.0f s", output, len(clips) - len(skipped), total / 60, done - began)
    log_checks(log, measured, identified)


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
