"""When each word of a known text is said, by CTC forced alignment: the likeliest way through the letters of the text.

aligner = CtcAligner("facebook/hubert-large-ls960-ft")
aligner.align([Path("a.wav")], ["the words that are said in it"])

Of all ways to say the text that CTC knows, letters held for some frames with blanks between them, the likeliest one is
found exactly. Where a word begins and ends is less exact: a CTC model says a letter in a frame or two somewhere inside
its sound and blanks for the rest, so that the time between the letters of two words belongs to both words and to the
pause between them. A short one is parted in the middle; in a longer one each word keeps `WORD_EDGE_SECONDS`. With a
small, weak model (61 % word errors) the borders of 120 sentences by flite lie 35 ms from the true ones in the median,
56 % of them within 40 ms (tools/bench/ctc_alignment.py); of a published model nothing has been measured here.
"""

import itertools
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.judges.ctc_model import CtcModel, Letters
from resgen_tts.evaluation.measures.normalizers import letters_only, spelled_words
from resgen_tts.evaluation.measures.timed import Forced, Span, Timed
from resgen_tts.evaluation.waves import SCORING_RATE, wave_seconds

# What a word reaches beyond the frames of its first and last letter, where there is room. With that small model nothing
# from 0.04 to 0.1 s is more than 2 ms worse; without any, words begin 43 ms late and end 22 ms early.
WORD_EDGE_SECONDS = 0.06


class CtcAligner:
    """An `Aligner`; words alone, no phones.

    Args:
        source, batch_size, device: see `CtcModel`, which tells the errors, too.
    """

    def __init__(self, source: Path | str, *, batch_size: int = 8, device: str = "cpu"):
        self.model = CtcModel(source, batch_size=batch_size, device=device)

    @property
    def name(self) -> str:
        return f"CTC {self.model.short_name} (forced alignment)"

    def align(self, paths: Sequence[Path], texts: Sequence[str]) -> list[Forced]:
        """Times of each recording's words, in the order of the paths.

        Numbers and signs have to be spelled out before: a word with a letter that the model does not know gives its
        recording no times, and is named in the problem. Accents are folded where the model knows the bare letter.

        Raises:
            AudioError: a wave cannot be read (it is named).
        """
        words = [spelled_words(unicodedata.normalize("NFC", text)) for text in texts]
        found = [Forced(timed=None, problem="silent, or without words")] * len(paths)
        wanted = [index for index, (_, row) in enumerate(zip(paths, words, strict=True)) if row]
        heard: dict[int, list[Letters]] = {}
        for piece in self.model.listen([paths[index] for index in wanted], "forced alignment"):
            heard.setdefault(wanted[piece.index], []).append(piece)
        for index, pieces in heard.items():
            found[index] = self._align(words[index], pieces, wave_seconds(Path(paths[index])))
        return found

    def _align(self, words: Sequence[str], pieces: Sequence[Letters], seconds: float) -> Forced:
        letters = [self._letters(word) for word in words]
        unknown = [word for word, own in zip(words, letters, strict=True) if not own]
        if unknown:
            return Forced(timed=None, problem=f"not in the vocabulary: {' '.join(unknown)}")
        log_probs = np.concatenate([piece.log_probs for piece in pieces])
        frame = self.model.stride / SCORING_RATE
        begins = np.concatenate(
            [
                piece.start_seconds + self.model.first_frame_seconds + frame * np.arange(len(piece.log_probs))
                for piece in pieces
            ]
        )  # [T]
        try:
            word_of_frame = self._word_of_frame(log_probs, letters)
        except DataError as error:
            return Forced(timed=None, problem=f"no alignment: {error.message}")
        own = [np.flatnonzero(word_of_frame == place) for place in range(len(words))]
        spans = word_edges([(float(begins[one[0]]), float(begins[one[-1]]) + frame) for one in own], seconds)
        labels = [letters_only(word) for word in words]
        timed = tuple(Span(label, start, end) for label, (start, end) in zip(labels, spans, strict=True))
        return Forced(timed=Timed(words=timed))

    def _word_of_frame(
        self, log_probs: Float[np.ndarray, "T V"], letters: Sequence[Sequence[int]]
    ) -> Int[np.ndarray, "T"]:
        """The word whose letter a frame says, -1 between words. Models differ in whether they say the delimiter before
        the first word and behind the last one: the likeliest of all four ways is taken."""
        gap = [] if self.model.delimiter is None else [self.model.delimiter]
        tokens, owners = [], []
        for place, own in enumerate(letters):
            tokens += (gap if place else []) + list(own)
            owners += ([-1] * len(gap) if place else []) + [place] * len(own)
        edges = [[], gap] if gap else [[]]
        paths = []
        for before, after in itertools.product(edges, edges):
            try:
                path, score = best_path(log_probs, before + tokens + after, self.model.blank)
            except DataError:
                if before or after:
                    continue
                raise
            paths.append((score, [-1] * len(before) + owners + [-1] * len(after) + [-1], path))
        _, owners, path = max(paths, key=lambda one: one[0])
        return np.array(owners)[path]  # -1, a blank, is the last

    def _letters(self, word: str) -> list[int]:
        """Indices of a word's letters; none where one of them is unknown. A sign that is no letter may be absent."""
        known, found = self.model.vocabulary, []
        for letter in word:
            bare = "".join(one for one in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(one))
            written = next((one for one in (letter, letter.upper(), bare, bare.upper()) if one in known), None)
            if written is None and letter.isalnum():
                return []
            if written is not None:
                found.append(known[written])
        return found


