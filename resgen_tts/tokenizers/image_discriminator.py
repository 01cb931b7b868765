"""The discriminator of pictures, its hinge losses, and the weight that balances it against the reconstruction."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from resgen_tts.common.errors import ConfigError

MAX_ADAPTIVE_WEIGHT = 1e4
_ADAPTIVE_EPSILON = 1e-4  # beside the gradient of the adversarial loss


@dataclass(frozen=True, kw_only=True)
class PatchDiscriminatorConfig:
    """Sizes of the judge of patches; the defaults are RQ-VAE's."""

    layers: int = 2  # convolutions of stride 2; a score sees 34 pixels with 2, 16 with 1
    width: int = 64  # channels after the first; they double with each, up to 8 times

    def __post_init__(self):
        if self.layers < 1 or self.width < 1:
            raise ConfigError(
                f"image_discriminator needs layers and width of at least 1, got {self.layers}, {self.width}"
            )


class PatchDiscriminator(nn.Module):
    """A score of every patch of a picture: high where it looks real.

    The batch norms always use the statistics of the batch at hand, real and decoded pictures each on their own, and
    keep no averages, since the judge is only ever used in training.
    Source: PatchGAN of pix2pix (arXiv:1611.07004), its initial weights included, as RQ-VAE sets it (arXiv:2203.01941).

    Raises:
        ConfigError: pictures are so small that no score is left.
    """

    def __init__(self, config: PatchDiscriminatorConfig, channels_in: int, image_size: int):
        super().__init__()
        if image_size >> config.layers < 3:  # each of the last two convolutions takes one row
            raise ConfigError(
                f"discriminator.layers = {config.layers} leaves nothing of pictures of {image_size} x {image_size}",
                hint="Use fewer.",
            )
        layers: list[nn.Module] = [nn.Conv2d(channels_in, config.width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        width = config.width
        for index in range(1, config.layers + 1):
            next_width = config.width * min(2**index, 8)
            stride = 2 if index < config.layers else 1
            layers += [
                nn.Conv2d(width, next_width, 4, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(next_width, track_running_stats=False),
                nn.LeakyReLU(0.2),
            ]
            width = next_width
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, padding=1))
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1.0, 0.02)

    def forward(self, images: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B 1 rows columns"]:
        """Scores of the patches of pictures in [-1, 1]."""
        return self.layers(images)


def hinge_discriminator_loss(real: Float[Tensor, "*shape"], decoded: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """``(mean max(0, 1 - real) + mean max(0, 1 + decoded)) / 2`` of scores. Source: arXiv:1705.02894."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + decoded).mean())


def hinge_generator_loss(decoded: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """``-mean decoded`` of scores."""
    return -decoded.mean()


def adaptive_weight(
    reconstruction: Float[Tensor, ""], adversarial: Float[Tensor, ""], last_layer: Tensor
) -> Float[Tensor, ""]:
    """``|grad reconstruction| / (|grad adversarial| + 1e-4)`` at the last layer, in [0, 1e4]; takes no gradient itself.

    With it the adversarial loss pulls at the last layer as hard as the reconstruction does, whatever their scales. Both
    losses keep their graphs. Where several processes train, each takes the weight of its own batch, as RQ-VAE's do.
    Source: VQGAN (arXiv:2012.09841), equation 7.
    """
    norms = [
        torch.autograd.grad(loss, last_layer, retain_graph=True)[0].norm() for loss in (reconstruction, adversarial)
    ]
    return (norms[0] / (norms[1] + _ADAPTIVE_EPSILON)).clamp(0, MAX_ADAPTIVE_WEIGHT).detach()
