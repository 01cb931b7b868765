"""The text-conditioned generator: aligned text features, brought to the code rate, into a generator of codes."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.lengths import between_mask, padding_mask
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.models.catalog import build_generator
from resgen_tts.models.resgen import ResGenConfig
from resgen_tts.models.trunk import TrunkConfig
from resgen_tts.speech.alignment import Aligner, AlignerConfig, expand


@dataclass(frozen=True, kw_only=True)
class SpeechGeneratorConfig:
    """Aligner, code-rate convolution and generator of codes (ResGen, or another scheme of the catalogue)."""

    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    generator: TrunkConfig = field(default_factory=ResGenConfig)
    frames_per_code: int = 8  # mel frames per code frame


class SpeechGenerator(nn.Module):
    """Everything between text symbols and codes.

    Features are repeated for each symbol's mel frames and brought to the code rate by a strided convolution
    (method 8.2, step 3); the generator gets them frame by frame, beside the visible codes.
    """

    def __init__(self, config: SpeechGeneratorConfig, code_space: CodeSpace, level_energy: Tensor | None = None):
        super().__init__()
        self.config = config
        self.aligner = Aligner(config.aligner)
        stride = config.frames_per_code
        self.to_code_rate = nn.Conv1d(config.aligner.encoder.width, config.generator.condition_dim, stride, stride)
        self.generator = build_generator(config.generator, code_space, level_energy)

    def forward(
        self,
        codes: Int[Tensor, "B L D"],
        num_codes: Int[Tensor, " B"],
        num_prompt: Int[Tensor, " B"],
        symbols: Int[Tensor, "B N"],
        num_symbols: Int[Tensor, " B"],
        durations: Int[Tensor, "B N"],
        mel: Float[Tensor, "B T M"],
        rng: torch.Generator,
        text_features: Float[Tensor, "B N G"] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Training loss and its parts; the first ``num_prompt`` code frames of each item are a visible prompt.

        The aligner goes on learning beside the generator, under the alignment it was frozen with: its features may move
        towards what the generator needs and still align a prompt at inference.
        """
        encoded = self.aligner.encode(symbols, num_symbols, text_features)
        is_padding = padding_mask(num_codes, codes.shape[1])
        is_target = between_mask(num_prompt, num_codes, codes.shape[1])
        condition = self.condition(encoded, durations, codes.shape[1])
        loss, logs = self.generator.loss(codes, is_target, is_padding, condition, rng)
        num_frames = num_codes * self.config.frames_per_code
        align, duration = self.aligner.losses(encoded, symbols, num_symbols, durations, mel, num_frames)
        logs |= {"generator": loss.detach(), "align": align.detach(), "duration": duration.detach()}
        return loss + align + duration, logs

    def condition(
        self, encoded: Float[Tensor, "B N F"], durations: Int[Tensor, "B N"], num_codes: int
    ) -> Float[Tensor, "B L G"]:
        """Aligned text at the code rate."""
        expanded = expand(encoded, durations, num_codes * self.config.frames_per_code)
        return self.to_code_rate(expanded.mT).mT
