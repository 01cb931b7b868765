"""The generator that finds its text by cross-attention: no durations, one length for the whole."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.lengths import between_mask, pad_stack, padding_mask
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.models.catalog import build_generator
from resgen_tts.models.conditioning import TextMemory, place_in_parts
from resgen_tts.models.resgen import ResGenConfig
from resgen_tts.models.trunk import TrunkConfig
from resgen_tts.speech.alignment import Aligner, AlignerConfig
from resgen_tts.speech.layout import Layout, check_span, encode_alone
from resgen_tts.speech.length import LengthConfig, rate_notes
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.text.encoder import TextEncoder
from resgen_tts.speech.text.units import EncodedText
from resgen_tts.speech.total_length import TotalLength, TotalLengthConfig, length_loss, plan_frames


@dataclass(frozen=True, kw_only=True)
class CrossGeneratorConfig:
    """Text encoder (that of the aligner), generator of codes with ``cross_dim``, and predictor of the length."""

    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    generator: TrunkConfig = field(default_factory=lambda: ResGenConfig(cross_dim=192))
    length: TotalLengthConfig = field(default_factory=TotalLengthConfig)
    frames_per_code: int = 8  # mel frames per code frame

    def __post_init__(self):
        if self.generator.cross_dim != self.aligner.encoder.width:
            raise ConfigError(
                f"generator.cross_dim {self.generator.cross_dim} must be the width of the aligner's text encoder, "
                f"{self.aligner.encoder.width}"
            )


class CrossGenerator(nn.Module):
    """Everything between text symbols and codes, without an alignment of the two.

    Every block attends to the encoded text of prompt and target (see :class:`TextMemory`); how long the target becomes
    is predicted as one number (method 11.11, 13.25). The aligner is frozen and serves voices alone: it tells where a
    recording may be cut, and its encoder's weights are what this one's start from.

    Source: DiTTo-TTS (arXiv:2406.11427), with the generator of codes in place of its diffusion.
    """

    def __init__(self, config: CrossGeneratorConfig, code_space: CodeSpace, level_energy: Tensor | None = None):
        super().__init__()
        self.config = config
        self.aligner = Aligner(config.aligner).requires_grad_(False)
        self.encoder = TextEncoder(config.aligner.encoder, config.aligner.num_symbols)
        self.generator = build_generator(config.generator, code_space, level_energy)
        self.total_length = TotalLength(config.length, code_space.dim, config.aligner.encoder.width)

    def start_from(self, aligner: Aligner) -> None:
        """Take over a trained aligner, and its encoder's weights as the first of this one's."""
        self.aligner.load_state_dict(aligner.state_dict())
        self.encoder.load_state_dict(aligner.encoder.state_dict())

    def forward(
        self,
        codes: Int[Tensor, "B L D"],
        num_codes: Int[Tensor, " B"],
        num_prompt: Int[Tensor, " B"],
        symbols: Int[Tensor, "B N"],
        num_symbols: Int[Tensor, " B"],
        num_prompt_symbols: Int[Tensor, " B"],
        rng: torch.Generator,
        text_features: Float[Tensor, "B N G"] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Training loss and its parts; the first ``num_prompt`` code frames of each item are a visible prompt.

        Args:
            num_prompt_symbols: leading symbols that are spoken in the prompt; the others belong to the target.
        """
        is_padding = padding_mask(num_codes, codes.shape[1])
        is_target = between_mask(num_prompt, num_codes, codes.shape[1])
        encoded = self.encoder(symbols, padding_mask(num_symbols, symbols.shape[1]), text_features)
        memory = self.memory(encoded, num_symbols, num_prompt_symbols, num_codes, num_prompt)
        loss, logs = self.generator.loss(codes, is_target, is_padding, memory, rng)
        mean, std = self.length_law(codes, num_prompt, memory, num_symbols, num_prompt_symbols)
        length, error = length_loss(mean, std, num_codes - num_prompt)
        logs |= {"generator": loss.detach(), "length": length.detach(), "length_error": error}
        return loss + length, logs

    def memory(
        self,
        encoded: Float[Tensor, "B N F"],
        num_symbols: Int[Tensor, " B"],
        num_prompt_symbols: Int[Tensor, " B"],
        num_codes: Int[Tensor, " B"],
        num_prompt: Int[Tensor, " B"],
    ) -> TextMemory:
        """The text as the generator attends to it, up to the longest item's last frame."""
        return TextMemory(
            features=encoded,
            is_padding=padding_mask(num_symbols, encoded.shape[1]),
            symbol_place=place_in_parts(num_symbols, num_prompt_symbols, encoded.shape[1]),
            frame_place=place_in_parts(num_codes, num_prompt, int(num_codes.max())),
        )

    def length_law(
        self,
        codes: Int[Tensor, "B P D"],
        num_prompt: Int[Tensor, " B"],
        memory: TextMemory,
        num_symbols: Int[Tensor, " B"],
        num_prompt_symbols: Int[Tensor, " B"],
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """Mean and standard deviation of the logarithm of the target's code frames.

        Args:
            codes: of the prompts; what lies behind them is not looked at.
        """
        prompt = codes[:, : int(num_prompt.max())]
        visible = self.generator.visible_input(prompt, torch.zeros_like(prompt, dtype=torch.bool))
        return self.total_length(visible, num_prompt, memory, num_symbols, num_prompt_symbols)

    def lay_out(
        self,
        voices: Sequence[Voice],
        texts: Sequence[EncodedText],
        lengths: Sequence[LengthConfig],
        rngs: Sequence[torch.Generator],
        *,
        code_rate_hz: float,
    ) -> Layout:
        """Predict how long each text becomes in its voice, and prepare both texts to be attended to.

        Args:
            lengths: one for each item, as are voices, texts and rngs.
            code_rate_hz: code frames per second.
        Raises:
            ResGenError: TEXT_TOO_LONG or DURATION_TOO_LONG, an item leaves the model's span.
        """
        device = self.aligner.to_mel.weight.device
        joined = [EncodedText.join([voice.encoded, text]) for voice, text in zip(voices, texts, strict=True)]
        num_symbols = torch.tensor([len(item) for item in joined], device=device)
        num_prompt_symbols = torch.tensor([len(voice.encoded) for voice in voices], device=device)
        num_prompt = torch.tensor([len(voice.codes) for voice in voices], device=device)
        encoded = [encode_alone(self.encoder, item) for item in joined]
        frames, notes = [], []
        for item, (voice, text, length, rng) in enumerate(zip(voices, texts, lengths, rngs, strict=True)):
            one = slice(item, item + 1)  # by itself, as its text is encoded: neighbours must not change a length
            parts = num_symbols[one], num_prompt_symbols[one]
            before = self.memory(encoded[item], *parts, num_prompt[one], num_prompt[one])
            law = self.length_law(voice.codes[None].to(device), num_prompt[one], before, *parts)
            mean, std = (part.item() for part in law)
            planned, told = plan_frames(mean, std, text, length, code_rate_hz=code_rate_hz, rng=rng)
            check_span(len(voice.codes), planned, length, code_rate_hz)
            if length.duration_seconds is not None:
                told += rate_notes(math.exp(min(mean, 50.0)), float(planned))
            frames.append(planned)
            notes.append(told)
        num_codes = num_prompt + torch.tensor(frames, device=device)
        features = pad_stack([row[0] for row in encoded])
        return Layout(
            num_prompt=num_prompt,
            num_codes=num_codes,
            condition=self.memory(features, num_symbols, num_prompt_symbols, num_codes, num_prompt),
            durations=None,
            notes=notes,
        )
