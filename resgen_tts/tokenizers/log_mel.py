"""Log-mel spectrograms: of the BigVGAN / HiFi-GAN kind, of the Vocos kind, and what lies between."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import padding_mask

Count = TypeVar("Count", int, Tensor)  # a number, or one for each item


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """The time-frequency grid of a log-mel spectrogram and its value at each point; the defaults are ``egs/mini``'s.

    A network that reads mels works with equal settings only, so equality of two configurations is what is checked.
    """

    sample_rate: int = 16_000  # Hz
    fft_size: int = 1024  # samples
    window_samples: int = 800  # length of the Hann window, centred in the transform
    hop_samples: int = 200  # samples between frames
    num_mels: int = 80  # bands
    low_hz: float = 0.0  # lower edge of the first band
    high_hz: float = 8000.0  # upper edge of the last band
    mel_scale: Literal["slaney", "htk"] = "slaney"
    normalize_bands: bool = True  # triangles of area 1 over Hz (Slaney) instead of height 1
    padding: Literal["same", "center"] = "same"  # frame t is centred on sample (t + 1/2) hop, or on t * hop
    floor: float = 1e-5  # smallest mel magnitude; silence is its logarithm
    magnitude_epsilon: float = 1e-9  # magnitudes are sqrt(re^2 + im^2 + this); 0 = exact

    def __post_init__(self):
        if not 0 < self.hop_samples <= self.window_samples <= self.fft_size:
            raise ConfigError(
                "mel needs 0 < hop_samples <= window_samples <= fft_size, "
                f"got {self.hop_samples}, {self.window_samples}, {self.fft_size}"
            )
        if self.mel_scale not in ("slaney", "htk"):
            raise ConfigError(f"mel.mel_scale must be slaney or htk, got {self.mel_scale!r}")
        if self.padding not in ("same", "center"):
            raise ConfigError(f"mel.padding must be same or center, got {self.padding!r}")
        if self.padding == "same" and (self.fft_size - self.hop_samples) % 2:
            raise ConfigError(f"mel.fft_size - mel.hop_samples must be even, got {self.fft_size}, {self.hop_samples}")
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"mel bands must lie within 0..{self.sample_rate / 2:g} Hz, got {self.low_hz:g}..{self.high_hz:g}"
            )
        if self.num_mels < 1:
            raise ConfigError(f"mel.num_mels must be at least 1, got {self.num_mels}")
        if self.floor <= 0 or self.magnitude_epsilon < 0:
            raise ConfigError(
                f"mel needs floor > 0 and magnitude_epsilon >= 0, got {self.floor:g}, {self.magnitude_epsilon:g}"
            )

    @property
    def frame_rate_hz(self) -> float:
        """Mel frames per second."""
        return self.sample_rate / self.hop_samples

    def num_frames(self, num_samples: Count) -> Count:
        """Frames of a wave: its whole hops, and with ``center`` one more."""
        hops = num_samples // self.hop_samples
        return hops if self.padding == "same" else hops + (num_samples > 0)

    def num_samples(self, num_frames: Count) -> Count:
        """Samples that a vocoder makes of so many frames; ``num_frames`` of them is the number itself."""
        hops = num_frames if self.padding == "same" else (num_frames - 1) * (num_frames > 0)
        return hops * self.hop_samples


_HIFIGAN = MelConfig(sample_rate=22_050, fft_size=1024, window_samples=1024, hop_samples=256, num_mels=80)

# Names of settings that published vocoders were made for. Sources: the configurations of HiFi-GAN (arXiv:2010.05646),
# BigVGAN (arXiv:2206.04658) and its second version, and Vocos (arXiv:2306.00814).
MELS = {
    "mini": MelConfig(),
    "hifigan_22khz": _HIFIGAN,  # also BigVGAN's bands up to 8 kHz
    "bigvgan_22khz": MelConfig(
        sample_rate=22_050, fft_size=1024, window_samples=1024, hop_samples=256, num_mels=80, high_hz=11_025.0
    ),
    "bigvgan_24khz": MelConfig(
        sample_rate=24_000, fft_size=1024, window_samples=1024, hop_samples=256, num_mels=100, high_hz=12_000.0
    ),
    "bigvgan_44khz_256x": MelConfig(
        sample_rate=44_100, fft_size=1024, window_samples=1024, hop_samples=256, num_mels=128, high_hz=22_050.0
    ),
    "bigvgan_44khz_512x": MelConfig(
        sample_rate=44_100, fft_size=2048, window_samples=2048, hop_samples=512, num_mels=128, high_hz=22_050.0
    ),
    "vocos_24khz": MelConfig(
        sample_rate=24_000,
        fft_size=1024,
        window_samples=1024,
        hop_samples=256,
        num_mels=100,
        high_hz=12_000.0,
        mel_scale="htk",
        normalize_bands=False,
        padding="center",
        floor=1e-7,
        magnitude_epsilon=0.0,
    ),
}

FLOOR = MelConfig.floor


class LogMel(nn.Module):
    """Wave to natural-log mel magnitudes, frames before bands.

    Reflect padding of (fft - hop) / 2 on each side (``same``) or of fft / 2 (``center``), Hann window, magnitudes,
    triangular filters, log of the value clamped at the floor.
    Source: the public configurations named at :data:`MELS`.
    """

    def __init__(self, config: MelConfig):
        super().__init__()
        self.config = config
        self.margin = (
            config.fft_size // 2 if config.padding == "center" else (config.fft_size - config.hop_samples) // 2
        )
        self.register_buffer("filters", _mel_filters(config), persistent=False)  # [F, M]
        self.register_buffer("window", torch.hann_window(config.window_samples), persistent=False)

    def forward(self, wave: Float[Tensor, "B N"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B T M"]:
        """Log-mel of T = ``config.num_frames(N)`` frames.

        Args:
            wave: samples in [-1, 1].
            lengths: samples of each item; each is then reflected at its own end, so that its frames are those it
                would have alone, and the frames behind them are silence.
        """
        config = self.config
        if config.num_frames(wave.shape[1]) == 0:
            return wave.new_zeros(wave.shape[0], 0, config.num_mels, dtype=torch.float32)
        with torch.autocast(wave.device.type, enabled=False):
            wave = _reflect(wave.float(), self.margin, lengths)
            magnitude = spectrum_magnitude(
                wave, config.fft_size, config.hop_samples, self.window, epsilon=config.magnitude_epsilon
            )
            mel = (magnitude @ self.filters).clamp(min=config.floor).log()
        if lengths is not None:
            behind = padding_mask(config.num_frames(lengths), mel.shape[1])
            mel = mel.masked_fill(behind[..., None], silence(config.floor))
        return mel


def silence(floor: float = FLOOR) -> float:
    """The log-mel value of digital silence."""
    return float(torch.tensor(floor).log())


def spectrum_magnitude(
    wave: Float[Tensor, "B N"], fft_size: int, hop_samples: int, window: Float[Tensor, " W"], *, epsilon: float = 1e-9
) -> Float[Tensor, "B T F"]:
    """Magnitudes of every whole window, without padding: sqrt(re^2 + im^2 + epsilon), smooth at zero."""
    margin = fft_size - window.shape[0]
    window = nn.functional.pad(window, (margin // 2, margin - margin // 2))
    # The real transform of unfolded frames: its backward is a quarter faster on a CPU than torch.stft's with abs().
    spectrum = torch.fft.rfft(wave.unfold(-1, fft_size, hop_samples) * window)
    if epsilon == 0:
        return spectrum.abs()  # its gradient at zero is zero, that of the square root infinite
    return (torch.view_as_real(spectrum).square().sum(-1) + epsilon).sqrt()


def _reflect(wave: Tensor, margin: int, lengths: Tensor | None) -> Tensor:
    """Mirror each item at its two ends without repeating the edge sample, to and fro where it is very short."""
    batch, size = wave.shape
    last = torch.full((1, 1), size - 1, device=wave.device) if lengths is None else lengths[:, None] - 1
    period = (2 * last).clamp(min=1)
    index = torch.arange(-margin, size + margin, device=wave.device).remainder(period)
    return wave.gather(1, torch.minimum(index, period - index).clamp(max=size - 1).expand(batch, -1))


def _mel_filters(config: MelConfig) -> Tensor:
    """Triangular filters, [fft_size / 2 + 1, M], each rising from the centre before it to the centre behind it.

    Written out rather than taken from librosa, whose import costs seconds; a test compares the two. Sources:
    M. Slaney, Auditory Toolbox (1998): linear below 1 kHz, logarithmic above, each triangle of area 2 / width;
    the HTK Book (1995): 2595 log10(1 + Hz / 700).
    """
    to_mel, to_hz = _SCALES[config.mel_scale]
    hz = torch.linspace(0, config.sample_rate / 2, config.fft_size // 2 + 1, dtype=torch.float64)
    edges = torch.tensor([config.low_hz, config.high_hz], dtype=torch.float64)
    edges = to_hz(torch.linspace(*to_mel(edges).tolist(), config.num_mels + 2, dtype=torch.float64))
    width = edges.diff()
    slope = edges[:, None] - hz[None, :]
    rising = -slope[:-2] / width[:-1, None]
    falling = slope[2:] / width[1:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    if config.normalize_bands:
        triangles = triangles * (2 / (edges[2:] - edges[:-2]))[:, None]
    return triangles.T.float().contiguous()


_LINEAR_HZ, _LINEAR_MEL, _LOG_STEP = 1000.0, 15.0, 0.06875177742094912  # log(6.4) / 27


def _slaney_mel(hz: Tensor) -> Tensor:
    logarithmic = _LINEAR_MEL + (hz.clamp(min=1e-9) / _LINEAR_HZ).log() / _LOG_STEP
    return torch.where(hz >= _LINEAR_HZ, logarithmic, hz * 3 / 200)


def _slaney_hz(mel: Tensor) -> Tensor:
    logarithmic = _LINEAR_HZ * (_LOG_STEP * (mel - _LINEAR_MEL)).exp()
    return torch.where(mel >= _LINEAR_MEL, logarithmic, mel * 200 / 3)


def _htk_mel(hz: Tensor) -> Tensor:
    return 2595 * (1 + hz / 700).log10()


def _htk_hz(mel: Tensor) -> Tensor:
    return 700 * (10 ** (mel / 2595) - 1)


_SCALES = {"slaney": (_slaney_mel, _slaney_hz), "htk": (_htk_mel, _htk_hz)}
