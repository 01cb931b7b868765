"""Spoken text as the generator reads it: symbol numbers, the word of each, and features where a model wants them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.speech.text.lexicon import Lexicon
from resgen_tts.speech.text.normalize import NormalizedText, normalize
from resgen_tts.speech.text.spell import Spelled, spell
from resgen_tts.speech.text.symbols import PAUSE, SILENCE, Inventory
from resgen_tts.speech.text.tokens import MARKS, spoken_words

if TYPE_CHECKING:
    from resgen_tts.speech.text.byt5 import ByT5


@dataclass(frozen=True)
class EncodedText:
    """A text between two silences.

    Args:
        numbers: place of each symbol in the inventory.
        symbols: the symbols themselves; a mark that the model knows as a pause only (``Inventory.place``) by its sign.
        words: index of the word of the spoken text that a symbol belongs to (``tokens.spoken_words``); -1 for
            silences, pauses and marks.
        features: of each symbol, zero at the silences; only for byt5.
        warnings: what the model cannot say.
        num_words: words of the spoken text, those without a known symbol included.
    """

    numbers: Int[Tensor, " N"]
    symbols: tuple[str, ...]
    words: Int[Tensor, " N"]
    features: Float[Tensor, "N F"] | None = None
    warnings: tuple[str, ...] = ()
    num_words: int = 0

    def __post_init__(self):
        if len(self.symbols) != len(self.numbers):
            raise ConfigError(f"{len(self.symbols)} symbols for {len(self.numbers)} numbers")

    def __len__(self) -> int:
        return len(self.symbols)

    @classmethod
    def join(cls, parts: "Sequence[EncodedText]") -> "EncodedText":
        """One text after the other, each with its silences, as training joins prompt and target."""
        words, count = [], 0
        for part in parts:
            words.append(torch.where(part.words < 0, part.words, part.words + count))
            count += max(part.num_words, int(part.words.max()) + 1)
        features = [part.features for part in parts if part.features is not None]
        if len(features) not in (0, len(parts)):
            raise ConfigError("texts with and without features cannot be joined")
        return cls(
            numbers=torch.cat([part.numbers for part in parts]),
            symbols=tuple(symbol for part in parts for symbol in part.symbols),
            words=torch.cat(words),
            features=torch.cat(features) if features else None,
            warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
            num_words=count,
        )

    def word_span(self, first: int, last: int) -> slice:
        """The symbols of words ``first`` to ``last`` (half-open), with what stands between them and the marks after.

        Raises:
            TextError: TEXT_NO_SPEECH where none of these words has a symbol.
        """
        places = ((self.words >= first) & (self.words < last)).nonzero()[:, 0]
        if len(places) == 0:
            raise TextError(f"words {first} to {last} have no symbol that the model knows.", code="TEXT_NO_SPEECH")
        end = int(places[-1]) + 1
        while int(self.words[end]) < 0 and self.symbols[end] not in (PAUSE, SILENCE):
            end += 1
        if int(self.words[end]) >= 0:  # a mark right before a word is a pause (``Inventory.place``), like a PAUSE
            end = int(places[-1]) + 1
        return slice(int(places[0]), end)

    def cut_words(self, first: int, last: int) -> "EncodedText":
        """Words ``first`` to ``last`` (half-open) alone, counted from 0, between silences again.

        Raises:
            TextError: TEXT_NO_SPEECH where none of these words has a symbol.
        """
        span = self.word_span(first, last)
        words = self.words[span]
        features = None if self.features is None else torch.nn.functional.pad(self.features[span], (0, 0, 1, 1))
        return EncodedText(
            numbers=torch.nn.functional.pad(self.numbers[span], (1, 1)),
            symbols=(SILENCE, *self.symbols[span], SILENCE),
            words=torch.nn.functional.pad(torch.where(words < 0, words, words - first), (1, 1), value=-1),
            features=features,
            warnings=self.warnings,
            num_words=last - first,
        )


class TextUnits:
    """Encodes spoken texts in the units of one model.

    Args:
        inventory: what the model knows.
        lexicon: words said otherwise than the g2p would; phonemes and arpabet only.
        byt5: the encoder of the features; byt5 only, and there it must be given.
    """

    def __init__(self, inventory: Inventory, lexicon: Lexicon | None = None, byt5: "ByT5 | None" = None):
        if (byt5 is None) == (inventory.units == "byt5"):
            raise ConfigError(f"units byt5 and only they need a ByT5; the model's units are {inventory.units}")
        if lexicon is not None and inventory.units in ("bytes", "byt5"):
            raise ConfigError(f"a lexicon gives phonemes; a model of {inventory.units} knows none")
        self.inventory, self.lexicon, self.byt5 = inventory, lexicon, byt5
        self.warnings = lexicon.warnings(inventory) if lexicon else ()

    def normalize(self, text: str) -> NormalizedText:
        """The spoken form by the normaliser that the model was trained with, the lexicon's words kept as they are.

        Raises:
            TextError, MissingExtraError: see :func:`~normalize.normalize`.
        """
        return normalize(text, self.inventory.normalizer, self.lexicon.words if self.lexicon else frozenset())

    def encode(self, texts: list[str]) -> list[EncodedText]:
        """Encode spoken texts, batched.

        Raises:
            TextError: TEXT_NO_SPEECH where no symbol of a text is known, TEXT_INLINE_PHONEMES where a text holds
                phonemes and the model none.
        """
        rows = spell(texts, self.inventory.units, self.lexicon)
        features = [None] * len(texts) if self.byt5 is None else self.byt5.encode(texts)
        return [self._encoded(*parts) for parts in zip(texts, rows, features, strict=True)]

    def _encoded(self, text: str, row: Spelled, features: Float[Tensor, "N F"] | None) -> EncodedText:
        placed = self.inventory.place(row.symbols)
        numbers = self.inventory.between_silences([number for _, number in placed], row.symbols)
        is_pause = [self.inventory.is_spoken_as_pause(row.symbols[place]) for place, _ in placed]
        symbols = [
            row.symbols[place] if is_mark else self.inventory.symbols[number]
            for (place, number), is_mark in zip(placed, is_pause, strict=True)
        ]
        words = [-1 if is_mark else row.words[place] for (place, _), is_mark in zip(placed, is_pause, strict=True)]
        if features is not None:
            features = torch.nn.functional.pad(features[[place for place, _ in placed]], (0, 0, 1, 1))
        spoken = spoken_words(text)
        named = ["" if "[[" in word else word.strip(MARKS) for word in spoken]  # inline phonemes show themselves
        names = [named[word] if word >= 0 else "" for word in row.words]
        return EncodedText(
            numbers=torch.tensor(numbers),
            symbols=(SILENCE, *symbols, SILENCE),
            words=torch.tensor([-1, *words, -1]),
            features=features,
            warnings=self.inventory.warnings(row.symbols, names),
            num_words=len(spoken),
        )
