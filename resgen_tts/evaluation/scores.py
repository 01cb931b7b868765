"""All scores of a synth folder: every system of every item by one path, then corpus figures with intervals."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from tqdm import tqdm

from resgen_tts.common.errors import AudioError, DataError
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.evaluation.judges.remembered import shard
from resgen_tts.evaluation.measures.naturalness import Rater
from resgen_tts.evaluation.measures.normalizers import NORMALIZERS, Normalizer
from resgen_tts.evaluation.measures.reconstruction import length_ratio, mel_l1
from resgen_tts.evaluation.measures.robustness import robustness
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder, SpeakerSimilarity, similarity
from resgen_tts.evaluation.measures.statistics import Interval, ratio_interval
from resgen_tts.evaluation.measures.text_error import Recognizer, text_error
from resgen_tts.evaluation.protocols.synth_folder import CLONE, COPY, RECORDING, SynthFolder, SynthItem
from resgen_tts.evaluation.score_report import ItemScore, OutputScore, ScoreReport, SecondHearing
from resgen_tts.evaluation.summaries import differences, second_counts, summarize
from resgen_tts.evaluation.waves import is_silent, read_wave, wave_seconds

MAX_SKIPPED_SHARE = 0.01
_CLOCKS = {"seconds_to_generate"}  # what differs from one run to the next that says the same
Voice = tuple[str, float]  # a wave by its relative path, and the time from which it is listened to


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Who listens. The figures of two reports are comparable where all of them have the same names."""

    recognizer: Recognizer  # writes down the words
    encoder: SpeakerEncoder  # makes voice prints
    raters: Sequence[Rater] = ()  # say how natural an output sounds
    second: Recognizer | None = None  # another recogniser, whose figures stand beside those of the first
    prompt_recognizer: Recognizer | None = None  # one that can know the prompts' words; asked where nothing is recorded
    normalizer: Normalizer = NORMALIZERS["letters"]  # of texts and of what was heard

    def embedded(self) -> list[str]:
        """Names of those that come inside a package."""
        everyone = (self.recognizer, self.second, self.encoder, *self.raters)
        return list(dict.fromkeys(one.name for one in everyone if one is not None and one.is_embedded))


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the judges made of the waves of a folder, before anything is compared."""

    words: Mapping[str, str]
    words_again: Mapping[str, str]
    prints: Mapping[Voice, np.ndarray]
    ratings: Mapping[str, Mapping[str, float]]
    unrated: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # wave -> rater -> code of the reason


def listen(
    folder: SynthFolder, items: Sequence[SynthItem], judges: Judges, *, num_shards: int = 1, shard_index: int = 0
) -> Heard:
    """Let every judge listen to every wave once, or to one shard of the waves.

    With judges that remember on disk (`judges.remembered`) shards can run side by side, and in any order, before the
    whole is scored.
    """
    spoken = _unique(item.systems[name] for item in items for name in folder.systems)
    voices = _unique(voice for item in items for voice in _voices(item, folder.systems))
    if num_shards > 1:
        paths = {relative: folder.wave(relative) for relative in _unique([*spoken, *(one for one, _ in voices)])}
        mine = set(shard(list(paths.values()), num_shards, shard_index))
        spoken = [relative for relative in spoken if paths[relative] in mine]
        voices = [voice for voice in voices if paths[voice[0]] in mine]
    files = [folder.wave(relative) for relative in spoken]
    words = judges.recognizer.transcribe(files)
    again = judges.second.transcribe(files) if judges.second is not None else []
    prints = {}
    for relative, start in tqdm(voices, desc="voice prints", unit="wave", disable=None):
        prints[relative, start] = _print(folder, relative, start, judges.encoder)
    starts = {item.systems[name]: item.continued_seconds for item in items for name in folder.systems}
    ratings, unrated = _rate(folder, {relative: starts[relative] for relative in spoken}, judges.raters)
    return Heard(
        words=dict(zip(spoken, words, strict=True)),
        words_again=dict(zip(spoken, again, strict=judges.second is not None)),
        prints=prints,
        ratings=ratings,
        unrated=unrated,
    )


def score_folder(
    folder: SynthFolder,
    judges: Judges,
    *,
    seed: int,
    notes: Sequence[str] = (),
    provenance: Mapping[str, str] | None = None,
) -> ScoreReport:
    """Score every system of a synth folder.

    In a continuation every output begins with the prompt: its words count, its samples are cut off before voice prints
    are made and outputs are rated. Voice prints are compared with the prompt (SIM-o) and its copy (SIM-r); those of a
    recording also with the uncut utterance that the prompt is from, where the items keep it.

    Args:
        folder: from `read_synth` or `protocols.adopted.adopt`.
        judges: who listens.
        seed: of the bootstrap.
        notes: remarks that the report must show.
        provenance: command, commit and hardware of this scoring.
    Raises:
        DataError: more than 1 % of the items cannot be scored (they are named), or a text has no words.
    """
    _check_texts(folder, judges.normalizer)
    usable, skipped = usable_items(folder)
    unspoken = {name: f"not synthesized: {why}" for name, why in (folder.run.get("failed") or {}).items()}
    heard = listen(folder, usable, judges)
    prompts: dict[str, dict[str, np.ndarray]] = {}
    for item in usable:
        prompts.setdefault(item.speaker, {})[item.prompt] = heard.prints[item.prompt, 0.0]
    prompts_by_speaker = {name: list(own.values()) for name, own in prompts.items()}
    scored = [
        ItemScore(
            item=item,
            outputs={
                name: _score_output(folder, item, name, heard, judges, prompts_by_speaker) for name in folder.systems
            },
        )
        for item in tqdm(usable, desc="score", unit="item", disable=None)
    ]
    second = judges.second
    return ScoreReport(
        systems={name: summarize(name, scored, seed, folder.run) for name in folder.systems},
        wer_differences=differences(folder.systems, scored, seed),
        items=scored,
        read=len(folder.items) + len(unspoken),
        used=len(scored),
        skipped=unspoken | skipped,
        speakers=len(prompts_by_speaker),
        recognizer=judges.recognizer.name,
        normalizer=judges.normalizer.name,
        encoder=judges.encoder.name,
        embedded_scorers=judges.embedded(),
        seed=seed,
        data_sha256=data_sha256(folder),
        run=folder.run,
        notes=[*notes, *_remarks(scored)],
        provenance=dict(provenance or {}),
        raters=[rater.name for rater in judges.raters],
        protocol=folder.protocol,
        second_recognizer=None if second is None else second.name,
        second_wer_differences={} if second is None else differences(folder.systems, scored, seed, second_counts),
        prompt_wer=_prompt_wer(folder, usable, judges, seed),
    )


def data_sha256(folder: SynthFolder) -> str:
    """One hash over the items and every wave that they name."""
    rows = [{name: value for name, value in asdict(item).items() if name not in _CLOCKS} for item in folder.items]
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode())
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


def usable_items(folder: SynthFolder) -> tuple[list[SynthItem], dict[str, str]]:
    """Items whose waves can all be read, and why the others cannot.

    Raises:
        DataError: TOO_MANY_SKIPPED, over 1 % cannot.
    """
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


def _check_texts(folder: SynthFolder, normalizer: Normalizer) -> None:
    """Before anybody listens: a text without words has no error rate."""
    empty = [item.id for item in folder.items if not normalizer.words(item.text).strip()]
    if empty:
        raise DataError(
            f"{len(empty)} of {len(folder.items)} items have a text without words, the first is {empty[0]}; an item "
            "without words cannot be scored.",
            code="TEXT_EMPTY",
            hint="Take them out of the items, or give their texts.",
        )


def _unique(names: Iterable) -> list:
    return list(dict.fromkeys(names))


def _voices(item: SynthItem, systems: Sequence[str]) -> list[Voice]:
    """What voice prints are made of: prompts whole, outputs behind the prompt that they begin with."""
    outputs = [(item.systems[name], item.continued_seconds) for name in systems]
    return [*((path, 0.0) for path in filter(None, (item.prompt, item.prompt_copy, item.reference))), *outputs]


def _print(folder: SynthFolder, relative: str, start: float, encoder: SpeakerEncoder) -> np.ndarray:
    path = folder.wave(relative)
    if start and wave_seconds(path) <= start:  # nothing was said behind the prompt: no voice
        return np.zeros_like(encoder.embed(path, 0.0))
    return encoder.embed(path, start)


def _rate(
    folder: SynthFolder, starts: Mapping[str, float], raters: Sequence[Rater]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, str]]]:
    """Figures of each wave from a time on, and why a rater has none."""
    ratings: dict[str, dict[str, float]] = {path: {} for path in starts}
    unrated: dict[str, dict[str, str]] = {}
    for rater in raters:
        for path, start in tqdm(starts.items(), desc=rater.name, unit="wave", disable=None):
            try:
                ratings[path] |= rater.rate(folder.wave(path), start)
            except AudioError as error:
                unrated.setdefault(path, {})[rater.name] = error.code
    return ratings, unrated


def _score_output(
    folder: SynthFolder,
    item: SynthItem,
    name: str,
    heard: Heard,
    judges: Judges,
    prompts_by_speaker: Mapping[str, Sequence[np.ndarray]],
) -> OutputScore:
    relative, start = item.systems[name], item.continued_seconds
    path = folder.wave(relative)
    recording = folder.wave(item.systems[RECORDING]) if RECORDING in item.systems else None
    wave, seconds = read_wave(path), wave_seconds(path)
    error = text_error(item.text, heard.words[relative], judges.normalizer)
    return OutputScore(
        wave=relative,
        seconds=seconds,
        length_ratio=None if recording is None else length_ratio(wave_seconds(recording), seconds),
        is_silent=is_silent(wave[round(start * len(wave) / seconds) :]),
        text=error,
        robustness=robustness(error, item.prompt_text, judges.normalizer),
        speaker=_similarity(item, name, heard, prompts_by_speaker),
        mel_l1=mel_l1(read_wave(recording), wave) if name == COPY and recording is not None else None,
        naturalness=heard.ratings[relative],
        left_out=heard.unrated.get(relative, {}),
        second=_hear_again(item, heard.words_again[relative], judges.normalizer) if judges.second is not None else None,
    )


def _similarity(
    item: SynthItem, name: str, heard: Heard, prompts_by_speaker: Mapping[str, Sequence[np.ndarray]]
) -> SpeakerSimilarity:
    return similarity(
        heard.prints[item.systems[name], item.continued_seconds],
        heard.prints[item.prompt, 0.0],
        prompts_by_speaker,
        item.speaker,
        own_prompt_copy=heard.prints[item.prompt_copy, 0.0] if item.prompt_copy else None,
        own_utterance=heard.prints[item.reference, 0.0] if name == RECORDING and item.reference else None,
    )


def _hear_again(item: SynthItem, heard: str, normalizer: Normalizer) -> SecondHearing:
    error = text_error(item.text, heard, normalizer)
    return SecondHearing(text=error, robustness=robustness(error, item.prompt_text, normalizer))


def _prompt_wer(folder: SynthFolder, items: Sequence[SynthItem], judges: Judges, seed: int) -> dict[str, Interval]:
    """WER of each prompt, once, and of its copy."""
    led = {item.prompt: item for item in items if judges.normalizer.words(item.prompt_text).strip()}
    recognizer = judges.prompt_recognizer
    if recognizer is None or RECORDING in folder.systems or not led:
        return {}
    kinds = {"prompt": {path: item.prompt_text for path, item in led.items()}}
    copied = {item.prompt_copy: item.prompt_text for item in led.values() if item.prompt_copy}
    if len(copied) == len(led):
        kinds["prompt_copy"] = copied
    found = {}
    for kind, texts in kinds.items():
        heard = recognizer.transcribe([folder.wave(path) for path in texts])
        counts = [
            text_error(text, said, judges.normalizer).words for text, said in zip(texts.values(), heard, strict=True)
        ]
        found[kind] = ratio_interval(
            [count.errors for count in counts], [count.reference_size for count in counts], seed=seed
        )
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
        if CLONE in item.outputs
        and item.item.seconds_of_audio > 0
        and abs(item.outputs[CLONE].seconds - item.item.continued_seconds - item.item.seconds_of_audio) > 0.1
    ]
    if off:
        remarks.append(f"{len(off)} clones are not as long as the request log says: {', '.join(off[:5])}.")
    for name in scored[0].outputs:
        silent = [item.item.id for item in scored if item.outputs[name].is_silent]
        if silent:
            remarks.append(f"{len(silent)} outputs of {name} are silent: {', '.join(silent[:5])}.")
    return remarks
