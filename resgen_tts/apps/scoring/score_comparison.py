"""``score --compare`` and ``score --seeds``: scored folders side by side, without listening to anything again."""

import argparse
import sys
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import read_json, write_json, write_text
from resgen_tts.evaluation.reports.stored_scores import SCORES_FILE


def main(words: list[str]) -> None:
    """Compare what was scored, and print the tables.

    Raises:
        ConfigError: folders that are no two, or one of them twice.
        DataError: scores that must not stand side by side, or share no items; what differs is named.
    """
    parser = argparse.ArgumentParser(prog="resgen-tts score", description="Set scored folders side by side.")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--compare", nargs="+", type=Path, metavar="DIR", help="the others are compared with the first")
    kind.add_argument("--seeds", nargs="+", type=Path, metavar="DIR", help="one system, spoken with several seeds")
    parser.add_argument("--system", default="clone", help="which system of them (default: clone)")
    parser.add_argument("--other_system", default=None, help="of the later folders, where it has another name there")
    parser.add_argument("--output", type=Path, default=None, help="write comparison.md and comparison.json here, too")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals and of the paired tests")
    options = parser.parse_args(words)
    folders = options.compare or options.seeds
    if len(folders) < 2 and (options.seeds or options.other_system is None):
        raise ConfigError("give at least two scored folders.", code="USAGE")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("a folder is named twice.", code="USAGE")
    scores = [read_json(folder / SCORES_FILE) for folder in folders]
    made, texts = _tables(options, folders, scores)
    print("\n".join(texts))
    if options.output is not None:
        write_text(options.output / "comparison.md", "\n".join(texts) + "\n")
        write_json(options.output / "comparison.json", made)
        sys.stderr.write(f"{options.output / 'comparison.md'}\n")


def _tables(
    options: argparse.Namespace, folders: list[Path], scores: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The figures as plain values, and as Markdown."""
    if options.seeds:
        from resgen_tts.evaluation.reports.seeds import seeds_markdown, summarize_seeds

        summary = summarize_seeds(scores, options.system, seed=options.seed)
        return [summary.to_json()], [seeds_markdown(summary)]
    from resgen_tts.evaluation.reports.comparison import compare, comparison_markdown, correct

    # One folder is compared with itself where it holds both systems.
    later = list(zip(folders[1:], scores[1:], strict=True)) or [(folders[0], scores[0])]
    found = correct(
        [
            compare(scores[0], other, options.system, seed=options.seed, second_system=options.other_system)
            for _, other in later
        ]
    )
    texts = [
        comparison_markdown(one, (str(folders[0]), str(folder))) for one, (folder, _) in zip(found, later, strict=True)
    ]
    return [one.to_json() for one in found], texts
