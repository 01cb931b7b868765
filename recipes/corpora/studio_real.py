"""Real speech for the studio corpus, where there is some at hand: read as `custom` reads it, and varied by WORLD.

Speakers who say much are few in free corpora; each of them also lends the recordings to speakers of another pitch and
vocal tract length.
"""

import functools
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes.corpora.custom import CustomConfig, find_tables, process
from recipes.corpora.manifests import ID_PATTERN, Skipped, Utterance, write_flac
from recipes.corpora.parallel import in_parallel
from recipes.corpora.resume import once, work_folder
from recipes.corpora.rows import Listed, collect, file_state
from recipes.corpora.studio_speakers import spread
from recipes.corpora.world_voice import Transform, analyse, render
from resgen_tts.common.errors import DataError

RECIPE_VERSION = 1  # raise it when the same recordings are to give other sound
VARIED_SECONDS = 600.0  # a speaker of training with as much transcribed speech is varied
VARIANTS = 6  # speakers made of each such speaker
VARIANTS_PER_RECORDING = 2
FORMANTS, PITCHES, RATES = (0.90, 1.12), (0.82, 1.25), (0.93, 1.08)
RECORDINGS_PER_JOB = 16
DEV_SHARE = 0.02  # of the speakers, at least one where there are two


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One recording to make of another."""

    id: str
    speaker: str
    path: str  # of the new recording, relative to the corpus root
    transform: Transform


@dataclass(kw_only=True)
class Intake:
    """What real speech gives to the corpus."""

    train: list[Utterance] = field(default_factory=list)
    dev: list[Utterance] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    read: int = 0
    report: dict[str, Any] = field(default_factory=dict)


def identity(real: Path, tables: Sequence[str]) -> list[tuple]:
    """What decides the intake, for the corpus's fingerprint."""
    return [(row, file_state(row.source)) for row in _listed(real, tables)[0]]


def _listed(real: Path, tables: Sequence[str]) -> tuple[list[Listed], list[Skipped]]:
    config = CustomConfig(data=str(real), output="", list=tuple(tables))
    found, _ = find_tables(config)
    collected = collect(found, [], real)
    return collected.listed, collected.bad


