"""Which mel frame belongs to which text symbol: monotonic alignment search, and durations."""

import inspect
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.speech.text.encoder import TextEncoder, TextEncoderConfig


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """Text encoder, mel regression and duration regression."""

    encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    num_symbols: int = 0  # filled in from the corpus inventory
    num_mels: int = 80
    optional_symbols: tuple[int, ...] = ()  # numbers of symbols that may last 0 frames: the pause between words

    def __post_init__(self):
        if not all(0 <= number < self.num_symbols for number in self.optional_symbols):
            raise ConfigError(
                f"aligner.optional_symbols must be among the {self.num_symbols} symbols, got {self.optional_symbols}"
            )


def _search_loop(score, is_optional, durations):
    frames, symbols = score.shape
    best = np.full(symbols, -np.inf, dtype=np.float32)  # value of the best path that is in symbol n at the frame before
    steps = np.empty((frames, symbols), dtype=np.int16)  # symbols by which it went on to be in n at t
    for t in range(frames):
        # The best way into symbol n from before it, and by how many symbols it goes on: at first from before the
        # text, later from the symbol before, or over that one where it may be skipped.
        enter = np.float32(0.0 if t == 0 else -np.inf)
        step = 1
        for n in range(symbols):
            stay = best[n]
            advances = enter >= stay
            best[n] = (enter if advances else stay) + score[t, n]
            steps[t, n] = step if advances else 0
            skips = is_optional[n] and advances
            enter = enter if skips else stay
            step = step + 1 if skips else 1
    n = last = symbols - 1
    while last > 0 and is_optional[last]:
        last -= 1
        if best[last] > best[n]:
            n = last
    for t in range(frames - 1, 0, -1):
        durations[n] += 1
        n = max(n - steps[t, n], 0)  # scores that are no numbers lead nowhere, but not out of the array
    durations[n] += 1


# The shape checks that tests switch on wrap every function; numba can only compile the plain one inside.
_search = numba.njit(cache=True, nogil=True)(inspect.unwrap(_search_loop))


def monotonic_alignment_search(
    score: Float[Tensor, "B N T"],
    num_symbols: Int[Tensor, " B"],
    num_frames: Int[Tensor, " B"],
    is_optional: Bool[Tensor, "B N"] | None = None,
) -> Int[Tensor, "B N"]:
    """Frames per symbol of the best monotonic path; durations of an item add up to its frames.

    ``Q(n, t) = max(Q(n, t-1), Q(n-1, t-1), Q(m, t-1)) + score(n, t)``, where m < n - 1 and all symbols between m and n
    are optional. Every other symbol gets at least one frame.

    Args:
        score: log-likelihood of frame t under symbol n; fastest where symbols lie side by side in memory.
        is_optional: symbols that the path may skip; None = none of them.
    Raises:
        DataError: an item has more symbols that must be heard than frames.
    Source: Glow-TTS (arXiv:2005.11129), algorithm 1; method 8.2.
    """
    if is_optional is None:
        is_optional = torch.zeros(score.shape[:2], dtype=torch.bool)
    num_symbols, num_frames, is_optional = num_symbols.cpu(), num_frames.cpu(), is_optional.cpu()
    needed = (~is_optional & ~padding_mask(num_symbols, score.shape[1])).sum(1).clamp(min=1)
    if bool((needed > num_frames).any()):
        item = int((needed > num_frames).nonzero()[0])
        raise DataError(
            f"item {item} has {int(needed[item])} text symbols for {int(num_frames[item])} frames.",
            code="TEXT_LONGER_THAN_AUDIO",
            hint="Check that the text belongs to the recording.",
        )
    durations = torch.zeros(score.shape[:2], dtype=torch.long)
    frames_first = score.detach().mT.float().cpu().contiguous().numpy()  # [B, T, N]
    lengths = zip(num_symbols.tolist(), num_frames.tolist(), strict=True)

    def search(item: int, num_symbols: int, num_frames: int) -> None:
        _search(
            frames_first[item, :num_frames, :num_symbols],
            is_optional[item, :num_symbols].numpy(),
            durations[item, :num_symbols].numpy(),
        )

    # The search lets go of the interpreter's lock; threads of this call alone are safe beside any others and forks.
    with ThreadPoolExecutor(min(torch.get_num_threads(), len(score))) as threads:
        list(threads.map(search, itertools.count(), *zip(*lengths, strict=True)))
    return durations.to(score.device)


def symbol_of_frame(durations: Int[Tensor, "B N"], num_frames: int) -> Int[Tensor, "B T"]:
    """The symbol that each frame belongs to; frames behind the end keep the last place of the row."""
    ends = durations.cumsum(1)
    frame = torch.arange(num_frames, device=durations.device).expand(len(durations), -1).contiguous()
    return torch.searchsorted(ends, frame, right=True).clamp(max=durations.shape[1] - 1)


def expand(features: Float[Tensor, "B N F"], durations: Int[Tensor, "B N"], num_frames: int) -> Float[Tensor, "B T F"]:
    """Repeat each symbol's features for its frames."""
    index = symbol_of_frame(durations, num_frames)
    return features.gather(1, index[..., None].expand(-1, -1, features.shape[-1]))


