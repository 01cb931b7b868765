"""Vocoder: log-mel to wave by a convolutional backbone and an inverse-STFT head; Griffin-Lim as a named fallback."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.nn.convolution import Conv1d, ConvNeXtBlock
from resgen_tts.tokenizers.log_mel import LogMel, MelConfig


@dataclass(frozen=True, kw_only=True)
class VocoderConfig:
    """Sizes of a vocoder; the defaults are those of ``egs/mini``."""

    mel: MelConfig = field(default_factory=MelConfig)
    fft_size: int = 800  # of the head, samples; a multiple of mel.hop_samples
    dim: int = 256  # channels of the backbone
    hidden: int = 768  # channels inside a block
    blocks: int = 4
    kernel_size: int = 7  # frames
    mel_offset: float = -5.0  # the network sees (mel - mel_offset) / mel_scale
    mel_scale: float = 2.5
    max_magnitude: float = 100.0  # magnitudes of the head are clipped here

    def __post_init__(self):
        if self.fft_size % (2 * self.mel.hop_samples):
            raise ConfigError(
                f"vocoder.fft_size must be an even multiple of the hop {self.mel.hop_samples}, got {self.fft_size}"
            )
        if min(self.dim, self.hidden, self.blocks) < 1 or self.kernel_size % 2 == 0:
            raise ConfigError(
                "vocoder needs dim, hidden, blocks >= 1 and an odd kernel_size, "
                f"got {self.dim}, {self.hidden}, {self.blocks}, {self.kernel_size}"
            )
        if self.mel_scale <= 0 or self.max_magnitude <= 0:
            raise ConfigError(
                f"vocoder needs mel_scale > 0 and max_magnitude > 0, got {self.mel_scale}, {self.max_magnitude}"
            )


class Vocoder(nn.Module):
    """Log-mel [B, T, M] to wave [B, T * hop]: ConvNeXt blocks at the mel rate, then one inverse STFT.

    Source: Vocos (arXiv:2306.00814).
    """

    def __init__(self, config: VocoderConfig):
        super().__init__()
        self.config = config
        self.embed = Conv1d(config.mel.num_mels, config.dim, config.kernel_size, causal=False)
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(
                config.dim,
                config.hidden,
                kernel_size=config.kernel_size,
                causal=False,
                initial_scale=1 / config.blocks,
            )
            for _ in range(config.blocks)
        )
        self.final_norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.head = nn.Linear(config.dim, config.fft_size + 2)
        self.inverse = InverseSTFT(config.fft_size, config.mel.hop_samples)

    def forward(
        self, mel: Float[Tensor, "B T M"], is_padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B N"]:
        """Synthesize; each item's first frames * hop samples are those it would have alone, zeros follow."""
        config = self.config
        x = self.norm(self.embed((mel - config.mel_offset) / config.mel_scale, is_padding))
        for block in self.blocks:
            x = block(x, is_padding)
        log_magnitude, phase = self.head(self.final_norm(x)).float().chunk(2, dim=-1)
        magnitude = log_magnitude.exp().clamp(max=config.max_magnitude)
        return self.inverse(magnitude * phase.cos(), magnitude * phase.sin(), is_padding)


