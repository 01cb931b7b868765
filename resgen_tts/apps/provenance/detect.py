"""``detect``: which recordings carry the watermark or the facts of speech that was made here."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from resgen_tts.apps.options import Parser
from resgen_tts.apps.provenance.facts import Provenance
from resgen_tts.apps.provenance.watermark import Watermarker, load_watermarker
from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.speech.audio.limited import load_audio_limited
from resgen_tts.speech.audio.load import shown_name
from resgen_tts.speech.audio.tags import read_tags

PIECE_SECONDS = 20.0  # listened to at once: a mark in a part of a long recording is found, and memory has a bound
_SHORT_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What a watermark's detector heard in a recording.

    Args:
        watermark: name of the one that was looked for.
        score: of the piece that it is surest of, 0 to 1.
        threshold: from which on the mark is taken to be there.
        seconds: of the recording.
        marked_seconds: of the pieces that reach the threshold.
    """

    watermark: str
    score: float
    threshold: float
    seconds: float
    marked_seconds: float

    @property
    def is_marked(self) -> bool:
        """Whether a piece of it reaches the threshold."""
        return self.score >= self.threshold


def find_watermark(samples: Float32[np.ndarray, "N"], sample_rate: int, watermarker: Watermarker) -> Detection:
    """Listen for a mark piece by piece.

    Args:
        samples: mono, any length.
    """
    count = max(1, -(-len(samples) // round(PIECE_SECONDS * sample_rate)))
    pieces = np.array_split(samples, count)  # equal ones: no short rest, of which little can be said
    scores = [watermarker.detect(piece, sample_rate) for piece in pieces]
    marked = sum(len(piece) for piece, score in zip(pieces, scores, strict=True) if score >= watermarker.threshold)
    return Detection(
        watermark=watermarker.name,
        score=max(scores),
        threshold=watermarker.threshold,
        seconds=len(samples) / sample_rate,
        marked_seconds=marked / sample_rate,
    )


def detect_file(path: Path | str, watermarker: Watermarker) -> tuple[Detection, Provenance | None, tuple[str, ...]]:
    """What is heard in a recording, what its header says, and what the loader warns of.

    Raises:
        AudioError: the recording is refused.
    """
    loaded = load_audio_limited(path, sample_rate=watermarker.sample_rate)
    warnings = [note for note in loaded.warnings if not note.startswith("AUDIO_LOW_BANDWIDTH")]  # no matter here
    if loaded.seconds < _SHORT_SECONDS:
        warnings.append(
            f"AUDIO_SHORT: {shown_name(path)} is {loaded.seconds:.2f} s; what is heard in less than "
            f"{_SHORT_SECONDS:.0f} s is less sure."
        )
    heard = find_watermark(loaded.samples, loaded.sample_rate, watermarker)
    return heard, Provenance.from_tags(read_tags(path)), tuple(warnings)


def detect(arguments: list[str]) -> None:
    """Look whether recordings were spoken here, by their watermark and by what their headers say.

    A recording that is refused does not hide what is found in the others.

    Raises:
        AudioError: the only recording is refused.
        DataError: DETECT_INCOMPLETE, some of several were refused.
        ConfigError: USAGE, WATERMARK_UNKNOWN.
        WatermarkError: the watermark cannot be looked for.
    """
    options = _parser().parse_args(arguments)
    watermarker = load_watermarker(options.watermark)
    if watermarker is None:
        raise ConfigError("--watermark none leaves nothing to look for.", code="USAGE", hint="Name perth.")
    refused: list[AudioError] = []
    for path in options.files:
        try:
            heard, told, warnings = detect_file(path, watermarker)
        except AudioError as error:
            refused.append(error)
            if len(options.files) > 1:
                print(error, file=sys.stderr)
            if options.json:
                _print_json({"file": path, "error": {"code": error.code, "message": error.message}})
            continue
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if options.json:
            _print_json(_facts(path, heard, told, warnings))
        else:
            print(_line(path, heard, told))
    if refused and len(options.files) == 1:
        raise refused[0]
    if refused:
        raise DataError(
            f"{len(refused)} of {len(options.files)} recordings were refused.",
            code="DETECT_INCOMPLETE",
            hint="The lines above say why; what is said of the others stands.",
        )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="resgen-tts detect",
        description="Look whether recordings were spoken here. Without a mark nothing is proven: marks can be removed.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings: WAV, FLAC, OGG, MP3 and others")
    parser.add_argument(
        "--watermark", default="perth", metavar="NAME",
        help="what to listen for: perth, or audioseal:FOLDER; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each file on stdout")
    # The command line takes it out before a verb is called; it is here to be seen.
    parser.add_argument("-v", "--verbose", action="store_true", help="show where an error came from")
    return parser


def _facts(path: str, heard: Detection, told: Provenance | None, warnings: Sequence[str]) -> dict[str, Any]:
    return {
        "file": path,
        "watermark": {"found": heard.is_marked, **asdict(heard)},
        "tags": None if told is None else told.to_json(),
        "warnings": list(warnings),
    }


def _line(path: str, heard: Detection, told: Provenance | None) -> str:
    """For example: a.wav: marked (perth 1.00, all of 4.8 s); header: resgen_tts 0.1.0, model mini, seed 7."""
    name = shown_name(path)
    if heard.is_marked:
        share = "all" if heard.marked_seconds == heard.seconds else f"{heard.marked_seconds:.1f} s"
        said = f"marked ({heard.watermark} {heard.score:.2f}, {share} of {heard.seconds:.1f} s)"
    else:
        said = f"no mark found ({heard.watermark} {heard.score:.2f}, below {heard.threshold})"
    if told is None:
        return f"{name}: {said}; header: nothing of ours"
    mark = "" if told.watermark == heard.watermark else f", watermark {told.watermark}"
    return f"{name}: {said}; header: {told.tool} {told.version}, model {told.model}, seed {told.seed}{mark}"


def _print_json(value: object) -> None:
    print(json.dumps(value))
