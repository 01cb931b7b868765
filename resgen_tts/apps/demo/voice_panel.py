"""The part of the page that makes a voice: a recording, what is said in it, consent, a name."""

import asyncio
import html
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from resgen_tts.apps.demo.backend import Backend
from resgen_tts.apps.demo.handling import check_page, events, ready
from resgen_tts.apps.demo.recording import Verdict, cut, judge
from resgen_tts.apps.demo.session import Session
from resgen_tts.apps.demo.status import Status, listed
from resgen_tts.apps.demo.ui import gr
from resgen_tts.apps.speaking.transcription import transcribe_apart
from resgen_tts.apps.speaking.tts import TTS
from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.speech.audio.limited import load_audio_limited
from resgen_tts.speech.audio.load import LoadedAudio
from resgen_tts.speech.voice_facts import check_name

CONSENT = "I am this speaker, or have the speaker's permission to have this voice imitated."
DONE_WITH = (
    "What is done with the recording: it lies in a temporary file of the machine that runs this page, is read there, "
    "and turned into codes that are kept in memory for this page alone. It is not logged or sent anywhere. The file "
    "and the codes are deleted when you close the page."
)
HEARD, MENDED, WRITTEN = "heard", "mended", "written"


@dataclass(frozen=True)
class VoicePanel:
    """What other parts of the page need of this one."""

    choice: Any
    status: Any
    privacy: Any


def marking(tts: TTS) -> str:
    """How speech of a model can be told from a person's."""
    watermark = "no watermark" if tts.watermarker is None else f"an inaudible watermark ({tts.watermarker.name})"
    return (
        f"Speech made here carries {watermark}, and its file says that it was made by a machine, with the model, the "
        "seed and a hash of the reference."
    )


def privacy_html(tts: TTS | None) -> str:
    """What is done with a recording, and how speech made of it can be told; that only once the model is there."""
    words = DONE_WITH if tts is None else f"{DONE_WITH} {marking(tts)}"
    return f'<p class="hint" id="privacy-line">{html.escape(words)}</p>'


