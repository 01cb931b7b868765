"""Copies of one recording: through each depth of a tokenizer, through its vocoder alone, and by Griffin-Lim."""

import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.apps.corpus.file_codes import decode_wave, encode_wave
from resgen_tts.evaluation.copy_scores import GRIFFIN_LIM, VOCODER
from resgen_tts.tokenizers.contract import Tokenizer
from resgen_tts.tokenizers.griffin_lim import GriffinLim
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What a tokenizer makes of one recording."""

    waves: Mapping[str, Float[np.ndarray, "_"]]  # system: samples at the tokenizer's rate
    codes: Int[Tensor, "T D"]
    # system: of each of its levels, the share of frames that encoding its wave gives the code that it was made of
    cycle: Mapping[str, Sequence[float]]
    seconds: Mapping[str, float]  # wall time of encode, decode (deepest) and, of that, decode_mel and vocoder


def depth_name(depth: int) -> str:
    """The system that decodes the ``depth`` coarsest levels."""
    return f"depth_{depth:02d}"


def systems_of(tokenizer: Tokenizer, depths: Sequence[int]) -> list[str]:
    """What `make_copies` makes, in the order to show: what bounds a Mel-VAE's copies first, then the depths."""
    bounds = []
    if isinstance(tokenizer, MelTokenizer):
        bounds = [GRIFFIN_LIM] if isinstance(tokenizer.vocoder, GriffinLim) else [VOCODER, GRIFFIN_LIM]
    return [*bounds, *map(depth_name, depths)]


def make_copies(tokenizer: Tokenizer, samples: Float[np.ndarray, "N"], depths: Sequence[int]) -> Copies:
    """Encode a recording, decode it at each depth, and encode every copy again.

    A Mel-VAE's copies are bounded by what its vocoder makes of the recording's own mel (the system ``vocoder``); beside
    it stands what Griffin-Lim, which nobody trained, makes of that mel.

    Args:
        samples: at the tokenizer's rate.
        depths: levels to decode, ascending; the last is timed.
    Raises:
        AudioError: AUDIO_TOO_SHORT.
    """
    waves, cycle, seconds = {}, {}, {}

    @contextmanager
    def timed(step: str):
        start = time.perf_counter()
        yield
        seconds[step] = time.perf_counter() - start

    with timed("encode"):
        codes = encode_wave(tokenizer, samples)
    with torch.inference_mode():
        if isinstance(tokenizer, MelTokenizer):
            mel = tokenizer.log_mel(torch.from_numpy(samples)[None])
            with timed("vocoder"):
                made = tokenizer.vocoder(mel)
            bounds = systems_of(tokenizer, ())
            waves[bounds[0]] = made[0].numpy()
            if GRIFFIN_LIM not in waves:
                waves[GRIFFIN_LIM] = GriffinLim(tokenizer.log_mel.config)(mel)[0].numpy()
            with timed("decode_mel"):
                tokenizer.decode_mel(codes[None, :, : depths[-1]], torch.tensor([len(codes)]))
    for depth in depths:
        name, kept = depth_name(depth), codes[:, :depth]
        with timed("decode"):
            waves[name] = decode_wave(tokenizer, kept)
        again = encode_wave(tokenizer, waves[name])
        frames = min(len(again), len(kept))
        cycle[name] = (again[:frames, :depth] == kept[:frames]).float().mean(0).tolist()
    return Copies(waves=waves, codes=codes, cycle=cycle, seconds=seconds)
