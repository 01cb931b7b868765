"""Convolutions over frames, laid out [B, T, C]: causal or centred, ConvNeXt blocks, and resampling by a stride.

Causal layers also run in chunks: ``y, memory = layer.stream(x, memory)`` gives, over all calls together, what one
forward pass over the joined chunks gives; the memory is None before the first chunk and holds the frames still needed.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class Conv1d(nn.Module):
    """A convolution over frames that keeps their number.

    The kernel reaches back only (``causal``) or lies centred. Frames behind the end of an item (``is_padding``)
    are read as zeros, exactly like the frames beyond the end of the tensor, so a padded batch equals its items.

    Args:
        in_channels: channels read.
        out_channels: channels written.
        kernel_size: frames that one output sees; odd where the kernel is centred.
        causal: whether frame t may read frames up to t only.
        groups: equal to both channel counts for a depthwise convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, causal: bool, groups: int = 1):
        super().__init__()
        if not causal and kernel_size % 2 == 0:
            raise ValueError(f"a centred kernel needs an odd size, got {kernel_size}")
        self.reach = (kernel_size - 1, 0) if causal else (kernel_size // 2, kernel_size // 2)  # frames back, ahead
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.trunc_normal_(self.weight, std=(in_channels // groups * kernel_size) ** -0.5)

    def forward(
        self, x: Float[Tensor, "B T C"], is_padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T E"]:
        """Convolve over frames."""
        if is_padding is not None:
            x = x.masked_fill(is_padding[..., None], 0)
        return self._convolve(F.pad(x, (0, 0, *self.reach)))

    def stream(
        self, x: Float[Tensor, "B T C"], memory: Float[Tensor, "B R C"] | None = None
    ) -> tuple[Float[Tensor, "B T E"], Float[Tensor, "B R C"]]:
        """Convolve the next chunk, of any length; the memory is the last ``kernel_size - 1`` frames so far.

        Raises:
            ValueError: the kernel reaches ahead.
        """
        back, ahead = self.reach
        if ahead:
            raise ValueError("a centred convolution reads frames that have not come yet; only a causal one can stream")
        if memory is None:
            memory = x.new_zeros(x.shape[0], back, x.shape[2])
        joined = torch.cat([memory, x], dim=1)
        kept = joined[:, x.shape[1] :].clone()  # a view would keep the whole chunk alive
        if x.shape[1] == 0:  # a chunk too short for the stride of an earlier layer
            return x.new_zeros(x.shape[0], 0, self.weight.shape[0]), kept
        return self._convolve(joined), kept

    def _convolve(self, padded: Tensor) -> Tensor:
        # [B, C, 1, T] whose memory is still [B, T, C]: the channels-last image kernels take it as it lies. For a
        # depthwise kernel that is 6 times faster on a CPU than conv1d over a transposed copy (1.2 ms against 7.6 ms,
        # forward and backward, [16, 64, 256], one thread); bf16 is slower than fp32 there (2.4 ms), so it stays off.
        image = padded.transpose(1, 2).unsqueeze(2)
        weight = self.weight.unsqueeze(2)
        if self.groups > 1:
            with torch.autocast(padded.device.type, enabled=False):
                y = F.conv2d(image.float(), weight.float(), self.bias.float(), groups=self.groups)
        else:
            y = F.conv2d(image, weight, self.bias)
        return y.squeeze(2).transpose(1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over frames, then a two-layer network over channels, added to the input.

    Source: A ConvNet for the 2020s (arXiv:2201.03545) in one dimension, as in Vocos (arXiv:2306.00814).

    Args:
        dim: channels.
        hidden: channels between the two linear layers.
        kernel_size: frames of the depthwise kernel.
        causal: whether frame t may read frames up to t only.
        initial_scale: starting value of the learned scale of each channel's update; 1 / number of blocks is usual.
    """

    def __init__(self, dim: int, hidden: int, *, kernel_size: int = 7, causal: bool, initial_scale: float = 1.0):
        super().__init__()
        self.depthwise = Conv1d(dim, dim, kernel_size, causal=causal, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.widen = nn.Linear(dim, hidden)
        self.narrow = nn.Linear(hidden, dim)
        self.scale = nn.Parameter(torch.full((dim,), float(initial_scale)))

    def forward(
        self, x: Float[Tensor, "B T C"], is_padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """Refine each frame from its neighbours."""
        return self._refine(x, self.depthwise(x, is_padding))

    def stream(
        self, x: Float[Tensor, "B T C"], memory: Float[Tensor, "B R C"] | None = None
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B R C"]]:
        """Refine the next chunk; only a causal block can, and its memory is that of its convolution."""
        mixed, memory = self.depthwise.stream(x, memory)
        return self._refine(x, mixed), memory

    def _refine(self, x: Tensor, mixed: Tensor) -> Tensor:
        return x + self.scale * self.narrow(F.gelu(self.widen(self.norm(mixed))))


class Downsample(nn.Module):
    """Merge each ``stride`` frames into one: normalise, lay side by side, one linear layer.

    The number of frames must be a multiple of the stride; merged frame i reads frames i*stride .. (i+1)*stride - 1.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.merge = nn.Linear(stride * in_channels, out_channels)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B S E"]:
        """[B, T, C] -> [B, T / stride, E]."""
        batch, frames, channels = x.shape
        return self.merge(self.norm(x).reshape(batch, frames // self.stride, self.stride * channels))

    def stream(
        self, x: Float[Tensor, "B T C"], memory: Float[Tensor, "B R C"] | None = None
    ) -> tuple[Float[Tensor, "B S E"], Float[Tensor, "B Q C"]]:
        """Merge what is whole so far; the memory is the frames, fewer than ``stride``, that wait for more."""
        joined = x if memory is None else torch.cat([memory, x], dim=1)
        whole = joined.shape[1] // self.stride * self.stride
        return self(joined[:, :whole]), joined[:, whole:].clone()


class Upsample(nn.Module):
    """Split each frame into ``stride`` frames: normalise, one linear layer, unfold. The mirror of Downsample."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.split = nn.Linear(in_channels, stride * out_channels)

    def forward(self, x: Float[Tensor, "B S E"]) -> Float[Tensor, "B T C"]:
        """[B, T / stride, E] -> [B, T, C]."""
        batch, frames, _ = x.shape
        return self.split(self.norm(x)).reshape(batch, frames * self.stride, self.split.out_features // self.stride)


Memory = list[Tensor | None]  # of each layer of a stack, in order


def stream_layers(
    layers: Iterable[nn.Module], x: Float[Tensor, "B T C"], memory: Memory | None = None
) -> tuple[Float[Tensor, "B S E"], Memory]:
    """Run the next chunk through a stack: layers without a ``stream`` of their own must treat each frame alone."""
    layers = list(layers)
    kept: Memory = []
    for layer, before in zip(layers, memory or [None] * len(layers), strict=True):
        if hasattr(layer, "stream"):
            x, before = layer.stream(x, before)
        else:
            x = layer(x)
        kept.append(before)
    return x, kept
