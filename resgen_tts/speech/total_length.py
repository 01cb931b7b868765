"""How long a text becomes as a whole, where no alignment says how long its symbols last."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.common.lengths import padding_mask
from resgen_tts.models.conditioning import TextMemory, place_in_parts
from resgen_tts.nn.rotary import places, sinusoids
from resgen_tts.nn.transformer import Transformer
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.text.units import EncodedText


@dataclass(frozen=True, kw_only=True)
class TotalLengthConfig:
    """Size of the predictor."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self):
        if self.width % (2 * self.heads):
            raise ConfigError(f"length.width {self.width} must be a multiple of twice the {self.heads} heads")


class TotalLength(nn.Module):
    """The number of code frames of the target, from its text by cross-attention and from the prompt's codes.

    One position more than the prompt has frames asks for the length; it and the prompt attend to each other and to the
    text of both. The answer is a normal law of ``log(frames per symbol)``: what is left to predict is the pace, which
    differs little between short and long texts, so that it is learnt from few utterances.

    Source: the length predictor of DiTTo-TTS (arXiv:2406.11427), which reads the text by cross-attention and a prompt's
    codes. It classifies lengths; its own comparison finds fewer word errors with a regression (method 11.11), and a
    normal law has a spread to draw from without a class for every length.

    Args:
        latent_dim: C, channels of a frame's embedded codes.
        memory_width: F, channels of the text's features.
    """

    def __init__(self, config: TotalLengthConfig, latent_dim: int, memory_width: int):
        super().__init__()
        self.ask = nn.Parameter(torch.randn(config.width) * 0.02)
        self.embed = nn.Linear(latent_dim, config.width)
        self.embed_pace = nn.Linear(3, config.width)
        self.transformer = Transformer(
            config.width, config.layers, config.heads, dropout=config.dropout, memory_width=memory_width
        )
        self.to_log_pace = nn.Linear(config.width, 2)  # mean and log of the standard deviation

    def forward(
        self,
        prompt: Float[Tensor, "B P C"],
        num_prompt: Int[Tensor, " B"],
        text: TextMemory,
        num_symbols: Int[Tensor, " B"],
        num_prompt_symbols: Int[Tensor, " B"],
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """Mean and standard deviation of the logarithm of the target's code frames.

        Args:
            prompt: summed embeddings of each prompt frame, divided by the latents' scale; any behind its end.
            text: of prompt and target; features are held fixed, as those of predicted durations are (method 8.2).
            num_symbols: of prompt and target together.
        """
        symbols = (num_symbols - num_prompt_symbols).to(prompt.dtype)
        has_prompt = (num_prompt > 0).to(prompt.dtype)
        pace = ((num_prompt + 1) / (num_prompt_symbols + 1)).log().to(prompt.dtype)
        known = torch.stack([pace * has_prompt, has_prompt, symbols.log()], dim=-1)
        frame_place = place_in_parts(num_prompt, num_prompt, prompt.shape[1])
        frames = self.embed(prompt) + sinusoids(places(frame_place, self.ask.shape[0]))
        rows = torch.cat([(self.ask + self.embed_pace(known))[:, None], frames], dim=1)
        features, is_padding = text.placed
        states = self.transformer(
            rows, padding_mask(num_prompt + 1, rows.shape[1]), memory=(features.detach(), is_padding)
        )
        log_pace, log_std = self.to_log_pace(states[:, 0]).float().unbind(-1)
        # A bound on either side: no spread at all, or one of many times the mean, is a guess from too little data.
        return log_pace + symbols.log(), log_std.clamp(-4, 1).exp()


def length_loss(
    mean: Float[Tensor, " B"], std: Float[Tensor, " B"], num_frames: Int[Tensor, " B"]
) -> tuple[Tensor, Tensor]:
    """``-log N(log L; mean, std)`` less a constant, averaged; and the mean of ``|exp(mean) / L - 1|``, for the log."""
    wanted = num_frames.to(mean.dtype).log()
    nll = ((wanted - mean) / std).square() / 2 + std.log()
    return nll.mean(), ((mean - wanted).exp() - 1).abs().mean().detach()


def plan_frames(
    mean: float, std: float, text: EncodedText, length: LengthConfig, *, code_rate_hz: float, rng: torch.Generator
) -> tuple[int, tuple[str, ...]]:
    """Code frames of one target, and what a user should know about them.

    The floors and caps of single symbols hold for their sum; a duration that is asked for is met to a frame.

    Args:
        mean: predicted mean of the logarithm of the code frames.
        std: predicted standard deviation of it.
        rng: draws the spread.
    Raises:
        ResGenError: MODEL_NONFINITE, the prediction is not a number.
    """
    drawn = float(torch.randn((), generator=rng)) if length.spread else 0.0
    log_frames = mean + length.spread * std * drawn
    if not math.isfinite(log_frames):
        raise ResGenError("the generator predicted a length that is no number.", code="MODEL_NONFINITE")
    if length.duration_seconds is not None:
        return max(1, math.floor(length.duration_seconds * code_rate_hz + 0.5)), ()
    seconds = math.exp(min(log_frames, 50.0)) / code_rate_hz
    spoken = int((text.words >= 0).sum())
    num_words = len(set(text.words[text.words >= 0].tolist()))
    ends = length.opening_seconds + length.closing_seconds
    least = ends + max(length.least_seconds, num_words * length.least_word_seconds, spoken * length.least_phone_seconds)
    pauses = len(text) - 2 - spoken
    most = ends + spoken * length.longest_symbol_seconds + pauses * length.longest_pause_seconds
    most = max(least, min(most, length.longest_seconds))
    notes = ()
    if seconds > most:
        notes = (f"DURATION_CAPPED: the text was predicted to last {seconds:.1f} s; {most:g} s are used",)
    seconds = min(max(seconds, least), most) / length.speed
    return max(1, round(seconds * code_rate_hz)), notes
