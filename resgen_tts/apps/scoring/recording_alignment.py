"""Recordings of a prepared corpus aligned with their texts by a trained aligner, as words and phones with times."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.apps.corpus.encode import load_byt5
from resgen_tts.apps.weights.parts import final_folder
from resgen_tts.apps.weights.pretrained import load_aligner, load_generator
from resgen_tts.common.errors import CheckpointError, DataError
from resgen_tts.common.run_dir import read_jsonl
from resgen_tts.engine.checkpoint import load_model
from resgen_tts.evaluation.measures.phone_names import from_arpabet, from_ipa
from resgen_tts.evaluation.measures.text_error import letters_only
from resgen_tts.evaluation.measures.timed import Span, Timed
from resgen_tts.speech.alignment import Aligner
from resgen_tts.speech.corpus import load_cuts
from resgen_tts.speech.text.spell import spell
from resgen_tts.speech.text.symbols import Inventory
from resgen_tts.speech.text.tokens import spoken_words
from resgen_tts.speech.text.units import EncodedText, TextUnits
from resgen_tts.tokenizers.log_mel import LogMel, MelConfig

PHONE_NAMES: dict[str, Callable[[str], str | None]] = {"phonemes": from_ipa, "arpabet": from_arpabet}  # by units


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A recording of a split and its spoken text."""

    id: str
    file: Path
    wave: Callable[[], Float[np.ndarray, "1 N"]]
    sample_rate: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A recording's words and phones, and the mel that they were found in."""

    timed: Timed
    mel: Float[np.ndarray, "T M"]
    warnings: tuple[str, ...] = ()


def read_spoken(data: Path, split: str) -> list[Spoken]:
    """The transcribed recordings of a split, in the order of the stage ``text``.

    Raises:
        DataError: the split is not prepared.
    """
    cuts = {cut.id: cut for cut in load_cuts(data, split)}
    rows = read_jsonl(Path(data) / "text" / f"{split}.jsonl")
    return [
        Spoken(
            id=row["id"],
            file=Path(cuts[row["id"]].recording.sources[0].source),
            wave=cuts[row["id"]].load_audio,
            sample_rate=cuts[row["id"]].sampling_rate,
            text=row["text"],
        )
        for row in rows
    ]


class RecordingAligner:
    """A trained aligner with all that turns a recording and its text into what it reads.

    Args:
        mel: settings of the spectrogram that it was trained on.
        multiple: a recording is followed by silence up to so many samples, as in the stage ``encode``.
    """

    def __init__(self, aligner: Aligner, units: TextUnits, mel: MelConfig, multiple: int):
        if mel.num_mels != aligner.config.num_mels:
            raise CheckpointError(f"the aligner reads {aligner.config.num_mels} mel bands, the Mel-VAE {mel.num_mels}.")
        self.aligner, self.units, self.multiple = aligner, units, multiple
        self.mel_config, self.log_mel = mel, LogMel(mel)

    @classmethod
    def load(cls, folder: Path, mel: MelConfig, multiple: int, data: Path) -> "RecordingAligner":
        """That of a trained aligner's folder, or of a generator's.

        Raises:
            CheckpointError: the folder holds neither, or a generator without an aligner.
        """
        aligner, inventory = _load(folder)
        byt5 = load_byt5(inventory.byt5, "cpu", Path(data) / "text") if inventory.byt5 else None
        return cls(aligner, TextUnits(inventory, byt5=byt5), mel, multiple)

    @torch.inference_mode()
    def align(self, spoken: Spoken) -> Aligned:
        """Align one recording.

        Raises:
            DataError: its rate is not the mel's, or it is too short for its text.
            TextError: nothing of its text is known to the model.
        """
        if spoken.sample_rate != self.mel_config.sample_rate:
            raise DataError(
                f"{spoken.id} has {spoken.sample_rate} Hz, the model wants {self.mel_config.sample_rate} Hz.",
                code="AUDIO_SAMPLE_RATE",
            )
        (encoded,) = self.units.encode([spoken.text])
        wave = torch.from_numpy(spoken.wave())
        mel = self.log_mel(torch.nn.functional.pad(wave, (0, -wave.shape[1] % self.multiple)))
        symbols, count = encoded.numbers[None], torch.tensor([len(encoded)])
        given = None if encoded.features is None else encoded.features[None]
        features = self.aligner.encode(symbols, count, given)
        (durations,) = self.aligner.align(features, symbols, count, mel, torch.tensor([mel.shape[1]]))
        timed, unnamed = timed_of(
            encoded, durations, spoken_words(spoken.text), self.mel_config.frame_rate_hz, self.units.inventory.units
        )
        notes = (f"phones without a name for comparing: {' '.join(unnamed)}",) if unnamed else ()
        return Aligned(timed=timed, mel=mel[0].numpy(), warnings=encoded.warnings + notes)


def timed_of(
    encoded: EncodedText, durations: Int[Tensor, " N"], words: Sequence[str], frame_rate_hz: float, units: str
) -> tuple[Timed, tuple[str, ...]]:
    """Words and phones with times from the frames of each symbol.

    Args:
        words: of the spoken text; a word begins with its first symbol and ends with its last.
        units: of the symbols; those of phonemes and arpabet give phones, bytes words alone.
    Returns:
        the times, and the symbols that have no name in `phone_names`.
    """
    ends = (durations.cumsum(0).double() / frame_rate_hz).tolist()
    starts = [0.0, *ends[:-1]]
    places: dict[int, list[int]] = {}
    for place, word in enumerate(encoded.words.tolist()):
        if word >= 0:
            places.setdefault(word, []).append(place)
    phones, unnamed = [], []
    for place in sorted(place for own in places.values() for place in own) if units in PHONE_NAMES else ():
        name = PHONE_NAMES[units](encoded.symbols[place])
        if name is None:
            unnamed.append(encoded.symbols[place])
        elif name:
            phones.append(Span(name, starts[place], ends[place]))
    named = tuple(
        Span(letters_only(words[word]).replace(" ", ""), starts[own[0]], ends[own[-1]])
        for word, own in sorted(places.items())
    )
    return Timed(words=named, phones=tuple(phones)), tuple(dict.fromkeys(unnamed))


def say_in_arpabet(words: Sequence[str]) -> list[list[str]]:
    """Bare ARPAbet of each word by espeak, for words that a dictionary lacks; a phone without a name is left out."""
    return [
        [name for symbol in said.symbols for name in (from_ipa(symbol) or "").split()]
        for said in spell(list(words), "phonemes")
    ]


def _load(folder: Path) -> tuple[Aligner, Inventory]:
    _, config = load_model(final_folder(folder))
    if config.get("part") != "generator":
        return load_aligner(folder)
    generator, inventory = load_generator(folder)
    aligner = getattr(generator, "aligner", None)
    if not isinstance(aligner, Aligner):
        raise CheckpointError(f"{folder} holds a generator without an aligner.")
    return aligner, inventory
