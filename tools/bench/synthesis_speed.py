"""What a first and a later sentence cost: seconds from a cold start, real-time factor, first audio and memory.

    python tools/bench/synthesis_speed.py --threads 1 2 --repeats 3 --json exp/synthesis_speed.json
    python tools/bench/synthesis_speed.py --model exp/mini/model --ref-audio me.wav --ref-text "What I say."

Every text at every number of threads is spoken by fresh processes (``--processes``), each of which starts Python, loads
the model, speaks and writes the wave, and then speaks ``--repeats`` times again; then the text is asked for as a stream
as often, up to its first samples. Without --ref-audio a voice of the model is taken, whose prompt is in codes already.
The processor's time over the audio's length stands beside the wall's: on a machine that others use, too, it moves less.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resgen_tts.evaluation.measures.speed import COLD, FIRST_AUDIO, PEAK_MEMORY, REAL_TIME_FACTOR

TEXTS = {  # name: text; for the bundled model about 2 s, 10 s, and three chunks
    "short": "The rain has stopped.",
    "10 s": (
        "The harbour was quiet when the first boats came home. Nobody spoke about the storm; they tied the ropes, and "
        "walked up the hill in the rain."
    ),
    "3 chunks": (
        "The harbour was quiet when the first boats came home. Nobody spoke about the storm; they tied the ropes, and "
        "walked up the hill in the rain. At the top of the street there is a small shop that sells bread, oil and "
        "lamps. Its owner had been awake since four in the morning, and she was glad to see them. Come in, she said, "
        "and close the door behind you."
    ),
}
WORDS = {
    "start to file": "wall time from the start of the process to the first wave on disk",
    "import": "wall time of importing the library",
    "load": "wall time of loading the model",
    "cold": COLD,
    "warm RTF": f"{REAL_TIME_FACTOR}; here of one item again and again, median (range)",
    "CPU": "the same in seconds of processor, over all threads",
    "first audio": f"{FIRST_AUDIO}; median (range)",
    "peak": PEAK_MEMORY,
}


def main() -> None:
    options = _parser().parse_args()
    if options.worker is not None:
        _say(json.dumps(work(json.loads(options.worker))))
        return
    from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json

    report: dict[str, Any] = {
        "command": " ".join(["python", *sys.argv]), "commit": commit_hash(), "hardware": hardware_line(),
        "load_average": _load_average(), "model": options.model, "seed": options.seed, "steps": options.steps,
        "voice": str(options.ref_audio or options.voice or "the model's first"), "rows": [],
    }  # fmt: skip
    for threads in options.threads:
        for name in options.texts:
            found = [fresh_process(_job(options, threads, TEXTS[name])) for _ in range(options.processes)]
            report["rows"].append({"text": name, "threads": threads, **summarize(found)})
            print(f"{name}, {threads} threads: done", file=sys.stderr, flush=True)  # noqa: T201
    _say(markdown(report))
    if options.json is not None:
        write_json(options.json, report)


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Speak one text in this process, which has just been started."""
    begun = time.monotonic()
    import torch

    from resgen_tts.apps.speaking.tts import TTS

    torch.set_num_threads(job["threads"])
    imported = time.monotonic()
    tts = TTS.from_pretrained(job["model"])
    loaded = time.monotonic()
    how = {"seed": job["seed"], "steps": job["steps"]}

    def voice() -> Any:
        return job["voice"] if job["ref_audio"] is None else tts.voice(job["ref_audio"], job["ref_text"])

    first = tts(job["text"], voice=voice(), **how)
    spoken = time.monotonic()
    first.save(Path(job["wave"]))
    saved = time.monotonic()
    warm, processor, first_audio, chunks = [], [], [], 0
    for _ in range(job["repeats"]):
        start, start_processor = time.monotonic(), time.process_time()
        seconds = tts(job["text"], voice=voice(), **how).seconds
        warm.append((time.monotonic() - start) / seconds)
        processor.append((time.process_time() - start_processor) / seconds)
    for _ in range(job["repeats"]):
        start = time.monotonic()
        stream = tts.stream(job["text"], voice=voice(), **how)
        chunks = next(stream).num_chunks
        first_audio.append(time.monotonic() - start)
        stream.close()  # what is left is not spoken
    return {
        "seconds_of_audio": first.seconds, "chunks": chunks, "import_seconds": imported - begun,
        "load_seconds": loaded - imported, "cold_seconds": spoken - imported, "saved_at": saved,
        "warm_real_time_factors": warm, "processor_factors": processor, "first_audio_seconds": first_audio,
        "peak_memory_mib": peak_memory_mib(),
    }  # fmt: skip


