"""Small models, codes and masks for the tests of the schemes that go frame by frame."""

import torch

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.masking import suffix_mask
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models.ar_resgen import ArResGen, ArResGenConfig
from resgen_tts.models.frame_by_frame import FrameByFrame
from resgen_tts.models.rq_transformer import RqTransformer, RqTransformerConfig
from resgen_tts.models.trunk import TrunkConfig, measure_level_energy

DEPTH, SIZE, DIM, FRAMES = 3, 12, 6, 4
AR_RESGEN = ArResGenConfig(width=48, layers=2, heads=2, components=16, rank=6, mlp_layers=2, condition_dim=5)
RQ_TRANSFORMER = RqTransformerConfig(width=48, layers=2, heads=2, depth_layers=2, depth_width=32, condition_dim=5)
LIKELIEST = SamplerConfig(steps=3, top_p=1e-6, temperature=0.0, choice_temperature=0.0)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_space() -> CodeSpace:
    books = torch.randn(DEPTH, SIZE, DIM, generator=rng(7)) * torch.tensor([1.0, 0.5, 0.25])[:, None, None]
    return CodeSpace(books, torch.tensor([0.4, 0.1, 0.02]))


def stable_codes(space: CodeSpace, count: int) -> torch.Tensor:
    """Codes [count, D] that a greedy search gives back from their own sums, whatever number of levels is hidden."""
    codes = space.quantize(torch.randn(1, 40 * count, DIM, generator=rng(8)))
    stable = torch.ones(codes.shape[1], dtype=torch.bool)
    for num_hidden in range(1, DEPTH + 1):
        hidden = suffix_mask(torch.full(codes.shape[:2], num_hidden), DEPTH)
        stable &= (space.quantize(space.hidden_sum(codes, hidden), hidden, codes) == codes).all(-1)[0]
    return codes[0, stable][:count]


def toy_model(config: TrunkConfig) -> tuple[FrameByFrame, torch.Tensor, torch.Tensor]:
    """A model, codes [8, 4, 3], and aligned features that tell the items apart."""
    space = toy_space()
    codes = stable_codes(space, 8 * FRAMES).reshape(8, FRAMES, DEPTH)
    features = torch.randn(8, FRAMES, 5, generator=rng(9))
    scheme = ArResGen if isinstance(config, ArResGenConfig) else RqTransformer
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = scheme(config, space, measure_level_energy(space, codes.reshape(-1, DEPTH)))
    return model.eval(), codes, features


def masks(batch: int = 8, frames: int = FRAMES) -> tuple[torch.Tensor, torch.Tensor]:
    """Everything is target, nothing is padding."""
    return torch.ones(batch, frames, dtype=torch.bool), torch.zeros(batch, frames, dtype=torch.bool)


def overfit(model: FrameByFrame, codes: torch.Tensor, condition: torch.Tensor, steps: int, rate: float) -> None:
    """Adam with a rate that falls linearly to 0."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        loss, _ = model.loss(codes, *masks(), condition, rng(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
