"""What the page says about a recording, and how it is written down."""

import asyncio
import time
from types import SimpleNamespace

import numpy as np
import pytest

from resgen_tts.apps.demo import voice_panel
from resgen_tts.apps.demo.page import about_text, build_page
from resgen_tts.apps.demo.session import Session
from resgen_tts.apps.demo.voice_panel import privacy_html
from resgen_tts.apps.speaking.transcription import transcribe_apart
from resgen_tts.speech.audio.load import LoadedAudio
from tests.apps.demo.conftest import asking

OWNER = "a" * 32


def marked_by(tts, name):
    """The same system with a watermark of some name: the words ask for nothing else of it."""
    other = object.__new__(type(tts))
    other.__dict__.update(vars(tts) | {"watermarker": SimpleNamespace(name=name)})
    return other


def test_no_watermark_is_promised_where_there_is_none(tts):
    for words in (privacy_html(tts), about_text(tts)):
        assert "carries no watermark" in words and "inaudible" not in words
    for words in (privacy_html(marked_by(tts, "perth")), about_text(marked_by(tts, "perth"))):
        assert "an inaudible watermark (perth)" in words and "no watermark" not in words
    for words in (privacy_html(None), about_text(None)):  # nobody knows yet
        assert "watermark" not in words


def test_where_the_recording_lies_is_said(tts):
    words = privacy_html(tts)
    assert "a temporary file of the machine that runs this page" in words and "when you close the page" in words
    assert "not saved" not in words


def handler(page, name):
    """What runs at a control of the page."""
    (number,) = (block._id for block in page.blocks.values() if getattr(block, "elem_id", None) == name)
    (found,) = (fn.fn for fn in page.fns.values() if any(target == number for target, _ in fn.targets))
    return found


@pytest.fixture
def page(backend, files):
    async def built():
        return build_page(backend, files)

    return asyncio.run(built())  # outside of a loop, Gradio makes some that nobody closes


@pytest.fixture
def session(files):
    session = Session("page-one", OWNER, files)
    yield session
    session.end()


async def updates(page, name, browser, session, *values):
    return [update async for update in handler(page, name)(asking(browser), session, *values)]


def words_of(given):
    return " ".join(str(value) for update in given for value in update.values())


def test_the_page_goes_on_while_a_recording_is_written_down(page, session):
    """Pocketsphinx in this process held everybody's page for up to 14 s."""
    from resgen_tts import TTS

    pytest.importorskip("pocketsphinx", reason="the extra 'asr' is not installed; transcription is NOT tested")
    mini = TTS.from_pretrained("mini", device="cpu", watermark="none", say=lambda line: None)
    wave = mini.synthesizer.decode(mini.load_voice("lj").codes)[: 5 * mini.sample_rate]
    session.recording = LoadedAudio(wave, mini.sample_rate)

    async def measured():
        longest, hearing = 0.0, asyncio.ensure_future(updates(page, "listen", OWNER, session, 0.0, 0.0))
        while not hearing.done():
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - begun)
        return longest, await hearing

    longest, given = asyncio.run(measured())
    assert longest < 0.5
    assert 'data-source="heard"' in words_of(given) and "mend it" in words_of(given)


def test_whoever_leaves_ends_the_transcription(page, session, monkeypatch):
    """By closing the page, or by taking the event back."""
    told = []

    def asked(wave, rate, asr, is_cancelled):
        told.append(is_cancelled)
        deadline = time.monotonic() + 10
        while not is_cancelled():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return transcribe_apart(wave, rate, asr, is_cancelled)

    monkeypatch.setattr(voice_panel, "transcribe_apart", asked)
    session.recording = LoadedAudio(0.1 * np.ones(16_000, "float32"), 16_000)

    async def left():
        hearing = asyncio.ensure_future(updates(page, "listen", OWNER, session, 0.0, 0.0))
        while not told:
            await asyncio.sleep(0.01)
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        assert told.pop()() and not session.is_ended
        hearing = asyncio.ensure_future(updates(page, "listen", OWNER, session, 0.0, 0.0))
        while not told:
            await asyncio.sleep(0.01)
        session.end()
        return await hearing

    assert 'data-state="cancelled"' in words_of(asyncio.run(left()))


def test_another_browser_reads_stops_and_takes_nothing(page, session):
    """Even where it has come past the guard with the name of the page."""
    stranger, recording = "b" * 32, LoadedAudio(0.1 * np.ones(16_000, "float32"), 16_000)
    session.recording, session.last_seed = recording, 77
    with session.speaking():
        handler(page, "stop")(asking(stranger), session)
        assert not session.is_stopped
        handler(page, "stop")(asking(OWNER), session)
        assert session.is_stopped
    assert handler(page, "reuse-seed")(asking(stranger), session) == ""
    assert handler(page, "reuse-seed")(asking(OWNER), session) == "77"
    given = asyncio.run(updates(page, "generate", stranger, session, "hello", "zoe", "", *11 * [None]))
    assert "SESSION_ENDED" in words_of(given) and not session.takes
