"""A wave is kept to half a step of 16 bits, or it is told what was lost; a file is whole or not there."""

import os
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.audio.save import save_wav, staged_file, to_pcm


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=50))
def test_samples_are_rounded_and_only_those_beyond_full_scale_are_cut(values):
    wave = np.array(values, np.float32)
    pcm, num_clipped = to_pcm(wave)
    kept = np.clip(wave, -1, 1).astype(np.float64)
    assert np.abs(pcm / 32767 - kept).max() <= 0.5001 / 32767
    is_beyond = np.abs(wave.astype(np.float64)) > 1 + 0.5 / 32767
    is_near = np.isclose(np.abs(wave), 1 + 0.5 / 32767, rtol=1e-6, atol=0)  # where float32 decides
    assert (is_beyond & ~is_near).sum() <= num_clipped <= (is_beyond | is_near).sum()


def test_full_scale_is_not_clipped(tmp_path):
    assert save_wav(tmp_path / "a.wav", np.array([1.0, -1.0, 0.5], np.float32), 16_000) == ()
    (note,) = save_wav(tmp_path / "a.wav", np.array([1.1, -1.0, 0.5], np.float32), 16_000)
    assert note.startswith("AUDIO_CLIPPED: 1 of 3 ")


def test_a_staged_file_replaces_the_older_one_at_its_end_alone(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"before")
    with staged_file(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after" and stat.S_ISREG(os.lstat(path).st_mode)
    with pytest.raises(ZeroDivisionError), staged_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"after" and os.listdir(tmp_path) == ["a"]


def test_a_place_that_cannot_be_written_is_told_before_anything_is_made(tmp_path):
    missing = tmp_path / "none" / "a"
    with pytest.raises(ConfigError, match=r"OUTPUT_NOT_WRITABLE: .*No such file or directory"), staged_file(missing):
        pytest.fail("nothing may be done in vain")
