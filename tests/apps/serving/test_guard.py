"""Who may ask, from where, and how much may be sent."""

import socket
import time
from dataclasses import replace

import pytest

from resgen_tts.apps.serving.asking import speech_request
from resgen_tts.apps.serving.config import KEY_VARIABLE, ServerConfig, is_loopback
from resgen_tts.apps.serving.contract import SpeechBody
from resgen_tts.apps.serving.serve import _config, parser, serve
from resgen_tts.common.errors import ConfigError
from tests.apps.serving.conftest import served
from tests.apps.serving.test_contract import SPEECH, refused

KEY = "correct-horse"
EVERYWHERE = "0.0.0.0"  # noqa: S104 (nothing is bound to it)


@pytest.fixture(scope="module")
def locked(toy, tmp_path_factory):
    """A server with a key, and with little patience."""
    config = ServerConfig(api_key=KEY, voices=tmp_path_factory.mktemp("locked"), body_seconds=1.0)
    with served(config, lambda: toy) as running:
        yield running


def raw(url, request, then=b"", wait=0.0):
    """What comes back for bytes that no client would send."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        time.sleep(wait)
        connection.sendall(then)
        parts = []
        while data := connection.recv(1 << 16):
            parts.append(data)
    return b"".join(parts)


def test_a_key_is_asked_for_everywhere_but_where_nothing_is_told(locked):
    with locked.client() as knows, locked.client() as stranger:
        del stranger.headers["Authorization"]
        assert knows.post("/v1/audio/speech", json=SPEECH).status_code == 200
        for path in ("/v1/models", "/v1/audio/voices", "/v1/limits", "/metrics", "/v1/nowhere"):
            refused(stranger.get(path), 401, "API_KEY_WRONG")
        answer = stranger.post("/v1/audio/speech", json=SPEECH)
        error = refused(answer, 401, "API_KEY_WRONG")
        assert answer.headers["www-authenticate"] == "Bearer" and error["type"] == "authentication_error"
        assert KEY not in answer.text
        for wrong in ("Bearer correct-hors", "Bearer", f"Basic {KEY}", f"Bearer {KEY}x", KEY, "Bearer \xff"):
            headers = {"Authorization": wrong.encode("latin-1")}
            refused(stranger.get("/v1/models", headers=headers), 401, "API_KEY_WRONG")
        assert stranger.get("/health").status_code == stranger.get("/openapi.json").status_code == 200


def test_a_stranger_with_a_large_body_reads_why_he_is_refused(locked):
    """Whoever is cut off while sending gets a broken pipe in the place of an answer."""
    with locked.client() as client:
        answer = client.post("/v1/audio/voices", files={"audio": b"\0" * 15_000_000}, headers={"Authorization": "no"})
        refused(answer, 401, "API_KEY_WRONG")


@pytest.mark.parametrize("is_announced", [True, False])
def test_what_is_too_large_is_refused_while_it_comes(client, is_announced):
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'

    def parts():
        yield head
        for _ in range(30):
            yield b"\0" * 1_000_000

    for path, kind, code in (
        ("voices", "multipart/form-data; boundary=x", "AUDIO_TOO_LARGE"),
        ("speech", "application/json", "BODY_TOO_LARGE"),
    ):
        content = b"".join(parts()) if is_announced else parts()
        answer = client.post(f"/v1/audio/{path}", content=content, headers={"content-type": kind})
        refused(answer, 413, code)


def test_a_body_that_does_not_come_is_not_waited_for(locked):
    head = (
        f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    begun = time.monotonic()
    answer = raw(locked.url, head.encode())
    assert answer.startswith(b"HTTP/1.1 408") and b"BODY_TIMEOUT" in answer
    assert time.monotonic() - begun < 6


def test_pages_of_the_web_are_refused_where_there_is_no_key(client):
    """A browser on this machine would let them ask; with a key they cannot know it."""
    for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
        refused(client.post("/v1/audio/speech", json=SPEECH, headers={"Origin": origin}), 403, "ORIGIN_REFUSED")
    for host in (
        "evil.example",
        "evil.example:80",
        "192.168.1.7",
        "",
        "[::1",
        "localhost@evil.example",
    ):  # a name that was bent to this machine
        refused(client.get("/v1/models", headers={"Host": host}), 403, "HOST_REFUSED")
    for host in ("localhost", "127.0.0.1:8880", "[::1]:8880", "LOCALHOST:1"):
        assert client.get("/v1/models", headers={"Host": host}).status_code == 200
    assert client.get("/v1/models", headers={"Origin": "http://localhost:3000"}).status_code == 200


def test_what_clients_make_up_becomes_no_label(client):
    """Every new method or path would be one more row of figures, for ever."""
    client.request("PROPFIND", "/v1/audio/speech")
    client.get("/v1/made-up")
    client.request("MADEUP", "/made-up")
    told = client.get("/metrics").text
    assert "PROPFIND" not in told and "MADEUP" not in told and "made-up" not in told
    assert 'method="-"' in told and 'route="-"' in told


def test_an_announced_length_of_many_digits_is_too_long(server):
    head = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert raw(server.url, f"{head}Content-Length: {'9' * 19}\r\n\r\n{{".encode()).startswith(b"HTTP/1.1 413")
    assert raw(server.url, f"{head}Content-Length: {'9' * 5000}\r\n\r\n{{".encode()).startswith(b"HTTP/1.1 4")


def test_behind_a_proxy_a_key_is_enough(locked):
    with locked.client() as client:
        headers = {"Host": "tts.example.org", "Origin": "https://tts.example.org"}
        assert client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("LocalHost", True), (EVERYWHERE, False), ("::", False), ("", False), ("192.168.0.1", False),
        ("example.org", False), ("localhost.example.org", False), ("127.0.0.1.example.org", False),
    ],
)  # fmt: skip
def test_what_is_this_machine_alone(host, expected):
    assert is_loopback(host) == expected


def test_other_machines_need_a_key_or_a_word(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"HOST_UNPROTECTED.*--api-key.*--insecure"):
        serve(["--host", EVERYWHERE])
    assert not ServerConfig(host=EVERYWHERE, api_key=KEY).is_local
    assert not ServerConfig(host=EVERYWHERE, is_insecure=True).is_local
    assert ServerConfig().is_local
    for arguments in (["--api-key", ""], ["--api-key", "two words"], ["--api-key", "clé"], ["--api-key", "a" * 600]):
        with pytest.raises(ConfigError, match="API_KEY_INVALID") as caught:
            serve(arguments)
        assert "words" not in str(caught.value)
    assert KEY not in repr(ServerConfig(api_key=KEY))


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--max-waiting", "0"], ["--port", "70000"], ["--batch-size", "-1"], ["--max-steps", "0"], ["--prt"]),
        *(["--replicas", "0"], ["--replicas", "2", "--port", "0"], ["--replicas", "2", "--replica-cpus", "-1"]),
        ["--replicas", "2", "--replica-gpus", "nan"],
    ],
)
def test_options_that_make_no_sense(arguments):
    with pytest.raises(ConfigError):
        serve(arguments)


def test_the_work_of_a_request_is_bounded_by_an_option(toy, tmp_path):
    config = _config(parser().parse_args(["--max-steps", "3"]))
    with served(replace(config, voices=tmp_path), lambda: toy) as few, few.client() as client:
        assert client.get("/v1/limits").json()["steps"] == [1, 3]
        assert client.post("/v1/audio/speech", json=SPEECH | {"steps": 3}).status_code == 200
        refused(client.post("/v1/audio/speech", json=SPEECH | {"steps": 4}), 400, "REQUEST_INVALID", "steps")
        body = SpeechBody(input="Hello.", voice="zoe")  # the model's own number is no way around it
        assert toy.sampler.steps > 3
        assert speech_request(body, toy, few.room.shelf.find("zoe"), 3).sampler.steps == 3


def test_a_port_that_is_taken_is_told(server):
    port = server.url.rsplit(":", 1)[1]
    with pytest.raises(ConfigError, match=rf"PORT_IN_USE: 127\.0\.0\.1:{port}"):
        serve(["--port", port, "--no-watermark"])
    with pytest.raises(ConfigError, match="HOST_UNKNOWN"):
        serve(["--host", "192.0.2.1", "--insecure"])
