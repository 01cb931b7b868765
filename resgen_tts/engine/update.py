"""One update of the weights: computed whole, then taken or refused whole."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from resgen_tts.common.errors import ResGenError
from resgen_tts.common.randomness import generator, seed_of
from resgen_tts.engine.adversarial import Adversary
from resgen_tts.engine.averaging import AveragedWeights
from resgen_tts.engine.config import TrainConfig
from resgen_tts.engine.launch import seed_global
from resgen_tts.engine.optim import adamw, clip_gradients, gradient_norm, schedule_factor, set_learning_rate, trainable
from resgen_tts.engine.poison import BufferGuard
from resgen_tts.engine.task import Batch, StepOutput, Task


@dataclass(frozen=True)
class Attempt:
    """How a step went.

    Args:
        accepted: False when the loss or a gradient was not finite on any rank; then nothing has changed.
        loss: mean over the step's batches, the generator's adversarial part included.
        grad_norm: before clipping.
        logs: what the task logged, one entry per batch.
    """

    accepted: bool
    loss: float
    grad_norm: float
    logs: dict[str, list[Any]]


class Updater:
    """The trained state (weights, optimizer, average, discriminator) and the rule that moves it.

    Args:
        fabric: a launched lightning_fabric.Fabric.
        agree: makes a yes of one rank a yes of all.
    """

    def __init__(self, fabric: Any, task: Task, config: TrainConfig, agree: Callable[[bool], bool]):
        self._fabric, self._task, self._config, self._agree = fabric, task, config, agree
        self.module = task.model
        self.module.to(fabric.device)
        self.module.train()
        self.optimizer = adamw(
            self.module, learning_rate=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay
        )
        self.model, self._stepper = fabric.setup(self.module, self.optimizer)
        self.adversary = Adversary(fabric, task, config) if config.adversarial_start is not None else None
        self.average = AveragedWeights(self.module, config.ema_decay) if config.ema_decay else None
        self._parameters = list(trainable(self.module).values())
        self._accept = getattr(task, "accept", None)
        self._guard = BufferGuard(self.module, *([self.adversary.module] if self.adversary else []))

    def attempt(self, batches: list[Batch], step: int) -> Attempt:
        """Try update number ``step`` (from 0) on these batches, each with equal weight."""
        outputs, logs, checks = self._gradients(batches, step, adversary=self.adversary)
        values = torch.stack(checks).tolist()  # the one synchronisation of a step
        loss, norm = values[0], values[1]
        accepted = not self._agree(not all(math.isfinite(value) for value in values))
        if accepted:
            self._move(step, norm, values[3] if len(values) > 2 else None)
            if self._accept is not None:
                with torch.no_grad():
                    for output in outputs:
                        self._accept(self.model, output.outputs)
        else:
            self._guard.restore()
        self._forget()
        return Attempt(accepted=accepted, loss=loss, grad_norm=norm, logs=logs)

    def probe(self, batch: Batch) -> None:
        """Run a batch forwards and backwards, discriminator included, and change nothing.

        Raises:
            ResGenError: OUT_OF_MEMORY.
        """
        try:
            step = self._config.adversarial_start or 0
            self._gradients([batch], step, adversary=self.adversary)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            raise ResGenError(
                f"the largest batch ({batch.seconds:.1f} s, {len(batch.ids)} items, first {batch.ids[:1]}) does not "
                f"fit in memory on {self._fabric.device}: {str(error).splitlines()[0][:200]}.",
                code="OUT_OF_MEMORY",
                hint="Use smaller batches and raise train.accumulate by the same factor.",
            ) from error
        finally:
            self._guard.restore()
            self._forget()

    def learning_rate(self, step: int) -> float:
        """The generator's rate in update ``step``."""
        c = self._config
        return c.learning_rate * schedule_factor(step, steps=c.steps, warmup_steps=c.warmup_steps, schedule=c.schedule)

    def _gradients(
        self, batches: list[Batch], step: int, *, adversary: Adversary | None
    ) -> tuple[list[StepOutput], dict[str, list[Any]], list[Tensor]]:
        """Fill the gradients; returns outputs, logs and the scalars that must be finite: loss, norm and, where the
        discriminator learns, its loss and norm."""
        fabric, share = self._fabric, 1 / len(batches)
        joins = adversary is not None and adversary.joins(step)
        learns = adversary is not None and adversary.learns(step)
        names = ("step", step, fabric.global_rank) if fabric.world_size > 1 else ("step", step)
        rng = generator(self._config.seed, *names)
        seed_global(seed_of(self._config.seed, "global", *names), fabric.device)
        self._guard.remember()
        outputs, logs, losses, critic_losses = [], {}, [], []
        for index, batch in enumerate(batches):
            last = index == len(batches) - 1
            with fabric.no_backward_sync(self.model, enabled=not last):
                output = self._task.step(self.model, batch, rng, step)
                loss, seen = output.loss, dict(output.logs)
                if joins:
                    verdict = adversary.judge(batch, output.outputs)
                    loss = loss + verdict.loss
                    seen.update(verdict.logs)
                fabric.backward(loss * share if share != 1 else loss)
            losses.append(loss.detach().float())
            if learns:
                critic = adversary.learn(batch, output.outputs, share=share, last=last)
                critic_losses.append(critic.loss.detach().float())
                seen.update(discriminator_loss=critic_losses[-1], **critic.logs)
            for name, value in seen.items():
                logs.setdefault(name, []).append(value.detach() if isinstance(value, Tensor) else value)
            if self._accept is not None:  # else they need not be kept
                outputs.append(output)
        checks = [_mean(losses), gradient_norm(self._parameters).float()]
        if learns:
            checks += [_mean(critic_losses), adversary.gradient_norm().float()]
        return outputs, logs, checks

    def _move(self, step: int, norm: float, critic_norm: float | None) -> None:
        clip_gradients(self._parameters, norm, self._config.clip_norm)
        set_learning_rate(self.optimizer, self.learning_rate(step))
        self._stepper.step()
        if critic_norm is not None:
            self.adversary.move(step, critic_norm)
        if self.average is not None:
            self.average.update(step + 1)

    def _forget(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.adversary is not None:
            self.adversary.forget()


def _mean(losses: list[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or "can't allocate memory" in str(error)
