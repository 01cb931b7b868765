"""Work that survives a kill: a job leaves a marker when its files are written, and is not done again."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from resgen_tts.common.run_dir import read_json, write_json


def work_folder(root: Path) -> Path:
    """Where the markers of an unfinished corpus lie: beside its audio, so that whoever deletes one deletes both."""
    return root / "audio" / ".work"


def once(
    marker: Path, make: Callable[[], dict[str, Any]], files_of: Callable[[dict[str, Any]], Iterable[Path]]
) -> dict:
    """The result of `make`, from the marker where an earlier run has left one.

    A marker counts only while every file that it speaks of is there and no younger than itself: a file that another
    job has written over since (other options, other audio under the same id) makes the job run again.

    Args:
        marker: where the result is kept as JSON.
        make: does the work and returns a JSON-able result.
        files_of: the files that a result speaks of.
    """
    if marker.exists():
        result, made_at = read_json(marker), marker.stat().st_mtime_ns
        if all(file.exists() and file.stat().st_mtime_ns <= made_at for file in files_of(result)):
            return result
        marker.unlink()
    result = make()
    write_json(marker, result)
    return result


def is_complete(root: Path, fingerprint: str) -> bool:
    """True when the report of a finished corpus bears this fingerprint."""
    report = root / "manifests" / "data_report.json"
    return report.exists() and read_json(report).get("fingerprint") == fingerprint


def forget_work(root: Path) -> None:
    """Remove the markers of a corpus that is finished, and files that a kill has left under temporary names."""
    shutil.rmtree(work_folder(root), ignore_errors=True)
    for stray in (root / "audio").rglob(".*.tmp"):
        stray.unlink(missing_ok=True)
