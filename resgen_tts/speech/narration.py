"""One request on its way: which chunks are to be spoken next, and how those that were are joined."""

import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from resgen_tts.common.errors import ResGenError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.joining import Joiner, spoken_span
from resgen_tts.speech.layout import LONGEST_SECONDS, asked_too_long, check_span
from resgen_tts.speech.length import LengthConfig, rate_notes
from resgen_tts.speech.long_text import (
    CHARACTERS_PER_SECOND,
    PAUSE_STRETCH,
    LongTextConfig,
    chunk_lengths,
    share_duration,
    split_text,
)
from resgen_tts.speech.prompt import Voice
from resgen_tts.speech.result import Speech, SpeechChunk, Trace, join_chunks
from resgen_tts.speech.text.chunk import Chunk
from resgen_tts.speech.text.units import EncodedText, TextUnits

SPARE_ROOM = 0.5  # seconds of it that rounding up to code frames may take


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """A text to be spoken in a voice; ``seed`` stands for all randomness."""

    text: str
    voice: Voice
    seed: int
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    length: LengthConfig = field(default_factory=LengthConfig)
    long_text: LongTextConfig = field(default_factory=LongTextConfig)
    keep_trace: bool = False


@dataclass(frozen=True)
class Rates:
    """Of a tokenizer: samples per second, code frames per second, samples of a mel frame and of a code frame."""

    sample_rate: int
    code_rate_hz: float
    mel_hop_samples: int
    hop_samples: int


@dataclass(frozen=True)
class ChunkJob:
    """A chunk that can be spoken now."""

    number: int
    text: str
    voice: Voice
    length: LengthConfig
    seed: int
    keep_trace: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MadeChunk:
    """A chunk as the generator and the decoder left it."""

    wave: Float[np.ndarray, " N"]
    mel: Float[np.ndarray, "T M"]
    codes: Int[torch.Tensor, "L D"]
    encoded: EncodedText
    durations: Int[torch.Tensor, " S"] | None
    notes: tuple[str, ...]
    timings: dict[str, float]
    trace: Trace = ()


