"""Voices that are stored, listed and deleted, and those of a recording that comes with its text."""

import concurrent.futures
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.apps.speaking import transcription
from tests.apps.serving.conftest import served
from tests.apps.serving.test_contract import SPEECH, refused
from tests.speech.tiny_system import wobble

FORM = {"name": "me", "text": "La la la.", "consent": "true"}
CLONE = {"input": "hello there", "consent": "true", "reference_text": "La la la.", "response_format": "wav"} | {
    "steps": "1", "seed": "1"
}  # fmt: skip


@pytest.fixture
def recording(reference):
    return reference.read_bytes()


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """Where temporary files go, to see that none stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def store(client, recording, field="audio", **change):
    fields = {name: value for name, value in (FORM | change).items() if value is not None}
    return client.post("/v1/audio/voices", data=fields, files={field: ("my recording.wav", recording)})


def clone(client, recording, **change):
    fields = {name: value for name, value in (CLONE | change).items() if value is not None}
    return client.post("/v1/audio/speech", data=fields, files={"reference_audio": ("a.wav", recording)})


def names(client):
    return [voice["id"] for voice in client.get("/v1/audio/voices").json()["voices"]]


def wave_file(wave, rate=16_000):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(wave, np.float32), rate, format="WAV")
    return buffer.getvalue()


def test_a_voice_is_stored_spoken_with_and_deleted(client, server, recording, temporary):
    made = store(client, recording)
    assert made.status_code == 200, made.text
    told = made.json()
    assert (told["id"], told["name"], told["source"], told["text"]) == ("me", "me", "stored", "La la la.")
    assert any(note.startswith("AUDIO_LOW_BANDWIDTH") for note in told["warnings"])
    assert names(client) == ["zoe", "anna", "me"]
    assert (server.room.shelf.folder / "me.safetensors").is_file()
    spoken = client.post("/v1/audio/speech", json=SPEECH | {"voice": "me"})
    assert spoken.status_code == 200
    assert clone(client, recording).content == spoken.content  # the same recording, not stored
    refused(store(client, recording), 400, "VOICE_EXISTS", "name")
    assert client.delete("/v1/audio/voices/me").json() == {
        "id": "me", "deleted": True, "object": "audio.voice.deleted"
    }  # fmt: skip
    refused(client.post("/v1/audio/speech", json=SPEECH | {"voice": "me"}), 400, "VOICE_UNKNOWN", "voice")
    refused(client.delete("/v1/audio/voices/me"), 404, "VOICE_UNKNOWN", "voice")
    assert not list(temporary.iterdir())  # of the recordings nothing is left


def test_a_voice_that_was_replaced_on_disk_is_read_again(client, server, recording):
    store(client, recording, name="twin")
    before = client.post("/v1/audio/speech", json=SPEECH | {"voice": "twin"}).content
    client.delete("/v1/audio/voices/twin")
    store(client, wave_file(wobble(4.0)), name="twin")
    after = client.post("/v1/audio/speech", json=SPEECH | {"voice": "twin"}).content
    client.delete("/v1/audio/voices/twin")
    assert before != after


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"consent": None}, "CONSENT_MISSING", "consent"),
        ({"consent": "no"}, "CONSENT_MISSING", "consent"),
        ({"consent": "false"}, "CONSENT_MISSING", "consent"),
        ({"name": None}, "REQUEST_INVALID", "name"),
        ({"name": "../../etc/passwd"}, "VOICE_NAME", "name"),
        ({"name": "a" * 65}, "VOICE_NAME", "name"),
        ({"name": "with blank"}, "VOICE_NAME", "name"),
        ({"name": "zoe"}, "VOICE_OF_MODEL", "name"),
        ({"text": "..."}, "TEXT_NO_SPEECH", "text"),
        ({"text": "a" * 1000}, "AUDIO_TOO_SHORT", "audio"),
        ({"txt": "La la la."}, "REQUEST_INVALID", "txt"),
        ({"type": "prompt"}, "REQUEST_INVALID", "type"),
    ],
)
def test_what_cannot_be_stored_is_refused(client, server, recording, change, code, param, temporary):
    refused(store(client, recording, **change), 400, code, param)
    assert not list(temporary.iterdir()) and names(client) == ["zoe", "anna"]


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"consent": None}, "CONSENT_MISSING", "consent"),
        ({"consent": "maybe"}, "CONSENT_MISSING", "consent"),
        ({"voice": "zoe"}, "REQUEST_INVALID", "voice"),
        ({"input": ""}, "TEXT_EMPTY", "input"),
        ({"reference_text": "!!"}, "TEXT_NO_SPEECH", "reference_text"),
        ({"speed": "fast"}, "REQUEST_INVALID", "speed"),
        ({"seed": "1.5"}, "REQUEST_INVALID", "seed"),
        ({"reference_audio": "https://example.org/a.wav"}, "REQUEST_INVALID", "reference_audio"),
    ],
)
def test_a_clone_that_cannot_be_made_is_refused(client, recording, change, code, param):
    refused(clone(client, recording, **change), 400, code, param)


def test_forms_that_are_none(client, recording):
    refused(client.post("/v1/audio/voices", json=FORM), 400, "REQUEST_INVALID", "audio")
    refused(client.post("/v1/audio/voices", data=FORM, files={"other": recording}), 400, "REQUEST_INVALID", "other")
    refused(store(client, recording, field="reference_audio"), 400, "REQUEST_INVALID", "reference_audio")
    two = [("audio", ("a", recording)), ("audio_sample", ("b", recording))]
    assert client.post("/v1/audio/voices", data=FORM, files=two).status_code == 400
    headers = {"content-type": "multipart/form-data"}
    refused(client.post("/v1/audio/voices", content=b"x", headers=headers), 400, "REQUEST_INVALID")
    headers = {"content-type": "multipart/form-data; boundary=x"}
    refused(client.post("/v1/audio/voices", content=b"--x\r\nbroken", headers=headers), 400, "REQUEST_INVALID", "audio")
    refused(client.post("/v1/audio/voices", data=FORM, files={"x": ""}), 400, "REQUEST_INVALID", "x")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "AUDIO_EMPTY"),
        (b"<!doctype html><html></html>" * 9, "AUDIO_NOT_AUDIO"),
        (wave_file(wobble(0.5)), "AUDIO_TOO_SHORT"),
        (wave_file(np.zeros(32_000)), "AUDIO_SILENT"),
        (wave_file(wobble(2.0), 4_000), "AUDIO_SAMPLE_RATE"),
        (wave_file(wobble(2.0))[:30], "AUDIO_CORRUPT"),
    ],
)
def test_recordings_that_are_none_are_refused_with_the_loaders_code(client, data, code, temporary):
    refused(store(client, data), 400, code, "audio")
    refused(clone(client, data), 400, code, "reference_audio")
    assert not list(temporary.iterdir())


def test_an_upload_of_nearly_twenty_megabytes_is_read(client):
    wave = np.stack([wobble(11.0)] * 4, 1)
    data = wave_file(np.repeat(wave, 12, axis=0), 192_000)
    assert 16_000_000 < len(data) < 20_000_000
    refused(clone(client, data + b"\0" * (19_990_000 - len(data)), consent="no"), 400, "CONSENT_MISSING", "consent")
    spoken = clone(client, data)
    assert spoken.status_code == 200, spoken.content[:300]


def test_a_missing_text_is_heard_and_that_is_told(client, recording, monkeypatch):
    def ears(samples, sample_rate, asr, has_left):
        assert asr == "auto" and len(samples) == 3 * sample_rate and not has_left()
        return "la la la", "ears"

    monkeypatch.setattr(transcription, "transcribe_apart", ears)
    told = store(client, recording, text=None, name="heard").json()
    client.delete("/v1/audio/voices/heard")
    assert told["text"] == "la la la" and 'VOICE_TRANSCRIBED: by ears: "la la la"' in told["warnings"]
    spoken = clone(client, recording, reference_text="")  # as a page's form sends a field that was left empty
    assert spoken.status_code == 200 and "VOICE_TRANSCRIBED" in spoken.headers["x-resgen-warning-codes"]


def test_of_two_who_store_the_same_name_one_succeeds(server, recording):
    def one(_):
        with server.client() as client:
            return store(client, recording, name="race").status_code

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, range(2))) == [200, 400]
    with server.client() as client:
        client.delete("/v1/audio/voices/race")


def test_no_more_voices_are_stored_than_there_may_be(toy, recording, tmp_path):
    with served(ServerConfig(voices=tmp_path, max_voices=1), lambda: toy) as full, full.client() as client:
        assert store(client, recording).status_code == 200
        refused(store(client, recording, name="other"), 400, "VOICES_FULL")


def test_files_that_are_no_voices_are_not_offered(client, server, recording):
    folder = Path(server.room.shelf.folder)
    folder.mkdir(exist_ok=True)
    (folder / "broken.safetensors").write_bytes(b"\0" * 40)
    (folder / "notes.txt").write_text("hi")
    assert names(client) == ["zoe", "anna"]
    answer = client.post("/v1/audio/speech", json=SPEECH | {"voice": "broken"})
    (folder / "broken.safetensors").unlink()
    refused(answer, 400, "VOICE_INVALID", "voice")
    assert str(folder) not in answer.text
