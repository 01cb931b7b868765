"""The page as a whole, and the application that a server runs."""

import asyncio
import contextlib
import hmac
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from resgen_tts import __version__
from resgen_tts.apps.demo.backend import Backend
from resgen_tts.apps.demo.detect_panel import build_detect_panel
from resgen_tts.apps.demo.files import MOST_UPLOAD_BYTES, OwnedFiles
from resgen_tts.apps.demo.guard import Guard, browser_of
from resgen_tts.apps.demo.handling import ready
from resgen_tts.apps.demo.picture_panel import build_picture_panel
from resgen_tts.apps.demo.pictures import PictureModel
from resgen_tts.apps.demo.session import Session
from resgen_tts.apps.demo.speak_panel import build_speak_panel
from resgen_tts.apps.demo.status import Status
from resgen_tts.apps.demo.ui import CSS, gr, theme
from resgen_tts.apps.demo.voice_panel import build_voice_panel, marking, privacy_html
from resgen_tts.apps.speaking.tts import TTS
from resgen_tts.common.errors import ConfigError

TITLE = "resgen-tts"
SWEEP_SECONDS, KEPT_SECONDS = 600.0, 3600.0  # uploads that no page holds, as after a crash of a browser
GRADIO_SECONDS = 24 * 3600  # Gradio deletes what is older, and does not know what a page still holds
ABOUT = """
Zero-shot text to speech: codes of a few residual levels are revealed step by step (resgen_tts {version}).

* Take only voices of people who agreed to it.{marked}
* Recordings, texts and what was spoken are held in memory and in temporary files of this page, which no other browser
  can read, and are deleted when the page is closed.
* Everything can be reached with the Tab key; the recording can be cut with the two numbers below it.
"""
LIMIT_OF_MARKS = "That tells where it comes from; it does not protect anybody."


def build_page(backend: Backend, files: OwnedFiles, pictures: PictureModel | None = None) -> Any:
    """The page: a ``gradio.Blocks``.

    Args:
        pictures: the secondary model; without one there is no tab for it.
    """
    sessions: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(GRADIO_SECONDS, GRADIO_SECONDS)) as page:
        state = gr.State(None, delete_callback=lambda session: session is not None and session.end())
        gr.Markdown(f"# {TITLE}\nA voice from a few seconds of speech, and any text in it.", elem_id="title")
        model_line = gr.HTML(
            Status("loading", "The page is being loaded.").html("model-status"), elem_id="model-status", padding=False
        )
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Speak", id="speak"), gr.Row():
                with gr.Column(scale=5, min_width=300):
                    voices = build_voice_panel(backend, state)
                with gr.Column(scale=6, min_width=300):
                    speech = build_speak_panel(backend, state, voices.choice)
            with gr.Tab("Check a recording", id="check"):
                build_detect_panel(backend, state)
            if pictures is not None:
                with gr.Tab("Pictures", id="pictures-tab"):
                    build_picture_panel(backend, pictures, state)
            with gr.Tab("About", id="about"):
                about = gr.Markdown(about_text(None), elem_id="about-text")

        async def opened(request: gr.Request) -> AsyncIterator[dict]:
            browser, before = browser_of(request.headers.get("cookie", "")), sessions.get(request.session_hash)
            if before is not None and not before.is_ended:
                taken = ConfigError("this page is open already.", code="SESSION_ENDED", hint="Load it again.")
                yield {model_line: Status.failed(taken).html("model-status")}
                return
            session = Session(request.session_hash, browser, files)
            sessions[session.page] = session
            yield {state: session}
            async for waiting in ready(backend):
                yield {model_line: waiting.html("model-status")}
            if backend.error is not None:
                yield {model_line: Status.failed(backend.error).html("model-status")}
                return
            choices, tts = backend.choices(session), backend.tts
            yield {voices.privacy: privacy_html(tts), about: about_text(tts)}
            mark = "not watermarked" if tts.watermarker is None else f"watermark {tts.watermarker.name}"
            told = Status("ready", f"Model {tts.model_name or '(unnamed)'} on {tts.device}, {mark}.")
            yield {
                model_line: told.html("model-status"),
                voices.choice: gr.update(choices=choices, value=choices[0][1] if choices else None),
                **speech.manual.defaults(backend),
            }

        async def stay(request: gr.Request) -> None:
            # The library's client loses an event that begins while its stream of answers is being closed, which it is
            # whenever nothing is under way. Something always is.
            while (session := sessions.get(request.session_hash)) is None or not session.is_ended:
                await asyncio.sleep(1)

        def closed(request: gr.Request) -> None:
            session = sessions.get(request.session_hash)
            if session is not None and session.browser == browser_of(request.headers.get("cookie", "")):
                del sessions[session.page]
                session.end()

        page.load(
            opened, None, [state, model_line, about, voices.choice, voices.privacy, *speech.manual.all()],
            show_progress="hidden", api_visibility="private", concurrency_limit=None,
        )  # fmt: skip
        page.load(stay, None, None, show_progress="hidden", api_visibility="private", concurrency_limit=None)
        page.unload(closed)
    page.queue(max_size=64, default_concurrency_limit=8)
    return page


def about_text(tts: TTS | None) -> str:
    """The words about the page; how its speech can be told only once the model is there."""
    return ABOUT.format(version=__version__, marked="" if tts is None else f" {marking(tts)} {LIMIT_OF_MARKS}")


async def _sweep(files: OwnedFiles) -> None:
    """Delete what nobody holds, now and then."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await asyncio.to_thread(files.sweep, KEPT_SECONDS)


def build_app(
    backend: Backend, folder: Path, *, is_local: bool = True, api_key: str = "", pictures: PictureModel | None = None
) -> Any:
    """The application: an ASGI callable.

    Args:
        folder: for the page's files, which are deleted when it ends.
        is_local: only this machine is meant to ask.
        api_key: what must be typed to open the page; "" = nothing.
    """
    import fastapi

    files = OwnedFiles(folder)

    @contextlib.asynccontextmanager
    async def living(_app: Any) -> AsyncIterator[None]:
        backend.start()
        sweeping = asyncio.create_task(_sweep(files))
        try:
            yield
        finally:
            sweeping.cancel()
            backend.close()
            files.close()

    app = fastapi.FastAPI(lifespan=living, docs_url=None, redoc_url=None, openapi_url=None)

    async def mount() -> None:
        gr.mount_gradio_app(
            app, build_page(backend, files, pictures), path="/", theme=theme(), css=CSS, footer_links=[],
            run_history=False, max_file_size=MOST_UPLOAD_BYTES, ssr_mode=False, pwa=False, mcp_server=False,
            show_error=False, enable_monitoring=False, allowed_paths=[],
            app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
            auth=None if not api_key else lambda _user, key: hmac.compare_digest(key.encode(), api_key.encode()),
            auth_message="Any name, and the key of this demo as the password.",
        )  # fmt: skip

    asyncio.run(mount())  # outside of a loop, Gradio makes some that nobody closes
    return Guard(app, files, is_local=is_local)
