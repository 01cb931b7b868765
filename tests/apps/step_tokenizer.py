"""A tokenizer without a network, whose round trip is known: each frame is one level of loudness, told by its codes."""

import torch

from resgen_tts.common.errors import AudioError
from resgen_tts.core.code_space import CodeSpace


class StepTokenizer:
    """Frames of 160 samples at 16 kHz; a frame's latent is its mean, so that decoded codes are encoded to themselves.

    Args:
        scale: of the codebooks; another scale is another code space.
    """

    sample_rate, frame_rate_hz, hop_samples = 16_000, 100.0, 160

    def __init__(self, scale: float = 1.0):
        steps = torch.tensor([-0.3, -0.1, 0.1, 0.3])
        self.code_space = CodeSpace(torch.stack([steps, steps / 4, steps / 16])[..., None] * scale, torch.ones(3))
        self.encoded = 0  # waves

    def encode(self, wave, lengths):
        if int(lengths.min()) < self.hop_samples:
            raise AudioError(f"{int(lengths.min())} samples are no frame.", code="AUDIO_TOO_SHORT")
        self.encoded += len(wave)
        frames = wave[:, : wave.shape[1] // 160 * 160].reshape(len(wave), -1, 160).mean(-1, keepdim=True)
        return self.code_space.quantize(frames), lengths // 160

    def decode(self, codes, lengths):
        return self.code_space.total(codes)[..., 0].repeat_interleave(160, dim=1), lengths * 160
