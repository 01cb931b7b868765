"""All scores of a synth folder: every system of every item by one path, then corpus figures with intervals."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from resgen_tts.common.errors import AudioError, DataError
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.evaluation.measures.reconstruction import length_ratio, mel_l1
from resgen_tts.evaluation.measures.robustness import Robustness, RobustnessRates, robustness, robustness_rates
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder, SpeakerSimilarity, similarity
from resgen_tts.evaluation.measures.speed import SpeedSummary, summarize_speed
from resgen_tts.evaluation.measures.statistics import Interval, mean_interval, paired_difference, ratio_interval
from resgen_tts.evaluation.measures.text_error import Recognizer, TextError, letters_only, text_error
from resgen_tts.evaluation.protocols.synth_folder import CLONE, COPY, RECORDING, REQUESTS_FILE, SynthFolder, SynthItem
from resgen_tts.evaluation.waves import is_silent, read_wave, wave_seconds

MAX_SKIPPED_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class SecondHearing:
    """One wave as another recogniser heard it."""

    text: TextError
    robustness: Robustness


@dataclass(frozen=True, kw_only=True)
class SecondScore:
    """Corpus figures of one system by another recogniser."""

    wer: Interval
    cer: Interval
    robustness: RobustnessRates


@dataclass(frozen=True, kw_only=True)
class OutputScore:
    """One wave of one system."""

    wave: str
    seconds: float
    length_ratio: float | None  # over the recording's length, where there is one
    is_silent: bool
    text: TextError
    robustness: Robustness
    speaker: SpeakerSimilarity
    mel_l1: float | None  # only for a copy, which keeps the recording's timing
    second: SecondHearing | None = None


@dataclass(frozen=True, kw_only=True)
class ItemScore:
    """One item under every system."""

    item: SynthItem
    outputs: Mapping[str, OutputScore]


@dataclass(frozen=True, kw_only=True)
class SystemScore:
    """Corpus figures of one system. Intervals are over items unless the name says speakers."""

    wer: Interval
    wer_over_speakers: Interval
    cer: Interval
    robustness: RobustnessRates
    similarity_own: Interval
    similarity_own_copy: Interval | None
    similarity_others: Interval
    own_first: Interval  # share of items whose own prompt is nearer than every other speaker on average
    own_first_over_speakers: Interval
    own_first_of_speakers: float  # the same share per speaker, averaged over speakers
    own_prompt_first: Interval  # share of items whose own prompt is nearer than any other speaker's any prompt
    own_prompt_first_over_speakers: Interval
    length_ratio: Interval | None
    silent: int  # outputs without sound, scored as they are
    mel_l1: Interval | None
    speed: SpeedSummary | None
    second: SecondScore | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """Everything that was measured, and what it was measured with."""

    systems: Mapping[str, SystemScore]
    wer_differences: Mapping[str, Interval]  # "clone - copy": paired over items
    items: Sequence[ItemScore]
    read: int
    used: int
    skipped: Mapping[str, str]  # id -> reason; read = used + skipped
    speakers: int
    recognizer: str
    encoder: str
    has_embedded_scorers: bool
    seed: int
    data_sha256: str  # of the request log and of every wave in it
    run: Mapping[str, Any]  # run.json of the synthesizer
    notes: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)  # command, commit and hardware of the scoring
    second_recognizer: str | None = None
    second_wer_differences: Mapping[str, Interval] = field(default_factory=dict)
    # "prompt", "prompt_copy": WER of the prompts themselves, what recordings of this kind come to. Only of items
    # without a recording, and only by an open vocabulary: a closed one does not hold the prompts' words.
    prompt_wer: Mapping[str, Interval] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, corpus figures first."""
        return asdict(self)


