"""From a text to a take, over the real queue and an untrained model."""

import asyncio
import time
from contextlib import aclosing

import numpy as np
import pytest
import soundfile

from resgen_tts.apps.demo.backend import Backend
from resgen_tts.apps.demo.session import Spoken
from resgen_tts.apps.demo.speaking import MOST_CHARACTERS, Manner, draw, label, speak
from resgen_tts.apps.demo.status import Status
from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.common.errors import CheckpointError, ResGenError
from resgen_tts.speech.audio.load import load_audio
from resgen_tts.speech.audio.tags import read_tags

FEW = {"steps": 2}


def spoken_by(backend, session, text, voice="zoe", **manner):
    """All events of a text."""

    async def gather():
        async with aclosing(speak(backend, session, text, voice, Manner(**(FEW | manner)))) as events:
            return [event async for event in events]

    return asyncio.run(gather())


def take_of(events):
    (spoken,) = [event for event in events if isinstance(event, Spoken)]
    return spoken


def code_of(backend, session, text="hello", voice="zoe", **manner):
    with pytest.raises(ResGenError) as told:
        spoken_by(backend, session, text, voice, **manner)
    assert session.stop() is False  # the page can speak again
    return told.value.code


def test_a_text_of_one_voice_is_what_the_python_door_gives(backend, session, tts):
    events = spoken_by(backend, session, "hello there", seed=5)
    take = take_of(events).take
    samples, rate = soundfile.read(take.wave, dtype="float32")
    expected = tts("hello there", voice="zoe", seed=5, steps=2)
    assert rate == expected.sample_rate and abs(samples - np.clip(expected.audio, -1, 1)).max() <= 1 / 32768
    assert take.seed == 5 and take.voices == ("zoe",) and take.spoken == expected.normalized_text
    states = [event.state for event in events if isinstance(event, Status)]
    assert set(states) <= {"queued", "running", "done"} and states[-1] == "done"
    assert label(take).startswith("1: hello there · zoe · ")


def test_the_file_says_where_it_comes_from(backend, session, tts):
    take = take_of(spoken_by(backend, session, "hello [anna] there", seed=5)).take
    facts = Provenance.from_tags(read_tags(take.wave))
    hashes = [tts.load_voice(name).facts["sha256"] for name in ("zoe", "anna")]
    assert facts.seed == 5 and facts.watermark == "none" and facts.reference_sha256.split() == hashes


def test_the_watermark_is_in_it(tts, voiced, session):
    from resgen_tts import TTS

    marked = Backend(lambda: TTS.from_pretrained(voiced, device="cpu", watermark="perth", say=lambda line: None))
    marked.start()
    assert marked.wait(30.0)
    take = take_of(spoken_by(marked, session, "hello there, and all the rest of it, one two three", seed=5)).take
    plain = tts("hello there, and all the rest of it, one two three", voice="zoe", seed=5, steps=2)
    samples = load_audio(take.wave, sample_rate=plain.sample_rate).samples
    assert len(samples) == len(plain.audio) and abs(samples - plain.audio).max() > 1 / 32768
    assert dict(take.facts)["watermark"] == "perth"
    marked.close()


def test_several_voices_take_turns(backend, session, tts):
    take = take_of(spoken_by(backend, session, "hello [anna] there [zoe] again", seed=5)).take
    assert take.voices == ("zoe", "anna") and take.spoken.splitlines() == ["hello", "there", "again"]
    parts = [
        tts(text, voice=voice, seed=part.seed, steps=2).seconds
        for text, voice, part in zip(
            ("hello", "there", "again"), ("zoe", "anna", "zoe"), take_of_parts(backend, session), strict=True
        )
    ]
    assert abs(sum(parts) - take.seconds) < 1e-3


def take_of_parts(backend, session):
    return take_of(spoken_by(backend, session, "hello [anna] there [zoe] again", seed=5)).parts


def test_the_manner_reaches_the_model(backend, session):
    slow = take_of(spoken_by(backend, session, "hello there", seed=5, speed=0.5)).take
    fast = take_of(spoken_by(backend, session, "hello there", seed=5, speed=2.0)).take
    assert slow.seconds > 1.5 * fast.seconds
    timed = take_of(spoken_by(backend, session, "hello there", seed=5, duration_seconds=3.0)).take
    assert abs(timed.seconds - 3.0) < 0.11
    traced = take_of(spoken_by(backend, session, "hello there", seed=5, steps=4))
    assert 2 <= len(traced.parts[0].chunks[0].trace) <= 5
    silent = take_of(spoken_by(backend, session, "hello there", seed=5, draws_steps=False))
    assert silent.parts[0].chunks[0].trace == ()


