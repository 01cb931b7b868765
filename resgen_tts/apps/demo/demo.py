"""``demo``: the page in the browser, served from this machine."""

import argparse
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resgen_tts.apps.demo.workplace import workplace
from resgen_tts.apps.listening import address_of, listening
from resgen_tts.apps.options import Parser, add_model, add_watermark
from resgen_tts.apps.serving.config import KEY_VARIABLE, ServerConfig, key_of
from resgen_tts.common.errors import ConfigError

if TYPE_CHECKING:
    from resgen_tts.apps.demo.backend import Backend

DEFAULT_PORT = 7860
CLOSING_SECONDS = 3.0  # for what is under way when the demo is asked to stop


def demo(arguments: Sequence[str]) -> None:
    """Open a page for cloning voices and speaking texts in the browser; runs until it is interrupted.

    Raises:
        ConfigError: USAGE; HOST_UNPROTECTED, API_KEY_INVALID, HOST_UNKNOWN or PORT_IN_USE.
        CheckpointError, DeviceError, WatermarkError: the model or its watermark cannot be loaded.
        MissingExtraError: Gradio is not installed.
    """
    options = parser().parse_args(arguments)
    config = ServerConfig(
        host=options.host, port=options.port, api_key=key_of(options.api_key),
        is_insecure=options.insecure, voices=options.voices, asr=options.asr, max_waiting=options.max_waiting,
        batch_size=options.batch_size, closing_seconds=CLOSING_SECONDS,
    )  # fmt: skip
    if (options.image_model is None) != (options.image_vae is None):
        raise ConfigError("--image-model and --image-vae belong together.", code="USAGE")
    if options.voices is not None and not options.voices.is_dir():
        raise ConfigError(f"--voices names {options.voices}, which is no folder.", code="USAGE")
    with listening(config.host, config.port) as listener, workplace() as root:
        _serve(options, config, listener, root)


def parser() -> argparse.ArgumentParser:
    """All options of the verb."""
    known = Parser(prog="resgen-tts demo", description=demo.__doc__.splitlines()[0])
    add_model(known)
    add_watermark(known)
    known.add_argument("--host", default="127.0.0.1", help="address to listen at; default: %(default)s, this machine")
    known.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="default: %(default)s; 0 takes a free one, which is told"
    )
    known.add_argument(
        "--api-key",
        help=f"what must be typed to open the page; better in the variable {KEY_VARIABLE}, which nobody else sees",
    )  # fmt: skip
    known.add_argument("--insecure", action="store_true", help="other machines may open the page without a key")
    known.add_argument("--voices", type=Path, help="folder of saved voices for everybody on the page")
    known.add_argument(
        "--asr", default="auto", help="what writes recordings down: auto, pocketsphinx, or a Whisper's folder"
    )
    known.add_argument("--image-model", type=Path, help="a trained image generator, for a tab with pictures")
    known.add_argument("--image-vae", type=Path, help="the image VAE that it was trained on")
    known.add_argument(
        "--max-waiting", type=int, default=8, help="requests that may wait for their turn; default: %(default)s"
    )
    known.add_argument(
        "--batch-size", type=int, default=8, help="chunks that are spoken together; default: %(default)s"
    )
    return known


def _serve(options: argparse.Namespace, config: ServerConfig, listener: socket.socket, root: Path) -> None:
    """Run the page until it is interrupted, or until the model turns out not to load."""
    from resgen_tts.apps.weights.hub import resolve_model

    say = sys.stderr.write
    # Before Gradio, which is told that there is no network.
    folder = resolve_model(options.model, options.revision, options.sha256, say=say)
    os.environ["GRADIO_TEMP_DIR"] = str(root / "files")  # read when Gradio is imported, and when the page is built
    from resgen_tts.apps.demo.ui import load_gradio

    load_gradio()
    from resgen_tts.apps.demo.backend import Backend
    from resgen_tts.apps.demo.page import build_app
    from resgen_tts.apps.demo.pictures import PictureModel
    from resgen_tts.apps.serving.serve import run_server
    from resgen_tts.apps.speaking.tts import TTS

    pictures = None if options.image_model is None else PictureModel.load(options.image_model, options.image_vae)
    backend = Backend(
        lambda: TTS.from_pretrained(
            folder, options.lexicon, device=options.device, watermark=options.watermark, say=say
        ),
        voices=config.voices, asr=config.asr, max_waiting=config.max_waiting, batch_size=config.batch_size,
    )  # fmt: skip
    app = build_app(backend, root / "files", is_local=config.is_local, api_key=config.api_key, pictures=pictures)
    stop = threading.Event()
    threading.Thread(target=_tell, args=(backend, listener, stop), name="tell", daemon=True).start()
    run_server(app, config, listener, stop)
    if backend.error is not None:
        raise backend.error


def _tell(backend: "Backend", listener: socket.socket, stop: threading.Event) -> None:
    """Say where the page is, and when the model is ready; end the server where that cannot be loaded."""
    told = f"demo: {address_of(listener)} (the model is being loaded; Ctrl-C ends it)"
    print(told, file=sys.stderr, flush=True)
    backend.wait()
    if backend.error is not None:
        stop.set()  # the error is told behind that
        return
    tts = backend.tts
    mark = "none; what is spoken is not marked as made" if tts.watermarker is None else tts.watermarker.name
    print(f"demo: ready, model {tts.model_name} on {tts.device}, watermark {mark}", file=sys.stderr, flush=True)
