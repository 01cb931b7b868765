"""Losses of tokenizers and vocoders: adversarial in the least-squares form, and spectral distances."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from resgen_tts.tokenizers.discriminators import Judgement
from resgen_tts.tokenizers.log_mel import spectrum_magnitude


def discriminator_loss(real: Sequence[Judgement], generated: Sequence[Judgement]) -> Float[Tensor, ""]:
    """mean (1 - D(real))^2 + mean D(generated)^2, averaged over judges. Source: LSGAN (arXiv:1611.04076)."""
    terms = [
        (1 - r.score).float().square().mean() + g.score.float().square().mean()
        for r, g in zip(real, generated, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_loss(generated: Sequence[Judgement]) -> Float[Tensor, ""]:
    """mean (1 - D(generated))^2, averaged over judges. Source: LSGAN (arXiv:1611.04076)."""
    return torch.stack([(1 - g.score).float().square().mean() for g in generated]).mean()


def feature_matching(real: Sequence[Judgement], generated: Sequence[Judgement]) -> Float[Tensor, ""]:
    """mean |features(real) - features(generated)|, averaged over layers and judges; real ones take no gradient.

    Source: MelGAN (arXiv:1910.06711).
    """
    terms = [
        (a.detach() - b).float().abs().mean()
        for r, g in zip(real, generated, strict=True)
        for a, b in zip(r.features, g.features, strict=True)
    ]
    return torch.stack(terms).mean()


class MultiResolutionSTFT(nn.Module):
    """Spectral convergence and log-magnitude distance over several transforms, averaged.

    ``|S - S'|_F / |S|_F  +  mean |log S - log S'|`` with S the magnitudes of the target. Source: Parallel WaveGAN
    (arXiv:1910.11480), whose Frobenius norms span the whole batch.

    Args:
        resolutions: (fft, hop, window) in samples.
    """

    def __init__(self, resolutions: Sequence[tuple[int, int, int]]):
        super().__init__()
        self.resolutions = [tuple(resolution) for resolution in resolutions]
        for index, (_, _, window) in enumerate(self.resolutions):
            self.register_buffer(f"window_{index}", torch.hann_window(window), persistent=False)

    def forward(self, wave: Float[Tensor, "B N"], target: Float[Tensor, "B N"]) -> Float[Tensor, ""]:
        """Distance of a wave to its target."""
        total = wave.new_zeros(())
        for index, (fft_size, hop, _) in enumerate(self.resolutions):
            window = getattr(self, f"window_{index}")
            padding = ((fft_size - hop) // 2, fft_size - hop - (fft_size - hop) // 2)
            with torch.autocast(wave.device.type, enabled=False):
                ours = spectrum_magnitude(_padded(wave, padding), fft_size, hop, window)
                with torch.no_grad():
                    theirs = spectrum_magnitude(_padded(target, padding), fft_size, hop, window)
                # The clamp keeps the root's gradient finite where the two are equal.
                convergence = ((theirs - ours).square().sum().clamp(min=1e-12) / theirs.square().sum()).sqrt()
                total = total + convergence + (theirs.log() - ours.log()).abs().mean()
        return total / len(self.resolutions)


def _padded(wave: Tensor, padding: tuple[int, int]) -> Tensor:
    return F.pad(wave.float()[:, None], padding, mode="reflect")[:, 0]
