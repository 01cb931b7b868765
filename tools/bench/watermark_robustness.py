"""What does the watermark survive, how often is it heard where there is none, and what does it cost?

    python tools/bench/watermark_robustness.py --references DATA/libri-eval/utterances.tsv --items 48 \
        --recordings DATA/libri-eval/utterances.tsv --recordings DATA/vctk-mini/utterances.tsv --output exp/watermark

Texts of the references' table are spoken in the voices of its recordings, once, and marked as ``TTS`` does it, chunk by
chunk. Every output is then attacked with the mark, and some of them without it; every recording of a human is listened
to whole and, at a place that is drawn, for two seconds and for one. With and without the mark outputs are compared in
pairs: likeness to the reference (Resemblyzer), words (pocketsphinx) and DNSMOS.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import audio_attacks
import numpy as np
import soundfile
from jaxtyping import Float32
from tqdm import tqdm

from resgen_tts.apps.provenance.detect import find_watermark
from resgen_tts.apps.provenance.watermark import Watermarker, load_watermarker
from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.common.run_dir import commit_hash, hardware_line, sha256_file, write_json
from resgen_tts.evaluation.measures.statistics import Interval, mean_interval, paired_difference, share_interval
from resgen_tts.evaluation.measures.text_error import text_error
from resgen_tts.evaluation.protocols.recordings import Recording, read_recordings
from resgen_tts.evaluation.waves import wave_seconds
from resgen_tts.speech.audio.load import load_audio
from resgen_tts.speech.audio.save import save_wav

OWN_CODEC = "own codec"
REFERENCE_SECONDS = (3.0, 10.0)
TEXT_LETTERS = (40, 120)
PIECES = {"whole": None, "2 s of it": 2.0, "1 s of it": 1.0}
STAGES = ("attacks", "recordings", "quality")
PLAIN, MARKED = "plain", "marked"
PLAIN_ITEMS = 16  # attacked without the mark: a detector that finds nothing at first tries other speeds, every time

Wave = Float32[np.ndarray, "N"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One output: the same waves without and with the mark, as 16-bit files."""

    reference: Recording
    text: str
    plain: Path
    marked: Path


def choose_items(recordings: Sequence[Recording], count: int) -> list[tuple[Recording, str]]:
    """References, the speakers in turn, each with a text of another speaker."""
    own: dict[str, list[Recording]] = {}
    for one in recordings:
        if one.text and REFERENCE_SECONDS[0] <= wave_seconds(one.file) <= REFERENCE_SECONDS[1]:
            own.setdefault(one.speaker, []).append(one)
    rounds = max(map(len, own.values()), default=0)
    references = [few[turn] for turn in range(rounds) for few in own.values() if turn < len(few)][:count]
    texts = [one for one in recordings if TEXT_LETTERS[0] <= len(one.text) <= TEXT_LETTERS[1]]
    chosen = []
    for place, reference in enumerate(references):
        others = [one.text for one in texts if one.speaker != reference.speaker]
        if not others:
            raise ConfigError("the references' table has texts of one speaker only.", code="USAGE")
        chosen.append((reference, others[place % len(others)]))
    return chosen


def speak(tts: Any, chosen: Sequence[tuple[Recording, str]], marker: Watermarker, folder: Path) -> list[Item]:
    """Speak every item once, and write it without and with the mark; waves that are there already are kept.

    Args:
        tts: without a watermark of its own.
    """
    items = []
    for name in (PLAIN, MARKED):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (reference, text) in enumerate(tqdm(chosen, desc="speak", unit="item", disable=None)):
        plain, marked = (folder / name / f"{number:03d}.wav" for name in (PLAIN, MARKED))
        if not (plain.is_file() and marked.is_file()):
            spoken = tts(text, voice=tts.voice(reference.file, reference.text), seed=number)
            chunks = [marker.mark(chunk.audio, chunk.sample_rate) for chunk in spoken.chunks]
            save_wav(plain, spoken.audio, spoken.sample_rate)
            save_wav(marked, np.concatenate(chunks), spoken.sample_rate)
        items.append(Item(reference=reference, text=text, plain=plain, marked=marked))
    return items


