"""The real client of the contract talks to the server: six formats, streaming, voices, and its own exceptions."""

import io

import numpy as np
import openai
import pytest
import soundfile

from resgen_tts.speech.audio.load import load_audio

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
LONG = "One two three four. " * 40
MORE = {"steps": 1, "seed": 1}


@pytest.fixture
def speaker(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def decoded(data, format, folder):
    """Samples at 16 kHz, by the loader that every door has; pcm has no header to load by."""
    if format == "pcm":
        wave = np.frombuffer(data, "<i2").astype(np.float32) / 32767
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, 24_000, format="WAV", subtype="FLOAT")
        data = buffer.getvalue()
    path = folder / f"speech.{format if format != 'pcm' else 'wav'}"
    path.write_bytes(data)
    return load_audio(path, sample_rate=16_000).samples


def band_levels(wave):
    """Levels in dB of frames of 40 ms in 8 bands up to 3.2 kHz."""
    frames = wave[: len(wave) // 640 * 640].reshape(-1, 640) * np.hanning(640)
    power = np.abs(np.fft.rfft(frames)) ** 2
    return 10 * np.log10(np.stack([power[:, at : at + 16].sum(1) for at in range(0, 128, 16)], 1) + 1e-4)


def test_all_six_formats_decode_to_the_same_speech(speaker, tmp_path):
    waves = {}
    for format in FORMATS:
        answer = speaker.audio.speech.create(
            model="tts-1", voice="zoe", input="hello there, how are you", response_format=format, extra_body=MORE
        )
        waves[format] = decoded(answer.content, format, tmp_path)
    plain = waves["wav"]
    assert len(plain) > 16_000 and np.abs(plain).max() > 0.01
    assert np.array_equal(waves["flac"], plain)
    for format, wave in waves.items():
        assert abs(len(wave) - len(plain)) <= 0.08 * 16_000, format  # a frame of the slowest codec
        length = min(len(wave), len(plain))
        if format == "aac":  # puts noise of its own where it hears noise, which a model of random weights makes
            assert np.abs(band_levels(wave[:length]) - band_levels(plain[:length])).mean() < 4.0
        else:
            likeness = [np.corrcoef(np.roll(plain, lag)[:length], wave[:length])[0, 1] for lag in range(-80, 81)]
            assert likeness[80] == max(likeness) > 0.9, format


@pytest.mark.parametrize("format", ["wav", "mp3"])
def test_streaming_gives_the_bytes_of_one_answer(speaker, format, tmp_path):
    asked = {"model": "toy", "voice": "zoe", "input": LONG, "response_format": format, "extra_body": MORE}
    at_once = speaker.audio.speech.create(**asked).content
    with speaker.audio.speech.with_streaming_response.create(**asked) as answer:
        parts = list(answer.iter_bytes(4096))
        assert answer.headers["x-resgen-seed"] == "1"
    assert len(parts) > 2 and b"".join(parts) == at_once
    with speaker.audio.speech.with_streaming_response.create(**asked) as answer:
        answer.stream_to_file(tmp_path / "speech")
    assert (tmp_path / "speech").read_bytes() == at_once


def test_a_voice_by_its_id_and_instructions(speaker):
    by_name, by_id = (
        speaker.audio.speech.with_raw_response.create(
            model="toy", voice=voice, input="hello", instructions="whisper", extra_body=MORE
        )
        for voice in ("anna", {"id": "anna"})
    )
    assert by_name.content == by_id.content and by_id.headers["x-resgen-ignored"] == "instructions"


def test_errors_are_its_typed_exceptions(speaker, server):
    def create(**change):
        asked = {"model": "toy", "voice": "zoe", "input": "hello", "extra_body": MORE} | change
        return speaker.audio.speech.create(**asked)

    with pytest.raises(openai.BadRequestError) as caught:
        create(voice="alloy")
    error = caught.value
    assert (error.code, error.param, error.type) == ("VOICE_UNKNOWN", "voice", "invalid_request_error")
    assert "zoe" in error.message and len(error.request_id) == 16
    with pytest.raises(openai.NotFoundError) as caught:
        create(model="gpt-4o-mini-tts")
    assert caught.value.code == "MODEL_UNKNOWN"
    with pytest.raises(openai.BadRequestError) as caught:
        create(input="")
    assert caught.value.code == "TEXT_EMPTY"
    with pytest.raises(openai.APIStatusError) as caught:
        create(input="a" * 300_000)
    assert caught.value.status_code == 413 and caught.value.code == "BODY_TOO_LARGE"


def test_models_are_listed(speaker):
    assert [model.id for model in speaker.models.list()] == ["toy", "tts-1"]
    assert speaker.models.retrieve("tts-1").owned_by == "resgen_tts"
    with pytest.raises(openai.NotFoundError):
        speaker.models.retrieve("nobody")


def test_a_voice_is_made_spoken_with_and_deleted(speaker, reference, lenient):
    with open(reference, "rb") as file:
        made = speaker.audio.voices.create(
            name="from-client", audio_sample=file, consent="yes", extra_body={"text": "La la la."}
        )
    assert (made.id, made.object, made.type) == ("from-client", "audio.voice", "audio_sample")
    spoken = speaker.audio.speech.create(model="toy", voice={"id": made.id}, input="hello", extra_body=MORE)
    assert len(spoken.content) > 500
    gone = speaker.audio.voices.delete(made.id)
    assert gone.deleted and gone.object == "audio.voice.deleted"
    with pytest.raises(openai.NotFoundError) as caught:
        speaker.audio.voices.delete(made.id)
    assert caught.value.code == "VOICE_UNKNOWN"


@pytest.mark.anyio
async def test_the_client_of_event_loops(server):
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        answer = await client.audio.speech.create(model="toy", voice="zoe", input="hello", extra_body=MORE)
        assert len(answer.content) > 500


@pytest.fixture
def anyio_backend():
    return "asyncio"
