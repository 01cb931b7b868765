"""The verb ``score``: a synth folder in, figures, tables, pictures and a page to listen to out."""

import datetime
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resgen_tts.apps.options import underscored
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json, write_text
from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer
from resgen_tts.evaluation.measures.text_error import letters_only
from resgen_tts.evaluation.protocols.synth_folder import CLONE, RECORDING, SynthFolder, read_synth
from resgen_tts.evaluation.reports.page import html_page
from resgen_tts.evaluation.reports.pictures import draw_mels
from resgen_tts.evaluation.reports.report import ResultRow, append_result, log_figures, markdown
from resgen_tts.evaluation.scores import ScoreReport, score_folder, worst_first
from resgen_tts.evaluation.waves import read_wave

SCORES_FILE = "score.json"
REPORT_FILE = "report.md"
PAGE_FILE = "index.html"
PICTURES_FOLDER = "mel"


@dataclass(frozen=True, kw_only=True)
class ScoreArguments:
    """Score the outputs of a synthesizer beside the recordings."""

    synth: Path  # folder with requests.jsonl, run.json and the waves
    output: Path  # folder for score.json, report.md, index.html and mel/
    lm: Path | None = None  # folder with vocabulary.arpa and words.txt; none: the recogniser's open vocabulary
    open_vocabulary: bool = False  # the open vocabulary besides, where --lm gives a closed one
    nj: int = 1  # processes of the recogniser
    seed: int = 0  # of the intervals
    pictures: int = 60  # items to draw, the worst ones first
    readme: Path | None = None  # README of a recipe, whose results log gets a row
    recipe_command: str = ""  # what made these outputs, for that row; none: the synthesizer's command of run.json

    def __post_init__(self):
        if self.nj < 1:
            raise ConfigError(f"--nj must be at least 1, got {self.nj}")
        if self.open_vocabulary and self.lm is None:
            raise ConfigError("--open_vocabulary is for a report that also has a closed one; give --lm DIR.")
        if self.pictures < 0:
            raise ConfigError(f"--pictures must not be negative, got {self.pictures}")

    def command(self) -> str:
        """The command line that repeats this scoring."""
        words = ["resgen-tts", "score", "--synth", str(self.synth), "--output", str(self.output)]
        words += [] if self.lm is None else ["--lm", str(self.lm)]
        words += ["--open_vocabulary", "true"] if self.open_vocabulary else []
        return shlex.join([*words, "--nj", str(self.nj), "--seed", str(self.seed), "--pictures", str(self.pictures)])


def score(
    synth: Path,
    output: Path,
    *,
    language_model: Path | None = None,
    open_vocabulary: bool = False,
    nj: int = 1,
    seed: int = 0,
    pictures: int = 60,
) -> ScoreReport:
    """Score a synth folder with the embedded scorers and write the report.

    Running it again on the same folder writes the same files; ``score.json`` is written last.

    Args:
        synth: folder as `evaluation.protocols.synth_folder` describes it.
        output: folder to write into; made if need be.
        language_model: folder of a closed vocabulary, or None for the open one.
        open_vocabulary: the open one besides the closed one, as a second hearing of every output.
        nj: processes of the recogniser; the figures do not depend on it.
        seed: of the bootstrap.
        pictures: how many items are drawn, the worst ones first.
    Raises:
        DataError: the synth folder is incomplete, or items cannot be scored; they are counted and named.
        MissingExtraError: the extra ``eval`` is not installed.
    """
    arguments = ScoreArguments(
        synth=synth, output=output, lm=language_model, open_vocabulary=open_vocabulary, nj=nj, seed=seed,
        pictures=pictures,
    )  # fmt: skip
    folder = read_synth(synth)
    recognizer = PocketSphinx(language_model, workers=nj)
    second = PocketSphinx(workers=nj) if open_vocabulary else None
    report = score_folder(
        folder,
        recognizer,
        Resemblyzer(),
        seed=seed,
        second=second,
        prompt_recognizer=recognizer if language_model is None else second,
        notes=_vocabulary_notes(folder, recognizer),
        provenance={"command": arguments.command(), "commit": commit_hash(), "hardware": hardware_line()},
    )
    page = Path(output) / PAGE_FILE
    drawn = _draw(report, folder, Path(output) / PICTURES_FOLDER, pictures)
    write_text(Path(output) / REPORT_FILE, markdown(report))
    write_text(page, html_page(report, synth=folder.root, page=page, pictures=drawn, title="Listen and compare"))
    write_json(Path(output) / SCORES_FILE, report.to_json())
    return report


def run(arguments: ScoreArguments) -> ScoreReport:
    """`score` from parsed arguments, with the row of the results log where one is wanted."""
    report = score(
        arguments.synth,
        arguments.output,
        language_model=arguments.lm,
        open_vocabulary=arguments.open_vocabulary,
        nj=arguments.nj,
        seed=arguments.seed,
        pictures=arguments.pictures,
    )
    if arguments.readme is not None:
        row = ResultRow(
            date=datetime.date.today().isoformat(),
            commit=str(report.run.get("commit", "unknown")),
            hardware=str(report.run.get("hardware", "unknown")),
            command=arguments.recipe_command or str(report.run.get("command", "unknown")),
            figures=log_figures(report),
        )
        append_result(arguments.readme, row)
    return report


def main(arguments: list[str]) -> None:
    """Parse the command line, score, and say where the report is.

    Raises:
        ConfigError: a value that makes no sense.
        DataError, MissingExtraError: as `score`.
    """
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="resgen-tts score", description=ScoreArguments.__doc__)
    parser.add_class_arguments(ScoreArguments, as_positional=False)
    options = ScoreArguments(**parser.parse_args(underscored(arguments)).as_dict())
    report = run(options)
    rates = ", ".join(
        f"{name} {100 * system.wer.value:.1f} %"
        + (f" (open {100 * system.second.wer.value:.1f} %)" if system.second is not None else "")
        for name, system in report.systems.items()
    )
    sys.stderr.write(f"{options.output / PAGE_FILE}: {report.used} items, WER {rates}, seed {report.seed}\n")


def _vocabulary_notes(folder: SynthFolder, recognizer: PocketSphinx) -> list[str]:
    """Words that a closed vocabulary can never recognise would pass for the system's errors."""
    if recognizer.vocabulary is None:
        return []
    known = {word for entry in recognizer.vocabulary.words for word in letters_only(entry).split()}
    said = {word for item in folder.items for word in letters_only(item.text).split()}
    unknown = sorted(said - known)
    if not unknown:
        return []
    return [f"{len(unknown)} words of the references are not in the closed vocabulary: {', '.join(unknown[:20])}."]


def _draw(report: ScoreReport, folder: SynthFolder, target: Path, limit: int) -> Mapping[str, Path]:
    from tqdm import tqdm

    drawn = {}
    for scored in tqdm(worst_first(report)[:limit], desc="pictures", unit="item", disable=None):
        item = scored.item
        waves = {"prompt": read_wave(folder.wave(item.prompt))}
        for name in (RECORDING, CLONE, *(name for name in report.systems if name not in (RECORDING, CLONE))):
            if name in item.systems:
                waves[name] = read_wave(folder.wave(item.systems[name]))
        path = target / f"{item.id}.png"
        draw_mels(path, waves, f"{item.id} (speaker {item.speaker})")
        drawn[item.id] = path
    return drawn
