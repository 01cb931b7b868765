"""Listening to what was said before it is given out: several candidates, the best one kept, retries on failure."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.common.randomness import seed_of
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder, cosine
from resgen_tts.evaluation.measures.text_error import Recognizer, text_error
from resgen_tts.speech.text.normalize import NormalizedText


@runtime_checkable
class Spoken(Protocol):
    """What is listened to: any synthesis with a wave."""

    @property
    def audio(self) -> Float[np.ndarray, " N"]:
        """Samples, mono."""

    @property
    def sample_rate(self) -> int:
        """Hz."""


Made = TypeVar("Made", bound=Spoken)


@dataclass(frozen=True, kw_only=True)
class SelfCheckConfig:
    """How often a text is spoken, and what passes.

    The bounds belong to the scorers: these suit the small embedded ones, pocketsphinx with its open vocabulary and
    Resemblyzer; large ones allow stricter bounds.
    """

    candidates: int = 1  # spoken in each round, also where an earlier one of them passes
    retries: int = 1  # further rounds, while no candidate passes
    max_wer: float = 0.4  # word errors over words of the text; inf = any
    min_similarity: float = 0.65  # cosine of the voice prints of output and reference; -1 = any
    on_candidate: Callable[[int, "Candidate"], None] | None = None  # told each place and verdict at once

    def __post_init__(self):
        if self.candidates < 1 or self.retries < 0:
            raise ConfigError(f"a self-check needs candidates >= 1 and retries >= 0, got {self}")
        if not self.max_wer >= 0:
            raise ConfigError(f"self_check.max_wer must be at least 0, got {self.max_wer}")
        if not -1 <= self.min_similarity <= 1:
            raise ConfigError(f"self_check.min_similarity is a cosine, got {self.min_similarity}")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One attempt and how it was judged."""

    seed: int  # speaks this candidate again
    wer: float
    similarity: float
    heard: str  # words of letters only
    is_accepted: bool  # within both bounds


@dataclass(frozen=True, kw_only=True)
class SelfCheckReport:
    """All candidates in the order in which they were made, and the one that was kept."""

    candidates: tuple[Candidate, ...]
    chosen: int  # place in ``candidates``
    target: str  # the words that were to be heard
    recognizer: str
    encoder: str

    @property
    def best(self) -> Candidate:
        """The candidate that was kept."""
        return self.candidates[self.chosen]

    @property
    def warnings(self) -> tuple[str, ...]:
        """A warning where no candidate passed."""
        if self.best.is_accepted:
            return ()
        return (
            f"SELF_CHECK_FAILED: none of {len(self.candidates)} candidates passed; the best has a word error rate of "
            f"{self.best.wer:.2f} and a similarity of {self.best.similarity:.2f} (heard: {self.best.heard!r})",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the verdict in words."""
        return {**asdict(self), "is_accepted": self.best.is_accepted, "warnings": list(self.warnings)}


def self_check(
    speak: Callable[[int], Made],
    text: str,
    own_print: Float[np.ndarray, " E"],
    recognizer: Recognizer,
    encoder: SpeakerEncoder,
    config: SelfCheckConfig,
    *,
    normalize: Callable[[str], NormalizedText],
    seed: int,
) -> tuple[Made, SelfCheckReport]:
    """Speak a text several times and keep the best.

    A candidate that passes both bounds goes before one that does not; then the lower word error rate counts, then the
    higher similarity, then which was made first. The first candidate has the run's own seed, so that the check only
    ever changes what would have failed or been worse; the others' seeds are derived from it.

    Args:
        speak: seed -> synthesis.
        text: what is to be said, as the user wrote it. It and the recognised words pass the same text front end.
        own_print: voice print of the reference, by the same ``encoder`` (`wave_print`).
        recognizer: writes down the words.
        encoder: makes voice prints.
        normalize: the model's text front end (``TextUnits.normalize``).
        seed: of the run.
    Returns:
        The best candidate and the report on all of them.
    """
    target = normalize(text).text
    judged: list[Candidate] = []
    kept: tuple[tuple, Made] | None = None
    while len(judged) < config.candidates * (1 + config.retries) and not any(one.is_accepted for one in judged):
        for _ in range(config.candidates):  # one by one: no more than two of a long text are ever in memory
            own = candidate_seed(seed, len(judged))
            speech = speak(own)
            heard, voice = _listen(speech, recognizer, encoder)
            error = text_error(target, _spoken(heard, normalize))
            wer, similarity = error.words.rate, cosine(voice, own_print)
            passes = wer <= config.max_wer and similarity >= config.min_similarity
            rank = (not passes, wer, -similarity, len(judged))
            judged.append(Candidate(seed=own, wer=wer, similarity=similarity, heard=error.heard, is_accepted=passes))
            if kept is None or rank < kept[0]:
                kept = rank, speech
            if config.on_candidate is not None:
                config.on_candidate(len(judged) - 1, judged[-1])
    assert kept is not None
    report = SelfCheckReport(
        candidates=tuple(judged),
        chosen=kept[0][-1],
        target=error.reference,
        recognizer=recognizer.name,
        encoder=encoder.name,
    )
    return kept[1], report


def _spoken(heard: str, normalize: Callable[[str], NormalizedText]) -> str:
    """What was heard in the words of the front end; nothing, where it holds none ("...", or another script).

    Recognisers write such things for noise and silence: a candidate that cannot be understood, not an error of the run.
    """
    try:
        return normalize(heard).text
    except TextError:
        return ""


def candidate_seed(seed: int, number: int) -> int:
    """Seed of a candidate: the run's own for the first one."""
    return seed if number == 0 else seed_of(seed, "self-check", number) % 2**31


def wave_print(encoder: SpeakerEncoder, wave: Float[np.ndarray, " N"], sample_rate: int) -> Float[np.ndarray, " E"]:
    """Voice print of samples, e.g. of the reference."""
    with tempfile.TemporaryDirectory(prefix="resgen-check-") as scratch:
        return encoder.embed(_write(wave, sample_rate, Path(scratch)))


def _listen(speech: Spoken, recognizer: Recognizer, encoder: SpeakerEncoder) -> tuple[str, Float[np.ndarray, " E"]]:
    """Words and voice print of a candidate. Scorers read files, so that any scorer serves."""
    with tempfile.TemporaryDirectory(prefix="resgen-check-") as scratch:
        path = _write(speech.audio, speech.sample_rate, Path(scratch))
        (heard,) = recognizer.transcribe([path])
        return heard, encoder.embed(path)


def _write(wave: Float[np.ndarray, " N"], sample_rate: int, folder: Path) -> Path:
    import soundfile

    path = folder / "said.wav"
    soundfile.write(str(path), wave, sample_rate, subtype="FLOAT")
    return path
