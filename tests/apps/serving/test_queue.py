"""Requests of many for one model: who goes first, what they share, what a cancel frees."""

import asyncio
import threading
import time

import numpy as np
import pytest

from resgen_tts import TTS
from resgen_tts.apps.serving.queue import QueueFullError, SpeechQueue
from resgen_tts.common.errors import ConfigError, ResGenError, TextError
from resgen_tts.speech.long_text import LongTextConfig
from resgen_tts.speech.synthesizer import AUDIO_TOLERANCE

LONG = "Good morning. " * 20


@pytest.fixture(scope="module")
def tts(voiced):
    return TTS.from_pretrained(voiced, device="cpu")


@pytest.fixture
def queue(tts):
    queue = SpeechQueue(tts, max_waiting=4)
    yield queue
    queue.close()


def ask(tts, text="hello there", seed=0, **more):
    return tts.request(text, seed=seed, **{"steps": 2, "long_text": LongTextConfig(batch_size=2)} | more)


class Gate:
    """Holds calls of the generator, the first one or a later one, until it is opened; keeps what each was asked for.

    Attributes:
        reached: a call is held.
    """

    def __init__(self, tts, monkeypatch, first_held=1):
        self.opened, self.reached, self.calls = threading.Event(), threading.Event(), []
        speak = tts.synthesizer._speak

        def held(jobs, sampler, is_cancelled):
            self.calls.append([job.text for job in jobs])
            if len(self.calls) >= first_held:
                self.reached.set()
                assert self.opened.wait(30)
            return speak(jobs, sampler, is_cancelled)

        monkeypatch.setattr(tts.synthesizer, "_speak", held)


def test_a_request_says_what_a_call_says(tts, queue):
    spoken = queue.submit(ask(tts, LONG)).speech()
    alone = tts(LONG, seed=0, steps=2)
    assert len(spoken.chunks) > 1
    np.testing.assert_allclose(spoken.audio, alone.audio, atol=AUDIO_TOLERANCE)
    assert spoken.provenance == alone.provenance and spoken.provenance.seed == 0


def test_requests_that_wait_together_share_a_call(tts, queue, monkeypatch):
    gate = Gate(tts, monkeypatch)
    first = queue.submit(ask(tts, "one"))
    assert gate.reached.wait(30)  # it is being spoken; the next ones meet behind it
    others = [queue.submit(ask(tts, text, seed=seed)) for seed, text in enumerate(("two", "three", "four"))]
    assert [ticket.state for ticket in (first, *others)] == ["running", "waiting", "waiting", "waiting"]
    assert [ticket.place for ticket in others] == [0, 1, 2]
    gate.opened.set()
    told = [ticket.speech().normalized_text for ticket in (first, *others)]
    assert told == ["one", "two", "three", "four"]
    assert gate.calls == [["one"], ["two", "three", "four"]]


def test_requests_with_another_sampler_take_turns(tts, queue, monkeypatch):
    gate = Gate(tts, monkeypatch)
    first = queue.submit(ask(tts, "one"))
    assert gate.reached.wait(30)
    others = [queue.submit(ask(tts, "two", steps=3)), queue.submit(ask(tts, "three"))]
    gate.opened.set()
    for ticket in (first, *others):
        ticket.speech()
    assert gate.calls == [["one"], ["two"], ["three"]]


def test_a_request_of_quite_another_length_takes_turns_rather_than_be_padded_to(tts, queue, monkeypatch):
    gate, long = Gate(tts, monkeypatch), "a sentence that takes about three seconds to say"
    first = queue.submit(ask(tts, "one"))
    assert gate.reached.wait(30)
    others = [queue.submit(ask(tts, text)) for text in ("two", long, "three")]
    gate.opened.set()
    for ticket in (first, *others):
        ticket.speech()
    assert gate.calls == [["one"], ["two", "three"], [long]]


def test_a_first_chunk_does_not_wait_for_a_long_text(tts, queue, monkeypatch):
    gate = Gate(tts, monkeypatch)
    long = queue.submit(ask(tts, LONG))
    assert gate.reached.wait(30)
    short = queue.submit(ask(tts, "hello"))
    gate.opened.set()
    short.speech(), long.speech()
    assert gate.calls[1] == ["hello"]  # by itself: no later chunk of the long text makes it wait
    assert len(gate.calls) > 2


def test_who_comes_in_the_middle_of_a_long_text_waits_for_one_chunk_of_it(tts, queue, monkeypatch):
    gate = Gate(tts, monkeypatch, first_held=3)
    long = queue.submit(ask(tts, LONG * 3))
    assert gate.reached.wait(30)
    short = queue.submit(ask(tts, "hello"))
    gate.opened.set()
    short.speech(), long.speech()
    assert gate.calls[3] == ["hello"] and all(len(call) == 1 for call in gate.calls) and len(gate.calls) > 4


