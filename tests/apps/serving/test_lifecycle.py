"""From the first request before there is a model to the last one after somebody has asked the server to stop."""

import concurrent.futures
import importlib.util
import json
import logging
import re
import signal
import threading
import time

import httpx
import pytest

from resgen_tts import TTS
from resgen_tts.apps.serving.app import create_app
from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.apps.serving.streams import Broadcast
from resgen_tts.common.errors import CheckpointError, ResGenError
from tests.apps.serving.conftest import Process, served, until
from tests.apps.serving.test_contract import SPEECH, refused
from tests.apps.serving.test_load import SLOW
from tests.apps.serving.test_speech import samples
from tests.apps.serving.test_voices import clone, recording, store  # noqa: F401 (recording is a fixture)


def test_while_the_model_is_loaded_clients_are_told_to_come_again(toy, tmp_path):
    may_go_on = threading.Event()

    def load():
        assert may_go_on.wait(20)
        return toy

    with served(ServerConfig(voices=tmp_path), load, waits=False) as server, server.client() as client:
        health = client.get("/health")
        assert health.status_code == 503 and health.json()["status"] == "loading"
        for answer in (health, client.post("/v1/audio/speech", json=SPEECH), client.get("/v1/models")):
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        refused(client.post("/v1/audio/speech", json=SPEECH), 503, "MODEL_LOADING")
        may_go_on.set()
        until(lambda: client.get("/health").status_code == 200)
        assert client.post("/v1/audio/speech", json=SPEECH).status_code == 200


def test_a_model_that_cannot_be_loaded_is_told(tmp_path, caplog):
    def load():
        raise CheckpointError("it is damaged.", code="MODEL_MISSING")

    with served(ServerConfig(voices=tmp_path), load) as server, server.client() as client:
        assert client.get("/health").json()["status"] == "failed"
        answer = client.post("/v1/audio/speech", json=SPEECH)
        refused(answer, 503, "MODEL_MISSING")
        assert "retry-after" not in answer.headers
    assert "MODEL_MISSING" in caplog.text


def test_nothing_is_sent_anywhere_by_the_environment_alone(monkeypatch, toy):
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    app = create_app(ServerConfig(), lambda: toy)
    telemetry = getattr(app, "_telemetry", None) or app.extra["telemetry"]  # before FastAPI had any
    assert not any(telemetry[name] for name in ("tracing", "metrics", "logs", "auto_configure"))


def test_whoever_waits_when_the_server_ends_is_told(toy, tmp_path):
    """The graceful time is over: what is still spoken or waits is ended by name, and nothing hangs."""
    config = ServerConfig(voices=tmp_path, max_active=1, closing_seconds=1.0)
    with concurrent.futures.ThreadPoolExecutor(2) as pool, served(config, lambda: toy) as server:
        body = SLOW | {"input": "One two three four. " * 120, "steps": 256, "stream": False}
        waiting = [pool.submit(_post, server.url, body) for _ in range(2)]
        until(lambda: server.room.queue.num_active + server.room.queue.num_waiting == 2)
    begun = time.monotonic()
    for future in waiting:
        assert future.result() != 200
    assert time.monotonic() - begun < 5


def _post(url, body):
    try:
        return httpx.post(f"{url}/v1/audio/speech", json=body, timeout=60).status_code
    except httpx.HTTPError as error:
        return type(error).__name__