QUIET = -7.0  # log-mel
SILENCE_NUMBER = 0  # inventories have the silence at both ends first


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
    """Text features, the mel frame that each symbol expects, and its duration with its spread."""

    def __init__(self, config: AlignerConfig):
        super().__init__()
        self.config = config
        self.encoder = TextEncoder(config.encoder, config.num_symbols)
        self.to_mel = nn.Linear(config.encoder.width, config.num_mels)
        self.to_log_duration = nn.Linear(config.encoder.width, 2)  # mean and log of the standard deviation
        self._expect_quiet()

    @torch.no_grad()
    def _expect_quiet(self) -> None:
        """Let silence and optional symbols expect quiet frames from the first step on.

        Otherwise the search has to find by chance that a pause is no phone: in 800 steps on recordings of 3 h it never
        did, and the phones beside a pause learned its silence (words 119 ms off in the median, 41 ms with this start).
        Their embeddings become one direction at the scale of the encoder's features, along which the regression falls
        by 1 (see :func:`centre_mel` for its unit).
        """
        embedding = self.encoder.embedding.weight
        direction = embedding[SILENCE_NUMBER] / embedding[SILENCE_NUMBER].square().mean().sqrt()
        embedding[[SILENCE_NUMBER, *self.config.optional_symbols]] = direction
        self.to_mel.weight -= direction / len(direction)

    def encode(
        self,
        symbols: Int[Tensor, "B N"],
        num_symbols: Int[Tensor, " B"],
        text_features: Float[Tensor, "B N G"] | None = None,
    ) -> Float[Tensor, "B N F"]:
        """Features of each symbol; ``text_features`` are a language model's, where the encoder takes such."""
        return self.encoder(symbols, padding_mask(num_symbols, symbols.shape[1]), text_features)

    def forward(
        self,
        symbols: Int[Tensor, "B N"],
        num_symbols: Int[Tensor, " B"],
        mel: Float[Tensor, "B T M"],
        num_frames: Int[Tensor, " B"],
        diagonal: float = 0.0,
        text_features: Float[Tensor, "B N G"] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Align, then the two training losses under that alignment (see :meth:`losses`)."""
        encoded = self.encode(symbols, num_symbols, text_features)
        durations = self.align(encoded, symbols, num_symbols, mel, num_frames, diagonal)
        return self.losses(encoded, symbols, num_symbols, durations, mel, num_frames)

    def durations(self, encoded: Float[Tensor, "B N F"]) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
        """Mean and standard deviation of log(1 + frames) of each symbol; the features are held fixed (method 8.2)."""
        mean, log_std = self.to_log_duration(encoded.detach()).unbind(-1)
        # A bound on either side: no spread at all, or one of many times the mean, is a guess from too little data.
        return mean, log_std.clamp(-4, 1).exp()

    def is_optional(self, symbols: Int[Tensor, "B N"]) -> Bool[Tensor, "B N"]:
        """True where a symbol may last 0 frames."""
        numbers = torch.tensor(self.config.optional_symbols, dtype=symbols.dtype, device=symbols.device)
        return torch.isin(symbols, numbers)

    @torch.no_grad()
    def align(
        self,
        encoded: Float[Tensor, "B N F"],
        symbols: Int[Tensor, "B N"],
        num_symbols: Int[Tensor, " B"],
        mel: Float[Tensor, "B T M"],
        num_frames: Int[Tensor, " B"],
        diagonal: float = 0.0,
    ) -> Int[Tensor, "B N"]:
        """Durations in mel frames by monotonic alignment search under ``-|y_t - mu_n|^2 / 2``.

        Args:
            diagonal: weight of a prior that draws the path to the diagonal; for the first training steps, when
                the expected frames say nothing yet.
        """
        target, expected = centre_mel(mel, num_frames), self.to_mel(encoded)
        # Less a term of t alone. Frames come before symbols in memory, the order in which the search goes.
        score = target @ expected.mT - expected.square().sum(-1)[:, None, :] / 2  # [B, T, N]
        if diagonal:
            at_symbol = (torch.arange(score.shape[2], device=score.device) + 0.5) / num_symbols[:, None]  # [B, N]
            at_frame = (torch.arange(score.shape[1], device=score.device) + 0.5) / num_frames[:, None]  # [B, T]
            away = (at_frame[:, :, None] - at_symbol[:, None, :]).square()
            score = score - diagonal * away * num_symbols[:, None, None]
        return monotonic_alignment_search(score.mT, num_symbols, num_frames, self.is_optional(symbols))

    def losses(
        self,
        encoded: Float[Tensor, "B N F"],
        symbols: Int[Tensor, "B N"],
        num_symbols: Int[Tensor, " B"],
        durations: Int[Tensor, "B N"],
        mel: Float[Tensor, "B T M"],
        num_frames: Int[Tensor, " B"],
    ) -> tuple[Tensor, Tensor]:
        """``L_align = mean_t |y_t - mu_A(t)|^2 / M`` and ``L_dur = mean_n (log(1 + d_n) - dhat_n)^2``.

        The spread learns from the Gaussian likelihood of what the mean leaves, with the mean held fixed. Its loss
        lends the second figure its gradient alone: the figure and the mean's gradient are those of L_dur.
        """
        target = centre_mel(mel, num_frames)
        error = (expand(self.to_mel(encoded), durations, mel.shape[1]) - target).square().mean(-1)
        align = error[~padding_mask(num_frames, mel.shape[1])].mean()
        real = ~padding_mask(num_symbols, symbols.shape[1])
        mean, std = (part[real] for part in self.durations(encoded))
        squared = (torch.log1p(durations[real].to(mean.dtype)) - mean).square()
        spread = (std.log() + squared.detach() / (2 * std.square())).mean()
        return align, squared.mean() + (spread - spread.detach())


ALIGNERS = {
    "mini": AlignerConfig(),
    # Four layers at the width of ByT5-Large's features (method 8.2), which the text units 'byt5' bring.
    "paper": AlignerConfig(encoder=TextEncoderConfig(width=1536, layers=4, heads=16)),
}
