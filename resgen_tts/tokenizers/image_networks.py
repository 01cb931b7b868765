"""Encoders and decoders of the image VAE: convolutions in two layouts, none of them with attention."""

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, convolution, twice, beside a shortcut, which is a 1x1 convolution where widths differ."""

    def __init__(self, in_width: int, out_width: int, groups: int):
        super().__init__()
        self.layers = nn.Sequential(
            *_norm(groups, in_width),
            nn.Conv2d(in_width, out_width, 3, padding=1),
            *_norm(groups, out_width),
            nn.Conv2d(out_width, out_width, 3, padding=1),
        )
        self.shortcut = nn.Identity() if in_width == out_width else nn.Conv2d(in_width, out_width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_width, H, W] -> [B, out_width, H, W]."""
        return self.shortcut(x) + self.layers(x)


def plain_encoder(
    channels_in: int, widths: tuple[int, ...], blocks: tuple[int, ...], groups: int, dim: int
) -> nn.Sequential:
    """Small: strided convolutions change the width, no blocks but those asked for, a 1x1 convolution to the latent."""
    layers: list[nn.Module] = [nn.Conv2d(channels_in, widths[0], 3, padding=1)]
    for index, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        if index:
            layers.append(nn.Conv2d(widths[index - 1], width, 3, stride=2, padding=1))
        layers += [ResidualBlock(width, width, groups) for _ in range(count)]
    return nn.Sequential(*layers, *_norm(groups, widths[-1]), nn.Conv2d(widths[-1], dim, 1))


def plain_decoder(
    channels_in: int, widths: tuple[int, ...], blocks: tuple[int, ...], groups: int, dim: int
) -> nn.Sequential:
    """The mirror of ``plain_encoder``: nearest neighbours and a convolution instead of each strided one."""
    layers: list[nn.Module] = [nn.Conv2d(dim, widths[-1], 1)]
    for index in reversed(range(len(widths))):
        layers += [ResidualBlock(widths[index], widths[index], groups) for _ in range(blocks[index])]
        if index:
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(widths[index], widths[index - 1], 3, padding=1)]
    return nn.Sequential(*layers, *_norm(groups, widths[0]), nn.Conv2d(widths[0], channels_in, 3, padding=1))


def vqgan_encoder(
    channels_in: int, widths: tuple[int, ...], blocks: tuple[int, ...], groups: int, dim: int, z_channels: int
) -> nn.Sequential:
    """VQGAN's: blocks change the width, two more in the middle; a 3x3 and then a 1x1 convolution to the latent.

    Strided convolutions are padded on the right and below only. Layers stand in the order of the published network, so
    that its weights can be poured in one after the other.
    Source: VQGAN (arXiv:2012.09841) as RQ-VAE sets it (arXiv:2203.01941), without its attention layers.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels_in, widths[0], 3, padding=1)]
    width = widths[0]
    for index, (next_width, count) in enumerate(zip(widths, blocks, strict=True)):
        if index:
            layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2)]
        layers += _blocks(width, next_width, count, groups)
        width = next_width
    layers += _blocks(width, width, 2, groups)
    to_latent = nn.Conv2d(width, z_channels, 3, padding=1), nn.Conv2d(z_channels, dim, 1)
    return nn.Sequential(*layers, *_norm(groups, width), *to_latent)


def vqgan_decoder(
    channels_in: int, widths: tuple[int, ...], blocks: tuple[int, ...], groups: int, dim: int, z_channels: int
) -> nn.Sequential:
    """The mirror of ``vqgan_encoder``, with one block more at each resolution."""
    width = widths[-1]
    layers: list[nn.Module] = [nn.Conv2d(dim, z_channels, 1), nn.Conv2d(z_channels, width, 3, padding=1)]
    layers += _blocks(width, width, 2, groups)
    for index in reversed(range(len(widths))):
        layers += _blocks(width, widths[index], blocks[index] + 1, groups)
        width = widths[index]
        if index:
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)]
    return nn.Sequential(*layers, *_norm(groups, width), nn.Conv2d(width, channels_in, 3, padding=1))


def _norm(groups: int, width: int) -> tuple[nn.Module, nn.Module]:
    """GroupNorm and SiLU."""
    return nn.GroupNorm(groups, width, eps=1e-6), nn.SiLU()


def _blocks(in_width: int, out_width: int, count: int, groups: int) -> list[nn.Module]:
    return [ResidualBlock(out_width if index else in_width, out_width, groups) for index in range(count)]
