"""The laws of the training masks against enumeration, and the identities of the forward process and its posterior."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.core.masking import MASKINGS, draw_hidden_mask, spread_over_frames
from resgen_tts.core.schedule import SCHEDULES
from tests.core.toy_law import follows, law_of_number, masks_by_number, rng

GAMMA = {
    "circle": lambda r: math.sqrt(1 - r * r),
    "cosine": lambda r: math.cos(math.pi * r / 2),
    "linear": lambda r: 1 - r,
}
"""Schedules written out once more, in plain Python."""


def hypergeometric(counts: tuple[int, ...], capacity: tuple[int, ...]) -> Fraction:
    """P(k) = prod_i C(capacity_i, k_i) / C(sum_i capacity_i, n): the multivariate hypergeometric law."""
    ways = math.prod(math.comb(held, taken) for held, taken in zip(capacity, counts, strict=True))
    return Fraction(ways, math.comb(sum(capacity), sum(counts)))


def count_vectors(frames: int, depth: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(depth + 1), repeat=frames))


def index_of(values: torch.Tensor, base: int) -> torch.Tensor:
    """Rows of digits as numbers: [N, digits] -> [N]."""
    return (values * base ** torch.arange(values.shape[1] - 1, -1, -1)).sum(1)


# --- the training masks ---


@pytest.mark.parametrize("schedule", ["circle", "exponential_b"])
@pytest.mark.parametrize("depth", [2, 3])
def test_suffix_counts_follow_the_enumerated_law_for_the_items_true_lengths(depth, schedule):
    """One batch of items of three target frames behind a prompt and before padding, and of two without a prompt."""
    items = 60_000
    is_target = torch.zeros(2, items, 5, dtype=torch.bool)
    is_target[0, :, 1:4] = True
    is_target[1, :, :2] = True
    mask = draw_hidden_mask("suffix", SCHEDULES[schedule], is_target.flatten(0, 1), depth, rng()).unflatten(0, (2, -1))
    assert not mask[~is_target].any()
    assert (mask.long().diff(dim=-1) >= 0).all()  # hidden from some level on
    for frames, counts in ((3, mask[0, :, 1:4].sum(-1)), (2, mask[1, :, :2].sum(-1))):
        number = law_of_number(SCHEDULES[schedule], frames * depth)
        vectors = count_vectors(frames, depth)
        law = [float(number[sum(k)]) * float(hypergeometric(k, (depth,) * frames)) for k in vectors]
        seen = torch.bincount(index_of(counts, depth + 1), minlength=len(vectors)).double()
        assert follows(seen, torch.tensor(law, dtype=torch.double))


@pytest.mark.parametrize("masking", ["level", "full_random"])
@pytest.mark.parametrize(("frames", "depth"), [(2, 2), (3, 2), (2, 3)])
def test_other_masks_follow_the_enumerated_law(masking, frames, depth):
    """Every possible mask: the number of hidden slots by the schedule, then all choices of that many equally likely."""
    items, slots = 60_000, frames * depth
    is_target = torch.zeros(items, frames + 2, dtype=torch.bool)
    is_target[:, 1:-1] = True
    mask = draw_hidden_mask(masking, SCHEDULES["circle"], is_target, depth, rng(1))
    assert not mask[~is_target].any()
    law = torch.zeros(2**slots, dtype=torch.double)
    for number, choices in masks_by_number(masking, frames, depth).items():
        if masking == "level":
            chance = law_of_number(SCHEDULES["circle"], frames)[(number - 1) % frames + 1] / depth
        else:
            chance = law_of_number(SCHEDULES["circle"], slots)[number]
        for choice, share in choices.items():
            law[int(index_of(torch.tensor([choice]), 2))] += chance * share
    seen = torch.bincount(index_of(mask[:, 1:-1].flatten(1).long(), 2), minlength=2**slots).double()
    assert follows(seen, law)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5), depth=st.integers(1, 8), seed=st.integers(0, 99),
    schedule=st.sampled_from(sorted(GAMMA)), masking=st.sampled_from(["suffix", "full_random"]),
)  # fmt: skip
def test_exactly_the_schedules_share_is_hidden(lengths, depth, schedule, masking, seed):
    is_target = torch.arange(14) < torch.tensor(lengths)[:, None]
    mask = draw_hidden_mask(masking, SCHEDULES[schedule], is_target, depth, rng(seed))
    ratios = torch.rand(len(lengths), generator=rng(seed), dtype=torch.double).tolist()  # an item's r is drawn first
    expected = [math.ceil(GAMMA[schedule](r) * frames * depth) for r, frames in zip(ratios, lengths, strict=True)]
    assert mask.sum((1, 2)).tolist() == expected


@pytest.mark.parametrize("masking", MASKINGS)
def test_with_a_generator_each_an_item_gets_its_mask_whatever_stands_beside_it(masking):
    lengths, prompts, depth = (7, 1, 4, 9), (2, 0, 3, 0), 5
    place = torch.arange(12)
    starts, ends = torch.tensor(prompts), torch.tensor(prompts) + torch.tensor(lengths)
    is_target = (place >= starts[:, None]) & (place < ends[:, None])
    together = draw_hidden_mask(masking, SCHEDULES["circle"], is_target, depth, [rng(item) for item in range(4)])
    for item, frames in enumerate(lengths):
        alone = torch.ones(1, frames, dtype=torch.bool)
        expected = draw_hidden_mask(masking, SCHEDULES["circle"], alone, depth, [rng(item)])
        assert torch.equal(together[item, is_target[item]], expected[0])


def test_two_frames_of_one_mask_lean_against_each_other():
    """L = 64, D = 16, n = 512: variance 3.94 (1.985 squared), and covariance minus variance / (L - 1)."""
    draws = 2000
    counts = spread_over_frames(torch.full((draws,), 512), torch.full((draws, 64), 16), 16, rng(2)).double()
    variance = 512 / 64 * (1 - 1 / 64) * (1024 - 512) / (1024 - 1)
    assert math.sqrt(variance) == pytest.approx(1.985, abs=0.001)
    products = (counts - 8)[:, :-1:2] * (counts - 8)[:, 1::2]  # 32 pairs a draw
    assert abs(float((counts - 8).square().mean()) / variance - 1) < 0.02
    standard_error = variance / math.sqrt(draws * 32)
    assert abs(float(products.mean()) + variance / 63) < 4 * standard_error
    assert variance / 63 > 2 * standard_error  # or the line above would say nothing


# --- the forward process and its posterior (method 6) ---


def steps_of(frames: int, depth: int):
    """Every (K hidden before, k hidden more) of two forward steps."""
    for after in count_vectors(frames, depth):
        for before in itertools.product(*(range(hidden + 1) for hidden in after)):
            yield before, tuple(a - b for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(("frames", "depth"), [(2, 2), (2, 3), (3, 2)])
def test_forward_steps_compose_to_the_marginal_and_bayes_gives_the_posterior(frames, depth):
    """Exactly, in fractions: q(K') = sum_K q(K) q(k | K) and q(K | K') = prod_i C(K'_i, k_i) / C(N', n)."""
    full = (depth,) * frames
    for first, second in itertools.product(range(frames * depth + 1), repeat=2):
        if first + second > frames * depth:
            continue
        composed: dict[tuple[int, ...], Fraction] = {}
        joint: dict[tuple, Fraction] = {}
        for before, more in steps_of(frames, depth):
            if sum(before) == first and sum(more) == second:
                room = tuple(depth - hidden for hidden in before)
                chance = hypergeometric(before, full) * hypergeometric(more, room)
                after = tuple(a + b for a, b in zip(before, more, strict=True))
                composed[after] = composed.get(after, Fraction(0)) + chance
                joint[before, after] = chance
        assert sum(composed.values()) == 1
        assert all(chance == hypergeometric(after, full) for after, chance in composed.items())
        for (before, after), chance in joint.items():
            more = tuple(a - b for a, b in zip(after, before, strict=True))
            assert chance / composed[after] == hypergeometric(more, after)


def test_drawn_forward_steps_and_the_drawn_posterior_follow_their_laws():
    """Hide 2 then 3 of 3 frames x 3 levels, then reveal 3 of those 5: back to the law of the first 2."""
    items, frames, depth = 60_000, 3, 3
    full = torch.full((items, frames), depth)
    generator = rng(3)
    first = spread_over_frames(torch.full((items,), 2), full, depth, generator)
    both = first + spread_over_frames(torch.full((items,), 3), full - first, depth, generator)
    back = both - spread_over_frames(torch.full((items,), 3), both, depth, generator)
    vectors = count_vectors(frames, depth)
    for counts, number in ((first, 2), (both, 5), (back, 2)):
        law = [float(hypergeometric(k, (depth,) * frames)) if sum(k) == number else 0.0 for k in vectors]
        seen = torch.bincount(index_of(counts, depth + 1), minlength=len(vectors)).double()
        assert follows(seen, torch.tensor(law, dtype=torch.double))
    joint = torch.bincount(
        index_of(both, depth + 1) * len(vectors) + index_of(back, depth + 1), minlength=len(vectors) ** 2
    )
    law = torch.zeros(len(vectors), len(vectors), dtype=torch.double)
    for after, before in itertools.product(range(len(vectors)), repeat=2):
        revealed = tuple(a - b for a, b in zip(vectors[after], vectors[before], strict=True))
        if sum(vectors[after]) == 5 and sum(revealed) == 3 and min(revealed) >= 0:
            law[after, before] = float(
                hypergeometric(vectors[after], (depth,) * frames) * hypergeometric(revealed, vectors[after])
            )
    assert follows(joint.double(), law.flatten())
