"""The studio corpus: hours of made speech, hundreds of speakers, an open vocabulary; and real speech where given.

`python -m recipes.corpora.studio --output DIR --seed 0 --nj 2 [--real DIR --real_list TABLE ...] [--smoke]`

Sentences (`studio_texts`) are read by synthesizers (`synthesizers`), and WORLD turns each reading into several speakers
(`studio_speakers`). Speakers and sentences of dev and test are not heard in training. Real recordings (`studio_real`)
go to training and, with speakers of their own, to dev.
"""

import functools
import hashlib
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from recipes.corpora.made_checks import listen, sample_of_voices, unrecognized
from recipes.corpora.made_speech import (
    RECIPE_VERSION,
    SAMPLE_RATE,
    Clip,
    jobs_of,
    log_checks,
    making_facts,
    run_job,
    utterance_of,
)
from recipes.corpora.manifests import Pair, Skipped, Utterance, write_manifests, write_pairs, write_report
from recipes.corpora.parallel import in_parallel
from recipes.corpora.resume import forget_work, is_complete
from recipes.corpora.studio_real import Intake, identity, take_in_real
from recipes.corpora.studio_speakers import StudioSpeaker, cast
from recipes.corpora.studio_texts import (
    TESTED_COUNT,
    finished,
    hold_out,
    language_model,
    read_texts,
    readings,
    spoken,
    wordnet_examples,
    wordnet_licence,
    words_of,
)
from recipes.corpora.synthesizers import BaseVoice, espeak_voices, installed_voices
from resgen_tts.common.errors import ConfigError, DataError, ResGenError, require
from resgen_tts.common.run_dir import write_text

LM_ABOUT = f"bigram of the training sentences and {TESTED_COUNT} times the test sentences\n"
SECONDS_PER_READING = 2.512  # measured over the 11,250 clips of the full size
HARD_VOICES = 4

log = logging.getLogger("recipes.corpora.studio")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is made."""

    hours: float = 7.85  # of made training speech; with the real speech of egs/studio/conf/with_real.yaml 13.1
    train_speakers: int = 420
    dev_speakers: int = 10
    test_speakers: int = 10
    speakers_per_reading: int = 3  # how many training speakers share one reading of a sentence
    dev_clips: int = 8  # per speaker
    test_sentences: int = 100  # each said by every speaker of test
    prompts: int = 4  # further recordings of each speaker of test
    checked_clips: int = 12  # per base voice, for the recogniser


SIZES = {
    "full": Size(),
    "smoke": Size(
        hours=0.05,
        train_speakers=14,
        dev_speakers=2,
        test_speakers=3,
        dev_clips=3,
        test_sentences=4,
        prompts=2,
        checked_clips=2,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is made: clips in the order of the manifests, evaluation items, and the closed language of test."""

    clips: tuple[Clip, ...]
    pairs: tuple[Pair, ...]
    test_sentences: tuple[str, ...]
    model_sentences: tuple[str, ...]

    @property
    def words(self) -> set[str]:
        """The closed vocabulary: the words of the test sentences."""
        return {word for text in self.test_sentences for word in words_of(text)}


def plan(speakers: Sequence[StudioSpeaker], examples: Sequence[str], known: set[str], size: Size, seed: int) -> Plan:
    """Who says what.

    Args:
        examples: sentences, of which those of dev and test are kept out of training.
        known: words that the recogniser knows; sentences of dev and test consist of them.
    Raises:
        DataError: TOO_FEW_SENTENCES.
    """
    rng = random.Random(f"studio {seed}")
    split = {name: [speaker for speaker in speakers if speaker.split == name] for name in ("train", "dev", "test")}
    num_prompts, num_dev = size.prompts * len(split["test"]), size.dev_clips * len(split["dev"])
    wanted = size.test_sentences + num_prompts + num_dev
    held_out = hold_out(examples, wanted, known)
    if len(held_out) < wanted or len(examples) < 4 * wanted:
        raise DataError(
            f"{len(examples)} sentences with {len(held_out)} fit for evaluation are too few: {wanted} are held out.",
            code="TOO_FEW_SENTENCES",
            hint="Sentences of 6 to 12 words that the recogniser knows can be held out; give more of them.",
        )
    tested, prompted, validated = (
        held_out[: size.test_sentences],
        held_out[size.test_sentences : size.test_sentences + num_prompts],
        held_out[size.test_sentences + num_prompts :],
    )
    kept_out = {spoken(text) for text in held_out}
    rest = [example for example in examples if spoken(example) not in kept_out]

    def clip(speaker: StudioSpeaker, label: str, text: str) -> Clip:
        return Clip(
            id=f"{speaker.name}_{label}",
            speaker=speaker.name,
            split=speaker.split,
            base=speaker.base,
            transform=speaker.transform,
            text=finished(text),
        )

    clips = _train_clips(split["train"], rest, kept_out, size, rng)
    for turn, speaker in enumerate(split["dev"]):
        own = validated[turn * size.dev_clips : (turn + 1) * size.dev_clips]
        clips += [clip(speaker, f"{index:03d}", text) for index, text in enumerate(own)]
    pairs = []
    for turn, speaker in enumerate(split["test"]):
        own = prompted[turn * size.prompts : (turn + 1) * size.prompts]
        clips += [clip(speaker, f"p{index}", text) for index, text in enumerate(own)]
        clips += [clip(speaker, f"{index:03d}", text) for index, text in enumerate(tested)]
        for index in range(len(tested)):
            target, prompt = (
                f"{speaker.name}_{index:03d}",
                f"{speaker.name}_p{(index // len(split['test'])) % size.prompts}",
            )
            pairs.append(Pair(id=f"{target}--{prompt}", prompt=prompt, target=target, speaker=speaker.name))
    return Plan(
        clips=tuple(clips),
        pairs=tuple(pairs),
        test_sentences=tuple(tested),
        model_sentences=tuple(rest),
    )


