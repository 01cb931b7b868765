"""The part of the page that speaks: a text, how it shall be spoken, Generate and Stop, and what came of it."""

import asyncio
import html
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resgen_tts.apps.demo.backend import Backend
from resgen_tts.apps.demo.handling import check_page, events, own, read_seed, ready
from resgen_tts.apps.demo.session import Session, Take
from resgen_tts.apps.demo.speaking import MOST_CHARACTERS, Manner, draw, label, speak
from resgen_tts.apps.demo.status import Status, listed
from resgen_tts.apps.demo.ui import gr
from resgen_tts.apps.speaking.asked import draw_seed
from resgen_tts.common.errors import ResGenError
from resgen_tts.core.schedule import SCHEDULES

SEVERAL = "Several voices: write their names in brackets, as in [anna] Hello. [bob] Hi."


@dataclass(frozen=True)
class ManualControls:
    """The advanced controls, in the order of the fields of :class:`Manner` that they set."""

    steps: Any
    guidance_start: Any
    guidance_end: Any
    temperature: Any
    choice_temperature: Any
    top_p: Any
    schedule: Any
    speed: Any
    duration_seconds: Any
    draws_steps: Any

    def all(self) -> list[Any]:
        """The controls."""
        return list(vars(self).values())

    def defaults(self, backend: Backend) -> dict[Any, Any]:
        """What the model would do, shown as soon as it is there."""
        sampler = backend.tts.sampler
        named = ("steps", "guidance_start", "guidance_end", "temperature", "choice_temperature", "top_p", "schedule")
        return {getattr(self, name): getattr(sampler, name) for name in named}


@dataclass(frozen=True)
class SpeakPanel:
    """What other parts of the page need of this one."""

    manual: ManualControls
    status: Any


def build_speak_panel(backend: Backend, state: Any, voice: Any) -> SpeakPanel:
    """Lay the panel out and connect it.

    Args:
        state: the page's :class:`Session`.
        voice: the control by which a voice is chosen.
    """
    text = gr.Textbox(
        label="Text", lines=4, max_lines=14, max_length=MOST_CHARACTERS, placeholder="What shall be said?",
        info=SEVERAL, elem_id="text",
    )  # fmt: skip
    count = gr.HTML(_count_html("", None), elem_id="count", padding=False)
    with gr.Row(elem_id="seed-row"):
        seed = gr.Textbox(
            label="Seed", placeholder="drawn", max_length=19, min_width=120, scale=2, elem_id="seed",
            html_attributes=gr.InputHTMLAttributes(autocorrect="off", spellcheck=False),
        )  # fmt: skip
        dice = gr.Button("Dice", size="md", min_width=80, elem_id="dice")
        again = gr.Button("Last seed", size="md", min_width=80, elem_id="reuse-seed")
    manual = _manual_controls()
    with gr.Row():
        generate = gr.Button("Generate", variant="primary", elem_id="generate")
        stop = gr.Button("Stop", variant="stop", elem_id="stop")  # never greyed out: it is pressed in a hurry
    status = gr.HTML(elem_id="status", padding=False)
    player = gr.Audio(label="Speech", type="filepath", interactive=False, buttons=["download"], elem_id="output")
    download = gr.DownloadButton("Download the WAV", interactive=False, elem_id="download")
    notes = gr.HTML(elem_id="notes", padding=False)
    with gr.Accordion("What was spoken, and how", open=True, elem_id="details"):
        spoken_form = gr.Textbox(label="As it was read", lines=2, interactive=False, elem_id="normalized")
        facts = gr.HTML(elem_id="facts", padding=False)
        mel = _picture("Mel spectrogram of the first chunk, with its sounds and words", "mel")
        unmasking = _picture("How the codes of the first chunk were revealed, step by step", "unmasking")
    history = gr.Radio([], label="The last ten", elem_id="history")

    def show(session: Session, take: Take) -> dict:
        return {
            player: str(take.wave),
            download: gr.update(value=str(take.wave), interactive=True),
            spoken_form: take.spoken,
            facts: _facts_html(take),
            notes: listed("Worth knowing", take.warnings),
            mel: _shown(take.mel),
            unmasking: _shown(take.unmasking),
            history: gr.update(
                choices=[(label(one), one.number) for one in reversed(session.takes)], value=take.number
            ),
        }

    async def run(session: Session, said: str, chosen: str | None, typed: str, *values: Any) -> AsyncIterator[dict]:
        check_page(session)
        async for waiting in ready(backend):
            yield {status: waiting.html("status")}
        manner = _manner(read_seed(typed), dict(zip(vars(manual), values, strict=True)))
        async with aclosing(speak(backend, session, said, chosen or "", manner)) as going_on:
            async for event in going_on:
                if isinstance(event, Status):
                    yield {status: event.html("status")}
                else:
                    session.undrawn = event
                    yield show(session, event.take)

    async def illustrate(session: Session) -> AsyncIterator[dict]:
        spoken, session.undrawn = session.undrawn, None
        if spoken is None or session.is_ended:
            return
        rates = backend.tts.synthesizer.rates
        drawn = await asyncio.to_thread(draw, spoken, session.folder, rates.sample_rate / rates.mel_hop_samples)
        check_page(session)
        take = session.illustrate(spoken.take.number, *drawn)
        if take is not None and take is session.takes[-1]:  # else another one is shown by now
            yield {mel: _shown(drawn[0]), unmasking: _shown(drawn[1])}

    def failed(error: ResGenError) -> dict:
        return {status: Status.failed(error).html("status")}

    def halt(session: Session | None) -> None:
        if session is not None:
            session.stop()

    def look(session: Session | None, said: str, chosen: str | None, speed: float | int) -> str:
        if session is None or not said.strip() or not backend.is_over:
            return _count_html(said, None)
        try:
            return _count_html(said, backend.estimate(session, said, chosen or "", float(speed))[1])
        except ResGenError as error:
            return _count_html(said, None, error)

    def recall(session: Session | None, number: int | None) -> dict:
        take = None if session is None or number is None else session.take(int(number))
        return {} if take is None else show(session, take)

    shown = [status, player, download, spoken_form, facts, notes, mel, unmasking, history]
    spoken = generate.click(
        **events(run, failed, [state, text, voice, seed, *manual.all()], shown), concurrency_limit=None
    )
    # An event of its own: the button does nothing while the one before is under way, and pictures take a second.
    spoken.then(**events(illustrate, lambda error: {}, [state], [mel, unmasking]), concurrency_limit=2)
    plain = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    stop.click(own(halt), state, None, **plain)
    dice.click(lambda: str(draw_seed()), None, seed, **plain)
    again.click(own(_last_seed), state, seed, **plain)
    history.input(own(recall), [state, history], shown[1:], **plain)
    for control in (text, voice, manual.speed):
        control.change(own(look), [state, text, voice, manual.speed], count, trigger_mode="always_last", **plain)
    return SpeakPanel(manual, status)


