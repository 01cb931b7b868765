"""Mel-VAE: a causal convolutional autoencoder of log-mel spectrograms with residual codes in the middle."""

from dataclasses import dataclass, field
from math import prod

from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.nn.convolution import Conv1d, ConvNeXtBlock, Downsample, Upsample
from resgen_tts.tokenizers.log_mel import MelConfig, silence
from resgen_tts.tokenizers.quantizer import PRVQ, QuantizerConfig, QuantizerStatistics


@dataclass(frozen=True, kw_only=True)
class MelVAEConfig:
    """Sizes of a Mel-VAE; the defaults are those of ``egs/mini``."""

    mel: MelConfig = field(default_factory=MelConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    strides: tuple[int, ...] = (4, 2)  # temporal reduction, fine to coarse
    widths: tuple[int, ...] = (160, 256, 320)  # channels at each rate, fine to coarse: one more than strides
    blocks: tuple[int, ...] = (1, 1, 1)  # ConvNeXt blocks at each rate, in encoder and decoder each
    final_blocks: int = 1  # further blocks at the mel rate, at the end of the decoder
    expansion: int = 3  # hidden channels of a block per channel
    kernel_size: int = 7  # frames of a block's kernel
    # Each latent has mean 0 and variance 1 over its channels, so its scale cannot run away from the codebooks. Without
    # it a rate of 2e-3 ends at 0.643 mel L1 (mini, 900 steps), with it at 0.562.
    normalize_latents: bool = False
    mel_offset: float = -5.0  # the network sees (mel - mel_offset) / mel_scale
    mel_scale: float = 2.5

    def __post_init__(self):
        for name in ("strides", "widths", "blocks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not len(self.widths) == len(self.blocks) == len(self.strides) + 1:
            raise ConfigError(
                "mel_vae.widths and mel_vae.blocks need one entry more than mel_vae.strides, "
                f"got {len(self.widths)}, {len(self.blocks)}, {len(self.strides)}"
            )
        for name in ("strides", "widths"):
            if any(value < 1 for value in getattr(self, name)):
                raise ConfigError(f"mel_vae.{name} must be at least 1, got {getattr(self, name)}")
        if any(value < 0 for value in (*self.blocks, self.final_blocks)):
            raise ConfigError(f"mel_vae.blocks must not be negative, got {self.blocks}, {self.final_blocks}")
        if self.expansion < 1 or self.kernel_size < 1 or self.mel_scale <= 0:
            raise ConfigError(
                "mel_vae needs expansion >= 1, kernel_size >= 1, mel_scale > 0, "
                f"got {self.expansion}, {self.kernel_size}, {self.mel_scale}"
            )

    @property
    def stride(self) -> int:
        """Mel frames per code frame."""
        return prod(self.strides)

    @property
    def frame_rate_hz(self) -> float:
        """Code frames per second."""
        return self.mel.frame_rate_hz / self.stride

    @property
    def hop_samples(self) -> int:
        """Samples per code frame."""
        return self.mel.hop_samples * self.stride


@dataclass  # not frozen: Lightning Fabric rewrites what a forward pass returns
class MelVAEOutput:
    """A training pass."""

    mel: Float[Tensor, "B T M"]
    codes: Int[Tensor, "B S D"]
    commitment: Float[Tensor, ""]
    statistics: QuantizerStatistics


class MelVAE(nn.Module):
    """Log-mel to residual codes at a fraction of the rate, and back.

    Causal ConvNeXt blocks in a U shape without skip connections and without attention, more of them at the end of the
    decoder. Code frame i reads mel frames up to (i + 1) * stride - 1; decoded frame t reads codes up to t // stride.
    Source: CLaM-TTS (arXiv:2404.02781), which does not give widths; ours are configuration.
    """

    def __init__(self, config: MelVAEConfig):
        super().__init__()
        self.config = config
        self.encoder = _Encoder(config)
        self.quantizer = PRVQ(config.quantizer)
        self.decoder = _Decoder(config)

    @property
    def code_space(self) -> CodeSpace:
        """The codebooks as a generator sees them."""
        return self.quantizer.code_space

    def num_codes(self, num_frames):
        """Code frames of so many mel frames (a number or a tensor): the last may be partly silence."""
        return -(-num_frames // self.config.stride)

    def encode_latent(
        self, mel: Float[Tensor, "B T M"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B S C"]:
        """Latents before quantization, S = ceil(T / stride). Frames behind an item's length are read as silence."""
        config = self.config
        if lengths is not None:
            mel = mel.masked_fill(padding_mask(lengths, mel.shape[1])[..., None], silence())
        missing = -mel.shape[1] % config.stride
        mel = nn.functional.pad(mel, (0, 0, 0, missing), value=silence())
        return self.encoder((mel - config.mel_offset) / config.mel_scale)

    def quantize(self, latents: Float[Tensor, "B S C"]) -> Int[Tensor, "B S D"]:
        """Greedy residual codes."""
        return self.code_space.quantize(latents.float())

    def decode_latent(self, latents: Float[Tensor, "B S C"], num_frames: int) -> Float[Tensor, "B T M"]:
        """Log-mel of quantized latents, cut to ``num_frames``."""
        config = self.config
        return (self.decoder(latents).float() * config.mel_scale + config.mel_offset)[:, :num_frames]

    def forward(
        self,
        mel: Float[Tensor, "B T M"],
        lengths: Int[Tensor, " B"] | None = None,
        num_levels: Int[Tensor, " B"] | None = None,
    ) -> MelVAEOutput:
        """Reconstruct through the codes; ``num_levels`` keeps only that many coarsest levels of each item."""
        latents = self.encode_latent(mel, lengths)
        is_padding = None if lengths is None else padding_mask(self.num_codes(lengths), latents.shape[1])
        coded = self.quantizer(latents, is_padding, num_levels)
        decoded = self.decode_latent(coded.quantized, mel.shape[1])
        return MelVAEOutput(decoded, coded.codes, coded.commitment, coded.statistics)


class _Encoder(nn.Module):
    def __init__(self, config: MelVAEConfig):
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(config.mel.num_mels, config.widths[0])]
        for index, (width, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
            if index:
                layers.append(Downsample(config.widths[index - 1], width, config.strides[index - 1]))
            layers += _blocks(config, width, blocks)
        layers += [nn.LayerNorm(config.widths[-1], eps=1e-6), nn.Linear(config.widths[-1], config.quantizer.dim)]
        if config.normalize_latents:
            layers.append(nn.LayerNorm(config.quantizer.dim, elementwise_affine=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, mel: Tensor) -> Tensor:
        return self.layers(mel)


class _Decoder(nn.Module):
    def __init__(self, config: MelVAEConfig):
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(config.quantizer.dim, config.widths[-1])]
        for index in reversed(range(len(config.widths))):
            layers += _blocks(config, config.widths[index], config.blocks[index])
            if index:
                layers.append(Upsample(config.widths[index], config.widths[index - 1], config.strides[index - 1]))
        layers += _blocks(config, config.widths[0], config.final_blocks)
        to_mel = Conv1d(config.widths[0], config.mel.num_mels, 3, causal=True)
        layers += [nn.LayerNorm(config.widths[0], eps=1e-6), to_mel]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents)


def _blocks(config: MelVAEConfig, width: int, count: int) -> list[nn.Module]:
    total = 2 * sum(config.blocks) + config.final_blocks
    return [
        ConvNeXtBlock(
            width,
            width * config.expansion,
            kernel_size=config.kernel_size,
            causal=True,
            initial_scale=2 / total,  # encoder and decoder hold about half of the blocks each
        )
        for _ in range(count)
    ]


MEL_VAES = {
    "mini": MelVAEConfig(normalize_latents=True),
    # 80 bands, 86.13 Hz, x8, D = 32, V = 1024, C = 512 are published; widths and blocks are ours.
    "paper": MelVAEConfig(
        mel=MelConfig(sample_rate=22_050, fft_size=1024, window_samples=1024, hop_samples=256, num_mels=80),
        quantizer=QuantizerConfig(depth=32, codebook_size=1024, dim=512, decay=0.99, warmup_vectors=16_384),
        strides=(2, 2, 2),
        widths=(512, 512, 768, 1024),
        blocks=(2, 2, 3, 4),
        final_blocks=4,
        expansion=4,
    ),
}
