"""Log-mel spectrogram of the BigVGAN / HiFi-GAN kind."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """The time-frequency grid of a log-mel spectrogram; the defaults are those of ``egs/mini``."""

    sample_rate: int = 16_000  # Hz
    fft_size: int = 1024  # samples
    window_samples: int = 800  # length of the Hann window, centred in the transform
    hop_samples: int = 200  # samples between frames
    num_mels: int = 80  # bands
    low_hz: float = 0.0  # lower edge of the first band
    high_hz: float = 8000.0  # upper edge of the last band

    def __post_init__(self):
        if not 0 < self.hop_samples <= self.window_samples <= self.fft_size:
            raise ConfigError(
                "mel needs 0 < hop_samples <= window_samples <= fft_size, "
                f"got {self.hop_samples}, {self.window_samples}, {self.fft_size}"
            )
        if (self.fft_size - self.hop_samples) % 2:
            raise ConfigError(f"mel.fft_size - mel.hop_samples must be even, got {self.fft_size}, {self.hop_samples}")
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"mel bands must lie within 0..{self.sample_rate / 2:g} Hz, got {self.low_hz:g}..{self.high_hz:g}"
            )
        if self.num_mels < 1:
            raise ConfigError(f"mel.num_mels must be at least 1, got {self.num_mels}")

    @property
    def frame_rate_hz(self) -> float:
        """Mel frames per second."""
        return self.sample_rate / self.hop_samples


FLOOR = 1e-5  # smallest mel magnitude: silence is log(1e-5) = -11.5


class LogMel(nn.Module):
    """Wave to natural-log mel magnitudes, frames before bands.

    Reflect padding of (fft - hop) / 2 on each side, Hann window, magnitude sqrt(re^2 + im^2 + 1e-9), Slaney mel
    filters (librosa's defaults), log of the value clamped at 1e-5. Frame t is centred on sample (t + 1/2) hop.
    Source: the public configuration of BigVGAN (arXiv:2206.04658), which takes HiFi-GAN's mel (arXiv:2010.05646).
    """

    def __init__(self, config: MelConfig):
        super().__init__()
        self.config = config
        self.register_buffer("filters", _mel_filters(config), persistent=False)  # [F, M]
        self.register_buffer("window", torch.hann_window(config.window_samples), persistent=False)

    def forward(self, wave: Float[Tensor, "B N"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B T M"]:
        """Log-mel of every whole hop: T = N // hop_samples.

        Args:
            wave: samples in [-1, 1].
            lengths: samples of each item; each is then reflected at its own end, so that its frames are those it
                would have alone, and the frames behind them are silence.
        """
        config = self.config
        with torch.autocast(wave.device.type, enabled=False):
            wave = _reflect(wave.float(), (config.fft_size - config.hop_samples) // 2, lengths)
            if wave.shape[-1] < config.fft_size:
                return wave.new_zeros(wave.shape[0], 0, config.num_mels)
            magnitude = spectrum_magnitude(wave, config.fft_size, config.hop_samples, self.window)
            mel = (magnitude @ self.filters).clamp(min=FLOOR).log()
        if lengths is not None:
            behind = padding_mask(lengths // config.hop_samples, mel.shape[1])
            mel = mel.masked_fill(behind[..., None], silence())
        return mel


def silence() -> float:
    """The log-mel value of digital silence."""
    return float(torch.tensor(FLOOR).log())


def spectrum_magnitude(
    wave: Float[Tensor, "B N"], fft_size: int, hop_samples: int, window: Float[Tensor, " W"]
) -> Float[Tensor, "B T F"]:
    """Magnitudes of every whole window, without padding: sqrt(re^2 + im^2 + 1e-9), smooth at zero."""
    margin = fft_size - window.shape[0]
    window = nn.functional.pad(window, (margin // 2, margin - margin // 2))
    # The real transform of unfolded frames: its backward is a quarter faster on a CPU than torch.stft's with abs().
    spectrum = torch.view_as_real(torch.fft.rfft(wave.unfold(-1, fft_size, hop_samples) * window))
    return (spectrum.square().sum(-1) + 1e-9).sqrt()


def _reflect(wave: Tensor, margin: int, lengths: Tensor | None) -> Tensor:
    """Mirror each item at its two ends without repeating the edge sample, however short it is."""
    batch, size = wave.shape
    last = torch.full((batch, 1), size - 1, device=wave.device) if lengths is None else lengths[:, None] - 1
    index = torch.arange(-margin, size + margin, device=wave.device).abs()
    index = torch.where(index > last, 2 * last - index, index.expand(batch, -1))
    return wave.gather(1, index.abs().clamp(max=max(size - 1, 0)))


def _mel_filters(config: MelConfig) -> Tensor:
    """Slaney-normalised triangular filters, [fft_size / 2 + 1, M].

    Written out rather than taken from librosa, whose import costs seconds; a test compares the two. Source:
    M. Slaney, Auditory Toolbox (1998): linear below 1 kHz, logarithmic above, each triangle of area 2 / width.
    """
    hz = torch.linspace(0, config.sample_rate / 2, config.fft_size // 2 + 1, dtype=torch.float64)
    edges = torch.tensor([config.low_hz, config.high_hz], dtype=torch.float64)
    edges = torch.linspace(*_hz_to_mel(edges).tolist(), config.num_mels + 2, dtype=torch.float64)
    edges = _mel_to_hz(edges)
    width = edges.diff()
    slope = edges[:, None] - hz[None, :]
    rising = -slope[:-2] / width[:-1, None]
    falling = slope[2:] / width[1:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).T.float().contiguous()


_LINEAR_HZ, _LINEAR_MEL, _LOG_STEP = 1000.0, 15.0, 0.06875177742094912  # log(6.4) / 27


def _hz_to_mel(hz: Tensor) -> Tensor:
    logarithmic = _LINEAR_MEL + (hz.clamp(min=1e-9) / _LINEAR_HZ).log() / _LOG_STEP
    return torch.where(hz >= _LINEAR_HZ, logarithmic, hz * 3 / 200)


def _mel_to_hz(mel: Tensor) -> Tensor:
    logarithmic = _LINEAR_HZ * (_LOG_STEP * (mel - _LINEAR_MEL)).exp()
    return torch.where(mel >= _LINEAR_MEL, logarithmic, mel * 200 / 3)
