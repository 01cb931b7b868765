"""The verb ``score-alignment``: how far a trained aligner's borders lie from known ones, in figures and pictures."""

import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from resgen_tts.apps.options import underscored
from resgen_tts.apps.scoring.recording_alignment import Aligned, RecordingAligner, Spoken, read_spoken, say_in_arpabet
from resgen_tts.apps.weights.parts import final_folder
from resgen_tts.common.errors import ConfigError, DataError, TextError
from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import commit_hash, hardware_line, read_jsonl, sha256_file, write_json, write_text
from resgen_tts.evaluation.judges.pocketsphinx_alignment import PocketSphinxAligner
from resgen_tts.evaluation.measures.boundaries import WITHIN_MS, BoundaryScore, boundary_errors, summarize
from resgen_tts.evaluation.measures.statistics import Interval
from resgen_tts.evaluation.measures.timed import Timed
from resgen_tts.evaluation.reports.alignment_sheet import Panel, draw_alignments
from resgen_tts.evaluation.reports.report import percent
from resgen_tts.evaluation.scores import MAX_SKIPPED_SHARE

SCORES_FILE, REPORT_FILE, OVERVIEW_FILE = "scores.json", "report.md", "overview.png"
ALIGNER, TRUTH, POCKETSPHINX = "aligner", "truth", "pocketsphinx"
PANELS_PER_PAGE = 10
OVERVIEW_BYTES = 400_000
WORST = 5  # recordings named in the report


@dataclass(frozen=True, kw_only=True)
class ScoreAlignmentArguments:
    """Compare a trained aligner's borders of words and phones with known ones.

    Args:
        data: prepared corpus, with manifests and text.
        aligner: folder of a trained aligner, or of a generator that has one.
        mel_vae: folder of the Mel-VAE whose mel it was trained on.
        output: folder for report.md, scores.json and the pictures.
        split: train, dev or test.
        truth: true times, a file of recipes.corpora.mini_times.
        forced: pocketsphinx: times by its forced alignment; together with truth, it is measured as well.
        limit: so many recordings, drawn by the seed; 0: all.
        seed: of the draw and of the intervals.
        nj: processes of the forced alignment.
        threads: CPU threads; 0 leaves torch's choice.
    """

    data: Path
    aligner: Path
    mel_vae: Path
    output: Path
    split: str = "test"
    truth: Path | None = None
    forced: str = ""
    limit: int = 50
    seed: int = 0
    nj: int = 1
    threads: int = 0

    def __post_init__(self):
        if self.truth is None and not self.forced:
            raise ConfigError("score-alignment needs --truth or --forced.")
        if self.forced not in ("", POCKETSPHINX):
            raise ConfigError(f"--forced must be {POCKETSPHINX}, got {self.forced!r}")
        if self.nj < 1 or self.limit < 0 or self.threads < 0:
            raise ConfigError(
                f"score-alignment needs nj >= 1, limit >= 0, threads >= 0, got {self.nj}, {self.limit}, {self.threads}"
            )

    def command(self) -> str:
        """The command line that repeats this scoring."""
        words = ["resgen-tts", "score-alignment"]
        for name, value in asdict(self).items():
            words += [] if value in (None, "") else [f"--{name}", str(value)]
        return shlex.join(words)


