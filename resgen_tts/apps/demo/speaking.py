"""From a text on the page to a take: queued, spoken chunk by chunk, stopped where somebody asks for it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resgen_tts.apps.demo.backend import Backend
from resgen_tts.apps.demo.session import Session, Spoken, Take
from resgen_tts.apps.demo.status import Status
from resgen_tts.apps.demo.styles import Part, split_styles
from resgen_tts.apps.serving.queue import Ticket
from resgen_tts.apps.speaking.asked import draw_seed
from resgen_tts.apps.speaking.spoken import SpokenText
from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.common.randomness import seed_of
from resgen_tts.common.run_dir import write_bytes
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.audio.encode import encode
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.narration import SpeechRequest
from resgen_tts.speech.result import SpeechChunk, shortened

MOST_CHARACTERS = 4096
MOST_PARTS = 50  # of a text: each is a request of its own
LOOK_SECONDS = 0.2  # between two looks at a request's place in the queue


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a text is to be spoken; what is None is as the model has it."""

    seed: int | None = None
    steps: int | None = None
    guidance_start: float | None = None
    guidance_end: float | None = None
    temperature: float | None = None
    choice_temperature: float | None = None
    top_p: float | None = None
    schedule: str | None = None
    speed: float = 1.0
    duration_seconds: float | None = None
    draws_steps: bool = True  # whether the order of unmasking is kept and drawn

    def sampler(self, own: SamplerConfig) -> SamplerConfig:
        """The model's sampler with what was asked for.

        Raises:
            ConfigError: a value makes no sense.
        """
        names = ("steps", "guidance_start", "guidance_end", "temperature", "choice_temperature", "top_p", "schedule")
        asked = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(own, **asked)

    def length(self) -> LengthConfig:
        """How long it becomes.

        Raises:
            ConfigError: a value makes no sense, or speed and duration are both given.
        """
        return LengthConfig(speed=float(self.speed), duration_seconds=self.duration_seconds)


async def speak(
    backend: Backend, session: Session, text: str, voice: str, manner: Manner
) -> AsyncIterator[Status | Spoken]:
    """Speak a text; what goes on, then the take, then that it is done.

    Closing the iterator takes the request back, as :meth:`Session.stop` does.

    Args:
        voice: name of the voice that speaks where the text names no other.
    Raises:
        ResGenError: it cannot be spoken, there is no room, or STOPPED.
    """
    with session.speaking():
        started = time.perf_counter()
        requests = _requests(backend, session, text, voice, manner)
        names = tuple(dict.fromkeys(part.voice for part, _ in requests))
        spoken: list[SpokenText] = []
        first_audio = None
        for number, (_, request) in enumerate(requests):
            session.check_stopped()
            session.ticket = ticket = backend.queue.submit(request)
            if session.is_stopped:  # in between
                ticket.cancel()
            chunks: list[SpeechChunk] = []
            async for event in _watched(ticket):
                if isinstance(event, SpeechChunk):
                    chunks.append(event)
                    first_audio = first_audio or time.perf_counter() - started
                yield _status(ticket, chunks, number, len(requests), time.perf_counter() - started)
            spoken.append(ticket.whole(chunks))
        session.check_stopped()
        session.num_takes += 1
        audio = np.concatenate([one.audio for one in spoken])
        wave = session.folder / f"take-{session.num_takes}-seed-{requests[0][1].seed}.wav"
        provenance = spoken[0].provenance
        tags = replace(provenance, reference_sha256=_references(spoken)).tags()
        await asyncio.to_thread(lambda: write_bytes(wave, encode(audio, "wav", spoken[0].sample_rate, tags)))
        spent = time.perf_counter() - started
        seconds = len(audio) / spoken[0].sample_rate
        take = Take(
            number=session.num_takes, text=text, voices=names, seed=requests[0][1].seed, seconds=seconds,
            spoken="\n".join(one.normalized_text for one in spoken),
            warnings=tuple(dict.fromkeys(note for one in spoken for note in one.warnings)),
            facts=(
                ("seed", str(requests[0][1].seed)), ("voice", ", ".join(names)), ("audio", f"{seconds:.2f} s"),
                ("first sound after", f"{first_audio or spent:.2f} s"), ("spoken in", f"{spent:.2f} s"),
                ("real-time factor", f"{spent / seconds:.2f}"), ("chunks", str(sum(len(one.chunks) for one in spoken))),
                ("model", f"{provenance.model} {provenance.model_sha256[:12]}"), ("device", provenance.device),
                ("watermark", provenance.watermark),
            ),
            wave=wave,
        )  # fmt: skip
        session.add_take(take)
        session.check_open()
        yield Spoken(take, tuple(spoken))
        yield Status("done", f"{seconds:.2f} s of speech in {spent:.2f} s, seed {take.seed}.")


