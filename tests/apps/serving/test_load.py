"""Many at once, and some that leave: everything accepted is answered, the rest is told when to come again."""

import concurrent.futures
import contextlib
import gc
import json
import os
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from resgen_tts.apps.serving.config import ServerConfig
from tests.apps.serving.conftest import Process, served, until
from tests.apps.serving.test_contract import SPEECH, refused
from tests.apps.serving.test_voices import clone, recording, store  # noqa: F401 (recording is a fixture)

SLOW = SPEECH | {"input": "One two three four. " * 25, "steps": 20}


@pytest.fixture(scope="module")
def narrow(toy, tmp_path_factory):
    """A server with little room: two are spoken, eight wait."""
    config = ServerConfig(voices=tmp_path_factory.mktemp("narrow"), max_waiting=8, max_active=2, batch_size=2)
    with served(config, lambda: toy) as running:
        yield running


def timed_post(client, **more):
    begun = time.perf_counter()
    answer = client.post("/v1/audio/speech", json=SLOW | {"stream": False} | more)
    return answer, time.perf_counter() - begun


def test_fifty_at_once_are_answered_or_told_to_come_again(narrow):
    with narrow.client(limits=httpx.Limits(max_connections=50)) as client:
        client.get("/health")
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            done = list(pool.map(lambda seed: timed_post(client, seed=seed), range(50)))
        refusals = [(answer, seconds) for answer, seconds in done if answer.status_code == 429]
        spoken = [answer for answer, _ in done if answer.status_code == 200]
        assert len(refusals) + len(spoken) == 50 and len(spoken) >= 8 and refusals
        assert len({answer.content for answer in spoken}) == len(spoken)  # everybody gets his own seed
        for answer, _ in refusals:
            refused(answer, 429, "QUEUE_FULL")
            assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert client.get("/health").json() | {"waiting": 0, "active": 0} == client.get("/health").json()


@contextlib.contextmanager
def filled(server):
    """As many requests as there may be, spoken and waiting, straight into the queue; taken back at the end."""
    room = server.room
    voice = room.shelf.find("zoe")
    asked = [room.tts.request(SLOW["input"], voice=voice, seed=seed, steps=256) for seed in range(10)]
    tickets = [room.queue.submit(request) for request in asked[:2]]
    until(lambda: room.queue.num_active == 2)
    tickets += [room.queue.submit(request) for request in asked[2:]]
    try:
        assert room.queue.num_waiting == 8
        yield
    finally:
        for ticket in tickets:
            ticket.cancel()
        until(lambda: room.queue.num_active == room.queue.num_waiting == 0)


def test_a_refusal_comes_at_once(narrow):
    """Within 100 ms, while the model works."""
    with narrow.client() as client, filled(narrow):
        client.get("/health")
        times = []
        for _ in range(9):
            answer, seconds = timed_post(client)
            refused(answer, 429, "QUEUE_FULL")
            times.append(seconds)
    assert sorted(times)[4] < 0.1, times


def test_fifty_refusals_cost_less_than_a_tenth_of_a_second(voiced, tmp_path):
    """Of the thread that answers, in a process of its own: how long they take depends on what else runs here."""
    with Process("--model", voiced, "--no-watermark", "--quiet", "--voices", tmp_path, "--max-active", 1) as process:
        url = process.wait_for(r"serving (http://127\.0\.0\.1:\d+)/v1")[1]
        process.wait_for("ready")
        slow = SLOW | {"input": "One two three four. " * 120, "steps": 256}
        with httpx.Client(base_url=url) as client, concurrent.futures.ThreadPoolExecutor(9) as pool:
            waiting = [pool.submit(post_and_leave, url, slow)]
            until(lambda: client.get("/health").json()["active"] == 1)  # else the ninth finds eight that wait
            waiting += [pool.submit(post_and_leave, url, slow) for _ in range(8)]
            until(lambda: client.get("/health").json()["waiting"] == 8)
            before = process.main_thread_seconds()
            codes = [client.post("/v1/audio/speech", json=SPEECH).status_code for _ in range(200)]
            spent = process.main_thread_seconds() - before
            LEAVES.set()
            for future in waiting:
                future.result()
    assert set(codes) == {429} and spent / 200 * 50 < 0.1


