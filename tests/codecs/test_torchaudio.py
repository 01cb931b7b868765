"""What the import hook makes of torchaudio: its Python functions run, the compiled ones refuse."""

import pytest
import torch


@pytest.fixture(scope="module")
def torchaudio():
    import torchaudio

    if torch.version.cuda is not None:
        pytest.skip("torch is built for CUDA here: torchaudio's own libraries are loaded")
    return torchaudio


def test_python_functions_run(torchaudio):
    wave = torch.sin(torch.arange(1600) * 0.05)
    assert torchaudio.functional.resample(wave, 16_000, 8000).shape == (800,)
    assert torchaudio.transforms.MelSpectrogram(n_fft=64, n_mels=8)(wave).isfinite().all()


def test_compiled_functions_refuse(torchaudio):
    with pytest.raises(RuntimeError, match="forced_align needs libraries"):
        torchaudio.functional.forced_align(torch.zeros(1, 4, 3), torch.ones(1, 2, dtype=torch.int))
