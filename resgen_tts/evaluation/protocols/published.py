"""The published protocols: what they are made of, who listens, and in what a set departs from them.

A figure stands beside a published one where `departures` and `judge_departures` have nothing to tell, and no sooner.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resgen_tts.common.listing import some
from resgen_tts.evaluation.protocols.librispeech import PC_PAIRS, PC_SHA256, TARGETS, TARGETS_SHA256

COUNT_ONLY = "count only"  # a list of which no more than its length is published


@dataclass(frozen=True, kw_only=True)
class AskedJudges:
    """Who listens under a protocol; kinds as the verb ``score`` names them."""

    recognizer: str | None  # None: it is not among those here
    recognizer_model: str
    normalizer: str | None
    encoder: str = "unispeech"


@dataclass(frozen=True, kw_only=True)
class PublishedProtocol:
    """What is published of a protocol's items."""

    items: tuple[int, ...]  # numbers of targets of its lists
    list_sha256: str | None = None  # None: it is not known
    trial_facts: Mapping[str, Any] = field(default_factory=dict)  # trials, cut, prompt_seconds, seed
    recognizers: Mapping[str, AskedJudges] = field(default_factory=dict)  # letter of a protocol on this list -> its own


_HUBERT = AskedJudges(recognizer="ctc", recognizer_model="facebook/hubert-large-ls960-ft", normalizer="letters")
_WHISPER = AskedJudges(recognizer="whisper", recognizer_model="openai/whisper-large-v3", normalizer="punctuation")
_PARAFORMER = AskedJudges(recognizer=None, recognizer_model="Paraformer", normalizer=None)
_TRIALS = {"trials": 3, "prompt_seconds": 3.0, "seed": 49}
PUBLISHED = {  # mode of a set, and its language where there is more than one
    "continuation": PublishedProtocol(
        items=(TARGETS,), list_sha256=TARGETS_SHA256, trial_facts={**_TRIALS, "cut": "hard"}, recognizers={"V": _HUBERT}
    ),
    "cross_sentence": PublishedProtocol(
        items=(TARGETS,), list_sha256=TARGETS_SHA256, trial_facts={**_TRIALS, "cut": "word"}, recognizers={"V": _HUBERT}
    ),
    "librispeech_pc": PublishedProtocol(
        items=(PC_PAIRS,), list_sha256=PC_SHA256, recognizers={"F": _WHISPER, "K": _HUBERT}
    ),
    "seed_tts en": PublishedProtocol(items=(1088,), recognizers={"S": _WHISPER}),
    "seed_tts zh": PublishedProtocol(items=(2020, 400), recognizers={"S": _PARAFORMER}),  # 400: the hard part
}


def published_of(facts: Mapping[str, Any]) -> PublishedProtocol | None:
    """The protocol that a set is of, from its ``protocol.json``; None for a custom set."""
    return PUBLISHED.get(" ".join(str(facts[name]) for name in ("mode", "language") if facts.get(name)))


def departures(facts: Mapping[str, Any]) -> list[str]:
    """In what a set differs from the published protocol that it is named after; nothing for a custom one.

    Args:
        facts: of ``protocol.json``. What they do not tell counts as another.
    """
    published = published_of(facts)
    told = []
    if facts.get("is_subset"):
        total = "" if published is None else f" of {' or '.join(f'{number:,}' for number in published.items)}"
        used = facts.get("used")
        told.append(f"a subset{'' if used is None else f': {used:,}{total} targets'}")
    if published is None:
        return told
    if published.list_sha256 is None:
        told.append("the list is checked by its length alone: no hash of the published one is known")
    elif facts.get("list_sha256") != published.list_sha256:
        told.append("the list is not the published one")
    for name, what in (("absent", "not there"), ("skipped", "left out")):
        lost = facts.get(name) or {}
        if lost:
            told.append(f"{len(lost)} target{'s' if len(lost) > 1 else ''} {what}: {some(lost)}")
    for name, value in published.trial_facts.items():
        if facts.get(name) != value:
            own = f"{facts[name]:g}" if isinstance(facts.get(name), float) else facts.get(name, "not told")
            told.append(
                f"{name} {own}, published {value:g}" if isinstance(value, float) else f"{name} {own}, published {value}"
            )
    return told


def judge_departures(facts: Mapping[str, Any], *, recognizer: str, normalizer: str, encoder: str) -> list[str]:
    """In what the judges of a scoring are not those that the set's protocol asks for; nothing for a custom set.

    Where two protocols share a list (F and K), the judges are compared with the one whose recogniser was taken, or
    else with the first.

    Args:
        recognizer, encoder: as on the command line, ``KIND`` or ``KIND:MODEL``; a model is known by the last part of
            its name, whether it is of the hub or of a folder.
        normalizer: name.
    """
    published = published_of(facts)
    if published is None:
        return []
    kind, _, model = recognizer.partition(":")
    letter, asked = next(
        ((letter, one) for letter, one in published.recognizers.items() if one.recognizer == kind),
        next(iter(published.recognizers.items())),
    )
    told = []
    if asked.recognizer is None:
        told.append(f"protocol {letter} asks for {asked.recognizer_model}, which is not among the recognisers here")
    elif kind != asked.recognizer:
        told.append(f"recogniser {kind}; protocol {letter} asks for {asked.recognizer_model}")
    elif _base(model) != _base(asked.recognizer_model):
        told.append(f"recogniser {model}; protocol {letter} asks for {asked.recognizer_model}")
    if asked.normalizer is not None and normalizer != asked.normalizer:
        told.append(f"normaliser {normalizer}; protocol {letter} asks for {asked.normalizer}")
    if encoder.partition(":")[0] != asked.encoder:
        told.append(f"voice prints by {encoder.partition(':')[0]}; protocol {letter} asks for {asked.encoder}")
    return told


def _base(model: str) -> str:
    """``openai/whisper-large-v3@REVISION`` and ``models/whisper-large-v3/`` are both ``whisper-large-v3``."""
    return model.rstrip("/").rpartition("/")[2].partition("@")[0]
