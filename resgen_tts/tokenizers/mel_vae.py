"""Mel-VAE: a causal convolutional autoencoder of log-mel spectrograms with residual codes in the middle."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.nn.convolution import Conv1d, ConvNeXtBlock, Downsample, Upsample, stream_layers
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
    codebook_loss: Float[Tensor, ""]  # of codebooks that learn by gradient, else zero
    stability: Float[Tensor, ""] | None  # see MelVAE.stability; None where it was not asked for
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
        if lengths is not None:
            mel = mel.masked_fill(padding_mask(lengths, mel.shape[1])[..., None], self._silence)
        return self.encoder(self._scaled(self.to_whole_codes(mel)))

    def to_whole_codes(self, mel: Float[Tensor, "B T M"]) -> Float[Tensor, "B U M"]:
        """The mel followed by silence up to a whole code frame."""
        return nn.functional.pad(mel, (0, 0, 0, -mel.shape[1] % self.config.stride), value=self._silence)

    def quantize(self, latents: Float[Tensor, "B S C"]) -> Int[Tensor, "B S D"]:
        """Greedy residual codes."""
        return self.code_space.quantize(latents.float())

    def decode_latent(self, latents: Float[Tensor, "B S C"], num_frames: int) -> Float[Tensor, "B T M"]:
        """Log-mel of quantized latents, cut to ``num_frames``."""
        return self._unscaled(self.decoder(latents))[:, :num_frames]

    def encode_stream(self, mels: Iterable[Float[Tensor, "B _ M"]]) -> Iterator[Int[Tensor, "B _ D"]]:
        """Codes of a mel that comes in chunks of any length, each as soon as its mel frames are there.

        All together they are those of the joined mel. When the chunks end, silence completes the last code frame.
        """
        space, memory, frames = self.code_space, None, 0
        for mel in mels:
            latents, memory = stream_layers(self.encoder.layers, self._scaled(mel), memory)
            frames += mel.shape[1]
            yield space.quantize(latents.float())
        missing = -frames % self.config.stride
        if missing:
            rest = mel.new_full((mel.shape[0], missing, mel.shape[2]), self._silence)
            yield space.quantize(stream_layers(self.encoder.layers, self._scaled(rest), memory)[0].float())

    def decode_stream(self, codes: Iterable[Int[Tensor, "B _ L"]]) -> Iterator[Float[Tensor, "B _ M"]]:
        """Log-mel of codes that come in chunks, ``stride`` frames each; fewer levels than D are the coarsest ones."""
        space, memory = self.code_space, None
        for chunk in codes:
            mel, memory = stream_layers(self.decoder.layers, space.total(chunk), memory)
            yield self._unscaled(mel)

    def stability(
        self,
        decoded: Float[Tensor, "B T M"],
        codes: Int[Tensor, "B S D"],
        lengths: Int[Tensor, " B"] | None = None,
        *,
        margin: float,
    ) -> Float[Tensor, ""]:
        """How near a decoded mel, encoded again, comes to losing its coarsest codes: ``mean max(0, margin - g)``.

        g is the distance of its latent z' to the nearest border of its code's cell, in units of sigma_1, the deviation
        that level 1 leaves, and negative beyond the border: with c the code of level 1,
        ``g = min_v (|z' - e(v; 1)|^2 - |z' - e(c; 1)|^2) / (2 |e(v; 1) - e(c; 1)| sigma_1)``.
        Pulling z' to the quantized latent would not do: that lies beyond a border itself where z was close to one (7 %
        of the frames of a 20 Hz model of 16 levels), and most of its distance changes no code. Gradients reach encoder
        and decoder, not the codebooks.
        """
        latents, space, first = self.encode_latent(decoded, lengths), self.code_space, codes[..., :1]
        book = space.codebooks[0]
        with torch.autocast(latents.device.type, enabled=False):
            nearness = latents.float() @ book.T - book.square().sum(-1) / 2  # (|z'|^2 - |z' - e|^2) / 2
            apart = torch.cdist(book, book)[first[..., 0]].clamp(min=1e-6)  # [B, S, V]
            beyond = (nearness.gather(-1, first) - nearness) / apart
            nearest = beyond.scatter(-1, first, float("inf")).amin(-1)  # [B, S]
            short = (margin - nearest / space.level_variance[0].sqrt().clamp(min=1e-6)).clamp(min=0)
        if lengths is None:
            return short.mean()
        real = ~padding_mask(self.num_codes(lengths), short.shape[1])
        return (short * real).sum() / real.sum().clamp(min=1)

    def forward(
        self,
        mel: Float[Tensor, "B T M"],
        lengths: Int[Tensor, " B"] | None = None,
        num_levels: Int[Tensor, " B"] | None = None,
        *,
        stability_margin: float | None = None,
    ) -> MelVAEOutput:
        """Reconstruct through the codes.

        Args:
            mel: log-mels.
            lengths: frames of each item; all where left out.
            num_levels: only that many coarsest levels of each item are decoded (quantizer dropout).
            stability_margin: where given, the result is encoded again for :meth:`stability`, which is zero until the
                codebooks have started.
        """
        latents = self.encode_latent(mel, lengths)
        is_padding = None if lengths is None else padding_mask(self.num_codes(lengths), latents.shape[1])
        coded = self.quantizer(latents, is_padding, num_levels)
        decoded = self.decode_latent(coded.quantized, mel.shape[1])
        stability = None if stability_margin is None else latents.new_zeros(())
        if stability_margin is not None and bool(self.quantizer.started):
            stability = self.stability(decoded, coded.codes, lengths, margin=stability_margin)
        return MelVAEOutput(decoded, coded.codes, coded.commitment, coded.codebook_loss, stability, coded.statistics)

    @property
    def _silence(self) -> float:
        return silence(self.config.mel.floor)

    def _scaled(self, mel: Tensor) -> Tensor:
        return (mel - self.config.mel_offset) / self.config.mel_scale

    def _unscaled(self, x: Tensor) -> Tensor:
        return x.float() * self.config.mel_scale + self.config.mel_offset


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
    # 16 kHz, 20 Hz, 2.9 kbit/s: of the real runs on a CPU.
    "small": MelVAEConfig(
        quantizer=QuantizerConfig(depth=16, codebook_size=512, dim=64, decay=0.99, warmup_vectors=16_384),
        strides=(2, 2),
        widths=(192, 256, 384),
        blocks=(1, 1, 2),
        normalize_latents=True,
    ),
    # 24 kHz, 23.4 Hz, 3.75 kbit/s, on the mel of BigVGAN's public 24 kHz model; strides (2, 2, 2) give 11.7 Hz.
    "small_24k": MelVAEConfig(
        mel=MelConfig(
            sample_rate=24_000, fft_size=1024, window_samples=1024, hop_samples=256, num_mels=100, high_hz=12_000.0
        ),
        quantizer=QuantizerConfig(depth=16, codebook_size=1024, dim=128, decay=0.99, warmup_vectors=16_384),
        strides=(2, 2),
        widths=(192, 256, 384),
        blocks=(1, 1, 2),
        normalize_latents=True,
    ),
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
