"""Losses of tokenizers and vocoders: adversarial in the least-squares form, and spectral distances."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from resgen_tts.tokenizers.discriminators import Judgement
from resgen_tts.tokenizers.log_mel import LogMel, MelConfig, spectrum_magnitude


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


class MultiScaleMel(nn.Module):
    """L1 distance of base-10 log-mels, each a mean over its points, summed over several windows.

    ``sum_w mean |log10 max(M_w, 1e-5) - log10 max(M'_w, 1e-5)|`` with M_w the magnitudes of a centred STFT with a Hann
    window of w samples, hop w / 4, in Slaney bands up to half the sample rate.
    Source: DAC (arXiv:2306.06546); windows, bands and clamp are those of its published configurations.

    Args:
        sample_rate: Hz.
        windows: samples; multiples of 4.
        bands: of each window.
    """

    def __init__(
        self,
        sample_rate: int,
        windows: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
        bands: Sequence[int] = (5, 10, 20, 40, 80, 160, 320),
    ):
        super().__init__()
        self.log_mels = nn.ModuleList(
            LogMel(
                MelConfig(
                    sample_rate=sample_rate, fft_size=window, window_samples=window, hop_samples=window // 4,
                    num_mels=count, high_hz=sample_rate / 2, padding="center", floor=1e-5, magnitude_epsilon=0.0,
                )
            )
            for window, count in zip(windows, bands, strict=True)
        )  # fmt: skip

    def forward(self, wave: Float[Tensor, "B N"], target: Float[Tensor, "B N"]) -> Float[Tensor, ""]:
        """Distance of a wave to its target, which takes no gradient."""
        total = wave.new_zeros((), dtype=torch.float32)
        for log_mel in self.log_mels:
            with torch.no_grad():
                wanted = log_mel(target)
            total = total + (log_mel(wave) - wanted).abs().mean()
        return total / math.log(10)


def _padded(wave: Tensor, padding: tuple[int, int]) -> Tensor:
    return F.pad(wave.float()[:, None], padding, mode="reflect")[:, 0]
