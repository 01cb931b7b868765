"""The verb ``score``: outputs in, figures, tables, pictures and a page to listen to out.

What is scored is a synth folder (``--synth``), or an item set (``--items``) with its recordings and with other
people's audio (``--waves NAME=FOLDER``): one path, one command.
"""

import datetime
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from resgen_tts.apps.devices import choose_device
from resgen_tts.apps.options import underscored
from resgen_tts.apps.scoring.judges import (
    AUTO,
    ENGLISH,
    choose_normalizer,
    make_encoder,
    make_rater,
    make_recognizer,
)
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.listing import some
from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json, write_text
from resgen_tts.evaluation.judges.remembered import (
    Memory,
    RememberingEncoder,
    RememberingRater,
    RememberingRecognizer,
)
from resgen_tts.evaluation.protocols.published import judge_departures
from resgen_tts.evaluation.protocols.synth_folder import CLONE, RECORDING, SynthFolder, read_synth
from resgen_tts.evaluation.reports.page import html_page, told_items
from resgen_tts.evaluation.reports.pictures import draw_mels
from resgen_tts.evaluation.reports.report import markdown
from resgen_tts.evaluation.reports.results_log import ResultRow, append_result, log_figures
from resgen_tts.evaluation.reports.stored_scores import SCORES_FILE
from resgen_tts.evaluation.score_report import ScoreReport
from resgen_tts.evaluation.scores import Judges, listen, score_folder, usable_items
from resgen_tts.evaluation.waves import read_wave

REPORT_FILE = "report.md"
PAGE_FILE = "index.html"
PICTURES_FOLDER = "mel"
HEARD_FOLDER = "heard"  # what the judges said of each wave, so that a scoring that was stopped goes on


@dataclass(frozen=True, kw_only=True)
class ScoreArguments:
    """Score the outputs of a synthesizer, recordings, or other people's audio, all by one path.

    Args:
        output: folder for score.json, report.md, index.html (a page to listen to), mel/ and heard/.
        synth: folder that synthesize-list wrote: requests.jsonl, run.json and the waves.
        items: or an item set (resgen-tts protocol): its recordings are scored.
        recognizer: pocketsphinx, whisper:MODEL or ctc:MODEL (HuBERT, wav2vec 2.0); MODEL is a folder, or a name on the
            hub, which fetches it.
        encoder: of voice prints: resemblyzer, unispeech:FILE (the WavLM verifier) or xvector:MODEL.
        normalizer: of texts before they are compared: letters, whisper, punctuation; auto is the protocol's, and
            without one Whisper's own for Whisper, letters for all others.
        lm: folder of a closed vocabulary (vocabulary.arpa, words.txt) for pocketsphinx; its open one where left out.
        open_vocabulary: true: the open vocabulary besides the closed one.
        nj: processes of pocketsphinx.
        batch_size: waves that a model hears at once; the figures do not depend on it.
        device: of the models: auto (says what it chose), cpu, cuda.
        allow_pickle: true: read a FILE that is a pickle, as plain tensors only.
        num_shards: let the judges listen to one part of the waves, and score nothing yet.
        shard_index: which part, from 0.
        heard: folder of what the judges said, shared by shards; heard/ of --output where left out.
        seed: of the intervals.
        worst: items with players, words and pictures, the worst ones first.
        readme: README whose results log gets a row.
        recipe_command: what made these outputs, for that row; otherwise the commands of synthesis and scoring.
        waves: with --items, NAME=FOLDER of other people's audio, ITEM.wav for each item.
        raters: of naturalness: dnsmos, utmos:FILE.
    """

    output: Path
    synth: Path | None = None
    items: Path | None = None
    waves: Sequence[str] = ()
    recognizer: str = "pocketsphinx"
    encoder: str = "resemblyzer"
    raters: Sequence[str] = ("dnsmos",)
    normalizer: str = AUTO
    lm: Path | None = None
    open_vocabulary: bool = False
    nj: int = 1
    batch_size: int = 8
    device: str = AUTO
    allow_pickle: bool = False
    num_shards: int = 1
    shard_index: int = 0
    heard: Path | None = None
    seed: int = 0
    worst: int = 20
    readme: Path | None = None
    recipe_command: str = ""

    def __post_init__(self):
        if (self.synth is None) == (self.items is None):
            raise ConfigError("give --synth DIR or --items DIR, and not both.", code="USAGE")
        if self.waves and self.items is None:
            raise ConfigError("--waves is for the items of an item set; give --items DIR.", code="USAGE")
        if self.nj < 1 or self.batch_size < 1:
            raise ConfigError(f"--nj and --batch_size must be at least 1, got {self.nj} and {self.batch_size}")
        if self.open_vocabulary and self.lm is None:
            raise ConfigError("--open_vocabulary is for a report that also has a closed one; give --lm DIR.")
        if self.worst < 0:
            raise ConfigError(f"--worst must not be negative, got {self.worst}")
        if not 0 <= self.shard_index < self.num_shards:
            raise ConfigError(f"--shard_index {self.shard_index} is none of --num_shards {self.num_shards}, from 0.")

    def command(self) -> str:
        """The command line that repeats this scoring."""
        words = ["resgen-tts", "score"]
        for entry in fields(self):
            value = getattr(self, entry.name)
            is_many = isinstance(value, (list, tuple))
            if (
                entry.name in ("readme", "recipe_command", "heard")
                or (tuple(value) if is_many else value) == entry.default
            ):
                continue  # they change no figure
            many = list(value) if is_many else [value]
            words += [f"--{entry.name}", *(str(one).lower() if isinstance(one, bool) else str(one) for one in many)]
        return shlex.join(words)