def score_folder(
    folder: SynthFolder,
    recognizer: Recognizer,
    encoder: SpeakerEncoder,
    *,
    seed: int,
    second: Recognizer | None = None,
    prompt_recognizer: Recognizer | None = None,
    notes: Sequence[str] = (),
    provenance: Mapping[str, str] | None = None,
) -> ScoreReport:
    """Score every system of a synth folder.

    Args:
        folder: from `read_synth`.
        recognizer: writes down the words.
        encoder: makes voice prints.
        seed: of the bootstrap.
        second: another recogniser, whose figures stand beside those of the first.
        prompt_recognizer: one that can know the words of the prompts; asked where the items have no recording.
        notes: remarks that the report must show.
        provenance: command, commit and hardware of this scoring.
    Raises:
        DataError: more than 1 % of the items cannot be scored (they are named), there is one speaker only, or a
            reference has no words.
    """
    usable, skipped = _usable_items(folder)
    heard = _recognize(folder, usable, recognizer)
    heard_again = _recognize(folder, usable, second) if second is not None else {}
    prints = _voice_prints(folder, usable, encoder)
    prompts: dict[str, dict[str, np.ndarray]] = {}
    for item in usable:
        prompts.setdefault(item.speaker, {})[item.prompt_id] = prints[item.prompt]
    prompts_by_speaker = {name: list(own.values()) for name, own in prompts.items()}

    scored = []
    for item in usable:
        recording = folder.wave(item.systems[RECORDING]) if RECORDING in item.systems else None
        outputs = {}
        for name in folder.systems:
            relative = item.systems[name]
            path = folder.wave(relative)
            wave, seconds = read_wave(path), wave_seconds(path)
            error = text_error(item.text, heard[relative])
            outputs[name] = OutputScore(
                wave=relative,
                seconds=seconds,
                length_ratio=None if recording is None else length_ratio(wave_seconds(recording), seconds),
                is_silent=is_silent(wave),
                text=error,
                robustness=robustness(error, item.prompt_text),
                speaker=similarity(
                    prints[relative],
                    prints[item.prompt],
                    prompts_by_speaker,
                    item.speaker,
                    prints[item.prompt_copy] if item.prompt_copy else None,
                ),
                mel_l1=mel_l1(read_wave(recording), wave) if name == COPY and recording is not None else None,
                second=_hear_again(item, heard_again[relative]) if second is not None else None,
            )
        scored.append(ItemScore(item=item, outputs=outputs))

    return ScoreReport(
        systems={name: _summarize(name, scored, seed) for name in folder.systems},
        wer_differences=_differences(folder.systems, scored, seed),
        items=scored,
        read=len(folder.items),
        used=len(scored),
        skipped=skipped,
        speakers=len(prompts_by_speaker),
        recognizer=recognizer.name,
        encoder=encoder.name,
        has_embedded_scorers=recognizer.is_embedded or encoder.is_embedded,
        seed=seed,
        data_sha256=data_sha256(folder),
        run=folder.run,
        notes=[*notes, *_remarks(scored)],
        provenance=dict(provenance or {}),
        second_recognizer=None if second is None else second.name,
        second_wer_differences={} if second is None else _differences(folder.systems, scored, seed, _second_counts),
        prompt_wer=_prompt_wer(folder, usable, prompt_recognizer, seed),
    )


def data_sha256(folder: SynthFolder) -> str:
    """One hash over the request log and every wave that it names."""
    digest = hashlib.sha256(sha256_file(folder.root / REQUESTS_FILE).encode())
    for path in sorted({path for item in folder.items for path in item.paths()}):
        digest.update(f"\n{path} {sha256_file(folder.wave(path))}".encode())
    return digest.hexdigest()


def worst_first(report: ScoreReport) -> list[ItemScore]:
    """Items by the clone's word error rate (the last system's where there is no clone), then by how little it
    resembles its prompt."""
    judged = CLONE if CLONE in report.systems else list(report.systems)[-1]

    def badness(scored: ItemScore) -> tuple[float, float, str]:
        output = scored.outputs[judged]
        return -output.text.words.rate, output.speaker.own, scored.item.id

    return sorted(report.items, key=badness)


def _usable_items(folder: SynthFolder) -> tuple[list[SynthItem], dict[str, str]]:
    usable, skipped = [], {}
    for item in folder.items:
        try:
            for path in item.paths():
                read_wave(folder.wave(path))
            usable.append(item)
        except AudioError as error:
            skipped[item.id] = str(error)
    if len(skipped) > MAX_SKIPPED_SHARE * len(folder.items):
        named = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise DataError(
            f"{len(skipped)} of {len(folder.items)} items cannot be scored ({named}).",
            code="TOO_MANY_SKIPPED",
            hint="Mend or make again those outputs; at most 1 % may be left out.",
        )
    return usable, skipped


def _recognize(folder: SynthFolder, items: Sequence[SynthItem], recognizer: Recognizer) -> dict[str, str]:
    relative = [item.systems[name] for name in folder.systems for item in items]
    return dict(zip(relative, recognizer.transcribe([folder.wave(path) for path in relative]), strict=True))


def _hear_again(item: SynthItem, heard: str) -> SecondHearing:
    error = text_error(item.text, heard)
    return SecondHearing(text=error, robustness=robustness(error, item.prompt_text))


def _prompt_wer(
    folder: SynthFolder, items: Sequence[SynthItem], recognizer: Recognizer | None, seed: int
) -> dict[str, Interval]:
    """WER of each prompt, once, and of its copy."""
    led = {item.prompt: item for item in items if letters_only(item.prompt_text)}
    if recognizer is None or RECORDING in folder.systems or not led:
        return {}
    kinds = {"prompt": {path: item.prompt_text for path, item in led.items()}}
    copied = {item.prompt_copy: item.prompt_text for item in led.values() if item.prompt_copy}
    if len(copied) == len(led):
        kinds["prompt_copy"] = copied
    found = {}
    for kind, texts in kinds.items():
        heard = recognizer.transcribe([folder.wave(path) for path in texts])
        counts = [text_error(text, said).words for text, said in zip(texts.values(), heard, strict=True)]
        found[kind] = ratio_interval(
            [count.errors for count in counts], [count.reference_size for count in counts], seed=seed
        )
    return found


