"""The verb ``protocol``: the items of a published protocol, or of a table, as a set that every system is given."""

import shlex
import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from resgen_tts.apps.options import underscored
from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import commit_hash
from resgen_tts.evaluation.measures.timed import Aligner
from resgen_tts.evaluation.protocols.item_set import ItemSet, PlannedItem, write_item_set
from resgen_tts.evaluation.protocols.trials import CONTINUATION, CROSS_SENTENCE, DEFAULT_CUTS, TrialConfig

LIBRISPEECH_PC, SEED_TTS, CUSTOM = "librispeech_pc", "seed_tts", "custom"
LETTERS = {CONTINUATION: "V", CROSS_SENTENCE: "V", LIBRISPEECH_PC: "F, K", SEED_TTS: "S", CUSTOM: "custom"}
POCKETSPHINX = "pocketsphinx"
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
    """Build the items of a protocol: cut prompts, recordings, references and transcripts, saved as files."""

    protocol: str  # continuation, cross_sentence (V); librispeech_pc (F, K); seed_tts (S); or custom
    data: Path  # LibriSpeech's test-clean; for seed_tts the folder of one language; for custom a table
    output: Path  # folder of the set
    list: Path | None = None  # V: ids, in place of the durations; librispeech_pc: the published list
    subset: bool | None = None  # true: take what is there of the published list; the set says so
    trials: int | None = None  # V: of each target; 3
    seed: int | None = None  # V: of the drawn prompts; 49
    cut: str | None = None  # V: hard or word; continuation is cut hard, cross_sentence at borders of words
    prompt_seconds: float | None = None  # V: 3
    aligner: str | None = None  # V: pocketsphinx, or folder or name of a HuBERT or Wav2Vec2 with letters (CTC)
    device: str | None = None  # V: of such an aligner; cpu
    nj: int | None = None  # V: processes of pocketsphinx; 1
    language: str | None = None  # seed_tts: en or zh
    max_bad_fraction: float | None = None  # V: share of utterances that may be skipped; 0.01

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
    return write_item_set(arguments.output, planned, facts)


def choose_aligner(name: str, *, device: str = "cpu", workers: int = 1) -> Aligner:
    """pocketsphinx, or the CTC model of a folder or a name.

    Raises:
        MissingExtraError, CheckpointError: it is not there.
    """
    if name == POCKETSPHINX:
        from resgen_tts.apps.recording_alignment import say_in_arpabet
        from resgen_tts.evaluation.judges.pocketsphinx_alignment import PocketSphinxAligner

        return PocketSphinxAligner(workers=workers, pronounce=say_in_arpabet)
    from resgen_tts.evaluation.judges.ctc_alignment import CtcAligner

    return CtcAligner(name, device=device)


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
    if facts.get("judge_note"):
        line += f"; note: {facts['judge_note']}"
    return f"{line}; set {items.sha256[:12]}"


def main(words: list[str]) -> None:
    """Parse the command line, build, and say what was built.

    Raises:
        ResGenError: as `build`.
    """
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="resgen-tts protocol", description=ProtocolArguments.__doc__)
    parser.add_class_arguments(ProtocolArguments, as_positional=False)
    arguments = ProtocolArguments(**parser.parse_args(underscored(words)).as_dict())
    items = build(arguments)
    sys.stderr.write(f"{items.root}: {told(items)}\n")


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
            device=arguments.device or "cpu",
            workers=1 if arguments.nj is None else arguments.nj,
        )
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
