"""A wave that is written while it is made equals one that is written at once, or is not there at all."""

import numpy as np
import pytest

from resgen_tts.common.errors import AudioError
from resgen_tts.speech.audio.save import save_wav
from resgen_tts.speech.audio.wav_stream import open_wav_stream


def test_pieces_give_the_bytes_of_the_whole(tmp_path):
    wave = (1.4 * np.sin(np.arange(5000) / 20)).astype(np.float32)
    notes = save_wav(tmp_path / "whole.wav", wave, 16_000)
    with open_wav_stream(tmp_path / "pieces.wav", 16_000) as stream:
        for piece in np.array_split(wave, 7):
            stream.write(piece)
        assert not (tmp_path / "pieces.wav").exists()
    assert stream.num_samples == 5000
    loud = int((np.abs(wave) > 1 + 0.5 / 32767).sum())
    assert loud > 1000 and stream.warnings == notes and notes[0].startswith(f"AUDIO_CLIPPED: {loud} of 5000 ")
    assert (tmp_path / "pieces.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()


def test_full_scale_is_not_clipped(tmp_path):
    wave = np.array([1.0, -1.0, 0.5], np.float32)
    assert save_wav(tmp_path / "whole.wav", wave, 16_000) == ()


@pytest.mark.parametrize("pieces", [[], [np.zeros(10, np.float32), np.array([np.nan], np.float32)]])
def test_what_cannot_be_kept_leaves_the_older_file(tmp_path, pieces):
    (tmp_path / "a.wav").write_bytes(b"before")
    with pytest.raises(AudioError), open_wav_stream(tmp_path / "a.wav", 16_000) as stream:
        for piece in pieces:
            stream.write(piece)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]
