"""Exponential moving average of the weights."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from resgen_tts.engine.optim import trainable


def decay_at(update: int, decay: float) -> float:
    """The decay of update number ``update`` (from 1): min(decay, (1 + n) / (10 + n)), short at first so that the
    random initial weights are forgotten soon."""
    return min(decay, (1 + update) / (10 + update))


class AveragedWeights:
    """average <- d_n average + (1 - d_n) weights after each update n, so that after N updates

        average = w_0 prod_n d_n + sum_n w_n (1 - d_n) prod_{m > n} d_m.

    Only parameters that take a gradient are averaged; frozen ones and buffers are the model's own.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self._weights = list(trainable(module).values())
        self._names = list(trainable(module))
        self._averages = [value.detach().clone() for value in self._weights]

    @torch.no_grad()
    def update(self, update: int) -> None:
        """Take in the weights after update number ``update`` (from 1)."""
        torch._foreach_lerp_(self._averages, [w.detach() for w in self._weights], 1 - decay_at(update, self.decay))

    def tensors(self) -> dict[str, Tensor]:
        """The averages by parameter name."""
        return dict(zip(self._names, self._averages, strict=True))

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Put back what ``tensors`` gave."""
        for name, average in self.tensors().items():
            average.copy_(tensors[name])

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within this block the model holds the averages (its storage is swapped, nothing is copied)."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for index, weight in enumerate(self._weights):
            weight.data, self._averages[index] = self._averages[index], weight.data
