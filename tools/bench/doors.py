"""What each door costs: first audio and real-time factor through Python, command line, server and demo.

    python tools/bench/doors.py --threads 2 --repeats 7 --output exp/doors

They stand beside the model's own time, which is that of its synthesizer alone, without a watermark. All doors speak the
same texts with the same seeds, one after another in every repetition; a door's ratio is taken within a repetition, and
the median of those is told with its range. The server is a process of its own, asked over loopback; the demo is what
its page calls, without a browser. The command line is started anew every time: what it says of itself is compared, and
the whole process stands beside it. On a machine that others use, too, the processors' seconds say more than the clock.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resgen_tts import TTS

TEXTS = {  # for the bundled model about 10 s in one chunk, and three chunks
    "one chunk": (
        "The harbour was quiet when the first boats came home. Nobody spoke about the storm; they tied the ropes, and "
        "walked up the hill in the rain."
    ),
    "three chunks": (
        "The harbour was quiet when the first boats came home. Nobody spoke about the storm; they tied the ropes, and "
        "walked up the hill in the rain. At the top of the street there is a small shop that sells bread, oil and "
        "lamps. Its owner had been awake since four in the morning, and she was glad to see them. Come in, she said, "
        "and close the door behind you."
    ),
}
MODEL = "the model alone"


@dataclass(frozen=True)
class Took:
    """Seconds from the request to the first audio and to the last, of audio, and of all processors that worked on it.

    Of a process that is started for one request: from its start to its end.
    """

    first: float
    whole: float
    audio: float
    cpu: float | None = None
    process: float | None = None


Door = Callable[[str, int], Took]


def main() -> None:
    options = _parser().parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch is imported, here and in what is started
    from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json, write_text

    options.output.mkdir(parents=True, exist_ok=True)
    with _doors(options) as ways:
        found = {name: measure(ways, text, options.repeats) for name, text in TEXTS.items()}
    report = {
        "command": " ".join(["python", *sys.argv]), "commit": commit_hash(), "hardware": hardware_line(),
        "threads": options.threads, "model": options.model,
        "rows": {
            text: {door: [vars(one) for one in all_of] for door, all_of in doors.items()}
            for text, doors in found.items()
        },
    }  # fmt: skip
    write_json(options.output / "doors.json", report)
    table = markdown(found)
    write_text(options.output / "doors.md", table)
    print(table)  # noqa: T201


def measure(doors: dict[str, Door], text: str, repeats: int) -> dict[str, list[Took]]:
    """Every door in every repetition; one round before that is not counted."""
    found: dict[str, list[Took]] = {name: [] for name in doors}
    for number in range(-1, repeats):
        for name, door in doors.items():
            took = door(text, number + 1)
            if number >= 0:
                found[name].append(took)
            print(f"{number + 1} of {repeats}: {name}: {took.whole:.2f} s", file=sys.stderr)  # noqa: T201
    return found


def markdown(found: dict[str, dict[str, list[Took]]]) -> str:
    """One table for each text."""
    lines = []
    for text, doors in found.items():
        seconds = statistics.median(one.audio for one in doors[MODEL])
        lines += [
            f"{text}, {seconds:.1f} s of speech", "",
            "| door | first audio, s | real-time factor | clock against model | processors against it | process, s |",
            "|---|---|---|---|---|---|",
        ]  # fmt: skip
        for name, all_of in doors.items():
            ratios = [one.whole / own.whole for one, own in zip(all_of, doors[MODEL], strict=True)]
            cpu = [one.cpu / own.cpu for one, own in zip(all_of, doors[MODEL], strict=True) if one.cpu is not None]
            process = [one.process for one in all_of if one.process is not None]
            more = [_middle(values, digits) if values else "" for values, digits in ((cpu, 3), (process, 1))]
            lines.append(
                f"| {name} | {_middle([one.first for one in all_of], 2)} "
                f"| {_middle([one.whole / one.audio for one in all_of], 3)} "
                f"| {_middle(ratios, 3)} | {more[0]} | {more[1]} |"
            )
        lines.append("")
    return "\n".join(lines)


def _middle(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


@contextlib.contextmanager
def _doors(options: argparse.Namespace) -> Iterator[dict[str, Door]]:
    import torch

    from resgen_tts import TTS

    torch.set_num_threads(options.threads)
    tts = TTS.from_pretrained(options.model, device="cpu")
    plain = TTS.from_pretrained(options.model, device="cpu", watermark="none")
    with (
        _server(options, tts.model_name) as ask,
        _demo(tts) as on_page,
        tempfile.TemporaryDirectory() as folder,
    ):
        yield {
            MODEL: lambda text, seed: _streamed(plain, text, seed),
            "Python, stream": lambda text, seed: _streamed(tts, text, seed),
            "Python, whole": lambda text, seed: _whole(tts, text, seed),
            "server, wav": lambda text, seed: ask(text, seed, "wav"),
            "server, mp3": lambda text, seed: ask(text, seed, "mp3"),
            "demo": on_page,
            "command line": lambda text, seed: _command_line(options, text, seed, Path(folder) / "out.wav"),
        }


def _streamed(tts: "TTS", text: str, seed: int) -> Took:
    started, cpu, first, seconds = time.perf_counter(), time.process_time(), 0.0, 0.0
    for chunk in tts.stream(text, seed=seed):
        first = first or time.perf_counter() - started
        seconds += chunk.seconds
    return Took(first, time.perf_counter() - started, seconds, time.process_time() - cpu)


def _whole(tts: "TTS", text: str, seed: int) -> Took:
    started, cpu = time.perf_counter(), time.process_time()
    out = tts(text, seed=seed)
    spent = time.perf_counter() - started
    return Took(spent, spent, out.seconds, time.process_time() - cpu)  # nothing is heard before all of it is there


@contextlib.contextmanager
def _server(options: argparse.Namespace, name: str) -> Iterator[Callable[[str, int, str], Took]]:
    words = ["serve", "--model", options.model, "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "resgen_tts.apps.cli", *words], stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        port = 0
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
            if line.startswith("ready"):
                break
        if not port:
            raise RuntimeError("the server did not say where it listens")

        def ask(text: str, seed: int, kind: str) -> Took:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
            body = {"model": name, "input": text, "voice": _first_voice(options.model), "seed": seed}
            started, cpu = time.perf_counter(), _cpu_of(process.pid)
            connection.request(
                "POST", "/v1/audio/speech", json.dumps(body | {"response_format": kind}),
                {"content-type": "application/json"},
            )  # fmt: skip
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {answer.read()[:500]!r}")
            sound = answer.read1(1 << 16)
            while len(sound) < 4096 and (more := answer.read1(1 << 16)):  # a header alone is no audio
                sound += more
            first = time.perf_counter() - started
            sound += answer.read()
            whole = time.perf_counter() - started
            connection.close()
            return Took(first, whole, _seconds_of(sound), _cpu_of(process.pid) - cpu)

        yield ask
    finally:
        process.terminate()
        process.stderr.close()
        process.wait()


def _cpu_of(pid: int) -> float:
    """Processor seconds of a process so far."""
    words = (Path("/proc") / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _seconds_of(sound: bytes) -> float:
    import io

    import soundfile

    samples, rate = soundfile.read(io.BytesIO(sound))
    return len(samples) / rate


@contextlib.contextmanager
def _demo(tts: "TTS") -> Iterator[Door]:
    from resgen_tts.apps.demo.backend import Backend
    from resgen_tts.apps.demo.files import OwnedFiles
    from resgen_tts.apps.demo.session import Session, Spoken
    from resgen_tts.apps.demo.speaking import Manner, speak

    backend = Backend(lambda: tts)
    backend.start()
    backend.wait()
    voice = tts.voices()[0]

    async def once(text: str, seed: int, folder: str) -> Took:
        session = Session("page", "browser", OwnedFiles(Path(folder)))
        started, cpu = time.perf_counter(), time.process_time()
        try:
            async for event in speak(backend, session, text, voice, Manner(seed=seed, draws_steps=False)):
                if isinstance(event, Spoken):  # the page plays a take when all of it is there
                    spent = time.perf_counter() - started
                    return Took(spent, spent, event.take.seconds, time.process_time() - cpu)
        finally:
            session.end()
        raise RuntimeError("the demo gave no take")

    with tempfile.TemporaryDirectory() as folder:
        yield lambda text, seed: asyncio.run(once(text, seed, folder))
    backend.close()


def _command_line(options: argparse.Namespace, text: str, seed: int, output: Path) -> Took:
    words = ["synth", "--model", options.model, "--text", text, "--seed", str(seed), "--output", str(output), "--force"]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "resgen_tts.apps.cli", *words, "--device", "cpu", "--json", "--quiet"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    spent = time.perf_counter() - started
    facts = json.loads(done.stdout)
    return Took(
        facts["first_audio_seconds"], facts["real_time_factor"] * facts["seconds"], facts["seconds"], process=spent
    )


def _first_voice(model: str) -> str:
    from resgen_tts.apps.weights.bundled import default_voice
    from resgen_tts.apps.weights.hub import resolve_model

    return default_voice(resolve_model(model)).name


def _parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known.add_argument("--model", default="mini", help="default: %(default)s")
    known.add_argument("--threads", type=int, default=2, help="of torch in every process; default: %(default)s")
    known.add_argument("--repeats", type=int, default=7, help="counted repetitions; default: %(default)s")
    known.add_argument("--output", type=Path, required=True, help="folder for doors.json and doors.md")
    return known


if __name__ == "__main__":
    main()
