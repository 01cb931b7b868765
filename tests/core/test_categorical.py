"""Draws from categorical laws: frequencies, the nucleus, temperatures, and what does not depend on the neighbours."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resgen_tts.core.categorical import draw_code, draw_index

PROBABILITIES = torch.tensor([0.05, 0.4, 0.02, 0.31, 0.03, 0.19])


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def assert_law(drawn: torch.Tensor, law: torch.Tensor) -> None:
    """Every frequency within four standard errors; what cannot happen does not."""
    seen = drawn.bincount(minlength=len(law)) / len(drawn)
    assert bool(((seen - law).abs() <= 4 * (law * (1 - law) / len(drawn)).sqrt()).all()), (seen, law)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (1e-6, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.7, [1, 3]),
        (0.72, [1, 3, 5]),
        (0.93, [0, 1, 3, 5]),
        (0.96, [0, 1, 3, 4, 5]),
        (1.0, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_indices_follow_the_law_within_the_nucleus(top_p, kept):
    law = torch.zeros(6)
    law[kept] = PROBABILITIES[kept] / PROBABILITIES[kept].sum()
    log_weights = (PROBABILITIES.log() + 3.0).expand(60_000, 6)  # a constant does not matter
    assert_law(draw_index(log_weights, top_p, uniform(60_000)), law)


def test_a_long_tail_outside_the_nucleus_leaves_the_law_inside_as_it_is():
    """900 rare indices are struck out; what is kept must not notice."""
    law = torch.cat([torch.full((900,), 0.3 / 900), torch.tensor([0.4, 0.2, 0.1])])
    drawn = draw_index(law.log().expand(20_000, 903), 0.65, uniform(20_000, seed=1))
    assert_law(drawn, torch.cat([torch.zeros(900), torch.tensor([4.0, 2.0, 1.0]) / 7]))


@given(seed=st.integers(0, 999), top_p=st.floats(0.01, 1.0))
def test_what_is_drawn_lies_in_the_smallest_set_of_that_mass(seed, top_p):
    log_weights = 3 * torch.randn(20, 30, generator=torch.Generator().manual_seed(seed))
    drawn = draw_index(log_weights, top_p, uniform(20, seed=seed))
    law = torch.softmax(log_weights, dim=-1).double()
    likelier = (law * (law > law.gather(1, drawn[:, None]))).sum(1)
    assert bool((likelier < top_p + 1e-6).all())


def test_extreme_numbers_draw_possible_indices_only():
    log_weights = torch.tensor([-torch.inf, 0.0, 1.0, -torch.inf]).expand(2, 4)
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.double)
    for top_p in (0.2, 0.9, 1.0):
        assert set(draw_index(log_weights, top_p, ends).tolist()) <= {1, 2}


def test_a_draw_does_not_depend_on_its_neighbours():
    log_weights = torch.randn(4, 5, 50, generator=torch.Generator().manual_seed(2))
    numbers = uniform(4, 5, seed=3)
    together = draw_index(log_weights, 0.5, numbers)
    for item in range(4):
        assert torch.equal(draw_index(log_weights[item, :2], 0.5, numbers[item, :2]), together[item, :2])
    assert draw_index(log_weights[0, 0], 0.5, numbers[0, 0]) == together[0, 0]


def test_rounding_of_the_weights_turns_next_to_no_draw():
    """Weights that differ by a millionth, as those of a request alone and in a batch may: 20,000 draws of 128."""
    log_weights = 0.3 * torch.randn(20_000, 128, generator=torch.Generator().manual_seed(4))
    others = log_weights + 1e-6 * torch.randn(20_000, 128, generator=torch.Generator().manual_seed(5))
    numbers = uniform(20_000, seed=6)
    for top_p in (0.5, 0.9, 1.0):
        turned = draw_index(log_weights, top_p, numbers) != draw_index(others, top_p, numbers)
        assert int(turned.sum()) <= 3  # 642 and 20 of them where a rejected draw's place in its interval draws again


def test_temperature_acts_before_the_nucleus():
    """At temperature 1/2 the squares 0.16, 0.0961, 0.0361 hold 0.55, 0.33 and 0.12 of the mass: two make 0.8."""
    log_weights = PROBABILITIES.log().expand(40_000, 6)
    drawn, _ = draw_code(log_weights, 0.8, 0.5, uniform(40_000))
    law = torch.zeros(6)
    law[[1, 3]] = PROBABILITIES[[1, 3]].square() / PROBABILITIES[[1, 3]].square().sum()
    assert_law(drawn, law)


def test_temperature_zero_is_the_likeliest_code():
    logits = torch.randn(7, 3, 20, generator=torch.Generator().manual_seed(4))
    drawn, _ = draw_code(logits, 0.9, 0.0, uniform(7, 3))
    assert torch.equal(drawn, logits.argmax(-1))


@pytest.mark.parametrize("temperature", [0.0, 0.7, 2.0])
def test_log_probabilities_are_those_of_the_plain_law(temperature):
    logits = torch.randn(7, 3, 20, generator=torch.Generator().manual_seed(5))
    drawn, log_prob = draw_code(logits, 0.6, temperature, uniform(7, 3))
    wanted = torch.distributions.Categorical(logits=logits).log_prob(drawn)
    torch.testing.assert_close(log_prob, wanted)
