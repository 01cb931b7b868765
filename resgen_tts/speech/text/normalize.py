"""From written to spoken English: the one front end of every door.

The passes, in order: clean up (:mod:`cleanup`, :mod:`markup`), addresses (:mod:`web`), dates and times (:mod:`dates`),
quantities (:mod:`quantities`), abbreviations (:mod:`abbreviations`, :mod:`acronyms`), signs and plain numbers
(:mod:`signs`), marks (:mod:`marks`). Each is a few regular expressions of bounded length over the whole text, so the
time is linear. What cannot be spoken is named in a warning, never dropped in silence.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int32

from resgen_tts.common.errors import ConfigError, TextError
from resgen_tts.speech.text import abbreviations, acronyms, cleanup, dates, marks, markup, quantities, roman, signs, web
from resgen_tts.speech.text.kept_words import take_words
from resgen_tts.speech.text.rewrite import Notes, TracedText

MAX_CHARACTERS = 1_000_000
BACKENDS = ("builtin", "wetext", "nemo")
_ROUNDS = 8  # the spoken form is read again until it stays: what one pass removed may have stood between two words


@dataclass(frozen=True)
class NormalizedText:
    """Spoken text, where it came from, and what could not be spoken.

    Args:
        text: letters, apostrophes, blanks, the pause marks ``, . ; : ? !`` and inline phonemes ``[[...]]``.
        warnings: ``CODE: words`` each.
        original: the text as it was written.
        origins: half-open span of original characters behind each spoken one; starts and ends never fall.
    """

    text: str
    warnings: tuple[str, ...] = ()
    original: str = ""
    origins: Int32[np.ndarray, "N 2"] = field(
        default_factory=lambda: np.zeros((0, 2), np.int32), repr=False, compare=False
    )

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Original characters behind the spoken characters ``start`` to ``end`` (half-open, not empty)."""
        return int(self.origins[start, 0]), int(self.origins[end - 1, 1])


def normalize(text: str, backend: str = "builtin", keep: frozenset[str] = frozenset()) -> NormalizedText:
    """Spell out what is not a word, and keep letters, apostrophes and the pause marks ``, . ; : ? !``.

    Inline phonemes ``[[...]]`` stay as they are. The spoken form of a spoken form is itself.

    Args:
        backend: "builtin"; "wetext" or "nemo" read numbers, dates and the like by those libraries, between our own
            clean-up and our own last passes (then origins are those of whole words).
        keep: words that stay as they are written, such as those of a lexicon (``kept_words.fold_word``).

    Raises:
        TextError: TEXT_EMPTY, TEXT_TOO_LONG, TEXT_INVALID_UNICODE, TEXT_UNSUPPORTED_LANGUAGE where most letters are not
            Latin, or TEXT_NO_SPEECH where nothing can be spoken.
        ConfigError: an unknown back end.
        MissingExtraError: the back end's library is not installed.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"the text back end must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if not text.strip():
        raise TextError("the text is empty.", code="TEXT_EMPTY", hint="Pass the words to speak.")
    if len(text) > MAX_CHARACTERS:
        raise TextError(
            f"the text has {len(text)} characters, the limit is {MAX_CHARACTERS}.", code="TEXT_TOO_LONG",
            hint="Pass it in parts.",
        )  # fmt: skip
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise TextError("the text holds a lone surrogate.", code="TEXT_INVALID_UNICODE", hint="Save it as UTF-8.")
    cleanup.refuse_foreign(text)
    notes = Notes()
    traced, atoms = cleanup.take_atoms(cleanup.remove_controls(TracedText.start(text), notes))
    cleanup.note_broken_atoms(traced, notes)
    traced, atoms = take_words(markup.strip_markup(traced, notes), atoms, keep)
    traced = cleanup.fold(traced, notes)
    if backend != "builtin":
        from resgen_tts.speech.text.backends import rewrite_by

        traced = rewrite_by(backend, traced)
    for _ in range(_ROUNDS):
        before, traced = traced.text, _speak(traced, notes)
        if traced.text == before:
            break
    if not atoms and not any(character.isalpha() for character in traced.text):
        raise TextError(f"nothing in {text[:40]!r} can be spoken.", code="TEXT_NO_SPEECH")
    traced = _put_back(traced, atoms)
    return NormalizedText(traced.text, notes.warnings(), text, traced.origins)


def _speak(traced: TracedText, notes: Notes) -> TracedText:
    traced = marks.mark_inches(marks.break_lines(traced))
    traced = web.say_addresses(traced, notes)
    traced = abbreviations.say_before_numbers(traced)
    traced = quantities.say_quantities(dates.say_dates(traced))
    traced = acronyms.say_acronyms(abbreviations.say_abbreviations(roman.say_roman(traced)))
    traced = signs.say_other_signs(signs.say_plain_numbers(signs.say_signs(traced)), notes)
    return marks.tidy(marks.say_marks(traced, notes))


def _put_back(traced: TracedText, atoms: list[TracedText]) -> TracedText:
    """Inline phonemes in the place of their placeholders, each character again its own."""
    if not atoms:
        return traced
    texts, origins = [], []
    parts = traced.text.split(cleanup.ATOM)
    place = 0
    for part, atom in zip(parts, [*atoms, None], strict=True):
        texts.append(part)
        origins.append(traced.origins[place : place + len(part)])
        place += len(part) + 1
        if atom is not None:
            texts.append(atom.text)
            origins.append(atom.origins)
    return TracedText("".join(texts), np.concatenate(origins))