def _train_clips(
    speakers: Sequence[StudioSpeaker], examples: Sequence[str], kept_out: set[str], size: Size, rng: random.Random
) -> list[Clip]:
    """Readings of the base voices in turn, as often as they have speakers, each lent to the speakers who said least."""
    cohorts: dict[BaseVoice, list[StudioSpeaker]] = {}
    for speaker in speakers:
        cohorts.setdefault(speaker.base, []).append(speaker)
    count = round(size.hours * 3600 / (SECONDS_PER_READING * size.speakers_per_reading))
    texts = iter(readings(examples, max(count, len(speakers)), rng, kept_out))
    said = dict.fromkeys((speaker.name for speaker in speakers), 0)
    clips: list[Clip] = []
    total = len(speakers)
    for base, cohort in cohorts.items():
        for _ in range(max(1, round(count * len(cohort) / total))):
            text = next(texts, None)
            if text is None:
                break
            lent = sorted(cohort, key=lambda speaker: (said[speaker.name], rng.random()))[: size.speakers_per_reading]
            for speaker in lent:
                clips.append(
                    Clip(
                        id=f"{speaker.name}_{said[speaker.name]:03d}",
                        speaker=speaker.name,
                        split="train",
                        base=base,
                        transform=speaker.transform,
                        text=text,
                    )
                )
                said[speaker.name] += 1
    return clips


def balanced(pairs: Sequence[Pair], num_speakers: int) -> list[Pair]:
    """Each sentence once, its speaker in turn: the items of the recipe's own evaluation."""
    per_speaker = len(pairs) // num_speakers
    return [pairs[(index % num_speakers) * per_speaker + index] for index in range(per_speaker)]


