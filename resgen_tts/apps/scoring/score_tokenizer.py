"""The verb ``score-tokenizer``: recordings in, their copies at every depth, scores, tables and curves out."""

import hashlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from resgen_tts.apps.options import underscored
from resgen_tts.apps.scoring.copy_folder import CopyFolder, cycle_share, level_figures
from resgen_tts.apps.scoring.copy_synthesis import depth_name, systems_of
from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json, write_text
from resgen_tts.core.code_space import code_space_hash
from resgen_tts.evaluation.copy_scores import RECORDING, CopyScore, TextCounts, summarize, worse_when_deeper
from resgen_tts.evaluation.judges.dnsmos import Dnsmos
from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer
from resgen_tts.evaluation.measures.naturalness import Rater
from resgen_tts.evaluation.measures.speaker import SpeakerEncoder
from resgen_tts.evaluation.measures.speed import summarize_speed
from resgen_tts.evaluation.measures.text_error import Recognizer, letters_only, text_error
from resgen_tts.evaluation.protocols.recordings import Recording, find_recordings, read_recordings
from resgen_tts.evaluation.reports.rate_distortion import TokenizerReport, draw_rate_distortion, markdown
from resgen_tts.evaluation.scores import MAX_SKIPPED_SHARE
from resgen_tts.tokenizers.contract import Tokenizer, bitrate_kbps
from resgen_tts.tokenizers.depth_prefixes import scored_prefixes

SCORES_FILE, REPORT_FILE, PLOT_FILE = "score.json", "report.md", "rate_distortion.png"
ALL, NONE = "all", "none"


@dataclass(frozen=True, kw_only=True)
class ScoreTokenizerArguments:
    """Score a tokenizer's copies beside the recordings, at each depth.

    Args:
        tokenizer: folder of a trained one, or encodec:NAME, dac:NAME, mimi:NAME.
        output: folder for report.md, score.json, the plot, items/, words/, codes/ and wav/; a started one is gone on
            with.
        vocoder: of a Mel-VAE: a trained one's folder, or griffin_lim.
        list: table of recordings with the columns utt and flac, and where known text and speaker.
        data: instead of a list: folder of sound files, of which the words are not known.
        depths: levels to decode, e.g. 1,2,4,8; empty: powers of two and all.
        wer_depths: those depths whose copies are recognised, as are then the recordings and bounds: numbers, all, none.
        limit: so many recordings, drawn by the seed; 0: all.
        seed: of the draw and of the intervals.
        nj: processes of the recogniser.
        lm: folder of a closed vocabulary for the recogniser; none: its open one.
        threads: CPU threads of the tokenizer; 0 leaves torch's choice.
        dnsmos: also rate the naturalness of recordings and copies, at a quarter of a second for a second of each.
    """

    tokenizer: str
    output: Path
    vocoder: str = ""
    list: Path | None = None
    data: Path | None = None
    depths: str = ""
    wer_depths: str = ALL
    limit: int = 0
    seed: int = 0
    nj: int = 1
    lm: Path | None = None
    threads: int = 0
    dnsmos: bool = False

    def __post_init__(self):
        if (self.list is None) == (self.data is None):
            raise ConfigError("score-tokenizer needs either --list or --data.")
        if self.nj < 1 or self.limit < 0 or self.threads < 0:
            raise ConfigError(
                f"score-tokenizer needs nj >= 1, limit >= 0, threads >= 0, got {self.nj}, {self.limit}, {self.threads}"
            )
        _numbers("--depths", self.depths)
        if self.wer_depths not in (ALL, NONE):
            _numbers("--wer_depths", self.wer_depths)

    def recognised(self, systems: Sequence[str], depths: Sequence[int]) -> Sequence[str]:
        """Systems whose copies are recognised: all that bounds the depths, and the depths asked for."""
        if self.wer_depths == NONE:
            return []
        asked = depths if self.wer_depths == ALL else _numbers("--wer_depths", self.wer_depths)
        if missing := set(asked) - set(depths):
            raise ConfigError(f"--wer_depths {self.wer_depths}: {sorted(missing)} are not among the depths {depths}.")
        left_out = {depth_name(one) for one in set(depths) - set(asked)}
        return [name for name in systems if name not in left_out]

    def command(self) -> str:
        """The command line that repeats this scoring."""
        words = ["resgen-tts", "score-tokenizer"]
        for name, value in asdict(self).items():
            words += [] if value in (None, "", False) else [f"--{name}", str(value)]
        return shlex.join(words)


