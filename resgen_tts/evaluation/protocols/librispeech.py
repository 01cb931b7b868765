"""LibriSpeech in its own layout, and the two published lists of its ``test-clean``.

The layout: ``SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac``, and in each chapter ``SPEAKER-CHAPTER.trans.txt`` with
lines of an utterance's id and its words in capitals.

* The 1,237 utterances of 4 to 10 s, both included, of the VALL-E style protocols (method.md, 10.2). The list is not
  part of this package: it follows from the durations, and its hash shows that it does.
* LibriSpeech-PC's 1,127 pairs of F5-TTS, with case and punctuation.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import AudioError, DataError
from resgen_tts.common.listing import some
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.evaluation.protocols.item_set import Clip, PlannedItem
from resgen_tts.evaluation.protocols.synth_folder import plain_id, refuse_repeats, refuse_without_letters

SHORTEST_SECONDS, LONGEST_SECONDS = 4, 10
TARGETS, TARGET_SPEAKERS, TARGET_WORDS = 1237, 40, 22_058  # 66,174 words in three trials
TARGETS_SHA256 = "2f2c01ac9fbd12e15bc954b14f4f1b60f24cb9ef57793af172be1fa57785fdff"  # ids sorted, joined by line breaks

PC_PAIRS = 1127
PC_SHA256 = "09811d521effa4eeb1da655f7379de97343b2f5ea86d829ec7ccb8656758a10f"  # of the file
PC_PUBLISHED = (
    "SWivid/F5-TTS on GitHub, data/librispeech_pc_test_clean_cross_sentence.lst, "
    "commit 2ae2c9bd9b64dab2cb069c4b97e5e7673c521e01"
)
PC_TOLERANCE_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One recording of LibriSpeech."""

    id: str
    speaker: str
    path: Path
    text: str  # lower case: a text of capitals alone may be read as abbreviations
    rate: int  # Hz
    num_samples: int

    @property
    def seconds(self) -> float:
        """Length."""
        return self.num_samples / self.rate

    def clip(self) -> Clip:
        """The whole utterance."""
        return Clip(source=self.path, name=self.id, text=self.text)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What is to be spoken, and what of the published list is not there."""

    utterances: Sequence[Utterance]
    absent: Mapping[str, str]  # id -> why
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_librispeech(folder: Path) -> tuple[dict[str, Utterance], list[str]]:
    """All utterances of a part of LibriSpeech by their ids, and the ids of those whose recording is missing.

    Raises:
        DataError: there is no transcript in the layout; a malformed line; an id twice, or in the wrong chapter.
        AudioError: a recording cannot be read.
    """
    folder = Path(folder)
    found: dict[str, Utterance] = {}
    missing: list[str] = []
    for transcript in sorted(folder.glob("*/*/*.trans.txt")):
        chapter = f"{transcript.parent.parent.name}-{transcript.parent.name}"
        for number, line in enumerate(transcript.read_text(encoding="utf-8").splitlines(), start=1):
            name, _, text = line.partition(" ")
            where = f"{transcript.name}:{number}"
            if not text.strip() or not name.startswith(f"{chapter}-"):
                raise DataError(f"{where}: {line[:60]!r} is no utterance of chapter {chapter} with its words.")
            refuse_without_letters(text, f"{where}: {name}")
            if plain_id(name, where) in found:
                raise DataError(f"{where}: {name} is there twice.", code="DUPLICATE_ID")
            path = transcript.parent / f"{name}.flac"
            if path.is_file():
                found[name] = _utterance(name, path, text)
            else:
                missing.append(name)
    if not found and not missing:
        raise DataError(
            f"{folder} holds no SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt.",
            code="FILE_MISSING",
            hint="Give the folder test-clean of LibriSpeech (openslr.org/12).",
        )
    return found, missing


def list_hash(ids: Iterable[str]) -> str:
    """SHA-256 of sorted ids, joined by line breaks."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def choose_targets(
    corpus: Mapping[str, Utterance], list_file: Path | None = None, *, missing: Collection[str] = (), subset: bool
) -> Targets:
    """The 1,237 utterances, by their durations or by a list.

    Args:
        list_file: ids, one a line or in the first column of a table.
        missing: ids whose recording is not there.
        subset: take what there is of them.
    Raises:
        DataError: LIST_DIFFERENT, they are not the published ones (counted); no utterance is left.
    """
    if list_file is None:
        ids = sorted(name for name, one in corpus.items() if _is_target(one))
        absent = {}
    else:
        listed = read_ids(list_file)
        if not subset and list_hash(listed) != TARGETS_SHA256:
            raise DataError(
                f"{list_file} lists {len(listed)} ids, which are not the published {TARGETS:,}.",
                code="LIST_DIFFERENT",
                hint="Give the published list, or --subset true for a set of its own.",
            )
        ids = sorted(name for name in listed if name in corpus)
        absent = {name: "not in the directory" for name in sorted(listed) if name not in corpus}
    digest = list_hash(ids)
    if digest != TARGETS_SHA256 and not subset:
        raise DataError(_difference(corpus, ids, absent, missing), code="LIST_DIFFERENT", hint=_subset_hint(list_file))
    if not ids:
        raise DataError(
            f"none of the {len(corpus)} utterances lasts {SHORTEST_SECONDS} to {LONGEST_SECONDS} s."
            if list_file is None
            else f"none of the {len(absent)} listed utterances is in the directory.",
            code="MANIFEST_EMPTY",
        )
    targets = [corpus[name] for name in ids]
    words = sum(len(one.text.split()) for one in targets)
    if digest == TARGETS_SHA256 and words != TARGET_WORDS:
        raise DataError(
            f"the transcripts of the {TARGETS:,} utterances have {words:,} words, LibriSpeech's {TARGET_WORDS:,}.",
            code="LIST_DIFFERENT",
            hint="Use the trans.txt files as they are published.",
        )
    facts = {
        "list": "durations" if list_file is None else Path(list_file).name,
        "list_sha256": digest,
        "published_list_sha256": TARGETS_SHA256,
        "is_subset": digest != TARGETS_SHA256,
    }
    return Targets(utterances=targets, absent=absent, facts=facts)


