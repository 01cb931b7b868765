"""What ``synthesize-list`` speaks: pairs of a prepared corpus, items of a table, and items of a protocol's set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.protocols.item_list import ListItem
from resgen_tts.evaluation.protocols.item_set import ItemSet
from resgen_tts.speech.reference import ReferenceConfig

if TYPE_CHECKING:
    from resgen_tts.speech.synthesizer import Synthesizer

PAIRS = "manifests/pairs.tsv"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One item: what is to be said, and how its sound is read, at the model's rate."""

    id: str
    speaker: str
    text: str  # what the whole output says
    prompt_id: str
    prompt_text: str
    load_prompt: Callable[[], np.ndarray]
    target_id: str = ""
    load_recording: Callable[[], np.ndarray] | None = None  # None where nobody has said it
    trial: int = 0
    say: str = ""  # what is to be generated, where that is not the whole text
    files: Mapping[str, Path] | None = None  # recording, prompt, reference: kept as they are, not read and written
    load_lead: Callable[[], np.ndarray] | None = None  # samples that the output of a continuation begins with

    def file(self, kind: str) -> Path | None:
        """A file that is kept as it is."""
        return (self.files or {}).get(kind)

    @property
    def recording_name(self) -> str:
        """Under which the recording is kept: trials of a target share it."""
        recording = self.file("recording")
        return self.id if recording is None else recording.stem


def tasks_of_pairs(data: Path, pairs: str = PAIRS, split: str = "test") -> list[Task]:
    """The pairs of a prepared corpus.

    Raises:
        DataError: the table is missing or empty, or names an utterance that the split lacks or that has no transcript.
    """
    import csv

    path = data / pairs
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="MANIFEST_MISSING", hint="Run the stage 'prepare' with pairs.")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows:
        raise DataError(f"{path} lists no item.", code="MANIFEST_EMPTY")
    return pair_tasks(data, rows, split, path.name)


def pair_tasks(data: Path, rows: Sequence[Mapping[str, str]], split: str, table: str) -> list[Task]:
    """Pairs with the columns id, prompt, target and speaker, as items.

    Raises:
        DataError: a pair names an utterance that the split lacks or that has no transcript.
    """
    from resgen_tts.speech.corpus import load_cuts

    cuts = {cut.id: cut for cut in load_cuts(data, split)}
    tasks = []
    for row in rows:
        for name in ("prompt", "target"):
            if row[name] not in cuts or not cuts[row[name]].supervisions[0].text:
                raise DataError(f"{table}: {row['id']}: {name} {row[name]} is not a transcribed {split} utterance.")
        prompt, target = cuts[row["prompt"]], cuts[row["target"]]
        tasks.append(
            Task(
                id=row["id"], speaker=row["speaker"], text=target.supervisions[0].text, target_id=target.id,
                prompt_id=prompt.id, prompt_text=prompt.supervisions[0].text,
                load_prompt=lambda cut=prompt: cut.load_audio()[0],
                load_recording=lambda cut=target: cut.load_audio()[0],
            )
        )  # fmt: skip
    return tasks


def tasks_of_list(items: Sequence[ListItem], system: "Synthesizer", reference: ReferenceConfig) -> list[Task]:
    """Items of a table; their references are read as a user's are, at any rate."""
    load = _reference_loader(system, reference)
    return [
        Task(
            id=item.id, speaker=item.speaker, text=item.target, prompt_id=item.prompt.id, prompt_text=item.text,
            load_prompt=lambda path=item.audio: load(path),
        )
        for item in items
    ]  # fmt: skip


def tasks_of_set(items: ItemSet, system: "Synthesizer", reference: ReferenceConfig) -> list[Task]:
    """Items of a protocol's set; its files go beside the outputs as they are.

    Raises:
        DataError: it is not known what an item's prompt says (counted, the first ones named).
    """
    from resgen_tts.evaluation.waves import read_wave

    load, rate = _reference_loader(system, reference), system.tokenizer.sample_rate
    unknown = [item.id for item in items.items if not item.prompt_text.strip()]
    if unknown:
        raise DataError(
            f"the prompts of {len(unknown)} of {len(items.items)} items have no text, the first is {unknown[0]}'s."
        )

    def prepared(relative: str) -> Callable[[], np.ndarray]:
        return lambda: load(items.file(relative))

    def read(relative: str) -> Callable[[], np.ndarray]:
        return lambda: read_wave(items.file(relative), sample_rate=rate)

    return [
        Task(
            id=item.id, speaker=item.speaker, text=item.text, target_id=item.target_id, prompt_id=item.prompt_id,
            prompt_text=item.prompt_text, load_prompt=prepared(item.prompt),
            load_recording=None if item.recording is None else read(item.recording), trial=item.trial, say=item.say,
            files={
                kind: items.file(relative)
                for kind in ("recording", "prompt", "reference")
                if (relative := getattr(item, kind)) is not None
            },
            load_lead=read(item.prompt) if item.continues else None,
        )
        for item in items.items
    ]  # fmt: skip


def _reference_loader(system: "Synthesizer", reference: ReferenceConfig) -> Callable[[Path], np.ndarray]:
    from resgen_tts.speech.audio.load import load_reference

    rate = system.tokenizer.sample_rate
    return lambda path: load_reference(path, sample_rate=rate, is_cut=reference.is_cut).samples
