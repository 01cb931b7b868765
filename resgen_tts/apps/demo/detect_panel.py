"""The part of the page that says whether a recording was spoken by this software."""

import asyncio
import html
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from resgen_tts.apps.demo.backend import Backend
from resgen_tts.apps.demo.handling import check_page, events, ready
from resgen_tts.apps.demo.session import Session
from resgen_tts.apps.demo.status import Status, listed
from resgen_tts.apps.demo.ui import gr
from resgen_tts.apps.provenance.detect import Detection, detect_file
from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.apps.provenance.watermark import load_watermarker
from resgen_tts.common.errors import ResGenError


def build_detect_panel(backend: Backend, state: Any) -> None:
    """Lay the panel out and connect it."""
    gr.Markdown(
        "Was this spoken here? A watermark in the sound is looked for, and what the file says of itself is read. A "
        "watermark that is not found proves nothing: it may have been lost, or was never there."
    )
    recording = gr.Audio(
        sources=["upload"], type="filepath", label="Recording", editable=False, buttons=[], elem_id="suspect"
    )
    status = gr.HTML(elem_id="detect-status", padding=False)
    found = gr.HTML(elem_id="detected", padding=False)

    async def look(session: Session, path: str | None) -> AsyncIterator[dict]:
        check_page(session)
        if path is None:
            yield {status: "", found: ""}
            return
        async for waiting in ready(backend):
            yield {status: waiting.html("detect-status")}
        yield {status: Status("running", "Looking.").html("detect-status"), found: ""}
        own = session.files.take(path, session.browser, session.page)
        heard, facts, warnings = await asyncio.to_thread(_examine, backend, own)
        yield {
            status: Status("done" if heard.is_marked else "ready", _words(heard)).html("detect-status"),
            found: _facts_html(facts) + listed("About the recording", warnings),
        }

    def failed(error: ResGenError) -> dict:
        return {status: Status.failed(error).html("detect-status"), found: ""}

    recording.change(
        **events(look, failed, [state, recording], [status, found]), concurrency_limit=2, concurrency_id="detect"
    )


def _examine(backend: Backend, path: Path) -> tuple[Detection, Provenance | None, tuple[str, ...]]:
    """What is heard of the page's own watermark, or of the usual one where the page sets none; see `detect_file`."""
    marker = backend.tts.watermarker or load_watermarker("perth")
    assert marker is not None
    return detect_file(path, marker)


def _words(heard: Detection) -> str:
    """What was heard, in a sentence."""
    score = f"score {heard.score:.2f}, it counts from {heard.threshold:g}"
    if not heard.is_marked:
        return f"The watermark {heard.watermark} was not found ({score})."
    return f"The watermark {heard.watermark} is in {heard.marked_seconds:.1f} of {heard.seconds:.1f} s ({score})."


def _facts_html(facts: Provenance | None) -> str:
    if facts is None:
        return '<p class="hint" id="detected-tags" data-tags="none">The file does not say that it was made here.</p>'
    rows = "".join(
        f"<dt>{html.escape(name.replace('_', ' '))}</dt><dd>{html.escape('yes' if value is True else str(value))}</dd>"
        for name, value in facts.to_json().items()
    )
    return f'<dl class="facts" id="detected-tags" data-tags="ours">{rows}</dl>'
