"""Files and folders of a run: written whole or not at all, with where they came from."""

import contextlib
import glob
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import DataError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync it, and rename it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(staged, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically, keys in the order given, non-ASCII readable."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.", code="FILE_MISSING") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}.", hint="Delete it and rerun its stage.") from error


def read_jsonl(path: Path) -> list[Any]:
    """Read one JSON value a line.

    Raises:
        DataError: the file is missing, or a line is not JSON (named by its number).
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{path.name}:{number}: not JSON: {error}.", hint="Rerun its stage.") from error
    return rows


@contextlib.contextmanager
def staged_folder(final: Path) -> Iterator[Path]:
    """A folder that appears at ``final`` complete or not at all.

    It is filled under a temporary name beside ``final``; on success every file is synced and the folder is
    renamed, replacing an older one; on an error it is removed and ``final`` is untouched.
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    for left in final.parent.glob(f".{glob.escape(final.name)}.*.tmp"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    staged = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    staged.mkdir()
    try:
        yield staged
        for file in sorted(staged.rglob("*")):
            _sync(file)
        _sync(staged)
        old = final.with_name(f".{final.name}.{os.getpid()}.old")
        if final.exists():
            os.replace(final, old)
        os.replace(staged, final)
        _sync(final.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def commit_hash() -> str:
    """The project's commit, with ``+dirty`` where the tree differs, or ``unknown`` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "unknown"

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return (commit + ("+dirty" if git("status", "--porcelain", "--untracked-files=no") else "")) or "unknown"


def hardware_line() -> str:
    """One line on the hardware: processor, cores, memory, GPU where torch sees one."""
    import torch

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    line = f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB"
    if torch.cuda.is_available():
        line += f", {torch.cuda.get_device_name(0)}"
    return line
