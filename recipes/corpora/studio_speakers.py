"""Who speaks in the studio corpus: several hundred made speakers, those of dev and test unlike any of training's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recipes.corpora.mini_speakers import HIGH_VOICES, TEST
from recipes.corpora.synthesizers import BaseVoice
from recipes.corpora.world_voice import Transform

# Ranges of (formant, pitch) factors for low and high base voices; pitch is spread evenly in its logarithm.
LOW_RANGES = ((0.85, 1.20), (0.72, 1.95))
HIGH_RANGES = ((0.78, 1.10), (0.56, 1.30))
RATES, TILTS_DB, INTONATIONS, BREATHS = (0.88, 1.12), (-2.5, 2.5), (0.75, 1.35), (0.0, 0.55)
HARD_SHARE = 0.05  # of training speakers are espeak's formant voices
CLEARANCE = 1.0  # of a training speaker from every one of dev and test: one unit is 3 % of formant or 7 % of pitch

# The evaluation's speakers: those of egs/mini, which Resemblyzer tells apart, and two more.
TEST_SPEAKERS = (
    *TEST,
    ("rms", Transform(formant=1.12, pitch=1.45)),
    ("cmu_us_slt_arctic_hts", Transform(formant=0.90, pitch=0.70, tilt_db=-1.5)),
)


@dataclass(frozen=True, kw_only=True)
class StudioSpeaker:
    """A speaker of the studio corpus."""

    name: str
    split: str
    base: BaseVoice
    transform: Transform


def spread(index: int, axes: int) -> list[float]:
    """The point `index` of a sequence that fills the unit cube of so many axes evenly (Kronecker, generalised golden
    ratio; Roberts, 2018)."""
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (axes + 1))
    return [(0.5 + (index + 1) / root ** (axis + 1)) % 1.0 for axis in range(axes)]


def drawn_transform(index: int, *, high: bool) -> Transform:
    """The transform `index` of a base voice."""
    formants, pitches = HIGH_RANGES if high else LOW_RANGES
    parts = spread(index, 6)

    def within(part: float, bounds: tuple[float, float]) -> float:
        return bounds[0] + part * (bounds[1] - bounds[0])

    breath = within(parts[5], BREATHS)
    return Transform(
        formant=round(within(parts[0], formants), 4),
        pitch=round(math.exp(within(parts[1], (math.log(pitches[0]), math.log(pitches[1])))), 4),
        rate=round(within(parts[2], RATES), 3),
        tilt_db=round(within(parts[3], TILTS_DB), 2),
        intonation=round(within(parts[4], INTONATIONS), 3),
        breathiness=round(max(0.0, breath - 0.2), 3),  # a good third of the speakers are not breathy at all
    )


def distance(first: Transform, second: Transform) -> float:
    """How far two speakers of one base voice lie apart in vocal tract length and pitch."""
    formant = math.log(first.formant / second.formant) / 0.03
    pitch = math.log(first.pitch / second.pitch) / 0.07
    return math.hypot(formant, pitch)


def cast(
    voices: Sequence[BaseVoice], hard_voices: Sequence[BaseVoice], *, train: int, dev: int, test: int
) -> list[StudioSpeaker]:
    """The speakers that these base voices can play.

    Args:
        voices: base voices, in a fixed order.
        hard_voices: of training alone, a twentieth of its speakers; may be empty.
        train, dev, test: how many speakers of each split; at most ten for test.
    """
    named = {voice.name: voice for voice in voices}
    tested = [
        (named.get(name, voices[index % len(voices)]), transform)
        for index, (name, transform) in enumerate(TEST_SPEAKERS[:test])
    ]
    taken: dict[BaseVoice, list[Transform]] = {}
    for base, transform in tested:
        taken.setdefault(base, []).append(transform)
    turns = dict.fromkeys([*voices, *hard_voices], 0)

    def next_of(base: BaseVoice) -> Transform:
        while True:
            transform = drawn_transform(turns[base], high=base.name in HIGH_VOICES)
            turns[base] += 1
            if all(distance(transform, other) >= CLEARANCE for other in taken.get(base, ())):
                return transform

    heard = []
    for index in range(dev):
        base = voices[index % len(voices)]
        heard.append((base, next_of(base)))
        taken.setdefault(base, []).append(heard[-1][1])
    hard = round(HARD_SHARE * train) if hard_voices else 0
    trained = []
    for index in range(train):
        base = hard_voices[index % len(hard_voices)] if index < hard else voices[index % len(voices)]
        trained.append((base, next_of(base)))
    return [
        StudioSpeaker(name=f"{split}{index:03d}", split=split, base=base, transform=transform)
        for split, drawn in (("train", trained), ("dev", heard), ("test", tested))
        for index, (base, transform) in enumerate(drawn)
    ]
