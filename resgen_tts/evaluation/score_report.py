"""What a scoring gives: every output's scores, every system's figures, and what they were measured with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from resgen_tts.evaluation.measures.robustness import Robustness, RobustnessRates
from resgen_tts.evaluation.measures.speaker import SpeakerSimilarity
from resgen_tts.evaluation.measures.speed import SpeedSummary
from resgen_tts.evaluation.measures.statistics import Interval
from resgen_tts.evaluation.measures.text_error import TextError
from resgen_tts.evaluation.protocols.synth_folder import SynthItem


@dataclass(frozen=True, kw_only=True)
class SecondHearing:
    """One wave as another recogniser heard it."""

    text: TextError
    robustness: Robustness


@dataclass(frozen=True, kw_only=True)
class SecondScore:
    """Corpus figures of one system by another recogniser."""

    wer: Interval
    cer: Interval
    robustness: RobustnessRates


@dataclass(frozen=True, kw_only=True)
class OutputScore:
    """One wave of one system."""

    wave: str
    seconds: float
    length_ratio: float | None  # over the recording's length, where there is one
    is_silent: bool
    text: TextError
    robustness: Robustness
    speaker: SpeakerSimilarity
    mel_l1: float | None  # only for a copy, which keeps the recording's timing
    naturalness: Mapping[str, float] = field(default_factory=dict)  # figure of a rater: value
    left_out: Mapping[str, str] = field(default_factory=dict)  # rater: code of the reason
    second: SecondHearing | None = None


@dataclass(frozen=True, kw_only=True)
class ItemScore:
    """One item under every system."""

    item: SynthItem
    outputs: Mapping[str, OutputScore]


@dataclass(frozen=True, kw_only=True)
class SystemScore:
    """Corpus figures of one system. Intervals are over items unless the name says speakers."""

    wer: Interval
    wer_over_speakers: Interval
    wer_of_items: Interval  # mean of the items' own rates: what the scripts of F5-TTS and Seed-TTS-eval print
    high_error: Interval  # share of items with over half of their words wrong
    cer: Interval
    robustness: RobustnessRates
    similarity_own: Interval  # SIM-o
    similarity_own_over_speakers: Interval
    similarity_own_copy: Interval | None  # SIM-r
    similarity_uncut: Interval | None  # with the uncut utterance: what protocol V prints for recordings
    # Of a set of one speaker there is nobody to compare with: None.
    similarity_others: Interval | None
    own_first: Interval | None  # share of items whose own prompt is nearer than every other speaker on average
    own_first_over_speakers: Interval | None
    own_first_of_speakers: float | None  # the same share per speaker, averaged over speakers
    own_prompt_first: Interval | None  # share of items whose own prompt is nearer than any other speaker's any prompt
    own_prompt_first_over_speakers: Interval | None
    length_ratio: Interval | None
    silent: int  # outputs without sound, scored as they are
    mel_l1: Interval | None
    speed: SpeedSummary | None
    naturalness: Mapping[str, Interval] = field(default_factory=dict)  # of the outputs that could be rated
    rated: Mapping[str, int] = field(default_factory=dict)  # figure -> how many these are
    second: SecondScore | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """Everything that was measured, and what it was measured with."""

    systems: Mapping[str, SystemScore]
    wer_differences: Mapping[str, Interval]  # "clone - copy": paired over items
    items: Sequence[ItemScore]
    read: int
    used: int
    skipped: Mapping[str, str]  # id -> reason; read = used + skipped
    speakers: int
    recognizer: str
    normalizer: str  # of texts and of what was heard, before they are compared
    encoder: str
    embedded_scorers: Sequence[str]  # names of the judges that come inside a package
    seed: int
    data_sha256: str  # of the request log and of every wave in it
    run: Mapping[str, Any]  # run.json of the synthesizer
    notes: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)  # command, commit and hardware of the scoring
    raters: Sequence[str] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)  # of the item set; empty for a corpus's own pairs
    second_recognizer: str | None = None
    second_wer_differences: Mapping[str, Interval] = field(default_factory=dict)
    # "prompt", "prompt_copy": WER of the prompts themselves, what recordings of this kind come to. Only of items
    # without a recording, and only by an open vocabulary: a closed one does not hold the prompts' words.
    prompt_wer: Mapping[str, Interval] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, corpus figures first."""
        return asdict(self)
