"""Scores of copies against their recordings: a tokenizer's round trip at each depth, and what bounds it."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import AudioError
from resgen_tts.evaluation.judges.dnsmos import OVERALL
from resgen_tts.evaluation.judges.pesq_quality import pesq_quality
from resgen_tts.evaluation.judges.stoi_intelligibility import intelligibility
from resgen_tts.evaluation.judges.world_f0 import world_f0
from resgen_tts.evaluation.measures.f0_error import f0_error
from resgen_tts.evaluation.measures.naturalness import Rater
from resgen_tts.evaluation.measures.reconstruction import mel_l1, spectral_distance
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder, cosine
from resgen_tts.evaluation.measures.statistics import Interval, mean_interval, paired_difference, ratio_interval
from resgen_tts.evaluation.measures.text_error import ErrorCounts
from resgen_tts.evaluation.waves import is_silent, read_wave

RECORDING, VOCODER, GRIFFIN_LIM = "recording", "vocoder", "griffin_lim"  # what a tokenizer's copies stand between


@dataclass(frozen=True, kw_only=True)
class CopyScore:
    """One copy against its recording. A figure that is None was left out, for the reason named."""

    is_silent: bool
    mel_l1: float
    spectral_convergence: float | None
    log_magnitude: float | None
    pesq: float | None
    stoi: float | None
    extended_stoi: float | None
    similarity: float | None  # cosine of the voice prints of copy and recording
    f0_cents: float | None  # root mean square error of the pitch where both are voiced
    voicing: float | None  # share of frames that are voiced in one of the two only
    naturalness: float | None  # of the copy alone: DNSMOS overall, where it was asked for
    left_out: Mapping[str, str] = field(default_factory=dict)  # measure: code of the reason


NATURALNESS = "naturalness"
FIGURES = (
    "mel_l1", "spectral_convergence", "log_magnitude", "pesq", "stoi", "extended_stoi", "similarity", "f0_cents",
    "voicing", NATURALNESS,
)  # fmt: skip
HIGHER_IS_BETTER = {"pesq", "stoi", "extended_stoi", "similarity", NATURALNESS}


@dataclass(frozen=True, kw_only=True)
class KnownRecording:
    """What is found in a recording once, for all of its copies."""

    file: Path
    voice_print: Float[np.ndarray, "E"]
    f0: Float[np.ndarray, "T"]

    @classmethod
    def of(cls, file: Path, encoder: SpeakerEncoder) -> "KnownRecording":
        """Listen to a recording.

        Raises:
            AudioError: it cannot be read.
        """
        return cls(file=file, voice_print=encoder.embed(file), f0=world_f0(read_wave(file)))


@dataclass(frozen=True, kw_only=True)
class TextCounts:
    """Errors of what was recognised in one wave."""

    words: ErrorCounts
    characters: ErrorCounts


@dataclass(frozen=True, kw_only=True)
class SystemSummary:
    """Corpus figures of one system with 95 % intervals; None where nothing could be measured."""

    figures: Mapping[str, Interval | None]  # one of each of FIGURES
    wer: Interval | None
    cer: Interval | None
    wer_difference: Interval | None  # to the recordings', paired over items
    items: int
    items_with_text: int  # that were recognised
    silent: int  # copies without sound
    left_out: Mapping[str, Mapping[str, int]]  # measure: code of the reason: items


def score_copy(recording: KnownRecording, copy: Path, encoder: SpeakerEncoder, rater: Rater | None = None) -> CopyScore:
    """Score a copy by all measures but the recogniser's; both are listened to at 16 kHz.

    The copy keeps the recording's timing; what one of them is longer by is not scored. A measure that is not defined
    for this pair (silence, too short a wave) is left out and the reason is kept.

    Args:
        rater: `judges.dnsmos.Dnsmos`, which takes some ten times as long as all else together; None leaves it out.
    Raises:
        AudioError: one of the files cannot be read.
    """
    reference, made = read_wave(recording.file), read_wave(copy)
    left_out: dict[str, str] = {}

    def attempt(name: str, measure):
        try:
            return measure()
        except AudioError as error:
            left_out[name] = error.code
            return None

    spectra = attempt("stft", lambda: spectral_distance(reference, made))
    heard = attempt("stoi", lambda: intelligibility(reference, made))
    pitch = attempt("f0", lambda: f0_error(recording.f0, world_f0(made)))
    if pitch is not None and pitch.cents is None:  # of the copy: no frame is voiced where the recording is
        left_out["f0_cents"] = "AUDIO_NO_SPEECH"
    if not recording.voice_print.any():  # no voice is found in the recording itself
        left_out["similarity"] = "AUDIO_NO_SPEECH"
    return CopyScore(
        is_silent=is_silent(made),
        mel_l1=mel_l1(reference, made),
        spectral_convergence=None if spectra is None else spectra.convergence,
        log_magnitude=None if spectra is None else spectra.log_magnitude,
        pesq=attempt("pesq", lambda: pesq_quality(reference, made)),
        stoi=None if heard is None else heard.stoi,
        extended_stoi=None if heard is None else heard.extended,
        similarity=cosine(recording.voice_print, encoder.embed(copy)) if recording.voice_print.any() else None,
        f0_cents=None if pitch is None else pitch.cents,
        voicing=None if pitch is None else pitch.voicing,
        naturalness=None if rater is None else attempt(NATURALNESS, lambda: rater.rate(copy)[OVERALL]),
        left_out=left_out,
    )


def summarize(
    systems: Sequence[str],
    scores: Sequence[Mapping[str, CopyScore]],
    texts: Sequence[Mapping[str, TextCounts]],
    *,
    seed: int,
) -> dict[str, SystemSummary]:
    """Corpus figures of each system.

    Args:
        systems: in the order to show.
        scores: of each item, by system.
        texts: of each item in the same order, by system; a system that was not recognised, and an item without text,
            are missing.
        seed: of the bootstrap.
    """
    return {name: _summary(name, scores, texts, seed) for name in systems}


def worse_when_deeper(
    depths: Sequence[str], scores: Sequence[Mapping[str, CopyScore]], *, seed: int
) -> dict[str, list[tuple[str, str, Interval]]]:
    """Steps to a deeper prefix that make a figure worse on average: figure -> (shallower, deeper, difference).

    The difference is deeper minus shallower over the items that have both; its interval says whether it is chance.
    """
    found: dict[str, list[tuple[str, str, Interval]]] = {}
    for figure in FIGURES:
        sign = 1 if figure in HIGHER_IS_BETTER else -1
        for shallow, deep in itertools.pairwise(depths):
            pairs = [(getattr(item[deep], figure), getattr(item[shallow], figure)) for item in scores]
            pairs = [pair for pair in pairs if None not in pair]
            if not pairs:
                continue
            ones = [1.0] * len(pairs)
            difference = paired_difference(
                ([pair[0] for pair in pairs], ones), ([pair[1] for pair in pairs], ones), seed=seed
            )
            if sign * difference.value < 0:
                found.setdefault(figure, []).append((shallow, deep, difference))
    return found


def _summary(
    name: str,
    scores: Sequence[Mapping[str, CopyScore]],
    texts: Sequence[Mapping[str, TextCounts]],
    seed: int,
) -> SystemSummary:
    mine = [item[name] for item in scores]
    known = {figure: [getattr(score, figure) for score in mine] for figure in FIGURES}
    known = {figure: [value for value in values if value is not None] for figure, values in known.items()}
    reasons: dict[str, Counter] = {}
    for score in mine:
        for measure, code in score.left_out.items():
            reasons.setdefault(measure, Counter())[code] += 1
    heard = [item for item in texts if name in item]
    words = _counts([item[name].words for item in heard])
    characters = _counts([item[name].characters for item in heard])
    both = [item for item in heard if RECORDING in item]
    return SystemSummary(
        figures={figure: mean_interval(values, seed=seed) if values else None for figure, values in known.items()},
        wer=ratio_interval(*words, seed=seed) if heard else None,
        cer=ratio_interval(*characters, seed=seed) if heard else None,
        wer_difference=paired_difference(
            _counts([item[name].words for item in both]), _counts([item[RECORDING].words for item in both]), seed=seed
        )
        if both and name != RECORDING
        else None,
        items=len(mine),
        items_with_text=len(heard),
        silent=sum(score.is_silent for score in mine),
        left_out={measure: dict(codes) for measure, codes in reasons.items()},
    )


def _counts(counts: Sequence[ErrorCounts]) -> tuple[list[float], list[float]]:
    """Errors and reference sizes."""
    return [float(count.errors) for count in counts], [float(count.reference_size) for count in counts]
