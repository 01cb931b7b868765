"""Image VAE: a convolutional autoencoder of small pictures with residual codes in the middle."""

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.tokenizers.image_networks import plain_decoder, plain_encoder, vqgan_decoder, vqgan_encoder
from resgen_tts.tokenizers.quantizer import PRVQ, QuantizerConfig, QuantizerStatistics


@dataclass(frozen=True, kw_only=True)
class ImageVAEConfig:
    """Sizes of an image VAE; the defaults are those of ``mnist``."""

    image_size: int = 32  # pixels of each side
    channels_in: int = 1  # 1 grey, 3 colour
    widths: tuple[int, ...] = (16, 32, 64, 96)  # channels at each resolution, fine to coarse; each step halves the side
    blocks: tuple[int, ...] = (0, 1, 1, 1)  # residual blocks at each resolution, in encoder and decoder each
    layout: str = "plain"  # "plain", or "vqgan": two blocks more in the middle, one more at each resolution upwards
    z_channels: int = 0  # between the two convolutions at either side of the latent; of the layout "vqgan" only
    norm_groups: int = 8  # of GroupNorm; divides every width
    normalize_latents: bool = True  # each latent has mean 0, variance 1 over its channels (see MelVAEConfig)
    quantizer: QuantizerConfig = field(
        default_factory=lambda: QuantizerConfig(depth=8, codebook_size=256, dim=16, decay=0.99, warmup_vectors=65_536)
    )

    def __post_init__(self):
        for name in ("widths", "blocks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not len(self.widths) == len(self.blocks) >= 1:
            raise ConfigError(
                f"image_vae.widths and image_vae.blocks need one entry each per resolution, "
                f"got {len(self.widths)} and {len(self.blocks)}"
            )
        if self.layout not in ("plain", "vqgan"):
            raise ConfigError(f'image_vae.layout must be "plain" or "vqgan", got {self.layout!r}')
        if (self.z_channels > 0) != (self.layout == "vqgan"):
            raise ConfigError(
                'image_vae.z_channels must be positive with the layout "vqgan" and 0 without, '
                f"got {self.z_channels} with {self.layout!r}"
            )
        if self.channels_in not in (1, 3):
            raise ConfigError(f"image_vae.channels_in must be 1 or 3, got {self.channels_in}")
        if self.norm_groups < 1 or any(width < 1 or width % self.norm_groups for width in self.widths):
            raise ConfigError(f"image_vae.norm_groups = {self.norm_groups} must divide all of widths {self.widths}")
        if any(count < (self.layout == "vqgan") for count in self.blocks):  # only a block changes the width there
            raise ConfigError(
                f'image_vae.blocks must not be negative, nor 0 with the layout "vqgan", got {self.blocks}'
            )
        if self.image_size < self.stride or self.image_size % self.stride:
            raise ConfigError(
                f"image_vae.image_size = {self.image_size} must be a multiple of {self.stride}, the stride"
            )

    @property
    def stride(self) -> int:
        """Pixels per code, along each side."""
        return 2 ** (len(self.widths) - 1)

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width in codes."""
        return self.image_size // self.stride, self.image_size // self.stride


@dataclass  # not frozen: Lightning Fabric rewrites what a forward pass returns
class ImageVAEOutput:
    """A training pass."""

    images: Float[Tensor, "B channels height width"]
    codes: Int[Tensor, "B T D"]
    commitment: Float[Tensor, ""]
    codebook_loss: Float[Tensor, ""]  # of codebooks that learn by gradient, else zero
    statistics: QuantizerStatistics


class ImageVAE(nn.Module):
    """Pictures in [-1, 1] to residual codes on a grid, and back.

    Residual blocks of GroupNorm, SiLU and convolution; strided convolutions down, nearest neighbours and a convolution
    up; a 1x1 convolution into and out of the latent; no attention (see ``image_networks``). Codes lie row by row:
    frame ``t`` is at row ``t // width``, column ``t % width`` of the grid.
    Source: VQGAN (arXiv:2012.09841) as RQ-VAE uses it (arXiv:2203.01941), less its attention, as ResGen does
    (arXiv:2412.10208).
    """

    def __init__(self, config: ImageVAEConfig):
        super().__init__()
        self.config = config
        sizes = (config.channels_in, config.widths, config.blocks, config.norm_groups, config.quantizer.dim)
        if config.layout == "vqgan":
            self.encoder, self.decoder = (make(*sizes, config.z_channels) for make in (vqgan_encoder, vqgan_decoder))
        else:
            self.encoder, self.decoder = plain_encoder(*sizes), plain_decoder(*sizes)
        self.quantizer = PRVQ(config.quantizer)

    @property
    def code_space(self) -> CodeSpace:
        """The codebooks as a generator sees them."""
        return self.quantizer.code_space

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width in codes; T is their product."""
        return self.config.grid

    @property
    def last_layer(self) -> nn.Parameter:
        """The weight nearest to the pictures: where the gradients of two losses are compared."""
        return self.decoder[-1].weight

    def encode(self, images: Float[Tensor, "B channels height width"]) -> Int[Tensor, "B T D"]:
        """Greedy residual codes of pictures in [-1, 1]."""
        return self.quantize(self.encode_latent(images))

    def decode(self, codes: Int[Tensor, "B T L"]) -> Float[Tensor, "B channels height width"]:
        """Pictures from codes, in [-1, 1]; fewer levels than D (the coarsest ones) give a coarser picture."""
        return self.decode_latent(self.code_space.embed(codes).sum(2)).clamp(-1, 1)

    def encode_latent(self, images: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B T C"]:
        """Latents before quantization, row by row.

        Raises:
            ValueError: pictures of another size or number of channels.
        """
        config = self.config
        if images.shape[1:] != (config.channels_in, config.image_size, config.image_size):
            raise ValueError(
                f"this image VAE reads {config.channels_in} x {config.image_size} x {config.image_size}, "
                f"got {' x '.join(map(str, images.shape[1:]))}"
            )
        latents = self.encoder(images).flatten(2).mT
        return nn.functional.layer_norm(latents, latents.shape[-1:]) if config.normalize_latents else latents

    def quantize(self, latents: Float[Tensor, "B T C"]) -> Int[Tensor, "B T D"]:
        """Greedy residual codes."""
        return self.code_space.quantize(latents.float())

    def decode_latent(self, latents: Float[Tensor, "B T C"]) -> Float[Tensor, "B channels height width"]:
        """Pictures of quantized latents, not clamped."""
        return self.decoder(latents.mT.unflatten(-1, self.grid).contiguous()).float()

    def forward(
        self, images: Float[Tensor, "B channels height width"], num_levels: Int[Tensor, " B"] | None = None
    ) -> ImageVAEOutput:
        """Reconstruct through the codes; ``num_levels`` keeps only that many coarsest levels of each item."""
        coded = self.quantizer(self.encode_latent(images), None, num_levels)
        images = self.decode_latent(coded.quantized)
        return ImageVAEOutput(images, coded.codes, coded.commitment, coded.codebook_loss, coded.statistics)


def _imagenet(depth: int) -> ImageVAEConfig:
    """256x256 colour -> 8x8 codes with the sizes of ResGen (method 2.3), the network that of the public RQ-VAE.

    Latents are not normalised, since RQ-VAE's are not: the public decoder knows them at their own scale, and pulling
    every prefix towards the latents holds that scale. RQ-VAE's rates are 4e-5 with betas 0.5, 0.9 and a decay of 0.99.
    """
    quantizer = QuantizerConfig(
        depth=depth, codebook_size=1024, dim=64, decay=0.99, warmup_vectors=65_536, commitment="prefixes"
    )
    return ImageVAEConfig(
        image_size=256,
        channels_in=3,
        widths=(128, 128, 256, 256, 512, 512),
        blocks=(2, 2, 2, 2, 2, 2),
        layout="vqgan",
        z_channels=256,
        norm_groups=32,
        normalize_latents=False,
        quantizer=quantizer,
    )


def _small(image_size: int, widths: tuple[int, ...]) -> ImageVAEConfig:
    quantizer = QuantizerConfig(depth=8, codebook_size=256, dim=32, warmup_vectors=16_384)
    blocks = (0,) + (1,) * (len(widths) - 1)  # those at full size cost most and give least
    return ImageVAEConfig(image_size=image_size, channels_in=3, widths=widths, blocks=blocks, quantizer=quantizer)


IMAGE_VAES = {
    # 8x8 grey -> 4x4 codes: scikit-learn's digits
    "digits": ImageVAEConfig(
        image_size=8,
        widths=(32, 64),
        blocks=(1, 1),
        quantizer=QuantizerConfig(depth=8, codebook_size=256, dim=16, decay=0.99, warmup_vectors=16_384),
    ),
    # 32x32 grey -> 4x4 codes
    "mnist": ImageVAEConfig(),
    # 32x32 and 64x64 colour -> 8x8 codes, on a CPU
    "small_32": _small(32, (32, 64, 96)),
    "small_64": _small(64, (32, 64, 96, 128)),
    "imagenet_rvq8": _imagenet(8),
    "imagenet_rvq16": _imagenet(16),
}
