"""A small quantizer and latents whose channels differ in scale."""

import torch

from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.quantizer import PRVQ, QuantizerConfig

SMALL = {"depth": 3, "codebook_size": 8, "dim": 4, "warmup_vectors": 64}


def started(seed=0, **changes):
    """A quantizer laid through random latents."""
    quantizer = PRVQ(QuantizerConfig(**{**SMALL, **changes}))
    latents = latents_of(seed, frames=64)
    quantizer.update(quantizer(latents).statistics, generator(seed))
    assert bool(quantizer.started)
    return quantizer


def latents_of(seed, frames=40, batch=1):
    return torch.randn(batch, frames, 4, generator=generator(seed, "latents", frames)) * torch.tensor([2, 1, 0.5, 0.2])