def score_tokenizer(
    arguments: ScoreTokenizerArguments,
    tokenizer: Tokenizer,
    recognizer: Recognizer,
    encoder: SpeakerEncoder,
    rater: Rater | None = None,
) -> TokenizerReport:
    """Make and score the copies of all recordings, and write the report; ``score.json`` is written last.

    A run that was stopped goes on where it was: an item that has its file in ``items/`` is not made again.

    Raises:
        ConfigError: depths that the tokenizer does not have, or the output is of another tokenizer or other depths.
        DataError: the list is broken, or none of its recordings can be used.
    """
    depths = depths_to_decode(arguments.depths, tokenizer.code_space.depth)
    systems = [RECORDING, *systems_of(tokenizer, depths)]
    recognised = arguments.recognised(systems, depths)
    recordings = _chosen(arguments)
    facts = _facts(arguments, tokenizer)
    folder = CopyFolder(root=arguments.output, tokenizer_name=arguments.tokenizer, vocoder_name=arguments.vocoder)
    folder.check_settings({**facts, "depths": list(depths)})
    items, skipped = folder.items(tokenizer, encoder, recordings, depths, systems, rater)
    if not items:
        named = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise DataError(f"none of the {len(recordings)} recordings can be used ({named}).")
    spoken = [item for item in items if letters_only(item["text"])]
    heard = folder.heard([item["id"] for item in spoken], recognised, recognizer)
    has_text = bool(heard) and bool(recognised)
    scores = [{name: CopyScore(**item["systems"][name]) for name in systems} for item in items]
    texts = [
        {name: _text_counts(item["text"], words) for name, words in heard.get(item["id"], {}).items()} for item in items
    ]
    counts = folder.code_counts([item["id"] for item in items], tokenizer.code_space.codebook_size)
    report = TokenizerReport(
        tokenizer=facts,
        systems=summarize(systems, scores, texts, seed=arguments.seed),
        kbps={depth_name(depth): bitrate_kbps(tokenizer, depth) for depth in depths},
        first_level_cycle={depth_name(depth): cycle_share(items, depth_name(depth))[0] for depth in depths},
        levels=level_figures(counts, cycle_share(items, depth_name(depths[-1]))),
        worse_when_deeper=worse_when_deeper([depth_name(one) for one in depths], scores, seed=arguments.seed),
        speed={
            step: summarize_speed([item["seconds"] for item in items], [item["spent"][step] for item in items])
            for step in items[0]["spent"]
        },
        threads=sorted({item["threads"] for item in items}),
        read=len(recordings),
        used=len(items),
        skipped=skipped,
        seconds=sum(item["seconds"] for item in items),
        recognizer=recognizer.name if has_text else "",
        encoder=encoder.name,
        rater=rater.name if rater else "",
        has_embedded_scorers=encoder.is_embedded
        or (has_text and recognizer.is_embedded)
        or (rater is not None and rater.is_embedded),
        seed=arguments.seed,
        data_sha256=hashlib.sha256("".join(f"{one['id']} {one['sha256']}\n" for one in items).encode()).hexdigest(),
        provenance={"command": arguments.command(), "commit": commit_hash(), "hardware": hardware_line()},
    )
    output = arguments.output
    draw_rate_distortion(output / PLOT_FILE, report)
    write_text(output / REPORT_FILE, markdown(report) + f"\n![rate and distortion]({PLOT_FILE})\n")
    write_json(output / SCORES_FILE, report.to_json())
    return report