def score_alignment(arguments: ScoreAlignmentArguments, aligner: RecordingAligner) -> dict[str, Any]:
    """Align, compare, and write pictures and report; ``scores.json`` is written last.

    Returns:
        what ``scores.json`` holds.
    Raises:
        DataError: the split or the file of true times is broken, or nothing can be compared.
    """
    known = {} if arguments.truth is None else read_times(arguments.truth)
    spoken = _chosen(arguments, known)
    skipped: dict[str, str] = {}
    aligned = _align(aligner, spoken, skipped)
    notes: list[str] = []
    systems: dict[str, Mapping[str, Timed]] = {ALIGNER: {name: one.timed for name, one in aligned.items()}}
    if arguments.truth is not None:
        systems[TRUTH] = known
    if arguments.forced:
        systems[POCKETSPHINX], notes = _force(spoken, arguments.nj, skipped)
    used = [one.id for one in spoken if one.id not in skipped]
    if not used:
        named = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise DataError(f"none of the {len(spoken)} recordings can be used ({named}).")
    reference = TRUTH if arguments.truth is not None else POCKETSPHINX
    pairs = [(ALIGNER, other) for other in systems if other != ALIGNER]
    if len(pairs) == 2:
        pairs.append((POCKETSPHINX, TRUTH))
    errors = {
        f"{found} against {right}": [boundary_errors(systems[right][name], systems[found][name]) for name in used]
        for found, right in pairs
    }
    scores = {name: summarize(each, seed=arguments.seed) for name, each in errors.items()}
    means = [_mean_ms(one.word_starts + one.word_ends) for one in errors[f"{ALIGNER} against {reference}"]]
    pages = _draw(
        arguments.output,
        [one for one in spoken if one.id in used],
        aligned,
        (reference, systems[reference]),
        aligner.mel_config.frame_rate_hz,
    )
    weights = final_folder(arguments.aligner) / "model.safetensors"
    result = {
        "scores": {title: {kind: score.to_json() for kind, score in kinds.items()} for title, kinds in scores.items()},
        "read": len(spoken),
        "used": len(used),
        "skipped": skipped,
        "mean_ms_of_words": dict(zip(used, means, strict=True)),
        "notes": [f"{name}: {note}" for name in used for note in aligned[name].warnings] + notes,
        "frame_ms": 1000 / aligner.mel_config.frame_rate_hz,
        "units": aligner.units.inventory.units,
        "aligner_sha256": sha256_file(weights) if weights.is_file() else "",
        "data_sha256": hashlib.sha256("".join(f"{one.id} {one.text}\n" for one in spoken).encode()).hexdigest(),
        "seed": arguments.seed,
        "provenance": {"command": arguments.command(), "commit": commit_hash(), "hardware": hardware_line()},
    }
    write_text(arguments.output / REPORT_FILE, _markdown(result, scores, pages))
    write_json(arguments.output / SCORES_FILE, result)
    return result


def read_times(path: Path) -> dict[str, Timed]:
    """Times of each recording, from JSON lines with id, words and phones.

    Raises:
        DataError: the file is missing, or a line is something else (it is named).
    """
    found = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            found[row["id"]] = Timed.from_json(row)
        except (DataError, KeyError, TypeError) as error:
            raise DataError(f"{Path(path).name}:{number}: {error}", code="TIMES_INVALID") from error
    return found


def main(arguments: list[str]) -> None:
    """Parse the command line, score, and say where the report is.

    Raises:
        ConfigError: a value that makes no sense.
        CheckpointError, DataError, MissingExtraError: as `score_alignment` and the models' readers.
    """
    from jsonargparse import ArgumentParser

    about = ScoreAlignmentArguments.__doc__.splitlines()[0]
    parser = ArgumentParser(prog="resgen-tts score-alignment", description=about)
    parser.add_class_arguments(ScoreAlignmentArguments, as_positional=False)
    options = ScoreAlignmentArguments(**parser.parse_args(underscored(arguments)).as_dict())
    from resgen_tts.apps.weights.pretrained import load_mel_vae

    if options.threads:
        torch.set_num_threads(options.threads)
    config = load_mel_vae(options.mel_vae).config
    aligner = RecordingAligner.load(options.aligner, config.mel, config.hop_samples, options.data)
    result = score_alignment(options, aligner)
    skipped = result["skipped"]
    counts = f"{result['read']} recordings = {result['used']} used + {len(skipped)} skipped"
    sys.stderr.write(f"{options.output / REPORT_FILE}: {counts}, seed {options.seed}\n")
    if len(skipped) > MAX_SKIPPED_SHARE * result["read"]:
        named = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:3])
        raise DataError(
            f"{len(skipped)} of {result['read']} recordings could not be used ({named}); the rest is scored."
        )


def _chosen(arguments: ScoreAlignmentArguments, known: Mapping[str, Timed]) -> list[Spoken]:
    """Recordings in their own order; with a limit some of them, and with a greater limit those and more."""
    spoken = read_spoken(arguments.data, arguments.split)
    if arguments.truth is not None:
        spoken = [one for one in spoken if one.id in known]
    if not spoken:
        raise DataError(f"{arguments.truth} has times of no recording of {arguments.split}.", code="TIMES_INVALID")
    if not arguments.limit:
        return spoken
    order = torch.randperm(len(spoken), generator=generator(arguments.seed, "score-alignment"))
    return [spoken[place] for place in sorted(order[: arguments.limit].tolist())]


