"""Throw mutated input at what reads strangers' data, for so many minutes, and keep what it stumbles over.

    python tools/fuzz.py loader --minutes 10       # audio files: speech/audio/load.py
    python tools/fuzz.py normalizer --minutes 10   # texts: speech/text/normalize.py
    python tools/fuzz.py manifest --minutes 10     # tables: recipes/corpora, evaluation/protocols/item_list.py

Input is made by hypothesis: real files and texts, changed where it hurts (sizes, counts, marks), spliced and cut. A
worker process checks it, so that a crash or an endless loop ends only that. What is found is made as short as can be
and written to tests/findings/, whose files tests/tools/test_fuzz.py checks again: a finding is a test from then on.
"""

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

FINDINGS = ROOT / "tests" / "findings"
EXAMPLES = 1000  # of one seed
HANGS_SECONDS = 30.0  # for one input
WORKER_DATA_BYTES = 768 * 2**20  # the worker's own, some 250 MiB, and 512 MiB for what it checks


def main(arguments: list[str] | None = None) -> int:
    """Fuzz one target; the exit status is 1 where something was found."""
    from tools.fuzz_targets import TARGETS

    known = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    known.add_argument("target", choices=sorted(TARGETS))
    known.add_argument("--minutes", type=float, default=10.0)
    known.add_argument("--first-seed", type=int, default=0)
    known.add_argument("--findings", type=Path, default=FINDINGS)
    known.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    known.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = known.parse_args(arguments)
    if options.worker:
        resource.setrlimit(resource.RLIMIT_DATA, (WORKER_DATA_BYTES, WORKER_DATA_BYTES))
        return work(options.target, options.first_seed, options.folder)
    return _watch(options)


def _watch(options: argparse.Namespace) -> int:
    """Start workers one after the other, and count what they report."""
    until = time.monotonic() + 60 * options.minutes
    outcomes: Counter[str] = Counter()
    found: list[Path] = []
    seed = options.first_seed
    with tempfile.TemporaryDirectory() as scratch:
        while time.monotonic() < until:
            folder = Path(scratch) / str(seed)
            folder.mkdir()
            report = _one_seed(options.target, seed, folder)
            outcomes.update(report["outcomes"])
            if "fault" in report:
                found.append(_keep(options, report["fault"], (folder / "input").read_bytes()))
                _say(f"seed {seed}: {report['fault']}: {found[-1]}")
            seed += 1
    total = sum(outcomes.values())
    _say(f"{options.target}: {total} inputs of {seed - options.first_seed} seeds, {len(set(found))} findings")
    for outcome, count in outcomes.most_common():
        _say(f"  {count:9d} {outcome}")
    return 1 if found else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _one_seed(target: str, seed: int, folder: Path) -> dict:
    """What one worker says, or what became of it."""
    command = [sys.executable, __file__, target, "--worker", "--first-seed", str(seed), "--folder", str(folder)]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    given = folder / "input"
    while worker.poll() is None:
        time.sleep(0.1)
        if given.exists() and time.time() - given.stat().st_mtime > HANGS_SECONDS:
            worker.kill()
            worker.wait()
            return {"outcomes": {}, "fault": f"no end within {HANGS_SECONDS:.0f} s"}
    if worker.returncode < 0:
        return {"outcomes": {}, "fault": f"killed by {signal.Signals(-worker.returncode).name}"}
    if worker.returncode:
        raise RuntimeError(f"the worker of seed {seed} ended with status {worker.returncode}")
    return read_report(folder)


def read_report(folder: Path) -> dict:
    """What a worker left: outcomes, how often each, and its fault, if any."""
    return json.loads((folder / "report.json").read_text())


def _keep(options: argparse.Namespace, fault: str, content: bytes) -> Path:
    options.findings.mkdir(parents=True, exist_ok=True)
    path = options.findings / f"{options.target}-{hashlib.sha256(content).hexdigest()[:12]}"
    path.write_bytes(content)
    return path


def work(target: str, seed_number: int, folder: Path) -> int:
    """Check the inputs of one seed; the last input of a fault is the shortest."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from tools.fuzz_targets import TARGETS

    strategy, check = TARGETS[target]
    outcomes: Counter[str] = Counter()

    @seed(seed_number)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(content=strategy())
    def try_one(content: bytes) -> None:
        (folder / "input").write_bytes(content)
        outcomes[check(content, folder)] += 1

    report: dict = {}
    try:
        try_one()
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        report["fault"] = f"{type(error).__name__}: {str(error)[:200]} ({Path(last.filename).name}:{last.lineno})"
    report["outcomes"] = outcomes
    (folder / "report.json").write_text(json.dumps(report))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
