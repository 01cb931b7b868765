"""The ELBO and its weights, by enumeration of every mask, chain and state of a toy world."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.core.masking import MASKINGS, suffix_mask
from resgen_tts.core.objective import by_num_hidden, chance_of_reveal, code_weights, elbo_weight, latent_weights
from resgen_tts.core.schedule import SCHEDULES, reveal_plan, schedule_by_name
from tests.core.toy_law import (
    DEPTH,
    FRAMES,
    SIZE,
    SLOTS,
    STATES,
    data_law,
    law_of_number,
    masks_by_number,
    moves,
    nll_of,
    slot_nll,
    without,
)  # fmt: skip

SCHEDULE_NAMES = [*SCHEDULES, "power:2"]
COMPLETE = [name for name in SCHEDULE_NAMES if name != "exponential"]  # that draw every n of the toy world
EVERYTHING = (True,) * SLOTS


def one_item(mask: tuple[bool, ...], frames: int = FRAMES) -> torch.Tensor:
    return torch.tensor(mask).view(1, frames, -1)


def masks_of_law(masking: str) -> list[tuple[tuple[bool, ...], int, float]]:
    """(mask, n, probability given n); with masks of kind level the number of hidden slots names the level too."""
    return [(mask, n, chance) for n, law in masks_by_number(masking).items() for mask, chance in law.items()]


def chance_of_number(masking: str, schedule: str, number: int) -> float:
    """Probability that the training law hides ``number`` slots, by a grid over r."""
    if masking != "level":
        return float(law_of_number(schedule_by_name(schedule), SLOTS)[number])
    partly = (number - 1) % FRAMES + 1  # of the current level; all finer ones are hidden
    return float(law_of_number(schedule_by_name(schedule), FRAMES)[partly]) / DEPTH


# --- the chance to be revealed ---


@settings(deadline=None, max_examples=40)
@given(counts=st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(any), data=st.data())
def test_chances_equal_those_of_all_choices_in_suffixes(counts, data):
    mask = suffix_mask(torch.tensor([counts]), 3)
    revealed = data.draw(st.integers(0, sum(counts)))
    expected = torch.zeros(9, dtype=torch.double)
    for shown, move in moves(tuple(mask.flatten().tolist()), revealed, "suffix", depth=3).items():
        expected += move * torch.tensor(shown)
    chance = chance_of_reveal(mask, torch.tensor([revealed]), "suffix")
    torch.testing.assert_close(chance.flatten().double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("masking", ["level", "full_random"])
def test_chances_equal_those_of_all_choices_in_other_masks(masking):
    for mask, number, _ in masks_of_law(masking):
        most = number if masking == "full_random" else (number - 1) % FRAMES + 1
        for revealed in range(1, most + 1):
            expected = torch.zeros(SLOTS)
            for shown, move in moves(mask, revealed, masking).items():
                expected += move * torch.tensor(shown)
            chance = chance_of_reveal(one_item(mask), torch.tensor([revealed]), masking)
            torch.testing.assert_close(chance.flatten(), expected)


def test_chances_add_up_to_the_codes_revealed_in_a_long_item():
    """No loss of precision where the binomials have thousands of digits."""
    counts = torch.randint(0, 73, (2, 400), generator=torch.Generator().manual_seed(0))
    revealed = torch.tensor([1, 9000])
    chance = chance_of_reveal(suffix_mask(counts, 72), revealed, "suffix")
    torch.testing.assert_close(chance.double().sum((1, 2)), revealed.double(), rtol=1e-5, atol=0)


# --- the weight of a drawn number of hidden codes ---


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_the_weight_is_one_over_the_probability_of_the_number(name):
    slots, schedule = 48, schedule_by_name(name)
    law = law_of_number(schedule, slots)[1:]
    number = torch.arange(1, slots + 1)
    weight = elbo_weight(schedule, number, torch.full_like(number, slots)).double()
    assert (weight > 0).all()
    assert torch.equal(weight.isinf(), law == 0)  # never drawn
    drawn = law > 0
    torch.testing.assert_close(1 / weight[drawn], law[drawn], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(("slots", "most"), [(1024, 1018), (31_000, 30_792)])
def test_only_the_exponential_schedules_never_draw_the_most_hidden_states(slots, most):
    number = torch.arange(1, slots + 1)
    for name in SCHEDULE_NAMES:
        weight = elbo_weight(schedule_by_name(name), number, torch.full_like(number, slots)).double()
        last = {"exponential": slots - 1, "exponential_b": most}.get(name, slots)
        assert int(weight.isfinite().sum()) == last
        assert weight[:last].isfinite().all()
        assert float((1 / weight[:last]).sum()) == pytest.approx(1, abs=1e-5)  # the probabilities of all that is drawn


# --- the bound ---


def chain(law, plan: list[int], masking: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Follow all chains that hide ``plan`` slots after each step, for each of the 81 states x.

    Returns:
        ELBO terms of a model that draws all revealed codes jointly from the exact posterior, and of one that draws
        each by itself; and ``-log p(x)`` of the latter.
    """
    joint, alone = torch.zeros(len(STATES), dtype=torch.double), torch.zeros(len(STATES), dtype=torch.double)
    reached = {EVERYTHING: (1.0, torch.ones(len(STATES), dtype=torch.double))}  # chance, its mean of p(revealed)
    for revealed in [a - b for a, b in itertools.pairwise([SLOTS, *plan]) if a > b]:
        after: dict = {}
        for mask, (chance, likelihood) in reached.items():
            single = slot_nll(law, mask)
            counted = chance_of_reveal(one_item(mask), torch.tensor([revealed]), masking).flatten()
            alone += chance * (single * counted).sum(-1)
            for shown, move in moves(mask, revealed, masking).items():
                joint += chance * move * nll_of(law, mask, shown)
                old = after.get(without(mask, shown), (0.0, 0.0))
                step = likelihood * move * torch.exp(-(single * torch.tensor(shown)).sum(-1))
                after[without(mask, shown)] = (old[0] + chance * move, old[1] + step)
        reached = after
    assert list(reached) == [(False,) * SLOTS]
    return joint, alone, -reached[(False,) * SLOTS][1].log()


