"""Waveform codec: short complex spectra to residual codes at a small fraction of the rate, and back to samples."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, prod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.nn.convolution import ConvNeXtBlock, Downsample, Upsample
from resgen_tts.tokenizers.input_checks import check_codes, check_waves
from resgen_tts.tokenizers.inverse_stft import InverseSTFT
from resgen_tts.tokenizers.quantizer import PRVQ, QuantizerConfig, QuantizerStatistics

CHUNK_SECONDS = 10.0  # of audio worked on at once by encode and decode
_MAX_LOG_GAIN = 5.0  # of a decoded spectrum: 43 dB above `amplitude`


@dataclass(frozen=True, kw_only=True)
class WaveCodecConfig:
    """Sizes of a waveform codec; the defaults are small ones for 16 kHz speech on a CPU."""

    sample_rate: int = 16_000  # Hz
    fft_size: int = 80  # of the spectra and their Hann window, samples; a multiple of stft_hop_samples
    stft_hop_samples: int = 20  # samples between spectra
    quantizer: QuantizerConfig = field(
        default_factory=lambda: QuantizerConfig(depth=16, codebook_size=512, dim=64, decay=0.99, warmup_vectors=16_384)
    )
    strides: tuple[int, ...] = (4, 5, 2)  # temporal reduction, fine to coarse
    widths: tuple[int, ...] = (96, 192, 320)  # channels at each rate above the codes', fine to coarse
    blocks_per_stage: int = 3  # ConvNeXt blocks before each stride, and behind each in the decoder
    expansion: int = 3  # hidden channels of a block per channel
    kernel_size: int = 7  # frames of a block's kernel
    causal: bool = False  # whether a block reads no later frames
    normalize_latents: bool = True  # each latent has mean 0 and variance 1 over its channels (see MelVAEConfig)
    amplitude: float = 0.1  # noise of this root mean square has spectra of variance 1 as the network sees them
    # Whether the encoder also sees log magnitudes; otherwise its blocks must learn to rectify first. Mel loss after 150
    # steps on 6.4 s each: 2.43 with, 2.95 without, where the decoder does not heed the codes yet either.
    log_magnitudes: bool = True

    def __post_init__(self):
        for name in ("strides", "widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        hop = self.stft_hop_samples
        if hop < 1 or self.fft_size < 2 * hop or self.fft_size % hop or self.fft_size % 2 or hop % 2:
            raise ConfigError(
                "codec.fft_size must be a multiple, at least twofold, of codec.stft_hop_samples, and both even, "
                f"got {self.fft_size}, {hop}"
            )
        if not self.strides or len(self.strides) != len(self.widths):
            raise ConfigError(
                f"codec.strides and codec.widths need one entry for each stage, got {self.strides}, {self.widths}"
            )
        if min((*self.strides, *self.widths, self.sample_rate, self.expansion, self.kernel_size)) < 1:
            raise ConfigError(
                "codec needs strides, widths, sample_rate, expansion, kernel_size >= 1, got "
                f"{self.strides}, {self.widths}, {self.sample_rate}, {self.expansion}, {self.kernel_size}"
            )
        if self.blocks_per_stage < 0 or self.amplitude <= 0:
            raise ConfigError(
                f"codec needs blocks_per_stage >= 0 and amplitude > 0, got {self.blocks_per_stage}, {self.amplitude}"
            )
        if not self.causal and self.kernel_size % 2 == 0:
            raise ConfigError(f"codec.kernel_size must be odd where codec.causal is off, got {self.kernel_size}")

    @property
    def stride(self) -> int:
        """Spectra per code frame."""
        return prod(self.strides)

    @property
    def hop_samples(self) -> int:
        """Samples per code frame."""
        return self.stft_hop_samples * self.stride

    @property
    def frame_rate_hz(self) -> float:
        """Code frames per second."""
        return self.sample_rate / self.hop_samples

    @property
    def reach(self) -> int:
        """Code frames beside a frame that can change its latent, or that can change its samples."""
        back = self.kernel_size - 1 if self.causal else self.kernel_size // 2  # frames of one block
        spectra = sum(self.blocks_per_stage * back * prod(self.strides[:stage]) for stage in range(len(self.strides)))
        return ceil((spectra + self.fft_size // self.stft_hop_samples) / self.stride)


@dataclass  # not frozen: Lightning Fabric rewrites what a forward pass returns
class WaveCodecOutput:
    """A training pass."""

    wave: Float[Tensor, "B N"]
    codes: Int[Tensor, "B S D"]
    commitment: Float[Tensor, ""]
    codebook_loss: Float[Tensor, ""]  # of codebooks that learn by gradient, else zero
    statistics: QuantizerStatistics


class WaveCodec(nn.Module):
    """Implements the ``Tokenizer`` contract from samples to samples, without a vocoder.

    A wave is followed by silence up to a whole code frame. Its STFT (real and imaginary parts) goes through stages of
    ConvNeXt blocks, each ended by a strided convolution, to one latent per code frame; the decoder mirrors that and
    predicts an STFT on the same grid, whose inverse is the wave: S code frames are S * hop_samples samples.
    Source: ResGen (arXiv:2412.10208), the waveform RVQ-VAE of its speech experiments. Ours are the widths and, for each
    predicted spectrum, a gain: speech spans 60 dB within a second, a linear layer behind a norm does not. Where
    ``log_magnitudes`` is on, the encoder sees them as well.
    """

    def __init__(self, config: WaveCodecConfig):
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.frame_rate_hz = config.frame_rate_hz
        self.hop_samples = config.hop_samples
        self.encoder = _Encoder(config)
        self.quantizer = PRVQ(config.quantizer)
        self.decoder = _Decoder(config)
        self.inverse = InverseSTFT(config.fft_size, config.stft_hop_samples)
        self.scale = config.amplitude * float((self.inverse.window.square().sum() / 2).sqrt())

    @property
    def code_space(self) -> CodeSpace:
        """The codebooks as a generator sees them."""
        return self.quantizer.code_space

    def num_codes(self, num_samples):
        """Code frames of so many samples (a number or a tensor): the last may be partly silence."""
        return -(-num_samples // self.hop_samples)

    @torch.no_grad()
    def encode(
        self, wave: Float[Tensor, "B N"], lengths: Int[Tensor, " B"]
    ) -> tuple[Int[Tensor, "B T D"], Int[Tensor, " B"]]:
        """Codes of each wave, ceil(samples / hop_samples) frames; in chunks, each beside all that it can read.

        Raises:
            AudioError: a wave is shorter than one code frame, or holds a sample that is no number.
            ValueError: not a batch of mono waves with one length each.
        """
        check_waves(wave, lengths, self.hop_samples)
        frames = self.num_codes(lengths)
        wave = self._to_whole_codes(wave.masked_fill(padding_mask(lengths, wave.shape[1]), 0))
        hop, codes = self.hop_samples, []
        for first, last, inside in self._chunks(wave.shape[1] // hop):
            latents = self.encode_latent(wave[:, first * hop : last * hop], (frames - first).clamp(0, last - first))
            codes.append(self.quantize(latents[:, inside]))
        return torch.cat(codes, dim=1), frames

    @torch.no_grad()
    def decode(
        self, codes: Int[Tensor, "B T L"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B N"], Int[Tensor, " B"]]:
        """Waves of codes, ``hop_samples`` samples a frame, zeros in the padding; fewer levels are the coarsest ones.

        Raises:
            ValueError: a code is none of the codebooks', or there are more levels than codebooks.
        """
        check_codes(codes, self.code_space)
        hop, waves = self.hop_samples, [self.quantizer.codebooks.new_zeros(len(codes), 0)]
        for first, last, inside in self._chunks(codes.shape[1]):
            latents = self.code_space.total(codes[:, first:last])
            wave = self.decode_latent(latents, (lengths - first).clamp(0, last - first))
            waves.append(wave[:, inside.start * hop : inside.stop * hop])
        return torch.cat(waves, dim=1), lengths * hop

    def quantize(self, latents: Float[Tensor, "B S C"]) -> Int[Tensor, "B S D"]:
        """Greedy residual codes."""
        return self.code_space.quantize(latents.float())

    def encode_latent(
        self, wave: Float[Tensor, "B N"], num_codes: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B S C"]:
        """Latents before quantization.

        Args:
            wave: S whole code frames; zero where an item is silent or has ended.
            num_codes: code frames of each item; all where left out.
        """
        return self.encoder(self._spectra(wave), self._padding(num_codes, wave.shape[1] // self.hop_samples))

    def decode_latent(
        self, latents: Float[Tensor, "B S C"], num_codes: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B N"]:
        """Samples of quantized latents, zeros behind the end of each item."""
        is_padding = self._padding(num_codes, latents.shape[1])
        spectra = self.decoder(latents, is_padding) * self.scale
        if is_padding is not None:
            is_padding = is_padding.repeat_interleave(self.config.stride, dim=1)
        return self.inverse(*spectra.chunk(2, dim=-1), is_padding)

    def forward(
        self,
        wave: Float[Tensor, "B N"],
        lengths: Int[Tensor, " B"] | None = None,
        num_levels: Int[Tensor, " B"] | None = None,
    ) -> WaveCodecOutput:
        """Reconstruct through the codes.

        Args:
            wave: samples in [-1, 1].
            lengths: samples of each item; all where left out.
            num_levels: only that many coarsest levels of each item are decoded (quantizer dropout).
        """
        num_codes = None if lengths is None else self.num_codes(lengths)
        if lengths is not None:
            wave = wave.masked_fill(padding_mask(lengths, wave.shape[1]), 0)
        latents = self.encode_latent(self._to_whole_codes(wave), num_codes)
        coded = self.quantizer(latents, self._padding(num_codes, latents.shape[1]), num_levels)
        made = self.decode_latent(coded.quantized, num_codes)[:, : wave.shape[1]]
        return WaveCodecOutput(made, coded.codes, coded.commitment, coded.codebook_loss, coded.statistics)

    def _spectra(self, wave: Tensor) -> Tensor:
        """[B, N] -> [B, N / hop, 2 F or 3 F]: real parts, imaginary parts, log magnitudes of about 0 and deviation 1.

        Zeros stand before and behind the wave.
        """
        inverse = self.inverse
        with torch.autocast(wave.device.type, enabled=False):
            padded = nn.functional.pad(wave.float(), (inverse.margin, inverse.margin))
            frames = padded.unfold(-1, inverse.fft_size, inverse.hop_samples) * inverse.window
            spectra = torch.fft.rfft(frames) / self.scale
            parts = [spectra.real, spectra.imag]
            if self.config.log_magnitudes:
                power = spectra.real.square() + spectra.imag.square()
                parts.append(((power + 1e-5).log() + 4) / 3)  # no more than 50 dB below `amplitude`
        return torch.cat(parts, dim=-1)

    def _to_whole_codes(self, wave: Tensor) -> Tensor:
        return nn.functional.pad(wave, (0, -wave.shape[1] % self.hop_samples))

    def _padding(self, num_codes: Tensor | None, size: int) -> Tensor | None:
        return None if num_codes is None else padding_mask(num_codes, size)

    def _chunks(self, size: int) -> Iterator[tuple[int, int, slice]]:
        """First and last code frame to read, and which of those to keep, for each chunk."""
        step, reach = max(1, round(CHUNK_SECONDS * self.frame_rate_hz)), self.config.reach
        for start in range(0, size, step):
            first, last = max(0, start - reach), min(size, start + step + reach)
            yield first, last, slice(start - first, min(start + step, size) - first)


class _Encoder(nn.Module):
    def __init__(self, config: WaveCodecConfig):
        super().__init__()
        coarser = (*config.widths[1:], config.widths[-1])
        parts = 3 if config.log_magnitudes else 2  # see WaveCodec._spectra
        self.embed = nn.Linear(parts * (config.fft_size // 2 + 1), config.widths[0])
        self.stages = nn.ModuleList(_blocks(config, width) for width in config.widths)
        self.merges = nn.ModuleList(map(Downsample, config.widths, coarser, config.strides))
        last = [nn.LayerNorm(config.widths[-1], eps=1e-6), nn.Linear(config.widths[-1], config.quantizer.dim)]
        if config.normalize_latents:
            last.append(nn.LayerNorm(config.quantizer.dim, elementwise_affine=False))
        self.to_latent = nn.Sequential(*last)

    def forward(self, spectra: Tensor, is_padding: Tensor | None) -> Tensor:
        x = self.embed(spectra)
        rest = x.shape[1] // is_padding.shape[1] if is_padding is not None else 1  # frames of this rate per code
        for blocks, merge in zip(self.stages, self.merges, strict=True):
            x = merge(_through(blocks, x, is_padding, rest))
            rest //= merge.stride
        return self.to_latent(x)


class _Decoder(nn.Module):
    def __init__(self, config: WaveCodecConfig):
        super().__init__()
        coarser = (*config.widths[1:], config.widths[-1])
        self.from_latent = nn.Linear(config.quantizer.dim, config.widths[-1])
        self.splits = nn.ModuleList(reversed(list(map(Upsample, coarser, config.widths, config.strides))))
        self.stages = nn.ModuleList(_blocks(config, width) for width in reversed(config.widths))
        self.norm = nn.LayerNorm(config.widths[0], eps=1e-6)
        self.head = nn.Linear(config.widths[0], config.fft_size + 3)

    def forward(self, latents: Tensor, is_padding: Tensor | None) -> Tensor:
        x, rest = self.from_latent(latents), 1
        for split, blocks in zip(self.splits, self.stages, strict=True):
            rest *= split.stride
            x = _through(blocks, split(x), is_padding, rest)
        # Mel loss after 150 steps 2.43, and 2.64 without the gain.
        spectra, log_gain = self.head(self.norm(x)).float().split([self.head.out_features - 1, 1], dim=-1)
        return spectra * log_gain.clamp(max=_MAX_LOG_GAIN).exp()


def _blocks(config: WaveCodecConfig, width: int) -> nn.ModuleList:
    total = config.blocks_per_stage * len(config.widths)  # of the encoder, and of the decoder
    return nn.ModuleList(
        ConvNeXtBlock(
            width,
            width * config.expansion,
            kernel_size=config.kernel_size,
            causal=config.causal,
            initial_scale=1 / total,
        )
        for _ in range(config.blocks_per_stage)
    )


def _through(blocks: nn.ModuleList, x: Tensor, is_padding: Bool[Tensor, "B S"] | None, rest: int) -> Tensor:
    """Blocks at a rate of ``rest`` frames per code frame."""
    if is_padding is not None:
        is_padding = is_padding.repeat_interleave(rest, dim=1)
    for block in blocks:
        x = block(x, is_padding)
    return x


WAVE_CODECS = {
    # 16 kHz, 20 Hz, 2.9 kbit/s, for a CPU: 6.6 M weights, 0.014 s to encode and 0.013 s to decode a second, one thread.
    "small16k": WaveCodecConfig(),
    # 44.1 kHz, hop 8, window 32, strides, C = 512, D = 72, V = 1024 and 185 M parameters in all are published; widths
    # and expansion are ours, chosen for that size: 147.3 M weights and 37.7 M of codebooks.
    "paper": WaveCodecConfig(
        sample_rate=44_100,
        fft_size=32,
        stft_hop_samples=8,
        quantizer=QuantizerConfig(depth=72, codebook_size=1024, dim=512, decay=0.99, warmup_vectors=16_384),
        strides=(8, 8, 8),
        widths=(384, 832, 1152),
        expansion=4,
        normalize_latents=False,
        log_magnitudes=False,
    ),
}
