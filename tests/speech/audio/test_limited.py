"""A recording is loaded in a process of its own: the same samples, and whatever that process dies of is an error."""

import ast
import contextlib
import os
from pathlib import Path

import numpy as np
import pytest

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio import limited
from resgen_tts.speech.audio.limited import load_audio_limited
from resgen_tts.speech.audio.load import AudioLimits, load_audio
from tests.speech.audio.sound_files import RATE, encoded, voice


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "it's me.flac"
    path.write_bytes(encoded(np.stack([voice() + 0.1, voice()], 1), format="FLAC"))
    return path


def code_and_words(path, **options) -> tuple[str, str]:
    with pytest.raises(AudioError) as caught:
        load_audio_limited(path, sample_rate=RATE, **options)
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize("sample_rate", [RATE, 16_000, 48_000])
def test_samples_and_warnings_are_those_of_the_loader(recording, sample_rate):
    apart, here = (load(recording, sample_rate=sample_rate) for load in (load_audio_limited, load_audio))
    assert apart.samples.dtype == np.float32 and np.array_equal(apart.samples, here.samples)
    assert apart.warnings == here.warnings and len(here.warnings) >= 1 and apart.sample_rate == sample_rate
    apart.samples[0] = 0.0  # they are the caller's


def test_errors_are_those_of_the_loader(tmp_path):
    for name, content in (("a.wav", b"<html>"), ("b.flac", b"fLaC" + bytes(60)), ("c.wav", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AudioError) as here:
            load_audio(tmp_path / name, sample_rate=RATE)
        assert code_and_words(tmp_path / name) == (here.value.code, str(here.value))
    assert code_and_words(tmp_path / "none.wav")[0] == "AUDIO_NOT_FOUND"


def test_limits_go_along(recording, tmp_path):
    assert code_and_words(recording, limits=AudioLimits(max_seconds=1.0))[0] == "AUDIO_TOO_LONG"
    (tmp_path / "link.flac").symlink_to(recording)
    assert code_and_words(tmp_path / "link.flac")[0] == "AUDIO_NOT_A_FILE"
    assert load_audio_limited(tmp_path / "link.flac", sample_rate=RATE, limits=AudioLimits(follow_links=True)).seconds


def child(monkeypatch, code: str) -> None:
    """Let the child do something before it answers."""
    monkeypatch.setattr(limited, "_CHILD", limited._CHILD.replace("answer(**question)", f"{code}\nanswer(**question)"))


def test_what_takes_too_long_is_ended(recording, monkeypatch):
    child(monkeypatch, "import time; time.sleep(60)")
    code, words = code_and_words(recording, limits=AudioLimits(max_wall_seconds=0.5))
    assert code == "AUDIO_TOO_LARGE" and "time" in words


def test_what_takes_too_much_memory_is_refused(recording, monkeypatch):
    child(monkeypatch, "import resgen_tts.speech.audio.limited as it; it.MAX_DATA_BYTES = 1 << 20")
    code, words = code_and_words(recording)
    assert code == "AUDIO_TOO_LARGE" and "MiB" in words


@pytest.mark.parametrize(
    ("signal_name", "code", "word"),
    [
        ("SIGSEGV", "AUDIO_CORRUPT", "crashed"),
        ("SIGXCPU", "AUDIO_TOO_LARGE", "time"),
        ("SIGKILL", "AUDIO_TOO_LARGE", "memory"),
    ],
)
def test_a_decoder_that_dies_is_an_error(recording, monkeypatch, signal_name, code, word):
    child(monkeypatch, f"import os, signal; os.kill(os.getpid(), signal.{signal_name})")
    told, words = code_and_words(recording)
    assert told == code and word in words and "it's me.flac" in words


def test_a_loop_without_end_is_ended_by_its_processor_time(recording, monkeypatch):
    """Even where nobody watches the clock any more: the limit is the child's own."""
    child(
        monkeypatch,
        "import resource, resgen_tts.speech.audio.limited as it\n"
        "def spin(*a, **k):\n"
        "    limit = resource.getrlimit\n"
        "    assert limit(resource.RLIMIT_CPU)[0] == 11 and limit(resource.RLIMIT_CORE)[0] == 0\n"
        "    assert limit(resource.RLIMIT_DATA)[0] == it.MAX_DATA_BYTES\n"
        "    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n"
        "    while True: pass\n"
        "it.load_opened = spin",
    )
    assert code_and_words(recording)[0] == "AUDIO_TOO_LARGE"


def test_an_answer_that_breaks_off_is_an_error(recording, monkeypatch):
    child(
        monkeypatch,
        "import os; os.write(question['way_back'], b'{\"num_samples\": 9, \"warnings\": []}\\nab'); os._exit(0)",
    )
    with pytest.raises(RuntimeError, match="status 0"):
        load_audio_limited(recording, sample_rate=RATE)


def test_a_child_that_cannot_start_is_no_fault_of_the_recording(recording, monkeypatch):
    child(monkeypatch, "import no_such_module")
    with pytest.raises(RuntimeError, match="no_such_module"):
        load_audio_limited(recording, sample_rate=RATE)


def test_the_child_knows_little(recording, monkeypatch, tmp_path):
    """No secret of the environment, no torch, no open file but its own; and nothing of the folder that it starts in."""
    monkeypatch.setenv("RESGEN_TTS_API_KEY", "secret")
    (tmp_path / "json.py").write_text("raise SystemExit('run from the working folder')")
    monkeypatch.chdir(tmp_path)
    child(
        monkeypatch,
        "import os, resgen_tts.speech.audio.limited as it\n"
        "from resgen_tts.common.errors import AudioError\n"
        "def tell(file, *a, **k):\n"
        "    raise AudioError(repr([sorted(os.environ), 'torch' in sys.modules, len(os.listdir('/proc/self/fd'))]))\n"
        "it.load_opened = tell",
    )
    with pytest.raises(AudioError) as told:
        load_audio_limited(recording, sample_rate=RATE)
    names, has_torch, num_open = ast.literal_eval(told.value.message)
    assert "RESGEN_TTS_API_KEY" not in names and not has_torch
    assert num_open == 6  # three standard ones, the recording, the way back, and the list of them


def left_behind() -> tuple[list[str], set[str]]:
    """Open files and children, living or dead, of this process."""
    children = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                children.add(stat.parent.name)
    return sorted(os.listdir("/proc/self/fd")), children


def test_nothing_is_left_behind(recording, monkeypatch):
    before = left_behind()
    load_audio_limited(recording, sample_rate=RATE)
    child(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    code_and_words(recording)
    child(monkeypatch, "import time; time.sleep(60)")
    code_and_words(recording, limits=AudioLimits(max_wall_seconds=0.3))
    after = left_behind()
    assert after[0] == before[0] and after[1] <= before[1]


def test_descriptors_beyond_a_thousand_work(recording):
    """A busy server has them; select() does not take them."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip(f"this machine allows {hard} open files; 1200 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert load_audio_limited(recording, sample_rate=RATE).seconds == pytest.approx(3.2)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
