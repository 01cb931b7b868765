"""BigVGAN: log-mel to wave by transposed convolutions and residual blocks of periodic, anti-aliased activations.

Inside, signals are images [B, C, 1, T] whose memory is [B, T, C]: on a CPU dense convolutions are as fast as over
[B, C, T], and depthwise ones, of which every activation has four, several times faster.
"""

from dataclasses import dataclass, field
from math import pi, prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from resgen_tts.common.errors import ConfigError
from resgen_tts.tokenizers.log_mel import MELS, MelConfig


@dataclass(frozen=True, kw_only=True)
class BigVGANConfig:
    """Sizes of a BigVGAN; the defaults are those of the published 22.05 kHz model of 112 M parameters."""

    mel: MelConfig = field(default_factory=lambda: MELS["hifigan_22khz"])
    channels: int = 1536  # at the mel rate; halved by every step up
    rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)  # steps up; their product is mel.hop_samples
    rate_kernels: tuple[int, ...] = (8, 8, 4, 4, 4, 4)  # kernel of each step up
    block_kernels: tuple[int, ...] = (3, 7, 11)  # of the blocks behind each step, whose outputs are averaged
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))  # of the layers of each block
    second_convolution: bool = True  # whether each layer has an undilated convolution too ("AMPBlock1")
    separate_height: bool = True  # whether the sine's height is learned apart from its frequency ("SnakeBeta")
    log_parameters: bool = True  # whether both are kept as logarithms
    final_tanh: bool = True  # else the wave is clipped
    final_bias: bool = True

    def __post_init__(self):
        for name in ("rates", "rate_kernels", "block_kernels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "dilations", tuple(tuple(each) for each in self.dilations))
        if self.mel.padding != "same":
            raise ConfigError(f"bigvgan makes one hop a frame and needs mel.padding same, got {self.mel.padding}")
        if not self.rates or prod(self.rates) != self.mel.hop_samples:
            raise ConfigError(f"the product of bigvgan.rates must be the hop {self.mel.hop_samples}, got {self.rates}")
        if len(self.rate_kernels) != len(self.rates) or any(
            kernel < rate or (kernel - rate) % 2 for kernel, rate in zip(self.rate_kernels, self.rates, strict=True)
        ):
            raise ConfigError(
                "bigvgan.rate_kernels must have one entry a rate, each at least the rate and even or odd with it, "
                f"got {self.rate_kernels} for {self.rates}"
            )
        if not self.block_kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in self.block_kernels):
            raise ConfigError(f"bigvgan.block_kernels must be odd, got {self.block_kernels}")
        positive = all(min(each, default=0) > 0 for each in self.dilations)
        if len(self.dilations) != len(self.block_kernels) or not positive:
            raise ConfigError(
                f"bigvgan.dilations must have one tuple of positive numbers a block kernel, got {self.dilations}"
            )
        if self.channels < 1 or self.channels % 2 ** len(self.rates):
            raise ConfigError(f"bigvgan.channels must halve {len(self.rates)} times, got {self.channels}")