def depths_to_decode(asked: str, depth: int) -> tuple[int, ...]:
    """Ascending depths of a tokenizer that has ``depth`` levels.

    Args:
        asked: numbers with commas between them; empty: the powers of two and ``depth`` itself.
    Raises:
        ConfigError: no numbers, or more levels than there are.
    """
    depths = _numbers("--depths", asked) or scored_prefixes(depth)
    if max(depths) > depth:
        raise ConfigError(f"--depths {asked}: the tokenizer has {depth} levels.")
    return tuple(sorted(set(depths)))


def main(arguments: list[str]) -> None:
    """Parse the command line, score, and say where the report is.

    Raises:
        ConfigError: a value that makes no sense.
        DataError, MissingExtraError: as `score_tokenizer`.
    """
    from jsonargparse import ArgumentParser

    about = ScoreTokenizerArguments.__doc__.splitlines()[0]
    parser = ArgumentParser(prog="resgen-tts score-tokenizer", description=about)
    parser.add_class_arguments(ScoreTokenizerArguments, as_positional=False)
    options = ScoreTokenizerArguments(**parser.parse_args(underscored(arguments)).as_dict())
    from resgen_tts.apps.weights.tokenizers import load_tokenizer

    if options.threads:
        torch.set_num_threads(options.threads)
    recognizer = PocketSphinx(options.lm, workers=options.nj)
    tokenizer, rater = load_tokenizer(options.tokenizer, options.vocoder), Dnsmos() if options.dnsmos else None
    report = score_tokenizer(options, tokenizer, recognizer, Resemblyzer(), rater)
    skipped = report.read - report.used
    sys.stderr.write(
        f"{options.output / REPORT_FILE}: {report.read} recordings = {report.used} used + {skipped} skipped, "
        f"seed {report.seed}\n"
    )
    if skipped > MAX_SKIPPED_SHARE * report.read:
        named = "; ".join(list(report.skipped.values())[:3])
        raise DataError(f"{skipped} of {report.read} recordings could not be used ({named}); the rest is scored.")


def _chosen(arguments: ScoreTokenizerArguments) -> list[Recording]:
    """The recordings in their own order; with a limit some of them, and with a greater limit those and more."""
    listed = arguments.list is not None
    found = read_recordings(arguments.list) if listed else find_recordings(arguments.data)
    if not arguments.limit:
        return found
    order = torch.randperm(len(found), generator=generator(arguments.seed, "score-tokenizer"))
    return [found[place] for place in sorted(order[: arguments.limit].tolist())]


def _facts(arguments: ScoreTokenizerArguments, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the tokenizer is: names, rates, sizes, hashes."""
    space = tokenizer.code_space
    facts = {
        "tokenizer": arguments.tokenizer,
        "vocoder": arguments.vocoder,
        "sample_rate": tokenizer.sample_rate,
        "frame_rate_hz": tokenizer.frame_rate_hz,
        "depth": space.depth,
        "codebook_size": space.codebook_size,
        "code_space": code_space_hash(space),
    }
    if isinstance(tokenizer, torch.nn.Module):
        digest = hashlib.sha256()
        for name, value in sorted(tokenizer.state_dict().items()):
            digest.update(
                name.encode() + value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            )
        facts["parameters"] = sum(parameter.numel() for parameter in tokenizer.parameters())
        facts["weights_sha256"] = digest.hexdigest()
    return facts


def _text_counts(text: str, heard: str) -> TextCounts:
    found = text_error(text, heard)
    return TextCounts(words=found.words, characters=found.characters)


def _numbers(option: str, text: str) -> list[int]:
    """Positive numbers with commas between them."""
    try:
        found = [int(part) for part in text.strip("[]").split(",") if part.strip()]
    except ValueError as error:
        raise ConfigError(f"{option} must be numbers with commas between them, got {text!r}") from error
    if any(one < 1 for one in found):
        raise ConfigError(f"{option} must be at least 1, got {text!r}")
    return found
