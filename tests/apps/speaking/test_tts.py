"""The Python door over one small random system."""

import inspect
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from resgen_tts import TTS
from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.apps.speaking import transcription
from resgen_tts.apps.speaking.voices import Voices
from resgen_tts.apps.weights.hub import model_sha256
from resgen_tts.common.errors import AudioError, CheckpointError, ConfigError, DataError, ResGenError, TextError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.audio.load import load_audio
from resgen_tts.speech.audio.tags import read_tags
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.long_text import LongTextConfig
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.self_check import SelfCheckConfig
from resgen_tts.speech.synthesizer import AUDIO_TOLERANCE


class Ears:
    """Hears the same words in everything, and a voice that is the higher the louder it is."""

    name, is_embedded = "ears", True

    def __init__(self, words: str = "la la la"):
        self.words = words

    def transcribe(self, paths):
        return [self.words for _ in paths]

    def embed(self, path):
        level = float(np.abs(load_audio(path, sample_rate=16_000).samples).mean())
        return np.array([1.0, level], np.float32)


def test_same_seed_same_bytes_and_another_seed_other_bytes(model, reference):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    first, again, other = (tts("hello", voice=voice, seed=seed, steps=3) for seed in (1, 1, 2))
    assert np.array_equal(first.audio, again.audio)
    assert not np.array_equal(first.codes, other.codes)
    assert first.seed == 1 and first.normalized_text == "hello" and first.sample_rate == 16_000
    assert first.audio.dtype == np.float32 and np.isfinite(first.audio).all()


def test_the_audio_is_as_long_as_its_codes(model, reference):
    tts = TTS.from_pretrained(model)
    out = tts("hello there", voice=tts.voice(reference, "la la"), seed=0, steps=2, keep_trace=True)
    assert len(out.audio) == len(out.codes) * 8 * 200 == len(out.mel) * 200
    assert (out.trace[0] == -1).all() and np.array_equal(out.trace[-1], out.codes)


def test_speed_and_duration_set_the_length(model, reference):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    plain, fast = (tts("good morning", voice=voice, seed=0, steps=1, speed=s).seconds for s in (1.0, 2.0))
    assert 0.4 < fast / plain < 0.7
    exact = tts("good morning", voice=voice, seed=0, steps=1, duration_seconds=2.0)
    assert abs(exact.seconds - 2.0) <= 0.1  # whole code frames
    with pytest.raises(ConfigError, match="speed"):
        tts("good morning", voice=voice, seed=0, speed=9.0)


def test_a_drawn_seed_is_told(model, reference):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    out = tts("hi", voice=voice, steps=2)
    assert np.array_equal(out.audio, tts("hi", voice=voice, steps=2, seed=out.seed).audio)


def test_texts_and_references_that_cannot_be_used_are_refused(model, reference, tmp_path):
    tts = TTS.from_pretrained(model)
    with pytest.raises(TextError, match="TEXT_EMPTY"):
        tts.voice(reference, " ")
    with pytest.raises(ResGenError, match="AUDIO_TOO_SHORT"):
        tts.voice(reference, "a" * 500)  # more sounds than mel frames
    with pytest.raises(TextError, match="TEXT_TOO_LONG"):
        tts("many words " * 100_000, voice=tts.voice(reference, "la la la"))
    with pytest.raises(ResGenError, match="AUDIO_NOT_FOUND"):
        tts.voice(tmp_path / "nobody.wav", "la")


def test_a_missing_transcript_is_heard_and_told(model, reference, monkeypatch):
    monkeypatch.setattr(transcription, "choose_recognizer", lambda asr: Ears("la la la"))
    voice = TTS.from_pretrained(model).voice(reference, name="me")
    assert (voice.text, voice.name) == ("la la la", "me")
    assert any(note.startswith('VOICE_TRANSCRIBED: by ears: "la la la"') for note in voice.warnings)


