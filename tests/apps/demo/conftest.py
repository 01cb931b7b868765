"""The page over an untrained system with two voices of its own."""

import contextlib
import os
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="package")
def tts(voiced):
    """It speaks at once, and nothing that is worth hearing."""
    from resgen_tts import TTS

    return TTS.from_pretrained(voiced, device="cpu", watermark="none", say=lambda line: None)


@pytest.fixture
def backend(tts):
    """That system behind its queue."""
    from resgen_tts.apps.demo.backend import Backend

    backend = Backend(lambda: tts, asr="pocketsphinx")
    backend.start()
    assert backend.wait(20.0)
    yield backend
    backend.close()


@pytest.fixture
def files(tmp_path):
    """An empty folder of the page."""
    from resgen_tts.apps.demo.files import OwnedFiles

    return OwnedFiles(tmp_path / "files")


@pytest.fixture
def session(files):
    """An open page."""
    from resgen_tts.apps.demo.session import Session

    session = Session("page-one", "browser-a", files)
    yield session
    session.end()


@pytest.fixture(scope="package")
def image_parts(tmp_path_factory):
    """Folders of a tokenizer, of one with other codebooks, and of a generator of the first one's codes: untrained."""
    import torch

    from resgen_tts.apps.weights.pretrained_image import load_image_vae
    from resgen_tts.common.config import to_plain
    from resgen_tts.engine.checkpoint import save_model
    from resgen_tts.image.generator import ImageGenerator
    from resgen_tts.models.catalog import build_generator
    from resgen_tts.models.resgen import ResGenConfig
    from resgen_tts.tokenizers.image_vae import ImageVAE, ImageVAEConfig
    from resgen_tts.tokenizers.quantizer_config import QuantizerConfig

    folder = tmp_path_factory.mktemp("exp")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        quantizer = QuantizerConfig(depth=3, codebook_size=16, dim=8)
        vae = ImageVAE(ImageVAEConfig(image_size=8, channels_in=1, widths=(8, 16), blocks=(1, 1), quantizer=quantizer))
        vae.quantizer.started.fill_(True)
        config = {"part": "image_vae", "model": to_plain(vae.config)}
        for name in ("vae", "other"):
            vae.quantizer.codebooks.normal_()
            save_model(folder / name, vae.state_dict(), config)
        space = load_image_vae(folder / "vae").code_space
        trunk = ResGenConfig(width=16, layers=1, heads=2, components=4, rank=None, num_classes=10, grid_width=4)
        codes_model = build_generator(trunk, space, torch.tensor([1.0, 0.5, 0.25]))
        model = ImageGenerator(codes_model, vae.grid)
    facts = {"scheme": "resgen", "codes": {"grid": list(vae.grid)}, "batches": {"conditional": True}}
    config = {"part": "image_generator", "model": to_plain(trunk), **facts}
    save_model(folder / "generator", model.state_dict(), config)
    return folder


def asking(browser):
    """A request of a browser, as a handler gets it."""
    from resgen_tts.apps.demo.guard import COOKIE
    from resgen_tts.apps.demo.ui import gr

    return gr.Request(headers={"cookie": f"{COOKIE}={browser}"})


@contextlib.contextmanager
def served(backend, folder, **more):
    """The page over a backend, served from a thread; its address."""
    from resgen_tts.apps.demo.page import build_app
    from resgen_tts.apps.serving.config import ServerConfig
    from resgen_tts.apps.serving.serve import run_server

    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        stop = threading.Event()
        with ThreadPoolExecutor(1) as elsewhere:  # playwright has a loop in this thread
            app = elsewhere.submit(build_app, backend, folder, **more).result()
        config = ServerConfig(closing_seconds=1.0)
        thread = threading.Thread(target=run_server, args=(app, config, listener, stop))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive(), "the page did not stop"


@pytest.fixture(scope="session")
def chromium():
    """The system's browser; tools/setup_browser.sh brings it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium here; bash tools/setup_browser.sh installs it")
    return path