def test_what_cannot_be_spoken_says_why(backend, session):
    assert code_of(backend, session, " ") == "TEXT_EMPTY"
    assert code_of(backend, session, "...") == "TEXT_NO_SPEECH"
    assert code_of(backend, session, "a" * (MOST_CHARACTERS + 1)) == "TEXT_TOO_LONG"
    assert code_of(backend, session, "[zoe] a [anna] a " * 30) == "TEXT_TOO_LONG"
    assert code_of(backend, session, voice="carol") == "VOICE_UNKNOWN"
    assert code_of(backend, session, "a [anna] b", duration_seconds=2.0) == "USAGE"
    assert code_of(backend, session, steps=0) == "CONFIG_INVALID"
    assert code_of(backend, session, speed=9.0) == "CONFIG_INVALID"
    assert code_of(backend, session, top_p=0.0) == "CONFIG_INVALID"


def test_a_stop_ends_it_within_a_step(backend, session):
    async def stopped():
        async with aclosing(speak(backend, session, "word " * 700, "zoe", Manner(steps=64))) as events:
            async for event in events:
                if event.state == "running":
                    began = time.perf_counter()
                    session.stop()
                    break
            with pytest.raises(ResGenError) as told:
                async for _ in events:
                    pass
        return told.value.code, time.perf_counter() - began

    code, seconds = asyncio.run(stopped())
    assert code == "STOPPED" and seconds < 1.0
    assert not session.takes and list(session.folder.iterdir()) == []
    assert take_of(spoken_by(backend, session, "hello", seed=1)).take.seed == 1  # and it speaks again


def test_whoever_leaves_frees_the_model(backend, session):
    async def left():
        async with aclosing(speak(backend, session, "word " * 700, "zoe", Manner(steps=64))) as events:
            async for event in events:
                if event.state == "running":
                    return

    asyncio.run(left())
    deadline = time.perf_counter() + 1.0
    while backend.queue.num_active and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert backend.queue.num_active == 0 and backend.queue.num_waiting == 0


def test_what_ends_while_it_is_spoken_keeps_nothing(backend, session):
    async def ended():
        async with aclosing(speak(backend, session, "hello", "zoe", Manner(**FEW))) as events:
            async for event in events:
                if isinstance(event, Status) and event.state != "done":
                    session.end()

    with pytest.raises(ResGenError) as told:
        asyncio.run(ended())
    assert told.value.code in ("STOPPED", "SESSION_ENDED") and not session.folder.exists()


def test_the_pictures_are_those_of_the_take(backend, session, tts):
    spoken = take_of(spoken_by(backend, session, "hello there", seed=5, steps=4))
    rates = tts.synthesizer.rates
    mel, unmasking = draw(spoken, session.folder, rates.sample_rate / rates.mel_hop_samples)
    assert mel.read_bytes()[:4] == b"\x89PNG" and unmasking.read_bytes()[:3] == b"GIF"
    assert session.illustrate(1, mel, unmasking).files == [spoken.take.wave, mel, unmasking]
    assert session.illustrate(9, mel, unmasking) is None


def test_an_estimate_is_near_and_shows_what_is_read(backend, session):
    read, seconds = backend.estimate(session, "It costs $5. [anna] Yes", "zoe", 1.0)
    assert read.splitlines()[1] == "Yes" and "five dollars" in read
    assert backend.estimate(session, "It costs $5. [anna] Yes", "zoe", 2.0)[1] < seconds


def test_a_page_before_its_model_and_one_without():
    def broken():
        raise CheckpointError("it is broken.", code="MODEL_MISSING")

    backend = Backend(broken)
    with pytest.raises(ResGenError) as told:
        _ = backend.tts
    assert told.value.code == "MODEL_LOADING"
    backend.start()
    assert backend.wait(5.0)
    with pytest.raises(CheckpointError):
        _ = backend.queue
    backend.close()


def test_voices_of_a_folder_are_everybodys(backend, tts, tmp_path, session):
    voice = tts.load_voice("anna")
    tts.save_voice(voice, tmp_path / "eve.safetensors")
    more = Backend(lambda: tts, voices=tmp_path)
    more.start()
    assert more.wait(10.0)
    assert [name for _, name in more.choices(session)] == ["zoe", "anna", "eve"] and more.is_common("eve")
    session.add_voice("me", voice)
    assert [name for _, name in more.choices(session)] == ["me", "zoe", "anna", "eve"]
    assert [name for _, name in more.choices(None)] == ["zoe", "anna", "eve"]
    more.close()
