"""Where prompts and targets lie in a batch of codes, and the condition of every code frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from resgen_tts.common.lengths import pad_stack, padding_mask
from resgen_tts.speech.length import LengthConfig, plan_durations
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.text.units import EncodedText


@dataclass(frozen=True)
class Layout:
    """A batch before its codes are generated: what an item holds is what it would hold alone.

    Args:
        num_prompt: leading code frames of each item that are its voice's.
        num_codes: code frames of each item, prompt and target.
        condition: what the generator of codes takes, padded to the longest item.
        durations: mel frames of each target's symbols; None where no such durations are predicted.
        notes: warnings of each item.
    """

    num_prompt: Int[Tensor, " B"]
    num_codes: Int[Tensor, " B"]
    condition: Any
    durations: list[Int[Tensor, " _"]] | None
    notes: list[tuple[str, ...]]

    @property
    def is_padding(self) -> Bool[Tensor, "B L"]:
        """True behind the end of an item."""
        return padding_mask(self.num_codes, int(self.num_codes.max()))

    @property
    def is_target(self) -> Bool[Tensor, "B L"]:
        """True where codes are to be generated."""
        return ~self.is_padding & padding_mask(self.num_prompt, int(self.num_codes.max()))


def lay_out(
    generator: nn.Module,
    voices: Sequence[Voice],
    texts: Sequence[EncodedText],
    lengths: Sequence[LengthConfig],
    rngs: Sequence[torch.Generator],
    *,
    code_rate_hz: float,
) -> Layout:
    """Plan durations of each text in its voice, and bring the aligned text to the code rate.

    Args:
        generator: a SpeechGenerator, or one that lays out by itself (a CrossGenerator).
        lengths: one for each item, as are voices, texts and rngs.
        code_rate_hz: code frames per second.
    """
    if hasattr(generator, "lay_out"):
        return generator.lay_out(voices, texts, lengths, rngs, code_rate_hz=code_rate_hz)
    device = generator.aligner.to_mel.weight.device
    joined = [EncodedText.join([voice.encoded, text]) for voice, text in zip(voices, texts, strict=True)]
    symbols = pad_stack([item.numbers for item in joined]).to(device)
    num_symbols = torch.tensor([len(item.numbers) for item in joined], device=device)
    features = None
    if joined[0].features is not None:
        features = pad_stack([item.features for item in joined]).to(device)
    encoded = generator.aligner.encode(symbols, num_symbols, features)
    mean, std = generator.aligner.durations(encoded)
    is_optional = generator.aligner.is_optional(symbols).cpu()
    per_code = generator.config.frames_per_code
    plans = []
    for item, (voice, text, length, rng) in enumerate(zip(voices, texts, lengths, rngs, strict=True)):
        led = len(voice.encoded.numbers)
        own = slice(led, led + len(text.numbers))
        plans.append(
            plan_durations(
                mean[item, own].float(), std[item, own].float(), text, is_optional[item, own], length,
                slowness=voice.rate, code_rate_hz=code_rate_hz, frames_per_code=per_code, rng=rng,
            )
        )  # fmt: skip
    rows = [torch.cat([voice.durations, plan.durations]) for voice, plan in zip(voices, plans, strict=True)]
    durations = pad_stack(rows).to(device)
    num_codes = durations.sum(1) // per_code
    return Layout(
        num_prompt=torch.tensor([len(voice.codes) for voice in voices], device=device),
        num_codes=num_codes,
        condition=generator.condition(encoded, durations, int(num_codes.max())),
        durations=[plan.durations for plan in plans],
        notes=[plan.notes for plan in plans],
    )
