"""How long every symbol lasts: from predictions to whole mel frames, with floors, caps and asked-for lengths."""

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.speech.text.symbols import CLAUSE_MARKS, SENTENCE_MARKS
from resgen_tts.speech.text.units import EncodedText

FINE = 1024  # parts of a frame that rounding works with: whole numbers, whose sums are exact
ARPABET_VOWELS = frozenset(
    ("AA", "AE", "AH", "AO", "AW", "AX", "AXR", "AY", "EH", "ER", "EY", "IH", "IX", "IY", "OW", "OY", "UH", "UW", "UX")
)
IPA_VOWELS = frozenset("ɑɐɒæəɚɛɜɝɪɨʊʌɔøœᵻ")  # single plain letters are left out: as bytes they may be silent
STRESSED = ("ˈ", "ˌ")
NATURAL_SPEEDS = (0.5, 2.0)  # times that of the voice; beyond them, a length that was asked for is worth a warning


@dataclass(frozen=True, kw_only=True)
class LengthConfig:
    """How long speech becomes. Seconds are those at speed 1; floors shorten and caps lengthen with the speed."""

    speed: float = 1.0  # 2.0 is twice as fast as the voice
    duration_seconds: float | None = None  # of the whole result, to a code frame, in place of the speed
    spread: float = 0.0  # share of the predicted standard deviation that durations are drawn with; 0 = the mean
    least_phone_seconds: float = 0.02
    least_vowel_seconds: float = 0.04
    least_word_seconds: float = 0.06
    least_sentence_pause_seconds: float = 0.25  # between two words with . ? ! between them
    least_clause_pause_seconds: float = 0.12  # between two words with , ; : between them
    least_seconds: float = 0.3  # of all that is spoken, so that one short word is whole
    longest_symbol_seconds: float = 0.6
    longest_pause_seconds: float = 1.0  # of a pause or mark
    longest_seconds: float = 25.0  # of one chunk
    opening_seconds: float = 0.1  # silence before the first word
    closing_seconds: float = 0.25  # silence after the last word, then filled up to a whole code frame
    ends_give: bool = True  # whether opening and closing silence may change for the sake of duration_seconds

    def __post_init__(self):
        if not 0.25 <= self.speed <= 4:
            raise ConfigError(f"speed must be between 0.25 and 4, got {self.speed}")
        if self.duration_seconds is not None:
            if not 0 < self.duration_seconds < math.inf:
                raise ConfigError(f"the duration must be positive, got {self.duration_seconds} s")
            if self.speed != 1.0:
                raise ConfigError("give a speed or a duration, not both")
        if not 0 <= self.spread <= 2:
            raise ConfigError(f"length.spread must be in [0, 2], got {self.spread}")
        for name, value in vars(self).items():
            if name.startswith(("least_", "longest_", "opening_", "closing_")) and not 0 <= value < math.inf:
                raise ConfigError(f"length.{name} must be finite and not negative, got {value}")
        for longest, least in (
            ("longest_symbol_seconds", max(self.least_phone_seconds, self.least_vowel_seconds)),
            ("longest_pause_seconds", max(self.least_sentence_pause_seconds, self.least_clause_pause_seconds)),
            ("longest_seconds", self.least_seconds + self.opening_seconds + self.closing_seconds),
        ):
            if getattr(self, longest) < least:
                raise ConfigError(f"length.{longest} {getattr(self, longest)} is below its floor of {least}")


@dataclass(frozen=True)
class Plan:
    """Mel frames of each symbol, adding up to whole code frames, and what a user should know about them."""

    durations: Int[Tensor, " N"]
    notes: tuple[str, ...] = ()


def is_vowel(symbol: str) -> bool:
    """Whether a symbol is a vowel beyond doubt: a stressed one, or written as no consonant and no byte is."""
    bare = symbol.lstrip("".join(STRESSED))
    return bare != symbol or bare.rstrip("012") in ARPABET_VOWELS or any(letter in IPA_VOWELS for letter in bare)


