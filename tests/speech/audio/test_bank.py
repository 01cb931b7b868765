"""Every file of the bank of odd and broken recordings has the outcome that is promised, in time and in memory."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.limited import load_audio_limited
from resgen_tts.speech.audio.load import as_reference, shown_name
from tests.speech.audio.broken_bank import Case, bank
from tests.speech.audio.sound_files import RATE

MAX_SECONDS = 10
MAX_BYTES = 512 * 2**20

# Loads every path that it is told as a reference, and says what became of it; nothing else is in its memory.
LOADER = r"""
import json, os, re, sys, time
from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.load import load_reference
open_before = len(os.listdir("/proc/self/fd"))
for path in json.load(sys.stdin):
    started = time.monotonic()
    try:
        code, said = "", load_reference(path, sample_rate=int(sys.argv[1])).warnings
    except AudioError as error:
        code, said = error.code, [str(error)]
    print(json.dumps([code, said, time.monotonic() - started]))
with open("/proc/self/status") as file:  # getrusage may tell the peak of the large process that started this one
    status = file.read()
peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024
print(json.dumps([peak, len(os.listdir("/proc/self/fd")) - open_before]))
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> list[Case]:
    return bank(tmp_path_factory.mktemp("bank"))


def test_the_bank_is_large_and_of_all_sorts(cases):
    assert len(cases) >= 250 and sum(case.is_upload for case in cases) >= 230
    assert 100 < sum(case.is_accepted for case in cases) < len(cases) - 100
    codes = {outcome.split()[0] for case in cases for outcome in case.outcomes}
    assert len(codes) == 16  # all codes but AUDIO_PERMISSION, which an owner like root does not get, and "ok"


def test_a_case_tells_right_from_wrong():
    case = Case(Path("a"), ("ok AUDIO_TRUNCATED", "AUDIO_CORRUPT"))
    assert case.allows("AUDIO_CORRUPT") and case.allows("", ("AUDIO_TRUNCATED: a was cut off",)) and case.is_accepted
    assert case.allows("", ("AUDIO_TRUNCATED", "AUDIO_SHORT: 2 s"))
    assert not case.allows("") and not case.allows("AUDIO_EMPTY") and not case.allows("", ("AUDIO_CLIPPED",))
    assert not case.allows("AUDIO_TRUNCATED")


def test_the_loader_gives_what_is_promised(cases):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOADER, str(RATE)],
        input=json.dumps([str(case.path) for case in cases]),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""  # not a word of the decoders
    *told, (peak_bytes, left_open) = map(json.loads, done.stdout.splitlines())
    assert len(told) == len(cases)
    wrong = [
        f"{case.path.name!r}: {code or 'ok'} {said} instead of {case.outcomes}"
        for case, (code, said, _) in zip(cases, told, strict=True)
        if not case.allows(code, () if code else said)
    ]
    assert not wrong, "\n".join(wrong)
    assert all(word.isprintable() and len(word) < 600 for _, said, _ in told for word in said)
    assert max(seconds for *_, seconds in told) < MAX_SECONDS
    assert peak_bytes < MAX_BYTES
    assert left_open == 0


def limited(case: Case) -> str:
    """What is wrong about a case in a process of its own."""
    try:
        loaded = load_audio_limited(case.path, sample_rate=RATE)
        code, said = "", as_reference(loaded, shown_name(case.path)).warnings
    except AudioError as error:
        code, said = error.code, ()
    return "" if case.allows(code, said) else f"{case.path.name!r}: {code or 'ok'} {said} instead of {case.outcomes}"


def test_the_limited_loader_gives_the_same_of_a_part(cases):
    with ThreadPoolExecutor(2) as pool:  # as a server calls it
        assert not list(filter(None, pool.map(limited, cases[::32])))


@pytest.mark.slow
def test_the_limited_loader_gives_the_same_of_all(cases):
    with ThreadPoolExecutor(2) as pool:
        assert not list(filter(None, pool.map(limited, cases)))


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "channels", "seconds"), [(192_000, 1, 349), (96_000, 2, 349)])
def test_the_largest_that_is_accepted_takes_no_more(tmp_path, rate, channels, seconds):
    """Decoded it has nearly the 256 MiB that are allowed; mono they are all needed, and one more copy is too much."""
    import numpy as np
    import soundfile

    path = tmp_path / "large.flac"
    block = np.zeros((rate, channels), np.float32)
    block[::1000] = 0.3
    with soundfile.SoundFile(path, "w", rate, channels, format="FLAC") as file:
        for _ in range(seconds):
            file.write(block)
    done = subprocess.run(
        [sys.executable, "-c", LOADER.replace("load_reference", "load_audio"), str(RATE)],
        input=json.dumps([str(path)]), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    (code, _, spent), (peak_bytes, _) = map(json.loads, done.stdout.splitlines())
    assert code == "" and spent < MAX_SECONDS and peak_bytes < MAX_BYTES
