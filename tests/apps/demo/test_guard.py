"""What stands before the page, asked over HTTP as a browser or a stranger would."""

import json
import tempfile
from pathlib import Path

import httpx
import pytest

from resgen_tts.apps.demo import files
from resgen_tts.apps.demo.guard import COOKIE, MOST_PAGES, Pages, browser_of, names_this_machine
from tests.apps.demo.conftest import served


@pytest.fixture(scope="module")
def address(tts, tmp_path_factory):
    """The page as it is served on this machine alone."""
    from resgen_tts.apps.demo.backend import Backend

    with served(Backend(lambda: tts), tmp_path_factory.mktemp("demo") / "files") as address:
        yield address


@pytest.fixture
def clients(address):
    """Two browsers that have opened the page."""
    with httpx.Client(base_url=address) as one, httpx.Client(base_url=address) as two:
        for client in (one, two):
            assert client.get("/").status_code == 200
        yield one, two


def upload(client, content=b"RIFF", name="a.wav"):
    return client.post("/gradio_api/upload", files={"files": (name, content, "audio/wav")})


def test_a_browser_is_known_by_a_cookie_that_scripts_cannot_read(clients):
    one, two = clients
    cookie = one.get("/", headers={"cookie": ""}).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and browser_of(cookie)
    assert "set-cookie" not in one.get("/").headers
    assert one.cookies[COOKIE] != two.cookies[COOKIE]


def test_the_page_names_no_host_that_a_browser_may_ask(clients):
    answer = clients[0].get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'" and not any("http" in value or "*" in value for value in policy.values())
    assert policy["frame-ancestors"] == "'self'" and answer.headers["referrer-policy"] == "no-referrer"


def test_a_file_is_read_by_its_browser_alone(clients):
    one, two = clients
    (path,) = upload(one, b"RIFF mine").json()
    address = f"/gradio_api/file={path}"
    assert one.get(address).content == b"RIFF mine"
    assert two.get(address).status_code == 404
    assert one.get(address, headers={"cookie": ""}).status_code == 404
    assert one.get(f"/gradio_api/file={Path(path).parent}/../x").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=http://127.0.0.1:9/x",
        "/gradio_api/proxy=http://127.0.0.1:9/x",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/call/anything",
        "/gradio_api/openapi.json",
        "/gradio_api/deep_link",
        "/monitoring",
        "/docs",
        "/openapi.json",
    ],
)
def test_what_the_page_does_not_need_is_not_there(clients, path):
    assert clients[0].get(path).status_code == 404


def test_nobody_without_a_cookie_uploads_or_runs_anything(address):
    with httpx.Client(base_url=address) as stranger:
        assert upload(stranger).status_code == 404
        assert stranger.post("/gradio_api/queue/join", json={"data": [], "fn_index": 0}).status_code == 404


def event(path, more=(), page="abc"):
    named = {"path": path, "url": None, "meta": {"_type": "gradio.FileData"}}
    return {"data": [None, named, *more], "fn_index": 1, "session_hash": page, "trigger_id": 1}


def test_an_event_names_no_address_and_nobody_elses_file(clients):
    one, two = clients
    (path,) = upload(one).json()
    join = "/gradio_api/queue/join"
    assert one.post(join, json=event(path)).status_code == 200
    assert two.post(join, json=event(path, page="two")).status_code == 403
    assert one.post(join, json=event("http://127.0.0.1:9/a.wav")).status_code == 403
    assert one.post(join, json=event(path, [[{"deep": {"path": "/etc/passwd"}}]])).status_code == 403
    assert one.post(join, content=b"{not json").status_code == 403
    assert one.post(join, content=b" " * (2 << 20) + json.dumps(event(path)).encode()).status_code == 403
    assert one.post(join, content=b"[" * 100_000).status_code == 403


JOIN = "/gradio_api/queue/join"


