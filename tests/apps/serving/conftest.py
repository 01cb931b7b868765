"""A real server on a free port of this machine, over the toy model, and clients that talk to it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from resgen_tts import TTS
from resgen_tts.apps.serving.app import create_app
from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.apps.serving.serve import listening, run_server
from resgen_tts.apps.serving.service import Room, Service


@dataclass
class Served:
    """A running server."""

    url: str
    service: Service
    key: str = ""

    @property
    def room(self) -> Room:
        return self.service.ready()

    def client(self, **more) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(base_url=self.url, timeout=60, headers=headers, **more)


@contextlib.contextmanager
def served(config: ServerConfig, load: Callable[[], TTS], *, waits: bool = True) -> Iterator[Served]:
    """Serve from a thread; stopped and joined at the end.

    Args:
        waits: until the model is loaded.
    """
    app, stop = create_app(config, load), threading.Event()
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=run_server, args=(app, config, listener, stop))
        thread.start()
        try:
            server = Served(f"http://127.0.0.1:{port}", app.state.service, config.api_key)
            with server.client() as client:
                while waits and client.get("/health").json()["status"] == "loading":
                    pass
            yield server
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive(), "the server did not stop"


def until(condition, seconds=20.0):
    """Wait for something to become true; the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it never came"
        time.sleep(0.005)
    return time.monotonic() - begun


class Process:
    """``resgen-tts serve`` as a user starts it."""

    def __init__(self, *arguments, **environment):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "resgen_tts.apps.cli", "serve", "--port", "0", *map(str, arguments)],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment,
        )  # fmt: skip
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def wait_for(self, pattern):
        for line in self._process.stderr:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError("".join(self.lines))

    def main_thread_seconds(self):
        """Processor time of the thread that answers; the one that speaks is another."""
        stat = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, number=signal.SIGTERM):
        """Exit code, and what was still said."""
        self._process.send_signal(number)
        return self.join()

    def join(self):
        out, rest = self._process.communicate(timeout=60)
        return self._process.returncode, out, "".join(self.lines) + rest


@pytest.fixture(scope="package")
def toy(voiced):
    """The toy model with two voices, loaded."""
    return TTS.from_pretrained(voiced, watermark="none", device="cpu")


@pytest.fixture(scope="package")
def server(toy, tmp_path_factory):
    """One server that most tests share; its folder of stored voices is empty at first."""
    folder = tmp_path_factory.mktemp("stored voices")
    with served(ServerConfig(voices=folder, aliases=("tts-1",)), lambda: toy) as running:
        yield running


@pytest.fixture
def client(server):
    with server.client() as talking:
        yield talking


@pytest.fixture
def tts(toy):
    """The model of the shared server; nothing may be computed on it beside the queue."""
    return toy