def test_a_saved_voice_speaks_as_the_one_that_was_saved(model, reference, tmp_path, monkeypatch):
    tts = TTS.from_pretrained(model)
    voice = replace(tts.voice(reference, "la la la"), warnings=("AUDIO_SHORT: it is",))
    monkeypatch.setenv("RESGEN_TTS_VOICES", str(tmp_path))
    path = tts.save_voice(voice, "me")
    assert path == tmp_path / "me.safetensors"
    with pytest.raises(ConfigError, match=r"OUTPUT_EXISTS.*force=True"):
        tts.save_voice(voice, path)
    assert tts.save_voice(voice, path, force=True) == path
    wanted = tts("hi", voice=voice, seed=1, steps=1)
    assert "AUDIO_SHORT: it is" in wanted.warnings
    for own in (tts.load_voice("me"), "me", path, str(path)):  # told when it was saved, and not at every use
        out = tts("hi", voice=own, seed=1, steps=1)
        assert np.array_equal(out.audio, wanted.audio) and not any("AUDIO_SHORT" in note for note in out.warnings)
    assert tts.load_voice("me").warnings == voice.warnings
    (batched,) = tts.batch(["hi"], voice="me", seed=1, steps=1)
    assert not any("AUDIO_SHORT" in note for note in batched.warnings)
    with pytest.raises(ConfigError, match=r"VOICE_NAME.*tts\.voice"):
        tts("hi", voice=reference)
    with pytest.raises(DataError, match=r"VOICE_UNKNOWN.*me"):
        tts.load_voice("you")


def test_what_is_no_voice_or_text_is_refused(model, reference, monkeypatch):
    """Unwrapped, as users have it: in the tests each call has its types checked first."""
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    for owner, name in ((TTS, "request"), (Voices, "make")):
        monkeypatch.setattr(owner, name, inspect.unwrap(getattr(owner, name)))
    call, make, batch = (inspect.unwrap(one) for one in (TTS.__call__, TTS.voice, TTS.batch))
    with pytest.raises(ConfigError, match=r"VOICE_TYPE.*ndarray.*tts\.voice"):
        call(tts, "hi", voice=np.zeros(9))
    with pytest.raises(TextError, match=r"TEXT_TYPE.*int"):
        call(tts, 5, voice=voice)
    with pytest.raises(AudioError, match=r"AUDIO_TYPE.*ndarray.*soundfile"):
        make(tts, np.zeros(9))
    with pytest.raises(TextError, match="TEXT_TYPE"):
        batch(tts, "hello", voice=voice)
    bad, good = batch(tts, [5, "hi"], voice=voice, steps=1)
    assert bad.code == "TEXT_TYPE" and good.text == "hi"


def test_a_result_is_shown_in_a_line_and_saved_under_a_name_that_says_its_format(model, reference, tmp_path):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    out = tts("hi", voice=voice, seed=1, steps=1)
    assert repr(out).startswith("SpokenText(text='hi', seconds=") and "seed=1" in repr(out)
    assert all(len(repr(shown)) < 200 and "array" not in repr(shown) for shown in (out, out.chunks[0], voice))
    for name, format in (("py.doc", None), ("py.wav", "flac")):
        with pytest.raises(ConfigError, match="OUTPUT_FORMAT"):
            out.save(tmp_path / name, format)
    assert not list(tmp_path.iterdir())
    for _ in range(2):  # overwritten
        out.save(tmp_path / "py.wav")
    out.save(tmp_path / "py.flac")
    first, other = (soundfile.read(tmp_path / name, dtype="float32")[0] for name in ("py.wav", "py.flac"))
    np.testing.assert_allclose(first, np.clip(out.audio, -1, 1), atol=2 / 32767)
    assert np.array_equal(first, other)


