"""A recording is transcribed in a process of its own: nothing here waits for it, and it goes when it is told to."""

import json
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from resgen_tts.apps.speaking import transcription_child
from resgen_tts.apps.speaking.transcription import WHISPER_VARIABLE, transcribe_apart
from resgen_tts.common.errors import CheckpointError, DataError, MissingExtraError, ResGenError, TextError

pytest.importorskip("pocketsphinx", reason="the extra 'asr' is not installed; transcription is NOT tested")

RATE = 16_000
TONE = (0.3 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(WHISPER_VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def child(scratch, monkeypatch):
    """A child that runs other code, after it has left a file and told its id."""

    def set_child(code: str) -> None:
        begin = (
            f"import os, pathlib, tempfile, time\npathlib.Path({str(scratch / 'pid')!r}).write_text(str(os.getpid()))"
        )
        leave = "pathlib.Path(tempfile.gettempdir(), 'voice.wav').write_bytes(b'RIFF')"
        monkeypatch.setattr(transcription_child, "_CHILD", "\n".join((begin, leave, code)))

    return set_child


def assert_nothing_is_left(scratch: Path) -> None:
    assert [path.name for path in scratch.iterdir()] == ["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((scratch / "pid").read_text()), 0)


def test_no_other_thread_is_held_while_speech_is_heard(scratch):
    """Pocketsphinx in this process held all threads for up to 14 s."""
    from resgen_tts import TTS

    tts = TTS.from_pretrained("mini", watermark="none")
    wave = tts.synthesizer.decode(tts.load_voice("lj").codes)[: 5 * tts.sample_rate]
    pauses, is_over = [0.0], threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not is_over.wait(0.005):
            pauses.append((now := time.perf_counter()) - last)
            last = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        words, name = transcribe_apart(wave, tts.sample_rate, "pocketsphinx")
    finally:
        is_over.set()
        ticking.join()
    assert max(pauses) < 0.3 and len(pauses) > 100
    assert len(words.split()) >= 3 and name.startswith("pocketsphinx")
    assert not list(scratch.iterdir())


def test_errors_keep_their_kinds_and_codes(child):
    with pytest.raises(TextError, match=r"TEXT_EMPTY: pocketsphinx.*--ref-text"):
        transcribe_apart(0 * TONE, RATE)
    told = {"kind": "MissingExtraError", "code": "EXTRA_MISSING", "message": "no ears.", "hint": "Grow some."}
    child(f"print({json.dumps(told)!r})")
    with pytest.raises(MissingExtraError, match=r"^EXTRA_MISSING: no ears\. Grow some\.$"):
        transcribe_apart(TONE, RATE)


def test_a_name_in_the_variable_starts_nothing(child, scratch, monkeypatch):
    child("time.sleep(60)")
    monkeypatch.setenv(WHISPER_VARIABLE, "openai/whisper-tiny")
    with pytest.raises(CheckpointError, match="MODEL_MISSING"):
        transcribe_apart(TONE, RATE)
    assert not list(scratch.iterdir())


def test_it_is_killed_when_nobody_wants_it_any_more(child, scratch):
    child("time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(ResGenError, match=r"^STOPPED"):
        transcribe_apart(TONE, RATE, is_cancelled=lambda: (scratch / "pid").exists())
    assert time.monotonic() - started < 5
    assert_nothing_is_left(scratch)


def test_it_is_killed_when_its_time_is_over(child, scratch):
    child("time.sleep(60)")
    with pytest.raises(TextError, match=r"^TRANSCRIPTION_TIMEOUT: .* within 1 s"):
        transcribe_apart(TONE, RATE, seconds=1.0)
    assert_nothing_is_left(scratch)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (f"os.kill(os.getpid(), {signal.SIGKILL})", "SIGKILL"),
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("", "status 0"),
    ],
)
def test_what_it_dies_of_is_told(child, scratch, code, why):
    child(code)
    with pytest.raises(DataError, match=rf"^TRANSCRIPTION_FAILED: .*\({why}\).*--ref-text"):
        transcribe_apart(TONE, RATE)
    assert_nothing_is_left(scratch)


def test_it_gets_the_samples_and_no_key(child, scratch, monkeypatch):
    monkeypatch.setenv("RESGEN_TTS_API_KEY", "secret")
    child(
        "import json, sys\n"
        "question = json.loads(sys.stdin.buffer.readline())\n"
        "samples = sys.stdin.buffer.read()\n"
        "print(json.dumps({'words': samples.hex(), 'name': ' '.join(os.environ.values())}))\n"
    )
    samples, environment = transcribe_apart(TONE, RATE)
    assert np.array_equal(np.frombuffer(bytes.fromhex(samples), "<f4"), TONE)
    assert "secret" not in environment.split()
