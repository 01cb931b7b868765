"""Chunks of a long text: what they hold, how they are joined, and that only a batch of them is ever alive."""

import weakref
from dataclasses import replace

import numpy as np
import pytest

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech import narration
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.long_text import LongTextConfig, chunk_lengths, share_duration, split_text
from resgen_tts.speech.narration import MadeChunk, SpeechRequest
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.synthesizer import AUDIO_TOLERANCE
from resgen_tts.speech.text.normalize import normalize
from tests.speech.tiny_system import tiny_synthesizer, wobble

ONE = SamplerConfig(steps=1)
SMALL = LongTextConfig(longest_characters=30, batch_size=3)
TEXT = "Dr. Who has 3 cats. They sleep all day, and at night they run.\n\nThe end came soon; nobody saw it. Good night!"


@pytest.fixture(scope="module")
def system():
    return tiny_synthesizer()


@pytest.fixture(scope="module")
def voice(system):
    return system.voice(wobble(1.7), "oh no", reference=ReferenceConfig.off())


def watch(system, monkeypatch) -> list:
    """The jobs and results of each call of the generator from now on."""
    calls, real = [], type(system)._speak

    def speak(self, jobs, *more):
        made = real(self, jobs, *more)
        calls.append((jobs, made))
        return made

    monkeypatch.setattr(type(system), "_speak", speak)
    return calls


def test_streamed_chunks_are_the_whole_result(system, voice):
    whole = system(TEXT, voice, seed=3, sampler=ONE, long_text=SMALL)
    streamed = list(system.stream(TEXT, voice, seed=3, sampler=ONE, long_text=SMALL))
    assert len(streamed) == len(whole.chunks) > 4
    assert np.concatenate([chunk.audio for chunk in streamed]).tobytes() == whole.audio.tobytes()
    for early, late in zip(streamed, whole.chunks, strict=True):
        assert early.audio.tobytes() == late.audio.tobytes() and np.array_equal(early.codes, late.codes)
        assert late.audio.base is whole.audio  # a view: nothing is held twice
        begin = round(late.begin_seconds * 16_000)
        assert np.array_equal(whole.audio[begin : begin + len(late.audio)], late.audio)
    assert int(whole.durations.sum()) == len(whole.mel) == 8 * len(whole.codes)


def test_chunks_say_the_text_once_and_know_where_it_stands(system, voice):
    chunks = list(system.stream(TEXT, voice, seed=3, sampler=ONE, long_text=SMALL))
    spoken = normalize(TEXT).text
    assert " ".join(chunk.text for chunk in chunks) == spoken
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert chunks[-1].boundary == "end" and "paragraph" in {chunk.boundary for chunk in chunks}
    assert chunks[0].start == 0 and chunks[-1].end == len(TEXT)
    paragraph = next(chunk for chunk in chunks if chunk.boundary == "paragraph")
    assert TEXT[: paragraph.end].endswith("run.")
    for chunk in chunks:  # every symbol of the chunk is there and has its time
        assert "".join(chunk.symbols[1:-1]) == chunk.text.lower()
        assert (chunk.durations > 0).all() and chunk.seconds > 0


def test_forty_times_one_word_are_forty_words(system, voice):
    out = system("word " * 40, voice, seed=0, sampler=ONE, long_text=LongTextConfig(longest_characters=60))
    symbols = "".join(symbol for symbol in out.phonemes if len(symbol) == 1)
    assert len(out.chunks) > 2 and "".join(symbols.split()) == "word" * 40
    spoken = [
        int(chunk.durations[1:-1].sum()) / len(chunk.text.split()) for chunk in out.chunks if len(chunk.text) > 30
    ]
    assert max(spoken) / min(spoken) < 1.1


