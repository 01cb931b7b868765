"""What a stage is: its name, its commands, what it reads and what it leaves behind."""

import shlex
from dataclasses import dataclass

# Fields that say where and how fast, not what: they are no part of a stage's fingerprint.
PLACES = frozenset({"data", "exp", "corpus", "pairs", "vocoder", "nj", "ngpu"})


@dataclass(frozen=True, kw_only=True)
class Command:
    """One call of a Python verb.

    ``line`` is cut at its blanks before ``{fields}`` are filled in, so a path may hold blanks. ``config`` names the
    section of the configuration that the verb gets as ``--config FILE`` (left out where the section is empty) and the
    option ``--<config>_args`` whose words are added at the end. ``device`` names the verb's
    option for the device (none where it has no choice); ``ranks`` marks one that can run once a GPU under torchrun.
    """

    line: str
    config: str = ""
    device: str = ""
    ranks: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a recipe; ``inputs`` and ``outputs`` are paths with ``{data}`` and ``{exp}`` in them."""

    number: int
    name: str
    commands: tuple[Command, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    home: str = "exp"  # where its marker lies: "data" for what all experiments share
    not_selected: str = ""  # why this run does without the stage

    @property
    def label(self) -> str:
        return f"stage {self.number} ({self.name})"


def fill(template: str, fields: dict[str, str]) -> str:
    """Put field values into a template such as ``{exp}/codes``."""
    return template.format_map(fields)


def words(command: Command, fields: dict[str, str], *, config_file: str, extra: list[str]) -> list[str]:
    """The argument list of a command, ready to be run."""
    argv = [fill(word, fields) for word in command.line.split()]
    if config_file:  # before the options, so that those win over it
        first = next((place for place, word in enumerate(argv) if word.startswith("--")), len(argv))
        argv[first:first] = ["--config", config_file]
    if command.device and fields["ngpu"]:
        argv += [command.device, "cpu" if fields["ngpu"] == "0" else "cuda"]
    if command.ranks and int(fields["ngpu"] or 0) > 1:
        launcher = ["python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", fields["ngpu"]]
        argv = [*launcher, "-m", "resgen_tts.apps.cli", *argv[1:]]
    return argv + extra


def used_fields(template: str, fields: dict[str, str]) -> list[str]:
    """Names of the fields in a template that decide what a stage makes."""
    return sorted(name for name in fields if "{" + name + "}" in template and name not in PLACES)


def shown(argv: list[str]) -> str:
    """A command as one would type it."""
    return shlex.join(argv)