def test_a_fault_of_the_thread_leaves_nobody_waiting(tts, monkeypatch):
    queue = SpeechQueue(tts)
    monkeypatch.setattr(queue, "_step", lambda: 1 / 0)
    with pytest.raises(ResGenError, match="INTERNAL: ZeroDivisionError"):
        queue.submit(ask(tts)).speech()
    queue._thread.join(30)
    assert not queue.is_alive
    with pytest.raises(QueueFullError, match="QUEUE_CLOSED"):
        queue.submit(ask(tts))


def test_a_full_queue_refuses_at_once_and_says_when(tts, queue, monkeypatch):
    gate = Gate(tts, monkeypatch)
    running = queue.submit(ask(tts, "one"))
    assert gate.reached.wait(30)
    waiting = [queue.submit(ask(tts, "two")) for _ in range(4)]
    started = time.perf_counter()
    with pytest.raises(QueueFullError, match="QUEUE_FULL: 4 requests are waiting") as caught:
        queue.submit(ask(tts, "three"))
    assert time.perf_counter() - started < 0.1 and 1 <= caught.value.retry_after_seconds <= 60
    gate.opened.set()
    assert all(ticket.speech().seconds > 0 for ticket in (running, *waiting))  # whoever was taken is answered


def test_a_cancel_frees_the_model_within_a_step(tts, queue):
    request, steps = ask(tts, LONG, steps=40), []
    generate = tts.synthesizer.generator.generator.generate

    def counted(*args):
        *rest, recorder = args

        def on_step(state):
            steps.append(state.step)
            if len(steps) == 3:
                ticket.cancel()
            recorder(state)

        return generate(*rest, on_step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tts.synthesizer.generator.generator, "generate", counted)
        ticket = queue.submit(request)
        with pytest.raises(ResGenError, match="STOPPED"):
            ticket.speech()
    assert len(steps) == 3 and ticket.state == "cancelled"
    assert queue.submit(ask(tts, "hello")).speech().seconds > 0  # and goes on


def test_a_cancelled_request_that_waits_is_never_begun(tts, queue, monkeypatch):
    gate = Gate(tts, monkeypatch)
    running = queue.submit(ask(tts, "one"))
    assert gate.reached.wait(30)
    waiting = queue.submit(ask(tts, "two"))
    waiting.cancel()
    gate.opened.set()
    with pytest.raises(ResGenError, match="STOPPED"):
        list(waiting)
    assert running.speech().seconds > 0 and gate.calls == [["one"]] and waiting.begun is None


def test_a_neighbour_of_a_cancelled_request_is_answered(tts, queue, monkeypatch):
    gate = Gate(tts, monkeypatch)
    first = queue.submit(ask(tts, "one"))
    assert gate.reached.wait(30)
    leaving, staying = queue.submit(ask(tts, "two")), queue.submit(ask(tts, "three"))
    leaving.cancel()
    gate.opened.set()
    assert first.speech().seconds > 0 and staying.speech().seconds > 0


def test_a_text_that_cannot_be_spoken_fails_alone(tts, queue):
    bad, good = queue.submit(ask(tts, "!?")), queue.submit(ask(tts, "hello"))
    with pytest.raises(TextError, match="TEXT_"):
        bad.speech()
    assert bad.state == "failed" and good.speech().seconds > 0 and good.state == "done"


def test_a_bug_fails_its_request_and_not_the_queue(tts, queue, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tts.synthesizer, "_speak", lambda *args: 1 / 0)
        with pytest.raises(ResGenError, match="INTERNAL: ZeroDivisionError"):
            queue.submit(ask(tts)).speech()
    assert queue.submit(ask(tts)).speech().seconds > 0


def test_chunks_reach_an_event_loop_as_they_are_spoken(tts, queue):
    async def hear():
        return [chunk.number async for chunk in queue.submit(ask(tts, LONG)).chunks()]

    numbers = asyncio.run(hear())
    assert numbers == list(range(len(numbers))) and len(numbers) > 1


def test_other_work_runs_in_its_turn_and_its_errors_come_back(tts, queue):
    assert queue.run(lambda: threading.current_thread().name).result(30) == "speech"
    with pytest.raises(ZeroDivisionError):
        queue.run(lambda: 1 / 0).result(30)


def test_closing_ends_what_runs_and_what_waits(tts, monkeypatch):
    queue = SpeechQueue(tts)
    gate = Gate(tts, monkeypatch)
    tickets = [queue.submit(ask(tts, text)) for text in ("one", "two")]
    assert gate.reached.wait(30)
    threading.Timer(0.1, gate.opened.set).start()
    queue.close()
    assert [ticket.state for ticket in tickets] == ["cancelled", "cancelled"]
    with pytest.raises(QueueFullError, match="QUEUE_CLOSED"):
        queue.submit(ask(tts))


def test_nonsense_is_refused(tts):
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        SpeechQueue(tts, batch_size=0)
