"""Text and a voice to a wave: the second walk through the house."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.common.randomness import generator as named_generator
from resgen_tts.core.reveal import RevealState
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.generator import SpeechGenerator, fill_last_symbol
from resgen_tts.speech.prompt import Voice, make_voice
from resgen_tts.speech.text.normalize import normalize
from resgen_tts.speech.text.symbols import Inventory, to_symbols
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer

LONGEST_SECONDS = 40.0  # of prompt and target together


@dataclass(frozen=True)
class Speech:
    """What a synthesis gives back."""

    audio: Float[np.ndarray, " N"]  # float32, mono
    sample_rate: int
    mel: Float[np.ndarray, "T M"]
    codes: Int[np.ndarray, "L D"]
    text: str
    normalized_text: str
    phonemes: tuple[str, ...]
    seed: int
    timings: dict[str, float]  # seconds per part
    warnings: tuple[str, ...]
    trace: tuple[Int[np.ndarray, "L D"], ...] = field(default=())  # hidden slots before each step, where asked for

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.audio) / self.sample_rate


class Synthesizer(nn.Module):
    """Tokenizer, generator and text inventory of one trained system."""

    def __init__(self, tokenizer: MelTokenizer, generator: SpeechGenerator, inventory: Inventory):
        super().__init__()
        space, mine = tokenizer.code_space, generator.generator.code_space
        if space.codebooks.shape != mine.codebooks.shape or not torch.equal(space.codebooks, mine.codebooks):
            raise ConfigError("the generator was trained on the codes of another tokenizer; retrain it or swap back")
        self.tokenizer, self.generator, self.inventory = tokenizer, generator, inventory
        self.eval().requires_grad_(False)

    def voice(self, wave: Float[np.ndarray, " N"], text: str, warnings: tuple[str, ...] = ()) -> Voice:
        """A reference recording (at the model's rate) and its transcript as a voice."""
        spoken = normalize(text)
        (symbols,) = to_symbols([spoken.text], self.inventory.units)
        numbers, unknown = self.inventory.encode(symbols)
        notes = (*warnings, *spoken.warnings, *unknown)
        return make_voice(self.tokenizer, self.generator, torch.from_numpy(wave), spoken.text, numbers, notes)

    @torch.inference_mode()
    def __call__(
        self,
        text: str,
        voice: Voice,
        *,
        seed: int,
        sampler: SamplerConfig,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        keep_trace: bool = False,
    ) -> Speech:
        """Speak ``text`` in ``voice``.

        Args:
            seed: all randomness of this utterance.
            speed: 2.0 is twice as fast as the reference.
            duration_seconds: length of the result, in place of ``speed``.
            keep_trace: keep which codes were hidden at each step.
        Raises:
            TextError: TEXT_TOO_LONG where prompt and target exceed the model's span.
        """
        if not 0.25 <= speed <= 4:
            raise ConfigError(f"speed must be between 0.25 and 4, got {speed}")
        if duration_seconds is not None and not duration_seconds > 0:
            raise ConfigError(f"the duration must be positive, got {duration_seconds} s")
        started = time.perf_counter()
        spoken = normalize(text)
        (symbols,) = to_symbols([spoken.text], self.inventory.units)
        numbers, unknown = self.inventory.encode(symbols)
        timings = {"text": time.perf_counter() - started}

        joined = torch.cat([voice.symbols, torch.tensor(numbers)])[None]
        count = torch.tensor([joined.shape[1]])
        features = self.generator.aligner.encode(joined, count)
        expected = self.generator.aligner.log_durations(features)[0, len(voice.symbols) :].expm1().clamp_min(1)
        durations = self._durations(expected, voice.rate / speed, duration_seconds)
        per_code = self.generator.config.frames_per_code
        joined_durations = torch.cat([voice.durations, durations])[None]
        joined_durations = fill_last_symbol(joined_durations, count, per_code)
        num_prompt, num_codes = len(voice.codes), int(joined_durations.sum()) // per_code
        if num_codes / self.tokenizer.frame_rate_hz > LONGEST_SECONDS:
            raise TextError(
                f"the text would last {(num_codes - num_prompt) / self.tokenizer.frame_rate_hz:.0f} s; reference and "
                f"text together may last {LONGEST_SECONDS:.0f} s.",
                code="TEXT_TOO_LONG",
                hint="Speak it in shorter parts.",
            )
        condition = self.generator.condition(features, joined_durations, num_codes)
        codes = torch.zeros(1, num_codes, voice.codes.shape[1], dtype=torch.long)
        codes[0, :num_prompt] = voice.codes
        is_target = (torch.arange(num_codes) >= num_prompt)[None]
        trace: list[np.ndarray] = []
        timings["alignment"] = time.perf_counter() - started - timings["text"]
        mark = time.perf_counter()
        codes = self.generator.generator.generate(
            codes, is_target, torch.zeros_like(is_target), condition, sampler, named_generator(seed, "sample"),
            _recorder(trace, num_prompt) if keep_trace else None,
        )  # fmt: skip
        timings["generator"] = time.perf_counter() - mark
        mark = time.perf_counter()
        mel, wave = self._decode(codes[:, num_prompt:])
        timings["decode"] = time.perf_counter() - mark
        timings["total"] = time.perf_counter() - started
        notes = (*voice.warnings, *spoken.warnings, *unknown)
        seconds = len(wave) / self.tokenizer.sample_rate
        if duration_seconds is not None and abs(seconds - duration_seconds) > 1 / self.tokenizer.frame_rate_hz:
            notes += (f"DURATION_CHANGED: {duration_seconds:.2f} s were asked for, the text takes {seconds:.2f} s",)
        return Speech(
            audio=wave.numpy(),
            sample_rate=self.tokenizer.sample_rate,
            mel=mel.numpy(),
            codes=codes[0, num_prompt:].numpy(),
            text=text,
            normalized_text=spoken.text,
            phonemes=tuple(symbols),
            seed=seed,
            timings=timings,
            warnings=notes,
            trace=tuple(trace),
        )

    @torch.inference_mode()
    def resynthesize(self, wave: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Through the tokenizer and back: the bound of what the generator can sound like."""
        rows = torch.from_numpy(wave)[None]
        codes, lengths = self.tokenizer.encode(rows, torch.tensor([len(wave)]))
        decoded, _ = self.tokenizer.decode(codes, lengths)
        return decoded[0, : len(wave)].numpy()

    def _durations(self, expected: Tensor, factor: float, duration_seconds: float | None) -> Int[Tensor, " N"]:
        """Whole mel frames per symbol, at least one each; rounding errors do not add up."""
        if duration_seconds is None:
            scaled = expected * factor
        else:
            mel = self.tokenizer.mel_vae.config.mel
            scaled = expected * (duration_seconds * mel.frame_rate_hz / float(expected.sum()))
        borders = scaled.clamp_min(1).cumsum(0).round().long()
        return borders.diff(prepend=torch.zeros(1, dtype=torch.long)).clamp_min(1)

    def _decode(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Mel and wave of the target's codes alone: in training, too, they were encoded from their own beginning."""
        lengths = torch.tensor([codes.shape[1]])
        mel, _ = self.tokenizer.decode_mel(codes, lengths)
        return mel[0], self.tokenizer.vocoder(mel)[0]


def _recorder(trace: list[np.ndarray], num_prompt: int) -> Callable[[RevealState], None]:
    def record(state: RevealState) -> None:
        trace.append(torch.where(state.hidden_mask[0, num_prompt:], -1, state.codes[0, num_prompt:]).numpy())

    return record
