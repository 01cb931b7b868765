"""Which mel frame belongs to which text symbol: monotonic alignment search, and durations."""

import inspect
from dataclasses import dataclass, field

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import DataError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.speech.text.encoder import TextEncoder, TextEncoderConfig


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """Text encoder, mel regression and duration regression."""

    encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    num_symbols: int = 0  # filled in from the corpus inventory
    num_mels: int = 80


def _search_loop(score, num_symbols, num_frames):
    batch, symbols, frames = score.shape
    durations = np.zeros((batch, symbols), dtype=np.int64)
    for b in range(batch):
        last_symbol, last_frame = num_symbols[b] - 1, num_frames[b] - 1
        best = np.full((symbols, frames), -np.inf, dtype=np.float32)
        best[0, 0] = score[b, 0, 0]
        for t in range(1, last_frame + 1):
            # Symbols that can still be reached, and from which the last symbol can still be reached.
            for n in range(max(0, last_symbol - (last_frame - t)), min(last_symbol, t) + 1):
                stay = best[n, t - 1]
                advance = best[n - 1, t - 1] if n > 0 else -np.inf
                best[n, t] = max(stay, advance) + score[b, n, t]
        n = last_symbol
        for t in range(last_frame, -1, -1):
            durations[b, n] += 1
            if n > 0 and (n == t or best[n - 1, t - 1] >= best[n, t - 1]):
                n -= 1
    return durations


# The shape checks that tests switch on wrap every function; numba can only compile the plain one inside.
_search = numba.njit(cache=True, nogil=True)(inspect.unwrap(_search_loop))


def monotonic_alignment_search(
    score: Float[Tensor, "B N T"], num_symbols: Int[Tensor, " B"], num_frames: Int[Tensor, " B"]
) -> Int[Tensor, "B N"]:
    """Frames per symbol of the best monotonic path; each symbol gets at least one frame.

    ``Q(n, t) = max(Q(n-1, t-1), Q(n, t-1)) + score(n, t)``; durations of an item add up to its frames.

    Args:
        score: log-likelihood of frame t under symbol n.
    Raises:
        DataError: an item has more symbols than frames.
    Source: Glow-TTS (arXiv:2005.11129), algorithm 1; method 8.2.
    """
    if bool((num_symbols > num_frames).any()):
        item = int((num_symbols > num_frames).nonzero()[0])
        raise DataError(
            f"item {item} has {int(num_symbols[item])} text symbols for {int(num_frames[item])} frames.",
            code="TEXT_LONGER_THAN_AUDIO",
            hint="Check that the text belongs to the recording.",
        )
    found = _search(score.detach().float().cpu().numpy(), num_symbols.cpu().numpy(), num_frames.cpu().numpy())
    return torch.from_numpy(found).to(score.device)


def symbol_of_frame(durations: Int[Tensor, "B N"], num_frames: int) -> Int[Tensor, "B T"]:
    """The symbol that each frame belongs to; frames behind the end keep the last symbol."""
    ends = durations.cumsum(1)
    frame = torch.arange(num_frames, device=durations.device).expand(len(durations), -1).contiguous()
    return torch.searchsorted(ends, frame, right=True).clamp(max=durations.shape[1] - 1)


def expand(features: Float[Tensor, "B N F"], durations: Int[Tensor, "B N"], num_frames: int) -> Float[Tensor, "B T F"]:
    """Repeat each symbol's features for its frames."""
    index = symbol_of_frame(durations, num_frames)
    return features.gather(1, index[..., None].expand(-1, -1, features.shape[-1]))


QUIET = -7.0  # log-mel


def centre_mel(mel: Float[Tensor, "B T M"], num_frames: Int[Tensor, " B"]) -> Float[Tensor, "B T M"]:
    """Log-mel less its mean over the utterance, per band: the channel and much of the voice drop out.

    Alignment has to know the text, not the speaker; with hundreds of voices the raw L2 distance is mostly about
    who speaks. Divided by 2, near the spread of what remains, so that distances keep a common scale. Below
    :data:`QUIET` all is silence: the zeros that fill a code frame must not look unlike a quiet room.
    """
    inside = (~padding_mask(num_frames, mel.shape[1]))[..., None].to(mel.dtype)
    mel = mel.clamp(min=QUIET)
    mean = (mel * inside).sum(1, keepdim=True) / inside.sum(1, keepdim=True)
    return (mel - mean) * inside / 2


