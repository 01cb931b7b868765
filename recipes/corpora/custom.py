"""Your own recordings: tables (id, speaker, file, text) beside audio become a validated corpus.

`python -m recipes.corpora.custom --data DIR --output DIR [--list FILE ...] [--test_list FILE ...] [--pairs FILE]`

Every row is read, checked and counted; a bad one is listed with its reason in `manifests/data_report.json` and does not
stop the stage unless more than 1 % are bad. Recordings become 16-bit FLAC at one rate, trimmed at both ends.
"""

import dataclasses
import functools
import hashlib
import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.corpora.intake import Options, Recording, audio_path, take_in
from recipes.corpora.manifests import (
    Pair,
    Skipped,
    Utterance,
    choose_pairs,
    refuse_shared_speakers,
    write_manifests,
    write_pairs,
    write_report,
)
from recipes.corpora.parallel import in_parallel
from recipes.corpora.resume import forget_work, is_complete
from recipes.corpora.rows import Listed, collect, file_state, split_speakers
from recipes.corpora.tables import is_recording_table, read_pairs
from resgen_tts.common.errors import ConfigError, DataError, ResGenError

RECIPE_VERSION = 1
ROWS_PER_JOB = 32
SHOWN_ROWS = 20

log = logging.getLogger("recipes.corpora.custom")


@dataclass(frozen=True, kw_only=True)
class CustomConfig:
    """Which recordings, and how they are prepared.

    Args:
        data: folder of the recordings; paths in a table start at the table's folder or here, and may not leave them.
        output: root of the prepared corpus.
        list: tables for training, from `data` on; default: those in `data` itself.
        test_list: tables whose speakers are for evaluation only.
        pairs: table of evaluation items (prompt, target: ids of test rows); default: chosen here.
        sample_rate: of the prepared audio, in Hz.
        nj: worker processes.
        test_speakers: names joined by commas; default without `test_list`: a twentieth of the speakers, at least one.
        dev_fraction: share of the training utterances that is held out for validation.
        min_seconds: a recording that is shorter after trimming is skipped.
        max_seconds: a recording that is longer after trimming is skipped.
        trim: cut silence at both ends to 0.1 s.
        max_bad_fraction: more bad rows than this stop the stage.
        max_utterances: take only so many rows for training and dev, and a quarter of it for test; 0: all.
        prompt_seconds: wanted length of prompts where pairs are chosen here.
        targets_per_speaker: at most so many evaluation items a speaker where pairs are chosen here.
    """

    data: str
    output: str
    list: tuple[str, ...] = ()
    test_list: tuple[str, ...] = ()
    pairs: str = ""
    sample_rate: int = 16000
    nj: int = 1
    test_speakers: str = ""
    dev_fraction: float = 0.02
    min_seconds: float = 0.5
    max_seconds: float = 30.0
    trim: bool = True
    max_bad_fraction: float = 0.01
    max_utterances: int = 0
    prompt_seconds: tuple[float, float] = (3.0, 10.0)
    targets_per_speaker: int = 6

    def __post_init__(self):
        if not 0 < self.min_seconds < self.max_seconds:
            raise ConfigError(f"0 < min_seconds < max_seconds is needed, got {self.min_seconds}, {self.max_seconds}")
        if not 0 < self.dev_fraction < 0.5:
            raise ConfigError(f"dev_fraction must lie between 0 and 0.5, got {self.dev_fraction}")
        if not 0 <= self.max_bad_fraction <= 1:
            raise ConfigError(f"max_bad_fraction must lie in 0..1, got {self.max_bad_fraction}")
        if not 8000 <= self.sample_rate <= 48000:
            raise ConfigError(f"sample_rate must lie in 8000..48000 Hz, got {self.sample_rate}")
        if self.nj < 1 or self.max_utterances < 0 or self.targets_per_speaker < 1:
            raise ConfigError("nj and targets_per_speaker must be at least 1, max_utterances at least 0")


def find_tables(config: CustomConfig) -> tuple[list[Path], list[Path]]:
    """Tables for training and for test.

    Raises:
        DataError: no table is named and none lies in the folder.
    """
    root = Path(config.data)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder.", code="CORPUS_MISSING", hint="Give --data DIR.")
    test = [root / name for name in config.test_list]
    if config.list:
        return [root / name for name in config.list], test
    found = sorted(path for path in root.iterdir() if path.suffix.lower() in (".tsv", ".csv") and path.is_file())
    tables = [path for path in found if path not in test and is_recording_table(path)]
    if not tables:
        below = sorted(str(path.relative_to(root)) for path in root.glob("*/*.[tc]sv") if is_recording_table(path))
        raise DataError(
            f"{root} holds no TSV or CSV with the columns id, speaker, file.",
            code="CORPUS_NO_TABLE",
            hint=f"Name those of its folders: --list {' '.join(below)}" if below else "See egs/custom/README.md.",
        )
    return tables, test


