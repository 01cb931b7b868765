"""A tiny random system: the same alone and in company, in one piece and in chunks, again and again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from resgen_tts.common.errors import ConfigError, ResGenError, TextError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.cross_generator import CrossGenerator, CrossGeneratorConfig
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.long_text import LongTextConfig
from resgen_tts.speech.narration import SpeechRequest
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.synthesizer import AUDIO_TOLERANCE, Synthesizer
from resgen_tts.speech.total_length import TotalLengthConfig
from tests.speech.tiny_system import tiny_parts, tiny_synthesizer, wobble

TWO = SamplerConfig(steps=2)
TEXTS = [
    "Yes.",
    "Good morning, how are you?",
    "one two three four five six seven eight nine ten",
    "A longer sentence stands here, so that the others are padded.",
    "Wait!",
    "This is the sixth of them.",
    "the seventh",
    "And the last one, which has a comma.",
]


@pytest.fixture(scope="module")
def system() -> Synthesizer:
    return tiny_synthesizer()


@pytest.fixture(scope="module")
def voices(system):
    """Two voices of different length."""
    off = ReferenceConfig.off()
    return [system.voice(wobble(seconds), text, reference=off) for seconds, text in ((3.0, "la la la"), (1.7, "oh no"))]


def speak(system, text, voice, seed=0, **more):
    return system(text, voice, seed=seed, sampler=more.pop("sampler", TWO), **more)


def test_same_call_twice_gives_the_same_bytes_and_another_seed_others(system, voices):
    first, again, other = (speak(system, TEXTS[1], voices[0], seed) for seed in (1, 1, 2))
    assert first.audio.tobytes() == again.audio.tobytes() and first.seed == 1
    assert not np.array_equal(first.codes, other.codes)


def test_audio_mel_codes_and_durations_of_one_chunk_belong_together(system, voices):
    out = speak(system, TEXTS[1], voices[0], keep_trace=True)
    assert len(out.chunks) == 1 and out.audio.dtype == np.float32
    assert len(out.audio) == len(out.codes) * 1600 == len(out.mel) * 200
    assert int(out.durations.sum()) == len(out.mel) and len(out.durations) == len(out.phonemes)
    assert "".join(out.phonemes[1:-1]) == out.normalized_text.lower()
    assert (out.trace[0] == -1).all() and np.array_equal(out.trace[-1], out.codes)


def test_alone_or_in_a_batch_of_eight_it_is_the_same(system, voices):
    length = LengthConfig(spread=0.7)
    requests = [
        SpeechRequest(text=text, voice=voices[place % 2], seed=place, sampler=TWO, length=length, keep_trace=True)
        for place, text in enumerate(TEXTS)
    ]
    together = system.speak_batch(requests)
    for request, out in zip(requests, together, strict=True):
        alone = speak(system, request.text, request.voice, request.seed, length=length, keep_trace=True)
        assert np.array_equal(alone.codes, out.codes) and np.array_equal(alone.durations, out.durations)
        assert np.abs(alone.audio - out.audio).max() <= AUDIO_TOLERANCE
        assert len(alone.trace) == len(out.trace)
        assert all(np.array_equal(*pair) for pair in zip(alone.trace, out.trace, strict=True))
        assert out.text == request.text and out.seed == request.seed


def test_what_is_wrong_with_one_request_stops_no_other(system, voices):
    """Of the wrong ones, one is seen before anything is spoken, one in the midst of a batch."""
    full = system.voice(wobble(39.0), "la la la", reference=ReferenceConfig.off())
    wrong = {1: ("...", voices[0], {}), 2: (TEXTS[3], full, {}), 4: ("hi", voices[0], {"duration_seconds": 1e5})}
    requests = [
        SpeechRequest(text=text, voice=voice, seed=place, sampler=TWO, length=LengthConfig(**length))
        for place, (text, voice, length) in enumerate(wrong.get(place, (TEXTS[1], voices[0], {})) for place in range(5))
    ]
    results = system.speak_batch(requests, batch_size=4)
    assert [getattr(one, "code", None) for one in results] == [
        None, "TEXT_NO_SPEECH", "TEXT_TOO_LONG", None, "DURATION_TOO_LONG"
    ]  # fmt: skip
    assert all(results[place].__traceback__ is None for place in wrong)  # its frames would hold tensors
    for place in (0, 3):
        assert np.array_equal(speak(system, TEXTS[1], voices[0], place).codes, results[place].codes)


def test_a_cancelled_batch_ends_whole(system, voices):
    requests = [SpeechRequest(text=TEXTS[0], voice=voices[0], seed=0, sampler=TWO)] * 2
    with pytest.raises(ResGenError, match="STOPPED"):
        system.speak_batch(requests, is_cancelled=lambda: True)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_nothing_is_refused(system, voices, size):
    with pytest.raises(ConfigError, match="batch_size"):
        system.speak_batch([SpeechRequest(text="hi", voice=voices[0], seed=0)], batch_size=size)


@pytest.mark.parametrize("text", [TEXTS[1], " ".join(TEXTS * 2)])
def test_an_endless_duration_is_refused_before_anything_is_laid_out(system, voices, text, monkeypatch):
    monkeypatch.setattr("resgen_tts.speech.synthesizer.lay_out", lambda *_, **__: pytest.fail("it was laid out"))
    for seconds in (1e5, 1e300):
        with pytest.raises(ConfigError, match=r"DURATION_TOO_LONG.*--duration"):
            speak(system, text, voices[0], length=LengthConfig(duration_seconds=seconds))


def test_a_chunk_whose_share_has_no_room_is_refused_before_any_is_spoken(system, voices, monkeypatch):
    """Five sixths of the words are in the first of two chunks: it would get more of 70 s than the 37 that it has."""
    monkeypatch.setattr(type(system), "_speak", lambda *_: pytest.fail("something was spoken"))
    text = TEXTS[3] + " " + TEXTS[2] + ".\n\n" + "Wait for all of them!"
    with pytest.raises(ConfigError, match="DURATION_TOO_LONG"):
        speak(system, text, replace(voices[0], rate=1.0), length=LengthConfig(duration_seconds=70.0))


@pytest.mark.parametrize(("seconds", "times"), [(1.5, 1), (7.0, 0), (30.0, 1)])
@pytest.mark.parametrize("longest", [60, 200])
def test_an_unnatural_speed_is_told_once(system, voices, seconds, times, longest):
    """The same text as one chunk and as three, at some 7 s of its own."""
    config, length = LongTextConfig(longest_characters=longest), LengthConfig(duration_seconds=seconds)
    text = " ".join((TEXTS[1], TEXTS[5], TEXTS[7]))
    voice = replace(voices[0], rate=1.0)
    out = speak(system, text, voice, length=length, long_text=config, sampler=SamplerConfig(steps=1))
    assert (len(out.chunks) > 1) == (longest == 60)
    assert sum(note.startswith("DURATION_RATE") for note in out.warnings) == times, out.warnings


def test_a_word_without_end_is_spoken_in_pieces_and_told(system, voices):
    out = speak(system, "Go on, " + "a" * 450, voices[0], sampler=SamplerConfig(steps=1))
    assert "".join(chunk.text for chunk in out.chunks).replace(" ", "") == "Goon," + "a" * 450
    assert [note for note in out.warnings if note.startswith("TEXT_WORD_CUT")] and len(out.chunks) > 2
    assert not [note for note in speak(system, TEXTS[1], voices[0]).warnings if note.startswith("TEXT_WORD_CUT")]


def test_audio_beyond_full_scale_is_told(system, voices, monkeypatch):
    decode = type(system)._decode

    def louder(self, codes):
        mels, waves = decode(self, codes)
        return mels, [4 * wave / np.abs(wave).max() for wave in waves]

    plain = speak(system, TEXTS[1], voices[0])
    monkeypatch.setattr(type(system), "_decode", louder)
    loud = speak(system, TEXTS[1], voices[0])
    assert not any(note.startswith("AUDIO_CLIPPED") for note in plain.warnings) or np.abs(plain.audio).max() > 1
    (note,) = [note for note in loud.warnings if note.startswith("AUDIO_CLIPPED")]
    assert f"{int((np.abs(loud.audio) > 1 + 0.5 / 32767).sum())} of {len(loud.audio)} samples" in note


def test_a_batch_serves_requests_with_different_samplers(system, voices):
    samplers = [TWO, SamplerConfig(steps=1)]
    requests = [
        SpeechRequest(text=text, voice=voices[0], seed=5, sampler=sampler)
        for text, sampler in zip(TEXTS, samplers, strict=False)
    ]
    for request, out in zip(requests, system.speak_batch(requests), strict=True):
        assert np.array_equal(speak(system, request.text, voices[0], 5, sampler=request.sampler).codes, out.codes)


@pytest.mark.parametrize("text", [TEXTS[1], " ".join(TEXTS * 2)])
@pytest.mark.parametrize("seconds", [3.0, 20.0])
def test_a_duration_is_met_to_a_code_frame(system, voices, text, seconds, monkeypatch):
    def as_planned(wave, sample_rate, durations, hop_samples):  # what random weights say in their silences is loud
        return int(durations[0]) * hop_samples, len(wave) - int(durations[-1]) * hop_samples

    monkeypatch.setattr("resgen_tts.speech.narration.spoken_span", as_planned)
    asked = LengthConfig(duration_seconds=seconds)
    out = speak(system, text, voices[0], length=asked, long_text=LongTextConfig(longest_characters=60))
    told = [warning for warning in out.warnings if warning.startswith("DURATION_CHANGED")]
    if len(text) > 100 and seconds == 3.0:  # five hundred bytes, one frame each, are longer
        assert told and out.seconds > 3.0
    else:
        assert abs(out.seconds - seconds) <= 0.1 and not told


def test_speed_changes_the_length(system, voices):
    plain, fast = (speak(system, TEXTS[2], voices[0], length=LengthConfig(speed=s)).seconds for s in (1.0, 2.0))
    assert 0.4 < fast / plain < 0.65


def test_a_cancelled_call_stops_before_the_next_step(system, voices):
    asked = []

    def is_cancelled():
        asked.append(None)
        return len(asked) == 3

    with pytest.raises(ResGenError, match="STOPPED"):
        speak(system, TEXTS[3], voices[0], sampler=SamplerConfig(steps=16), is_cancelled=is_cancelled)
    assert len(asked) == 3


def test_a_reference_without_room_for_a_text_is_refused(system):
    voice = system.voice(wobble(39.0), "la la la", reference=ReferenceConfig.off())
    with pytest.raises(TextError, match="TEXT_TOO_LONG"):
        speak(system, TEXTS[3], voice)


def test_a_generator_of_other_codes_is_refused(system):
    _, _, generator, _ = tiny_parts()
    generator.generator.codebooks.add_(1.0)
    with pytest.raises(ConfigError, match="another tokenizer"):
        Synthesizer(system.tokenizer, generator, system.units)


def test_a_voice_that_is_slow_speaks_slowly(system, voices):
    slow = replace(voices[0], rate=2 * voices[0].rate)
    plain, slower = (speak(system, TEXTS[2], voice).durations[1:-1].sum() for voice in (voices[0], slow))
    assert slower == pytest.approx(2 * plain, rel=0.02)


def test_resynthesis_is_as_long_as_what_went_in(system):
    wave = wobble(1.23)
    assert len(system.resynthesize(wave)) == len(wave)


def test_numbers_are_those_of_torch_without_gradients(system, voices):
    assert not any(parameter.requires_grad for parameter in system.parameters())
    assert not torch.is_grad_enabled() or speak(system, "hi", voices[0]).codes.dtype == np.int64


@pytest.mark.parametrize("context", ["reference", "previous"])
def test_a_generator_without_durations_speaks_too(system, context):
    """Its chunks have no planned silences: they are joined by what is heard."""
    mel_vae, _, aligned, _ = tiny_parts()
    small = replace(aligned.config.generator, condition_dim=0, cross_dim=16)
    config = CrossGeneratorConfig(
        aligner=aligned.config.aligner, generator=small, length=TotalLengthConfig(width=16, layers=1, heads=2)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cross = CrossGenerator(config, mel_vae.code_space)
    attending = Synthesizer(system.tokenizer, cross, system.units)
    voice = attending.voice(wobble(1.7), "oh no", reference=ReferenceConfig.off())
    text = LongTextConfig(longest_characters=40, context=context)
    out = speak(attending, " ".join(TEXTS[:3]), voice, long_text=text, length=LengthConfig(duration_seconds=9.0))
    assert out.durations is None and len(out.chunks) > 1 and "".join(out.phonemes).count("<sil>") == 2 * len(out.chunks)
    assert abs(out.seconds - 9.0) <= 0.1 or any(note.startswith("DURATION_CHANGED") for note in out.warnings)