def read_ids(list_file: Path) -> list[str]:
    """Ids of a file: one a line, or the first column of a table whose header begins with id, utt or utterance.

    Raises:
        DataError: the file is missing or empty, or an id is not plain or stands twice.
    """
    path = Path(list_file)
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING")
    ids = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        name = line.split("\t")[0].strip()
        if name and not (number == 1 and name in {"id", "utt", "utterance"}):
            ids.append(plain_id(name, f"{path.name}:{number}"))
    if not ids:
        raise DataError(f"{path} lists no ids.", code="MANIFEST_EMPTY")
    refuse_repeats(ids, path.name)
    return ids


def plan_librispeech_pc(
    corpus: Mapping[str, Utterance], list_file: Path, *, subset: bool
) -> tuple[list[PlannedItem], Targets]:
    """LibriSpeech-PC's pairs of F5-TTS: the whole prompt, its words and the target's as a book prints them.

    Lines hold prompt, its seconds and text, target, its seconds and text, between tabs.

    Args:
        subset: take the pairs whose two recordings are there, of any such list.
    Raises:
        DataError: the file is missing (the message says where it is published), LIST_DIFFERENT; a malformed line;
            recordings are missing, or do not last as long as the list says (counted, the first ones named).
    """
    path = Path(list_file)
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING", hint=f"It is published in {PC_PUBLISHED}.")
    digest = sha256_file(path)
    if digest != PC_SHA256 and not subset:
        raise DataError(
            f"{path} is not the published list: its SHA-256 is {digest[:12]}..., not {PC_SHA256[:12]}...",
            code="LIST_DIFFERENT",
            hint=f"It is published in {PC_PUBLISHED}.",
        )
    items, absent, other = [], {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        prompt_id, prompt_seconds, prompt_text, target_id, seconds, text = _pair(line, f"{path.name}:{number}")
        lost = [name for name in (prompt_id, target_id) if name not in corpus]
        if lost:
            absent[target_id] = f"not in the directory: {', '.join(lost)}"
            continue
        prompt, target = corpus[prompt_id], corpus[target_id]
        for one, stated in ((prompt, prompt_seconds), (target, seconds)):
            if abs(one.seconds - stated) > PC_TOLERANCE_SECONDS:
                other.append(f"{one.id} lasts {one.seconds:.3f} s and not {stated:.3f} s")
        items.append(
            PlannedItem(
                id=target_id, speaker=target.speaker, target_id=target_id, text=text, say=text,
                prompt=Clip(source=prompt.path, name=prompt_id, text=prompt_text),
                recording=Clip(source=target.path, name=target_id, text=text),
            )
        )  # fmt: skip
    if other:
        raise DataError(f"{len(other)} recordings are not those of the list: {some(other)}.", code="LIST_DIFFERENT")
    if absent and not subset:
        raise DataError(
            f"{len(absent)} of {len(items) + len(absent)} pairs cannot be built: "
            f"{some([f'{name} ({why})' for name, why in absent.items()])}.",
            code="LIST_DIFFERENT",
            hint=_subset_hint(list_file),
        )
    refuse_repeats([item.id for item in items], path.name)
    facts = {
        "list": path.name,
        "list_sha256": digest,
        "published_list_sha256": PC_SHA256,
        "is_subset": bool(absent) or digest != PC_SHA256,
    }
    return items, Targets(utterances=[corpus[item.target_id] for item in items], absent=absent, facts=facts)


def _utterance(name: str, path: Path, text: str) -> Utterance:
    import soundfile

    try:
        header = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioError(f"{path} cannot be decoded: {error}") from error
    return Utterance(
        id=name, speaker=name.split("-")[0], path=path, text=" ".join(text.lower().split()), rate=header.samplerate,
        num_samples=header.frames,
    )  # fmt: skip


def _is_target(one: Utterance) -> bool:
    return SHORTEST_SECONDS * one.rate <= one.num_samples <= LONGEST_SECONDS * one.rate


def _difference(
    corpus: Mapping[str, Utterance], ids: Sequence[str], absent: Mapping[str, str], missing: Collection[str]
) -> str:
    """What is there in place of the published list."""
    if absent:
        return f"{len(absent)} of the {TARGETS:,} listed utterances are not in the directory: {some(list(absent))}."
    lost = f"; {len(missing)} recordings of its transcripts are missing: {some(sorted(missing))}" if missing else ""
    apart = TARGETS - len(ids)
    counted = f"{abs(apart)} {'are missing' if apart > 0 else 'are too many'}" if apart else "some are others"
    return (
        f"{len(ids):,} of {len(corpus):,} utterances, of {len({corpus[name].speaker for name in ids})} speakers, last "
        f"{SHORTEST_SECONDS} to {LONGEST_SECONDS} s; test-clean has {TARGETS:,} of {TARGET_SPEAKERS}: {counted}{lost}."
    )


def _subset_hint(list_file: Path | None) -> str:
    named = "" if list_file else " (with --list FILE it is said which are missing)"
    return f"Give the whole test-clean{named}, or --subset true for what is there."


def _pair(line: str, where: str) -> tuple[str, float, str, str, float, str]:
    cells = line.split("\t")
    try:
        prompt, prompt_seconds, prompt_text, target, seconds, text = cells
        lengths = float(prompt_seconds), float(seconds)
    except ValueError as error:
        raise DataError(
            f"{where}: not prompt, seconds, text, target, seconds, text between tabs: {line[:60]!r}."
        ) from error
    if prompt == target or prompt.split("-")[0] != target.split("-")[0]:
        raise DataError(f"{where}: prompt {prompt} and target {target} must be two utterances of one speaker.")
    refuse_without_letters(text, f"{where}: item {target}")
    return plain_id(prompt, where), lengths[0], prompt_text, plain_id(target, where), lengths[1], text