def test_a_file_says_that_its_speech_is_made_and_by_what(model, reference, tmp_path):
    tts = TTS.from_pretrained(model, device="cpu")
    voice = tts.voice(reference, "la la la")
    out = tts("hi", voice=voice, seed=7, steps=1)
    out.save(tmp_path / "py.wav")
    told = Provenance.from_tags(read_tags(tmp_path / "py.wav"))
    assert told == out.provenance
    assert (told.seed, told.model, told.model_sha256) == (7, "toy", model_sha256(model))
    assert told.reference_sha256 == voice.facts["sha256"] and told.device == out.device == "cpu"
    assert told.watermark == tts.watermarker.name


class Loud:
    """A mark that anybody sees."""

    name, sample_rate, threshold = "loud", 16_000, 0.5

    def mark(self, samples, sample_rate):
        return samples + np.float32(2)

    def detect(self, samples, sample_rate):
        return float(samples.min() > 1)


def test_whatever_leaves_is_marked_once(model, reference):
    plain = TTS.from_pretrained(model, watermark="none")
    assert plain.watermarker is None
    bare = plain("Good morning. " * 12, voice=plain.voice(reference, "la la la"), seed=3, steps=1)
    assert bare.provenance.watermark == "none" and len(bare.chunks) > 1
    tts = TTS(plain.synthesizer, folder=model, watermarker=Loud())
    voice = tts.voice(reference, "la la la")
    how = {"voice": voice, "seed": 3, "steps": 1}
    whole = tts("Good morning. " * 12, **how)
    np.testing.assert_allclose(whole.audio, bare.audio + 2, atol=1e-6)
    streamed = np.concatenate([chunk.audio for chunk in tts.stream("Good morning. " * 12, **how)])
    assert np.array_equal(streamed, whole.audio)
    assert all(one.audio.min() > 1 for one in tts.batch(["hi", "ho"], **how))
    assert whole.provenance.watermark == "loud" and whole.timings["finish"] >= 0
    assert tts.synthesizer.decode(voice.codes).max() < 2  # the voice itself is none of what is given out


def test_requests_are_checked_when_they_are_asked_for_and_spoken_together(model, reference):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    requests = [tts.request(text, voice=voice, seed=seed, steps=2) for seed, text in enumerate(("hi", "ho"))]
    error = TextError("nothing")
    first, kept, second = tts.batch_requests([requests[0], error, requests[1]])
    assert kept is error and [one.provenance.seed for one in (first, second)] == [0, 1]
    alone = tts("ho", voice=voice, seed=1, steps=2)
    np.testing.assert_allclose(second.audio, alone.audio, atol=AUDIO_TOLERANCE)
    assert [chunk.text for chunk in tts.stream_request(requests[0])] == ["hi"]
    with pytest.raises(ConfigError, match="sampler"):
        tts.request("hi", voice=voice, steps=2, sampler=SamplerConfig())


def test_a_recording_in_memory_makes_the_same_voice(model, reference):
    tts = TTS.from_pretrained(model)
    loaded = load_audio(reference, sample_rate=tts.sample_rate)
    ours, theirs = tts.voice(loaded, "la la la"), tts.voice(reference, "la la la")
    assert torch.equal(ours.codes, theirs.codes) and ours.facts == theirs.facts
    with pytest.raises(ConfigError, match="8000 Hz"):
        tts.voice(load_audio(reference, sample_rate=8000), "la la la")


def test_a_stream_tells_its_drawn_seed(model, reference):
    tts = TTS.from_pretrained(model)
    voice = tts.voice(reference, "la la la")
    (chunk,) = tts.stream("hi", voice=voice, steps=1)
    heard = []
    again = tts("hi", voice=voice, steps=1, seed=chunk.seed, on_chunk=heard.append)
    assert np.array_equal(again.audio, chunk.audio) and heard[0].seed == again.chunks[0].seed == chunk.seed


def test_hygiene_can_be_left_out(model, reference):
    tts = TTS.from_pretrained(model)
    clean, raw = (tts.voice(reference, "la", reference=how) for how in (None, ReferenceConfig.off()))
    assert not np.array_equal(clean.codes, raw.codes) and len(raw.codes) == 30