def known_words() -> set[str]:
    """The words that the recogniser has in its dictionary."""
    pocketsphinx = require("pocketsphinx", extra="eval")
    with open(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        return {line.split()[0] for line in file if line.strip()}


def refuse_taken_names(clips: Sequence[Clip], intake: Intake) -> None:
    """Raise where a real recording has the id of another one, or a real speaker is called as a made one.

    Raises:
        DataError: DUPLICATE_ID or SPEAKER_OVERLAP.
    """
    real = [*intake.train, *intake.dev]
    counts = Counter([*(clip.id for clip in clips), *(item.id for item in real)])
    for code, what, shared in (
        ("DUPLICATE_ID", "ids", sorted(name for name, count in counts.items() if count > 1)),
        ("SPEAKER_OVERLAP", "speakers", sorted({clip.speaker for clip in clips} & {item.speaker for item in real})),
    ):
        if shared:
            raise DataError(
                f"{len(shared)} {what} of the real recordings are taken: {', '.join(shared[:10])}.",
                code=code,
                hint="train000, dev000, test000 ... are made speakers, NAME_v0 to NAME_v5 variants of NAME: rename.",
            )


def make(
    output: Path,
    *,
    seed: int,
    num_jobs: int,
    smoke: bool = False,
    hours: float = 0.0,
    texts: Path | None = None,
    real: Path | None = None,
    real_list: Sequence[str] = (),
) -> None:
    """Make the corpus, or complete what an interrupted run has left.

    Args:
        output: root of the corpus; see `manifests` for what lies there, and LICENSE.wordnet.
        seed: of who says what; speakers do not depend on it.
        num_jobs: worker processes; the sound does not depend on it.
        smoke: 19 speakers with a handful of clips each.
        hours: of made training speech, about; 0: 7.85, or three minutes for smoke.
        texts: sentences, one a line, instead of WordNet's.
        real: folder of real recordings, as `custom` takes it.
        real_list: its tables, from that folder on.
    """
    began = time.perf_counter()
    size = SIZES["smoke" if smoke else "full"]
    size = Size(**{**asdict(size), "hours": hours}) if hours else size
    voices, hard, substitution = installed_voices(), espeak_voices()[:HARD_VOICES], ""
    if not voices:
        voices, hard = espeak_voices(), []
        substitution = (
            "neither flite nor festival is installed: espeak's formant voices speak alone, which pocketsphinx follows"
            " far worse; install flite and festival (bash tools/setup_env.sh as root)"
        )
        log.warning("STUDIO_VOICES: %s", substitution)
    examples = read_texts(texts) if texts else wordnet_examples()
    speakers = cast(voices, hard, train=size.train_speakers, dev=size.dev_speakers, test=size.test_speakers)
    planned = plan(speakers, examples, known_words(), size, seed)
    taken = identity(real, real_list) if real else []
    fingerprint = hashlib.sha256(repr((RECIPE_VERSION, planned.clips, planned.pairs, size, taken)).encode()).hexdigest()
    if is_complete(output, fingerprint):
        log.info("%s is complete; nothing to do", output)
        return
    (output / "manifests" / "data_report.json").unlink(missing_ok=True)
    if not texts:
        write_text(output / "LICENSE.wordnet", wordnet_licence())
    write_text(output / "lm" / "words.txt", "\n".join(sorted(planned.words)) + "\n")
    write_text(output / "lm" / "vocabulary.arpa", language_model(planned.test_sentences, planned.model_sentences))
    write_text(output / "lm" / "about.txt", LM_ABOUT)
    intake = take_in_real(real, real_list, output, sample_rate=SAMPLE_RATE, num_jobs=num_jobs) if real else Intake()
    refuse_taken_names(planned.clips, intake)
    for item in intake.skipped:
        log.warning("skipped %s: %s %s", item.item, item.reason, item.detail)
    log.info("base voices: %s", ", ".join(voice.key for voice in voices))
    log.info("%d clips of %d speakers, %d processes", len(planned.clips), len(speakers), num_jobs)
    calls = [functools.partial(run_job, job, output) for job in jobs_of(planned.clips)]
    parts = in_parallel(calls, num_jobs, "speak")
    lengths = {name: count for part in parts for name, count in part["samples"].items()}
    spoken_at = time.perf_counter()

    test = [clip for clip in planned.clips if clip.split == "test"]
    sentences = [clip for clip in test if "_p" not in clip.id]
    prompts = [clip for clip in test if "_p" in clip.id]
    measured, identified = listen(sample_of_voices(sentences, size.checked_clips), prompts, output, num_jobs)
    for key in unrecognized(measured):
        log.warning("STUDIO_VOICE_UNCLEAR: %s has a word error rate of %.0f %%", key, 100 * measured[key]["wer"])
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    unvoiced = [
        Skipped(item=clip.id, reason="NOT_VOICED", detail=clip.text) for clip in planned.clips if clip.id not in lengths
    ]
    for clip in planned.clips:
        if clip.id in lengths:
            splits[clip.split].append(utterance_of(clip, lengths[clip.id]))
    made_seconds = sum(item.seconds for item in splits["train"])
    splits["train"] += intake.train
    splits["dev"] += intake.dev
    write_manifests(output, splits)
    write_pairs(output, planned.pairs, "pairs_full.tsv")
    write_pairs(output, balanced(planned.pairs, size.test_speakers))
    write_report(
        output,
        read=len(planned.clips) + intake.read,
        splits=splits,
        skipped=[*unvoiced, *intake.skipped],
        fingerprint=fingerprint,
        seed=seed,
        sentences=len(examples),
        sentences_from=str(texts) if texts else "WordNet 3.0, Princeton University",
        vocabulary=len(planned.words),
        substitution=substitution,
        made_train_hours=round(made_seconds / 3600, 3),
        real=intake.report,
        **making_facts(speakers, parts, measured, identified),
        wall_seconds={
            "clips": round(spoken_at - began, 2),
            "checks": round(time.perf_counter() - spoken_at, 2),
        },
    )
    forget_work(output)
    log.info("%s: %.2f h made, %.0f s", output, made_seconds / 3600, time.perf_counter() - began)
    log_checks(log, measured, identified)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0, or the exit status of the error that it prints."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="python -m recipes.corpora.studio", description=__doc__.split("\n")[0])
    parser.add_argument("--config", action="config", help="YAML with any of these options")
    parser.add_argument("--output", type=str, required=True, help="root of the corpus")
    parser.add_argument("--seed", type=int, default=0, help="of who says what")
    parser.add_argument("--nj", type=int, default=1, help="worker processes; the sound does not depend on it")
    parser.add_argument("--smoke", action="store_true", help="a handful of clips of 19 speakers")
    parser.add_argument("--hours", type=float, default=0.0, help="of made training speech; 0: 7.85 (smoke: 0.05)")
    parser.add_argument("--texts", type=str, default="", help="sentences, one a line, instead of WordNet's examples")
    parser.add_argument("--real", type=str, default="", help="folder of real recordings and their tables")
    parser.add_argument(
        "--real_list", type=str, nargs="*", default=[], help="tables of it; default: those in the folder"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        if options.hours < 0 or options.nj < 1:
            raise ConfigError(f"--hours must not be negative and --nj at least 1, got {options.hours}, {options.nj}")
        if options.real_list and not options.real:
            raise ConfigError("--real_list names tables of --real DIR, which is not given.")
        make(
            Path(options.output),
            seed=options.seed,
            num_jobs=options.nj,
            smoke=options.smoke,
            hours=options.hours,
            texts=Path(options.texts) if options.texts else None,
            real=Path(options.real) if options.real else None,
            real_list=options.real_list,
        )
    except ResGenError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
