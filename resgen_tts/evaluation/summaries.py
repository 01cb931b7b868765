"""From the scores of outputs to the figures of systems, and the differences between systems."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from resgen_tts.evaluation.measures.robustness import robustness_rates
from resgen_tts.evaluation.measures.speed import summarize_speed
from resgen_tts.evaluation.measures.statistics import (
    Interval,
    mean_interval,
    paired_difference,
    ratio_interval,
    share_interval,
)
from resgen_tts.evaluation.protocols.synth_folder import CLONE, COPY, RECORDING
from resgen_tts.evaluation.score_report import ItemScore, SecondHearing, SecondScore, SystemScore

HIGH_ERROR = 0.5  # an item with more of its words wrong has failed, whatever the mean says


def summarize(name: str, scored: Sequence[ItemScore], seed: int, run: Mapping[str, Any]) -> SystemScore:
    """Corpus figures of one system; ``seed`` is the bootstrap's, ``run`` the synthesizer's facts.

    Where a target is said in several trials, intervals over items draw targets with all their trials.
    """
    outputs = [item.outputs[name] for item in scored]
    speakers, targets = [item.item.speaker for item in scored], _targets(scored)
    errors, words = _word_counts(name, scored)
    has_leaks = not any(item.item.continued_seconds for item in scored)
    own_first = [_number(output.speaker.is_own_first) for output in outputs]
    own_prompt_first = [_number(output.speaker.is_own_prompt_first) for output in outputs]
    by_speaker: dict[str, list[float]] = {}
    for speaker, first in zip(speakers, own_first, strict=True):
        if first is not None:
            by_speaker.setdefault(speaker, []).append(first)

    def mean(values: Sequence[float | None], groups: Sequence[str] | None = targets) -> Interval | None:
        known = [place for place, value in enumerate(values) if value is not None]
        chosen = None if groups is None else [groups[place] for place in known]
        return mean_interval([values[place] for place in known], seed=seed, groups=chosen) if known else None

    of_speakers = float(np.mean([np.mean(shares) for shares in by_speaker.values()])) if by_speaker else None
    figures = list(dict.fromkeys(name for output in outputs for name in output.naturalness))
    return SystemScore(
        wer=ratio_interval(errors, words, seed=seed, groups=targets),
        wer_over_speakers=ratio_interval(errors, words, seed=seed, groups=speakers),
        wer_of_items=mean_interval([output.text.words.rate for output in outputs], seed=seed, groups=targets),
        high_error=share_interval(
            [output.text.words.rate > HIGH_ERROR for output in outputs], seed=seed, groups=targets
        ),
        cer=ratio_interval(
            [output.text.characters.errors for output in outputs],
            [output.text.characters.reference_size for output in outputs],
            seed=seed,
            groups=targets,
        ),
        robustness=robustness_rates(
            [output.robustness for output in outputs], seed=seed, groups=targets, has_leaks=has_leaks
        ),
        similarity_own=mean_interval([output.speaker.own for output in outputs], seed=seed, groups=targets),
        similarity_own_over_speakers=mean_interval(
            [output.speaker.own for output in outputs], seed=seed, groups=speakers
        ),
        similarity_own_copy=mean([output.speaker.own_copy for output in outputs]),
        similarity_uncut=mean([output.speaker.uncut for output in outputs]),
        similarity_others=mean([output.speaker.others for output in outputs]),
        own_first=mean(own_first),
        own_first_over_speakers=mean(own_first, speakers),
        own_first_of_speakers=of_speakers,
        own_prompt_first=mean(own_prompt_first),
        own_prompt_first_over_speakers=mean(own_prompt_first, speakers),
        length_ratio=mean([output.length_ratio for output in outputs]),
        silent=sum(output.is_silent for output in outputs),
        mel_l1=mean([output.mel_l1 for output in outputs]),
        speed=summarize_speed(
            [item.item.seconds_of_audio for item in scored],
            [item.item.seconds_to_generate for item in scored],
            run,
        )
        if name == CLONE and has_times(scored)
        else None,
        naturalness={
            figure: interval
            for figure in figures
            if (interval := mean([output.naturalness.get(figure) for output in outputs])) is not None
        },
        rated={figure: sum(figure in output.naturalness for output in outputs) for figure in figures},
        second=_summarize_second(
            [output.second for output in outputs if output.second is not None], seed, targets, has_leaks
        ),
    )


def _targets(scored: Sequence[ItemScore]) -> list[str] | None:
    """The target of each item where targets have several trials; None: every item is its own."""
    if not any(item.item.trial for item in scored):
        return None
    return [item.item.target_id for item in scored]


def _number(value: bool | None) -> float | None:
    return None if value is None else float(value)


def _summarize_second(
    heard: Sequence[SecondHearing], seed: int, targets: Sequence[str] | None, has_leaks: bool
) -> SecondScore | None:
    if not heard:
        return None
    wer, cer = (
        ratio_interval([one.errors for one in units], [one.reference_size for one in units], seed=seed, groups=targets)
        for units in ([one.text.words for one in heard], [one.text.characters for one in heard])
    )
    rates = robustness_rates([one.robustness for one in heard], seed=seed, groups=targets, has_leaks=has_leaks)
    return SecondScore(wer=wer, cer=cer, robustness=rates)


def _word_counts(name: str, scored: Sequence[ItemScore]) -> tuple[list[float], list[float]]:
    counts = [item.outputs[name].text.words for item in scored]
    return [float(count.errors) for count in counts], [float(count.reference_size) for count in counts]


def second_counts(name: str, scored: Sequence[ItemScore]) -> tuple[list[float], list[float]]:
    counts = [item.outputs[name].second.text.words for item in scored]
    return [float(count.errors) for count in counts], [float(count.reference_size) for count in counts]


def differences(
    systems: Sequence[str], scored: Sequence[ItemScore], seed: int, counts: Callable = _word_counts
) -> dict[str, Interval]:
    """Each system against the one that bounds it: copies against recordings, everything else against copies."""
    found = {}
    for name in systems:
        against = RECORDING if name == COPY or COPY not in systems else COPY
        if name != RECORDING and against in systems:
            found[f"{name} - {against}"] = paired_difference(
                counts(name, scored), counts(against, scored), seed=seed, groups=_targets(scored)
            )
    return found


def has_times(scored: Sequence[ItemScore]) -> bool:
    """True where the request log says how long the clones took."""
    return all(item.item.seconds_of_audio > 0 for item in scored)
