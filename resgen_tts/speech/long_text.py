"""Long texts: the chunks that they are spoken in, the pauses between them, and how a length is shared among them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.text.chunk import Chunk, split
from resgen_tts.speech.text.normalize import NormalizedText

CHARACTERS_PER_SECOND = 15.0  # of spoken text, at the rate of most readers
SHORTEST_CHARACTERS = 20  # a chunk of fewer is joined with its neighbour where that leaves it short enough
SPARE_SECONDS = 0.05  # of silence that is generated beyond what a pause needs: it is cut, never stretched
PAUSE_STRETCH = (0.5, 2.0)  # what a pause between chunks may become for the sake of a length that was asked for


@dataclass(frozen=True, kw_only=True)
class LongTextConfig:
    """How a text is cut into chunks and joined again. Seconds are those at speed 1."""

    longest_characters: int = 200  # of a chunk's spoken text
    longest_seconds: float = 12.0  # of a chunk, as far as its characters tell; at any speed
    first_characters: int | None = None  # of the first chunk: a shorter one for an early first sound; None = no other
    batch_size: int = 8  # chunks in one call of the generator
    context: str = "reference"  # what leads a chunk; or "previous": the reference and the chunk before it
    cross_fade_seconds: float = 0.02
    clause_pause_seconds: float = 0.15  # between chunks, by what the first of them ends at
    sentence_pause_seconds: float = 0.35
    paragraph_pause_seconds: float = 0.7
    word_pause_seconds: float = 0.06

    def __post_init__(self):
        if self.context not in ("reference", "previous"):
            raise ConfigError(f"long_text.context must be reference or previous, got {self.context!r}")
        least = SHORTEST_CHARACTERS
        for name in ("longest_characters", "first_characters"):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"long_text.{name} must be at least {least}, got {value}")
        if self.batch_size < 1 or self.longest_seconds < 2:
            raise ConfigError("long_text needs batch_size >= 1 and longest_seconds >= 2")
        for name, value in vars(self).items():
            if name.endswith(("_pause_seconds", "_fade_seconds")) and not 0 <= value <= 5:
                raise ConfigError(f"long_text.{name} must be in [0, 5] seconds, got {value}")
        if self.cross_fade_seconds > 0.2:
            raise ConfigError(f"long_text.cross_fade_seconds must be at most 0.2, got {self.cross_fade_seconds}")

    def pause_seconds(self, boundary: str) -> float:
        """The pause behind a chunk that ends at this boundary, at speed 1."""
        return getattr(self, f"{boundary}_pause_seconds")


def split_text(text: NormalizedText, config: LongTextConfig, *, slowness: float, room_seconds: float) -> list[Chunk]:
    """Chunks that can be spoken by themselves.

    Args:
        slowness: seconds that the speech takes over those at the rate of most readers.
        room_seconds: what the model's span leaves for one chunk.
    """
    seconds = min(config.longest_seconds, room_seconds)
    longest = min(config.longest_characters, round(seconds * CHARACTERS_PER_SECOND / slowness))
    longest = max(longest, SHORTEST_CHARACTERS)
    chunks = split(text, longest, SHORTEST_CHARACTERS)
    first = config.first_characters
    if first is None or len(chunks[0].text) <= first:
        return chunks
    head = NormalizedText(chunks[0].text, (), text.original, text.origins[: chunks[0].end])
    parts = split(head, first, SHORTEST_CHARACTERS)
    if len(parts) == 1 or parts[0].boundary == "word":  # no pause where it could end
        return chunks
    cut = parts[0].end
    rest = replace(chunks[0], text=chunks[0].text[cut:], start=chunks[0].start + cut)
    return [replace(parts[0], start=chunks[0].start, end=chunks[0].start + cut), rest, *chunks[1:]]


def chunk_lengths(pauses: Sequence[float], fade: float, length: LengthConfig) -> list[LengthConfig]:
    """Each chunk's lengths: end silences that hold half of the pause beside them and the cross-fade.

    Args:
        pauses: seconds behind each chunk but the last, at speed 1.
        fade: seconds of a cross-fade.
    """
    ends = [(pause + fade) / 2 + SPARE_SECONDS for pause in pauses]
    openings, closings = [length.opening_seconds, *ends], [*ends, length.closing_seconds]
    return [
        replace(length, opening_seconds=opening, closing_seconds=closing, duration_seconds=None)
        for opening, closing in zip(openings, closings, strict=True)
    ]


def share_duration(
    lengths: Sequence[LengthConfig],
    pauses: Sequence[float],
    natural: Sequence[float],
    duration_seconds: float,
    fade: float,
    code_rate_hz: float,
) -> tuple[list[LengthConfig], list[float]]:
    """Lengths of chunks, and pauses, that make the whole last as long as was asked for.

    Pauses give first, within limits, then all chunks by one factor. Each chunk's own length is a whole number of code
    frames; what rounding leaves does not add up.

    Args:
        natural: seconds of each chunk's speech, its end silences left out, as predicted.
    """
    ends = lengths[0].opening_seconds + lengths[-1].closing_seconds
    ratio = (duration_seconds - ends) / max(1e-6, sum(natural) + sum(pauses))
    stretch = min(max(ratio, PAUSE_STRETCH[0]), PAUSE_STRETCH[1])
    pauses = [pause * stretch for pause in pauses]
    factor = max(0.0, duration_seconds - ends - sum(pauses)) / max(1e-6, sum(natural))
    whole = chunk_lengths(pauses, fade, replace(lengths[0], closing_seconds=lengths[-1].closing_seconds))
    shared, wanted, given = [], 0.0, 0
    for own, seconds in zip(whole, natural, strict=True):
        wanted += (seconds * factor + own.opening_seconds + own.closing_seconds) * code_rate_hz
        frames = max(1, round(wanted) - given)
        given += frames
        shared.append(replace(own, duration_seconds=frames / code_rate_hz, ends_give=False))
    return shared, pauses
