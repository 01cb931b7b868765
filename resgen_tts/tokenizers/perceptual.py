"""LPIPS: how different two pictures look, by the features of a network that was trained to tell objects apart."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.common.weight_files import read_weights

WIDTHS = (64, 128, 256, 512, 512)  # channels of VGG16's five stages
CONVOLUTIONS = (2, 2, 3, 3, 3)  # in each of them
LEAST_PIXELS = 16  # the last stage sees a sixteenth of each side
# Pictures in [-1, 1] to what VGG16 was trained on: ImageNet's mean and deviation, rounded as LPIPS does.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPSILON = 1e-10  # beside the length of a feature vector


@dataclass(frozen=True, kw_only=True)
class PerceptualFiles:
    """Where the weights of LPIPS lie; they are published by others and no part of this package."""

    vgg: str = ""  # VGG16 as torchvision publishes it (vgg16-397923af.pth), or as .safetensors; "" = none
    linear: str = ""  # weights of the channels, as the package lpips carries them (weights/v0.1/vgg.pth); "" = none
    allow_pickle: bool = False  # read .pth files, as plain tensors only


class LPIPS(nn.Module):
    """The learned perceptual distance on VGG16, frozen; random until ``load_lpips`` fills it.

    At each of VGG16's five stages the feature vector of every pixel is brought to length 1; the squared differences of
    the two pictures' vectors are weighted by channel, summed, and averaged over pixels. The stages' values add up.
    Source: LPIPS (arXiv:1801.03924), version 0.1.
    """

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList()
        channels = 3
        for width, count in zip(WIDTHS, CONVOLUTIONS, strict=True):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if self.stages else []
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            self.stages.append(nn.Sequential(*layers))
        self.channel_weights = nn.ParameterList(torch.full((width,), 1 / width) for width in WIDTHS)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        self.eval().requires_grad_(False)

    def forward(
        self, pictures: Float[Tensor, "B channels height width"], others: Float[Tensor, "B channels height width"]
    ) -> Float[Tensor, " B"]:
        """The distance of each pair of pictures in [-1, 1]; grey ones count as colour.

        Raises:
            ConfigError: pictures are smaller than 16 x 16.
        """
        if min(pictures.shape[-2:]) < LEAST_PIXELS:
            raise ConfigError(f"LPIPS needs pictures of at least {LEAST_PIXELS} pixels, got {tuple(pictures.shape)}.")
        ours, theirs = ((x.expand(-1, 3, -1, -1) - self.shift) / self.scale for x in (pictures, others))
        distance = torch.zeros(len(ours), device=ours.device)
        for stage, weights in zip(self.stages, self.channel_weights, strict=True):
            ours, theirs = stage(ours), stage(theirs)
            difference = (_to_unit(ours) - _to_unit(theirs)).square()  # [B, C, H, W]
            distance = distance + (difference * weights[:, None, None]).sum(1).mean((1, 2))
        return distance


def load_lpips(files: PerceptualFiles) -> LPIPS:
    """LPIPS with published weights.

    Raises:
        ConfigError: a file is not named.
        CheckpointError: a file is missing, a pickle that was not allowed, or of another layout.
    """
    if not files.vgg or not files.linear:
        raise ConfigError(
            "LPIPS needs the files perceptual.vgg and perceptual.linear.",
            hint="torchvision publishes the first (vgg16-397923af.pth), the package lpips carries the second.",
        )
    vgg = read_weights(Path(files.vgg), allow_pickle=files.allow_pickle)
    linear = read_weights(Path(files.linear), allow_pickle=files.allow_pickle)
    model, place = LPIPS(), 0  # place: of the layer among torchvision's ``features``
    try:
        for stage in model.stages:
            for layer in stage:
                if isinstance(layer, nn.Conv2d):
                    layer.load_state_dict({leaf: vgg[f"features.{place}.{leaf}"] for leaf in ("weight", "bias")})
                place += 1
        for index, weights in enumerate(model.channel_weights):
            weights.copy_(linear[f"lin{index}.model.1.weight"].reshape(weights.shape))
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{files.vgg} and {files.linear} are not VGG16 in torchvision's layout and its LPIPS weights: {error}"
        ) from error
    return model


def _to_unit(features: Tensor) -> Tensor:
    # vector_norm, not the root of a sum: behind rectifiers whole vectors are zero, where the root has no gradient.
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + _EPSILON)
