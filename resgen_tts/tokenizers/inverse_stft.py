"""Spectra to samples by overlap-add, whole or frame by frame."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True)
class OverlapMemory:
    """What an inverse transform in chunks still needs of the frames so far."""

    overlap: Float[Tensor, "rows size"]  # sums that later frames still add to: each item's, and last the window's
    skip: int  # samples still to drop: those before the first of the wave


class InverseSTFT(nn.Module):
    """Overlap-add of Hann-windowed inverse transforms, divided by the overlapped squared windows.

    With ``same`` frame t is centred on sample (t + 1/2) hop and T frames make T * hop samples; with ``center`` it is
    centred on t * hop and they make (T - 1) * hop, as ``torch.istft`` does. Both are those of LogMel and of Vocos.

    Args:
        fft_size: of the transform and its window, samples; a multiple of ``hop_samples``.
        hop_samples: samples between frames.
        padding: place of the frames.
    """

    def __init__(self, fft_size: int, hop_samples: int, padding: Literal["same", "center"] = "same"):
        super().__init__()
        self.fft_size, self.hop_samples = fft_size, hop_samples
        self.missing_frames = int(padding == "center")  # hops that the wave has less than frames
        # Samples of the first frame before the wave starts. In chunks the wave lags behind its frames by as much.
        self.margin = fft_size // 2 if padding == "center" else (fft_size - hop_samples) // 2
        self.register_buffer("window", torch.hann_window(fft_size), persistent=False)

    def forward(
        self,
        real: Float[Tensor, "B T F"],
        imaginary: Float[Tensor, "B T F"],
        is_padding: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B N"]:
        """Spectra to samples; padded frames give nothing and take no share of the window sum."""
        num_samples = max(real.shape[1] - self.missing_frames, 0) * self.hop_samples
        if num_samples == 0:
            return real.new_zeros(real.shape[0], 0, dtype=torch.float32)
        frames = self._frames(real, imaginary)
        weight = self.window.square().expand(1 if is_padding is None else frames.shape[0], *frames.shape[1:])
        if is_padding is not None:
            frames = frames.masked_fill(is_padding[..., None], 0)
            weight = weight.masked_fill(is_padding[..., None], 0)
        inside = slice(self.margin, self.margin + num_samples)
        wave = self._overlap_add(frames)[:, inside] / self._overlap_add(weight)[:, inside].clamp(min=1e-8)
        if is_padding is not None:
            behind = is_padding[:, self.missing_frames :].repeat_interleave(self.hop_samples, dim=1)
            wave = wave.masked_fill(behind, 0)
        return wave

    def stream(
        self,
        real: Float[Tensor, "B T F"],
        imaginary: Float[Tensor, "B T F"],
        memory: OverlapMemory | None = None,
        *,
        last: bool = False,
    ) -> tuple[Float[Tensor, "B N"], OverlapMemory]:
        """The samples that the frames so far settle, and with ``last`` the rest.

        All calls together give what ``forward`` gives for the joined frames; before the last one the wave lags
        ``margin`` samples behind T * hop.
        """
        batch, num_frames, _ = real.shape
        hop, overlap = self.hop_samples, self.fft_size - self.hop_samples
        if memory is None:
            memory = OverlapMemory(self.window.new_zeros(batch + 1, overlap), self.margin)
        sums = nn.functional.pad(memory.overlap, (0, num_frames * hop))
        if num_frames:
            weight = self.window.square().expand(1, num_frames, -1)
            sums = sums + self._overlap_add(torch.cat([self._frames(real, imaginary), weight]))
        settled = num_frames * hop + (self.margin - self.missing_frames * hop if last else 0)
        skip = min(memory.skip, settled)
        ready = sums[:, skip:settled]
        wave = ready[:-1] / ready[-1].clamp(min=1e-8)
        return wave, OverlapMemory(sums[:, num_frames * hop :].clone(), memory.skip - skip)

    def _frames(self, real: Tensor, imaginary: Tensor) -> Tensor:
        with torch.autocast(real.device.type, enabled=False):
            return torch.fft.irfft(torch.complex(real.float(), imaginary.float()), n=self.fft_size) * self.window

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """[B, T, size] -> [B, (T - 1) * hop + size]."""
        batch, count, size = frames.shape
        hop = self.hop_samples
        parts = frames.reshape(batch, count, size // hop, hop).unbind(2)  # each shifted by one hop more
        return sum(
            nn.functional.pad(part.reshape(batch, count * hop), (k * hop, (len(parts) - 1 - k) * hop))
            for k, part in enumerate(parts)
        )
