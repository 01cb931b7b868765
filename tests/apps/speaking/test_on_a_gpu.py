"""The same system on a GPU: it says the same, from a reference that is encoded there."""

import numpy as np
import pytest
import torch

from resgen_tts import TTS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU: synthesis on one is not tested here"),
]


def test_a_gpu_says_what_the_cpu_says(model, reference):
    here, there = (TTS.from_pretrained(model, device=device) for device in ("cpu", "cuda"))
    voices = [tts.voice(reference, "la la la") for tts in (here, there)]
    assert torch.equal(voices[0].codes, voices[1].codes)
    spoken = [tts("hello", voice=voice, seed=1, steps=2) for tts, voice in zip((here, there), voices, strict=True)]
    assert spoken[1].device.startswith("cuda") and spoken[1].audio.dtype == np.float32
    assert abs(spoken[0].seconds - spoken[1].seconds) <= 0.2  # a duration on a border may fall to its other side