@pytest.mark.parametrize("context", ["reference", "previous"])
def test_what_leads_a_chunk(system, voice, context, monkeypatch):
    calls = watch(system, monkeypatch)
    config = LongTextConfig(longest_characters=30, batch_size=3, context=context)
    list(system.stream(TEXT, voice, seed=1, sampler=ONE, long_text=config))
    seen = [pair for jobs, made in calls for pair in zip(jobs, made, strict=True)]
    for place, (job, _) in enumerate(seen):
        if context == "reference" or place == 0:
            assert job.voice is voice
            continue
        before_job, before = seen[place - 1]
        assert np.array_equal(job.voice.codes[: len(voice.codes)], voice.codes)
        assert np.array_equal(job.voice.codes[len(voice.codes) :], before.codes)  # of the one before, and it alone
        assert job.voice.encoded.symbols == voice.encoded.symbols + before.encoded.symbols
        assert int(job.voice.durations.sum()) == 8 * len(job.voice.codes)
        assert job.voice.text == f"{voice.text} {before_job.text}" and job.voice.rate == voice.rate


def test_context_that_does_not_fit_is_left_out_and_told(system):
    long_voice = system.voice(wobble(26.0), "la la la la la la la", reference=ReferenceConfig.off())
    config = LongTextConfig(longest_characters=30, context="previous")
    out = system(TEXT, long_voice, seed=0, sampler=ONE, long_text=config)
    assert sum(note.startswith("CONTEXT_SHORTENED") for note in out.warnings) == len(out.chunks) - 1


def test_long_texts_in_one_batch_are_those_alone(system, voice):
    """Two requests with several chunks each, one of them with context: chunks of both in one call of the generator."""
    configs = [SMALL, LongTextConfig(longest_characters=30, context="previous")]
    requests = [
        SpeechRequest(text=TEXT[:70], voice=voice, seed=seed, sampler=ONE, long_text=config)
        for seed, config in enumerate(configs)
    ]
    for request, out in zip(requests, system.speak_batch(requests, batch_size=4), strict=True):
        alone = system(request.text, voice, seed=request.seed, sampler=ONE, long_text=request.long_text)
        assert len(out.chunks) > 2 and np.array_equal(alone.codes, out.codes)
        assert np.abs(alone.audio - out.audio).max() <= AUDIO_TOLERANCE


def test_a_chunk_never_leaves_the_span(system):
    """A voice of 34 s leaves 5.5 s: a chunk that is predicted to last longer is capped, not refused halfway."""
    long_voice = system.voice(wobble(34.0), "la " * 60, reference=ReferenceConfig.off())
    out = system("word " * 40, replace(long_voice, rate=4.0), seed=0, sampler=ONE)
    longest = max(len(chunk.codes) for chunk in out.chunks) / 10
    assert longest <= 6.0 and any(note.startswith("DURATION_CAPPED: the text") for note in out.warnings)


def test_only_one_batch_of_chunks_is_alive(system, voice, monkeypatch):
    """A weak reference on every chunk that leaves the decoder: no more live than one batch, and the last as context."""
    alive, most = weakref.WeakSet(), []

    class Watched(MadeChunk):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            alive.add(self)

        __hash__ = object.__hash__

    monkeypatch.setattr("resgen_tts.speech.synthesizer.MadeChunk", Watched)
    for _ in system.stream("one two three four. " * 11, voice, seed=0, sampler=ONE, long_text=SMALL):
        most.append(len(alive))
    assert len(most) > 8 and max(most) <= SMALL.batch_size


def test_closing_the_stream_ends_the_work(system, voice, monkeypatch):
    calls = watch(system, monkeypatch)
    stream = system.stream(TEXT, voice, seed=1, sampler=ONE, long_text=SMALL)
    next(stream)
    assert [len(jobs) for jobs, _ in calls] == [1]  # nobody waits for what comes later
    next(stream)
    stream.close()
    assert [len(jobs) for jobs, _ in calls] == [1, 1]


def test_a_stream_comes_without_a_gap_where_work_takes_two_thirds_of_the_speech(system, voice, monkeypatch):
    """Batches of 1, 1, 1, 2, 3, ... of one second a chunk; each starts when the one before it is given out."""
    calls = watch(system, monkeypatch)
    config = replace(SMALL, batch_size=8)
    list(system.stream("one two three four. " * 30, voice, seed=0, sampler=ONE, long_text=config))
    sizes = [len(jobs) for jobs, _ in calls]
    assert sizes[:6] == [1, 1, 1, 2, 3, 4] and max(sizes) == 8
    heard, made = 0.0, 0
    for size in sizes:
        heard += 0 if not made else size * 2 / 3
        assert heard <= made  # what was given out lasts until this batch is there
        made += size


