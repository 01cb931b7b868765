"""Small models, codes and masks for the tests of the schemes."""

import torch

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models.ar_resgen import ArResGenConfig
from resgen_tts.models.catalog import build_generator
from resgen_tts.models.resgen import ResGenConfig
from resgen_tts.models.rq_transformer import RqTransformerConfig
from resgen_tts.models.trunk import CodeGenerator, TrunkConfig, measure_level_energy

DEPTH, SIZE, DIM, FRAMES = 3, 12, 6, 4
RESGEN = ResGenConfig(width=48, layers=2, heads=2, components=16, rank=6, condition_dim=5)
AR_RESGEN = ArResGenConfig(width=48, layers=2, heads=2, components=16, rank=6, mlp_layers=2, condition_dim=5)
RQ_TRANSFORMER = RqTransformerConfig(width=48, layers=2, heads=2, depth_layers=2, depth_width=32, condition_dim=5)
LIKELIEST = SamplerConfig(steps=3, top_p=1e-6, temperature=0.0, choice_temperature=0.0)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_space() -> CodeSpace:
    books = torch.randn(DEPTH, SIZE, DIM, generator=rng(7)) * torch.tensor([1.0, 0.5, 0.25])[:, None, None]
    return CodeSpace(books, torch.tensor([0.4, 0.1, 0.02]))


def stable_codes(space: CodeSpace, count: int) -> torch.Tensor:
    """Codes [count, D] that a greedy search gives back from their own sums, whatever set of levels is hidden."""
    codes = space.quantize(torch.randn(1, 60 * count, DIM, generator=rng(8)))
    stable = torch.ones(codes.shape[1], dtype=torch.bool)
    for pattern in range(1, 2**DEPTH):
        hidden = torch.tensor([bool(pattern >> level & 1) for level in range(DEPTH)]).expand(codes.shape)
        stable &= (space.quantize(space.hidden_sum(codes, hidden), hidden, codes) == codes).all(-1)[0]
    return codes[0, stable][:count]


def toy_model(config: TrunkConfig) -> tuple[CodeGenerator, torch.Tensor, torch.Tensor]:
    """A model, codes [8, 4, 3], and a condition that tells the items apart: aligned features, or classes."""
    space = toy_space()
    codes = stable_codes(space, 8 * FRAMES).reshape(8, FRAMES, DEPTH)
    condition = torch.randn(8, FRAMES, 5, generator=rng(9)) if config.condition_dim else torch.arange(8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_generator(config, space, measure_level_energy(space, codes.reshape(-1, DEPTH)))
    return model.eval(), codes, condition


def masks(batch: int = 8, frames: int = FRAMES) -> tuple[torch.Tensor, torch.Tensor]:
    """Everything is target, nothing is padding."""
    return torch.ones(batch, frames, dtype=torch.bool), torch.zeros(batch, frames, dtype=torch.bool)


def overfit(model: CodeGenerator, codes: torch.Tensor, condition: torch.Tensor, steps: int, rate: float) -> float:
    """Adam with a rate that falls linearly to 0; returns how far the loss fell."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        loss, _ = model.loss(codes, *masks(), condition, rng(step))
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses[0] - losses[-1]
