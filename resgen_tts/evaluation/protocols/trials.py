"""Protocol V of VALL-E, CLaM-TTS, DiTTo-TTS and ResGen: a target in several trials, behind a prompt of 3 s.

*Continuation*: the prompt is the first 3 s of the target itself; a system goes on from there, its output begins with
the prompt's samples, and the words of the whole are counted. *Cross-sentence*: the prompt is a part of another
utterance of the speaker, drawn anew for each trial.

What is published (method.md, 10.2): the 1,237 targets, three trials, 3 s, the hard cut of continuations, the cut at
borders of words of cross-sentence prompts. The published harness keeps its draw outside git, so these are ours: the
seed's stream, one a target and trial, in which an utterance of the speaker is drawn, each as likely, and then the word
that the prompt begins with, each as likely from which whole words last 2 s at least; the border of words itself (the
aligner's, with nothing added); that a word which a hard cut divides goes to where more than half of it lies; and that
an utterance which cannot be aligned is replaced as a prompt by the next one drawn, and left out as a target.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.randomness import seed_of
from resgen_tts.evaluation.measures.timed import Aligner
from resgen_tts.evaluation.protocols.item_set import Clip, PlannedItem
from resgen_tts.evaluation.protocols.librispeech import SHORTEST_SECONDS, Utterance
from resgen_tts.evaluation.protocols.prompt_cut import (
    CUTS,
    HARD,
    WORD,
    AlignedWords,
    PromptCut,
    align_words,
    cut_beginning,
    draw_hard,
    draw_words,
)

CONTINUATION, CROSS_SENTENCE = "continuation", "cross_sentence"
DEFAULT_CUTS = {CONTINUATION: HARD, CROSS_SENTENCE: WORD}
SHORTEST_PROMPT_SECONDS = 2.0  # of whole words, where the utterance has so many in a row


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """How prompts are drawn and cut."""

    cut: str  # hard | word
    trials: int = 3
    seed: int = 49  # of the published harness, whose draw it does not repeat
    prompt_seconds: float = 3.0

    def __post_init__(self):
        if self.cut not in CUTS:
            raise ConfigError(f"--cut must be one of {', '.join(CUTS)}, got {self.cut}")
        if self.trials < 1:
            raise ConfigError(f"--trials must be at least 1, got {self.trials}")
        if not SHORTEST_PROMPT_SECONDS <= self.prompt_seconds < SHORTEST_SECONDS:
            raise ConfigError(
                f"--prompt_seconds must be at least {SHORTEST_PROMPT_SECONDS:g} and below the {SHORTEST_SECONDS} s of "
                f"the shortest target, got {self.prompt_seconds}"
            )


@dataclass(frozen=True, kw_only=True)
class PlannedTrials:
    """Items, and what they could not be made of."""

    items: Sequence[PlannedItem]
    skipped: Mapping[str, str] = field(default_factory=dict)  # target -> why it has no item
    absent: Mapping[str, str] = field(default_factory=dict)  # target -> what the directory lacks for it
    asked: int = 0  # utterances that were to be aligned
    failed: Mapping[str, str] = field(default_factory=dict)  # utterance -> why it could not be


def plan_continuation(targets: Sequence[Utterance], config: TrialConfig, aligner: Aligner) -> PlannedTrials:
    """Continuations: the trials of a target share prompt and text, and differ by the systems' own randomness."""
    aligned, failed = align_words(aligner, {one.id: (one.path, one.text) for one in targets})
    items, skipped = [], dict(failed)
    for one in sorted(targets, key=lambda one: one.id):
        if one.id in failed:
            continue
        said = aligned[one.id]
        cut = cut_beginning(
            said, cut=config.cut, rate=one.rate, num_samples=one.num_samples, seconds=config.prompt_seconds
        )
        if cut is None:
            skipped[one.id] = f"its first {config.prompt_seconds:g} s hold no word, or every word"
            continue
        items += [
            PlannedItem(
                id=f"{one.id}-t{trial}", trial=trial, speaker=one.speaker, target_id=one.id, text=one.text,
                say=" ".join(said.words[cut.end :]), prompt=_clip(one, said, cut), recording=one.clip(),
                continues=True,
            )
            for trial in range(config.trials)
        ]  # fmt: skip
    return PlannedTrials(items=items, skipped=skipped, asked=len(targets), failed=failed)


