"""True times of words and phones in the mini corpus: the same readings once more, with the synthesizers' own times.

`python -m recipes.corpora.mini_times --data DIR --split test --output FILE`

A clip is a reading that was cut at its edges and turned into another speaker at another rate; its times follow. Every
clip is made again beside them and has to be the corpus's file, so that times never belong to other sound.
"""

import functools
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from recipes.corpora.made_speech import EDGE_SECONDS, SAMPLE_RATE, normalize_level, speech_span, trim_edges
from recipes.corpora.parallel import in_parallel
from recipes.corpora.phone_times import read_aloud
from recipes.corpora.synthesizers import BaseVoice
from recipes.corpora.world_voice import Transform, analyse, render
from resgen_tts.common.errors import DataError, ResGenError
from resgen_tts.common.run_dir import read_json, write_text
from resgen_tts.evaluation.measures.timed import Span, Timed
from resgen_tts.evaluation.waves import read_wave
from resgen_tts.speech.corpus import load_cuts

TOLERANCE = 2 / 32768  # of the file's 16 bits, and of how a FLAC writer rounds

log = logging.getLogger("recipes.corpora.mini_times")


def times_of_split(data: Path, split: str, *, num_jobs: int = 1, limit: int = 0) -> dict[str, Timed]:
    """Times of the clips of a split, in the order of its manifest.

    Args:
        limit: the first so many clips; 0: all.
    Raises:
        DataError: MINI_DIFFERENT, where a clip cannot be made again as it lies there.
    """
    speakers = read_json(Path(data) / "manifests" / "data_report.json").get("speakers")
    if not speakers:
        raise DataError(f"{data} is not the mini corpus: its report knows no speakers.", code="MINI_DIFFERENT")
    cuts = list(load_cuts(data, split))[: limit or None]
    by_speaker: dict[str, list[tuple[str, str, Path]]] = {}
    for cut in cuts:
        said, source = cut.supervisions[0], cut.recording.sources[0].source
        by_speaker.setdefault(said.speaker, []).append((cut.id, said.text, Path(source)))
    calls = [functools.partial(_times_of_speaker, speakers[name], clips) for name, clips in by_speaker.items()]
    found = {name: timed for part in in_parallel(calls, num_jobs, "times") for name, timed in part.items()}
    return {cut.id: found[cut.id] for cut in cuts}


def moved(timed: Timed, *, seconds: float, rate: float) -> Timed:
    """Times after a shift and a change of rate: ``t -> (t + seconds) / rate``."""

    def move(spans: Sequence[Span]) -> tuple[Span, ...]:
        return tuple(Span(one.label, (one.start + seconds) / rate, (one.end + seconds) / rate) for one in spans)

    return Timed(words=move(timed.words), phones=move(timed.phones))


def _times_of_speaker(described: Mapping[str, object], clips: Sequence[tuple[str, str, Path]]) -> dict[str, Timed]:
    import soxr

    engine, name = str(described["voice"]).split("-", 1)
    transform = Transform(**{entry.name: float(described[entry.name]) for entry in fields(Transform)})
    readings = read_aloud(BaseVoice(engine=engine, name=name), [text for _, text, _ in clips])
    found = {}
    for (clip, _, path), reading in zip(clips, readings, strict=True):
        wave = reading.wave
        wave = wave if reading.sample_rate == SAMPLE_RATE else soxr.resample(wave, reading.sample_rate, SAMPLE_RATE)
        analysed = analyse(trim_edges(wave, SAMPLE_RATE), SAMPLE_RATE)
        again, there = normalize_level(render(analysed, transform)), read_wave(path)
        if len(again) != len(there) or np.abs(again - there).max() > TOLERANCE:
            raise DataError(
                f"{clip}: its reading by {described['voice']} does not sound here as it does in {path}.",
                code="MINI_DIFFERENT",
                hint="Other versions of the synthesizers or of WORLD: make the corpus again on this machine.",
            )
        found[clip] = moved(reading.timed, seconds=trimming_shift(wave), rate=transform.rate)
    return found


def trimming_shift(wave: np.ndarray) -> float:
    """Seconds by which `trim_edges` moves what stands in a wave: later, or where negative earlier."""
    return EDGE_SECONDS - speech_span(wave, SAMPLE_RATE)[0] / SAMPLE_RATE


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0, or the exit status of the error that it prints."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="python -m recipes.corpora.mini_times", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=str, required=True, help="root of the mini corpus")
    parser.add_argument("--split", type=str, default="test", help="train, dev or test")
    parser.add_argument("--output", type=str, required=True, help="JSON lines: id, words and phones with their times")
    parser.add_argument("--nj", type=int, default=1, help="worker processes")
    parser.add_argument("--limit", type=int, default=0, help="the first so many clips; 0: all")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        found = times_of_split(Path(options.data), options.split, num_jobs=options.nj, limit=options.limit)
    except ResGenError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    lines = [json.dumps({"id": name, **timed.to_json()}) + "\n" for name, timed in found.items()]
    write_text(Path(options.output), "".join(lines))
    log.info("%s: times of %d clips", options.output, len(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
