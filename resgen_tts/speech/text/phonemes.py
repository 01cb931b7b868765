"""Phonemes by espeak-ng, through phonemizer (the leaf of both libraries)."""

import functools
import re

from resgen_tts.common.errors import DataError, require

_MARK = re.compile(r"([,.;:?!]+)")


@functools.cache
def _backend(language: str):
    """One espeak backend per process and language: every new one would leak a copy of the library."""
    loader = require("espeakng_loader", extra="base")
    wrapper = require("phonemizer.backend.espeak.wrapper", extra="base").EspeakWrapper
    # Both calls are needed: without its data the C library ends the process.
    wrapper.set_library(loader.get_library_path())
    wrapper.set_data_path(loader.get_data_path())
    backend = require("phonemizer.backend", extra="base").EspeakBackend
    return backend(language, with_stress=True, language_switch="remove-flags")


def phonemize(texts: list[str], language: str = "en-us") -> list[list[str]]:
    """Phones of each text, with ``" "`` between words and the pause marks ``, . ; : ? !`` as symbols.

    A stress mark stays on its phone (``ˈoʊ``). The texts are normalized ones (letters and pause marks only).

    Raises:
        DataError: espeak gave another number of lines than texts.
    """
    from phonemizer.separator import Separator

    pieces = [[piece.strip() for piece in _MARK.split(text)] for text in texts]
    spoken = [piece for parts in pieces for piece in parts if piece and not _MARK.fullmatch(piece)]
    lines = _backend(language).phonemize(spoken, separator=Separator(phone="_", word=" "), strip=True)
    if len(lines) != len(spoken):
        raise DataError(f"espeak gave {len(lines)} lines for {len(spoken)} texts, the first {spoken[0]!r}.")
    said = iter(lines)
    symbols = []
    for parts in pieces:
        row: list[str] = []
        for piece in filter(None, parts):
            if _MARK.fullmatch(piece):
                row.append(piece[0])
                continue
            for word in next(said).split():
                if row:
                    row.append(" ")
                row.extend(phone for phone in word.split("_") if phone)
        symbols.append(row)
    return symbols