def plan_cross_sentence(
    targets: Sequence[Utterance], corpus: Mapping[str, Utterance], config: TrialConfig, aligner: Aligner
) -> PlannedTrials:
    """Cross-sentence prompts; a trial's prompt depends on the seed, the target, the trial and the corpus alone.

    Args:
        corpus: the utterances that prompts are drawn from, all of the directory and not only the targets.
    """
    by_speaker: dict[str, list[Utterance]] = {}
    for name in sorted(corpus):
        by_speaker.setdefault(corpus[name].speaker, []).append(corpus[name])
    chosen = {one.id: one for one in targets}
    orders, absent = {}, {}
    for name in sorted(chosen):
        others = _candidates(by_speaker.get(chosen[name].speaker, []), name, config)
        if not others:
            absent[name] = f"the directory has no other utterance of speaker {chosen[name].speaker} that is long enough"
            continue
        for trial in range(config.trials):
            orders[name, trial] = random.Random(seed_of(config.seed, name, trial)).sample(others, len(others))
    aligned: dict[str, AlignedWords] = {}
    failed: dict[str, str] = {}
    prompts: dict[tuple[str, int], tuple[Utterance, PromptCut]] = {}
    skipped: dict[str, str] = {}
    pending = dict.fromkeys(orders, 0)  # trial -> place of the utterance that it takes now
    while pending:
        wanted = {orders[key][place].id: orders[key][place] for key, place in pending.items()}
        unknown = {name: (wanted[name].path, wanted[name].text) for name in sorted(wanted) if name not in aligned}
        found, lost = align_words(aligner, {name: one for name, one in unknown.items() if name not in failed})
        aligned |= found
        failed |= lost
        left = {}
        for key, place in pending.items():
            prompt = orders[key][place]
            cut = _draw(prompt, aligned.get(prompt.id), config, *key)
            if cut is not None:
                prompts[key] = prompt, cut
            elif place + 1 < len(orders[key]):
                left[key] = place + 1
            else:
                skipped[key[0]] = "no other utterance of its speaker could be aligned and cut"
        pending = left
    items = []
    for (name, trial), (prompt, cut) in prompts.items():
        if name in skipped:
            continue
        target = chosen[name]
        items.append(
            PlannedItem(
                id=f"{name}-t{trial}", trial=trial, speaker=target.speaker, target_id=name, text=target.text,
                say=target.text, prompt=_clip(prompt, aligned[prompt.id], cut), recording=target.clip(),
                reference=prompt.clip(),
            )
        )  # fmt: skip
    items.sort(key=lambda item: (item.target_id, item.trial))
    return PlannedTrials(
        items=items, skipped=skipped, absent=absent, asked=len(aligned) + len(failed), failed=failed
    )  # fmt: skip


def refuse_failures(planned: PlannedTrials, max_bad_fraction: float) -> None:
    """Refuse a set that too much is missing from.

    Raises:
        DataError: TOO_MANY_SKIPPED, more than that share of utterances could not be aligned, or of targets has no item.
    """
    read = len({item.target_id for item in planned.items}) + len(planned.skipped)
    for what, bad, total in (
        ("utterances could not be aligned", planned.failed, planned.asked),
        ("targets have no item", planned.skipped, read),
    ):
        if len(bad) > max_bad_fraction * total:
            named = "; ".join(f"{name}: {why}" for name, why in list(bad.items())[:5])
            raise DataError(
                f"{len(bad)} of {total} {what} ({named}); at most {100 * max_bad_fraction:g} % may.",
                code="TOO_MANY_SKIPPED",
                hint="Take another --aligner, or set --max_bad_fraction.",
            )


def _candidates(others: Sequence[Utterance], target: str, config: TrialConfig) -> list[Utterance]:
    """The speaker's other utterances that a prompt can be cut from."""
    least = config.prompt_seconds if config.cut == HARD else SHORTEST_PROMPT_SECONDS
    return [one for one in others if one.id != target and one.num_samples >= round(least * one.rate)]


def _draw(
    prompt: Utterance, said: AlignedWords | None, config: TrialConfig, target: str, trial: int
) -> PromptCut | None:
    if said is None:
        return None
    # A stream of its own: how many utterances were tried before changes nothing.
    rng = random.Random(seed_of(config.seed, target, trial, prompt.id))
    size = {"rate": prompt.rate, "num_samples": prompt.num_samples, "seconds": config.prompt_seconds}
    if config.cut == HARD:
        return draw_hard(said, rng=rng, **size)
    return draw_words(said, rng=rng, shortest_seconds=SHORTEST_PROMPT_SECONDS, **size)


def _clip(one: Utterance, said: AlignedWords, cut: PromptCut) -> Clip:
    return Clip(
        source=one.path, name=f"{one.id}-{cut.start}-{cut.stop}", text=" ".join(said.words[cut.first : cut.end]),
        start=cut.start, stop=cut.stop,
    )  # fmt: skip
