"""The verb ``protocol``: the items of a published protocol, or of a table, as a set that every system is given."""

import os
import shlex
import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from resgen_tts.apps.devices import AUTO, choose_device
from resgen_tts.apps.options import underscored
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import commit_hash
from resgen_tts.evaluation.measures.timed import Aligner
from resgen_tts.evaluation.protocols.item_set import ItemSet, PlannedItem, refuse_existing, write_item_set
from resgen_tts.evaluation.protocols.kept_alignments import KeptAlignments
from resgen_tts.evaluation.protocols.published import departures
from resgen_tts.evaluation.protocols.trials import CONTINUATION, CROSS_SENTENCE, DEFAULT_CUTS, TrialConfig

LIBRISPEECH_PC, SEED_TTS, CUSTOM = "librispeech_pc", "seed_tts", "custom"
LETTERS = {CONTINUATION: "V", CROSS_SENTENCE: "V", LIBRISPEECH_PC: "F, K", SEED_TTS: "S", CUSTOM: "custom"}
POCKETSPHINX = "pocketsphinx"
EXAMPLES = (
    "resgen-tts protocol --protocol cross_sentence --data test-clean --aligner pocketsphinx --output sets/v",
    "resgen-tts protocol --protocol custom --data items.tsv --output sets/mine",
)
_TRIALS = ("list", "subset", "trials", "seed", "cut", "prompt_seconds", "aligner", "device", "nj", "max_bad_fraction")
OPTIONS = {  # what each protocol is told; the rest would be without effect, and is refused
    CONTINUATION: _TRIALS,
    CROSS_SENTENCE: _TRIALS,
    LIBRISPEECH_PC: ("list", "subset"),
    SEED_TTS: ("language", "subset"),
    CUSTOM: (),
}


@dataclass(frozen=True, kw_only=True)
class ProtocolArguments:
    """Build the items of a protocol: cut prompts, recordings, references and transcripts, saved as files.

    Args:
        protocol: continuation or cross_sentence (protocol V), librispeech_pc (F, K), seed_tts (S), or custom (a table).
        data: LibriSpeech's folder test-clean; for seed_tts the folder of one language, with its meta.lst; for custom a
            tab-separated table with the columns audio, text and target, and if wanted id, speaker and recording.
        output: folder of the set; it must not be there, or be empty. Alignments of a build that was stopped are kept
            beside it and used again.
        list: V: file of ids in place of the durations; librispeech_pc: its published list, which it needs.
        subset: true takes what is there of the published list, and the set says that it is a part; if not given, a part
            is refused.
        trials: V: prompts or outputs of each target; 3 if not given.
        seed: V: of the drawn prompts; 49 if not given.
        cut: V: hard (at exactly prompt_seconds) or word (at borders of words); if not given hard for continuation, word
            for cross_sentence.
        prompt_seconds: V: length of a prompt, of 2 to below 4 s; 3 if not given.
        aligner: V, which needs it: pocketsphinx, or folder or name of a HuBERT or Wav2Vec2 with letters (CTC), as
            facebook/hubert-large-ls960-ft.
        device: V: of such a CTC aligner: auto, cpu or cuda; auto if not given. pocketsphinx has no use for it.
        nj: V: processes of pocketsphinx; 1 if not given.
        language: seed_tts, which needs it: en or zh.
        max_bad_fraction: V: share of utterances that may be left out because they cannot be aligned or cut; 0.01 if not
            given. The set names them, and scoring tells that it departs from the published one.
    """

    protocol: str
    data: Path
    output: Path
    list: Path | None = None
    subset: bool | None = None
    trials: int | None = None
    seed: int | None = None
    cut: str | None = None
    prompt_seconds: float | None = None
    aligner: str | None = None
    device: str | None = None
    nj: int | None = None
    language: str | None = None
    max_bad_fraction: float | None = None

    def __post_init__(self):
        if self.protocol not in OPTIONS:
            raise ConfigError(f"--protocol must be one of {', '.join(OPTIONS)}, got {self.protocol!r}")
        optional = [entry.name for entry in fields(self) if entry.default is None]
        idle = [name for name in optional if getattr(self, name) is not None and name not in OPTIONS[self.protocol]]
        if idle:
            raise ConfigError(f"--{', --'.join(idle)}: the protocol {self.protocol} has no such choice.", code="USAGE")
        if self.protocol == LIBRISPEECH_PC and self.list is None:
            from resgen_tts.evaluation.protocols.librispeech import PC_PUBLISHED

            raise ConfigError(
                "--protocol librispeech_pc needs its list of 1,127 pairs: --list FILE.",
                code="USAGE",
                hint=f"It is published in {PC_PUBLISHED}.",
            )
        if self.protocol == SEED_TTS and self.language is None:
            raise ConfigError("--protocol seed_tts needs --language en or --language zh.", code="USAGE")
        if self.protocol in DEFAULT_CUTS and not self.aligner:
            raise ConfigError(
                f"--protocol {self.protocol} needs an --aligner: which words are in a prompt, and which are left to "
                "say, is known from the times of the words alone, whatever the cut.",
                code="USAGE",
                hint="Give pocketsphinx, or a HuBERT or Wav2Vec2 with a CTC head, as facebook/hubert-large-ls960-ft.",
            )
        if self.max_bad_fraction is not None and not 0 <= self.max_bad_fraction < 1:
            raise ConfigError(f"--max_bad_fraction must be at least 0 and below 1, got {self.max_bad_fraction}")

    def command(self) -> str:
        """The command line that repeats this."""
        words = ["resgen-tts", "protocol"]
        for name, value in asdict(self).items():
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            words += [] if value is None else [f"--{name}", shown]
        return shlex.join(words)


