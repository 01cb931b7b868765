"""What is refused, and how: before anything is spoken, with a status, a code and the field that it is about."""

import json

import pytest

SPEECH = {"input": "hello there", "voice": "zoe", "response_format": "wav", "steps": 1, "seed": 1}


def refused(answer, status, code, param=None):
    """The error of an answer that must say no, in the shape of the OpenAI contract."""
    assert answer.status_code == status, answer.content[:300]
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param), error
    assert error["message"] and error["type"]
    return error


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"input": ""}, 400, "TEXT_EMPTY", "input"),
        ({"input": "..."}, 400, "TEXT_NO_SPEECH", "input"),
        ({"input": "a" * 4097}, 400, "TEXT_TOO_LONG", "input"),
        ({"input": 5}, 400, "REQUEST_INVALID", "input"),
        ({"input": None}, 400, "REQUEST_INVALID", "input"),
        ({"voice": None}, 400, "REQUEST_INVALID", "voice"),
        ({"voice": "alloy"}, 400, "VOICE_UNKNOWN", "voice"),
        ({"voice": {"id": "alloy"}}, 400, "VOICE_UNKNOWN", "voice"),
        ({"voice": "../zoe"}, 400, "VOICE_UNKNOWN", "voice"),
        ({"voice": {"name": "zoe"}}, 400, "REQUEST_INVALID", "voice"),
        ({"model": "gpt-4o-mini-tts"}, 404, "MODEL_UNKNOWN", "model"),
        ({"response_format": "ogg"}, 400, "REQUEST_INVALID", "response_format"),
        ({"speed": 0.2}, 400, "REQUEST_INVALID", "speed"),
        ({"speed": 4.5}, 400, "REQUEST_INVALID", "speed"),
        ({"speed": "fast"}, 400, "REQUEST_INVALID", "speed"),
        ({"stream_format": "ndjson"}, 400, "REQUEST_INVALID", "stream_format"),
        ({"seed": -1}, 400, "REQUEST_INVALID", "seed"),
        ({"seed": 2**63}, 400, "REQUEST_INVALID", "seed"),
        ({"seed": True}, 400, "REQUEST_INVALID", "seed"),
        ({"steps": 0}, 400, "REQUEST_INVALID", "steps"),
        ({"steps": 257}, 400, "REQUEST_INVALID", "steps"),
        ({"top_p": 0}, 400, "REQUEST_INVALID", "top_p"),
        ({"schedule": "spiral"}, 400, "CONFIG_INVALID", "schedule"),
        ({"duration_seconds": -1}, 400, "REQUEST_INVALID", "duration_seconds"),
        ({"duration_seconds": 2, "speed": 2}, 400, "REQUEST_INVALID", "duration_seconds"),
        ({"duration_seconds": 599}, 400, "DURATION_TOO_LONG", "duration_seconds"),
        ({"first_characters": 5}, 400, "REQUEST_INVALID", "first_characters"),
        ({"sped": 2}, 400, "REQUEST_INVALID", "sped"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(client, change, status, code, param):
    error = refused(client.post("/v1/audio/speech", json=SPEECH | change), status, code, param)
    if code == "VOICE_UNKNOWN":
        assert "zoe, anna" in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"hello"', b"\xff", b'{"input": "\\ud800", "voice": "zoe"}', b"[" * 100_000,
        b'{"input": "hi", "voice": "zoe", "speed": NaN}', b'{"input": "hi", "voice": "zoe", "speed": 1e999}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused(client, body):
    answer = client.post("/v1/audio/speech", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in ("REQUEST_INVALID", "TEXT_INVALID_UNICODE")


def test_json_that_calls_itself_text_is_refused(client):
    """A page of the web can send text/plain to this machine without asking anybody."""
    answer = client.post("/v1/audio/speech", content=json.dumps(SPEECH), headers={"content-type": "text/plain"})
    refused(answer, 400, "REQUEST_INVALID")


def test_paths_and_methods_that_are_not_there(client):
    refused(client.get("/v1/chat/completions"), 404, "PATH_UNKNOWN")
    refused(client.get("/docs"), 404, "PATH_UNKNOWN")  # its page would load scripts from other hosts
    refused(client.get("/v1/audio/speech"), 405, "METHOD_WRONG")


def test_an_error_quotes_nothing_of_the_request_and_has_a_number(client):
    answer = client.post("/v1/audio/speech", json=SPEECH | {"speed": "MY SECRET WORDS"})
    assert "SECRET" not in answer.text
    assert len(answer.headers["x-request-id"]) == 16


def test_the_model_has_its_name_and_its_aliases(client):
    for path in ("/v1/models", "/v1/audio/models"):
        listed = client.get(path).json()
        assert [row["id"] for row in listed.get("data") or listed["models"]] == ["toy", "tts-1"]
    assert client.get("/v1/models/tts-1").json()["object"] == "model"
    refused(client.get("/v1/models/other"), 404, "MODEL_UNKNOWN", "model")
    for name in ("toy", "tts-1"):
        assert client.post("/v1/audio/speech", json=SPEECH | {"model": name}).status_code == 200


def test_the_shapes_that_open_webui_asks_for(client):
    """It lists {base}/audio/models and {base}/audio/voices, and posts JSON with a model, an input and a voice."""
    assert client.get("/v1/audio/models").json()["models"][0]["id"] == "toy"
    voices = {voice["id"]: voice["name"] for voice in client.get("/v1/audio/voices").json()["voices"]}
    assert list(voices)[:2] == ["zoe", "anna"]
    body = {"model": "tts-1", "input": "hello", "voice": "anna"}
    answer = client.post("/v1/audio/speech", json=body, headers={"Authorization": "Bearer none"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/mpeg" and len(answer.content) > 500


def test_the_limits_are_those_that_hold(client):
    limits = client.get("/v1/limits").json()
    assert limits["input_characters"] == 4096 and limits["upload_bytes"] == 20_000_000
    assert limits["response_formats"] == ["mp3", "opus", "aac", "flac", "wav", "pcm"]
    for field in ("speed", "steps"):
        for value in limits[field]:
            assert client.post("/v1/audio/speech", json=SPEECH | {field: value}).status_code == 200
    long = client.post("/v1/audio/speech", json=SPEECH | {"input": ("ab " * 2000)[:4096], "speed": 4.0})
    assert long.status_code == 200 and int(long.headers["x-resgen-chunks"]) > 1


def test_health_and_metrics(client):
    assert client.get("/health").json()["status"] == "ready"
    assert client.head("/health").status_code == 200  # as load balancers ask
    client.post("/v1/audio/speech", json=SPEECH)
    client.post("/v1/audio/speech", json=SPEECH | {"input": ""})
    lines = client.get("/metrics").text.splitlines()
    told = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"}
    assert told['resgen_requests_total{method="POST",route="/v1/audio/speech",status="200"}'] >= 1
    assert told['resgen_problems_total{code="TEXT_EMPTY"}'] >= 1
    assert told["resgen_audio_seconds_total"] > 0 and told["resgen_first_audio_seconds_count"] >= 1
    assert told["resgen_ready"] == 1 and told["resgen_waiting"] == 0
    assert "zoe" not in "".join(lines)


def test_the_schema_tells_every_path_and_every_field(client):
    schema = client.get("/openapi.json").json()
    bodies = schema["paths"]["/v1/audio/speech"]["post"]["requestBody"]["content"]
    assert set(bodies) == {"application/json", "multipart/form-data"}
    parts = schema["components"]["schemas"]
    assert {"input", "voice", "response_format", "speed", "stream_format", "seed"} <= set(
        parts["SpeechBody"]["properties"]
    )
    assert parts["UploadedSpeechBody"]["properties"]["reference_audio"]["format"] == "binary"
    assert set(parts["VoiceBody"]["required"]) == {"name", "consent", "audio"}
    wanted = {
        "/v1/audio/speech", "/v1/audio/voices", "/v1/audio/voices/{name}", "/v1/models", "/v1/models/{name}",
        "/v1/audio/models", "/v1/limits", "/health", "/metrics",
    }  # fmt: skip
    assert set(schema["paths"]) == wanted
    references = set()

    def walk(part):
        if isinstance(part, dict):
            references.update(value for key, value in part.items() if key == "$ref")
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(schema)
    assert {reference.rsplit("/", 1)[1] for reference in references} <= set(parts)
