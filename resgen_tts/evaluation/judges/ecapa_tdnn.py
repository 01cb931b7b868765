"""The ECAPA-TDNN head of a speaker verifier: frames of a speech encoder in, one voice print out.

Source: ECAPA-TDNN (arXiv:2005.07143), in the small form of UniSpeech's verifiers (arXiv:2110.05777): ReLU comes before
every batch norm, the attention sees a frame without the utterance's mean and deviation, the blocks are chained.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

FIRST_KERNEL, KERNEL = 5, 3  # frames
DILATIONS = (2, 3, 4)  # of the three blocks
SMALLEST_VARIANCE = 1e-9  # below it a channel's deviation over time is cut off


@dataclass(frozen=True, kw_only=True)
class EcapaConfig:
    """Widths of the head; the defaults are those of the published verifiers."""

    features: int = 1024  # of a frame that comes in
    channels: int = 512
    groups: int = 8  # parts that a block's channels are worked on in, one after the other
    squeezed: int = 128  # inside a block's gate
    pooled: int = 1536  # channels whose statistics are taken
    attention: int = 128
    embedding: int = 256


class EcapaTdnn(nn.Module):
    """One vector per utterance, not normalised; it has no way to leave padding out, so utterances come one by one."""

    def __init__(self, config: EcapaConfig):
        super().__init__()
        self.config = config
        channels = config.channels
        self.entry = _ConvReluNorm(config.features, channels, FIRST_KERNEL)
        self.blocks = nn.ModuleList(_Block(config, dilation) for dilation in DILATIONS)
        self.merge = nn.Conv1d(len(DILATIONS) * channels, config.pooled, 1)
        self.pooling = _AttentivePooling(config.pooled, config.attention)
        self.norm = nn.BatchNorm1d(2 * config.pooled)
        self.project = nn.Linear(2 * config.pooled, config.embedding)

    def forward(self, frames: Float[Tensor, "B F T"]) -> Float[Tensor, "B E"]:
        """Voice prints of utterances of one length, of two frames at least."""
        hidden = self.entry(functional.instance_norm(frames))
        reached = []
        for block in self.blocks:
            hidden = block(hidden)
            reached.append(hidden)
        merged = functional.relu(self.merge(torch.cat(reached, dim=1)))
        return self.project(self.norm(self.pooling(merged)))


class _ConvReluNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, hidden: Float[Tensor, "B C T"]) -> Float[Tensor, "B O T"]:
        return self.norm(functional.relu(self.conv(hidden)))


class _Cascade(nn.Module):
    """Groups of channels: each one but the last is convolved after the result of the one before was added."""

    def __init__(self, channels: int, groups: int, dilation: int):
        super().__init__()
        width = channels // groups
        self.layers = nn.ModuleList(_ConvReluNorm(width, width, KERNEL, dilation) for _ in range(groups - 1))

    def forward(self, hidden: Float[Tensor, "B C T"]) -> Float[Tensor, "B C T"]:
        *worked, untouched = hidden.chunk(len(self.layers) + 1, dim=1)
        results: list[Tensor] = []
        for part, layer in zip(worked, self.layers, strict=True):
            results.append(layer(part + results[-1] if results else part))
        return torch.cat([*results, untouched], dim=1)


class _Gate(nn.Module):
    """Scales every channel by what the means of all channels over time say."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.down = nn.Linear(channels, squeezed)
        self.up = nn.Linear(squeezed, channels)

    def forward(self, hidden: Float[Tensor, "B C T"]) -> Float[Tensor, "B C T"]:
        opened = torch.sigmoid(self.up(functional.relu(self.down(hidden.mean(dim=-1)))))
        return hidden * opened[..., None]


class _Block(nn.Module):
    def __init__(self, config: EcapaConfig, dilation: int):
        super().__init__()
        self.enter = _ConvReluNorm(config.channels, config.channels, 1)
        self.cascade = _Cascade(config.channels, config.groups, dilation)
        self.leave = _ConvReluNorm(config.channels, config.channels, 1)
        self.gate = _Gate(config.channels, config.squeezed)

    def forward(self, hidden: Float[Tensor, "B C T"]) -> Float[Tensor, "B C T"]:
        return hidden + self.gate(self.leave(self.cascade(self.enter(hidden))))


class _AttentivePooling(nn.Module):
    """Mean and deviation over time, every channel with its own weights of the frames."""

    def __init__(self, channels: int, attention: int):
        super().__init__()
        self.inner = nn.Conv1d(channels, attention, 1)
        self.outer = nn.Conv1d(attention, channels, 1)

    def forward(self, hidden: Float[Tensor, "B C T"]) -> Float[Tensor, "B 2*C"]:
        weights = torch.softmax(self.outer(torch.tanh(self.inner(hidden))), dim=-1)
        mean = (weights * hidden).sum(dim=-1)
        variance = (weights * hidden.square()).sum(dim=-1) - mean.square()
        return torch.cat([mean, variance.clamp(min=SMALLEST_VARIANCE).sqrt()], dim=-1)
