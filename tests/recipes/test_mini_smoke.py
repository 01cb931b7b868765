"""egs/mini --smoke for real: killed in the middle of a training, continued, whole, and idle when run again."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from resgen_tts import TTS

ROOT = Path(__file__).resolve().parents[2]


def run_sh(folder: Path, *more: str) -> list[str]:
    return [
        "bash", str(ROOT / "recipes" / "tts.sh"), "--recipe", str(ROOT / "egs" / "mini"), "--corpus", "mini", "--smoke",
        "--datadir", str(folder / "data"), "--expdir", str(folder / "exp"), *more,
    ]  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, f"the recipe ended before {path} was there"
        assert time.monotonic() < until, f"no {path} after {seconds} s"
        time.sleep(0.2)


@pytest.mark.timeout(900)
def test_a_killed_recipe_goes_on_ends_and_then_does_nothing(tmp_path):
    folder = tmp_path / "with blank"
    folder.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(
        run_sh(folder), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(folder / "exp" / "mel_vae" / "metrics.jsonl", first, 300)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()

    second = subprocess.run(run_sh(folder), env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stdout[-2000:] + second.stderr[-2000:]
    score = json.loads((folder / "exp" / "score" / "score.json").read_text())
    assert "WER" in second.stdout and score
    requests = [json.loads(line) for line in (folder / "exp" / "synth" / "requests.jsonl").read_text().splitlines()]
    assert requests and all(
        (folder / "exp" / "synth" / row["systems"]["clone"]).stat().st_size > 44 for row in requests
    )
    tts = TTS.from_pretrained(folder / "exp" / "model")
    reference = folder / "exp" / "synth" / requests[0]["prompt"]
    assert len(tts("the letter", voice=tts.voice(reference, requests[0]["prompt_text"]), seed=0, steps=2).audio)

    third = subprocess.run(run_sh(folder), env=environment, capture_output=True, text=True, check=True)
    assert "done in" not in third.stdout, third.stdout
    shutil.rmtree(folder)