def _align(aligner: RecordingAligner, spoken: Sequence[Spoken], skipped: dict[str, str]) -> dict[str, Aligned]:
    from tqdm import tqdm

    found = {}
    for one in tqdm(spoken, desc="align", disable=None):
        try:
            found[one.id] = aligner.align(one)
        except (DataError, TextError) as error:
            skipped[one.id] = str(error)
    return found


def _force(spoken: Sequence[Spoken], num_jobs: int, skipped: dict[str, str]) -> tuple[dict[str, Timed], list[str]]:
    """Times by pocketsphinx, and what is to be known of them."""
    forced = PocketSphinxAligner(workers=num_jobs, pronounce=say_in_arpabet).align(
        [one.file for one in spoken], [one.text for one in spoken]
    )
    times, notes = {}, []
    for one, found in zip(spoken, forced, strict=True):
        notes += [f"{one.id}: {note}" for note in found.notes]
        if found.timed is None:
            skipped.setdefault(one.id, found.problem)
        else:
            times[one.id] = found.timed
    return times, notes


def _draw(
    output: Path,
    spoken: Sequence[Spoken],
    aligned: Mapping[str, Aligned],
    reference: tuple[str, Mapping[str, Timed]],
    frame_rate_hz: float,
) -> list[str]:
    """Write the pictures; returns the names of the pages."""
    name, times = reference
    panels = [
        Panel(
            title=one.id,
            mel=aligned[one.id].mel,
            seconds=len(aligned[one.id].mel) / frame_rate_hz,
            above=aligned[one.id].timed,
            below=times[one.id],
        )
        for one in spoken
    ]
    names = (ALIGNER, name)
    pages = []
    for start in range(0, len(panels), PANELS_PER_PAGE):
        pages.append(f"page_{start // PANELS_PER_PAGE + 1:02d}.png")
        chosen = panels[start : start + PANELS_PER_PAGE]
        draw_alignments(output / pages[-1], chosen, names=names, columns=1, inches=(12.0, 1.3))
    draw_alignments(
        output / OVERVIEW_FILE, panels, names=names, columns=5, inches=(3.2, 0.85), with_phones=False,
        max_bytes=OVERVIEW_BYTES,
    )  # fmt: skip
    return pages


def _mean_ms(seconds: Sequence[float]) -> float | None:
    return round(1000 * sum(seconds) / len(seconds), 1) if seconds else None


def _markdown(
    result: Mapping[str, Any], scores: Mapping[str, Mapping[str, BoundaryScore]], pages: Sequence[str]
) -> str:
    """The report as Markdown."""
    limits = [f"within {limit} ms" for limit in WITHIN_MS]
    lines = ["# Borders of words and phones", ""]
    for title, kinds in scores.items():
        lines += [f"## {title}", "", _row(["borders", "compared", "median", "mean", *limits])]
        lines += ["|" + " --- |" * (4 + len(limits))]
        for kind, score in kinds.items():
            within = [percent(score.within[limit]) for limit in WITHIN_MS]
            compared = f"{score.borders} ({100 * score.matched_share:.1f} % of all)"
            lines.append(_row([kind, compared, _ms(score.median_ms), _ms(score.mean_ms), *within]))
        lines.append("")
    lines += ["Absolute differences of starts and ends. Intervals: 95 %, bootstrap over recordings.", ""]
    measured = {name: mean for name, mean in result["mean_ms_of_words"].items() if mean is not None}
    worst = sorted(measured, key=measured.__getitem__, reverse=True)[:WORST]
    facts = {
        "recordings": f"{result['read']} read = {result['used']} used + {len(result['skipped'])} skipped",
        "units, mel frame": f"{result['units']}, {result['frame_ms']:g} ms",
        "furthest off (mean of word borders)": ", ".join(f"{name} {measured[name]:g} ms" for name in worst),
        "aligner SHA-256": result["aligner_sha256"] or "not recorded",
        "data SHA-256": result["data_sha256"],
        "seed": str(result["seed"]),
        **result["provenance"],
    }
    lines += ["| what | value |", "| --- | --- |", *(_row(fact) for fact in facts.items()), ""]
    notes = [*result["notes"], *(f"skipped {name}: {reason}" for name, reason in result["skipped"].items())]
    lines += ["Notes:", "", *(f"* {note}" for note in notes), ""] if notes else []
    lines += [f"![all recordings]({OVERVIEW_FILE})", "", "Pages: " + ", ".join(f"[{page}]({page})" for page in pages)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _ms(interval: Interval) -> str:
    return f"{interval.value:.1f} ms [{interval.low:.1f}, {interval.high:.1f}]"