def build(arguments: ProtocolArguments, aligner: Aligner | None = None) -> ItemSet:
    """Build a set.

    Args:
        aligner: in place of the one that the arguments name.
    Raises:
        DataError, AudioError: what is there is not what the protocol is made of (counted, the first ones named).
        ConfigError: a choice that makes no sense, or OUTPUT_EXISTS.
        MissingExtraError, CheckpointError: the aligner is not there.
    """
    refuse_existing(arguments.output)  # before hours of alignment
    facts: dict[str, Any] = {"name": LETTERS[arguments.protocol], "mode": arguments.protocol}
    if arguments.protocol in DEFAULT_CUTS:
        planned, more = _plan_trials(arguments, aligner)
    elif arguments.protocol == LIBRISPEECH_PC:
        planned, more = _plan_pc(arguments)
    elif arguments.protocol == SEED_TTS:
        from resgen_tts.evaluation.protocols.seed_tts import plan_seed_tts

        planned, more = plan_seed_tts(arguments.data, str(arguments.language), subset=bool(arguments.subset))
    else:
        from resgen_tts.evaluation.protocols.item_list import read_list
        from resgen_tts.evaluation.protocols.seed_tts import list_facts, plan_list

        rows = read_list(arguments.data)
        planned, more = plan_list(rows), list_facts(arguments.data, rows)
    facts |= {**more, "command": arguments.command(), "commit": commit_hash()}
    items = write_item_set(arguments.output, planned, facts)
    _alignments_file(arguments.output).unlink(missing_ok=True)
    return items


def choose_aligner(name: str, *, device: str = AUTO, workers: int = 1) -> Aligner:
    """pocketsphinx, or the CTC model of a folder or a name.

    Raises:
        ConfigError: no such device.
        MissingExtraError, CheckpointError: it is not there.
    """
    if name == POCKETSPHINX:
        from resgen_tts.apps.scoring.recording_alignment import say_in_arpabet
        from resgen_tts.evaluation.judges.pocketsphinx_alignment import PocketSphinxAligner

        return PocketSphinxAligner(workers=workers, pronounce=say_in_arpabet)
    from resgen_tts.evaluation.judges.ctc_alignment import CtcAligner

    return CtcAligner(name, device=choose_device(device, sys.stderr.write))