class InverseSTFT(nn.Module):
    """Overlap-add of Hann-windowed inverse transforms; frame t is centred on sample (t + 1/2) hop, as in LogMel.

    Unlike ``torch.istft`` it keeps exactly T * hop samples (the "same" padding of Vocos).
    """

    def __init__(self, fft_size: int, hop_samples: int):
        super().__init__()
        self.fft_size, self.hop_samples = fft_size, hop_samples
        self.register_buffer("window", torch.hann_window(fft_size), persistent=False)

    def forward(
        self,
        real: Float[Tensor, "B T F"],
        imaginary: Float[Tensor, "B T F"],
        is_padding: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B N"]:
        """Spectra to samples, N = T * hop; padded frames give nothing and take no share of the window sum."""
        with torch.autocast(real.device.type, enabled=False):
            frames = torch.fft.irfft(torch.complex(real.float(), imaginary.float()), n=self.fft_size) * self.window
            weight = self.window.square().expand(frames.shape[0] if is_padding is not None else 1, *frames.shape[1:])
            if is_padding is not None:
                frames = frames.masked_fill(is_padding[..., None], 0)
                weight = weight.masked_fill(is_padding[..., None], 0)
            wave = self._overlap_add(frames) / self._overlap_add(weight).clamp(min=1e-8)
        if is_padding is not None:
            wave = wave.masked_fill(is_padding.repeat_interleave(self.hop_samples, dim=1), 0)
        return wave

    def _overlap_add(self, frames: Tensor) -> Tensor:
        batch, count, size = frames.shape
        hop = self.hop_samples
        parts = frames.reshape(batch, count, size // hop, hop).unbind(2)  # each shifted by one hop more
        total = sum(
            nn.functional.pad(part.reshape(batch, count * hop), (k * hop, (len(parts) - 1 - k) * hop))
            for k, part in enumerate(parts)
        )
        margin = (size - hop) // 2
        return total[:, margin : margin + count * hop]


@torch.no_grad()
def griffin_lim(
    mel: Float[Tensor, "B T M"], config: MelConfig, *, iterations: int = 60, momentum: float = 0.99
) -> Float[Tensor, "B N"]:
    """The fallback without training: spread bands over bins, then find phases by going to and fro.

    Deterministic: all phases start at zero. Source: D. Griffin, J. Lim (1984) with the momentum of N. Perraudin et
    al. (2013).
    Raises:
        ConfigError: the window is not an even multiple of the hop.
    """
    size, hop = config.window_samples, config.hop_samples
    if size % (2 * hop):
        raise ConfigError(f"griffin_lim needs mel.window_samples to be an even multiple of {hop}, got {size}")
    # Filters on the grid of the window's own length, brought to the scale of the mel's transform.
    filters = LogMel(replace(config, fft_size=size)).filters.to(mel.device)  # [F, M]
    spread = torch.linalg.pinv(filters * (config.fft_size / size))
    magnitude = (mel.float().exp() @ spread).clamp(min=0)
    inverse = InverseSTFT(size, hop).to(mel.device)
    spectrum, before = magnitude.to(torch.complex64), torch.zeros((), device=mel.device)
    for _ in range(iterations):
        wave = nn.functional.pad(inverse(spectrum.real, spectrum.imag), ((size - hop) // 2,) * 2)
        again = torch.fft.rfft(wave.unfold(-1, size, hop) * inverse.window)
        ahead = again + momentum * (again - before)
        before = again
        spectrum = magnitude * ahead / ahead.abs().clamp(min=1e-8)
    return inverse(spectrum.real, spectrum.imag)


class GriffinLim(nn.Module):
    """:func:`griffin_lim` in a vocoder's place, for those who ask for it by name; nothing falls back to it."""

    def __init__(self, mel: MelConfig):
        super().__init__()
        self.config = VocoderConfig(mel=mel, fft_size=2 * mel.hop_samples)

    def forward(
        self, mel: Float[Tensor, "B T M"], is_padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B N"]:
        """Synthesize; zeros behind each item's end."""
        wave = griffin_lim(mel, self.config.mel)
        if is_padding is not None:
            wave = wave.masked_fill(is_padding.repeat_interleave(self.config.mel.hop_samples, dim=1), 0)
        return wave


VOCODERS = {
    "mini": VocoderConfig(),
    # Vocos' published size (dim 512, 8 blocks, 1536), on the mel of the paper's vocoder.
    "paper": VocoderConfig(
        mel=MelConfig(sample_rate=22_050, fft_size=1024, window_samples=1024, hop_samples=256, num_mels=80),
        fft_size=1024,
        dim=512,
        hidden=1536,
        blocks=8,
    ),
}