def score(arguments: ScoreArguments) -> ScoreReport | None:
    """Score outputs and write the report; ``score.json`` is written last.

    What the judges say of each wave is kept at once: a scoring that was stopped goes on, and one of the same waves is
    done in seconds.

    Returns:
        the report; None of a shard, of which the judges' words are kept and no more.
    Raises:
        DataError: the outputs are incomplete, or items cannot be scored; they are counted and named.
        CheckpointError: a judge's model is missing or broken.
        MissingExtraError: an extra is not installed.
    """
    folder = _folder(arguments)
    memory = Memory(arguments.heard or arguments.output / HEARD_FOLDER, writer=str(arguments.shard_index))
    judges, device = _judges(arguments, memory, folder.protocol)
    if arguments.num_shards > 1:
        items, _ = usable_items(folder)
        listen(folder, items, judges, num_shards=arguments.num_shards, shard_index=arguments.shard_index)
        return None
    output = arguments.output
    report = score_folder(
        folder,
        judges,
        seed=arguments.seed,
        notes=[*_protocol_notes(folder, arguments, judges), *_vocabulary_notes(folder, arguments, judges)],
        provenance={
            "command": arguments.command(),
            "commit": commit_hash(),
            "hardware": hardware_line(),
            "device": device,
        },
    )
    page = output / PAGE_FILE
    drawn = _draw(report, folder, output / PICTURES_FOLDER, arguments.worst)
    write_text(output / REPORT_FILE, markdown(report))
    listing = html_page(
        report, folder=folder, page=page, pictures=drawn, worst=arguments.worst, title="Listen and compare"
    )
    write_text(page, listing)
    write_json(output / SCORES_FILE, report.to_json())
    return report


def run(arguments: ScoreArguments) -> ScoreReport | None:
    """`score`, with the row of the results log where one is wanted."""
    report = score(arguments)
    if arguments.readme is not None and report is not None:
        made = arguments.recipe_command or report.run.get("command", "")
        row = ResultRow(
            date=datetime.date.today().isoformat(),
            commit=_commits(str(report.run.get("commit") or ""), report.provenance["commit"]),
            hardware=str(report.run.get("hardware") or report.provenance["hardware"]),
            command=arguments.recipe_command or " && ".join(filter(None, (made, arguments.command()))),
            figures=log_figures(report),
        )
        append_result(arguments.readme, row)
    return report


def main(words: list[str]) -> None:
    """Parse the command line, score, and say where the report is.

    Raises:
        ConfigError: a value that makes no sense.
        DataError, CheckpointError, MissingExtraError: as `score`.
    """
    from jsonargparse import ArgumentParser

    words = underscored(words)
    if any(word.partition("=")[0] in ("--compare", "--seeds") for word in words):
        from resgen_tts.apps.scoring.score_comparison import main as compare

        compare(words)
        return
    parser = ArgumentParser(
        prog="resgen-tts score",
        description="Score the outputs of a synthesizer, recordings, or other people's audio, all by one path. To set "
        "scored folders side by side: score --compare A B [C ...]; one system at several seeds: score --seeds A B C.",
    )
    many = {
        "waves": ("NAME=FOLDER", "with --items, other people's audio: ITEM.wav for each item, in one folder a system"),
        "raters": ("RATER", "of naturalness: dnsmos, utmos:FILE; none where nothing follows"),
    }
    parser.add_class_arguments(ScoreArguments, as_positional=False, skip=set(many))
    for name, (shown, told) in many.items():
        default = next(entry.default for entry in fields(ScoreArguments) if entry.name == name)
        parser.add_argument(f"--{name}", nargs="*", default=list(default), metavar=shown, help=told)
    options = ScoreArguments(**parser.parse_args(words).as_dict())
    report = run(options)
    if report is None:
        sys.stderr.write(
            f"shard {options.shard_index} of {options.num_shards} is heard; score without them at the end\n"
        )
        return
    rates = ", ".join(
        f"{name} {100 * system.wer.value:.1f} %"
        + (f" (open {100 * system.second.wer.value:.1f} %)" if system.second is not None else "")
        for name, system in report.systems.items()
    )
    sys.stderr.write(f"{options.output / PAGE_FILE}: {report.used} items, WER {rates}, seed {report.seed}\n")