def told(items: ItemSet) -> str:
    """One line on a set: what it is of, and that it is a part where it is one."""
    facts = items.facts
    targets = len({item.target_id for item in items.items})
    line = f"{facts['mode']} (protocol {facts['name']}): {len(items.items):,} items, {targets:,} targets, "
    line += f"{facts['speakers']} speakers, {facts['reference_words']:,} words"
    line += f"; read {facts['read']} = used {facts['used']} + skipped {len(facts['skipped'])}"
    if facts["absent"]:
        line += f" + not there {len(facts['absent'])}"
    if facts["is_subset"]:
        line += "; a SUBSET, whose figures do not stand beside published ones"
    if facts["speakers"] == 1:
        line += "; ONE SPEAKER: nothing tells whether voices are their own"
    if departed := departures(facts):
        line += f"; departs from what is published: {'; '.join(departed)}"
    if facts.get("judge_note"):
        line += f"; note: {facts['judge_note']}"
    return f"{line}; set {items.sha256[:12]}"


def main(words: list[str]) -> None:
    """Parse the command line, build, and say what was built.

    Raises:
        ResGenError: as `build`.
    """
    from jsonargparse import ArgumentParser

    about = str(ProtocolArguments.__doc__).partition("\n")[0]
    parser = ArgumentParser(prog="resgen-tts protocol", description=f"{about} Examples: {'; '.join(EXAMPLES)}")
    parser.add_class_arguments(ProtocolArguments, as_positional=False)
    arguments = ProtocolArguments(**parser.parse_args(underscored(words)).as_dict())
    items = build(arguments)
    sys.stderr.write(f"{items.root}: {told(items)}\n")


def _alignments_file(output: Path) -> Path:
    """Where a build of this output keeps what its aligner found; it is removed when the set is there."""
    output = Path(os.path.abspath(output))
    return output.with_name(f".{output.name}.alignments.jsonl")


def _plan_trials(arguments: ProtocolArguments, aligner: Aligner | None) -> tuple[list[PlannedItem], dict[str, Any]]:
    from resgen_tts.evaluation.protocols.librispeech import choose_targets, read_librispeech
    from resgen_tts.evaluation.protocols.trials import plan_continuation, plan_cross_sentence, refuse_failures

    given = {name: getattr(arguments, name) for name in ("trials", "seed", "prompt_seconds")}
    cut = arguments.cut or DEFAULT_CUTS[arguments.protocol]
    config = TrialConfig(cut=cut, **{name: value for name, value in given.items() if value is not None})
    subset = bool(arguments.subset)
    corpus, missing = read_librispeech(arguments.data)
    targets = choose_targets(corpus, arguments.list, missing=missing, subset=subset)
    if aligner is None:
        aligner = choose_aligner(
            str(arguments.aligner),
            device=arguments.device or AUTO,
            workers=1 if arguments.nj is None else arguments.nj,
        )
    aligner = KeptAlignments(aligner, _alignments_file(arguments.output))
    if arguments.protocol == CONTINUATION:
        planned = plan_continuation(targets.utterances, config, aligner)
    else:
        planned = plan_cross_sentence(targets.utterances, corpus, config, aligner)
    if planned.absent and not subset:
        planned = replace(planned, skipped={**planned.skipped, **planned.absent}, absent={})
    refuse_failures(planned, 0.01 if arguments.max_bad_fraction is None else arguments.max_bad_fraction)
    absent = {**targets.absent, **planned.absent}
    used = len({item.target_id for item in planned.items})
    facts = {
        **targets.facts,
        **asdict(config),
        "aligner": aligner.name,
        "read": used + len(planned.skipped) + len(absent),
        "used": used,
        "skipped": dict(planned.skipped),
        "absent": absent,
        "alignments_tried": planned.asked,
        "not_aligned": dict(planned.failed),
    }
    return [*planned.items], facts


def _plan_pc(arguments: ProtocolArguments) -> tuple[list[PlannedItem], dict[str, Any]]:
    from resgen_tts.evaluation.protocols.librispeech import plan_librispeech_pc, read_librispeech

    corpus, _ = read_librispeech(arguments.data)
    planned, targets = plan_librispeech_pc(corpus, Path(str(arguments.list)), subset=bool(arguments.subset))
    counts = {"read": len(planned) + len(targets.absent), "used": len(planned), "skipped": {}}
    return planned, {**targets.facts, **counts, "absent": dict(targets.absent)}