def process(listed: Sequence[Listed], config: CustomConfig) -> tuple[list[Utterance], list[Skipped], Counter]:
    """Read, check and convert the audio of rows; what earlier runs have done is not done again.

    Returns:
        utterances in the order of the rows, the rows that were not used, and counts of the loader's warnings.
    """
    root = Path(config.output)
    options = Options(
        sample_rate=config.sample_rate,
        min_seconds=config.min_seconds,
        max_seconds=config.max_seconds,
        trim=config.trim,
    )
    recordings = [Recording(id=row.id, source=str(row.source)) for row in listed]
    jobs = [recordings[start : start + ROWS_PER_JOB] for start in range(0, len(recordings), ROWS_PER_JOB)]
    calls = [functools.partial(take_in, tuple(job), options, root) for job in jobs]
    results = {name: result for part in in_parallel(calls, config.nj, "convert") for name, result in part.items()}
    utterances, skipped, warnings = [], [], Counter()
    for row in listed:
        result = results[row.id]
        if "reason" in result:
            skipped.append(Skipped(item=row.id, reason=result["reason"], detail=f"{row.where}: {result['detail']}"))
            continue
        warnings.update(result["warnings"])
        utterances.append(
            Utterance(
                id=row.id,
                speaker=row.speaker,
                text=row.text,
                path=audio_path(row.id).as_posix(),
                num_samples=result["num_samples"],
                sample_rate=config.sample_rate,
            )
        )
    return utterances, skipped, warnings


def user_pairs(
    path: Path, splits: Mapping[str, Sequence[Utterance]], known_ids: set[str]
) -> tuple[list[Pair], list[Skipped]]:
    """The evaluation items of a table.

    Args:
        path: of the table.
        splits: the usable recordings.
        known_ids: of all rows, usable or not.
    Returns:
        pairs whose recordings are both usable, and the others with their reason.
    Raises:
        DataError: a row names an id that no table has or that training hears, or joins two speakers.
    """
    usable = {utterance.id: utterance for utterance in splits["test"]}
    trained = {utterance.id for split in ("train", "dev") for utterance in splits[split]}
    pairs, dropped = [], []
    for where, prompt, target in read_pairs(path):
        for id_ in (prompt, target):
            if id_ not in known_ids:
                raise DataError(f"{where}: no table has the id {id_!r}.", code="PAIRS_INVALID")
            if id_ in trained:
                raise DataError(f"{where}: {id_!r} is heard in training.", code="PAIRS_INVALID")
        name = f"{target}--{prompt}"
        if prompt not in usable or target not in usable:
            dropped.append(Skipped(item=name, reason="PAIR_NOT_USABLE", detail=where))
        elif usable[prompt].speaker != usable[target].speaker:
            raise DataError(f"{where}: prompt and target are of different speakers.", code="PAIRS_INVALID")
        elif not usable[prompt].text or not usable[target].text:
            dropped.append(Skipped(item=name, reason="PAIR_WITHOUT_TEXT", detail=where))
        else:
            name = hashlib.sha256(name.encode()).hexdigest()[:32] if len(name) > 128 else name
            pairs.append(Pair(id=name, prompt=prompt, target=target, speaker=usable[target].speaker))
    return pairs, dropped


