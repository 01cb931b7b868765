"""Type hints: a caller's program is checked strictly against the public names, and the rooms behind them are clean."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUBLIC_ROOMS = ("__init__.py", "apps/speaking", "apps/weights", "apps/serving", "speech/result.py")
PROGRAM = '''
"""What a caller writes; every line that ends in a mark is wrong, and the others are not."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from resgen_tts import TTS, ResGenError, Speech, SpeechChunk, SpokenText, Voice, __version__


def speak(text: str, recording: Path) -> SpokenText:
    tts = TTS.from_pretrained("mini", device="cpu", watermark="none", revision=None, sha256=None)
    voice: Voice = tts.voice(recording, text="What I said.")
    out: SpokenText = tts(text, voice=voice, seed=1, steps=8, speed=1.1)
    audio: np.ndarray = out.audio
    seconds: float = len(audio) / out.sample_rate
    kept: tuple[int, tuple[str, ...], str, float] = (out.seed, out.warnings, out.normalized_text, seconds)
    print(kept, __version__, tts.device, tts.model_sha256, tts.voices())
    out.save("out.wav")
    return out


def pieces(tts: TTS) -> Iterator[bytes]:
    chunk: SpeechChunk
    for chunk in tts.stream("One. Two.", voice="slt"):
        yield chunk.audio.tobytes()


def many(tts: TTS, texts: list[str]) -> list[Speech]:
    spoken = []
    for one in tts.batch(texts, seed=1):
        if isinstance(one, ResGenError):
            print(one.code, one.hint)
        else:
            spoken.append(one)
    return list[Speech](spoken)


def wrong(tts: TTS, out: SpokenText) -> None:
    tts("hi", seed="1")  # !
    tts(b"hi")  # !
    tts("hi", stepz=3)  # !
    TTS.from_pretrained(3)  # !
    out.sample_rate.upper()  # !
    out.no_such_fact  # !
    first: Speech = tts.batch(["hi"])[0]  # !
    word: int = out.normalized_text  # !
    tts.save_voice("me", "me")  # !
'''


def checked(cache, *arguments):
    """What mypy says, line by line, without its summary."""
    settings = ("--config-file", "tests/house/mypy.ini", "--cache-dir", str(cache), "--no-error-summary")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1) and not done.stderr, done.stderr + done.stdout  # 2: mypy itself failed
    return [line for line in done.stdout.splitlines() if ": note: " not in line]


@pytest.mark.slow
def test_a_callers_program_is_checked_strictly(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    found = {
        int(re.match(r".*?:(\d+): error: ", line)[1]): line for line in checked(tmp_path, "--strict", str(program))
    }
    wrong = {number for number, line in enumerate(PROGRAM.splitlines(), start=1) if line.endswith("# !")}
    assert set(found) == wrong, "\n".join(found.values())


@pytest.mark.slow
def test_the_rooms_behind_the_public_names_are_clean(tmp_path):
    assert checked(tmp_path, *(f"resgen_tts/{room}" for room in PUBLIC_ROOMS)) == []
