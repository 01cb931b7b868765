"""Schedules, integer plans, and the law of the training mask."""

import itertools
import math
from collections import Counter

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.masking import MASKINGS, draw_hidden_mask, spread_over_frames, suffix_mask
from resgen_tts.core.schedule import SCHEDULES, num_hidden_slots, reveal_plan, schedule_by_name


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("circle", math.pi / 4),
        ("cosine", 2 / math.pi),
        ("linear", 0.5),
        ("exponential", 1 - (1 - 1 / 1024) / math.log(1024)),
        ("exponential_b", 1 - (1 - math.exp(-5)) / 5),
        ("power:2", 2 / 3),
        ("power:0.5", 1 / 3),
        ("log", (1 - 1 / 1024) / math.log(1024)),
        ("arccos", 2 / math.pi),
    ],
)
def test_each_schedule_falls_from_one_to_zero_with_its_known_mean(name, mean):
    ratio = torch.linspace(0, 1, 100_001, dtype=torch.double)
    share = schedule_by_name(name)(ratio, torch.full_like(ratio, 1024).long())
    assert (share.diff() <= 1e-12).all()
    assert share[0] > (0.99 if name == "exponential_b" else 0.998)
    assert abs(share[-1]) < 1e-9
    assert abs(share.mean() - mean) < 1e-4


def test_an_unknown_schedule_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match="circle"):
        schedule_by_name("quadratic")
    for bad in ("power:", "power:-1", "power:inf", "power:two"):
        with pytest.raises(ConfigError, match="positive number"):
            schedule_by_name(bad)


@pytest.mark.parametrize("name", [*SCHEDULES, "power:3"])
def test_the_inverse_takes_back_the_schedule(name):
    schedule, slots = schedule_by_name(name), torch.full((500,), 1024)
    ratio = torch.linspace(0.01, 1, 500, dtype=torch.double)
    torch.testing.assert_close(schedule.inverse(schedule(ratio, slots), slots), ratio, rtol=0, atol=1e-9)
    share = torch.linspace(0, 0.99, 500, dtype=torch.double)
    torch.testing.assert_close(schedule(schedule.inverse(share, slots), slots), share, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "slots", "no_ops"),  # method 3.2: steps that would reveal nothing
    [
        ("circle", 1024, (2, 2, 1)),
        ("cosine", 1024, (1, 1, 0)),
        ("exponential", 1024, (12, 7, 2)),
        ("circle", 512, (4, 3, 1)),
        ("exponential", 512, (14, 8, 3)),
        ("exponential_b", 1024, (2, 0, 0)),
        ("exponential_b", 512, (6, 3, 1)),
    ],
)
def test_as_many_steps_reveal_nothing_as_the_design_counts(name, slots, no_ops):
    for steps, expected in zip((64, 48, 28), no_ops, strict=True):
        plan = reveal_plan(SCHEDULES[name], torch.tensor([slots]), steps)[0]
        revealed = torch.cat([torch.tensor([slots]), plan]).diff().neg()
        assert plan.shape == (steps,) and int(plan[-1]) == 0
        assert (revealed >= 0).all()
        assert int((revealed == 0).sum()) == expected


def test_the_largest_step_of_each_schedule_is_the_known_one():
    for name, largest in (("circle", 181), ("cosine", 26), ("exponential", 106), ("exponential_b", 77)):
        plan = reveal_plan(SCHEDULES[name], torch.tensor([1024]), 64)[0]
        revealed = torch.cat([torch.tensor([1024]), plan]).diff().neg()
        assert int(revealed.max()) == largest


def test_hidden_slots_are_the_ceiling_of_the_share():
    ratio = torch.tensor([0.0, 0.5, 0.9, 0.9999, 1.0], dtype=torch.double)
    slots = torch.full((5,), 100)
    assert num_hidden_slots(SCHEDULES["linear"], ratio, slots).tolist() == [100, 50, 10, 1, 0]


def test_counts_follow_the_enumerated_law():
    """Hide 3 of 2 frames x 3 levels: compare with all 20 equally likely choices."""
    law = Counter(sum(slot < 3 for slot in pick) for pick in itertools.combinations(range(6), 3))
    draws = 40_000
    counts = spread_over_frames(torch.full((draws,), 3), torch.full((draws, 2), 3), 3, rng())
    assert (counts.sum(1) == 3).all()
    for count, ways in law.items():
        p, seen = ways / 20, float((counts[:, 0] == count).double().mean())
        assert abs(seen - p) < 4 * (p * (1 - p) / draws) ** 0.5  # four standard errors


def test_unequal_capacities_follow_the_enumerated_law():
    """Take 2 of frames that hold 1 and 3: the first frame's slot is among them in 3 of 6 choices."""
    draws = 20_000
    counts = spread_over_frames(torch.full((draws,), 2), torch.tensor([[1, 3]]).expand(draws, -1), 3, rng(1))
    seen = float((counts[:, 0] == 1).double().mean())
    assert abs(seen - 0.5) < 4 * (0.25 / draws) ** 0.5


def test_spread_of_counts_has_the_closed_form_variance():
    """L = 64, D = 16, n = 512: mean 8, standard deviation 1.98 (method 3.1)."""
    counts = spread_over_frames(torch.full((500,), 512), torch.full((500, 64), 16), 16, rng(2)).double()
    assert abs(float(counts.mean()) - 8) < 1e-9
    variance = 512 / 64 * (1 - 1 / 64) * (1024 - 512) / (1024 - 1)
    assert abs(float(counts.var()) / variance - 1) < 0.03


def test_more_than_fits_is_refused():
    with pytest.raises(ValueError, match="cannot take"):
        spread_over_frames(torch.tensor([4]), torch.tensor([[1, 2]]), 3, rng())


@pytest.mark.parametrize("masking", MASKINGS)
def test_neither_padding_nor_prompt_enters_the_draw(masking):
    is_target = torch.tensor([[False, True, True, True, False], [True, True, False, False, False]])
    for seed in range(50):
        hidden = draw_hidden_mask(masking, SCHEDULES["circle"], is_target, 4, rng(seed))
        assert not hidden[~is_target].any()
        assert hidden.flatten(1).any(1).all()


def test_the_mask_is_a_suffix_of_depth():
    mask = suffix_mask(torch.tensor([[0, 1, 3]]), 3)
    assert mask.tolist() == [[[False, False, False], [False, False, True], [True, True, True]]]
