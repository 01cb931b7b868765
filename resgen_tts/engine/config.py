"""What a training run is told; no torch here, so that a command line can read it at no cost."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from resgen_tts.common.errors import CheckpointError, ConfigError

# Fields that change how long, how often or where, but not which numbers a given step computes.
FREE_FIELDS = frozenset(
    {
        "steps", "log_every", "validate_every", "save_every", "keep_checkpoints",
        "threads", "device", "probe_worst", "tensorboard",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a task is trained. One step is one accepted update of the weights."""

    steps: int = 1000  # updates in all; may grow when a run is resumed
    learning_rate: float = 2e-4  # AdamW, peak
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0  # on matrices only; 0 = off
    clip_norm: float = 1.0  # largest gradient norm; 0 = off
    warmup_steps: int = 0  # linear from 1 / warmup_steps of the rate; 0 = off
    schedule: str = "constant"  # after the warm-up: "constant", or "cosine" down to 0 at `steps`
    ema_decay: float = 0.999  # averaged weights, used by validation and the final model; 0 = off
    precision: str = "fp32"  # "fp32", or "bf16" (mixed: weights and losses stay fp32)
    accumulate: int = 1  # batches per update
    adversarial_start: int | None = None  # step at which the discriminator joins; None = never
    discriminator_learning_rate: float = 2e-4
    discriminator_every: int = 1  # generator updates per discriminator update
    log_every: int = 50  # steps
    validate_every: int = 1000  # steps; 0 = only at the end
    save_every: int = 1000  # steps; 0 = only at the end
    keep_checkpoints: int = 2
    seed: int = 0
    threads: int = 0  # CPU threads of torch; 0 = leave as they are
    device: str = "auto"  # "auto" (says what it chose), "cpu", "cuda"
    probe_worst: bool = True  # run the largest batch first, where the task names one
    tensorboard: bool = True  # event files beside metrics.jsonl

    def __post_init__(self):
        object.__setattr__(self, "betas", tuple(self.betas))  # a list, where it comes from YAML
        for name, low in (
            ("steps", 1), ("accumulate", 1), ("discriminator_every", 1), ("log_every", 1), ("keep_checkpoints", 1),
            ("warmup_steps", 0), ("validate_every", 0), ("save_every", 0), ("threads", 0),
            ("weight_decay", 0), ("clip_norm", 0), ("learning_rate", 0), ("discriminator_learning_rate", 0),
        ):  # fmt: skip
            if not getattr(self, name) >= low:
                raise ConfigError(f"train.{name} must be at least {low}, got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"train.ema_decay must be in [0, 1), got {self.ema_decay}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"train.betas must be two numbers in [0, 1), got {self.betas}")
        if self.adversarial_start is not None and self.adversarial_start < 0:
            raise ConfigError(f"train.adversarial_start must be a step or null, got {self.adversarial_start}")
        for name, choices in (
            ("schedule", ("constant", "cosine")),
            ("precision", ("fp32", "bf16")),
            ("device", ("auto", "cpu", "cuda")),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(f"train.{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")


def matters(config: TrainConfig, resolved: dict[str, Any]) -> dict[str, Any]:
    """The settings that a resumed run must share with the run it continues, as {dotted name: value}.

    A section of ``resolved`` that holds the fields of TrainConfig is left out: the values of ``config`` stand for it.
    """
    flat = {f"train.{name}": value for name, value in asdict(config).items() if name not in FREE_FIELDS}
    train_fields = {field.name for field in fields(TrainConfig)}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict):
            if not train_fields <= node.keys():
                for key, value in node.items():
                    walk(f"{prefix}.{key}" if prefix else str(key), value)
        else:
            flat[prefix] = node

    walk("", resolved)
    return json.loads(json.dumps(flat, sort_keys=True, default=str))  # as it reads after a round trip


def config_hash(settings: dict[str, Any]) -> str:
    """A short hash of what ``matters`` returns."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def refuse_difference(before: dict[str, Any], now: dict[str, Any], where: str) -> None:
    """Raise when a run would be continued under other settings.

    Raises:
        CheckpointError: CHECKPOINT_CONFIG, with each difference on a line.
    """
    missing = object()
    lines = [
        f"  {key}: {before.get(key, '(absent)')} -> {now.get(key, '(absent)')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, missing) != now.get(key, missing)
    ]
    if lines:
        raise CheckpointError(
            f"{where} was made with another configuration (then -> now):\n" + "\n".join(lines) + "\n",
            code="CHECKPOINT_CONFIG",
            hint="Restore these settings, or train into another folder.",
        )