def _voice_prints(folder: SynthFolder, items: Sequence[SynthItem], encoder: SpeakerEncoder) -> dict[str, np.ndarray]:
    relative = sorted({path for item in items for path in item.paths()})
    return {
        path: encoder.embed(folder.wave(path))
        for path in tqdm(relative, desc="voice prints", unit="wave", disable=None)
    }


def _summarize(name: str, scored: Sequence[ItemScore], seed: int) -> SystemScore:
    outputs = [item.outputs[name] for item in scored]
    speakers = [item.item.speaker for item in scored]
    errors, words = _word_counts(name, scored)
    own_first = [float(output.speaker.is_own_first) for output in outputs]
    own_prompt_first = [float(output.speaker.is_own_prompt_first) for output in outputs]
    by_speaker: dict[str, list[float]] = {}
    for speaker, first in zip(speakers, own_first, strict=True):
        by_speaker.setdefault(speaker, []).append(first)

    def mean(values: Sequence[float | None]) -> Interval | None:
        known = [value for value in values if value is not None]
        return mean_interval(known, seed=seed) if known else None

    return SystemScore(
        wer=ratio_interval(errors, words, seed=seed),
        wer_over_speakers=ratio_interval(errors, words, seed=seed, groups=speakers),
        cer=ratio_interval(
            [output.text.characters.errors for output in outputs],
            [output.text.characters.reference_size for output in outputs],
            seed=seed,
        ),
        robustness=robustness_rates([output.robustness for output in outputs], seed=seed),
        similarity_own=mean_interval([output.speaker.own for output in outputs], seed=seed),
        similarity_own_copy=mean([output.speaker.own_copy for output in outputs]),
        similarity_others=mean_interval([output.speaker.others for output in outputs], seed=seed),
        own_first=mean_interval(own_first, seed=seed),
        own_first_over_speakers=mean_interval(own_first, seed=seed, groups=speakers),
        own_first_of_speakers=float(np.mean([np.mean(shares) for shares in by_speaker.values()])),
        own_prompt_first=mean_interval(own_prompt_first, seed=seed),
        own_prompt_first_over_speakers=mean_interval(own_prompt_first, seed=seed, groups=speakers),
        length_ratio=mean([output.length_ratio for output in outputs]),
        silent=sum(output.is_silent for output in outputs),
        mel_l1=mean([output.mel_l1 for output in outputs]),
        speed=summarize_speed(
            [item.item.seconds_of_audio for item in scored], [item.item.seconds_to_generate for item in scored]
        )
        if name == CLONE
        else None,
        second=_summarize_second([output.second for output in outputs if output.second is not None], seed),
    )


def _summarize_second(heard: Sequence[SecondHearing], seed: int) -> SecondScore | None:
    if not heard:
        return None
    words, letters = ([getattr(one.text, kind) for one in heard] for kind in ("words", "characters"))
    return SecondScore(
        wer=ratio_interval([one.errors for one in words], [one.reference_size for one in words], seed=seed),
        cer=ratio_interval([one.errors for one in letters], [one.reference_size for one in letters], seed=seed),
        robustness=robustness_rates([one.robustness for one in heard], seed=seed),
    )


def _word_counts(name: str, scored: Sequence[ItemScore]) -> tuple[list[float], list[float]]:
    counts = [item.outputs[name].text.words for item in scored]
    return [float(count.errors) for count in counts], [float(count.reference_size) for count in counts]


def _second_counts(name: str, scored: Sequence[ItemScore]) -> tuple[list[float], list[float]]:
    counts = [item.outputs[name].second.text.words for item in scored]
    return [float(count.errors) for count in counts], [float(count.reference_size) for count in counts]


def _differences(
    systems: Sequence[str], scored: Sequence[ItemScore], seed: int, counts: Callable = _word_counts
) -> dict[str, Interval]:
    """Each system against the one that bounds it: copies against recordings, everything else against copies."""
    found = {}
    for name in systems:
        against = RECORDING if name == COPY or COPY not in systems else COPY
        if name != RECORDING and against in systems:
            found[f"{name} - {against}"] = paired_difference(counts(name, scored), counts(against, scored), seed=seed)
    return found


def _remarks(scored: Sequence[ItemScore]) -> list[str]:
    remarks = []
    digits = [item.item.id for item in scored if any(letter.isdigit() for letter in item.item.text)]
    if digits:
        remarks.append(
            f"{len(digits)} references hold digits, which the recogniser spells out: {', '.join(digits[:5])}."
        )
    warned = [item.item.id for item in scored if item.item.warnings]
    if warned:
        remarks.append(f"{len(warned)} items carry warnings of the synthesizer: {', '.join(warned[:5])}.")
    off = [
        item.item.id
        for item in scored
        if CLONE in item.outputs and abs(item.outputs[CLONE].seconds - item.item.seconds_of_audio) > 0.1
    ]
    if off:
        remarks.append(f"{len(off)} clones are not as long as the request log says: {', '.join(off[:5])}.")
    for name in scored[0].outputs:
        silent = [item.item.id for item in scored if item.outputs[name].is_silent]
        if silent:
            remarks.append(f"{len(silent)} outputs of {name} are silent: {', '.join(silent[:5])}.")
    return remarks
