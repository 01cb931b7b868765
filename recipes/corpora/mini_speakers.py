"""Who speaks in the mini corpus: base voices turned into speakers, and which of them training hears.

The numbers were chosen by measurement: over a grid of transforms of every base voice, the test speakers are spread as
far apart as Resemblyzer hears them while pocketsphinx still recognises the words, and lie inside the range that the
training speakers span. `python -m recipes.corpora.mini` measures both again and writes them into its report.
"""

from dataclasses import dataclass

from recipes.corpora.synthesizers import BaseVoice
from recipes.corpora.world_voice import Transform

HIGH_VOICES = frozenset({"slt", "cmu_us_slt_arctic_hts", "en-us+f1", "en-us+f2", "en-us+f5"})  # about 170 Hz and more

# (formant, pitch) of training speakers; every voice takes six of the twelve, the next voice the other six.
LOW_TRAIN = (
    (0.90, 0.85), (1.08, 1.30), (1.01, 1.10), (0.91, 1.65), (1.15, 1.05), (0.97, 1.45),
    (0.96, 0.95), (1.12, 1.60), (1.06, 0.85), (0.90, 1.20), (1.17, 1.45), (1.02, 1.80),
)  # fmt: skip
HIGH_TRAIN = (
    (0.80, 0.62), (0.98, 1.08), (0.92, 0.62), (0.83, 1.15), (1.06, 0.95), (0.88, 1.02),
    (0.86, 0.72), (1.04, 1.20), (0.96, 0.85), (0.81, 0.90), (1.02, 0.75), (0.93, 1.22),
)  # fmt: skip
TILTS_DB = (0.0, 1.5, -1.5)
RATES = (1.0, 0.94)
INTONATIONS = (1.0, 1.15, 0.85)

# Preferred base voice and transform of speakers that training does not hear.
DEV = (
    ("kal_diphone", Transform(formant=1.00, pitch=1.25)),
    ("rms", Transform(formant=1.05, pitch=1.15, tilt_db=-1.0)),
    ("slt", Transform(formant=0.95, pitch=0.95, rate=1.03)),
    ("ked_diphone", Transform(formant=0.95, pitch=1.30)),
)
TEST = (
    ("slt", Transform(formant=0.82, pitch=1.00)),
    ("kal16", Transform(formant=1.15, pitch=1.35)),
    ("ked_diphone", Transform(formant=1.00, pitch=1.02, tilt_db=2.0)),
    ("cmu_us_slt_arctic_hts", Transform(formant=1.00, pitch=1.20)),
    ("awb", Transform(formant=0.88, pitch=1.75)),
    ("awb", Transform(formant=1.08, pitch=0.78)),
    ("rms", Transform(formant=0.88, pitch=0.78)),
    ("kal16", Transform(formant=0.94, pitch=1.00)),
)


@dataclass(frozen=True, kw_only=True)
class MiniSpeaker:
    """A speaker of the mini corpus."""

    name: str
    split: str
    base: BaseVoice
    transform: Transform


def _train_transforms(base: BaseVoice, offset: int, count: int) -> list[Transform]:
    table = HIGH_TRAIN if base.name in HIGH_VOICES else LOW_TRAIN
    turns = [index for parity in range(2) for index in range(len(table)) if (index + offset + parity) % 2 == 0]
    chosen = []
    for turn in range(count):
        index, again = turns[turn % len(turns)], turn // len(turns)  # a voice that plays more than twelve starts over,
        formant, pitch = table[index]  # a little higher and shifted in the other tables
        chosen.append(
            Transform(
                formant=formant,
                pitch=round(pitch * 1.06**again, 4),
                tilt_db=TILTS_DB[(index + offset + again) % len(TILTS_DB)],
                rate=RATES[((index + offset) // 2 + again) % len(RATES)],
                intonation=INTONATIONS[(index // 2 + offset) % len(INTONATIONS)],
            )
        )
    return chosen


def cast(voices: list[BaseVoice], *, smoke: bool = False) -> list[MiniSpeaker]:
    """The speakers that these base voices can play: at least 24 for training, 4 for dev, 8 for test.

    Args:
        voices: installed base voices, in a fixed order; with fewer of them, each plays more speakers.
        smoke: 8 speakers for training, 2 for dev, 4 for test.
    """
    wanted = 8 if smoke else 6 * max(len(voices), 5)
    per_voice = -(-wanted // len(voices))
    by_voice = [_train_transforms(base, offset, per_voice) for offset, base in enumerate(voices)]
    train = [
        (base, transforms[turn]) for turn in range(per_voice) for base, transforms in zip(voices, by_voice, strict=True)
    ][:wanted]
    speakers = [
        MiniSpeaker(name=f"train{index:02d}", split="train", base=base, transform=transform)
        for index, (base, transform) in enumerate(train)
    ]
    named = {base.name: base for base in voices}
    for split, table in (("dev", DEV[:2] if smoke else DEV), ("test", TEST[:4] if smoke else TEST)):
        for index, (name, transform) in enumerate(table):
            base = named.get(name, voices[index % len(voices)])
            speakers.append(MiniSpeaker(name=f"{split}{index:02d}", split=split, base=base, transform=transform))
    return speakers
