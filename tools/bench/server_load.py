"""A server under load: many at once, many one after another, and clients that leave.

    python tools/bench/server_load.py --parallel 50 --requests 500 --output exp/server_load
    python tools/bench/server_load.py --model exp/model --output exp/server_load

1. ``--parallel`` requests at the same moment on a queue of 8: how many are answered, how many are refused (429), and
   how fast the slowest refusal comes. Every answer must be speech, every refusal must say when to come again.
2. ``--requests`` mixed ones by ``--clients`` at a time: formats, lengths, streams, errors, clones of an uploaded
   recording. What the server's
   process holds before and after: memory, open files, threads.
3. Clients that leave in the middle of a long text: seconds until somebody else's first audio, beside what that takes on
   an idle server.

It ends with a table, and with status 1 where something was promised and not kept.
"""

import argparse
import asyncio
import io
import json
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

LONG = "The harbour was quiet when the first boats came home. " * 12
CLONE: dict[str, Any] = {}  # in the voice of an upload
SAID = "The rain has stopped, and the harbour is quiet again."
MIXED = (  # body over the defaults, expected status
    ({"response_format": "mp3"}, 200),
    ({"response_format": "wav", "input": "One."}, 200),
    ({"response_format": "opus", "speed": 1.5}, 200),
    ({"response_format": "flac", "seed": 7}, 200),
    ({"response_format": "aac", "steps": 4}, 200),
    ({"response_format": "pcm"}, 200),
    ({"stream_format": "sse"}, 200),
    ({"input": ""}, 400),
    ({"voice": "nobody"}, 400),
    ({"input": "word " * 2000}, 400),
    (CLONE, 200),
)
PROMISES = {"refusal_seconds": 0.1, "memory_growth": 0.05, "late_seconds": 1.0}


def main() -> int:
    options = _parser().parse_args()
    from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json

    options.output.mkdir(parents=True, exist_ok=True)
    with Server(options.model) as server:
        found = asyncio.run(_all(server, options))
    report = {
        "command": " ".join(["python", *sys.argv]), "commit": commit_hash(), "hardware": hardware_line(),
        "model": options.model, **found,
    }  # fmt: skip
    write_json(options.output / "server_load.json", report)
    print(json.dumps(report, indent=1))  # noqa: T201
    broken = broken_promises(found)
    for promise in broken:
        print(f"NOT KEPT: {promise}", file=sys.stderr)  # noqa: T201
    return int(bool(broken))


def broken_promises(found: dict[str, Any]) -> list[str]:
    """What of the promises was not kept, in words."""
    at_once, mixed, leaving = found["at_once"], found["mixed"], found["leaving"]
    broken = [f"{at_once['other']} of the requests at once got another answer"] if at_once["other"] else []
    if at_once["slowest_refusal_seconds"] > PROMISES["refusal_seconds"]:
        broken.append(f"a refusal took {at_once['slowest_refusal_seconds']:.3f} s")
    if mixed["unexpected"]:
        broken.append(f"unexpected answers: {mixed['unexpected']}")
    if mixed["memory_growth"] > PROMISES["memory_growth"]:
        broken.append(f"memory grew by {mixed['memory_growth']:.1%}")
    for what in ("files", "threads"):
        if mixed[f"{what}_after"] > mixed[f"{what}_before"]:
            broken.append(f"{what}: {mixed[f'{what}_before']} before, {mixed[f'{what}_after']} after")
    late = leaving["first_audio_behind_one_that_left_seconds"] - leaving["first_audio_idle_seconds"]
    if late > PROMISES["late_seconds"]:
        broken.append(f"the model was free {late:.2f} s after somebody had left")
    return broken


class Server:
    """``resgen-tts serve`` in a process of its own, on a free port."""

    def __init__(self, model: str):
        words = ["serve", "--model", model, "--port", "0", "--device", "cpu", "--max-waiting", "8", "--quiet"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "resgen_tts.apps.cli", *words], stderr=subprocess.PIPE, text=True
        )
        self.address = ""
        for line in self.process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.address = found[0]
            if line.startswith("ready"):
                break

    def __enter__(self) -> "Server":
        if not self.address:
            raise RuntimeError("the server did not say where it listens")
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.stderr.close()
        self.process.wait()

    def holds(self) -> dict[str, float]:
        """Memory in MiB, open files and threads of its process."""
        folder = Path("/proc") / str(self.process.pid)
        status = (folder / "status").read_text(encoding="utf-8")
        return {
            "memory_mib": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024,
            "files": len(list((folder / "fd").iterdir())),
            "threads": len(list((folder / "task").iterdir())),
        }


async def _all(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.address, timeout=900, limits=limits) as client:
        voice = (await client.get("/v1/audio/voices")).json()["voices"][0]["id"]
        model = (await client.get("/v1/models")).json()["data"][0]["id"]
        basic = {"model": model, "input": "The rain has stopped.", "voice": voice, "seed": 1}
        await _speak(client, basic)  # what is set up once
        at_once = await _at_once(client, basic, options.parallel)
        await _mixed(client, basic, len(MIXED) * 2, options.clients)  # every kind, so that all code is loaded
        mixed = await _measured(server, client, basic, options)
        leaving = await _leaving(client, basic, options.leavers)
    return {"at_once": at_once, "mixed": mixed, "leaving": leaving}