class Narration:
    """The state of one request; its memory does not grow with the text's audio.

    Args:
        units: of the model; their warnings are told with the first chunk, before those of the text.
    Raises:
        TextError: the text cannot be spoken.
        ConfigError: DURATION_TOO_LONG, it has too few chunks for the duration that is asked for.
    """

    def __init__(self, request: SpeechRequest, rates: Rates, units: TextUnits):
        self.started = time.perf_counter()
        self.request, self.rates = request, rates
        self.spoken = units.normalize(request.text)
        config, length, voice = request.long_text, request.length, request.voice
        prompt_seconds = len(voice.codes) / rates.code_rate_hz
        self.chunks = split_text(
            self.spoken, config, slowness=voice.rate / length.speed,
            room_seconds=0.7 * max(1.0, LONGEST_SECONDS - prompt_seconds),
        )  # fmt: skip
        self.pauses = [config.pause_seconds(chunk.boundary) for chunk in self.chunks[:-1]]
        room = len(self.chunks) * (LONGEST_SECONDS - prompt_seconds) + PAUSE_STRETCH[1] * sum(self.pauses)
        if length.duration_seconds is not None and length.duration_seconds > room + 0.5 / rates.code_rate_hz:
            raise asked_too_long(length.duration_seconds, room)
        self.lengths = [length]
        if len(self.chunks) > 1:
            self.lengths = chunk_lengths(self.pauses, config.cross_fade_seconds, length)
        self.timings = {"text": time.perf_counter() - self.started}
        self._joiner = Joiner(rates.sample_rate, config.cross_fade_seconds)
        self._first_notes = (*units.warnings, *self.spoken.warnings, *_cut_words(self.chunks))
        self._asked = self._made = 0
        self.error: ResGenError | None = None  # of the chunk that ended it, in a batch whose others go on
        self._previous: Voice | None = None

    @property
    def is_finished(self) -> bool:
        """Whether all chunks were spoken, or one failed."""
        return self.error is not None or self._made == len(self.chunks)

    @property
    def shares_duration(self) -> bool:
        """Whether the chunks must be measured before the first is spoken, for a length of the whole."""
        return len(self.chunks) > 1 and self.request.length.duration_seconds is not None

    @property
    def next_seconds(self) -> float:
        """About how long the next chunk will last, 1 or more; 0 where all are given out."""
        if self._asked == len(self.chunks):
            return 0.0
        slowness = self.request.voice.rate / self.request.length.speed
        return max(1.0, len(self.chunks[self._asked].text) / CHARACTERS_PER_SECOND * slowness)

    def jobs(self, most: int) -> list[ChunkJob]:
        """Up to so many chunks that can be spoken now; each is given out once."""
        if self.request.long_text.context == "previous":
            most = min(most, 1) if self._asked == self._made else 0
        elif self._asked == 0 and self.request.long_text.first_characters is not None:
            most = min(most, 1)  # nothing else delays the first sound
        last = min(len(self.chunks), self._asked + most)
        numbers = range(self._asked, last)
        self._asked = last
        return [self._job(number) for number in numbers]

    def measured_jobs(self) -> list[ChunkJob]:
        """All chunks, to be measured alone."""
        return [self._job(number) for number in range(len(self.chunks))]

    def share(self, natural: list[float]) -> None:
        """Share the length that was asked for, by the seconds of speech that each chunk would have by itself.

        Raises:
            ConfigError: DURATION_TOO_LONG, a chunk's share leaves the model's span.
        """
        self.lengths, self.pauses = share_duration(
            self.lengths, self.pauses, natural, self.request.length.duration_seconds,
            self.request.long_text.cross_fade_seconds, self.rates.code_rate_hz,
        )  # fmt: skip
        given = 0.0
        for own in self.lengths:
            frames = round(own.duration_seconds * self.rates.code_rate_hz)
            check_span(len(self.request.voice.codes), frames, own, self.rates.code_rate_hz)
            given += own.duration_seconds - own.opening_seconds - own.closing_seconds
        self._first_notes += rate_notes(sum(natural), given)

    def take(self, job: ChunkJob, made: MadeChunk) -> SpeechChunk:
        """Join a chunk to those before it; chunks come in order."""
        assert job.number == self._made, f"chunk {job.number} came when {self._made} was due"
        chunk, rates, is_last = self.chunks[job.number], self.rates, job.number == len(self.chunks) - 1
        durations = None if made.durations is None else made.durations.numpy()
        begin = self._joiner.given
        pause = None if is_last else round(self.pauses[job.number] / self.request.length.speed * rates.sample_rate)
        total = self._wanted_samples if is_last and self.shares_duration else None
        span = spoken_span(made.wave, rates.sample_rate, durations, rates.mel_hop_samples)
        audio = self._joiner.add(made.wave, span, pause, total)
        self._made += 1
        self._previous = _as_voice(job, made)
        start, end = self.spoken.span(chunk.start, chunk.start + len(chunk.text.rstrip()))
        told = made.notes
        if self.shares_duration:  # the speed of the whole was told once
            told = tuple(note for note in told if not note.startswith("DURATION_RATE"))
        notes = (*(() if job.number else self._first_notes), *job.notes, *made.encoded.warnings, *told)
        if is_last:
            notes += self._length_notes()
        return SpeechChunk(
            number=job.number,
            num_chunks=len(self.chunks),
            text=job.text,
            start=start,
            end=end,
            boundary=chunk.boundary,
            audio=audio,
            sample_rate=rates.sample_rate,
            begin_seconds=begin / rates.sample_rate,
            symbols=made.encoded.symbols,
            durations=durations,
            mel=made.mel,
            codes=made.codes.numpy(),
            warnings=notes,
            timings=made.timings,
            trace=made.trace,
            seed=self.request.seed,
        )

    def whole(self, chunks: list[SpeechChunk], warnings: tuple[str, ...] = ()) -> Speech:
        """All chunks, or those up to a stop, as one result."""
        request = self.request
        return join_chunks(
            chunks, text=request.text, normalized_text=self.spoken.text, seed=request.seed, timings=self.timings,
            warnings=(*request.voice.warnings, *warnings),
        )  # fmt: skip

    @property
    def _wanted_samples(self) -> int:
        frames = max(1, int(self.request.length.duration_seconds * self.rates.code_rate_hz + 0.5))
        return frames * self.rates.hop_samples

    def _length_notes(self) -> tuple[str, ...]:
        asked = self.request.length.duration_seconds
        seconds = self._joiner.given / self.rates.sample_rate
        if asked is None or abs(seconds - asked) <= 1 / self.rates.code_rate_hz:
            return ()
        return (f"DURATION_CHANGED: {asked:.2f} s were asked for, the text takes {seconds:.2f} s",)

    def _job(self, number: int) -> ChunkJob:
        request, notes = self.request, ()
        voice = request.voice
        if request.long_text.context == "previous" and self._previous is not None:
            led = len(voice.codes) + len(self._previous.codes)
            needed = max(1.25 * request.long_text.longest_seconds, self.lengths[number].duration_seconds or 0.0)
            if led / self.rates.code_rate_hz + needed <= LONGEST_SECONDS:
                voice = _joined(voice, self._previous)
            else:
                notes = (f"CONTEXT_SHORTENED: chunk {number + 1} has the reference alone: both were too long",)
        # What is predicted to leave the span is capped, and told as such; without any room the synthesizer refuses.
        length, room = self.lengths[number], LONGEST_SECONDS - len(voice.codes) / self.rates.code_rate_hz - SPARE_ROOM
        if room > 2:
            length = replace(length, longest_seconds=min(length.longest_seconds, room * length.speed))
        text = self.chunks[number].text.strip()
        return ChunkJob(number, text, voice, length, request.seed, request.keep_trace, notes)


def _cut_words(chunks: list[Chunk]) -> tuple[str, ...]:
    """A warning where words are so long that they are spoken in pieces."""
    pieces = [chunk for chunk in chunks[:-1] if not chunk.text[-1:].isspace()]
    if not pieces:
        return ()
    return (f"TEXT_WORD_CUT: a word too long to be spoken at once is cut, first behind {pieces[0].text[-20:]!r}",)


def _as_voice(job: ChunkJob, made: MadeChunk) -> Voice:
    """A chunk as what leads the next one."""
    durations = torch.zeros(len(made.encoded), dtype=torch.long) if made.durations is None else made.durations
    return replace(
        job.voice, text=job.text, original_text=job.text, codes=made.codes, encoded=made.encoded, durations=durations
    )


def _joined(voice: Voice, previous: Voice) -> Voice:
    return replace(
        voice,
        text=f"{voice.text} {previous.text}",
        original_text=f"{voice.original_text} {previous.original_text}",
        codes=torch.cat([voice.codes, previous.codes]),
        encoded=EncodedText.join([voice.encoded, previous.encoded]),
        durations=torch.cat([voice.durations, previous.durations]),
    )
