"""The options that every recipe takes: dash or underscore, by name, none unknown."""

import argparse
import os
import shlex

from recipes.stagelib.stage import Stage
from resgen_tts.common.errors import ConfigError


def parser(
    program: str, description: str, stages: list[tuple[int, str]], sections: list[str]
) -> argparse.ArgumentParser:
    """The shared options; a recipe adds its own to what is returned."""
    known = ", ".join(f"{number} {name}" for number, name in stages)
    result = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=f"stages: {known}. Options may be written with dashes or underscores.",
        allow_abbrev=False,
    )
    choice = result.add_argument_group("which stages")
    choice.add_argument("--stage", default="", metavar="N", help="first stage, by number or name (default: the first)")
    choice.add_argument("--stop_stage", default="", metavar="M", help="last stage (default: the last)")
    choice.add_argument("--stages", default="", metavar="A,B", help="just these, by number or name")
    choice.add_argument("--list_stages", action="store_true", help="numbers, names, inputs, outputs, status; then stop")
    choice.add_argument("--force", action="store_true", help="make the chosen stages anew, removing what they left")
    choice.add_argument("--dry_run", action="store_true", help="print the commands, run nothing")
    place = result.add_argument_group("where and how")
    place.add_argument("--tag", default="", help="name of the experiment (default: base, or smoke)")
    place.add_argument("--expdir", default="", help="its folder (default: <recipe>/exp/<tag>)")
    place.add_argument("--datadir", default="", help="prepared data (default: <recipe>/data/full, or smoke)")
    place.add_argument("--nj", type=int, default=os.cpu_count() or 1, help="parallel jobs (default: all cores)")
    place.add_argument("--ngpu", type=int, help="GPUs; 0 for the CPU (default: each verb takes what is there)")
    place.add_argument("--num_nodes", type=int, default=1, help="machines")
    what = result.add_argument_group("what")
    what.add_argument("--smoke", action="store_true", help="every stage on a handful of clips: minutes, no quality")
    what.add_argument("--seed", type=int, default=0, help="seed of training and synthesis")
    what.add_argument("--config", default="", metavar="FILE", help="YAML put over the recipe's: one section a verb")
    what.add_argument("--print_config", action="store_true", help="print the resolved configuration, then stop")
    for section in sections:
        what.add_argument(
            f"--{section}_args", default="", metavar="WORDS", help=f"words added to the verb of {section}"
        )
    return result


def parse(known: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Parse, taking ``--stop-stage`` for ``--stop_stage``; an unknown option ends the program with status 2."""
    names = {name for action in known._actions for name in action.option_strings if name.startswith("--")}
    tidy = []
    for word in argv:
        name, equals, value = word.partition("=")
        plain = "--" + name[2:].replace("-", "_") if name.startswith("--") else name
        # The word after --train_args is a value even where it starts with dashes.
        if tidy and tidy[-1].endswith("_args") and tidy[-1] in names:
            tidy[-1] += "=" + word
        else:
            tidy.append(plain + equals + value if plain in names else word)
    return known.parse_args(tidy)


def check_launch(ngpu: int | None, num_nodes: int, nj: int) -> None:
    """Refuse counts that mean nothing.

    Raises:
        ConfigError: a count is out of range.
    """
    if ngpu is not None and ngpu < 0:
        raise ConfigError(f"--ngpu must be at least 0, got {ngpu}.")
    if num_nodes < 1:
        raise ConfigError(f"--num_nodes must be at least 1, got {num_nodes}.")
    if num_nodes > 1:
        raise ConfigError(
            f"--num_nodes {num_nodes}: the stage runner starts processes on this machine only.",
            code="LAUNCH_UNSUPPORTED",
            hint="Take the training command from --dry_run and start it on each machine under torchrun or Slurm.",
        )
    if nj < 1:
        raise ConfigError(f"--nj must be at least 1, got {nj}.")


def extra_words(options: argparse.Namespace, sections: list[str]) -> dict[str, list[str]]:
    """The added words of each section, cut as a shell would."""
    result = {}
    for section in sections:
        try:
            result[section] = shlex.split(getattr(options, f"{section}_args"))
        except ValueError as error:
            raise ConfigError(f"--{section}_args: {error}.") from error
    return result


def select(stages: list[Stage], *, first: str, last: str, names: str) -> list[Stage]:
    """The stages that were asked for, in the table's order.

    Raises:
        ConfigError: a stage that is not in the table, both ways of choosing at once, or an empty range.
    """
    if names and (first or last):
        raise ConfigError("--stages and --stage/--stop_stage exclude each other.")
    if names:
        wanted = {_find(stages, name.strip()).number for name in names.split(",") if name.strip()}
        return [stage for stage in stages if stage.number in wanted]
    start = _find(stages, first).number if first else stages[0].number
    stop = _find(stages, last).number if last else stages[-1].number
    if start > stop:
        raise ConfigError(f"--stage {first} comes after --stop_stage {last}.")
    return [stage for stage in stages if start <= stage.number <= stop]


def _find(stages: list[Stage], key: str) -> Stage:
    for stage in stages:
        if key in (stage.name, str(stage.number)):
            return stage
    known = ", ".join(f"{stage.number} {stage.name}" for stage in stages)
    raise ConfigError(f"no stage {key!r}; the stages are {known}.", code="STAGE_UNKNOWN")
