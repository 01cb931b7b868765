"""Vocoder: log-mel to wave by a convolutional backbone and an inverse-STFT head."""

from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.nn.convolution import Conv1d, ConvNeXtBlock, Memory, stream_layers
from resgen_tts.tokenizers.inverse_stft import InverseSTFT, OverlapMemory
from resgen_tts.tokenizers.log_mel import MELS, MelConfig


@dataclass(frozen=True, kw_only=True)
class VocoderConfig:
    """Sizes of a vocoder; the defaults are those of ``egs/mini``."""

    mel: MelConfig = field(default_factory=MelConfig)
    fft_size: int = 800  # of the head, samples; a multiple of mel.hop_samples
    dim: int = 256  # channels of the backbone
    hidden: int = 768  # channels inside a block
    blocks: int = 4
    kernel_size: int = 7  # frames
    causal: bool = False  # whether frame t of the backbone reads mels up to t only; such a vocoder can stream
    mel_offset: float = -5.0  # the network sees (mel - mel_offset) / mel_scale
    mel_scale: float = 2.5
    max_magnitude: float = 100.0  # magnitudes of the head are clipped here

    def __post_init__(self):
        if self.fft_size < 1 or self.fft_size % (2 * self.mel.hop_samples):
            raise ConfigError(
                f"vocoder.fft_size must be an even multiple of the hop {self.mel.hop_samples}, got {self.fft_size}"
            )
        if min(self.dim, self.hidden, self.blocks, self.kernel_size) < 1:
            raise ConfigError(
                "vocoder needs dim, hidden, blocks, kernel_size >= 1, "
                f"got {self.dim}, {self.hidden}, {self.blocks}, {self.kernel_size}"
            )
        if not self.causal and self.kernel_size % 2 == 0:
            raise ConfigError(f"vocoder.kernel_size must be odd where vocoder.causal is off, got {self.kernel_size}")
        if self.mel_scale <= 0 or self.max_magnitude <= 0:
            raise ConfigError(
                f"vocoder needs mel_scale > 0 and max_magnitude > 0, got {self.mel_scale}, {self.max_magnitude}"
            )


@dataclass(frozen=True)
class StreamMemory:
    """What a vocoder in chunks still needs of the frames so far."""

    layers: Memory
    overlap: OverlapMemory


class Vocoder(nn.Module):
    """Log-mel [B, T, M] to wave: ConvNeXt blocks at the mel rate, then one inverse STFT on the mel's own frames.

    Source: Vocos (arXiv:2306.00814).
    """

    def __init__(self, config: VocoderConfig):
        super().__init__()
        self.config = config
        causal = config.causal
        self.embed = Conv1d(config.mel.num_mels, config.dim, config.kernel_size, causal=causal)
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(
                config.dim,
                config.hidden,
                kernel_size=config.kernel_size,
                causal=causal,
                initial_scale=1 / config.blocks,
            )
            for _ in range(config.blocks)
        )
        self.final_norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.head = nn.Linear(config.dim, config.fft_size + 2)
        self.inverse = InverseSTFT(config.fft_size, config.mel.hop_samples, config.mel.padding)

    @property
    def delay_samples(self) -> int:
        """How far ``stream`` lags behind its input: T frames settle T * hop - delay samples."""
        return self.inverse.margin

    def forward(
        self, mel: Float[Tensor, "B T M"], is_padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B N"]:
        """Synthesize N = ``config.mel.num_samples(T)`` samples.

        Each item's own are those it would have alone; zeros follow.
        """
        if mel.shape[1] == 0:
            return mel.new_zeros(mel.shape[0], 0)
        x = self.norm(self.embed(self._scaled(mel), is_padding))
        for block in self.blocks:
            x = block(x, is_padding)
        return self.inverse(*self._spectrum(self.head(self.final_norm(x))), is_padding)

    def stream(
        self, mel: Float[Tensor, "B T M"], memory: StreamMemory | None = None, *, last: bool = False
    ) -> tuple[Float[Tensor, "B N"], StreamMemory]:
        """Synthesize the next chunk of mels, of any length; all calls together give what ``forward`` gives.

        Args:
            mel: the next frames; may be none.
            memory: what the call before returned; None at the start.
            last: whether nothing follows; the ``delay_samples`` held back then come out too.
        Raises:
            ConfigError: the vocoder is not causal.
        """
        if not self.config.causal:
            raise ConfigError("only a causal vocoder can stream, and this one was made with vocoder.causal off")
        layers = [self.embed, self.norm, *self.blocks, self.final_norm, self.head]
        x, kept = stream_layers(layers, self._scaled(mel), None if memory is None else memory.layers)
        overlap = None if memory is None else memory.overlap
        wave, overlap = self.inverse.stream(*self._spectrum(x), overlap, last=last)
        return wave, StreamMemory(kept, overlap)

    def _scaled(self, mel: Tensor) -> Tensor:
        return (mel - self.config.mel_offset) / self.config.mel_scale

    def _spectrum(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of exp(first half) * e^(i second half)."""
        log_magnitude, phase = x.float().chunk(2, dim=-1)
        magnitude = log_magnitude.exp().clamp(max=self.config.max_magnitude)
        return magnitude * phase.cos(), magnitude * phase.sin()


VOCODERS = {
    "mini": VocoderConfig(),
    # For the Mel-VAE of that name: 3.5 M weights, some 100 times real time on one thread.
    "small": VocoderConfig(dim=320, hidden=960, blocks=5),
    # Vocos' published size (dim 512, 8 blocks, 1536), on the mel of the paper's vocoder.
    "paper": VocoderConfig(mel=MELS["hifigan_22khz"], fft_size=1024, dim=512, hidden=1536, blocks=8),
}
