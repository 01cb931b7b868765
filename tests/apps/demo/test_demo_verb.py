"""The verb: what it refuses before anything is loaded."""

import socket
import subprocess
import sys

import pytest

from resgen_tts.apps.cli import main
from resgen_tts.apps.demo.demo import demo
from resgen_tts.common.errors import ConfigError, ResGenError


def code_of(*arguments):
    with pytest.raises(ResGenError) as told:
        demo(arguments)
    return told.value.code


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("RESGEN_TTS_API_KEY", raising=False)


def test_other_machines_need_a_key_or_a_word():
    assert code_of("--host", "0.0.0.0") == "HOST_UNPROTECTED"  # noqa: S104 (it is refused)
    assert code_of("--host", "::") == "HOST_UNPROTECTED"
    assert code_of("--api-key", "") == "API_KEY_INVALID"
    assert code_of("--api-key", "two words") == "API_KEY_INVALID"


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert code_of("--port", str(taken.getsockname()[1])) == "PORT_IN_USE"
    assert code_of("--host", "192.0.2.1", "--insecure", "--port", "0") == "HOST_UNKNOWN"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "70000"),
        ("--image-model", "x"),
        ("--image-vae", "x"),
        ("--voices", "no/such/folder"),
        ("--watermark", "audioseal:x", "--no-watermark"),
        ("--nope",),
        ("--batch-size", "0"),
    ],
)
def test_nonsense_is_refused_at_once(arguments):
    with pytest.raises(ConfigError):
        demo(arguments)


def test_a_model_that_is_missing_ends_it_with_status_3(capsys):
    assert main(["demo", "--port", "0", "--model", "./no-such-model"]) == 3
    assert "MODEL_MISSING" in capsys.readouterr().err


def test_help_loads_neither_gradio_nor_torch():
    words = "import sys; from resgen_tts.apps.cli import main; main(['demo', '--help']); "
    check = "sys.exit(bool({'gradio', 'torch', 'fastapi'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", words + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--image-model" in done.stdout and done.stderr == ""
