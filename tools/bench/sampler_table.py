"""How a model should be sampled: WER, likeness, speed and failures over steps, guidance, temperature and nucleus.

One factor at a time is varied around a base, and named combinations stand beside; every cell speaks the same items with
the same seeds and is scored by the same scorers.

    python tools/bench/sampler_table.py --model MODEL --list items.tsv --items 24 --lm DATA/lm --steps 4 8 16 25 \\
        --guidance 1 1.5 2 3 --temperature 0 0.5 1 --top_p 0.3 0.5 0.9 1 --cell "quick: steps=8 guidance=2" \\
        --output exp/sampler

``items.tsv`` is a list of `tools/cross_items.py`; ``--data`` takes the pairs of a prepared corpus instead. The base is
the exported model's sampler, changed by ``--base NAME=VALUE ...``. After each cell ``table.md`` and ``table.json`` are
written anew; a cell that is there already (same model, items, sampler and seed) is not made again.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import ConfigError, DataError, ResGenError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.evaluation.measures.speed import REAL_TIME_FACTOR
from resgen_tts.evaluation.reports.report import NOT_MEASURED

FACTORS = ("steps", "guidance", "temperature", "top_p", "choice_temperature", "schedule")
COLUMNS = {  # of the table: heading, key of a cell, factor, decimals
    "WER closed, %": ("wer", 100, 1),
    "WER open, %": ("wer_open", 100, 1),
    "similarity own": ("similarity_own", 1, 3),
    "others": ("similarity_others", 1, 3),
    "own before others' mean, %": ("own_first", 100, 0),
    "own before any other prompt, %": ("own_prompt_first", 100, 0),
    "leak, %": ("leak", 100, 1),
    "skip, %": ("skip", 100, 1),
    "repeat, %": ("repeat", 100, 1),
    "words heard / text's": ("word_ratio", 1, 2),
}


def plan(
    base: SamplerConfig, factors: Mapping[str, Sequence[str]], named: Sequence[str]
) -> dict[str, tuple[SamplerConfig, str]]:
    """Cells by name: sampler, and what was varied ("" of the base). A value that is the base's own is the base's cell.

    Args:
        base: what is varied.
        factors: name -> values.
        named: ``"NAME: SETTING=VALUE ..."`` each, over the base.
    Raises:
        ConfigError: a setting or value makes no sense, or a name comes twice.
    """
    from resgen_tts.apps.bench.sampler_words import changed

    cells = {"base": (base, "")}
    for factor, values in factors.items():
        for value in values:
            sampler = changed(base, [f"{factor}={value}"])
            if sampler != base:
                cells.setdefault(f"{factor}={value}", (sampler, factor))
    for text in named:
        name, sign, words = text.partition(":")
        name = name.strip()
        if not sign or not words.split() or not name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"--cell {text!r} is not 'NAME: SETTING=VALUE ...'", code="USAGE")
        if name in cells:
            raise ConfigError(f"two cells are called {name}", code="USAGE")
        cells[name] = (changed(base, words.split()), "combination")
    return cells


def told(sampler: SamplerConfig, base: SamplerConfig) -> str:
    """What of a sampler differs from the base, or the base's main settings."""
    shown = ("steps", "guidance_start", "guidance_end", "temperature", "top_p", "choice_temperature")
    names = shown if sampler == base else [name for name, value in vars(sampler).items() if value != vars(base)[name]]
    return ", ".join(f"{name} {getattr(sampler, name)}" for name in names)


def cell_figures(report: Any) -> dict[str, Any]:
    """What the table keeps of a report: intervals as [value, low, high]."""
    clone = report.systems["clone"]

    def kept(interval: Any) -> list[float]:
        return [interval.value, interval.low, interval.high]

    wrong = (clone.second or clone).robustness  # an open vocabulary can hear the prompt's words; a closed one may not
    return {
        "items": report.used,
        "wer": kept(clone.wer),
        "wer_open": None if clone.second is None else kept(clone.second.wer),
        "similarity_own": kept(clone.similarity_own),
        "similarity_others": kept(clone.similarity_others),
        "own_first": kept(clone.own_first),
        "own_prompt_first": kept(clone.own_prompt_first),
        "leak": kept(wrong.leak),
        "skip": kept(clone.robustness.skip),
        "repeat": kept(clone.robustness.repeat),
        "word_ratio": kept(clone.robustness.word_ratio),
        "real_time_factor": clone.speed.real_time_factor,
        "real_time_factor_median": clone.speed.median,
        "silent": clone.silent,
    }


