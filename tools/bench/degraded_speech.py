"""Recordings made worse in known ways: noise, other lengths, words cut out, said twice or leaked, another speaker.

What each of them must do to a figure can be derived (see ``scorer_sensitivity.py``), which is what they are for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from resgen_tts.common.errors import DataError
from resgen_tts.common.randomness import seed_of
from resgen_tts.common.run_dir import write_text
from resgen_tts.evaluation.measures.normalizers import letters_only
from resgen_tts.evaluation.measures.text_error import TextError
from resgen_tts.evaluation.measures.timed import Aligner, Span
from resgen_tts.evaluation.protocols.recordings import Recording
from resgen_tts.evaluation.protocols.synth_folder import RECORDING, SynthItem, write_synth
from resgen_tts.evaluation.waves import SCORING_RATE, read_wave

SNR_DB = {"noise-20": 20.0, "noise-10": 10.0, "noise-0": 0.0}
SPEED = {"slower": 0.8, "faster": 1.25}  # of the reading
CUT, SOME_CUT, REPEATED, LEAKED, OTHER = "cut", "cut-some", "repeated", "leaked", "other"
SYSTEMS = (RECORDING, *SNR_DB, *SPEED, CUT, SOME_CUT, REPEATED, LEAKED, OTHER)
ROW_WORDS = 2  # cut out, or said twice
LEAK_WORDS = 4  # the prompt's last ones
SOME = 0.2  # share of the items that lose words in "cut-some"
STRETCH_WINDOW = 512  # samples, 32 ms; the usual 2,048 smear speech at 16 kHz until nobody can follow it
_FULL_SCALE = 0.99

Wave = Float[np.ndarray, "N"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One recording and what is done to it."""

    recording: Recording
    prompt: Recording  # another one of the same speaker
    other: Recording  # somebody else's, of other words
    words: tuple[Span, ...]
    first: int  # place of the first of ROW_WORDS words that are cut out or repeated; neither the text's first nor last
    prompt_tail_seconds: float  # where the last LEAK_WORDS words of the prompt begin
    is_some: bool  # one of those that "cut-some" cuts

    @property
    def row(self) -> tuple[float, float]:
        """Beginning and end of the row of words in seconds."""
        return self.words[self.first].start, self.words[self.first + ROW_WORDS - 1].end


def choose_tasks(
    recordings: Sequence[Recording], aligner: Aligner, *, seed: int, limit: int | None = None
) -> tuple[list[Task], dict[str, str]]:
    """What is done to which recording, the speakers in turn, and why the others are left out.

    Args:
        recordings: with speakers and texts.
        aligner: finds the words.
        seed: of the words and of the other speakers.
        limit: at most so many.
    Raises:
        DataError: fewer than two speakers have two recordings that can be used.
    """
    left_out, times = {}, {}
    found = aligner.align([one.file for one in recordings], [one.text for one in recordings])
    for one, forced in zip(recordings, found, strict=True):
        said = letters_only(one.text).split()
        if not one.speaker or forced.timed is None:
            left_out[one.id] = forced.problem or "the speaker is not known"
        elif [word.label for word in forced.timed.words] != said:
            left_out[one.id] = "the aligner reads other words"
        elif len(said) < max(ROW_WORDS + 2, LEAK_WORDS):
            left_out[one.id] = "too few words"
        else:
            times[one.id] = forced.timed.words
    usable = [one for one in recordings if one.id in times]
    tasks: dict[str, list[Task]] = {}
    for one in usable:
        prompts = [own for own in usable if own.speaker == one.speaker and _differ(own, one)]
        others = sorted({own.speaker for own in usable if own.speaker != one.speaker and _differ(own, one)})
        if not prompts or not others:
            left_out[one.id] = "no other recording of the speaker, or no other speaker"
            continue
        rng = np.random.default_rng(seed_of(seed, "degraded", one.id))
        prompt = prompts[rng.integers(len(prompts))]
        speaker = others[rng.integers(len(others))]
        waves = [own for own in usable if own.speaker == speaker and _differ(own, one)]
        task = Task(
            recording=one,
            prompt=prompt,
            other=waves[rng.integers(len(waves))],
            words=times[one.id],
            first=int(rng.integers(1, len(times[one.id]) - ROW_WORDS)),
            prompt_tail_seconds=times[prompt.id][-LEAK_WORDS].start,
            is_some=False,
        )
        tasks.setdefault(one.speaker, []).append(task)
    if len(tasks) < 2:
        raise DataError(f"{len(tasks)} speakers have two recordings that can be used; at least two are needed.")
    rounds = max(len(own) for own in tasks.values())
    chosen = [own[turn] for turn in range(rounds) for own in tasks.values() if turn < len(own)][:limit]
    order = np.random.default_rng(seed_of(seed, "some")).permutation(len(chosen))
    some = set(order[: round(SOME * len(chosen))].tolist())
    return [Task(**(vars(one) | {"is_some": place in some})) for place, one in enumerate(chosen)], left_out


