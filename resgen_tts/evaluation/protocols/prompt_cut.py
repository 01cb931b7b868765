"""Where a prompt is cut out of an utterance, and which words are in it.

Times of words come from a forced alignment (`evaluation.measures.timed.Aligner`). Two cuts are known: ``hard``, at so
many samples whatever is said there, and ``word``, at borders of words.
"""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resgen_tts.evaluation.measures.text_error import letters_only
from resgen_tts.evaluation.measures.timed import Aligner, Span, Timed

HARD, WORD = "hard", "word"
CUTS = (HARD, WORD)


@dataclass(frozen=True, kw_only=True)
class PromptCut:
    """Samples [start, stop) of an utterance, and its words [first, end) that are said in them."""

    start: int
    stop: int
    first: int
    end: int


@dataclass(frozen=True, kw_only=True)
class AlignedWords:
    """The words of an utterance as its transcript writes them, each with its time in seconds."""

    words: tuple[str, ...]
    spans: tuple[Span, ...]

    def said_in(self, start: float, stop: float) -> tuple[int, int]:
        """Words [first, end) whose middle lies in [start, stop): more than half of what the border cuts in two."""
        middles = [(one.start + one.end) / 2 for one in self.spans]
        first = sum(1 for _ in itertools.takewhile(lambda middle: middle < start, middles))
        behind = sum(1 for _ in itertools.takewhile(lambda middle: middle < stop, middles))
        return first, max(first, behind)


def words_of(text: str, timed: Timed) -> AlignedWords | None:
    """Give each word of a transcript its time; None where the alignment is of other words.

    An aligner may see several words in one of the transcript (``well-known``); it lasts from the first to the last.
    """
    words, found = text.split(), list(timed.words)
    counts = [1] * len(words) if len(found) == len(words) else [len(letters_only(word).split()) for word in words]
    if sum(counts) != len(found) or 0 in counts:
        return None
    pieces = iter(found)
    spans = []
    for word, count in zip(words, counts, strict=True):
        own = list(itertools.islice(pieces, count))
        if letters_only(" ".join(one.label for one in own)).replace(" ", "") != letters_only(word).replace(" ", ""):
            return None
        spans.append(Span(word, own[0].start, own[-1].end))
    return AlignedWords(words=tuple(words), spans=tuple(spans))


def align_words(
    aligner: Aligner, spoken: Mapping[str, tuple[Path, str]]
) -> tuple[dict[str, AlignedWords], dict[str, str]]:
    """Align utterances.

    Args:
        spoken: name -> file and transcript.
    Returns:
        the words of those that could be aligned, and why the others could not.
    """
    if not spoken:
        return {}, {}
    found = aligner.align([path for path, _ in spoken.values()], [text for _, text in spoken.values()])
    aligned, failed = {}, {}
    for (name, (_, text)), one in zip(spoken.items(), found, strict=True):
        words = None if one.timed is None else words_of(text, one.timed)
        if words is None:
            failed[name] = one.problem or "the aligner found other words"
        else:
            aligned[name] = words
    return aligned, failed


def cut_beginning(said: AlignedWords, *, cut: str, rate: int, num_samples: int, seconds: float) -> PromptCut | None:
    """The prompt of a continuation: the first ``seconds`` of an utterance; None where no word, or every word, is in it.

    ``hard`` takes exactly so many samples, and a word belongs to the prompt when more than half of it lies before the
    cut. ``word`` ends where the last word ends that does so by that time.
    """
    wanted = round(seconds * rate)
    if cut == HARD:
        stop, (_, end) = wanted, said.said_in(0.0, seconds)
    else:
        ends = [round(one.end * rate) for one in said.spans]
        end = sum(1 for _ in itertools.takewhile(lambda one: one <= wanted, ends))
        stop = ends[end - 1] if end else 0
    if not 0 < end < len(said.words) or stop > num_samples:
        return None
    return PromptCut(start=0, stop=stop, first=0, end=end)


def draw_hard(
    said: AlignedWords, *, rate: int, num_samples: int, seconds: float, rng: random.Random
) -> PromptCut | None:
    """Exactly ``seconds`` from a drawn sample on, each as likely; None where that is too long, or no word is in it."""
    wanted = round(seconds * rate)
    if wanted > num_samples:
        return None
    start = rng.randrange(num_samples - wanted + 1)
    first, end = said.said_in(start / rate, (start + wanted) / rate)
    return PromptCut(start=start, stop=start + wanted, first=first, end=end) if first < end else None


def draw_words(
    said: AlignedWords, *, rate: int, num_samples: int, seconds: float, shortest_seconds: float, rng: random.Random
) -> PromptCut | None:
    """As many whole words as fit in ``seconds``, from the beginning of a drawn word on.

    The beginning is drawn, each as likely, among those from which the words last ``shortest_seconds`` at least; where
    there is none, the longest stretch of the utterance is taken. None where no word fits.
    """
    longest = round(seconds * rate)
    borders = [(round(one.start * rate), min(round(one.end * rate), num_samples)) for one in said.spans]
    stretches = []
    for first, (start, _) in enumerate(borders):
        ends = [stop for _, stop in borders[first:]]
        fitting = sum(1 for _ in itertools.takewhile(lambda stop, limit=start + longest: stop <= limit, ends))
        if fitting and borders[first + fitting - 1][1] > start:
            end = first + fitting
            stretches.append(PromptCut(start=start, stop=borders[end - 1][1], first=first, end=end))
    if not stretches:
        return None
    long_enough = [one for one in stretches if one.stop - one.start >= round(shortest_seconds * rate)]
    if long_enough:
        return rng.choice(long_enough)
    return max(stretches, key=lambda one: one.stop - one.start)