def attack_scores(items: Sequence[Item], tts: Any, marker: Watermarker) -> dict[str, dict[str, list[float]]]:
    """Attack -> marked and plain -> the score of each item; without the mark of the first PLAIN_ITEMS only."""
    every = audio_attacks.attacks() | {OWN_CODEC: lambda wave, rate, seed: tts.synthesizer.resynthesize(wave)}
    found: dict[str, dict[str, list[float]]] = {name: {MARKED: [], PLAIN: []} for name in every}
    for number, item in enumerate(tqdm(items, desc="attack", unit="item", disable=None)):
        for kind, path in ((MARKED, item.marked), (PLAIN, item.plain)):
            if kind == PLAIN and number >= PLAIN_ITEMS:
                continue
            wave, rate = soundfile.read(path, dtype="float32")
            for name, attack in every.items():
                found[name][kind].append(find_watermark(attack(wave, rate, number), rate, marker).score)
    return found


def recording_scores(tables: Sequence[Path], marker: Watermarker) -> dict[str, dict[str, list[float]]]:
    """Table -> whole recording or a piece of it -> the score of each; nobody has marked any."""
    found = {}
    for table in tables:
        scores: dict[str, list[float]] = {name: [] for name in PIECES}
        for number, one in enumerate(tqdm(read_recordings(table), desc=table.parent.name, disable=None)):
            loaded = load_audio(one.file.resolve(), sample_rate=marker.sample_rate)
            for name, seconds in PIECES.items():
                wave = loaded.samples
                if seconds is not None:
                    wave = audio_attacks.piece(wave, seconds, loaded.sample_rate, number)
                scores[name].append(find_watermark(wave, loaded.sample_rate, marker).score)
        found[table.parent.name] = scores
    return found


