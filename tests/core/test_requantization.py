"""What quantizing an exact sum of hidden codes gives back (method 6: p(x | z) is not quite a point mass)."""

import math

import pytest
import torch

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.proposal import LatentProposal
from resgen_tts.core.reveal import reveal
from resgen_tts.core.sampler_config import SamplerConfig
from tools.bench.requantization import random_space, recovery, table


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_codes_of_well_separated_books_all_come_back():
    """Each level is a grid whose steps are more than twice what all finer levels can reach together."""
    depth, digits = 4, torch.tensor([-1.0, 0.0, 1.0])
    grid = torch.cartesian_prod(digits, digits)  # [9, 2]
    space = CodeSpace(torch.stack([grid * 4.0**-level for level in range(depth)]), torch.ones(depth))
    by_level, whole, error = recovery(space, torch.randint(0, 9, (500, depth), generator=rng()))
    for number in range(1, depth + 1):
        assert (by_level[number - 1, depth - number :] == 1).all()
        assert by_level[number - 1, : depth - number].isnan().all()
    assert (whole == 1).all()
    assert (error < 1e-10).all()


def test_the_rates_equal_those_of_a_plain_loop():
    space = random_space(depth=4, size=8, dim=3, decay=0.7, rng=rng(1))
    codes = torch.randint(0, 8, (60, 4), generator=rng(2))
    by_level, whole, error = recovery(space, codes)
    assert 0.05 < float(whole[-1]) < float(whole[1]) < 1  # nothing trivial
    for number in range(1, 5):
        same, whole_frames, off, energy = [0] * 4, 0, 0.0, 0.0
        for frame in codes.tolist():
            hidden = range(4 - number, 4)
            total = sum(space.codebooks[level, frame[level]].double() for level in hidden)
            residual, found = total.clone(), {}
            for level in hidden:
                found[level] = int((residual - space.codebooks[level].double()).square().sum(-1).argmin())
                residual = residual - space.codebooks[level, found[level]].double()
                same[level] += found[level] == frame[level]
            whole_frames += all(found[level] == frame[level] for level in hidden)
            off, energy = off + float(residual.square().sum()), energy + float(total.square().sum())
        for level in range(4 - number, 4):
            assert float(by_level[number - 1, level]) == pytest.approx(same[level] / 60)
        assert float(whole[number - 1]) == pytest.approx(whole_frames / 60)
        assert float(error[number - 1]) == pytest.approx(off / energy, rel=1e-4)


def test_the_finest_code_alone_always_comes_back_and_the_table_says_so():
    space = random_space(depth=3, size=16, dim=8, decay=0.8, rng=rng(3))
    codes = torch.randint(0, 16, (200, 3), generator=rng(4))
    by_level, whole, _ = recovery(space, codes)
    assert float(by_level[0, 2]) == float(whole[0]) == 1.0
    lines = table(space, codes).splitlines()
    assert len(lines) == 4
    assert lines[1].split() == ["1", "100.0", "100.0", "0.000", "|", ".", ".", "100.0"]
    deepest = [float(cell) for cell in lines[3].split("|")[1].split()]
    assert deepest == [pytest.approx(100 * float(rate), abs=0.06) for rate in by_level[2]]
    assert not any(math.isnan(rate) for rate in deepest)


def test_a_model_that_knows_the_sum_is_bounded_by_requantization():
    """A point mass at the true z, sampled by `reveal`: with separable books every code comes back; with a greedy
    search that errs, what is final in an early step is explained away in the later ones and the sum stays right."""
    generator = torch.Generator().manual_seed(3)
    depth, frames = 4, 6
    config = SamplerConfig(steps=5, choice_temperature=0.0)
    for size, spacing, exact in ((5, 0.05, True), (16, 0.5, False)):
        books = torch.randn(depth, size, 3, generator=generator) * spacing ** torch.arange(depth)[:, None, None]
        space = CodeSpace(books, books.square().mean((1, 2)) * spacing**2)
        codes = torch.randint(0, size, (40, frames, depth), generator=generator)

        def propose(state, space=space, codes=codes):
            # The true sum less what is visible by now: the best that a model can say of the rest.
            rest = space.total(codes) - space.visible_sum(state.codes, state.hidden_mask)
            return LatentProposal(space, rest, state.codes, state.hidden_mask)

        made = reveal(propose, torch.zeros_like(codes), torch.ones(40, frames, dtype=torch.bool), config, generator)
        rate = (made == codes).double().mean((0, 1))
        error = (space.total(made) - space.total(codes)).square().mean() / space.total(codes).square().mean()
        if exact:
            assert bool((rate == 1).all()), rate
        else:
            assert 0.3 < float(rate[0]) < 1  # or the case shows nothing
        assert float(error) < 0.02


def test_one_frame_of_one_level_is_a_plain_mixture_over_code_vectors():
    """L = 1, D = 1: drawing z and taking the nearest code has the law of the mixture's mass around each code."""
    space = CodeSpace(torch.tensor([[[-1.0], [0.0], [2.0]]]), torch.ones(1))
    draws = 40_000
    generator = torch.Generator().manual_seed(4)
    component = torch.rand(draws, generator=generator) < 0.3
    z = torch.where(component, 2.0, -0.6) + 0.5 * torch.randn(draws, generator=generator)
    codes = torch.zeros(draws, 1, 1, dtype=torch.long)
    made = reveal(
        lambda state: LatentProposal(space, z.view(draws, 1, 1), state.codes, state.hidden_mask),
        codes, torch.ones(draws, 1, dtype=torch.bool), SamplerConfig(steps=1), generator,
    )  # fmt: skip
    normal = torch.distributions.Normal(torch.tensor([-0.6, 2.0]), 0.5)
    weights = torch.tensor([0.7, 0.3])
    edges = [float((weights * normal.cdf(torch.full((2,), edge))).sum()) for edge in (-0.5, 1.0)]
    for code, p in enumerate((edges[0], edges[1] - edges[0], 1 - edges[1])):
        seen = float((made == code).double().mean())
        assert abs(seen - p) < 4 * (p * (1 - p) / draws) ** 0.5