def test_an_answer_that_breaks_off_is_seen_to_be_incomplete(server, client, monkeypatch, caplog):
    """A stream that simply ended would be taken for the whole text."""
    encode, calls = Broadcast._encoded, []

    async def breaks(self, chunk):
        calls.append(chunk)
        if len(calls) % 2 == 0:
            raise ResGenError("SECRET words of the request", code="INTERNAL")
        return await encode(self, chunk)

    monkeypatch.setattr(Broadcast, "_encoded", breaks)
    body = SPEECH | {"input": "One two three four. " * 40}
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/v1/audio/speech", json=body)
    told = client.post("/v1/audio/speech", json=body | {"stream_format": "sse"})
    last = json.loads(told.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["type"] == "error" and last["error"]["code"] == "INTERNAL"
    whole = client.post("/v1/audio/speech", json=body | {"stream": False})
    refused(whole, 500, "INTERNAL")
    until(lambda: server.room.queue.num_active == 0)
    assert "SECRET" not in caplog.text + told.text + whole.text
    assert "test_lifecycle.py" in caplog.text  # but where it broke is


def test_a_fault_of_the_server_tells_its_place_to_the_log_alone(server, client, monkeypatch, caplog):
    def broken(name):
        raise KeyError("SECRET")

    monkeypatch.setattr(server.room.shelf, "remembered", broken)
    answer = client.post("/v1/audio/speech", json=SPEECH)
    refused(answer, 500, "INTERNAL")
    assert "SECRET" not in answer.text + caplog.text
    assert "KeyError" in caplog.text and answer.headers["x-request-id"] in caplog.text


def test_nothing_of_a_request_is_logged(client, recording, caplog):  # noqa: F811
    with caplog.at_level(logging.DEBUG):
        client.post("/v1/audio/speech", json=SPEECH | {"input": "PURPLE elephants"})
        client.post("/v1/audio/speech", json=SPEECH | {"input": "PURPLE 🐘 " * 900})
        client.post("/v1/audio/speech?input=PURPLE", json={"input": "PURPLE", "PURPLE": 1})
        clone(client, recording, input="PURPLE", reference_text="PURPLE PURPLE")
        store(client, recording, name="PURPLE", text="PURPLE", consent="PURPLE")
        client.delete("/v1/audio/voices/PURPLE")
        client.get("/PURPLE")
        until(lambda: len(_own_lines(caplog)) >= 7)
    own = _own_lines(caplog)
    assert "PURPLE" not in "".join(own).upper()
    assert re.fullmatch(r"POST /v1/audio/speech 200 [0-9.]+ s [0-9a-f]{16}", own[0])
    assert "PURPLE" not in "".join(r.getMessage().upper() for r in caplog.records if "multipart" in r.name)


def _own_lines(caplog):
    names = ("resgen", "uvicorn", "fastapi")
    return [record.getMessage() for record in caplog.records if record.name.startswith(names)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_last_one_finish(voiced, tmp_path, number):
    """Asked to stop, the server speaks to the end what it has begun, takes nothing new, and has not failed."""
    with Process("--model", voiced, "--no-watermark", "--voices", tmp_path) as process:
        url = process.wait_for(r"serving (http://127\.0\.0\.1:\d+)/v1")[1]
        process.wait_for("ready: model toy on cpu, watermark none")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            body = SLOW | {"steps": 200, "stream": False}
            last = pool.submit(httpx.post, f"{url}/v1/audio/speech", json=body, timeout=60)
            until(lambda: httpx.get(f"{url}/health").json()["active"] == 1)
            code, out, told = process.stop(number)
            assert last.result().status_code == 200
        assert code == 0 and out == "" and "Traceback" not in told
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health")


def test_a_missing_model_ends_the_server_with_its_code(tmp_path):
    with Process("--model", tmp_path / "nothing", "--no-watermark") as process:
        code, _, told = process.join()
    assert code == 3 and "MODEL_MISSING" in told and "Traceback" not in told


@pytest.mark.slow
def test_the_bundled_model_marked_and_with_a_key(tmp_path):
    """The whole way: a process, its key from the environment, the watermark in what comes back."""
    with Process("--voices", tmp_path, "--quiet", RESGEN_TTS_API_KEY="sesame") as process:
        url = process.wait_for(r"serving (http://127\.0\.0\.1:\d+)/v1")[1]
        process.wait_for("ready: model mini on .*, watermark perth")
        with httpx.Client(base_url=url, timeout=120, headers={"Authorization": "Bearer sesame"}) as client:
            voice = client.get("/v1/audio/voices").json()["voices"][0]["id"]
            body = {"input": "The quick brown fox jumps over the lazy dog.", "voice": voice, "seed": 1}
            answer = client.post("/v1/audio/speech", json=body | {"response_format": "flac"})
            assert answer.status_code == 200 and answer.headers["x-resgen-watermark"] == "perth"
            assert httpx.post(f"{url}/v1/audio/speech", json=body).status_code == 401
            if importlib.util.find_spec("pocketsphinx"):  # a recording without its text is written down
                form = {"input": "Good morning.", "consent": "yes", "seed": "1"}
                cloned = client.post("/v1/audio/speech", data=form, files={"reference_audio": answer.content})
                assert cloned.status_code == 200 and len(cloned.content) > 2000
                assert "VOICE_TRANSCRIBED" in cloned.headers["x-resgen-warning-codes"]
        code, _, told = process.stop()
    assert code == 0 and "sesame" not in told and "quick" not in told
    wave, rate = samples(answer.content)
    marker = TTS.from_pretrained("mini").watermarker
    assert marker is not None and marker.detect(wave, rate) > 0.5
