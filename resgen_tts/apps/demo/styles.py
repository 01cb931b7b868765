"""Several voices in one text: ``[anna] Hello. [bob] Hi.``"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from resgen_tts.common.errors import ConfigError, DataError, TextError
from resgen_tts.speech.voice_facts import NAME

_TAG = re.compile(rf"(?<!\[)\[({NAME.pattern})\](?!\])")  # [[...]] are phonemes, which the front end reads itself


@dataclass(frozen=True)
class Part:
    """A stretch of a text that one voice speaks."""

    voice: str
    text: str


def split_styles(text: str, voice: str, known: Collection[str]) -> list[Part]:
    """The parts of a text, each with the voice that speaks it; neighbours of one voice are one part.

    Args:
        text: as it was typed. ``[name]`` hands over to that voice.
        voice: speaks what stands before the first name; "" = none was chosen.
        known: names that may stand in brackets.
    Raises:
        DataError: VOICE_UNKNOWN, with the names that there are.
        TextError: TEXT_EMPTY.
        ConfigError: VOICE_MISSING, words stand before any name and no voice was chosen.
    """
    places = [(match.start(), match.end(), match[1]) for match in _TAG.finditer(text)]
    for _, _, name in places:
        if name not in known:
            raise DataError(
                f"the text names a voice [{name}], which there is not; there are: {', '.join(known) or 'none'}.",
                code="VOICE_UNKNOWN",
                hint="Make it from a recording first, or write the words without brackets.",
            )
    begins, names = [0, *(end for _, end, _ in places)], [voice, *(name for _, _, name in places)]
    ends = [*(start for start, _, _ in places), len(text)]
    parts: list[Part] = []
    for begin, end, name in zip(begins, ends, names, strict=True):
        said = text[begin:end].strip()
        if not said:
            continue
        if parts and parts[-1].voice == name:
            parts[-1] = Part(name, f"{parts[-1].text} {said}")
        else:
            parts.append(Part(name, said))
    if not parts:
        raise TextError("there is nothing to say.", code="TEXT_EMPTY", hint="Type a text.")
    if not parts[0].voice:
        raise ConfigError(
            "no voice was chosen for the beginning of the text.",
            code="VOICE_MISSING",
            hint="Choose one, or make one from a recording.",
        )
    return parts
