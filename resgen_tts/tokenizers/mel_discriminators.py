"""Discriminators of log-mels, for the Mel-VAE: windows of several lengths, and the whole at several resolutions."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from resgen_tts.common.errors import ConfigError
from resgen_tts.tokenizers.discriminators import Judgement, JudgeStack


@dataclass(frozen=True, kw_only=True)
class MelDiscriminatorConfig:
    """Views of a log-mel that are judged. The defaults are the small ones of ``egs/mini``."""

    window_frames: tuple[int, ...] = (20, 40, 80)  # a judge for windows of each length
    poolings: tuple[tuple[int, int], ...] = ((1, 1), (2, 2), (4, 4))  # a judge at each (frames, bands) average
    width: int = 16  # channels
    layers: int = 3

    def __post_init__(self):
        object.__setattr__(self, "window_frames", tuple(self.window_frames))
        object.__setattr__(self, "poolings", tuple(tuple(pooling) for pooling in self.poolings))
        if min((*self.window_frames, *(side for pooling in self.poolings for side in pooling), 1)) < 1:
            raise ConfigError(f"mel windows and poolings must be at least 1, got {self.window_frames}, {self.poolings}")
        if not self.window_frames and not self.poolings:
            raise ConfigError("a mel discriminator needs at least one window length or pooling")
        if self.width < 1 or self.layers < 1:
            raise ConfigError(f"a mel discriminator needs width, layers >= 1, got {self.width}, {self.layers}")


class MelDiscriminator(nn.Module):
    """Judges of a log-mel: windows of several lengths, and the whole at several resolutions.

    CLaM-TTS (arXiv:2404.02781) names the two kinds for its Mel-VAE and gives no sizes. Windows of several lengths are
    those of HiFiSinger (arXiv:2009.01776). The multi-resolution judges of UnivNet (arXiv:2106.07889) read spectrograms
    of a wave at several transform sizes; where only a mel is at hand, its averages over frames and bands take their
    place. Both kinds are trained by least squares with L1 feature matching (see ``losses``).
    """

    def __init__(self, config: MelDiscriminatorConfig, *, mel_offset: float = -5.0, mel_scale: float = 2.5):
        super().__init__()
        self.config, self.mel_offset, self.mel_scale = config, mel_offset, mel_scale
        judges = len(config.window_frames) + len(config.poolings)
        stack = [(config.width, (3, 5), (1 if layer == 0 else 2, 2)) for layer in range(config.layers)]
        self.judges = nn.ModuleList(JudgeStack(1, stack) for _ in range(judges))

    def forward(self, mel: Float[Tensor, "B T M"]) -> list[Judgement]:
        """One judgement per window length, then one per pooling."""
        mel = (mel - self.mel_offset) / self.mel_scale
        return [judge(view[:, None]) for judge, view in zip(self.judges, self._views(mel), strict=True)]

    def _views(self, mel: Tensor) -> list[Tensor]:
        views, frames = [], mel.shape[1]
        for length in self.config.window_frames:  # every frame is judged, so no draw is needed
            length = min(length, frames)
            starts = [*range(0, frames - length, length), frames - length]  # the last one ends with the mel
            views.append(torch.cat([mel[:, start : start + length] for start in starts]))
        for pooling in self.config.poolings:
            views.append(F.avg_pool2d(mel[:, None], pooling, ceil_mode=True)[:, 0])
        return views


MEL_DISCRIMINATORS = {
    "mini": MelDiscriminatorConfig(),
    # Window lengths and channels as public mel discriminators of this kind have them; the crop must last 128 frames
    # (1.5 s at 86 Hz) for the longest window to be one.
    "paper": MelDiscriminatorConfig(window_frames=(32, 64, 128), width=128, layers=4),
}