LEAVES = threading.Event()


def post_and_leave(url, body):
    """Ask, and go away when LEAVES is set."""
    host, port = url.removeprefix("http://").split(":")
    data = json.dumps(body).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        LEAVES.wait(60)


def test_uploads_are_refused_before_they_are_read(narrow, recording):  # noqa: F811
    with narrow.client() as client, filled(narrow):
        refused(clone(client, recording), 429, "QUEUE_FULL")
        refused(store(client, recording), 429, "QUEUE_FULL")


@pytest.mark.parametrize("kind", ["before", "stream", "events", "whole"])
def test_a_client_that_leaves_frees_the_model(narrow, kind):
    """Within one step: of 256 over several chunks, which take seconds."""
    queue = narrow.room.queue
    body = SLOW | {"input": "One two three four. " * 120, "steps": 256, "stream": kind != "whole"}
    if kind == "events":
        body["stream_format"] = "sse"
    left = _count(narrow, "resgen_clients_left_total")
    with narrow.client() as client:
        if kind in ("stream", "events"):
            with client.stream("POST", "/v1/audio/speech", json=body) as answer:
                assert answer.status_code == 200
                next(answer.iter_raw())
                assert queue.num_active == 1
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/audio/speech", json=body, timeout=0.3)
    assert until(lambda: queue.num_active == queue.num_waiting == 0) < 1.0
    until(lambda: _count(narrow, "resgen_clients_left_total") == left + 1, 5.0)


def test_one_that_leaves_takes_nobody_along(narrow):
    with narrow.client() as client, concurrent.futures.ThreadPoolExecutor(2) as pool:
        alone, _ = timed_post(client, seed=3)
        stays = pool.submit(timed_post, client, seed=3)
        with pytest.raises(httpx.ReadTimeout), narrow.client() as other:
            other.post("/v1/audio/speech", json=SLOW, timeout=0.2)
        answer, _ = stays.result()
        assert answer.status_code == 200 and len(answer.content) == len(alone.content)


@pytest.mark.slow
def test_mixed_requests_leave_no_files_threads_or_memory(server, recording):  # noqa: F811
    """Sixty of all kinds after thirty; tools/bench/server_load.py has five hundred."""
    with server.client() as client:
        for number in range(30):
            _mixed(client, recording, number)
        before = _resources()
        for number in range(60):
            _mixed(client, recording, number)
    after = _resources()
    assert after["threads"] <= before["threads"] and after["files"] <= before["files"] + 1, (before, after)
    assert after["bytes"] < 1.05 * before["bytes"], (before, after)


def _mixed(client, data, number):
    kind = number % 10
    if kind == 0:
        assert clone(client, data, input=f"number {number}").status_code == 200
    elif kind == 1:
        assert clone(client, data[:30]).status_code == 400
    elif kind == 2:
        assert client.post("/v1/audio/speech", json=SPEECH | {"input": ""}).status_code == 400
    elif kind == 3:
        with client.stream("POST", "/v1/audio/speech", json=SLOW | {"steps": 1}) as answer:
            next(answer.iter_raw())  # and away
    elif kind == 4:
        assert client.get("/v1/audio/voices").status_code == 200
    else:
        format = ("mp3", "opus", "aac", "flac", "pcm")[kind - 5]
        answer = client.post("/v1/audio/speech", json=SPEECH | {"response_format": format, "seed": number})
        assert answer.status_code == 200


def _resources():
    gc.collect()
    time.sleep(0.3)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
    }


def _count(server, name):
    with server.client() as client:
        for line in client.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
    return 0.0