def take_in_real(real: Path, tables: Sequence[str], root: Path, *, sample_rate: int, num_jobs: int) -> Intake:
    """Read the recordings of some tables into the corpus, a few of the speakers for dev, none for test.

    Args:
        real: folder of the recordings, as `custom` takes it.
        tables: from that folder on; none: those that lie in it.
        root: of the prepared corpus.
    Raises:
        DataError: a table cannot be used, none is there, or no recording of them can be used.
    """
    listed, bad = _listed(real, tables)
    config = CustomConfig(data=str(real), output=str(root), nj=num_jobs, sample_rate=sample_rate)
    utterances, unusable, warnings = process(listed, config)
    names = sorted({item.speaker for item in utterances}, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    if not names:
        shown = "; ".join(f"{item.item}: {item.reason} {item.detail}" for item in [*bad, *unusable][:5])
        raise DataError(
            f"none of the {len(listed) + len(bad)} recordings in {real} can be used: {shown}",
            code="REAL_UNUSABLE",
            hint="Mend the tables, or leave real speech out.",
        )
    held_out = set(names[: max(1, round(DEV_SHARE * len(names)))] if len(names) > 1 else [])
    kept = [item for item in utterances if item.speaker not in held_out]
    varied, unvoiced = _vary(kept, root, sample_rate, num_jobs)
    return Intake(
        train=kept + varied,
        dev=[item for item in utterances if item.speaker in held_out],
        skipped=[*bad, *unusable, *unvoiced],
        read=len(listed) + len(bad) + len(varied) + len(unvoiced),
        report={
            "folders": sorted({row.folder for row in listed}),
            "recordings": len(utterances),
            "seconds": round(sum(item.seconds for item in utterances), 1),
            "variants": len(varied),
            "variant_seconds": round(sum(item.seconds for item in varied), 1),
            "warnings": dict(sorted(warnings.items())),
        },
    )


def _vary(
    utterances: Sequence[Utterance], root: Path, sample_rate: int, num_jobs: int
) -> tuple[list[Utterance], list[Skipped]]:
    """The variants of speakers with much transcribed speech, and those that could not be made."""
    by_speaker: dict[str, list[Utterance]] = defaultdict(list)
    for item in utterances:
        if item.text:
            by_speaker[item.speaker].append(item)
    rows: list[tuple[Utterance, tuple[Variant, ...]]] = []
    for speaker, spoken in sorted(by_speaker.items()):
        if sum(item.seconds for item in spoken) < VARIED_SECONDS:
            continue
        for turn, item in enumerate(spoken):
            chosen = [(turn * VARIANTS_PER_RECORDING + step) % VARIANTS for step in range(VARIANTS_PER_RECORDING)]
            rows.append((item, tuple(_variant(item, speaker, index) for index in chosen)))
    jobs = [rows[start : start + RECORDINGS_PER_JOB] for start in range(0, len(rows), RECORDINGS_PER_JOB)]
    calls = [functools.partial(_run, tuple(job), root, sample_rate) for job in jobs]
    lengths = {name: count for part in in_parallel(calls, num_jobs, "vary") for name, count in part.items()}
    wanted = [(item, variant) for item, variants in rows for variant in variants]
    made = [
        Utterance(
            id=variant.id,
            speaker=variant.speaker,
            text=item.text,
            path=variant.path,
            num_samples=lengths[variant.id],
            sample_rate=sample_rate,
        )
        for item, variant in wanted
        if variant.id in lengths
    ]
    unvoiced = [
        Skipped(item=variant.id, reason="VARIANT_UNVOICED", detail=f"WORLD finds no pitch in {item.path}")
        for item, variant in wanted
        if variant.id not in lengths
    ]
    return made, unvoiced


def _variant(item: Utterance, speaker: str, index: int) -> Variant:
    parts = spread(index, 3)
    formant, pitch, rate = (
        round(low + part * (high - low), 4) for part, (low, high) in zip(parts, (FORMANTS, PITCHES, RATES), strict=True)
    )
    name = f"{item.id}_v{index}"
    digest = hashlib.sha256(name.encode()).hexdigest()
    folder, name = digest[:2], name if ID_PATTERN.fullmatch(name) else digest[:32]  # an id has 128 letters at most
    return Variant(
        id=name,
        speaker=f"{speaker}_v{index}",
        path=f"audio/varied/{folder}/{name}.flac",
        transform=Transform(formant=formant, pitch=pitch, rate=rate),
    )


def _run(rows: tuple[tuple[Utterance, tuple[Variant, ...]], ...], root: Path, sample_rate: int) -> dict[str, int]:
    sources = [file_state(root / item.path) for item, _ in rows]
    key = hashlib.sha256(repr((RECIPE_VERSION, rows, sources, sample_rate)).encode()).hexdigest()[:24]
    paths = {variant.id: root / variant.path for _, variants in rows for variant in variants}
    return once(
        work_folder(root) / f"{key}.json",
        functools.partial(_make, rows, root, sample_rate),
        lambda lengths: [paths[name] for name in lengths],
    )


def _make(rows: tuple[tuple[Utterance, tuple[Variant, ...]], ...], root: Path, sample_rate: int) -> dict[str, int]:
    """Lengths of the variants in samples; a recording without a voiced frame gives none."""
    import numpy as np
    import soundfile

    lengths = {}
    for item, variants in rows:
        wave, _ = soundfile.read(root / item.path, dtype="float64")
        try:
            found = analyse(wave, sample_rate)
        except DataError:
            continue
        for variant in variants:
            made = render(found, variant.transform)
            made = made * min(1.0, 0.98 / max(np.abs(made).max(), 1e-9))  # WORLD may overshoot a loud recording
            write_flac(root / variant.path, made, sample_rate)
            lengths[variant.id] = len(made)
    return lengths
