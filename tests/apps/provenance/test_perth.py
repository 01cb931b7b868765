"""The watermark: found where it is, not where it is not, and the speech stays the speech."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soxr
import torch

from resgen_tts.apps.provenance import perth
from resgen_tts.apps.provenance.watermark import load_watermarker
from resgen_tts.common.errors import ConfigError, WatermarkError
from tests.apps.provenance.sounds import voice_like


@pytest.fixture(scope="module")
def marker():
    return load_watermarker("perth")


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000, 44_100])
def test_the_mark_is_found_at_every_rate_and_only_where_it_is(marker, rate):
    plain = voice_like(2.8, rate)
    marked = marker.mark(plain, rate)
    assert marked.dtype == np.float32 and marked.shape == plain.shape
    assert marker.detect(marked, rate) > 0.95
    assert marker.detect(plain, rate) < 0.2
    assert marker.detect(soxr.resample(marked, rate, 11_025), 11_025) > 0.9


def test_marks_of_chunks_are_found_in_the_whole_and_in_a_part(marker):
    plain = voice_like(6.0)
    whole = np.concatenate([marker.mark(chunk, 16_000) for chunk in np.split(plain, [20_000, 21_000])])
    assert marker.detect(whole, 16_000) > 0.95
    assert marker.detect(whole[30_000:46_000], 16_000) > 0.9


def test_the_same_samples_give_the_same_bytes_in_every_thread(marker):
    plain = voice_like(1.5)
    with ThreadPoolExecutor(4) as pool:
        marked = list(pool.map(lambda _: marker.mark(plain, 16_000).tobytes(), range(8)))
    assert len(set(marked)) == 1


def test_only_the_band_of_the_mark_changes(marker):
    plain = voice_like(rate=48_000)
    change = np.abs(np.fft.rfft(marker.mark(plain, 48_000) - plain)) ** 2
    hertz = np.fft.rfftfreq(len(plain), 1 / 48_000)
    assert change[hertz > 2200].sum() < 1e-4 * change.sum()
    assert 0 < change.sum() < 0.2 * (np.abs(np.fft.rfft(plain)) ** 2).sum()  # 7 dB below the speech, at the least


def test_silence_stays_silent_and_holds_no_mark(marker):
    silence = np.zeros(16_000, np.float32)
    assert not marker.mark(silence, 16_000).any()
    assert marker.detect(silence, 16_000) == 0.0
    spoken = np.concatenate([np.zeros(16_000, np.float32), voice_like(2.0), np.zeros(16_000, np.float32)])
    marked = marker.mark(spoken, 16_000)
    assert np.abs(marked[:14_000]).max() < 1e-6 and np.abs(marked[-14_000:]).max() < 1e-6
    almost = np.full(16_000, 1e-15, np.float32)  # quieter than the networks' floor
    assert marker.detect(almost, 16_000) == 0.0


@pytest.mark.parametrize("num_samples", [0, 1, 2, 100, 800, 1201, 2049])
def test_pieces_of_any_length_keep_it_and_stay_finite(marker, num_samples):
    piece = voice_like(3.0)[8000 : 8000 + num_samples]
    marked = marker.mark(piece, 16_000)
    assert marked.shape == piece.shape and np.isfinite(marked).all()
    assert 0 <= marker.detect(marked, 16_000) <= 1


def test_full_scale_is_not_left_and_what_is_beyond_it_does_not_grow(marker):
    plain = voice_like(2.0)
    loud = plain / np.abs(plain).max()
    assert np.abs(marker.mark(loud, 16_000)).max() <= 1
    assert np.abs(marker.mark(1.5 * loud, 16_000)).max() <= 1.5
    assert marker.detect(marker.mark(loud, 16_000), 16_000) > 0.9


def test_another_speed_is_found_from_three_seconds_on(marker):
    plain = voice_like(3.5)
    marked = marker.mark(plain, 16_000)
    for percent in (92, 105):
        faster = soxr.resample(marked, percent, 100)
        assert marker.detect(faster, 16_000) > perth.CERTAIN
        assert marker.detect(soxr.resample(plain, percent, 100), 16_000) < marker.threshold
    assert marker.detect(soxr.resample(marked[:40_000], 105, 100), 16_000) < marker.threshold  # too short to be sure


def test_steady_tones_are_not_taken_to_be_marked(marker):
    """The decoder alone takes them to be."""
    time = np.arange(40_000) / 16_000
    for hertz in ((150,), (1000,), (220, 277, 330, 440)):
        tone = sum(0.1 * np.sin(2 * np.pi * one * time) for one in hertz).astype(np.float32)
        assert marker.detect(tone, 16_000) < 0.2
    assert marker.detect(marker.mark(tone, 16_000), 16_000) < marker.threshold  # the price of it


def test_a_process_of_its_own_prints_nothing_and_imports_no_torchaudio():
    code = (
        "import sys\n"
        "from resgen_tts.apps.provenance.watermark import load_watermarker\n"
        "assert 'torch' not in sys.modules and load_watermarker('none') is None and 'torch' not in sys.modules\n"
        "marker = load_watermarker('perth')\n"
        "import numpy as np\n"
        "marker.mark(np.ones(2400, np.float32), 24000)\n"
        "assert not {'torchaudio', 'pkg_resources', 'perth', 'librosa'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_one_watermarker_serves_the_process():
    assert load_watermarker("perth") is load_watermarker("perth")


def test_names():
    assert load_watermarker("none") is None
    for name in ("", "Perth", "audioseal", "audioseal:", "dummy"):
        with pytest.raises(ConfigError) as caught:
            load_watermarker(name)
        assert caught.value.code == "WATERMARK_UNKNOWN"


@pytest.fixture
def other_package(monkeypatch, tmp_path):
    """An installed package ``perth`` that is this folder; what was loaded before comes back afterwards."""

    def find(name, found=importlib.util.find_spec):
        if name != "perth":
            return found(name)
        spec = importlib.machinery.ModuleSpec("perth", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        return spec

    real = importlib.util.find_spec("perth").submodule_search_locations[0]
    monkeypatch.setattr(importlib.util, "find_spec", find)
    perth._load.cache_clear()
    yield tmp_path, real
    perth._load.cache_clear()


def test_a_package_that_is_not_there_is_an_error_of_the_environment(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    perth._load.cache_clear()
    for _ in range(2):  # a failure is not remembered
        with pytest.raises(WatermarkError) as caught:
            load_watermarker("perth")
        assert caught.value.code == "WATERMARK_MISSING" and caught.value.exit_code == 3
        assert "--no-watermark" in caught.value.hint


def test_a_package_of_another_layout_is_refused(other_package):
    with pytest.raises(WatermarkError) as caught:
        load_watermarker("perth")
    assert caught.value.code == "WATERMARK_FAILED" and "perth_net_implicit has no folder model" in str(caught.value)


class RunsWhenRead:
    def __reduce__(self):
        return print, ("a pickle was run",)


def test_weights_that_would_run_code_are_not_read(other_package, capsys):
    import shutil

    folder, real = other_package
    shutil.copytree(f"{real}/perth_net", folder / "perth_net")
    weights = next((folder / "perth_net" / "pretrained" / "implicit").glob("*.pth.tar"))
    torch.save({"model": RunsWhenRead()}, weights)
    with pytest.raises(WatermarkError) as caught:
        load_watermarker("perth")
    assert caught.value.code == "WATERMARK_FAILED" and "\n" not in str(caught.value)
    weights.unlink()
    with pytest.raises(WatermarkError, match="no file perth_net_"):
        load_watermarker("perth")
    assert "a pickle was run" not in capsys.readouterr().out