def _folder(arguments: ScoreArguments) -> SynthFolder:
    if arguments.synth is not None:
        return read_synth(arguments.synth)
    from resgen_tts.evaluation.protocols.adopted import adopt
    from resgen_tts.evaluation.protocols.item_set import read_item_set

    waves: dict[str, Path] = {}
    for word in arguments.waves:
        name, _, place = word.partition("=")
        if not name or not place or name in (RECORDING, *waves):
            raise ConfigError(f"--waves {word!r}: NAME=FOLDER is needed, each name once, and not {RECORDING}.")
        waves[name] = Path(place)
    return adopt(read_item_set(Path(str(arguments.items))), waves)


def _commits(made: str, scored: str) -> str:
    """Of synthesis and scoring: both decide the figures."""
    return scored if made in ("", scored) else f"{made}; scored at {scored}"


def _judges(arguments: ScoreArguments, memory: Memory, protocol: Mapping[str, Any]) -> tuple[Judges, str]:
    """The judges, and the device that their models are on."""
    needs_device = any(":" in spec for spec in (arguments.recognizer, arguments.encoder, *arguments.raters))
    if not needs_device and arguments.device not in (AUTO, "cpu"):
        raise ConfigError(f"--device {arguments.device}: the embedded judges run on the CPU alone.", code="USAGE")
    device = choose_device(arguments.device, sys.stderr.write) if needs_device else "cpu"
    recognizer = make_recognizer(
        arguments.recognizer, language_model=arguments.lm, nj=arguments.nj, batch_size=arguments.batch_size,
        device=device, language=str(protocol.get("language", ENGLISH)),
    )  # fmt: skip
    first = RememberingRecognizer(recognizer, memory)
    second = None
    if arguments.open_vocabulary:
        second = RememberingRecognizer(make_recognizer(arguments.recognizer, nj=arguments.nj), memory)
    model: dict[str, Any] = {"device": device, "allow_pickle": arguments.allow_pickle}
    judges = Judges(
        recognizer=first,
        encoder=RememberingEncoder(make_encoder(arguments.encoder, **model), memory),
        raters=[RememberingRater(make_rater(spec, **model), memory) for spec in arguments.raters],
        second=second,
        prompt_recognizer=first if arguments.lm is None else second,
        normalizer=choose_normalizer(arguments.normalizer, arguments.recognizer, protocol),
    )
    return judges, device


def _protocol_notes(folder: SynthFolder, arguments: ScoreArguments, judges: Judges) -> list[str]:
    """Judges that the protocol of the items does not ask for give figures of their own."""
    told = judge_departures(
        folder.protocol,
        recognizer=arguments.recognizer,
        normalizer=judges.normalizer.name,
        encoder=arguments.encoder,
    )
    notes = [f"NOT THE PROTOCOL'S JUDGES: {'; '.join(told)}."] if told else []
    for name, items in (folder.run.get("not_continued") or {}).items():
        notes.append(f"{len(items)} outputs of {name} do not begin with the prompt: {some(items)}.")
    return notes


def _vocabulary_notes(folder: SynthFolder, arguments: ScoreArguments, judges: Judges) -> list[str]:
    """Words that a closed vocabulary can never recognise would pass for the system's errors."""
    if arguments.lm is None:
        return []
    from resgen_tts.evaluation.judges.pocketsphinx_asr import ClosedVocabulary

    spoken = judges.normalizer.words
    known = {word for entry in ClosedVocabulary.load(arguments.lm).words for word in spoken(entry).split()}
    said = {word for item in folder.items for word in spoken(item.text).split()}
    unknown = sorted(said - known)
    if not unknown:
        return []
    return [f"{len(unknown)} words of the references are not in the closed vocabulary: {', '.join(unknown[:20])}."]


def _draw(report: ScoreReport, folder: SynthFolder, target: Path, limit: int) -> Mapping[str, Path]:
    from tqdm import tqdm

    drawn = {}
    for scored in tqdm(told_items(report, limit), desc="pictures", unit="item", disable=None):
        item = scored.item
        waves = {"prompt": read_wave(folder.wave(item.prompt))}
        for name in (RECORDING, CLONE, *(name for name in report.systems if name not in (RECORDING, CLONE))):
            if name in item.systems:
                waves[name] = read_wave(folder.wave(item.systems[name]))
        path = target / f"{item.id}.png"
        draw_mels(path, waves, f"{item.id} (speaker {item.speaker})")
        drawn[item.id] = path
    return drawn