@pytest.mark.parametrize("masking", ["suffix", "full_random"])
@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_the_bound_is_tight_with_the_exact_joint_posterior_for_any_schedule(name, masking):
    law = data_law()
    for steps in (1, 2, 3, 4, 7):
        plan = reveal_plan(schedule_by_name(name), torch.tensor([SLOTS]), steps)[0].tolist()
        joint, _, _ = chain(law, plan, masking)
        torch.testing.assert_close(joint, -law.log(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("masking", MASKINGS)
def test_with_codes_drawn_one_by_one_the_bound_is_strict_for_long_steps_and_tight_for_single_ones(masking):
    law = data_law()
    _, bound, nll = chain(law, [3, 2, 1, 0], masking)
    torch.testing.assert_close(bound, -law.log(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(nll, -law.log(), rtol=1e-6, atol=1e-6)
    for plan in [[2, 0], [3, 2, 0]]:
        _, bound, nll = chain(law, plan, masking)
        torch.testing.assert_close(torch.exp(-nll).sum(), torch.ones((), dtype=torch.double), rtol=1e-6, atol=0)
        # Of the model's own likelihood, state by state; level after level these plans leave only one chain to average.
        assert (bound > nll + 1e-9).all() if masking != "level" else torch.allclose(bound, nll)
        assert (law * bound).sum() > -(law * law.log()).sum() + 1e-3  # and on average of the data's entropy


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("name", COMPLETE)
def test_weighted_by_its_probability_one_training_mask_estimates_the_bound_without_bias(name, masking):
    law, estimate = data_law(), torch.zeros(len(STATES), dtype=torch.double)
    is_target = torch.ones(1, FRAMES, dtype=torch.bool)
    for mask, number, chance in masks_of_law(masking):
        weights = code_weights(schedule_by_name(name), one_item(mask), is_target, masking)
        estimate += chance_of_number(masking, name, number) * chance * (slot_nll(law, mask) * weights.flatten()).sum(-1)
    torch.testing.assert_close(estimate, -law.log(), rtol=1e-4, atol=0)


def test_where_the_fully_hidden_state_is_never_drawn_the_estimate_lacks_its_first_step():
    law, estimate = data_law(), torch.zeros(len(STATES), dtype=torch.double)
    schedule, is_target = schedule_by_name("exponential"), torch.ones(1, FRAMES, dtype=torch.bool)
    for mask, number, chance in masks_of_law("suffix"):
        if number < SLOTS:
            weights = code_weights(schedule, one_item(mask), is_target, "suffix")
            drawn = chance_of_number("suffix", "exponential", number) * chance
            estimate += drawn * (slot_nll(law, mask) * weights.flatten()).sum(-1)
    first = sum(move * nll_of(law, EVERYTHING, shown) for shown, move in moves(EVERYTHING, 1, "suffix").items())
    torch.testing.assert_close(estimate + first, -law.log(), rtol=1e-4, atol=0)


# --- whole frames in place of codes ---


def frame_estimate(law, masking: str, name: str, *, times_hidden: bool) -> torch.Tensor:
    """The estimate from ``-log p(all hidden codes of the frame | visible)``, averaged over the training law."""
    estimate = torch.zeros(len(STATES), dtype=torch.double)
    is_target = torch.ones(1, FRAMES, dtype=torch.bool)
    for mask, number, chance in masks_of_law(masking):
        weights = latent_weights(schedule_by_name(name), one_item(mask), is_target, masking)[0]
        if times_hidden:
            weights = weights * one_item(mask)[0].sum(-1)
        drawn = chance_of_number(masking, name, number) * chance
        for frame in range(FRAMES):
            mine = tuple(hidden and slot // DEPTH == frame for slot, hidden in enumerate(mask))
            estimate += drawn * float(weights[frame]) * nll_of(law, mask, mine)
    return estimate


@pytest.mark.parametrize("masking", MASKINGS)
def test_frame_weights_are_exact_where_codes_share_their_frames_nats_equally(masking):
    uniform = torch.full((len(STATES),), 1 / len(STATES), dtype=torch.double)
    estimate = frame_estimate(uniform, masking, "circle", times_hidden=False)
    torch.testing.assert_close(estimate, torch.full_like(estimate, SLOTS * math.log(SIZE)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("masking", MASKINGS)
def test_times_the_hidden_codes_of_the_frame_the_weights_give_a_bound(masking):
    law = data_law()
    assert (frame_estimate(law, masking, "circle", times_hidden=True) > -law.log()).all()


def test_frame_weights_count_the_coarse_codes_less_and_the_fine_ones_more():
    """With one frame, code d of D counts ``sum_{n > D - d} 1 / n`` times: 1/D for the coarsest. By hand for D = 3."""
    schedule, is_target = schedule_by_name("circle"), torch.ones(1, 1, dtype=torch.bool)
    counted = torch.zeros(3, dtype=torch.double)
    for number, chance in enumerate(law_of_number(schedule, 3).tolist()):
        if number:
            mask = suffix_mask(torch.tensor([[number]]), 3)
            counted += chance * float(latent_weights(schedule, mask, is_target, "suffix")) * mask[0, 0]
    torch.testing.assert_close(
        counted, torch.tensor([1 / 3, 1 / 3 + 1 / 2, 1 / 3 + 1 / 2 + 1]).double(), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("masking", MASKINGS)
def test_neither_prompt_nor_padding_changes_the_weights(masking):
    schedule = schedule_by_name("circle")
    for mask, _, _ in masks_of_law(masking):
        alone = one_item(mask)
        among = torch.zeros(1, 5, DEPTH, dtype=torch.bool)
        among[:, 1:3] = alone
        is_target = torch.tensor([[False, True, True, False, False]])
        for weights in (code_weights, latent_weights):
            expected = weights(schedule, alone, is_target[:, 1:3], masking)
            torch.testing.assert_close(weights(schedule, among, is_target, masking)[:, 1:3], expected)
            assert float(weights(schedule, among, is_target, masking).sum()) == pytest.approx(float(expected.sum()))


# --- curves ---


@settings(deadline=None, max_examples=20)
@given(counts=st.lists(st.integers(0, 4), max_size=30), seed=st.integers(0, 999))
def test_sums_by_number_of_hidden_codes_equal_a_plain_loop(counts, seed):
    nats = torch.randn(len(counts), generator=torch.Generator().manual_seed(seed)).requires_grad_()
    sums, frames = by_num_hidden(nats, torch.tensor(counts, dtype=torch.long), 4)
    for number in range(5):
        here = [float(nats[i].detach()) for i, count in enumerate(counts) if count == number]
        assert float(frames[number]) == len(here)
        assert float(sums[number]) == pytest.approx(sum(here), abs=1e-4)
    assert not sums.requires_grad