def test_a_page_is_of_the_browser_that_named_it_first(clients):
    """Whoever knows the name of another's page gets nothing by it: not its events, not its answers, not its end."""
    one, two = clients
    mine = {"data": [None], "fn_index": 0, "session_hash": "ofone", "event_id": "x", "trigger_id": 1}
    assert one.post(JOIN, json=mine).status_code != 403
    for path in (JOIN, "/gradio_api/run/predict", "/gradio_api/run/predict/", "/gradio_api/cancel"):
        assert two.post(path, json=mine).status_code == 403
        assert two.post(path, json=mine | {"session_hash": "oftwo"}).status_code != 403
        for name in (None, "", 3, ["ofone"], "of one", "o" * 65):
            assert two.post(path, json=mine | {"session_hash": name}).status_code == 403
    twice = json.dumps(mine)[:-1] + ', "session_hash": "oftwo"}'
    assert two.post(JOIN, content=twice).status_code == 403
    data = "/gradio_api/queue/data"
    for query in ("session_hash=ofone", "session_hash=oftwo&session_hash=ofone", "session%5Fhash=ofone", ""):
        assert two.get(f"{data}?{query}").status_code == 403
    assert two.get("/gradio_api/heartbeat/ofone").status_code == 403
    with two.stream("GET", "/gradio_api/heartbeat/oftwo") as answer:
        assert answer.status_code == 200
    assert one.get("/gradio_api/heartbeat/oftwo").status_code == 403


def test_a_browsers_many_pages_cost_nobody_elses():
    pages = Pages()
    assert pages.belongs("mine", "a")
    assert all(pages.belongs(f"page{number}", "b") for number in range(MOST_PAGES + 1))
    assert pages.belongs("mine", "a") and not pages.belongs("mine", "b") and not pages.belongs("mine", "")
    assert not pages.belongs("page1", "a") and pages.belongs("page0", "a")  # its oldest is forgotten


def test_a_browser_brings_so_much_at_a_time(clients, monkeypatch):
    monkeypatch.setattr(files, "MOST_BROWSER_BYTES", 20_000_100)
    one, two = clients
    assert upload(one, b"x" * 60, "b.wav").status_code == 200
    assert upload(one, b"y" * 60, "c.wav").status_code == 200
    refused = upload(one, b"z" * 60, "d.wav")
    assert refused.status_code == 413 and "as much as it may" in refused.text
    assert upload(two, b"z" * 60, "d.wav").status_code == 200
    monkeypatch.setattr(files, "MOST_BYTES", 20_000_100)
    assert upload(two, b"a" * 60, "e.wav").status_code == 413


def test_a_page_of_this_machine_answers_to_its_names_only(clients):
    for host in ("evil.example", "127.0.0.1.evil.example", "[::2]:7860"):
        assert clients[0].get("/", headers={"host": host}).status_code == 403
    for host in ("localhost:7860", "127.0.0.1", "[::1]:7860"):
        assert clients[0].get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host, is_ours", [("LOCALHOST", True), ("127.5.5.5:1", True), ("[::1", False), ("a b", False)])
def test_names_of_this_machine(host, is_ours):
    assert names_this_machine(host) is is_ours


@pytest.mark.parametrize("cookies", ["", "a=b", f"{COOKIE}=short", f"{COOKIE}={'é' * 32}", f"{COOKIE}", ";;=;"])
def test_what_is_no_cookie_of_ours_is_nobody(cookies):
    assert browser_of(cookies) == ""


def test_an_upload_beyond_the_limit_is_refused_and_leaves_nothing(clients, monkeypatch, tmp_path):
    parts = tmp_path / "parts"
    parts.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(parts))
    answer = upload(clients[0], b"x" * 20_000_001)
    assert answer.status_code == 413
    assert list(parts.iterdir()) == []
    assert upload(clients[0], b"x" * 19_999_999).status_code == 200


def test_a_key_is_asked_for(tts, tmp_path):
    from resgen_tts.apps.demo.backend import Backend

    backend, key = Backend(lambda: tts), "a-key"
    with (
        served(backend, tmp_path / "files", is_local=False, api_key=key) as address,
        httpx.Client(base_url=address, headers={"host": "studio.example"}) as client,
    ):
        assert client.get("/").status_code == 200  # the page that asks for it
        assert upload(client).status_code == 401 and client.get("/config").status_code == 401
        assert client.post("/login", data={"username": "x", "password": "wrong"}).status_code == 400
        assert client.post("/login", data={"username": "x", "password": key}).status_code == 200
        assert upload(client).status_code == 200


def test_the_end_of_the_server_leaves_no_file(tts, tmp_path):
    from resgen_tts.apps.demo.backend import Backend

    with served(Backend(lambda: tts), tmp_path / "files") as address, httpx.Client(base_url=address) as client:
        client.get("/")
        (path,) = upload(client).json()
        assert Path(path).is_relative_to(tmp_path / "files") and Path(path).exists()
    assert not (tmp_path / "files").exists()