def plan_durations(
    mean: Float[Tensor, " N"],
    std: Float[Tensor, " N"],
    text: EncodedText,
    is_optional: Bool[Tensor, " N"],
    length: LengthConfig,
    *,
    slowness: float,
    code_rate_hz: float,
    frames_per_code: int,
    rng: torch.Generator,
) -> Plan:
    """Whole mel frames for each symbol of one text.

    Args:
        mean: predicted log(1 + frames).
        std: predicted standard deviation of it; looked at where ``length.spread`` is above 0.
        is_optional: symbols that may last no frame at all; every other lasts at least one.
        slowness: how much longer the voice's symbols last than predicted.
        rng: draws the spread.
    Raises:
        ResGenError: MODEL_NONFINITE, a prediction is not a number.
    """
    rate = code_rate_hz * frames_per_code  # mel frames per second
    is_spoken = text.words >= 0
    log_frames = mean.double().cpu()
    if length.spread:
        drawn = torch.randn(len(log_frames), generator=rng, dtype=torch.double)
        log_frames = log_frames + length.spread * std.double().cpu() * drawn
    if bool(log_frames.isnan().any()):
        raise ResGenError("the aligner predicted a duration that is no number.", code="MODEL_NONFINITE")
    frames = log_frames.expm1().clamp_min(0) * slowness
    frames, notes = _capped(frames, text, is_spoken, length, rate)
    frames = _raised(frames, text, is_spoken, length, rate)
    frames = _paused(frames, text, is_spoken, length, rate)
    frames[0], frames[-1] = length.opening_seconds * rate, length.closing_seconds * rate
    longest = length.longest_seconds * rate
    if float(frames.sum()) > longest:
        notes += (
            f"DURATION_CAPPED: the text was predicted to last {float(frames.sum()) / rate:.1f} s; "
            f"{length.longest_seconds:g} s are used",
        )
        frames = frames * (longest / frames.sum())
    least = torch.where(is_optional, 0, 1)
    if length.duration_seconds is None:
        durations = round_frames(frames / length.speed, least)
        durations[-1] += -durations.sum() % frames_per_code
        return Plan(durations, notes)
    wanted = max(1, math.floor(length.duration_seconds * code_rate_hz + 0.5)) * frames_per_code
    gives = ~is_spoken
    ends = torch.zeros_like(gives)
    ends[[0, -1]] = True
    fixed = round_frames(frames, least) * (ends & (not length.ends_give))
    if int(fixed.sum() + least[fixed == 0].sum()) > wanted:
        fixed = torch.zeros_like(fixed)
    open_ = fixed == 0
    durations = fixed.clone()
    durations[open_] = fit_frames(frames[open_], least[open_], gives[open_], wanted - int(fixed.sum()))
    durations[-1] += -durations.sum() % frames_per_code  # of a text that is too long for what was asked
    return Plan(durations, notes + rate_notes(float(frames[is_spoken].sum()), float(durations[is_spoken].sum())))


def rate_notes(natural: float, given: float) -> tuple[str, ...]:
    """A warning where speech is given a length that is far from its own (both in one unit)."""
    speed = natural / max(given, 1e-9)
    if NATURAL_SPEEDS[0] <= speed <= NATURAL_SPEEDS[1]:
        return ()
    return (
        f"DURATION_RATE: the duration that was asked for makes the speech {speed:.2f} times as fast as the voice; "
        f"{NATURAL_SPEEDS[0]:g} to {NATURAL_SPEEDS[1]:g} times can sound natural",
    )


