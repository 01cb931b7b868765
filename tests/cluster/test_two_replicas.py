"""Two processes with a model each behind one address."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import soundfile

from resgen_tts import TTS
from resgen_tts.apps.serving.cluster import REPLICA_HEADER, run_cluster
from resgen_tts.apps.serving.config import ServerConfig
from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.synthesizer import AUDIO_TOLERANCE

pytestmark = [
    pytest.mark.slow,
    # Ray and what it stands on: sockets and files that its own processes leave to the end.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def server(voiced, tmp_path_factory):
    """The verb in a process of its own, with a Ray of its own, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "resgen_tts.apps.cli", "serve", "--model", voiced, "--no-watermark"),
        *("--port", port, "--replicas", 2, "--replica-cpus", 0.5, "--device", "cpu"),
        *("--voices", tmp_path_factory.mktemp("voices")),
    ]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        list(map(str, command)), env=alone | {"RESGEN_TTS_API_KEY": "secret"}, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    told = []
    for line in process.stderr:
        told.append(line)
        if "serving" in line:
            break
    assert f"serving http://127.0.0.1:{port}/v1 by 2 replicas" in told[-1], told
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.communicate()


def ask(address, number, key="secret"):
    body = {"model": "toy", "input": f"hello {'there ' * (number % 3)}", "voice": "zoe", "response_format": "wav"}
    request = urllib.request.Request(
        f"{address}/v1/audio/speech", json.dumps(body | {"seed": 1, "steps": 2}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {key}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as answer:
        samples, _ = soundfile.read(BytesIO(answer.read()), dtype="float32")
        return answer.headers[REPLICA_HEADER], samples


def test_both_answer_and_say_the_same(server):
    _, address = server
    with ThreadPoolExecutor(6) as threads:  # fewer than one replica refuses, wherever they go
        answers = list(threads.map(partial(ask, address), range(24)))
    assert len({replica for replica, _ in answers}) == 2
    for kind in range(3):
        first, *others = [samples for number, (_, samples) in enumerate(answers) if number % 3 == kind]
        for samples in others:
            np.testing.assert_allclose(samples, first, atol=AUDIO_TOLERANCE)


def test_a_replica_refuses_as_the_server_alone_does(server):
    _, address = server
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(address, 0, key="wrong")
    assert caught.value.code == 401
    assert json.load(caught.value)["error"]["code"]
    assert caught.value.headers[REPLICA_HEADER]


def test_they_serve_until_they_are_asked_to_stop(server):
    process, address = server
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    with pytest.raises(urllib.error.URLError):
        ask(address, 0)


def test_less_than_one_replica_is_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        run_cluster(ServerConfig(), TTS.from_pretrained, replicas=0)
