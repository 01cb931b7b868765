"""Text and a voice to a wave: the second walk through the house."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.common.lengths import pad_stack, padding_mask
from resgen_tts.common.randomness import generator as named_generator
from resgen_tts.core.reveal import RevealState
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.cross_generator import CrossGenerator
from resgen_tts.speech.generator import SpeechGenerator
from resgen_tts.speech.layout import Layout, lay_out
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.long_text import LongTextConfig
from resgen_tts.speech.narration import ChunkJob, MadeChunk, Narration, Rates, SpeechRequest
from resgen_tts.speech.prompt import Voice, make_voice
from resgen_tts.speech.reference import ReferenceConfig
from resgen_tts.speech.result import Speech, SpeechChunk
from resgen_tts.speech.text.units import EncodedText, TextUnits
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer

AUDIO_TOLERANCE = 1e-3
"""Of full scale: how far audio may differ between a request alone and the same one in a batch, with equal codes.

Lengths are equal: a text is encoded, and its durations are planned, without neighbours. On another device or with
another number of threads they may differ by a frame, where a border lies on half a frame to the last digit; no
rounding helps against that, it only moves such places.

Codes are equal but where sums of products, made in another order, turn a draw that lies on a border. Drawn from all
components (top_p 1) that is as rare as rounding is fine; a nucleus among nearly equal components, as of a model that
knows little yet, magnifies it to some draws in a thousand. What is drawn instead is as likely."""


SIMILAR_LENGTHS = 1.5
"""Factor between chunks of several requests that share a reveal loop. What is padded is computed all the same: 24
sentences of mixed lengths took twice the time that they took in the order of their lengths."""


class Synthesizer(nn.Module):
    """Tokenizer, generator and text units of one trained system.

    Attributes:
        finish: what is done to the audio of every chunk before anybody gets it: (samples [N], Hz) to as many samples.
            The one place where speech is marked as made.
    """

    def __init__(self, tokenizer: MelTokenizer, generator: SpeechGenerator | CrossGenerator, units: TextUnits):
        super().__init__()
        space, mine = tokenizer.code_space, generator.generator.code_space
        if space.codebooks.shape != mine.codebooks.shape or not torch.equal(space.codebooks, mine.codebooks):
            raise ConfigError("the generator was trained on the codes of another tokenizer; retrain it or swap back")
        self.tokenizer, self.generator, self.units = tokenizer, generator, units
        per_code = generator.config.frames_per_code
        self.rates = Rates(
            tokenizer.sample_rate, tokenizer.frame_rate_hz, tokenizer.hop_samples // per_code, tokenizer.hop_samples
        )
        self.finish: Callable[[np.ndarray, int], np.ndarray] | None = None
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are; what is given out is on the CPU."""
        return self.tokenizer.code_space.codebooks.device

    def voice(
        self,
        wave: Float[np.ndarray, " N"],
        text: str,
        warnings: tuple[str, ...] = (),
        reference: ReferenceConfig | None = None,
    ) -> Voice:
        """A reference recording (at the model's rate) and its transcript as a voice."""
        return make_voice(self.tokenizer, self.generator, self.units, wave, text, reference, warnings)

    def __call__(
        self,
        text: str,
        voice: Voice,
        *,
        seed: int,
        sampler: SamplerConfig,
        length: LengthConfig = LengthConfig(),  # noqa: B008 (frozen)
        long_text: LongTextConfig = LongTextConfig(),  # noqa: B008 (frozen)
        keep_trace: bool = False,
        on_chunk: Callable[[SpeechChunk], bool | None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Speech:
        """Speak ``text`` in ``voice``; a long text chunk by chunk.

        Args:
            seed: all randomness of this utterance.
            length: speed, or how long the result shall last.
            long_text: chunks and how they are joined.
            keep_trace: keep which codes were hidden at each step.
            on_chunk: called with each chunk; where it returns False, nothing more is spoken, and the result says so.
            is_cancelled: asked before every step of the generator; True ends the call with an error.
        Raises:
            TextError: TEXT_TOO_LONG where the voice and one chunk exceed the model's span.
            ConfigError: DURATION_TOO_LONG where they would for the sake of the duration that is asked for.
            ResGenError: STOPPED, where it was cancelled.
        """
        narration = self.open(
            SpeechRequest(
                text=text, voice=voice, seed=seed, sampler=sampler, length=length, long_text=long_text,
                keep_trace=keep_trace,
            )
        )  # fmt: skip
        chunks: list[SpeechChunk] = []
        notes: tuple[str, ...] = ()
        for _, chunk in self._speak_all([narration], long_text.batch_size, is_cancelled, starts_early=True):
            chunks.append(chunk)
            if on_chunk is not None and on_chunk(chunk) is False and not narration.is_finished:
                notes = (f"SPEECH_STOPPED: {len(chunks)} of {chunk.num_chunks} chunks were spoken",)
                break
        return narration.whole(chunks, notes)

    def stream(
        self,
        text: str,
        voice: Voice,
        *,
        seed: int,
        sampler: SamplerConfig,
        length: LengthConfig = LengthConfig(),  # noqa: B008 (frozen)
        long_text: LongTextConfig = LongTextConfig(),  # noqa: B008 (frozen)
        keep_trace: bool = False,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[SpeechChunk]:
        """The same chunk after chunk, with the memory of one batch of chunks: the samples are those of a call.

        The text is looked at before this returns; closing the iterator ends the work.
        """
        request = SpeechRequest(
            text=text, voice=voice, seed=seed, sampler=sampler, length=length, long_text=long_text,
            keep_trace=keep_trace,
        )  # fmt: skip
        spoken = self._speak_all([self.open(request)], long_text.batch_size, is_cancelled, starts_early=True)
        return (chunk for _, chunk in spoken)

    def speak_batch(
        self,
        requests: Sequence[SpeechRequest],
        batch_size: int = 8,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> list[Speech | ResGenError]:
        """Several requests, ``batch_size`` chunks of any of them in one call of the generator.

        Each result is that of the request alone within :data:`AUDIO_TOLERANCE`. A request that fails has its error in
        the place of its result, and the others go on.

        Raises:
            ConfigError: ``batch_size`` is below 1.
            ResGenError: STOPPED, where all were cancelled.
        """
        if batch_size < 1:
            raise ConfigError(f"a batch holds at least 1 chunk, got batch_size {batch_size}")
        results: list[Speech | ResGenError | None] = [None] * len(requests)
        narrations: dict[int, Narration] = {}
        for place, request in enumerate(requests):
            try:
                narrations[place] = self.open(request)
            except ResGenError as error:
                results[place] = _kept(error)
        chunks: dict[int, list[SpeechChunk]] = {id(narration): [] for narration in narrations.values()}
        for narration, chunk in self._speak_all(list(narrations.values()), batch_size, is_cancelled, keeps_errors=True):
            chunks[id(narration)].append(chunk)
        for place, narration in narrations.items():
            results[place] = narration.error or narration.whole(chunks[id(narration)])
        return results

    @torch.inference_mode()
    def decode(self, codes: Int[Tensor, "L D"]) -> Float[np.ndarray, " N"]:
        """The wave of codes, e.g. of a voice."""
        (_,), (wave,) = self._decode([codes])
        return wave

    @torch.inference_mode()
    def resynthesize(self, wave: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Through the tokenizer and back, in full: the bound of what the generator can sound like."""
        # Silence fills the last code frame, which would be left out else.
        rows = torch.from_numpy(np.pad(wave, (0, -len(wave) % self.tokenizer.hop_samples)))[None]
        rows = rows.to(self.device)
        codes, lengths = self.tokenizer.encode(rows, torch.tensor([rows.shape[1]], device=self.device))
        decoded, _ = self.tokenizer.decode(codes, lengths)
        return decoded[0, : len(wave)].cpu().numpy()

    def open(self, request: SpeechRequest) -> Narration:
        """A request on its way: its text is read, cut into chunks and, for a length of the whole, measured.

        Raises:
            TextError, ConfigError: it cannot be spoken.
        """
        narration = Narration(request, self.rates, self.units)
        if narration.shares_duration:
            narration.share(self._natural_seconds(narration.measured_jobs(), request.long_text.batch_size))
        return narration

    def step(
        self,
        narrations: Sequence[Narration],
        batch_size: int,
        is_cancelled: Callable[[], bool] | None = None,
        most_each: int | None = None,
    ) -> list[tuple[Narration, SpeechChunk]]:
        """One call of the generator: up to ``batch_size`` chunks of any of the narrations, the first ones first.

        They share a reveal loop, which has one sampler and is as long as its longest chunk: those with another sampler
        than the first, or a next chunk of quite another length, wait. A chunk that fails ends its narration, whose
        ``error`` says why, and no other.

        Args:
            narrations: open ones, none finished.
            most_each: chunks of one narration.
        Raises:
            ResGenError: STOPPED, it was cancelled; none of the narrations can go on.
        """
        return self._step(narrations, batch_size, is_cancelled, self._speak_each, most_each)

    def _step(
        self,
        narrations: Sequence[Narration],
        batch_size: int,
        is_cancelled: Callable[[], bool] | None,
        speak: Callable[..., list],
        most_each: int | None = None,
    ) -> list[tuple[Narration, SpeechChunk]]:
        sampler, seconds = narrations[0].request.sampler, narrations[0].next_seconds
        batch: list[tuple[Narration, ChunkJob]] = []
        for narration in narrations:
            is_like = seconds / SIMILAR_LENGTHS <= narration.next_seconds <= seconds * SIMILAR_LENGTHS
            if narration.request.sampler == sampler and is_like:
                room = batch_size - len(batch)
                jobs = narration.jobs(room if most_each is None else min(room, most_each))
                batch += [(narration, job) for job in jobs]
        made = speak([job for _, job in batch], sampler, is_cancelled)
        spoken = []
        for (narration, job), one in zip(batch, made, strict=True):
            if narration.error is None and isinstance(one, ResGenError):
                narration.error = one
            if narration.error is not None:
                continue
            chunk = self._finished(narration.take(job, one))
            narration.timings.setdefault("first_audio", time.perf_counter() - narration.started)
            narration.timings["total"] = time.perf_counter() - narration.started
            spoken.append((narration, chunk))
        return spoken

    def _finished(self, chunk: SpeechChunk) -> SpeechChunk:
        if self.finish is None or not len(chunk.audio):
            return chunk
        started = time.perf_counter()
        audio = self.finish(chunk.audio, chunk.sample_rate)
        assert audio.shape == chunk.audio.shape, f"{chunk.audio.shape} became {audio.shape}"
        return replace(chunk, audio=audio, timings=chunk.timings | {"finish": time.perf_counter() - started})

    def _speak_all(
        self,
        narrations: list[Narration],
        batch_size: int,
        is_cancelled: Callable[[], bool] | None,
        keeps_errors: bool = False,
        starts_early: bool = False,
    ) -> Iterator[tuple[Narration, SpeechChunk]]:
        """Batches of chunks, taken from the narrations in turn, until all are spoken.

        Args:
            keeps_errors: an error ends its narration alone, and is kept there.
            starts_early: the first chunk is a batch of its own, and no later batch is more than half of the chunks that
                were there before it: whoever listens hears no gap where two seconds of work give three of speech.
        """
        speak = self._speak_each if keeps_errors else self._speak
        given = 0
        while waiting := [narration for narration in narrations if not narration.is_finished]:
            room = min(batch_size, max(1, (given + 1) // 2)) if starts_early else batch_size
            spoken = self._step(waiting, room, is_cancelled, speak)
            given += len(spoken)
            yield from spoken

    def _speak_each(
        self, jobs: list[ChunkJob], sampler: SamplerConfig, is_cancelled: Callable[[], bool] | None
    ) -> list[MadeChunk | ResGenError]:
        """The same; where something of it fails, one job after the other, so that each fault is found at its own."""
        try:
            return self._speak(jobs, sampler, is_cancelled)
        except ResGenError as error:
            if error.code == "STOPPED":
                raise
            if len(jobs) == 1:
                return [_kept(error)]
        return [made for job in jobs for made in self._speak_each([job], sampler, is_cancelled)]

    @torch.inference_mode()
    def _speak(
        self, jobs: list[ChunkJob], sampler: SamplerConfig, is_cancelled: Callable[[], bool] | None
    ) -> list[MadeChunk]:
        """One call of the generator; an item's numbers depend on its own seed alone."""
        marks = [time.perf_counter()]
        texts, layout = self._lay_out(jobs)
        marks.append(time.perf_counter())
        codes = layout.num_codes.new_zeros(len(jobs), int(layout.num_codes.max()), self.tokenizer.code_space.depth)
        for row, job in zip(codes, jobs, strict=True):
            row[: len(job.voice.codes)] = job.voice.codes
        recorder = _Recorder(layout, [job.keep_trace for job in jobs], is_cancelled)
        rngs = [named_generator(job.seed, "sample", job.number) for job in jobs]
        codes = self.generator.generator.generate(
            codes, layout.is_target, layout.is_padding, layout.condition, sampler, rngs, recorder
        )
        own = [row[led:end].cpu() for row, led, end in zip(codes, layout.num_prompt, layout.num_codes, strict=True)]
        marks.append(time.perf_counter())
        mels, waves = self._decode(own)
        marks.append(time.perf_counter())
        spent = [seconds / len(jobs) for seconds in np.diff(marks)]
        timings = dict(zip(("alignment", "generator", "decode"), map(float, spent), strict=True))
        return [
            MadeChunk(
                wave=waves[item],
                mel=mels[item],
                codes=own[item],
                encoded=texts[item],
                durations=None if layout.durations is None else layout.durations[item],
                notes=layout.notes[item],
                timings=timings,
                trace=tuple(recorder.traces[item]),
            )
            for item in range(len(jobs))
        ]

    def _lay_out(self, jobs: list[ChunkJob]) -> tuple[list[EncodedText], Layout]:
        texts = [self.units.encode([job.text])[0] for job in jobs]  # by itself, as lay_out reads it
        voices, lengths = [job.voice for job in jobs], [job.length for job in jobs]
        rngs = [named_generator(job.seed, "length", job.number) for job in jobs]
        layout = lay_out(self.generator, voices, texts, lengths, rngs, code_rate_hz=self.rates.code_rate_hz)
        return texts, layout

    @torch.inference_mode()
    def _natural_seconds(self, jobs: list[ChunkJob], batch_size: int) -> list[float]:
        """Seconds of speech of each chunk, its end silences left out, without speaking it."""
        seconds = []
        for first in range(0, len(jobs), batch_size):
            batch = jobs[first : first + batch_size]
            _, layout = self._lay_out(batch)
            frames = (layout.num_codes - layout.num_prompt).tolist()
            for item, job in enumerate(batch):
                ends = job.length.opening_seconds + job.length.closing_seconds
                if layout.durations is not None:
                    ends = int(layout.durations[item][[0, -1]].sum()) * self.rates.mel_hop_samples
                    ends /= self.rates.sample_rate
                seconds.append(max(1e-3, frames[item] / self.rates.code_rate_hz - ends))
        return seconds

    def _decode(self, codes: list[Tensor]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Mels and waves of targets' codes alone: in training, too, they were encoded from their own beginning."""
        lengths = torch.tensor([len(row) for row in codes], device=self.device)
        mel, frames = self.tokenizer.decode_mel(pad_stack(codes).to(self.device), lengths)
        wave = self.tokenizer.vocoder(mel, padding_mask(frames, mel.shape[1]))
        samples = lengths * self.rates.hop_samples
        mels = [row[:size].cpu().numpy() for row, size in zip(mel, frames.tolist(), strict=True)]
        return mels, [row[:size].cpu().numpy() for row, size in zip(wave, samples.tolist(), strict=True)]


def _kept(error: ResGenError) -> ResGenError:
    """An error as a result: without the frames it came through, which would keep their tensors alive."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


class _Recorder:
    """Called before every step: keeps what was hidden, and stops the work where that is asked for."""

    def __init__(self, layout: Layout, keeps: list[bool], is_cancelled: Callable[[], bool] | None):
        self.spans = list(zip(layout.num_prompt.tolist(), layout.num_codes.tolist(), strict=True))
        self.keeps, self.is_cancelled = keeps, is_cancelled
        self.traces: list[list[np.ndarray]] = [[] for _ in keeps]

    def __call__(self, state: RevealState) -> None:
        if self.is_cancelled is not None and self.is_cancelled():
            raise ResGenError("the synthesis was stopped.", code="STOPPED")
        for item, (led, end) in enumerate(self.spans):
            if self.keeps[item]:
                hidden, codes = state.hidden_mask[item, led:end], state.codes[item, led:end]
                now = torch.where(hidden, -1, codes).cpu().numpy()
                # A step that reveals nothing in this item is none of its own, whatever its neighbours do.
                if not self.traces[item] or not np.array_equal(now, self.traces[item][-1]):
                    self.traces[item].append(now)