def fresh_process(job: Mapping[str, Any]) -> dict[str, Any]:
    """`work` in a process of its own, and the seconds from its start to its wave on disk.

    Raises:
        RuntimeError: it failed; what it said is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        told = json.dumps({**job, "wave": str(Path(folder) / "first.wav")})
        threads = {"OMP_NUM_THREADS": str(job["threads"]), "MKL_NUM_THREADS": str(job["threads"])}
        start = time.monotonic()  # one clock for all processes of a machine
        done = subprocess.run(
            [sys.executable, __file__, "--worker", told], env=os.environ | threads, capture_output=True, text=True
        )
    if done.returncode:
        raise RuntimeError(f"the process that spoke ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return found | {"start_to_file_seconds": found.pop("saved_at") - start}


def summarize(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians, least and greatest over the processes and their repeats."""
    lists = ("warm_real_time_factors", "processor_factors", "first_audio_seconds")
    single = ("import_seconds", "load_seconds", "cold_seconds", "start_to_file_seconds", "peak_memory_mib")
    values = {name: [value for one in found for value in one[name]] for name in lists}
    values |= {name: [one[name] for one in found] for name in single}
    values["cold_real_time_factors"] = [one["cold_seconds"] / one["seconds_of_audio"] for one in found]
    spread = {
        name: {"median": statistics.median(own), "least": min(own), "greatest": max(own)}
        for name, own in values.items()
    }
    return {"seconds_of_audio": found[0]["seconds_of_audio"], "chunks": found[0]["chunks"], **spread}


def markdown(report: Mapping[str, Any]) -> str:
    """The table, what its columns mean, and what is needed to make it again."""
    header = ["text", "audio", "chunks", "threads", "start to file", "import", "load", "cold", "cold RTF", "warm RTF"]
    header += ["CPU", "first audio", "peak"]
    rows = [header, ["---"] * len(header)]
    for row in report["rows"]:
        rows.append(
            [row["text"], f"{row['seconds_of_audio']:.2f} s", str(row["chunks"]), str(row["threads"])]
            + [f"{row[f'{name}_seconds']['median']:.2f} s" for name in ("start_to_file", "import", "load", "cold")]
            + [f"{row['cold_real_time_factors']['median']:.2f}", _shown(row["warm_real_time_factors"])]
            + [_shown(row["processor_factors"]), _shown(row["first_audio_seconds"]) + " s"]
            + [f"{row['peak_memory_mib']['greatest']:.0f} MiB"]
        )
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", *(f"* {name}: {meaning}" for name, meaning in WORDS.items()), ""]
    facts = ("model", "voice", "steps", "seed", "hardware", "load_average", "commit", "command")
    lines += [f"* {name.replace('_', ' ')}: {report[name]}" for name in facts if report[name] is not None]
    return "\n".join(lines)


def peak_memory_mib() -> float:
    """Most memory that this process has held at once."""
    status = Path("/proc/self/status")
    if status.is_file():  # of this process alone; getrusage may tell that of the process that started it
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _job(options: argparse.Namespace, threads: int, text: str) -> dict[str, Any]:
    names = ("model", "voice", "ref_text", "seed", "steps", "repeats")
    audio = None if options.ref_audio is None else str(options.ref_audio)
    return {**{name: getattr(options, name) for name in names}, "ref_audio": audio, "threads": threads, "text": text}


def _shown(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['least']:.2f} to {spread['greatest']:.2f})"


def _load_average() -> str | None:
    """Of the last minute, before the measurement: above 0 others are using the machine."""
    return f"{os.getloadavg()[0]:.1f} over {os.cpu_count()} processors" if hasattr(os, "getloadavg") else None


def _say(text: str) -> None:
    print(text)  # noqa: T201


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="name of a bundled model, or an exported model's folder")
    parser.add_argument("--voice", help="name or file of a saved voice; left out, the model's first")
    parser.add_argument("--ref-audio", type=Path, help="a recording in place of a saved voice; its codes are made anew")
    parser.add_argument("--ref-text", help="what the recording says; left out, it is transcribed every time")
    parser.add_argument("--texts", nargs="+", choices=list(TEXTS), default=list(TEXTS))
    parser.add_argument("--threads", type=_positive, nargs="+", default=[1])
    parser.add_argument("--repeats", type=_positive, default=3, help="warm syntheses and streams in each process")
    parser.add_argument("--processes", type=_positive, default=1, help="fresh ones for each row")
    parser.add_argument("--steps", type=_positive, help="left out, the model's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