def label(take: Take) -> str:
    """A take in the list of the last ones."""
    said = shortened(re.sub(r"\s+", " ", take.text), 40)
    return f"{take.number}: {said} · {', '.join(take.voices)} · {take.seconds:.1f} s · seed {take.seed}"


def draw(spoken: Spoken, folder: Path, mel_rate_hz: float) -> tuple[Path, Path | None]:
    """The pictures of a take: the mel of its first chunk with its words, and how its codes were revealed."""
    from resgen_tts.speech.plots import TimedText, save_alignment, word_of_symbol
    from resgen_tts.speech.text.tokens import spoken_words
    from resgen_tts.speech.unmasking_plot import save_unmasking

    chunk = spoken.parts[0].chunks[0]
    name = f"take-{spoken.take.number}"
    timed = None
    if chunk.durations is not None:
        texts, words = spoken_words(chunk.text), word_of_symbol(chunk.symbols)
        if words.max(initial=-1) + 1 != len(texts):  # some are spoken as one
            words = None
        timed = TimedText(chunk.symbols, chunk.durations, words, texts)
    mel = folder / f"{name}-mel.png"
    save_alignment(mel, chunk.mel, timed, 1 / mel_rate_hz)
    if len(chunk.trace) < 2:
        return mel, None
    animation = folder / f"{name}-unmasking.gif"
    save_unmasking(
        folder / f"{name}-unmasking.png", animation, chunk.trace, len(chunk.mel) / len(chunk.codes) / mel_rate_hz
    )
    (folder / f"{name}-unmasking.png").unlink()
    return mel, animation


def _requests(
    backend: Backend, session: Session, text: str, voice: str, manner: Manner
) -> list[tuple[Part, SpeechRequest]]:
    """A request for each part of the text; the first has the seed that was asked for, as any other door gives it."""
    if len(text) > MOST_CHARACTERS:
        raise TextError(
            f"the text has {len(text)} characters, at most {MOST_CHARACTERS} are spoken here.",
            code="TEXT_TOO_LONG",
            hint="Cut it, or use the command line.",
        )
    parts = split_styles(text, voice, [name for _, name in backend.choices(session)])
    if len(parts) > MOST_PARTS:
        raise TextError(
            f"the voice changes {len(parts) - 1} times.", code="TEXT_TOO_LONG", hint=f"At most {MOST_PARTS} parts."
        )
    if len(parts) > 1 and manner.duration_seconds is not None:
        raise ConfigError(
            "a duration is for a text of one voice.", code="USAGE", hint="Leave it out, or take one voice."
        )
    seed = draw_seed() if manner.seed is None else manner.seed
    tts, length = backend.tts, manner.length()
    sampler = manner.sampler(tts.sampler)
    return [
        (
            part,
            tts.request(
                part.text, voice=backend.voice(session, part.voice), sampler=sampler, length=length,
                seed=seed if place == 0 else seed_of(seed, "part", place) % 2**31,
                keep_trace=manner.draws_steps and place == 0,
            ),
        )
        for place, part in enumerate(parts)
    ]  # fmt: skip


def _references(spoken: list[SpokenText]) -> str:
    """Hashes of all references, as many as a tag holds whole."""
    hashes = list(dict.fromkeys(one.provenance.reference_sha256 for one in spoken))
    return " ".join(hashes if len(hashes) <= 3 else [*hashes[:2], f"and {len(hashes) - 2} more"])


async def _watched(ticket: Ticket) -> AsyncIterator[SpeechChunk | None]:
    """A request's chunks, and now and then None, while it waits or runs."""
    chunks = ticket.chunks()
    coming = asyncio.ensure_future(anext(chunks, None))
    try:
        while True:
            yield None
            done, _ = await asyncio.wait([coming], timeout=LOOK_SECONDS)
            if not done:
                continue
            if (chunk := coming.result()) is None:
                return
            coming = asyncio.ensure_future(anext(chunks, None))
            yield chunk
    finally:
        ticket.cancel()
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await chunks.aclose()


def _status(ticket: Ticket, chunks: list[SpeechChunk], part: int, num_parts: int, seconds: float) -> Status:
    """Where a request stands."""
    if ticket.state == "waiting":
        before = ticket.place
        return Status("queued", f"{before} before this one." if before else "Next in the queue.")
    of_parts = f", part {part + 1} of {num_parts}" if num_parts > 1 else ""
    if ticket.narration is None or not chunks:
        return Status("running", f"Speaking{of_parts}: {seconds:.1f} s", share=part / num_parts)
    total = chunks[0].num_chunks
    share = (part + len(chunks) / total) / num_parts
    return Status("running", f"Speaking{of_parts}: {len(chunks)} of {total} chunks, {seconds:.1f} s", share=share)
