"""What a synthesis gives back: chunk after chunk, or as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from resgen_tts.speech.audio.save import clipped_notes, to_pcm

Trace = tuple[Int[np.ndarray, "_ D"], ...]
"""Codes before each step and at the end, -1 where they are still hidden."""


@dataclass(frozen=True)
class SpeechChunk:
    """A part of a text, spoken. The audio of all chunks, one behind the other, is the audio of the whole.

    Attributes:
        number: 0-based place among ``num_chunks``.
        text: spoken form.
        start, end: characters of the original text that it says.
        boundary: what it ends at: "clause", "sentence", "paragraph", "word" or "end".
        audio: begins in the pause before it, as far as that is not the end of the chunk before.
        begin_seconds: where the audio begins in the whole.
        symbols: text symbols, silence first and last.
        durations: mel frames of each symbol; none where the model predicts only a length.
        mel, codes: as generated, before end silences were trimmed.
        warnings: of this chunk.
        timings: seconds of work that went into it, per part.
        seed: of the whole text.
    """

    number: int
    num_chunks: int
    text: str
    start: int
    end: int
    boundary: str
    audio: Float[np.ndarray, " N"]
    sample_rate: int
    begin_seconds: float
    symbols: tuple[str, ...]
    durations: Int[np.ndarray, " S"] | None
    mel: Float[np.ndarray, "T M"]
    codes: Int[np.ndarray, "L D"]
    warnings: tuple[str, ...]
    timings: dict[str, float]
    trace: Trace = ()
    seed: int | None = None

    def __repr__(self) -> str:
        place = f"{self.number + 1} of {self.num_chunks}"
        return f"SpeechChunk({place}, text={shortened(self.text)!r}, seconds={self.seconds:.2f})"

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.audio) / self.sample_rate


@dataclass(frozen=True)
class Speech:
    """A text, spoken.

    Attributes:
        audio: float32, mono.
        mel, codes, phonemes, durations: of all chunks, one behind the other, as generated: silence first and last in
            each. The audio of several chunks is shorter by what was trimmed at their ends.
        durations: mel frames of each phoneme; None where the model predicts only a length.
        chunks: the same in parts; their arrays are views of the whole.
        timings: seconds per part of the work; "first_audio" until the first chunk was there.
        warnings: "CODE: words", each once; AUDIO_CLIPPED where the audio goes beyond [-1, 1], which files do not hold.
        trace: hidden slots before each step, where asked for; all chunks step by step beside one another.
    """

    audio: Float[np.ndarray, " N"]
    sample_rate: int
    mel: Float[np.ndarray, "T M"]
    codes: Int[np.ndarray, "L D"]
    text: str
    normalized_text: str
    phonemes: tuple[str, ...]
    durations: Int[np.ndarray, " S"] | None
    chunks: tuple[SpeechChunk, ...]
    seed: int
    timings: dict[str, float]
    warnings: tuple[str, ...]
    trace: Trace = ()

    def __repr__(self) -> str:
        counts = f"chunks={len(self.chunks)}, warnings={len(self.warnings)}"
        said = f"text={shortened(self.text)!r}, seconds={self.seconds:.2f}, sample_rate={self.sample_rate}"
        return f"{type(self).__name__}({said}, seed={self.seed}, {counts})"

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.audio) / self.sample_rate


def shortened(text: str, longest: int = 40) -> str:
    """The beginning of a text, in characters, for a line that names it."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def join_chunks(
    chunks: Sequence[SpeechChunk],
    *,
    text: str,
    normalized_text: str,
    seed: int,
    timings: dict[str, float],
    warnings: tuple[str, ...],
) -> Speech:
    """The whole of its chunks.

    Args:
        timings, warnings: of what came before the chunks; theirs are added.
    """
    audio, mel, codes = (_in_one([getattr(chunk, name) for chunk in chunks]) for name in ("audio", "mel", "codes"))
    durations = [chunk.durations for chunk in chunks if chunk.durations is not None]  # all of them have some, or none
    whole = np.concatenate(durations) if durations else None
    views = []
    ends = [np.cumsum([len(getattr(chunk, name)) for chunk in chunks]) for name in ("audio", "mel", "codes")]
    for chunk, *stops in zip(chunks, *ends, strict=True):
        parts = {
            name: array[stop - len(getattr(chunk, name)) : stop]
            for name, array, stop in zip(("audio", "mel", "codes"), (audio, mel, codes), stops, strict=True)
        }
        views.append(replace(chunk, **parts))
    summed = dict(timings)
    for chunk in chunks:
        for name, seconds in chunk.timings.items():
            summed[name] = summed.get(name, 0.0) + seconds
    told = [*warnings, *(note for chunk in chunks for note in chunk.warnings)]
    return Speech(
        audio=audio,
        sample_rate=chunks[0].sample_rate,
        mel=mel,
        codes=codes,
        text=text,
        normalized_text=normalized_text,
        phonemes=tuple(symbol for chunk in chunks for symbol in chunk.symbols),
        durations=whole,
        chunks=tuple(views),
        seed=seed,
        timings=summed,
        warnings=tuple(dict.fromkeys([*told, *clipped_notes(to_pcm(audio)[1], len(audio))])),
        trace=_side_by_side([chunk.trace for chunk in chunks]),
    )


def _in_one(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _side_by_side(traces: list[Trace]) -> Trace:
    """Every chunk takes its steps from the first on; one that is finished waits for the others."""
    if not all(traces):
        return ()
    steps = max(map(len, traces))
    return tuple(np.concatenate([trace[min(step, len(trace) - 1)] for trace in traces]) for step in range(steps))
