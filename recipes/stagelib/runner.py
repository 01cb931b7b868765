"""Order, skip, stop and resume: what turns a table of stages into a recipe."""

import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from recipes.stagelib.fingerprint import Digests, differences, flatten
from recipes.stagelib.markers import locked, marker_path, read_marker, write_marker
from recipes.stagelib.process import offending_item, run_logged, tail
from recipes.stagelib.stage import Command, Stage, fill, shown, used_fields, words
from resgen_tts.common.errors import ResGenError
from resgen_tts.common.run_dir import commit_hash, write_text

TAIL_LINES = 15


class StageError(ResGenError):
    """A stage that cannot start, or that failed."""

    default_code = "STAGE_FAILED"


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is known of a stage: its word for the list, and what changed since its marker was written."""

    word: str  # done | stale | stopped | lost | not run | not selected
    changes: list[str] = field(default_factory=list)
    marker: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A recipe, ready to be listed or run.

    ``root`` is the folder that commands run in and that relative paths start from; ``fields`` fill the stages'
    templates; ``configs`` holds the resolved configuration by section and ``extra`` the added words by section.
    """

    root: Path
    stages: list[Stage]
    fields: dict[str, str]
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    extra: dict[str, list[str]] = field(default_factory=dict)
    digests: Digests = field(default_factory=Digests)

    # -- what is there ------------------------------------------------------------------------------------------

    def path(self, template: str) -> Path:
        return self.root / fill(template, self.fields)

    def shown_path(self, template: str) -> str:
        return fill(template, self.fields)

    def home(self, stage: Stage) -> Path:
        return self.path("{" + stage.home + "}")

    def marker(self, stage: Stage) -> Path:
        return marker_path(self.home(stage), stage.number, stage.name)

    def log(self, stage: Stage) -> Path:
        return self.path("{exp}") / "logs" / f"{stage.name}.log"

    def fingerprint(self, stage: Stage) -> dict[str, Any]:
        """Everything that decides what a stage makes, flat: commands, options, configuration, inputs."""
        entries: dict[str, Any] = {}
        for position, command in enumerate(stage.commands, start=1):
            entries[f"command.{position}"] = command.line
            if self.extra.get(command.config):
                entries[f"{command.config}_args"] = shown(self.extra[command.config])
            if self.configs.get(command.config):
                entries.update(flatten(self.configs[command.config], f"config.{command.config}"))
            for name in used_fields(command.line, self.fields):
                entries[f"option.{name}"] = self.fields[name]
        for template in stage.inputs:
            entries[f"input.{template}"] = self.digests.of(self.path(template))
        return {key: value if isinstance(value, int | float | str) else str(value) for key, value in entries.items()}

    def status(self, stage: Stage) -> Status:
        if stage.not_selected:
            return Status(word="not selected")
        marker = read_marker(self.marker(stage))
        if marker is None:
            return Status(word="not run")
        changes = differences(marker["fingerprint"], self.fingerprint(stage))
        finished = marker.get("state") == "done"
        if changes and not finished and not any(self.path(template).exists() for template in stage.outputs):
            return Status(word="not run")  # it failed before it made anything: nothing old can be mixed in
        if changes:
            return Status(word="stale", changes=changes, marker=marker)
        if not finished:
            return Status(word="stopped", marker=marker)
        if not all(self.path(template).exists() for template in stage.outputs):
            return Status(word="lost", marker=marker)
        return Status(word="done", marker=marker)

    def argv(self, command: Command) -> list[str]:
        config = f"{self.fields['exp']}/conf/{command.config}.yaml" if self.configs.get(command.config) else ""
        return words(command, self.fields, config_file=config, extra=self.extra.get(command.config, []))

    def listing(self) -> str:
        """The stages with their inputs, outputs and status, one block each."""
        lines = []
        for stage in self.stages:
            status = self.status(stage)
            lines.append(f"{stage.number:>3}  {stage.name:<11} {status.word}")
            if stage.not_selected:
                lines.append(f"       {stage.not_selected}")
                continue
            for word, templates in (("reads", stage.inputs), ("leaves", stage.outputs)):
                if templates:
                    lines.append(f"       {word:<7} {', '.join(self.shown_path(t) for t in templates)}")
            lines += [f"       changed {change}" for change in status.changes]
        return "\n".join(lines)

    def plan(self, selected: list[Stage], *, force: bool) -> str:
        """What a run would do, command by command."""
        lines = []
        for stage in selected:
            status = self.status(stage)
            skipped = status.word == "not selected" or (status.word == "done" and not force)
            lines.append(f"# {stage.label}: {status.word}{', skipped' if skipped else ''}")
            lines += [f"#   changed {change}" for change in status.changes]
            if not skipped:
                lines += [shown(self.argv(command)) for command in stage.commands]
        return "\n".join(lines)

    def resolved(self) -> str:
        """The resolved configuration as YAML."""
        options = {name: value for name, value in self.fields.items() if value}
        extra = {f"{name}_args": shown(value) for name, value in self.extra.items() if value}
        sections = {name: value for name, value in self.configs.items() if value}
        return yaml.safe_dump({"options": options | extra, **sections}, sort_keys=False, allow_unicode=True)

    # -- doing it -----------------------------------------------------------------------------------------------

    def run(self, selected: list[Stage], *, force: bool) -> None:
        """Run the selected stages in order; what is done is skipped.

        Raises:
            StageError: an input is missing or half-made, an earlier result is stale, or a verb failed.
            BusyError: another run works in the same folders.
        """
        with locked([self.path("{data}"), self.path("{exp}")]) as locks:
            write_text(self.path("{exp}") / "config.yaml", self.resolved())
            for stage in selected:
                self._run_stage(stage, force=force, locks=locks)

    def _run_stage(self, stage: Stage, *, force: bool, locks: tuple[int, ...]) -> None:
        if stage.not_selected:
            print(f"== {stage.label}: not selected, skipped: {stage.not_selected}", flush=True)
            return
        self._check_inputs(stage)
        status = self.status(stage)
        if status.word == "done" and not force:
            print(f"== {stage.label}: done ({status.marker['finished']}), skipped", flush=True)
            return
        if status.word == "stale" and not force:
            raise StageError(
                f"{stage.label} was made from other inputs or options than these:\n  " + "\n  ".join(status.changes),
                code="STAGE_STALE",
                hint=f"\nTo make it anew: --stages {stage.name} --force. To keep both: another --tag or --expdir.",
            )
        if force and status.marker is not None:
            self._clear(stage)
        resumes = status.word == "stopped" and not force
        self._run_commands(stage, first=status.marker["commands_done"] if resumes else 0, locks=locks)

    def _check_inputs(self, stage: Stage) -> None:
        for template in stage.inputs:
            maker = self._maker(template)
            hint = f"Run {maker.label} first: --stages {maker.name}" if maker else "Check the path."
            if not self.path(template).exists():
                raise StageError(
                    f"{stage.label} reads {self.shown_path(template)}, which is not there.",
                    code="STAGE_INPUT_MISSING",
                    hint=hint,
                )
            marker = read_marker(self.marker(maker)) if maker else None
            if marker is not None and marker.get("state") != "done":
                raise StageError(
                    f"{stage.label} reads {self.shown_path(template)}, which is half-made.",
                    code="STAGE_INPUT_UNFINISHED",
                    hint=hint,
                )

    def _maker(self, template: str) -> Stage | None:
        """The stage that leaves a path, or the folder that it lies in."""
        for stage in self.stages:
            if any(template == output or template.startswith(output + "/") for output in stage.outputs):
                return stage
        return None

    def _clear(self, stage: Stage) -> None:
        for template in stage.outputs:
            path = self.path(template)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.marker(stage).unlink(missing_ok=True)

    def _run_commands(self, stage: Stage, *, first: int, locks: tuple[int, ...]) -> None:
        log, marker = self.log(stage), self.marker(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        known = {"stage": stage.name, "fingerprint": self.fingerprint(stage), "commit": commit_hash()}
        for position, command in enumerate(stage.commands):
            if position < first:
                continue
            write_marker(marker, **known, state="started", commands_done=position)
            if self.configs.get(command.config):
                config = self.path("{exp}") / "conf" / f"{command.config}.yaml"
                write_text(config, yaml.safe_dump(self.configs[command.config], sort_keys=False, allow_unicode=True))
            argv = self.argv(command)
            print(f"== {stage.label}: {shown(argv)}", flush=True)
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"# {_now()} commit {known['commit']}: {shown(argv)}\n")
            code = run_logged(_executable(argv), cwd=self.root, env=_environment(self.root), log=log, locks=locks)
            if code:
                self._fail(stage, argv, code)
        self.digests.forget()
        absent = [self.shown_path(template) for template in stage.outputs if not self.path(template).exists()]
        if absent:
            raise StageError(f"{stage.label} ended well but left no {absent[0]}. Log: {log}", code="STAGE_NO_OUTPUT")
        seconds = round(time.monotonic() - started, 1)
        ended = {"state": "done", "commands_done": len(stage.commands), "finished": _now(), "seconds": seconds}
        write_marker(marker, **known, **ended)
        print(f"== {stage.label}: done in {seconds} s", flush=True)

    def _fail(self, stage: Stage, argv: list[str], code: int) -> None:
        log = self.log(stage)
        last = tail(log, TAIL_LINES)
        if code in (75, 130, 143):
            error = StageError(
                f"{stage.label} was stopped. Log: {log}",
                code="STAGE_STOPPED",
                hint="The same command goes on from here.",
            )
        else:
            item = offending_item(last)
            error = StageError(
                f"{stage.label} failed with exit status {code}.\n  command: {shown(argv)}\n  log: {log}"
                + (f"\n  item: {item}" if item else "")
                + f"\n  last lines of the log:\n    {_indented(last)}",
                hint="\nThe same command goes on from here once the cause is mended.",
            )
        error.exit_code = code
        raise error


def _indented(lines: list[str]) -> str:
    return "\n    ".join(lines)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _executable(argv: list[str]) -> list[str]:
    """The command with this Python, and the console script beside it, in front."""
    if argv[0] == "python":
        return [sys.executable, *argv[1:]]
    beside = Path(sys.executable).with_name(argv[0])
    return [str(beside) if beside.exists() else argv[0], *argv[1:]]


def _environment(root: Path) -> dict[str, str]:
    """The environment of a verb: this checkout importable, its output unbuffered, idle threads not spinning."""
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    return quiet | os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
