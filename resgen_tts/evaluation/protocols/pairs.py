"""The items of a prepared corpus: pairs of prompt and target.

They come from ``<data>/manifests/pairs.tsv`` (columns id, prompt, target, speaker) and the test manifest beside it.
"""

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.protocols.synth_folder import inside, plain_id, refuse_repeats


@dataclass(frozen=True, kw_only=True)
class EvaluationItem:
    """One prompt and one target of the same speaker."""

    id: str
    speaker: str
    target_id: str
    prompt_id: str
    text: str  # of the target
    prompt_text: str
    target_audio: Path
    prompt_audio: Path
    target_seconds: float
    prompt_seconds: float


def read_items(data: Path) -> list[EvaluationItem]:
    """Join ``pairs.tsv`` with the test manifest.

    Args:
        data: a prepared data folder, with ``manifests/pairs.tsv`` and ``manifests/test.jsonl.gz``.
    Raises:
        DataError: a file is missing or malformed, an id is unknown, repeated or not plain, prompt and target are the
            same cut or of different speakers, or a target has no text. Line and id are named.
    """
    data = Path(data)
    cuts = _read_cuts(data / "manifests" / "test.jsonl.gz", data)
    pairs = data / "manifests" / "pairs.tsv"
    if not pairs.is_file():
        raise DataError(f"{pairs} does not exist.", code="FILE_MISSING", hint="Run the stage 'prepare' first.")
    items = []
    with open(pairs, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = {"id", "prompt", "target", "speaker"} - set(rows.fieldnames or ())
        if missing:
            raise DataError(f"{pairs.name}: columns are missing: {', '.join(sorted(missing))}")
        for row in rows:
            where = f"{pairs.name}:{rows.line_num}"
            for column in ("prompt", "target"):
                if row[column] not in cuts:
                    raise DataError(f"{where}: {column} {row[column]!r} is not in the test manifest.")
            prompt, target = cuts[row["prompt"]], cuts[row["target"]]
            if row["prompt"] == row["target"]:
                raise DataError(f"{where}: prompt and target are the same cut {row['target']}.")
            if not row["speaker"] == prompt["speaker"] == target["speaker"]:
                raise DataError(
                    f"{where}: speaker {row['speaker']}, but the prompt is {prompt['speaker']}'s and the target "
                    f"{target['speaker']}'s."
                )
            if not target["text"].strip():
                raise DataError(f"{where}: target {row['target']} has no text; it cannot be scored.")
            items.append(
                EvaluationItem(
                    id=plain_id(row["id"], where),
                    speaker=row["speaker"],
                    target_id=row["target"],
                    prompt_id=row["prompt"],
                    text=target["text"],
                    prompt_text=prompt["text"],
                    target_audio=target["audio"],
                    prompt_audio=prompt["audio"],
                    target_seconds=target["seconds"],
                    prompt_seconds=prompt["seconds"],
                )
            )
    refuse_repeats([item.id for item in items], pairs.name)
    return items


def _read_cuts(manifest: Path, data: Path) -> dict[str, dict[str, Any]]:
    """Id, speaker, text, audio and seconds of every cut of a lhotse manifest, read as the JSON lines that it is."""
    if not manifest.is_file():
        raise DataError(f"{manifest} does not exist.", code="FILE_MISSING", hint="Run the stage 'prepare' first.")
    cuts = {}
    with gzip.open(manifest, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            where = f"{manifest.name}:{number}"
            try:
                cut = json.loads(line)
                (supervision,), (source,) = cut["supervisions"], cut["recording"]["sources"]
                audio, start, seconds = source["source"], cut["start"], cut["duration"]
                name, speaker, text = cut["id"], supervision["speaker"], supervision.get("text") or ""
            except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise DataError(f"{where}: not a cut with one supervision and one source: {error!r}") from error
            if start:
                raise DataError(f"{where}: cut {name} starts at {start} s; an evaluation cut is a whole recording.")
            cuts[name] = {
                "speaker": speaker,
                "text": text,
                "audio": data / inside(audio, where),
                "seconds": float(seconds),
            }
    return cuts
