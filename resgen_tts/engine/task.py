"""What the loop needs from a thing to train."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@dataclass
class StepOutput:
    """What one forward pass gives the loop.

    Args:
        loss: scalar to minimise, a mean over the batch (accumulated batches are averaged with equal weight).
        logs: scalars for the curves; tensors are read only when a line is logged, so they cost no synchronisation.
        outputs: tensors that the adversarial steps and ``accept`` want to see again.
    """

    loss: Tensor
    logs: dict[str, Tensor | float] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Batch(Protocol):
    """Some items, with their ids and the seconds of audio (or the number of images) they hold."""

    ids: tuple[str, ...]
    seconds: float

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        ...


@runtime_checkable
class Task(Protocol):
    """A model, its data and its loss.

    ``step`` should reach the model through ``model(...)``: that call carries mixed precision and, on several devices,
    the exchange of gradients. Other methods of the model are for ``validate`` and ``plots``.

    Two more methods are used where a task has them:

    * ``accept(model, outputs)`` is called under no_grad after the optimizer moved, once per batch of the step in
      order, with that batch's ``StepOutput.outputs``. State that is not learnt by gradient (codebook averages) is best
      updated there. Buffers that a forward pass changes in place are also safe: a refused step puts them back.
    * ``worst_batch()`` returns the largest batch that training can meet; it is tried first.
    """

    model: nn.Module

    def train_batches(self, epoch: int) -> Iterable[Batch]:
        """The batches of one epoch, the same each time it is asked. Read in a thread, ahead of the steps."""
        ...

    def step(self, model: nn.Module, batch: Batch, rng: torch.Generator, step: int) -> StepOutput:
        """The loss of one batch; ``rng`` (CPU) is derived from the run seed and the step."""
        ...

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        """Scores under no_grad, in eval mode, with averaged weights; the first key is the headline. ``rng`` is the
        same at each call, so that scores can be compared."""
        ...

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        """Write pictures or samples beside the curves, after each validation and under its conditions."""
        ...


@runtime_checkable
class AdversarialTask(Task, Protocol):
    """A task with a discriminator, used from ``TrainConfig.adversarial_start`` on."""

    discriminator: nn.Module

    def adversarial(self, discriminator: nn.Module, batch: Batch, outputs: dict[str, Tensor]) -> StepOutput:
        """The generator's side, already weighted; the discriminator takes no gradient from it."""
        ...

    def discriminator_step(self, discriminator: nn.Module, batch: Batch, outputs: dict[str, Tensor]) -> StepOutput:
        """The discriminator's side; ``outputs`` are detached from the generator."""
        ...