class BigVGAN(nn.Module):
    """Log-mel [B, T, M] to wave [B, T * hop] in [-1, 1].

    Source: BigVGAN (arXiv:2206.04658).
    """

    def __init__(self, config: BigVGANConfig):
        super().__init__()
        self.config = config
        widths = [config.channels // 2**step for step in range(len(config.rates) + 1)]
        self.first = _convolution(config.mel.num_mels, widths[0], 7)
        self.stages = nn.ModuleList(_Stage(config, step, widths[step]) for step in range(len(config.rates)))
        self.activation = PeriodicActivation(widths[-1], config)
        self.last = _convolution(widths[-1], 1, 7, bias=config.final_bias)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, std=0.01)

    def forward(
        self, mel: Float[Tensor, "B T M"], is_padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B N"]:
        """Synthesize; each item's first frames * hop samples are those it would have alone, zeros follow.

        Its layers continue an item behind its end in two ways (convolutions by zeros, activations by the last value),
        so items of different lengths are cut and run one length after another.
        """
        if is_padding is None:
            return self._synthesize(mel)
        hop, frames = self.config.mel.hop_samples, (~is_padding).sum(dim=1)
        wave = mel.new_zeros(mel.shape[0], mel.shape[1] * hop)
        for length in frames.unique().tolist():
            rows = (frames == length).nonzero()[:, 0]
            made = self._synthesize(mel[rows, :length])
            wave = wave.index_copy(0, rows, F.pad(made, (0, wave.shape[1] - made.shape[1])).to(wave.dtype))
        return wave

    def _synthesize(self, mel: Tensor) -> Tensor:
        if mel.shape[1] == 0:
            return mel.new_zeros(mel.shape[0], 0)
        x = self.first(_image(mel))
        for stage in self.stages:
            x = stage(x)
        x = self.last(self.activation(x))[:, 0, 0]
        return x.tanh() if self.config.final_tanh else x.clamp(-1, 1)


class _Stage(nn.Module):
    """One step up, and the mean of several blocks: [B, C, 1, T] -> [B, C / 2, 1, T * rate]."""

    def __init__(self, config: BigVGANConfig, step: int, channels: int):
        super().__init__()
        rate, kernel = config.rates[step], config.rate_kernels[step]
        self.rise = nn.ConvTranspose2d(
            channels, channels // 2, (1, kernel), (1, rate), padding=(0, (kernel - rate) // 2)
        )
        self.blocks = nn.ModuleList(
            _Block(channels // 2, size, dilations, config)
            for size, dilations in zip(config.block_kernels, config.dilations, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.rise(x)
        return sum(block(x) for block in self.blocks) / len(self.blocks)


class _Block(nn.Module):
    """Residual layers, each an activation and a dilated convolution, then perhaps the two again without dilation."""

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...], config: BigVGANConfig):
        super().__init__()
        self.layers = nn.ModuleList()
        for dilation in dilations:
            parts: list[nn.Module] = []
            for each in (dilation, 1) if config.second_convolution else (dilation,):
                parts.append(PeriodicActivation(channels, config))
                parts.append(_convolution(channels, channels, kernel_size, dilation=each))
            self.layers.append(nn.Sequential(*parts))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x


def _convolution(channels: int, outputs: int, kernel_size: int, *, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    """A centred convolution over frames, with zeros beyond both ends."""
    reach = (kernel_size - 1) * dilation // 2
    return nn.Conv2d(channels, outputs, (1, kernel_size), padding=(0, reach), dilation=(1, dilation), bias=bias)


def _image(rows: Tensor) -> Tensor:
    """[B, T, C] seen as [B, C, 1, T]."""
    return rows.transpose(1, 2).unsqueeze(2)


class PeriodicActivation(nn.Module):
    """x + sin(alpha x)^2 / beta between a step up by 2 and a step down by 2, both low-passed against aliases.

    Beyond its ends the signal goes on with its first and last value, at both rates.
    Sources: Snake (arXiv:2006.08195); the filtered nonlinearity of StyleGAN3 (arXiv:2106.12423) in one dimension.

    Args:
        channels: each with an alpha and a beta of its own.
        config: whether beta is learned apart, and whether both are kept as logarithms.
    """

    def __init__(self, channels: int, config: BigVGANConfig):
        super().__init__()
        self.log_parameters = config.log_parameters
        start = torch.zeros(channels) if config.log_parameters else torch.ones(channels)
        self.alpha = nn.Parameter(start)
        self.beta = nn.Parameter(start.clone()) if config.separate_height else None
        rise, fall = _phases(low_pass())
        self.register_buffer("rise", rise, persistent=False)
        self.register_buffer("fall", fall, persistent=False)

    def forward(self, x: Float[Tensor, "B C 1 T"]) -> Float[Tensor, "B C 1 T"]:
        """Activate. The doubled signal is kept as its even and its odd samples, so that no filter needs a stride."""
        rows = x.squeeze(2).transpose(1, 2)  # [B, T, C]
        reach = self.rise.shape[1] // 2
        first, last = (end.expand(-1, 2 * reach, -1) for end in (rows[:, :1], rows[:, -1:]))
        extended = torch.cat([first, rows, last], dim=1)
        even, odd = (self._snake(_filtered(extended, weights)) for weights in self.rise)  # [B, T + 2 * reach, C]
        # What was computed beyond the ends is replaced in place: a copy of both phases would cost as much as a filter.
        first, last = even[:, reach : reach + 1].clone(), odd[:, -reach - 1 : -reach].clone()
        for phase in (even, odd):
            phase[:, :reach] = first
            phase[:, -reach:] = last
        return _image(_filtered(even, self.fall[0]) + _filtered(odd, self.fall[1]))

    def _snake(self, rows: Tensor) -> Tensor:
        alpha = self.alpha
        beta = alpha if self.beta is None else self.beta
        if self.log_parameters:
            alpha, beta = alpha.exp(), beta.exp()
        wave = (rows * alpha).sin()
        return torch.addcmul(rows, wave, wave / (beta + 1e-9))


def _filtered(rows: Tensor, weights: Tensor) -> Tensor:
    """Every channel of [B, T, C] correlated with the same weights, without padding."""
    channels = rows.shape[2]
    kernel = weights.to(rows.dtype).expand(channels, 1, 1, -1)
    return F.conv2d(_image(rows), kernel, groups=channels).squeeze(2).transpose(1, 2)


def low_pass(cutoff: float = 0.25, half_width: float = 0.3, taps: int = 12) -> Float[Tensor, " taps"]:
    """A Kaiser-windowed sinc that sums to 1: the low-pass of a step by 2.

    Args:
        cutoff: cycles per sample, where the response is one half.
        half_width: half the width of the transition, cycles per sample.
        taps: even.
    Source: J. Kaiser (1974), his formulas for attenuation and beta, as in StyleGAN3 (arXiv:2106.12423).
    """
    attenuation = 2.285 * (taps // 2 - 1) * pi * 4 * half_width + 7.95  # dB
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation >= 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    time = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    window = torch.kaiser_window(taps, periodic=False, beta=beta, dtype=torch.float64)
    response = window * torch.sinc(2 * cutoff * time)
    return (response / response.sum()).float()


def _phases(response: Tensor) -> tuple[Tensor, Tensor]:
    """A low-pass in a step by 2, as correlations between a signal and the even and odd samples of the doubled one.

    Doubled sample m is 2 * sum_k response[k] x[(m + taps / 2 - 1 - k) / 2] over the k of even numerator, halved sample
    t is sum_k response[k] y[2 t + k - (taps / 2 - 1)]. Both reach taps / 4 samples to each side.

    Returns:
        weights of the even and the odd samples in the step up, and in the step down, [2, K] each.
    """
    taps = len(response)
    reach = taps // 4
    rise, fall = torch.zeros(2, 2, 2 * reach + 1)
    for k in range(taps):
        shift = k - (taps // 2 - 1)
        fall[shift % 2, shift // 2 + reach] = response[k]
        phase = shift % 2  # the doubled samples whose numerator is even with this k
        rise[phase, (phase - shift) // 2 + reach] = 2 * response[k]
    return rise, fall