def table(cells: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """The finished cells as Markdown, in the order of the plan."""
    columns = {name: one for name, one in COLUMNS.items() if any(cell.get(one[0]) for cell in cells.values())}
    header = ["cell", "setting", "items", *columns, "RTF (median)", "CPU s / s", "threads", "commit"]
    lines = ["# Sampler settings", "", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for name, cell in cells.items():
        row = [name, cell["setting"], f"{cell['items']}/{cell['wanted']}"]
        if "not_scored" in cell:
            row += [NOT_MEASURED] * (len(columns) + 2)
        else:
            for key, scale, digits in columns.values():
                value, low, high = (scale * part for part in cell[key])
                row.append(f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
            row.append(f"{cell['real_time_factor']:.3f} ({cell['real_time_factor_median']:.3f})")
            row.append(f"{cell['cpu_factor']:.3f}")
        lines.append("| " + " | ".join([*row, str(cell["threads"]), cell["commit"]]) + " |")
    lines += ["", f"Intervals: 95 % over items. RTF: {REAL_TIME_FACTOR}."]
    lines += ["CPU s / s: the same in CPU time, which other programs on the machine do not lengthen much.", ""]
    for name, cell in cells.items():
        if failed := cell["failed"]:
            first, why = next(iter(failed.items()))
            lines += [f"* {name}: {len(failed)} of {cell['wanted']} items failed, the first is {first}: {why}"]
        if "not_scored" in cell:
            lines += [f"* {name} has no figures: {cell['not_scored']}"]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    return "\n".join(lines) + "\n"


def summary(figures: Mapping[str, Any], is_new: bool) -> str:
    """A cell in one line."""
    items = f"{figures['items']}/{figures['wanted']} items"
    took = f"; {figures['seconds_to_speak']:.0f} s + {figures['seconds_to_score']:.0f} s" if is_new else ""
    if "not_scored" in figures:
        return f"{items}, no figures: {figures['not_scored']}{took}"
    return (
        f"{items}, WER {100 * figures['wer'][0]:.1f} %, similarity {figures['similarity_own'][0]:.3f}, own before any "
        f"other prompt {100 * figures['own_prompt_first'][0]:.0f} %, RTF {figures['real_time_factor']:.3f}, "
        f"{figures['threads']} threads{took}"
    )


class Bench:
    """One model, items and scorers."""

    def __init__(self, options: argparse.Namespace):
        from resgen_tts.apps.scoring.synthesize import Manner, model_facts, model_parts, tasks_of_list
        from resgen_tts.apps.weights.pretrained import load_system
        from resgen_tts.common.run_dir import commit_hash, hardware_line, sha256_file
        from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
        from resgen_tts.evaluation.judges.remembered import RememberingEncoder
        from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer
        from resgen_tts.evaluation.protocols.item_list import as_list, read_list
        from resgen_tts.evaluation.protocols.pairs import read_items

        self.output, self.seed = options.output, options.seed
        self.made_with = {"threads": options.threads, "commit": commit_hash()}
        items = read_list(options.list) if options.list is not None else as_list(read_items(options.data))
        items = items[: options.items]
        digests = {one.audio: sha256_file(one.audio) for one in items if one.audio.is_file()}
        parts, self.own_sampler = model_parts(options.model)
        self.system = load_system(**parts)
        self.reference = Manner().reference
        self.tasks = tasks_of_list(items, self.system, self.reference)
        self.recognizer = PocketSphinx(options.lm)
        self.second = PocketSphinx() if options.open_vocabulary else None
        self.encoder = RememberingEncoder(Resemblyzer())
        self.settings = {
            "seed": self.seed,
            "items": [[one.id, one.speaker, one.target, one.text, digests.get(one.audio)] for one in items],
            "recognizer": self.recognizer.name,
            "second": None if self.second is None else self.second.name,
            "models": model_facts(self.system, parts),
        }
        self.facts = {
            "items": f"{len(items)} of {len({one.speaker for one in items})} speakers",
            "scorers": f"{self.recognizer.name}; {self.encoder.name}",
            "leaks": f"heard by {(self.second or self.recognizer).name}",
            "seed": self.seed,
            "hardware": hardware_line(),
        }

    def cell(self, name: str, sampler: SamplerConfig) -> tuple[dict[str, Any], bool]:
        """Figures of one cell, and whether it was made now."""
        import shutil

        from resgen_tts.apps.scoring.synthesize import Manner, speak_tasks
        from resgen_tts.common.run_dir import read_json, write_json

        folder = self.output / "cells" / name.replace("=", "_").replace(":", "_")
        settings = json.loads(json.dumps({**self.settings, "sampler": vars(sampler)}))  # as a file gives it back
        done = folder / "cell.json"
        if done.is_file() and read_json(done)["settings"] == settings:
            return read_json(done)["figures"], False
        if (folder / "run.json").is_file() and read_json(folder / "run.json") != settings:
            shutil.rmtree(folder)  # items of other settings; those of a cell that was stopped are kept
        write_json(folder / "run.json", settings)
        started = time.perf_counter()
        manner = Manner(sampler=sampler, reference=self.reference)
        rows, failed = speak_tasks(self.system, self.tasks, folder, manner, self.seed, has_copies=False)
        spoken = time.perf_counter()
        figures = {
            **self._scored(folder, rows, failed),
            "wanted": len(self.tasks),
            "failed": failed,
            **self.made_with,  # another call may keep this cell
            "seconds_to_speak": round(spoken - started, 1),
            "seconds_to_score": round(time.perf_counter() - spoken, 1),
        }
        write_json(done, {"settings": settings, "figures": figures})
        return figures, True

    def _scored(self, folder: Path, rows: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> dict[str, Any]:
        """Figures of the items that were spoken; settings that break items are a finding, and no reason to stop."""
        from resgen_tts.evaluation.protocols.synth_folder import read_synth
        from resgen_tts.evaluation.scores import Judges, score_folder

        if not rows:
            return {"items": 0, "not_scored": "every item failed"}
        try:
            judges = Judges(recognizer=self.recognizer, encoder=self.encoder, second=self.second)
            report = score_folder(read_synth(folder), judges, seed=self.seed)
        except DataError as error:
            if not failed:
                raise
            return {"items": len(rows), "not_scored": str(error)}  # e.g. one speaker is left
        return {
            **cell_figures(report),
            "cpu_factor": sum(row["cpu_seconds_to_generate"] for row in rows)
            / sum(row["seconds_of_audio"] for row in rows),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", required=True, help="a folder that the stage export wrote, or a bundled model's name"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--list", type=Path, help="table of items")
    source.add_argument("--data", type=Path, help="prepared data, whose evaluation pairs are the items")
    parser.add_argument("--items", type=int, default=24, help="the first so many")
    parser.add_argument("--lm", type=Path, help="folder of a closed vocabulary")
    parser.add_argument("--open_vocabulary", action="store_true", help="hear every output with the open one, too")
    for factor in FACTORS:
        parser.add_argument(f"--{factor}", nargs="*", default=[], metavar="VALUE")
    parser.add_argument("--base", nargs="*", default=[], metavar="NAME=VALUE", help="over the model's own sampler")
    parser.add_argument("--cell", action="append", default=[], metavar="'NAME: SETTING=VALUE ...'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    import torch

    from resgen_tts.apps.bench.sampler_words import changed
    from resgen_tts.common.run_dir import write_json, write_text

    torch.set_num_threads(options.threads)
    try:
        bench = Bench(options)
        base = changed(bench.own_sampler, options.base)
        cells = plan(base, {name: getattr(options, name) for name in FACTORS}, options.cell)
        finished: dict[str, dict[str, Any]] = {}
        for name, (sampler, varied) in cells.items():
            figures, is_new = bench.cell(name, sampler)
            finished[name] = {"varied": varied, "setting": told(sampler, base), **figures, "sampler": vars(sampler)}
            write_text(options.output / "table.md", table(finished, bench.facts))
            write_json(options.output / "table.json", {"facts": bench.facts, "cells": finished})
            print(f"{name}: {summary(figures, is_new)}", flush=True)  # noqa: T201
        print(options.output / "table.md")  # noqa: T201
    except ResGenError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
