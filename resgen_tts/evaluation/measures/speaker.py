"""Speaker similarity: does an output sound like its own prompt more than like the other speakers' prompts?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


@runtime_checkable
class SpeakerEncoder(Protocol):
    """What turns a wave into a voice print. Resemblyzer implements it; larger verifiers meet the same contract."""

    @property
    def name(self) -> str:
        """Model and version: similarities of different verifiers are never compared."""

    @property
    def is_embedded(self) -> bool:
        """True for a small model that comes inside a package; its figures never stand beside those of a large one."""

    def embed(self, path: Path, start_seconds: float = 0.0) -> Float[np.ndarray, "E"]:
        """Unit vector of the voice in a wave from a time on; the zero vector for silence."""


@dataclass(frozen=True, kw_only=True)
class SpeakerSimilarity:
    """Cosines of one output with the prompts of a set."""

    own: float  # with the item's own prompt (SIM-o)
    own_copy: float | None  # with the own prompt after tokenizer and vocoder (SIM-r), where there is one
    uncut: float | None = None  # with the utterance that the prompt was cut from, where that is kept
    # Of a set of one speaker the rest is None: there is nobody to compare with.
    others: float | None = None  # mean over the other speakers
    nearest_other: float | None = None  # the most similar other speaker
    nearest_other_speaker: str | None = None
    nearest_other_prompt: float | None = None  # the most similar one of all prompts of other speakers

    @property
    def is_own_first(self) -> bool | None:
        """True when the own prompt is more similar than every other speaker is on average."""
        return None if self.nearest_other is None else self.own > self.nearest_other

    @property
    def is_own_prompt_first(self) -> bool | None:
        """True when the own prompt is more similar than each single prompt of every other speaker."""
        return None if self.nearest_other_prompt is None else self.own > self.nearest_other_prompt


def cosine(first: Float[np.ndarray, "E"], second: Float[np.ndarray, "E"]) -> float:
    """Cosine of two voice prints; 0 when one of them is the zero vector of silence."""
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.dot(first, second)) / norms if norms else 0.0


def similarity(
    output: Float[np.ndarray, "E"],
    own_prompt: Float[np.ndarray, "E"],
    prompts_by_speaker: Mapping[str, Sequence[Float[np.ndarray, "E"]]],
    speaker: str,
    own_prompt_copy: Float[np.ndarray, "E"] | None = None,
    own_utterance: Float[np.ndarray, "E"] | None = None,
) -> SpeakerSimilarity:
    """Compare one output with its prompt and with every other speaker of the set.

    The similarity to another speaker is the mean cosine over that speaker's prompts: what one prompt of theirs gives
    on average, so that own and other stand on the same footing however many prompts a speaker has. A single
    prompt strays further than a mean, so the most similar of all their prompts is told, too: the harder rival.

    Args:
        output: voice print of the output.
        own_prompt: of the prompt that it was made from.
        prompts_by_speaker: all prompts of the set, by speaker.
        speaker: the item's own.
        own_prompt_copy: of the prompt after copy-synthesis.
        own_utterance: of the whole utterance that the prompt was cut from.
    """
    cosines = {
        name: [cosine(output, prompt) for prompt in prompts]
        for name, prompts in sorted(prompts_by_speaker.items())
        if name != speaker
    }
    others = {name: float(np.mean(own)) for name, own in cosines.items()}
    mine = SpeakerSimilarity(
        own=cosine(output, own_prompt),
        own_copy=None if own_prompt_copy is None else cosine(output, own_prompt_copy),
        uncut=None if own_utterance is None else cosine(output, own_utterance),
    )
    if not others:
        return mine
    nearest = max(others, key=others.__getitem__)
    return replace(
        mine,
        others=float(np.mean(list(others.values()))),
        nearest_other=others[nearest],
        nearest_other_speaker=nearest,
        nearest_other_prompt=max(max(own) for own in cosines.values()),
    )
