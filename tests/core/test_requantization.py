"""What quantizing an exact sum of hidden codes gives back (method 6: p(x | z) is not quite a point mass)."""

import math

import pytest
import torch

from resgen_tts.core.code_space import CodeSpace
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
