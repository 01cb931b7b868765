"""Griffin-Lim: a wave for a log-mel without anything trained."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.tokenizers.inverse_stft import InverseSTFT
from resgen_tts.tokenizers.log_mel import LogMel, MelConfig


@dataclass(frozen=True, kw_only=True)
class GriffinLimConfig:
    """How long phases are sought."""

    mel: MelConfig
    iterations: int
    momentum: float  # 0 = the classical rule

    def __post_init__(self):
        if self.mel.window_samples % (2 * self.mel.hop_samples):
            raise ConfigError(
                f"griffin_lim needs mel.window_samples to be an even multiple of {self.mel.hop_samples}, "
                f"got {self.mel.window_samples}"
            )
        if self.iterations < 0 or not 0 <= self.momentum < 1:
            raise ConfigError(
                f"griffin_lim needs iterations >= 0 and momentum in [0, 1), got {self.iterations}, {self.momentum}"
            )


class GriffinLim(nn.Module):
    """A vocoder for those who ask for it by name; nothing falls back to it.

    Bands are spread over bins by the pseudo-inverse of the filters, then phases are found by going to and fro between
    wave and spectrum. Deterministic: all phases start at zero.
    Source: D. Griffin, J. Lim (1984) with the momentum of N. Perraudin et al. (2013).
    """

    def __init__(self, mel: MelConfig, *, iterations: int = 60, momentum: float = 0.99):
        super().__init__()
        self.config = GriffinLimConfig(mel=mel, iterations=iterations, momentum=momentum)
        # Filters on the grid of the window's own length, brought to the scale of the mel's transform.
        filters = LogMel(replace(mel, fft_size=mel.window_samples)).filters  # [F, M]
        spread = torch.linalg.pinv(filters * (mel.fft_size / mel.window_samples))
        self.register_buffer("spread", spread, persistent=False)  # [M, F]
        self.inverse = InverseSTFT(mel.window_samples, mel.hop_samples, mel.padding)

    @torch.no_grad()
    def forward(
        self, mel: Float[Tensor, "B T M"], is_padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B N"]:
        """Synthesize; each item's samples are those it would have alone, zeros follow."""
        inverse, momentum = self.inverse, self.config.momentum
        magnitude = (mel.float().exp() @ self.spread).clamp(min=0)
        if is_padding is not None:
            magnitude = magnitude.masked_fill(is_padding[..., None], 0)
        spectrum, before = magnitude.to(torch.complex64), torch.zeros((), device=mel.device)
        for _ in range(self.config.iterations if mel.shape[1] > inverse.missing_frames else 0):
            wave = inverse(spectrum.real, spectrum.imag, is_padding)
            wave = nn.functional.pad(wave, (inverse.margin, inverse.margin))
            again = torch.fft.rfft(wave.unfold(-1, inverse.fft_size, inverse.hop_samples) * inverse.window)
            ahead = again + momentum * (again - before)
            before = again
            spectrum = magnitude * ahead / ahead.abs().clamp(min=1e-8)
        return inverse(spectrum.real, spectrum.imag, is_padding)


def griffin_lim(
    mel: Float[Tensor, "B T M"], config: MelConfig, *, iterations: int = 60, momentum: float = 0.99
) -> Float[Tensor, "B N"]:
    """:class:`GriffinLim` for one call.

    Raises:
        ConfigError: the window is not an even multiple of the hop.
    """
    return GriffinLim(config, iterations=iterations, momentum=momentum).to(mel.device)(mel)
