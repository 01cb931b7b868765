"""What every corpus leaves behind: FLAC files, lhotse manifests, evaluation pairs, and a report that adds up.

Layout of a prepared corpus `root`:
    root/audio/<...>.flac                 mono, 16 bit, at the recipe's rate
    root/manifests/{train,dev,test}.jsonl.gz   lhotse CutSets; file names relative to `root`
    root/manifests/pairs.tsv              id, prompt, target, speaker (ids of test cuts)
    root/manifests/pairs_full.tsv         studio: every test sentence by every test speaker
    root/lm/                              mini, studio: the closed words of test and their bigram model, for recognisers
    root/manifests/data_report.json       read = used + skipped by reason
"""

import gzip
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resgen_tts.common.errors import DataError
from resgen_tts.common.run_dir import write_bytes, write_json, write_text

SPLITS = ("train", "dev", "test")
ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One recording of the prepared corpus."""

    id: str
    speaker: str
    text: str  # "" where there is no transcript
    path: str  # of the FLAC, relative to the corpus root
    num_samples: int
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.num_samples / self.sample_rate


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An evaluation item: clone the speaker of `prompt` saying the text of `target`; both are test cuts."""

    id: str
    prompt: str
    target: str
    speaker: str


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An item that was read and not used: which one, a stable reason, and what was found."""

    item: str
    reason: str
    detail: str = ""


def write_flac(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write [N] in [-1, 1] as mono 16-bit FLAC, whole or not at all; the same samples give the same bytes."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(samples), sample_rate, format="FLAC", subtype="PCM_16")
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    staged.write_bytes(buffer.getvalue())  # not synced: a stage that dies makes its clips again
    os.replace(staged, path)


def _cut(utterance: Utterance):
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

    recording = Recording(
        id=utterance.id,
        sources=[AudioSource(type="file", channels=[0], source=utterance.path)],
        sampling_rate=utterance.sample_rate,
        num_samples=utterance.num_samples,
        duration=utterance.seconds,
    )
    supervision = SupervisionSegment(
        id=utterance.id,
        recording_id=utterance.id,
        start=0.0,
        duration=utterance.seconds,
        text=utterance.text,
        language="en",
        speaker=utterance.speaker,
        custom={"has_text": bool(utterance.text)},
    )
    return MonoCut(
        id=utterance.id,
        start=0.0,
        duration=utterance.seconds,
        channel=0,
        recording=recording,
        supervisions=[supervision],
    )


def write_manifests(root: Path, splits: Mapping[str, Sequence[Utterance]]) -> None:
    """Write one CutSet per split, in the order given, the same bytes for the same utterances.

    Raises:
        DataError: an id is not fit for a file name or stands twice, or a speaker of test stands in train or dev.
    """
    counts = Counter(utterance.id for utterances in splits.values() for utterance in utterances)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise DataError(
            f"{len(twice)} ids stand twice in the manifests, the first is {twice[0]!r}.", code="DUPLICATE_ID"
        )
    unfit = [name for name in counts if not ID_PATTERN.fullmatch(name)]
    if unfit:
        raise DataError(f"id {unfit[0]!r} does not match {ID_PATTERN.pattern}.", code="BAD_ID")
    refuse_shared_speakers(splits)
    for split in SPLITS:
        lines = [json.dumps(_cut(utterance).to_dict(), ensure_ascii=False) for utterance in splits.get(split, ())]
        text = "".join(line + "\n" for line in lines)
        # mtime=0: a rerun leaves the same bytes, so that a stage's fingerprint does not change.
        write_bytes(root / "manifests" / f"{split}.jsonl.gz", gzip.compress(text.encode(), mtime=0))


def refuse_shared_speakers(splits: Mapping[str, Sequence[Utterance]]) -> None:
    """Raise where a speaker of test is also heard in train or dev.

    Raises:
        DataError: SPEAKER_OVERLAP, with the names.
    """
    heard = {utterance.speaker for split in ("train", "dev") for utterance in splits.get(split, ())}
    shared = sorted(heard & {utterance.speaker for utterance in splits.get("test", ())})
    if shared:
        raise DataError(
            f"{len(shared)} test speakers are also in train or dev: {', '.join(shared[:10])}.",
            code="SPEAKER_OVERLAP",
            hint="Cloning is judged on unseen speakers: move them to one side.",
        )


def write_pairs(root: Path, pairs: Iterable[Pair], name: str = "pairs.tsv") -> None:
    """Write the evaluation items to a file in `manifests`."""
    rows = ["id\tprompt\ttarget\tspeaker", *(f"{p.id}\t{p.prompt}\t{p.target}\t{p.speaker}" for p in pairs)]
    write_text(root / "manifests" / name, "\n".join(rows) + "\n")


def choose_pairs(
    utterances: Sequence[Utterance], *, prompt_seconds: tuple[float, float], targets_per_speaker: int
) -> list[Pair]:
    """Pair each target with another recording of its speaker that says something else.

    Args:
        utterances: of the test split; those without a transcript are left out.
        prompt_seconds: wanted length of a prompt; the speaker's nearest one is taken where none lies inside.
        targets_per_speaker: at most so many items a speaker; the order of `utterances` decides.
    """
    low, high = prompt_seconds
    pairs, by_speaker = [], {}
    for utterance in utterances:
        if utterance.text:
            by_speaker.setdefault(utterance.speaker, []).append(utterance)
    for speaker, spoken in by_speaker.items():
        for index, target in enumerate(spoken[:targets_per_speaker]):
            others = [other for other in spoken if other.text != target.text]
            if not others:
                continue
            misfit = [max(low - other.seconds, other.seconds - high, 0.0) for other in others]
            fitting = [other for other, miss in zip(others, misfit, strict=True) if miss == min(misfit)]
            prompt = fitting[index % len(fitting)]
            pairs.append(Pair(id=f"{target.id}--{prompt.id}", prompt=prompt.id, target=target.id, speaker=speaker))
    return pairs


def summarize(splits: Mapping[str, Sequence[Utterance]]) -> dict[str, dict[str, float | int]]:
    """Utterances, speakers and seconds per split."""
    return {
        split: {
            "utterances": len(splits.get(split, ())),
            "transcribed": sum(bool(utterance.text) for utterance in splits.get(split, ())),
            "speakers": len({utterance.speaker for utterance in splits.get(split, ())}),
            "seconds": round(sum(utterance.seconds for utterance in splits.get(split, ())), 3),
        }
        for split in SPLITS
    }


def write_report(
    root: Path, *, read: int, splits: Mapping[str, Sequence[Utterance]], skipped: Sequence[Skipped], **more: object
) -> None:
    """Write `manifests/data_report.json`; `more` is added to it as it is."""
    used = sum(len(utterances) for utterances in splits.values())
    assert read == used + len(skipped), f"read {read} != used {used} + skipped {len(skipped)}"
    report = {
        "read": read,
        "used": used,
        "skipped": dict(sorted(Counter(item.reason for item in skipped).items())),
        "splits": summarize(splits),
        "skipped_items": [vars(item) for item in skipped],
        **more,
    }
    write_json(root / "manifests" / "data_report.json", report)