def round_frames(frames: Float[Tensor, " N"], least: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """Whole frames, at least ``least`` each; every border is rounded by itself, so that errors do not add up."""
    fine = torch.maximum((frames.double() * FINE).round().long(), least * FINE)
    borders = (fine.cumsum(0) + FINE // 2) // FINE
    return borders.diff(prepend=borders.new_zeros(1))


def fit_frames(
    frames: Float[Tensor, " N"], least: Int[Tensor, " N"], gives: Bool[Tensor, " N"], total: int
) -> Int[Tensor, " N"]:
    """Whole frames that add up to ``total``, or to the sum of ``least`` where that is more.

    What ``gives`` (pauses and silences) changes first, down to half or up to double its length; what is still missing
    comes from all symbols by one factor.
    """
    frames = torch.maximum(frames.double(), least.double())
    missing = total - float(frames.sum())
    soft = torch.where(gives, torch.maximum(frames / 2, least.double()) if missing < 0 else frames * 2, frames) - frames
    room = float(soft.sum())
    if room:
        frames = frames + soft * min(1.0, missing / room)
    total = max(total, int(least.sum()))
    low, high = 0.0, 2 * max(1.0, total / max(float(frames.sum()), 1e-9))
    for _ in range(60):  # the factor whose result adds up, floors held: the sum grows with it
        factor = (low + high) / 2
        low, high = (factor, high) if float(torch.maximum(frames * factor, least).sum()) < total else (low, factor)
    fine = (torch.maximum(frames * high, least.double()) * FINE).round().long()
    borders = (fine.cumsum(0) + FINE // 2) // FINE
    borders[-1] = total  # what the factor leaves is far below half a frame
    return borders.diff(prepend=borders.new_zeros(1))


def _capped(
    frames: Tensor, text: EncodedText, is_spoken: Tensor, length: LengthConfig, rate: float
) -> tuple[Tensor, tuple[str, ...]]:
    """No symbol runs away; the ends are set elsewhere and not told of."""
    cap = torch.where(is_spoken, length.longest_symbol_seconds, length.longest_pause_seconds).double() * rate
    over = (frames > cap).nonzero()[:, 0].tolist()
    told = [place for place in over if 0 < place < len(frames) - 1]
    if not told:
        return frames.minimum(cap), ()
    shown = ", ".join(f"{text.symbols[place]!r} (number {place})" for place in told[:5])
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    what = f"at most {length.longest_symbol_seconds:g} s, pauses {length.longest_pause_seconds:g} s"
    return frames.minimum(cap), (f"DURATION_CAPPED: {shown}{more} would last too long; {what} are used",)


def _raised(frames: Tensor, text: EncodedText, is_spoken: Tensor, length: LengthConfig, rate: float) -> Tensor:
    """Floors of phones, then of words, then of all that is spoken; a word or text grows by one factor."""
    vowels = torch.tensor([is_vowel(symbol) for symbol in text.symbols])
    floor = torch.where(vowels, length.least_vowel_seconds, length.least_phone_seconds).double() * rate
    frames = torch.where(is_spoken, frames.maximum(floor), frames)
    words = text.words.clamp_min(0)
    sums = torch.zeros(int(words.max()) + 1, dtype=torch.double).index_add(0, words, frames * is_spoken)
    growth = (length.least_word_seconds * rate / sums.clamp_min(1e-9)).clamp_min(1)
    frames = torch.where(is_spoken, frames * growth[words], frames)
    spoken = float((frames * is_spoken).sum())
    wanted = length.least_seconds * rate
    return torch.where(is_spoken, frames * max(1.0, wanted / max(spoken, 1e-9)), frames)


def _paused(frames: Tensor, text: EncodedText, is_spoken: Tensor, length: LengthConfig, rate: float) -> Tensor:
    """Floors of what stands between two words with a mark; the mark grows by what is missing.

    A mark that the model knows as a pause and one that has a pause beside it come to the same silence.
    """
    floors = dict.fromkeys(SENTENCE_MARKS, length.least_sentence_pause_seconds * rate)
    floors |= dict.fromkeys(CLAUSE_MARKS, length.least_clause_pause_seconds * rate)
    frames = frames.clone()
    spoken = is_spoken.nonzero()[:, 0].tolist()
    for before, after in itertools.pairwise(spoken):
        marks = [place for place in range(before + 1, after) if text.symbols[place] in floors]
        if marks:
            longest = max(marks, key=lambda place: floors[text.symbols[place]])
            missing = floors[text.symbols[longest]] - float(frames[before + 1 : after].sum())
            frames[longest] += max(0.0, missing)
    return frames
