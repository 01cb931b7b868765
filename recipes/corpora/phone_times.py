"""When each phone and word is said, as the synthesizers of the mini corpus report it themselves.

flite prints the end time of each phone of a sentence (``-psdur``); its words are found by aligning those phones with
the phones of each word said alone. festival's utterance structure links each word to its phones.
"""

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.corpora.synthesizers import COMMAND_TIMEOUT_SECONDS, BaseVoice, speak
from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.boundaries import edit_alignment
from resgen_tts.evaluation.measures.phone_names import PAUSES, substitution_cost
from resgen_tts.evaluation.measures.text_error import letters_only
from resgen_tts.evaluation.measures.timed import Span, Timed

ENGINES = ("flite", "festival")


@dataclass(frozen=True)
class Reading:
    """A sentence read aloud: its wave [N] in [-1, 1], and when what is said in it."""

    wave: np.ndarray
    sample_rate: int
    timed: Timed


def read_aloud(voice: BaseVoice, texts: Sequence[str]) -> list[Reading]:
    """Read each text with one voice: the wave that `speak` gives, and the times of its words and phones.

    Args:
        voice: of flite or festival.
        texts: single sentences.
    Raises:
        DataError: SYNTHESIZER_FAILED; TIMES_INVALID, where the engine reports no times or words cannot be found.
    """
    if voice.engine not in ENGINES:
        raise DataError(f"{voice.engine} reports no times; {' and '.join(ENGINES)} do.", code="TIMES_INVALID")
    timed = _of_festival(voice.name, texts) if voice.engine == "festival" else [_of_flite(voice.name, t) for t in texts]
    return [
        Reading(wave, rate, _within(times, len(wave) / rate))
        for (wave, rate), times in zip(speak(voice, texts), timed, strict=True)
    ]


def group_words(
    phones: Sequence[Span], words: Sequence[str], pronunciations: Sequence[Sequence[str]]
) -> tuple[Span, ...]:
    """Give each spoken phone to a word by aligning what was said with how the words are said alone.

    Args:
        phones: without pauses.
        words: labels of the result.
        pronunciations: phones of each word.
    Raises:
        DataError: TIMES_INVALID, where a word gets no phone.
    """
    expected = [(phone, place) for place, said in enumerate(pronunciations) for phone in said]
    pairs = edit_alignment([name for name, _ in expected], [one.label for one in phones], substitution_cost)
    members: list[list[Span]] = [[] for _ in words]
    current = 0
    for place, spoken in pairs:
        if place is not None:
            current = expected[place][1]
        if spoken is not None:  # a phone that no word has alone stays with the word before it
            members[current].append(phones[spoken])
    lost = [word for word, own in zip(words, members, strict=True) if not own]
    if lost:
        raise DataError(f"no phones were found for {', '.join(lost)} in {' '.join(words)!r}.", code="TIMES_INVALID")
    return tuple(Span(word, own[0].start, own[-1].end) for word, own in zip(words, members, strict=True))


def _within(timed: Timed, seconds: float) -> Timed:
    """Times of the wave: its closing pause may have been cut or drawn out, what is said may not."""
    if not timed.phones or timed.phones[-1].end > seconds:
        raise DataError(f"{timed.phones[-1:]} lies outside a wave of {seconds:.3f} s.", code="TIMES_INVALID")
    return timed


def _phones(names: Sequence[str], ends: Sequence[float]) -> tuple[Span, ...]:
    """Phones from their end times, the pauses left out."""
    spans = [Span(name, start, end) for name, start, end in zip(names, [0.0, *ends[:-1]], ends, strict=True)]
    return tuple(one for one in spans if one.label not in PAUSES)


def _of_flite(voice: str, text: str) -> Timed:
    printed = [entry.rsplit(":", 1) for entry in _flite(voice, text, "-psdur")]
    phones = _phones([name for name, _ in printed], [float(end) for _, end in printed])
    words = letters_only(text).split()
    spoken = [word for word in text.split() if letters_only(word)]
    if len(words) != len(spoken):
        raise DataError(f"{text!r} has words with signs inside; spell them apart.", code="TIMES_INVALID")
    return Timed(words=group_words(phones, words, [_said_alone(voice, word) for word in spoken]), phones=phones)


@functools.lru_cache(maxsize=4096)
def _said_alone(voice: str, word: str) -> tuple[str, ...]:
    return tuple(name for name in _flite(voice, word, "-ps") if name not in PAUSES)


def _flite(voice: str, text: str, wanted: str) -> list[str]:
    return _output(["flite", "-voice", voice, "-t", text, wanted, "-o", "none"], f"flite-{voice}").split()


def _of_festival(voice: str, texts: Sequence[str]) -> list[Timed]:
    lines = [f"(voice_{voice})"]
    for text in texts:
        quoted = text.replace("\\", " ").replace('"', " ")
        lines.append(
            f'(set! said (SynthText "{quoted}")) (format t "text\\n")'
            '(mapcar (lambda (one) (format t "phone %s %s\\n" (item.name one) (item.feat one "end")))'
            " (utt.relation.items said 'Segment))"
            '(mapcar (lambda (token) (format t "token %s\\n" (item.name token)) (mapcar (lambda (word) (format t'
            ' "word %s %s\\n" (item.feat word "R:SylStructure.daughter1.daughter1.R:Segment.segment_start")'
            ' (item.feat word "R:SylStructure.daughtern.daughtern.R:Segment.end"))) (item.daughters token)))'
            " (utt.relation.items said 'Token))"
        )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "times.scm"
        script.write_text("\n".join(lines) + "\n")
        printed = _output(["festival", "--batch", str(script)], f"festival-{voice}")
    parts = printed.split("text\n")[1:]
    if len(parts) != len(texts):
        raise DataError(f"festival-{voice} reported {len(parts)} of {len(texts)} texts.", code="TIMES_INVALID")
    return [_parse_festival(part.splitlines()) for part in parts]


def _parse_festival(lines: Sequence[str]) -> Timed:
    phones: list[tuple[str, float]] = []
    words: list[tuple[str, list[tuple[float, float]]]] = []
    for kind, *cells in (line.split() for line in lines if line):
        if kind == "phone":
            phones.append((cells[0], float(cells[1])))
        elif kind == "token":
            words.append((letters_only(cells[0]).replace(" ", ""), []))
        elif float(cells[1]) > 0:  # a sign that is not spoken has no phones, and reads 0
            words[-1][1].append((float(cells[0]), float(cells[1])))
    spoken = _phones([name for name, _ in phones], [end for _, end in phones])
    spans = [Span(name, own[0][0], own[-1][1]) for name, own in words if own]
    nexts = [one.start for one in spans[1:]] + [np.inf]
    # Some voices add phones that belong to no word (ked says "er" as "ah r"): they go with the word before them.
    ends = [max(one.end for one in spoken if one.start < following) for following in nexts]
    return Timed(
        words=tuple(Span(one.label, one.start, end) for one, end in zip(spans, ends, strict=True)), phones=spoken
    )


def _output(command: list[str], voice: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-300:]
        raise DataError(f"{voice} failed ({done.returncode}): {words}", code="SYNTHESIZER_FAILED")
    return done.stdout