def build_voice_panel(backend: Backend, state: Any) -> VoicePanel:
    """Lay the panel out and connect it.

    Args:
        state: the page's :class:`Session`.
    """
    choice = gr.Dropdown([], label="Voice", info="One of the model's, or your own.", elem_id="voice")
    with gr.Accordion("Clone a voice from a recording", open=True, elem_id="clone"):
        recording = gr.Audio(
            sources=["upload", "microphone"],
            type="filepath",
            label="Recording of 3 to 12 s",
            buttons=[],
            elem_id="reference",
        )
        with gr.Row():
            start = gr.Number(label="From second", value=0, minimum=0, step=0.1, min_width=110, elem_id="trim-start")
            end = gr.Number(
                label="To second, 0 = its end", value=0, minimum=0, step=0.1, min_width=110, elem_id="trim-end"
            )
        level = gr.HTML(elem_id="level", padding=False)
        transcript = gr.Textbox(
            label="What is said in it", lines=2, placeholder="Written down for you as soon as there is a recording",
            max_length=2000, elem_id="transcript",
        )  # fmt: skip
        source = gr.HTML(elem_id="transcript-source", padding=False)
        listen = gr.Button("Write it down again", size="sm", elem_id="listen")
        consent = gr.Checkbox(label=CONSENT, value=False, elem_id="consent")
        privacy = gr.HTML(privacy_html(None), elem_id="privacy", padding=False)
        with gr.Row():
            name = gr.Textbox(label="Name", value="me", max_length=64, min_width=110, elem_id="voice-name")
            make = gr.Button("Make the voice", variant="primary", min_width=160, elem_id="make-voice")
    status = gr.HTML(elem_id="voice-status", padding=False)
    notes = gr.HTML(elem_id="voice-notes", padding=False)

    async def read(session: Session, path: str | None, written: str) -> AsyncIterator[dict]:
        check_page(session)
        if path is None:
            session.recording = None
            yield {level: "", source: "", status: "", notes: "", start: 0, end: 0}
            return
        is_first = session.recording is None
        session.recording = None
        async for waiting in ready(backend):
            yield {status: waiting.html("voice-status")}
        yield {status: Status("running", "Reading the recording.").html("voice-status"), notes: ""}
        own = session.files.take(path, session.browser, session.page)
        loaded = await asyncio.to_thread(load_audio_limited, own, sample_rate=backend.tts.sample_rate)
        session.check_open()
        session.recording = loaded
        yield {
            level: verdict_html(judge(loaded.samples, loaded.sample_rate)),
            start: 0,
            end: round(loaded.seconds, 2),
            notes: listed("About the recording", loaded.warnings),
        }
        if is_first and written.strip():  # somebody wrote it down before
            yield {source: source_html(WRITTEN), status: Status("ready", "The recording is read.").html("voice-status")}
            return
        async for update in hear(session, 0.0, loaded.seconds):
            yield update

    async def hear(session: Session, first: float | int | None, last: float | int | None) -> AsyncIterator[dict]:
        check_page(session)
        part = _part(session, first, last)
        told = Status("running", "Writing down what is said.")
        yield {level: verdict_html(judge(part.samples, part.sample_rate)), status: told.html("voice-status")}
        has_left = threading.Event()
        try:
            words, heard_by = await asyncio.to_thread(
                transcribe_apart, part.samples, part.sample_rate, backend.asr,
                lambda: has_left.is_set() or session.is_ended,
            )  # fmt: skip
        finally:
            has_left.set()  # whoever waits no longer needs no answer
        session.check_open()
        yield {
            transcript: words,
            source: source_html(HEARD, heard_by),
            status: Status("ready", "Read what was written down, and mend it.").html("voice-status"),
        }

    async def make_voice(
        session: Session, called: str, words: str, agreed: bool, first: float | int | None, last: float | int | None
    ) -> AsyncIterator[dict]:
        check_page(session)
        called = check_name(called.strip())
        if not agreed:
            raise ConfigError(
                "nobody has said that this voice may be imitated.", code="CONSENT_MISSING", hint="Tick the box."
            )
        if backend.is_common(called):
            raise ConfigError(
                f"everybody has a voice {called} here.", code="VOICE_NAME", hint="Give yours another name."
            )
        if not words.strip():
            raise ConfigError(
                "nothing is written down of what is said.", code="VOICE_TEXT_MISSING", hint="Write it into the box."
            )
        part, tts = _part(session, first, last), backend.tts
        yield {status: Status("running", "Making the voice.").html("voice-status")}
        work = backend.queue.run(lambda: tts.voice(part, words, name=called))
        voice = await asyncio.wrap_future(work)
        session.add_voice(called, voice)
        lasts = float(voice.facts["seconds"])
        yield {
            choice: gr.update(choices=backend.choices(session), value=called),
            level: verdict_html(judge(part.samples, part.sample_rate)),
            notes: listed("About the voice", voice.warnings),
            consent: False,  # for this recording alone
            status: Status("done", f"The voice {called} is made of {lasts:.1f} s. It is chosen.").html("voice-status"),
        }

    def failed(error: ResGenError) -> dict:
        return {status: Status.failed(error).html("voice-status")}

    outputs = [choice, level, transcript, source, start, end, notes, consent, status]
    recording.change(
        **events(read, failed, [state, recording, transcript], outputs), concurrency_limit=2, concurrency_id="listen"
    )
    listen.click(**events(hear, failed, [state, start, end], outputs), concurrency_limit=2, concurrency_id="listen")
    make.click(**events(make_voice, failed, [state, name, transcript, consent, start, end], outputs))
    transcript.input(
        lambda shown: source_html(MENDED if _was_heard(shown) else WRITTEN), source, source,
        queue=False, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    return VoicePanel(choice, status, privacy)


def _part(session: Session, first: float | int | None, last: float | int | None) -> LoadedAudio:
    """The recording between the two numbers; 0 for the last is its end."""
    return cut(_recording(session), float(first or 0), float(last) if last else None)


def _recording(session: Session) -> LoadedAudio:
    """The page's recording.

    Raises:
        ConfigError: REFERENCE_MISSING.
    """
    if session.recording is None:
        raise ConfigError(
            "there is no recording.", code="REFERENCE_MISSING", hint="Upload one, or record it with the microphone."
        )
    return session.recording


def verdict_html(verdict: Verdict) -> str:
    """A verdict as a line, for the eye and for tests."""
    figures = (
        f"{verdict.seconds:.2f} s, speech at {verdict.level_db:.0f} dB, peak {verdict.peak_db:.0f} dB, "
        f"noise {verdict.gap_db:.0f} dB below"
    )
    state = "done" if verdict.is_good else "cancelled"
    return (
        f'<div class="status {state}" id="level-line" data-good="{str(verdict.is_good).lower()}"><b>Level</b> '
        f'{html.escape(verdict.words)}<div class="hint">{html.escape(figures)}</div></div>'
    )


def source_html(kind: str, heard_by: str = "") -> str:
    """Where the words come from."""
    words = {
        HEARD: f"Written down by a machine ({heard_by}), not by a person: read it and mend it.",
        MENDED: "Written down by a machine, mended by you.",
        WRITTEN: "Written by you.",
    }[kind]
    return f'<p class="hint" id="transcript-source-line" data-source="{kind}">{html.escape(words)}</p>'


def _was_heard(shown: str | None) -> bool:
    return any(f'data-source="{kind}"' in (shown or "") for kind in (HEARD, MENDED))
