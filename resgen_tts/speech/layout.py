"""Where prompts and targets lie in a batch of codes, and the condition of every code frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.common.lengths import between_mask, pad_stack, padding_mask
from resgen_tts.speech.length import LengthConfig, plan_durations
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.text.encoder import TextEncoder
from resgen_tts.speech.text.units import EncodedText

LONGEST_SECONDS = 40.0  # of prompt and target together: the model's span


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
        return between_mask(self.num_prompt, self.num_codes, int(self.num_codes.max()))


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
    Raises:
        ResGenError: TEXT_TOO_LONG or DURATION_TOO_LONG, an item leaves the model's span.
    """
    if hasattr(generator, "lay_out"):
        return generator.lay_out(voices, texts, lengths, rngs, code_rate_hz=code_rate_hz)
    device = generator.aligner.to_mel.weight.device
    joined = [EncodedText.join([voice.encoded, text]) for voice, text in zip(voices, texts, strict=True)]
    encoded = [encode_alone(generator.aligner.encoder, item) for item in joined]
    per_code = generator.config.frames_per_code
    plans, rows = [], []
    for voice, text, features, length, rng in zip(voices, texts, encoded, lengths, rngs, strict=True):
        laws = generator.aligner.durations(features)
        # Planned symbol by symbol, which no GPU is good at.
        mean, std = (law[0, len(voice.encoded) :].float().cpu() for law in laws)
        is_optional = generator.aligner.is_optional(text.numbers[None])[0]
        plan = plan_durations(
            mean, std, text, is_optional, length, slowness=voice.rate, code_rate_hz=code_rate_hz,
            frames_per_code=per_code, rng=rng,
        )  # fmt: skip
        check_span(len(voice.codes), int(plan.durations.sum()) // per_code, length, code_rate_hz)
        plans.append(plan)
        rows.append(torch.cat([voice.durations, plan.durations]))
    durations = pad_stack(rows).to(device)
    num_codes = durations.sum(1) // per_code
    return Layout(
        num_prompt=torch.tensor([len(voice.codes) for voice in voices], device=device),
        num_codes=num_codes,
        condition=generator.condition(pad_stack([row[0] for row in encoded]), durations, int(num_codes.max())),
        durations=[plan.durations for plan in plans],
        notes=[plan.notes for plan in plans],
    )


def encode_alone(encoder: TextEncoder, text: EncodedText) -> Float[Tensor, "1 N F"]:
    """The features of one text, made without neighbours.

    Padding would change their last digits, and a duration that lies on a border by a frame: a length must not depend on
    who else is in the batch. The encoder is a small part of the work, so that little is lost.
    """
    device = encoder.embedding.weight.device
    features = None if text.features is None else text.features[None].to(device)
    is_padding = torch.zeros(1, len(text), dtype=torch.bool, device=device)
    return encoder(text.numbers[None].to(device), is_padding, features)


def check_span(num_prompt: int, num_target: int, length: LengthConfig, code_rate_hz: float) -> None:
    """Refuse what the model's span is too short for, before anything of that length is made.

    Args:
        num_prompt, num_target: code frames.
    Raises:
        ConfigError: DURATION_TOO_LONG, where the target is so long because that was asked for.
        TextError: TEXT_TOO_LONG otherwise.
    """
    if num_prompt + num_target <= LONGEST_SECONDS * code_rate_hz:
        return
    led = num_prompt / code_rate_hz
    if length.duration_seconds is not None:
        raise asked_too_long(length.duration_seconds, LONGEST_SECONDS - led)
    raise TextError(
        f"a part of the text would last {num_target / code_rate_hz:.1f} s behind a reference of {led:.1f} s; together "
        f"they may last {LONGEST_SECONDS:g} s.",
        code="TEXT_TOO_LONG",
        hint="Take a shorter reference (--ref-audio, without --no-hygiene), or lower long_text.longest_characters.",
    )


def asked_too_long(seconds: float, room_seconds: float) -> ConfigError:
    """The error of a duration that is asked for of a text, or a part of one, and that has no room in the span."""
    return ConfigError(
        f"{seconds:g} s were asked for what may last {max(0.0, room_seconds):.1f} s behind this reference.",
        code="DURATION_TOO_LONG",
        hint="Ask for a shorter --duration, give more text, or take a shorter reference.",
    )