def test_a_stream_and_a_batch_say_what_a_call_says(model, reference):
    tts = TTS.from_pretrained(model)
    tts.long_text = LongTextConfig(longest_characters=30)
    voice, text = tts.voice(reference, "la la la"), "One two three four five. Six seven eight nine ten."
    whole = tts(text, voice=voice, seed=4, steps=1)
    assert len(whole.chunks) == 2 and whole.chunks[1].text == "Six seven eight nine ten."
    streamed = [chunk.audio for chunk in tts.stream(text, voice=voice, seed=4, steps=1)]
    assert np.array_equal(np.concatenate(streamed), whole.audio)
    for out in tts.batch([text, "hello"], voice=[voice, voice], seed=4, steps=1):
        alone = tts(out.text, voice=voice, seed=out.seed, steps=1)
        assert np.array_equal(alone.codes, out.codes)
        assert np.abs(alone.audio - out.audio).max() <= AUDIO_TOLERANCE
    one, bad = tts.batch([text, " "], voice=voice, seed=4, steps=1, length=LengthConfig(speed=2.0))
    assert one.seconds < 0.7 * whole.seconds and isinstance(bad, TextError) and bad.code == "TEXT_EMPTY"
    (one,) = tts.batch([text], voice=voice, seed=4, steps=1, duration_seconds=9.0, long_text=LongTextConfig())
    assert len(one.chunks) == 1 and abs(one.seconds - 9.0) <= 0.1
    with pytest.raises(ResGenError, match="STOPPED"):
        tts.batch([text], voice=voice, steps=1, is_cancelled=lambda: True)
    with pytest.raises(ConfigError, match="1 voices for 2 texts"):
        tts.batch(["a", "b"], voice=[voice])


def test_candidates_are_judged_and_the_report_is_in_the_result(model, reference, monkeypatch):
    tts = TTS.from_pretrained(model)
    monkeypatch.setattr(tts, "_listeners", lambda asr: (Ears("something else"), Ears()))
    voice = tts.voice(reference, "la la la")
    out = tts("hello", voice=voice, seed=4, steps=1, check=SelfCheckConfig(candidates=2, retries=0))
    report = out.self_check
    assert report.candidates[0].seed == 4 and len(report.candidates) == 2
    assert any(note.startswith("SELF_CHECK_FAILED") for note in out.warnings)
    assert out.seed == report.best.seed
    assert np.array_equal(tts("hello", voice=voice, seed=report.best.seed, steps=1).audio, out.audio)
    assert tts("hello", voice=voice, seed=4, steps=1, candidates=1).self_check is None
    retried = tts("hello", voice=voice, seed=4, steps=1, candidates=2).self_check  # its default: one more round
    assert len(retried.candidates) == 4 and retried.candidates[:2] == report.candidates
    with pytest.raises(ConfigError, match="not both"):
        tts("hello", voice=voice, seed=4, candidates=2, check=SelfCheckConfig())


def test_lengths_are_given_in_one_way(model, reference):
    tts = TTS.from_pretrained(model)
    with pytest.raises(ConfigError, match="not both"):
        tts("hi", voice=tts.voice(reference, "la"), seed=0, speed=2.0, length=LengthConfig())


def test_a_damaged_or_foreign_folder_is_refused(model, experiment, tmp_path):
    with pytest.raises(CheckpointError, match="MODEL_MISSING"):
        TTS.from_pretrained(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    weights = broken / "vocoder" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError):
        TTS.from_pretrained(broken)
    swapped = tmp_path / "swapped"
    shutil.copytree(model, swapped)
    shutil.rmtree(swapped / "vocoder")
    shutil.copytree(swapped / "mel_vae", swapped / "vocoder")
    with pytest.raises(CheckpointError, match="holds a mel_vae, not a vocoder"):
        TTS.from_pretrained(swapped)


def test_importing_the_package_loads_neither_torch_nor_audio():
    code = "import sys, resgen_tts; sys.exit(any(m in sys.modules for m in ('torch', 'librosa', 'soundfile', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
