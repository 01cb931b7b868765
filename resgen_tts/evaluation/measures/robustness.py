"""Words that should not be there, and words that should: leaks of the reference, skips and repeats.

Word error rates hide which kind of failure a cloning system has. These figures look at what the recogniser wrote down:
the words of the *reference* in the output (a leak), words of the text in a row that nobody said (a skip), and words
that were said over again (a repeat). All compare words of letters only, as the error rates do, and all stand beside the
same figures of the recordings: what a recogniser makes up there is no fault of a system.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from resgen_tts.evaluation.measures.normalizers import NORMALIZERS, Normalizer
from resgen_tts.evaluation.measures.statistics import Interval, ratio_interval, share_interval
from resgen_tts.evaluation.measures.text_error import TextError

LEAK_WORDS = 3  # words in a row that make a leak: shared pairs like "of the" are chance
SKIP_WORDS = 2  # missing words in a row that make a skip: one missing word is often the recogniser's


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """What went wrong with the words of one output; each entry is a row of words, one space apart."""

    leaked: tuple[str, ...]  # of the reference, heard, and not in the text; overlapping ones are one entry
    skipped: tuple[str, ...]  # of the text, in a row, and not heard
    repeated: tuple[str, ...]  # heard more often in a row than the text has them
    num_heard: int  # words
    num_target: int  # words

    @property
    def word_ratio(self) -> float:
        """Words heard over words of the text."""
        return self.num_heard / self.num_target


@dataclass(frozen=True, kw_only=True)
class RobustnessRates:
    """Shares of items with a leak, a skip or a repeat, and words heard over words of the texts."""

    leak: Interval | None  # None of continuations: the prompt's words are a part of the text
    skip: Interval
    repeat: Interval
    word_ratio: Interval


def robustness(error: TextError, prompt_text: str, normalizer: Normalizer = NORMALIZERS["letters"]) -> Robustness:
    """Leaks, skips and repeats of one output.

    Args:
        error: text, recognised words and their alignment, from `text_error`.
        prompt_text: what is said in the reference, any punctuation.
        normalizer: the one that the error was counted with.
    """
    target, heard = error.reference.split(), error.heard.split()
    return Robustness(
        leaked=tuple(leaks(heard, normalizer.words(prompt_text).split(), target)),
        skipped=tuple(_skips(error)),
        repeated=tuple(repeats(heard, target)),
        num_heard=len(heard),
        num_target=len(target),
    )


def robustness_rates(
    items: Sequence[Robustness], *, seed: int, groups: Sequence[str] | None = None, has_leaks: bool = True
) -> RobustnessRates:
    """Rates over items with 95 % intervals.

    Args:
        items: at least one.
        seed: of the bootstrap.
        groups: of each item, where some say the same, e.g. the trials of a target: they are then drawn together.
        has_leaks: False where a leak cannot be told from the text.
    """

    def share(kind: str) -> Interval:
        return share_interval([bool(getattr(item, kind)) for item in items], seed=seed, groups=groups)

    return RobustnessRates(
        leak=share("leaked") if has_leaks else None,
        skip=share("skipped"),
        repeat=share("repeated"),
        word_ratio=ratio_interval(
            [item.num_heard for item in items], [item.num_target for item in items], seed=seed, groups=groups
        ),
    )


def leaks(heard: Sequence[str], reference: Sequence[str], target: Sequence[str]) -> list[str]:
    """Rows of at least three reference words in what was heard, each three of which the target lacks.

    A reference of fewer words cannot leak by this measure.
    """
    forbidden = set(_rows(reference, LEAK_WORDS)) - set(_rows(target, LEAK_WORDS))
    places = [place for place, words in enumerate(_rows(heard, LEAK_WORDS)) if words in forbidden]
    found: list[list[int]] = []  # first word, word behind the last
    for place in places:
        if found and place < found[-1][1]:
            found[-1][1] = place + LEAK_WORDS
        else:
            found.append([place, place + LEAK_WORDS])
    return [" ".join(heard[start:end]) for start, end in found]


def repeats(heard: Sequence[str], target: Sequence[str]) -> list[str]:
    """Rows of words that follow themselves in what was heard more often than anywhere in the target.

    "the cat the cat sat" repeats "the cat"; where the target says "very, very good", only a third "very" is a repeat.
    Each entry is given once, without its repetitions, the shortest ones first.
    """
    allowed: dict[tuple[str, ...], int] = {}
    for stretch in _stretches(target):
        for words, times in stretch:
            allowed[words] = max(times, allowed.get(words, 1))
    found = []
    for stretch in _stretches(heard):
        # Of a stretch the first row that is too many tells: the others are the same words, turned round.
        found += next(([" ".join(words)] for words, times in stretch if times > allowed.get(words, 1)), [])
    return list(dict.fromkeys(found))


def _skips(error: TextError) -> Iterator[str]:
    """Runs of missing words; of a text of one word, that word."""
    shortest = min(SKIP_WORDS, len(error.reference.split()))
    for piece in error.alignment:
        if piece.kind == "delete" and len(piece.reference) >= shortest:
            yield " ".join(piece.reference)


def _rows(words: Sequence[str], count: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + count]) for start in range(len(words) - count + 1)]


def _stretches(words: Sequence[str]) -> Iterator[Iterator[tuple[tuple[str, ...], int]]]:
    """Stretches of words that go round, the shortest periods first: every row of words of such a stretch that directly
    follows itself, and how often it stands there.

    Where ``words[i] == words[i + n]`` for ``r >= n`` places in a row, ``r + n`` words go round with period n.
    """
    number = {word: place for place, word in enumerate(dict.fromkeys(words))}
    numbers = np.asarray([number[word] for word in words], dtype=np.int64)
    for period in range(1, len(words) // 2 + 1):
        for start, end in _true_runs(numbers[:-period] == numbers[period:]):
            stretch = words[start : end + period]
            if end - start >= period and not _is_periodic(stretch[:period]):  # "very very" twice is "very" four times
                yield _turns(stretch, period)


def _turns(stretch: Sequence[str], period: int) -> Iterator[tuple[tuple[str, ...], int]]:
    for shift in range(min(period, len(stretch) - 2 * period + 1)):
        yield tuple(stretch[shift : shift + period]), (len(stretch) - shift) // period


def _true_runs(flags: Bool[np.ndarray, "N"]) -> list[tuple[int, int]]:
    """First place and place behind the last one of each run of True."""
    steps = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))


def _is_periodic(row: Sequence[str]) -> bool:
    size = len(row)
    return any(size % part == 0 and row == row[:part] * (size // part) for part in range(1, size // 2 + 1))