class Aligner(nn.Module):
    """Text features, the mel frame that each symbol expects, and its duration."""

    def __init__(self, config: AlignerConfig):
        super().__init__()
        self.config = config
        self.encoder = TextEncoder(config.encoder, config.num_symbols)
        self.to_mel = nn.Linear(config.encoder.width, config.num_mels)
        self.to_log_duration = nn.Linear(config.encoder.width, 1)

    def encode(self, symbols: Int[Tensor, "B N"], num_symbols: Int[Tensor, " B"]) -> Float[Tensor, "B N F"]:
        """Features of each symbol."""
        return self.encoder(symbols, padding_mask(num_symbols, symbols.shape[1]))

    def forward(
        self,
        symbols: Int[Tensor, "B N"],
        num_symbols: Int[Tensor, " B"],
        mel: Float[Tensor, "B T M"],
        num_frames: Int[Tensor, " B"],
        diagonal: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Align, then the two training losses under that alignment (see :meth:`losses`)."""
        features = self.encode(symbols, num_symbols)
        durations = self.align(features, num_symbols, mel, num_frames, diagonal)
        return self.losses(features, num_symbols, durations, mel, num_frames)

    def log_durations(self, features: Float[Tensor, "B N F"]) -> Float[Tensor, "B N"]:
        """Predicted log(1 + frames); the features are held fixed (method 8.2)."""
        return self.to_log_duration(features.detach()).squeeze(-1)

    @torch.no_grad()
    def align(
        self,
        features: Float[Tensor, "B N F"],
        num_symbols: Int[Tensor, " B"],
        mel: Float[Tensor, "B T M"],
        num_frames: Int[Tensor, " B"],
        diagonal: float = 0.0,
    ) -> Int[Tensor, "B N"]:
        """Durations by monotonic alignment search under ``-|y_t - mu_n|^2 / 2``.

        Args:
            diagonal: weight of a prior that draws the path to the diagonal; for the first training steps, when
                the expected frames say nothing yet.
        """
        target, expected = centre_mel(mel, num_frames), self.to_mel(features)
        score = expected @ target.mT - expected.square().sum(-1, keepdim=True) / 2  # less a term of t alone
        if diagonal:
            at_symbol = (torch.arange(score.shape[1], device=score.device) + 0.5) / num_symbols[:, None]  # [B, N]
            at_frame = (torch.arange(score.shape[2], device=score.device) + 0.5) / num_frames[:, None]  # [B, T]
            score = (
                score - diagonal * (at_symbol[:, :, None] - at_frame[:, None, :]).square() * num_symbols[:, None, None]
            )
        return monotonic_alignment_search(score, num_symbols, num_frames)

    def losses(
        self,
        features: Float[Tensor, "B N F"],
        num_symbols: Int[Tensor, " B"],
        durations: Int[Tensor, "B N"],
        mel: Float[Tensor, "B T M"],
        num_frames: Int[Tensor, " B"],
    ) -> tuple[Tensor, Tensor]:
        """``L_align = mean_t |y_t - mu_A(t)|^2 / M`` and ``L_dur = mean_n (log(1 + d_n) - dhat_n)^2``."""
        target = centre_mel(mel, num_frames)
        error = (expand(self.to_mel(features), durations, mel.shape[1]) - target).square().mean(-1)
        align = error[~padding_mask(num_frames, mel.shape[1])].mean()
        real = ~padding_mask(num_symbols, durations.shape[1])
        wanted = torch.log1p(durations.to(features.dtype))
        return align, (self.log_durations(features) - wanted)[real].square().mean()


ALIGNERS = {
    "mini": AlignerConfig(),
    # Four layers at the width of ByT5-Large's features (method 8.2); the symbols are still our own.
    "paper": AlignerConfig(encoder=TextEncoderConfig(width=1536, layers=4, heads=16)),
}