def test_on_chunk_may_stop_and_what_there_is_comes_back(system, voice):
    seen = []
    out = system(
        TEXT, voice, seed=1, sampler=ONE, long_text=SMALL, on_chunk=lambda chunk: seen.append(chunk) or len(seen) < 2
    )
    assert len(out.chunks) == len(seen) == 2
    assert f"SPEECH_STOPPED: 2 of {seen[0].num_chunks} chunks were spoken" in out.warnings
    assert np.array_equal(out.audio, np.concatenate([chunk.audio for chunk in seen]))


def test_a_short_first_chunk_is_spoken_alone(system, voice, monkeypatch):
    calls = watch(system, monkeypatch)
    text = "One sentence, with a comma, and with many more words than that comma leaves. " * 4
    config = LongTextConfig(first_characters=30, batch_size=4)
    chunks = list(system.stream(text, voice, seed=1, sampler=ONE, long_text=config))
    assert chunks[0].text == "One sentence, with a comma," and len(calls[0][0]) == 1
    assert " ".join(chunk.text for chunk in chunks) == normalize(text).text
    assert text[: chunks[0].end] == "One sentence, with a comma,"


def test_a_first_chunk_without_a_pause_to_end_at_stays_long():
    text = normalize("one sentence that has no pause for more than thirty characters. " * 6)
    plain, early = (
        split_text(text, LongTextConfig(first_characters=first), slowness=1.0, room_seconds=20.0)
        for first in (None, 30)
    )
    assert plain == early


def test_slow_speech_and_long_references_make_shorter_chunks():
    text = normalize("some words and some more words, and " * 40 + "the end.")
    config = LongTextConfig()

    def longest(**more):
        return max(len(c.text) for c in split_text(text, config, **{"slowness": 1.0, "room_seconds": 30.0} | more))

    assert 150 < longest() <= 220
    assert longest(slowness=2.0) <= 110 and longest(room_seconds=4.0) <= 80


def test_end_silences_hold_half_of_each_pause():
    length = LengthConfig(opening_seconds=0.1, closing_seconds=0.25)
    first, middle, last = chunk_lengths([0.2, 0.6], 0.02, length)
    assert (first.opening_seconds, last.closing_seconds) == (0.1, 0.25)
    assert first.closing_seconds == middle.opening_seconds == pytest.approx(0.16)
    assert middle.closing_seconds == last.opening_seconds == pytest.approx(0.36)


@pytest.mark.parametrize("duration", [4.0, 10.0, 33.3])
def test_a_shared_duration_adds_up_without_growing_errors(duration):
    pauses, natural = [0.2, 0.4, 0.2], [1.03, 3.33, 2.22, 0.51]
    lengths = chunk_lengths(pauses, 0.02, LengthConfig())
    shared, stretched = share_duration(lengths, pauses, natural, duration, 0.02, 10.0)
    speech = [own.duration_seconds - own.opening_seconds - own.closing_seconds for own in shared]
    total = sum(speech) + sum(stretched) + shared[0].opening_seconds + shared[-1].closing_seconds
    assert abs(total - duration) <= 0.05 + 1e-6  # half a code frame
    assert all(not own.ends_give for own in shared)
    assert all(0.5 <= new / old <= 2 for new, old in zip(stretched, pauses, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"context": "both"}, {"longest_characters": 5}, {"first_characters": 3}, {"batch_size": 0},
        {"longest_seconds": 0.5}, {"sentence_pause_seconds": -0.1}, {"cross_fade_seconds": 0.5},
    ],
)  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        LongTextConfig(**wrong)


def test_the_span_is_that_of_training():
    assert narration.LONGEST_SECONDS == 40.0
