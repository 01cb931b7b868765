"""The part of the page for the secondary model: a class, a seed, pictures."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from PIL import Image

from resgen_tts.apps.demo.backend import Backend
from resgen_tts.apps.demo.handling import check_page, events, read_seed, ready
from resgen_tts.apps.demo.pictures import MOST_PICTURES, PictureModel
from resgen_tts.apps.demo.session import Session
from resgen_tts.apps.demo.status import Status
from resgen_tts.apps.demo.ui import gr
from resgen_tts.apps.speaking.asked import draw_seed
from resgen_tts.common.errors import ResGenError


def build_picture_panel(backend: Backend, model: PictureModel, state: Any) -> None:
    """Lay the panel out and connect it."""
    gr.Markdown("Pictures by the same method: residual codes of a small image tokenizer, revealed step by step.")
    with gr.Row():
        label = gr.Dropdown(
            list(range(model.num_classes)) or [0], value=0, label="Class", visible=model.num_classes > 0,
            min_width=110, elem_id="picture-class",
        )  # fmt: skip
        count = gr.Slider(1, MOST_PICTURES, 8, step=1, label="Pictures", min_width=150, elem_id="picture-count")
        steps = gr.Slider(1, 64, 16, step=1, label="Steps", min_width=150, elem_id="picture-steps")
        guidance = gr.Slider(0, 8, 1, step=0.1, label="Guidance", min_width=150, elem_id="picture-guidance")
        seed = gr.Textbox(label="Seed", placeholder="drawn", max_length=19, min_width=120, elem_id="picture-seed")
    make = gr.Button("Draw", variant="primary", elem_id="picture-draw")
    status = gr.HTML(elem_id="picture-status", padding=False)
    gallery = gr.Gallery(
        label="Pictures", columns=[4, 8], format="png", interactive=False, buttons=["download", "fullscreen"],
        elem_id="pictures",
    )  # fmt: skip

    async def run(session: Session, label: int, typed: str, *numbers: float | int) -> AsyncIterator[dict]:
        check_page(session)
        count, steps, guidance = numbers
        async for waiting in ready(backend):
            yield {status: waiting.html("picture-status")}
        seed = read_seed(typed)
        number = draw_seed() if seed is None else seed
        yield {status: Status("running", "Drawing.").html("picture-status")}
        work = backend.queue.run(lambda: model.draw(int(label), int(count), int(steps), float(guidance), number))
        drawn = await asyncio.wrap_future(work)
        session.check_open()
        paths = await asyncio.to_thread(_saved, session, drawn, number)
        yield {
            gallery: [str(path) for path in paths],
            status: Status("done", f"{len(drawn)} pictures, seed {number}.").html("picture-status"),
        }

    def failed(error: ResGenError) -> dict:
        return {status: Status.failed(error).html("picture-status")}

    make.click(**events(run, failed, [state, label, seed, count, steps, guidance], [gallery, status]))


def _saved(session: Session, drawn: list, seed: int) -> list:
    """The pictures as files of the page, in place of the last ones."""
    for old in session.folder.glob("picture-*.png"):
        old.unlink()
    paths = [session.folder / f"picture-{seed}-{number}.png" for number in range(len(drawn))]
    for path, pixels in zip(paths, drawn, strict=True):
        Image.fromarray(pixels).save(path)
    return paths
