"""What is spoken: the same as by the other doors, in six formats, at once, in a stream, or in events."""

import base64
import concurrent.futures
import io
import json

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.speech.audio.encode import encode
from resgen_tts.speech.synthesizer import AUDIO_TOLERANCE
from tests.apps.serving.test_contract import refused

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
LONG = "One two three four. " * 40  # several chunks
MEDIA_TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav",
    "pcm": "audio/pcm",
}  # fmt: skip


def ask(client, text="hello there", **more):
    body = {"input": text, "voice": "zoe", "response_format": "wav", "steps": 1, "seed": 1} | more
    answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def samples(data):
    wave, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return wave, rate


def events(text):
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]


@pytest.mark.parametrize("format", FORMATS)
def test_the_bytes_are_those_of_the_python_door(server, client, tts, format):
    """In one chunk, and at once: what TTS gives and save() writes."""
    answer = ask(client, response_format=format)
    request = tts.request("hello there", voice=server.room.shelf.find("zoe"), seed=1, steps=1)
    spoken = server.room.queue.run(lambda: tts("hello there", voice=request.voice, seed=1, steps=1)).result(30)
    assert answer.content == encode(spoken.audio, format, spoken.sample_rate, tts.provenance(request).tags())
    assert answer.headers["content-type"] == MEDIA_TYPES[format]
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_has_the_speech_of_the_whole(client, format):
    whole = ask(client, LONG, response_format=format, stream=False)
    with client.stream(
        "POST", "/v1/audio/speech",
        json={"input": LONG, "voice": "zoe", "response_format": format, "steps": 1, "seed": 1},
    ) as answer:  # fmt: skip
        assert answer.headers["transfer-encoding"] == "chunked"
        streamed = b"".join(answer.iter_raw())
    assert int(answer.headers["x-resgen-chunks"]) > 2
    # Only the head of the whole knows how long it is.
    assert len(streamed) == len(whole.content) and streamed[1000:] == whole.content[1000:]
    if format in ("wav", "flac"):
        left, right = samples(streamed), samples(whole.content)
        assert left[1] == right[1] and np.array_equal(left[0], right[0])
    *parts, _ = events(ask(client, LONG, response_format=format, stream_format="sse").text)
    assert b"".join(base64.b64decode(part["audio"]) for part in parts) == streamed


def test_events_end_with_what_was_spoken(client):
    answer = ask(client, LONG, stream_format="sse")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *parts, done = events(answer.text)
    assert len(parts) > 2 and {part["type"] for part in parts} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done" and done["provenance"]["seed"] == 1
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"] > 0
    wave, rate = samples(b"".join(base64.b64decode(part["audio"]) for part in parts))
    assert abs(len(wave) / rate - done["seconds"]) < 0.001


def test_the_seed_is_told_and_repeats(client):
    drawn = ask(client, seed=None)
    seed = int(drawn.headers["x-resgen-seed"])
    assert ask(client, seed=seed).content == drawn.content
    assert ask(client, seed=seed + 1).content != drawn.content


def test_what_is_told_beside_the_speech(client, tts):
    answer = ask(client, "Hello <b>there</b>.", instructions="happily", stream=False)
    told = answer.headers
    assert told["x-resgen-model"] == "toy" and told["x-resgen-watermark"] == "none"
    assert told["x-resgen-ignored"] == "instructions"
    assert told["x-resgen-warnings"] == "1" and told["x-resgen-warning-codes"] == "TEXT_MARKUP"
    facts = Provenance.from_tags({"comment": told["x-resgen-provenance"]})
    assert facts.seed == 1 and facts.model_sha256 == tts.model_sha256 and len(facts.reference_sha256) == 64
    wave, rate = samples(answer.content)
    assert rate == int(told["x-resgen-sample-rate"]) == 16_000
    assert abs(len(wave) / rate - float(told["x-resgen-seconds"])) < 0.001
    bare = ask(client, response_format="pcm")
    assert bare.headers["x-resgen-sample-rate"] == "24000"
    assert abs(len(bare.content) / 2 / 24_000 - float(bare.headers["x-resgen-seconds"])) < 0.001


def test_every_knob_turns_something(client):
    plain = ask(client)
    changes = (
        {"steps": 3}, {"temperature": 2.0}, {"top_p": 0.3, "steps": 2}, {"voice": {"id": "anna"}},
        {"guidance": 3.0, "steps": 2}, {"schedule": "cosine", "steps": 5}, {"spread": 1.0},
        {"choice_temperature": 9.0, "steps": 4},
    )  # fmt: skip
    for change in changes:
        base = ask(client, **({"steps": change["steps"]} if "steps" in change and len(change) > 1 else {}))
        assert ask(client, **change).content != base.content, change
    fast, slow = (len(ask(client, speed=speed).content) for speed in (2.0, 0.5))
    assert fast < len(plain.content) < slow
    exact = ask(client, "good morning", duration_seconds=2.0)
    assert abs(float(exact.headers["x-resgen-seconds"]) - 2.0) <= 0.1
    early = ask(client, LONG, first_characters=20)
    assert int(early.headers["x-resgen-chunks"]) >= int(ask(client, LONG).headers["x-resgen-chunks"])


def test_requests_that_share_a_loop_say_what_they_say_alone(client):
    texts = [f"This is number {number}." for number in range(6)]
    alone = [samples(ask(client, text).content)[0] for text in texts]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        together = [samples(answer.content)[0] for answer in pool.map(lambda text: ask(client, text), texts)]
    for one, other in zip(alone, together, strict=True):
        assert len(one) == len(other) and np.abs(one - other).max() <= AUDIO_TOLERANCE + 2 / 32767


def test_a_fault_before_the_first_sound_is_an_error_and_no_speech(client):
    """The text is only looked at in the queue; the status line waits for it."""
    for body in ({"stream": True}, {"stream": False}, {"stream_format": "sse"}):
        answer = client.post("/v1/audio/speech", json={"input": "!!!", "voice": "zoe", **body})
        refused(answer, 400, "TEXT_NO_SPEECH", "input")
