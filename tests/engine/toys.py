"""Small tasks for the engine's tests; importable, so that a child process can train them too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.randomness import generator
from resgen_tts.engine.task import StepOutput


@dataclass(frozen=True)
class ToyBatch:
    ids: tuple[str, ...]
    x: Tensor
    y: Tensor
    seconds: float = 1.0

    def to(self, device: torch.device) -> "ToyBatch":
        return ToyBatch(ids=self.ids, x=self.x.to(device), y=self.y.to(device), seconds=self.seconds)


class ToyModel(nn.Module):
    """A regression with what a resumed run could get wrong: dropout, batch norm, a buffer learnt without gradient."""

    def __init__(self, *, dropout: float = 0.1, norm: bool = True):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Dropout(dropout), nn.Linear(8, 2)
        )
        self.register_buffer("mean_output", torch.zeros(2))
        self.register_buffer("forward_calls", torch.zeros((), dtype=torch.int64))
        for name, value in self.named_parameters():
            value.data = torch.randn(value.shape, generator=generator(0, name)) * 0.3

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.forward_calls += 1
        return self.net(x)


class ToyTask:
    """``batches`` per epoch of ``size`` items; ``spoil(batch id)`` says which batches are poisoned."""

    def __init__(
        self,
        *,
        batches: int = 9,
        size: int = 4,
        spoil: Callable[[str], bool] = lambda name: False,
        model: nn.Module | None = None,
    ):
        self.model = ToyModel() if model is None else model
        self.batches, self.size, self.spoil = batches, size, spoil
        self.seen: list[str] = []
        self.losses: list[float] = []
        self.accepted = 0
        self.validated: list[Tensor] = []
        self.before_step: Callable[[int], None] = lambda step: None

    def train_batches(self, epoch: int) -> Iterator[ToyBatch]:
        for index in range(self.batches):
            name = f"{epoch}/{index}"
            x = torch.randn(self.size, 4, generator=generator(1, name))
            y = x[:, :2] * 2 + (torch.inf if self.spoil(name) else 0)
            yield ToyBatch(ids=(name,), x=x, y=y)

    def step(self, model: nn.Module, batch: ToyBatch, rng: torch.Generator, step: int) -> StepOutput:
        self.before_step(step)
        noise = torch.randn(batch.x.shape, generator=rng) * 0.01
        output = model(batch.x + noise)
        loss = (output - batch.y).pow(2).mean()
        self.seen.append(batch.ids[0])
        self.losses.append(loss.item())
        return StepOutput(loss=loss, logs={"squares": loss}, outputs={"output": output})

    def accept(self, model: nn.Module, outputs: dict[str, Tensor]) -> None:
        self.accepted += 1
        model.mean_output.lerp_(outputs["output"].mean(dim=0), 0.1)

    def validate(self, model: nn.Module, rng: torch.Generator) -> dict[str, float]:
        assert not model.training and not torch.is_grad_enabled()
        self.validated.append(next(model.parameters()).detach().clone())
        x = torch.randn(16, 4, generator=rng)
        return {"error": (model(x) - x[:, :2] * 2).pow(2).mean().item()}

    def plots(self, model: nn.Module, folder: Path, step: int) -> None:
        (folder / f"{step}.txt").write_text("a picture")


class ToyGan(ToyTask):
    """The same regression, with a discriminator that should tell output from truth."""

    def __init__(self, *, norm: bool = True, **options: object):
        super().__init__(**options)
        middle = nn.BatchNorm1d(8) if norm else nn.Identity()
        self.discriminator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), middle, nn.Linear(8, 1))
        for name, value in self.discriminator.named_parameters():
            value.data = torch.randn(value.shape, generator=generator(2, name)) * 0.3
        self.calls: list[tuple[str, bool]] = []

    def adversarial(self, discriminator: nn.Module, batch: ToyBatch, outputs: dict[str, Tensor]) -> StepOutput:
        self.calls.append(("judge", any(p.requires_grad for p in discriminator.parameters())))
        return StepOutput(loss=0.1 * (discriminator(outputs["output"]) - 1).pow(2).mean(), logs={"fooling": 1.0})

    def discriminator_step(self, discriminator: nn.Module, batch: ToyBatch, outputs: dict[str, Tensor]) -> StepOutput:
        self.calls.append(("learn", outputs["output"].requires_grad))
        real, fake = discriminator(batch.y), discriminator(outputs["output"])
        return StepOutput(loss=(real - 1).pow(2).mean() + fake.pow(2).mean())