def degrade(task: Task, wave: Wave, prompt: Wave, other: Wave, *, seed: int) -> dict[str, Wave]:
    """Every system's wave of one item, all at 16 kHz."""
    start, end = task.row
    noise = np.random.default_rng(seed_of(seed, "noise", task.recording.id)).standard_normal(len(wave))
    without = cut_out(wave, start, end)
    return {
        RECORDING: wave,
        **{name: add_noise(wave, noise, decibels) for name, decibels in SNR_DB.items()},
        **{name: change_speed(wave, speed) for name, speed in SPEED.items()},
        CUT: without,
        SOME_CUT: without if task.is_some else wave,
        REPEATED: say_twice(wave, start, end),
        LEAKED: np.concatenate([prompt[_sample(task.prompt_tail_seconds) :], wave]),
        OTHER: other,
    }


def add_noise(wave: Wave, noise: Wave, decibels: float) -> Wave:
    """Wave and noise at a ratio of their powers over the whole wave; made quieter where the sum would clip."""
    power = float(np.mean(np.square(wave, dtype=np.float64)) / np.mean(np.square(noise, dtype=np.float64)))
    mixed = wave + noise * np.sqrt(power / 10 ** (decibels / 10))
    return (mixed * min(1.0, _FULL_SCALE / np.abs(mixed).max())).astype(np.float32)


def change_speed(wave: Wave, speed: float) -> Wave:
    """The same voice at another speed of reading, by a phase vocoder."""
    import librosa

    stretched = librosa.effects.time_stretch(wave, rate=speed, n_fft=STRETCH_WINDOW)
    return stretched.clip(-1, 1).astype(np.float32)


def cut_out(wave: Wave, start: float, end: float) -> Wave:
    """Without the samples between two times in seconds."""
    return np.concatenate([wave[: _sample(start)], wave[_sample(end) :]])


def say_twice(wave: Wave, start: float, end: float) -> Wave:
    """With the samples between two times in seconds there twice."""
    return np.concatenate([wave[: _sample(end)], wave[_sample(start) :]])


def heard_slots(error: TextError) -> tuple[list[str], list[list[str]]]:
    """Words heard before the first word of the reference, and those heard for, and behind, each of its words."""
    before: list[str] = []
    slots: list[list[str]] = []
    for piece in error.alignment:
        if piece.kind == "insert":
            (slots[-1] if slots else before).extend(piece.heard)
        elif piece.kind == "delete":
            slots += [[] for _ in piece.reference]
        else:
            slots += [[word] for word in piece.heard]
    return before, slots


def expected_words(task: Task, heard: TextError, prompt: TextError) -> dict[str, str]:
    """What is heard of the spliced waves by who hears each word as in the recording and in the prompt."""
    before, slots = heard_slots(heard)
    first, end = task.first, task.first + ROW_WORDS
    tail = heard_slots(prompt)[1][-LEAK_WORDS:]
    rows = {
        CUT: slots[:first] + slots[end:],
        SOME_CUT: slots[:first] + slots[end:] if task.is_some else slots,
        REPEATED: slots[:end] + slots[first:],
        LEAKED: [*tail, before, *slots],
    }
    lead = {LEAKED: []}
    return {name: " ".join(sum(own, start=lead.get(name, before))) for name, own in rows.items()}


def write_degraded(folder: Path, tasks: Sequence[Task], *, seed: int, facts: Mapping[str, object]) -> None:
    """Write ``SYSTEM/ID.wav`` of every system, a synth folder's ``requests.jsonl`` and ``run.json``, and ``items.tsv``
    (id, speaker, prompt, prompt_text, text, target), from which other systems can be given the same items."""
    import soundfile

    items, rows = [], ["\t".join(("id", "speaker", "prompt", "prompt_text", "text", "target"))]
    for name in SYSTEMS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for task in tqdm(tasks, desc="degrade", unit="item", disable=None):
        one, prompt = task.recording, task.prompt
        own = read_wave(prompt.file)
        waves = degrade(task, read_wave(one.file), own, read_wave(task.other.file), seed=seed)
        files = {name: f"{name}/{one.id}.wav" for name in SYSTEMS}
        files_of_prompt = f"{RECORDING}/{prompt.id}.wav"
        for path, wave in [*((files[name], waves[name]) for name in SYSTEMS), (files_of_prompt, own)]:
            soundfile.write(folder / path, wave, SCORING_RATE, subtype="PCM_16")
        items.append(
            SynthItem(
                id=one.id,
                speaker=one.speaker,
                target_id=one.id,
                prompt_id=prompt.id,
                text=one.text,
                prompt_text=prompt.text,
                systems=files,
                prompt=files_of_prompt,
                seconds_of_audio=0.0,
                seconds_to_generate=0.0,
                seed=seed,
            )
        )
        rows.append("\t".join((one.id, one.speaker, files_of_prompt, prompt.text, one.text, files[RECORDING])))
    write_text(folder / "items.tsv", "\n".join(rows) + "\n")
    write_synth(folder, items, facts)


def _differ(first: Recording, second: Recording) -> bool:
    return first.id != second.id and letters_only(first.text) != letters_only(second.text)


def _sample(seconds: float) -> int:
    return round(seconds * SCORING_RATE)