async def _speak(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[int, float, httpx.Response]:
    started = time.perf_counter()
    answer = await client.post("/v1/audio/speech", json=body)
    return answer.status_code, time.perf_counter() - started, answer


async def _at_once(client: httpx.AsyncClient, basic: dict[str, Any], parallel: int) -> dict[str, Any]:
    bodies = [basic | {"seed": seed, "response_format": "wav"} for seed in range(parallel)]
    answers = await asyncio.gather(*(_speak(client, body) for body in bodies))
    spoken = [answer for status, _, answer in answers if status == 200 and _has_sound(answer.content)]
    refused = [(spent, answer) for status, spent, answer in answers if status == 429]
    told = [answer for _, answer in refused if answer.headers.get("retry-after", "").isdigit()]
    return {
        "requests": parallel, "answered": len(spoken), "refused": len(refused),
        "other": parallel - len(spoken) - len(told),
        "slowest_refusal_seconds": max((spent for spent, _ in refused), default=0.0),
        "median_refusal_seconds": statistics.median([spent for spent, _ in refused]) if refused else 0.0,
    }  # fmt: skip


def _has_sound(content: bytes) -> bool:
    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    return bool(len(samples)) and bool(np.abs(samples).max() > 1e-3)


async def _mixed(client: httpx.AsyncClient, basic: dict[str, Any], count: int, clients: int) -> Counter:
    room, unexpected = asyncio.Semaphore(clients), Counter()

    recording = await _recording(client, basic)

    async def one(number: int) -> None:
        more, expected = MIXED[number % len(MIXED)]
        async with room:
            if more is CLONE:
                answer = await _clone(client, basic, recording)
                status = answer.status_code
            else:
                status, _, answer = await _speak(client, basic | more)
            if status != expected or (status == 200 and not answer.content):
                unexpected[f"{more}: {status}"] += 1

    await asyncio.gather(*(one(number) for number in range(count)))
    return unexpected


async def _recording(client: httpx.AsyncClient, basic: dict[str, Any]) -> bytes:
    """Some seconds of speech to clone: the server's own."""
    _, _, answer = await _speak(client, basic | {"input": SAID, "response_format": "flac"})
    return answer.content


async def _clone(client: httpx.AsyncClient, basic: dict[str, Any], recording: bytes) -> httpx.Response:
    fields = {name: str(value) for name, value in basic.items() if name != "voice"}
    fields |= {"reference_text": SAID, "consent": "true", "response_format": "wav"}
    files = {"reference_audio": ("me.flac", recording, "audio/flac")}
    return await client.post("/v1/audio/speech", data=fields, files=files)


async def _measured(
    server: Server, client: httpx.AsyncClient, basic: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    before, started = server.holds(), time.perf_counter()
    unexpected = await _mixed(client, basic, options.requests, options.clients)
    spent = time.perf_counter() - started
    await asyncio.sleep(2)  # connections that are being closed
    after = server.holds()
    pairs = {f"{what}_{when}": held[what] for what in before for when, held in (("before", before), ("after", after))}
    return {
        "requests": options.requests, "clients": options.clients, "seconds": spent, "unexpected": dict(unexpected),
        "memory_growth": after["memory_mib"] / before["memory_mib"] - 1, **pairs,
    }  # fmt: skip


async def _leaving(client: httpx.AsyncClient, basic: dict[str, Any], leavers: int) -> dict[str, Any]:
    async def first_audio() -> float:
        started = time.perf_counter()
        async with client.stream("POST", "/v1/audio/speech", json=basic | {"response_format": "pcm"}) as answer:
            async for _ in answer.aiter_bytes():
                break
        return time.perf_counter() - started

    async def leave() -> None:
        body = basic | {"input": LONG, "response_format": "pcm"}
        async with client.stream("POST", "/v1/audio/speech", json=body) as answer:
            async for _ in answer.aiter_bytes():
                return  # closes the connection in the middle of the text

    idle = [await first_audio() for _ in range(leavers)]
    behind = []
    for _ in range(leavers):
        await leave()
        await asyncio.sleep(0.2)
        behind.append(await first_audio())
    return {
        "leavers": leavers, "first_audio_idle_seconds": statistics.median(idle),
        "first_audio_behind_one_that_left_seconds": statistics.median(behind), "slowest_behind_seconds": max(behind),
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known.add_argument("--model", default="mini", help="default: %(default)s")
    known.add_argument("--parallel", type=int, default=50, help="requests at the same moment; default: %(default)s")
    known.add_argument("--requests", type=int, default=500, help="mixed ones; default: %(default)s")
    known.add_argument("--clients", type=int, default=4, help="that ask at the same time; default: %(default)s")
    known.add_argument("--leavers", type=int, default=5, help="clients that leave; default: %(default)s")
    known.add_argument("--output", type=Path, required=True, help="folder for server_load.json")
    return known


if __name__ == "__main__":
    sys.exit(main())
