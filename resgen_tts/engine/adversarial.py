"""The discriminator beside the generator: whose turn it is, and who takes gradient from what.

Both sides of one step are computed from the weights before it (simultaneous updates), so that a step in which either
side is not finite can be refused as a whole.
"""

from typing import Any

from torch import Tensor

from resgen_tts.engine.config import TrainConfig
from resgen_tts.engine.optim import adamw, clip_gradients, gradient_norm, schedule_factor, set_learning_rate, trainable
from resgen_tts.engine.task import AdversarialTask, Batch, StepOutput


class Adversary:
    """A task's discriminator with its optimizer.

    Args:
        fabric: a launched lightning_fabric.Fabric.
        task: its ``discriminator`` is moved to the device and trained in place.
        config: ``adversarial_start`` must be set.
    """

    def __init__(self, fabric: Any, task: AdversarialTask, config: TrainConfig):
        assert config.adversarial_start is not None
        self._fabric, self._task, self._config = fabric, task, config
        self.module = task.discriminator
        self.module.to(fabric.device)
        self.module.train()
        self.optimizer = adamw(
            self.module,
            learning_rate=config.discriminator_learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        self._wrapped, self._stepper = fabric.setup(self.module, self.optimizer)
        self._parameters = list(trainable(self.module).values())

    def joins(self, step: int) -> bool:
        """Whether the generator hears the discriminator in this step."""
        return step >= self._config.adversarial_start

    def learns(self, step: int) -> bool:
        """Whether the discriminator itself is updated in this step."""
        return self.joins(step) and (step - self._config.adversarial_start) % self._config.discriminator_every == 0

    def judge(self, batch: Batch, outputs: dict[str, Tensor]) -> StepOutput:
        """The generator's side. The discriminator is frozen meanwhile: no gradient is computed for it."""
        for parameter in self._parameters:
            parameter.requires_grad_(False)
        try:
            with self._fabric.no_backward_sync(self._wrapped):
                return self._task.adversarial(self._wrapped, batch, outputs)
        finally:
            for parameter in self._parameters:
                parameter.requires_grad_(True)

    def learn(self, batch: Batch, outputs: dict[str, Tensor], *, share: float, last: bool) -> StepOutput:
        """The discriminator's side: compute its loss and add ``share`` times its gradient."""
        detached = {name: value.detach() for name, value in outputs.items()}
        with self._fabric.no_backward_sync(self._wrapped, enabled=not last):
            output = self._task.discriminator_step(self._wrapped, batch, detached)
            self._fabric.backward(output.loss * share)
        return output

    def gradient_norm(self) -> Tensor:
        """The norm of the collected gradient."""
        return gradient_norm(self._parameters)

    def move(self, step: int, norm: float) -> None:
        """Update the weights from the collected gradient."""
        config, start = self._config, self._config.adversarial_start
        clip_gradients(self._parameters, norm, config.clip_norm)
        factor = schedule_factor(
            step - start, steps=config.steps - start, warmup_steps=config.warmup_steps, schedule=config.schedule
        )
        set_learning_rate(self.optimizer, config.discriminator_learning_rate * factor)
        self._stepper.step()

    def forget(self) -> None:
        """Drop the collected gradient."""
        self.optimizer.zero_grad(set_to_none=True)