def word_edges(cores: Sequence[tuple[float, float]], seconds: float) -> list[tuple[float, float]]:
    """Start and end of each word from those of its letters.

    Args:
        cores: start of the frame of each word's first letter, end of that of its last, in seconds and in order.
        seconds: length of the recording.
    """
    starts, ends = (np.array(times) for times in zip(*cores, strict=True))
    half = np.maximum(starts[1:] - ends[:-1], 0.0) / 2
    before = np.minimum(np.concatenate([starts[:1], half]), WORD_EDGE_SECONDS)
    after = np.minimum(np.concatenate([half, [seconds - ends[-1]]]), WORD_EDGE_SECONDS)
    return list(
        zip(np.clip(starts - before, 0, seconds).tolist(), np.clip(ends + after, 0, seconds).tolist(), strict=True)
    )


def best_path(
    log_probs: Float[np.ndarray, "T V"], tokens: Sequence[int], blank: int
) -> tuple[Int[np.ndarray, "T"], float]:
    """The likeliest of all CTC paths that say a text.

    Args:
        log_probs: log probability of each token in each frame.
        tokens: what is said, without blanks.
        blank: index of the blank.
    Returns:
        for each frame the place in `tokens` that it says, -1 for a blank; and the path's log probability.
    Raises:
        DataError: TOO_FEW_FRAMES, the text has more letters (and blanks between equal ones) than there are frames.
    Source: the lattice of CTC (Graves et al., ICML 2006, section 4.1), with the maximum in the place of the sum.
    """
    states = np.full(2 * len(tokens) + 1, blank)  # blank, letter, blank, ..., letter, blank
    states[1::2] = tokens
    repeats = sum(left == right for left, right in itertools.pairwise(tokens))
    if len(log_probs) < max(1, len(tokens) + repeats):
        raise DataError(f"{len(tokens)} letters cannot be said in {len(log_probs)} frames.", code="TOO_FEW_FRAMES")
    emitted = log_probs.astype(np.float64)[:, states]  # [T, S]
    may_skip = np.zeros(len(states), bool)  # from the letter before, over the blank between
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = emitted[0, :2]
    steps = np.zeros(emitted.shape, np.int8)  # states advanced on the way into each frame's state
    options = np.full((3, len(states)), -np.inf)
    for frame in range(1, len(emitted)):
        options[0] = score
        options[1, 1:] = score[:-1]
        options[2, 2:] = np.where(may_skip[2:], score[:-2], -np.inf)
        steps[frame] = options.argmax(0)
        score = options.max(0) + emitted[frame]
    state = len(states) - 1
    if len(states) > 1 and score[-2] > score[-1]:
        state -= 1
    total = float(score[state])
    path = np.empty(len(emitted), int)
    for frame in range(len(emitted) - 1, -1, -1):
        path[frame] = state
        state -= steps[frame, state]
    return np.where(path % 2 == 1, path // 2, -1), total