def quality(items: Sequence[Item], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Figure -> its mean without and with the mark, and the paired difference marked - plain."""
    from resgen_tts.evaluation.judges.dnsmos import Dnsmos
    from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
    from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer

    encoder, recognizer, rater = Resemblyzer(), PocketSphinx(), Dnsmos()
    prints = [encoder.embed(item.reference.file) for item in items]
    ones = [1.0] * len(items)
    values: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for kind in (PLAIN, MARKED):
        paths = [getattr(item, kind) for item in items]
        likeness = [float(own @ encoder.embed(path)) for own, path in zip(prints, paths, strict=True)]
        values.setdefault("SIM", {})[kind] = (likeness, ones)
        words = [
            text_error(item.text, heard).words for item, heard in zip(items, recognizer.transcribe(paths), strict=True)
        ]
        values.setdefault("WER", {})[kind] = (
            [float(one.errors) for one in words],
            [float(one.reference_size) for one in words],
        )
        rated: dict[str, list[float]] = {}
        for path in tqdm(paths, desc=f"rate {kind}", unit="wave", disable=None):
            for name, value in rater.rate(path).items():
                rated.setdefault(name, []).append(value)
        for name, own in rated.items():
            values.setdefault(name, {})[kind] = (own, ones)
    return {
        name: {
            **{kind: sum(own[kind][0]) / sum(own[kind][1]) for kind in own},
            "difference": _plain(paired_difference(own[MARKED], own[PLAIN], seed=seed)),
        }
        for name, own in values.items()
    }


def costs(items: Sequence[Item], marker: Watermarker) -> dict[str, Any]:
    """Seconds of work for each second of sound, and how far the mark lies below the speech."""
    marking, detecting, missing, seconds, below = 0.0, 0.0, 0.0, 0.0, []
    for item in items:
        wave, rate = soundfile.read(item.plain, dtype="float32")
        start = time.perf_counter()
        marked = marker.mark(wave, rate)
        after = time.perf_counter()
        marker.detect(marked, rate)
        then = time.perf_counter()
        marker.detect(wave, rate)
        marking, detecting, missing = marking + after - start, detecting + then - after, missing + _since(then)
        seconds += len(wave) / rate
        below.append(float(10 * np.log10(np.mean(wave**2) / np.mean((marked - wave) ** 2))))
    return {
        "seconds": seconds,
        "mark": marking / seconds,
        "detect, marked": detecting / seconds,
        "detect, not marked": missing / seconds,
        "speech over mark, dB": _plain(mean_interval(below, seed=0)),
    }


def share_row(name: str, scores: Sequence[float], threshold: float) -> str:
    """A row of a Markdown table: the share at or above the threshold, its exact interval, lowest and highest score."""
    share = share_interval([score >= threshold for score in scores])
    hits = sum(score >= threshold for score in scores)
    bounds = f"[{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return f"| {name} | {hits} of {len(scores)} | {bounds} | {min(scores):.2f} | {max(scores):.2f} |"


def report(found: Mapping[str, Any], threshold: float) -> str:
    """What was measured, as Markdown."""
    lines = []
    head = "| {} | {} | 95 %, in percent | lowest | highest |\n|---|---|---|---|---|"
    if "attacks" in found:
        for kind, told in ((MARKED, "found"), (PLAIN, "found without a mark")):
            lines += ["", head.format("attack", told)]
            lines += [share_row(name, own[kind], threshold) for name, own in found["attacks"].items()]
    if "recordings" in found:
        lines += ["", head.format("recordings of humans", "found without a mark")]
        for table, pieces in found["recordings"].items():
            lines += [share_row(f"{table}, {name}", scores, threshold) for name, scores in pieces.items()]
    if "quality" in found:
        lines += ["", "| figure | without | with | difference | 95 % |\n|---|---|---|---|---|"]
        for name, one in found["quality"].items():
            change = one["difference"]
            bounds = f"[{change['low']:+.3f}, {change['high']:+.3f}]"
            lines.append(f"| {name} | {one[PLAIN]:.3f} | {one[MARKED]:.3f} | {change['value']:+.3f} | {bounds} |")
    if "costs" in found:
        lines += ["", *(f"* {name}: {value}" for name, value in found["costs"].items())]
    return "\n".join(lines) + "\n"


def _since(start: float) -> float:
    return time.perf_counter() - start


def _plain(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or an exported folder")
    parser.add_argument("--watermark", default="perth", help="perth, or audioseal:FOLDER")
    parser.add_argument("--references", type=Path, required=True, help="table with id, file, speaker and text")
    parser.add_argument("--recordings", type=Path, action="append", default=[], help="table of unmarked recordings")
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--stages", default=",".join(STAGES), help="some of: %(default)s")
    parser.add_argument("--output", type=Path, required=True, help="folder of the waves and of the figures")
    options = parser.parse_args(arguments)
    from resgen_tts.apps.speaking.tts import TTS

    stages = options.stages.split(",")
    try:
        marker = load_watermarker(options.watermark)
        if marker is None or not set(stages) <= set(STAGES):
            raise ConfigError(f"--watermark names one, and --stages some of {', '.join(STAGES)}.", code="USAGE")
        found: dict[str, Any] = {}
        if {"attacks", "quality"} & set(stages):
            tts = TTS.from_pretrained(options.model, watermark="none", device="cpu")
            items = speak(tts, choose_items(read_recordings(options.references), options.items), marker, options.output)
            found["costs"] = costs(items, marker)
        if "attacks" in stages:
            found["attacks"] = attack_scores(items, tts, marker)
        if "recordings" in stages:
            found["recordings"] = recording_scores(options.recordings, marker)
        if "quality" in stages:
            found["quality"] = quality(items)
    except ResGenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    about = {
        "command": shlex.join(["python", "tools/bench/watermark_robustness.py", *arguments]),
        "commit": commit_hash(),
        "hardware": hardware_line(),
        "watermark": marker.name,
        "threshold": marker.threshold,
        "tables": {table.parent.name: sha256_file(table) for table in [options.references, *options.recordings]},
    }
    text = report(found, marker.threshold)
    sys.stdout.write(text)
    options.output.mkdir(parents=True, exist_ok=True)
    name = "-".join(stages)
    write_json(options.output / f"{name}.json", about | found)
    (options.output / f"{name}.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