def prepare(config: CustomConfig) -> None:
    """Make the corpus, or complete what an interrupted run has left.

    Raises:
        DataError: a table cannot be used, too many rows are bad, speakers overlap, or nothing is left.
    """
    began = time.perf_counter()
    root = Path(config.output)
    train_tables, test_tables = find_tables(config)
    collected = collect(train_tables, test_tables, Path(config.data))
    pairs_path = Path(config.pairs) if config.pairs else None
    splits = split_speakers(
        collected.listed,
        test_speakers=[name.strip() for name in config.test_speakers.split(",") if name.strip()],
        dev_fraction=config.dev_fraction,
        max_utterances=config.max_utterances,
        wanted_in_test=[name for _, *names in read_pairs(pairs_path) for name in names] if pairs_path else [],
    )
    refuse_shared_speakers(splits)  # before hours of conversion
    chosen = [row for rows in splits.values() for row in rows]
    settings = {key: value for key, value in vars(config).items() if key not in ("nj", "output")}
    pairs_text = pairs_path.read_text(encoding="utf-8") if pairs_path else ""
    identity = (RECIPE_VERSION, settings, [(row, file_state(row.source)) for row in chosen], collected.bad, pairs_text)
    fingerprint = hashlib.sha256(repr(identity).encode()).hexdigest()
    if is_complete(root, fingerprint):
        log.info("%s is complete; nothing to do", root)
        return
    (root / "manifests" / "data_report.json").unlink(missing_ok=True)
    log.info("%d rows of %d tables, %d processes", len(chosen), len(train_tables) + len(test_tables), config.nj)

    utterances, unusable, warnings = process(chosen, config)
    skipped = [*collected.bad, *unusable]
    by_id = {utterance.id: utterance for utterance in utterances}
    used = {split: [by_id[row.id] for row in rows if row.id in by_id] for split, rows in splits.items()}
    read = len(chosen) + len(collected.bad)
    more = {
        "tables": {str(path): count for path, count in collected.rows_by_table.items()},
        "warnings": dict(sorted(warnings.items())),
        "settings": settings,
        "wall_seconds": round(time.perf_counter() - began, 2),
    }
    if len(skipped) > config.max_bad_fraction * read:
        write_report(root, read=read, splits=used, skipped=skipped, **more)
        rows = "\n  ".join(f"{item.item}: {item.reason} {item.detail}" for item in skipped[:SHOWN_ROWS])
        rest = f"\n  and {len(skipped) - SHOWN_ROWS} more" if len(skipped) > SHOWN_ROWS else ""
        raise DataError(
            f"{len(skipped)} of {read} rows are bad, more than {config.max_bad_fraction:.1%}:\n  {rows}{rest}",
            code="TOO_MANY_BAD_ROWS",
            hint=f"\nAll are listed in {root / 'manifests' / 'data_report.json'}. Mend them or raise max_bad_fraction.",
        )
    if pairs_path:
        pairs, dropped = user_pairs(pairs_path, used, collected.ids)
    else:
        pairs, dropped = _own_pairs(used["test"], config), []
    for split, rows in used.items():
        if not rows:
            raise DataError(f"nothing is left for {split}.", code="SPLIT_EMPTY", hint="More recordings are needed.")
    write_manifests(root, used)
    write_pairs(root, pairs)
    for item in skipped:
        log.warning("skipped %s: %s %s", item.item, item.reason, item.detail)
    write_report(
        root,
        read=read,
        splits=used,
        skipped=skipped,
        **more,
        fingerprint=fingerprint,
        pairs={
            "read": len(pairs) + len(dropped),
            "used": len(pairs),
            "skipped_items": [vars(item) for item in dropped],
        },
        test_speakers=sorted({utterance.speaker for utterance in used["test"]}),
    )
    forget_work(root)
    hours = sum(utterance.seconds for utterance in utterances) / 3600
    log.info("read %d = used %d + skipped %d; %.2f h of speech", read, len(utterances), len(skipped), hours)
    log.info("%d evaluation items; %.0f s", len(pairs), time.perf_counter() - began)


def _own_pairs(test: Sequence[Utterance], config: CustomConfig) -> list[Pair]:
    pairs = choose_pairs(test, prompt_seconds=config.prompt_seconds, targets_per_speaker=config.targets_per_speaker)
    if not pairs:
        raise DataError(
            "no test speaker has two transcribed recordings, so that nothing can be cloned and compared.",
            code="PAIRS_EMPTY",
            hint="Name others with test_speakers, or give --pairs.",
        )
    return pairs


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0, or 2 with the reason."""
    from docstring_parser import parse
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="python -m recipes.corpora.custom", description=__doc__.split("\n")[0])
    parser.add_argument("--config", action="config", help="YAML with any of these options")
    helps = {item.arg_name: item.description for item in parse(CustomConfig.__doc__).params}
    for field in dataclasses.fields(CustomConfig):
        required = field.default is dataclasses.MISSING
        if field.name in ("list", "test_list"):
            kind: dict = {"nargs": "*", "type": str, "default": []}
        else:
            kind = {"type": field.type, "required": required} | ({} if required else {"default": field.default})
        parser.add_argument(f"--{field.name}", help=helps[field.name], **kind)
    parsed = parser.parse_args(arguments).as_dict()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        values = {field.name: parsed[field.name] for field in dataclasses.fields(CustomConfig)}
        values |= {name: tuple(values[name]) for name in ("list", "test_list", "prompt_seconds")}
        prepare(CustomConfig(**values))
    except ResGenError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
