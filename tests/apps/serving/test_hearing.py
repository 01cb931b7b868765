"""A recording without its text is written down beside the server, which goes on answering; nobody listens to no end."""

import concurrent.futures
import socket
import time
from pathlib import Path

import httpx
import pytest

from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.apps.speaking.transcription import WHISPER_VARIABLE
from tests.apps.serving.conftest import served, until
from tests.apps.serving.test_contract import refused
from tests.apps.serving.test_voices import clone, recording  # noqa: F401 (recording is a fixture)

NO_EARS = "the extra 'eval' is not installed; transcription is NOT tested"


def children():
    """Processes that were started here and still are."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(number) for task in tasks for number in (task / "children").read_text().split()}


def listeners(known):
    """Those of them that write a recording down."""
    found = set()
    for number in children() - known:
        try:
            if b"transcription_child" in Path(f"/proc/{number}/cmdline").read_bytes():
                found.add(number)
        except OSError:
            continue
    return found


def test_a_tone_has_no_words(client, recording):  # noqa: F811
    pytest.importorskip("pocketsphinx", reason=NO_EARS)
    refused(clone(client, recording, reference_text=None), 400, "TEXT_EMPTY", "reference_text")


def test_errors_of_the_recogniser_come_back(client, recording, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setenv(WHISPER_VARIABLE, str(tmp_path / "none"))
    answer = clone(client, recording, reference_text=None)
    assert answer.status_code >= 400 and answer.json()["error"]["code"] == "MODEL_MISSING"


def test_nobody_waits_for_another_ones_words(client, server, recording):  # noqa: F811
    """The loop and the other threads go on while pocketsphinx works, which in one process they would not."""
    pytest.importorskip("pocketsphinx", reason=NO_EARS)
    gaps, known = [], children()
    with concurrent.futures.ThreadPoolExecutor(1) as pool, server.client() as other:
        asked = pool.submit(clone, other, recording, reference_text=None)
        until(lambda: listeners(known))
        while not asked.done():
            begun = time.perf_counter()
            assert client.get("/health").status_code == 200
            gaps.append(time.perf_counter() - begun)
    refused(asked.result(), 400, "TEXT_EMPTY", "reference_text")
    assert len(gaps) > 5 and max(gaps) < 0.5, max(gaps)


def test_whoever_leaves_ends_what_listens(server, recording):  # noqa: F811
    pytest.importorskip("pocketsphinx", reason=NO_EARS)
    known = children()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        client = server.client(trust_env=False)
        asked = pool.submit(_clone_until_closed, client, recording)
        until(lambda: listeners(known))
        for connection in client._transport._pool.connections:
            stream = connection._connection._network_stream
            stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        asked.result(10)
        client.close()
    assert until(lambda: not listeners(known)) < 1.5


def _clone_until_closed(client, audio):
    with pytest.raises(httpx.HTTPError):
        clone(client, audio, reference_text=None)


def test_a_dead_queue_is_told(toy, tmp_path):
    """A server that will never speak again must not be sent requests."""
    with served(ServerConfig(voices=tmp_path), lambda: toy) as server, server.client() as client:
        assert client.get("/health").status_code == 200
        server.room.queue.close()
        health = client.get("/health")
        assert health.status_code == 503 and health.json()["status"] == "failed"
        body = {"input": "Hello.", "voice": "zoe"}
        refused(client.post("/v1/audio/speech", json=body), 503, "QUEUE_CLOSED")