def _manual_controls() -> ManualControls:
    """Controls that nobody needs: the model brings good values for all of them."""
    narrow = {"min_width": 150}
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        with gr.Row():
            speed = gr.Slider(0.25, 4, 1, step=0.05, label="Speed", elem_id="speed", **narrow)
            duration = gr.Number(
                label="Seconds of the whole, 0 = by the speed", value=0, minimum=0, elem_id="duration", **narrow
            )
        with gr.Row():
            steps = gr.Slider(1, 64, 16, step=1, label="Steps", elem_id="steps", **narrow)
            schedule = gr.Dropdown(sorted(SCHEDULES), label="Schedule", elem_id="schedule", **narrow)
        with gr.Row():
            first = gr.Slider(0, 8, 1, step=0.1, label="Guidance, first step", elem_id="guidance-start", **narrow)
            last = gr.Slider(0, 8, 1, step=0.1, label="Guidance, last step", elem_id="guidance-end", **narrow)
        with gr.Row():
            warm = gr.Slider(0, 2, 1, step=0.05, label="Temperature", elem_id="temperature", **narrow)
            choice = gr.Slider(
                0, 2, 0.4, step=0.0125, label="Choice temperature", elem_id="choice-temperature", **narrow
            )
        with gr.Row():
            top_p = gr.Slider(0.05, 1, 0.9, step=0.05, label="Top-p", elem_id="top-p", **narrow)
        draws = gr.Checkbox(True, label="Draw how the codes are revealed", elem_id="draw-steps")
    return ManualControls(
        steps=steps, guidance_start=first, guidance_end=last, temperature=warm, choice_temperature=choice, top_p=top_p,
        schedule=schedule, speed=speed, duration_seconds=duration, draws_steps=draws,
    )  # fmt: skip


def _manner(seed: int | None, values: dict[str, Any]) -> Manner:
    """The controls' values; what is empty is as the model has it."""
    values["steps"] = None if values["steps"] is None else int(values["steps"])
    values["duration_seconds"] = values["duration_seconds"] or None  # 0: as long as it takes
    return Manner(seed=seed, **values)


def _last_seed(session: Session | None) -> str:
    """The seed of the last take; nothing where there is none."""
    return "" if session is None or session.last_seed is None else str(session.last_seed)


def _picture(label: str, name: str) -> Any:
    """A picture with its caption above it, away until there is one."""
    return gr.Image(
        label=label, type="filepath", interactive=False, visible=False, buttons=["fullscreen"], elem_id=name,
        elem_classes="captioned",
    )  # fmt: skip


def _shown(path: Path | None) -> dict:
    """The update that shows a picture, or takes it away."""
    return gr.update(value=None if path is None else str(path), visible=path is not None)


def _count_html(text: str, seconds: float | None, error: ResGenError | None = None) -> str:
    """Characters, and about how long they take; or what is in the way."""
    words = f"{len(text)} of {MOST_CHARACTERS} characters"
    if seconds is not None:
        words += f", about {seconds:.0f} s" if seconds >= 10 else f", about {seconds:.1f} s"
    told = "" if error is None else f" · <code>{html.escape(error.code)}</code> {html.escape(error.message)}"
    return f'<p class="hint" id="count-line" aria-live="polite">{html.escape(words)}{told}</p>'


def _facts_html(take: Take) -> str:
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in take.facts)
    return f'<dl class="facts">{rows}</dl>'
