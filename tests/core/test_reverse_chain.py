"""The sampler as a reverse process: with the exact posterior as its model it gives back the data's law.

The toy world has two frames, two levels and three codes, and a law of its 81 states without independences.
"""

from dataclasses import dataclass

import pytest
import torch

from resgen_tts.core.draws import draw_uniform
from resgen_tts.core.masking import MASKINGS
from resgen_tts.core.proposal import CodeProposal
from resgen_tts.core.reveal import RevealState, SamplerConfig, reveal
from resgen_tts.core.schedule import reveal_plan, schedule_by_name
from tests.core.toy_law import (
    DEPTH,
    FRAMES,
    SLOTS,
    STATES,
    data_law,
    draw_states,
    follows,
    posterior,
    rng,
    state_counts,
)  # fmt: skip

ITEMS = 40_000


def marginals_at(weights: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Log-probability of each code on its own: laws [N, 81] and codes [N, L, D] -> [N, L, D]."""
    agrees = codes[:, None] == STATES  # [N, 81, L, D]
    return (weights[:, :, None, None] * agrees).sum(1).log()


def generate(config: SamplerConfig, masking: str = "suffix", law=None, *, scored: bool = False, on_step=None):
    """Generate many items; all hidden codes are proposed jointly from the exact posterior.

    Args:
        scored: let the confidence of a drawn code be its log-probability given the visible codes; else all are equal.
    """
    law, draws = data_law() if law is None else law, rng(0)

    def propose(state: RevealState) -> CodeProposal:
        weights = posterior(law, state.codes, state.hidden_mask)
        codes = draw_states(weights, draws)
        scores = marginals_at(weights, codes).float() if scored else torch.zeros(codes.shape)
        return CodeProposal(codes, scores, cumulative=masking == "suffix")

    empty = torch.zeros(ITEMS, FRAMES, DEPTH, dtype=torch.long)
    is_target = torch.ones(ITEMS, FRAMES, dtype=torch.bool)
    return reveal(propose, empty, is_target, config, rng(1), on_step, masking)


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize(("steps", "schedule"), [(1, "circle"), (2, "circle"), (3, "exponential"), (4, "linear")])
def test_in_random_order_the_output_law_is_the_data_law(steps, schedule, masking):
    if masking == "level" and steps < DEPTH:
        steps = DEPTH  # one step of each level
    done = generate(SamplerConfig(steps=steps, schedule=schedule, order="random"), masking)
    assert follows(state_counts(done), data_law())


@pytest.mark.parametrize("masking", MASKINGS)
def test_an_order_that_does_not_look_at_the_drawn_codes_keeps_the_data_law(masking):
    """Equal scores under Gumbel noise and a penalty of deep levels: an order of places, not of values."""
    config = SamplerConfig(steps=3, schedule="linear", order="confidence", choice_temperature=1.0, level_penalty=0.5)
    assert follows(state_counts(generate(config, masking)), data_law())


def law_of_two_confident_steps(law: torch.Tensor) -> torch.Tensor:
    """Enumerate: draw y, keep the two most confident slots of y (as suffixes), draw the others again given those."""
    scores = marginals_at(law.expand(len(STATES), -1), STATES).cumsum(-1)  # of every possible draw, [81, L, D]
    best = scores.flatten(1).topk(2, dim=1).indices
    count = torch.zeros(len(STATES), FRAMES, dtype=torch.long).scatter_add_(1, best // DEPTH, torch.ones_like(best))
    kept = torch.arange(DEPTH) < count[..., None]  # the coarsest of each frame
    again = posterior(law, STATES, ~kept)  # row y: the law of what comes out if y was drawn first
    return (law[:, None] * again).sum(0)


def test_an_order_by_the_confidence_of_drawn_codes_bends_the_law():
    """Confident order is no sampler of the data, not even with the exact posterior.

    Keeping a code *because* of its value selects: what is confident is kept, what is not is drawn again and gets
    another chance. For two steps the law that does come out is enumerated, and met.
    """
    law = data_law(lean=1.2)
    config = SamplerConfig(steps=2, schedule="linear", order="confidence", choice_temperature=0.0)
    bent = law_of_two_confident_steps(law)
    assert float((bent - law).abs().sum() / 2) > 0.25  # a quarter of all items moved ..
    assert float((bent * law.log()).sum()) > float((law * law.log()).sum()) + 0.3  # .. to likelier states
    assert follows(state_counts(generate(config, law=law, scored=True)), bent)


def test_confident_order_keeps_the_law_where_its_choice_does_not_depend_on_values():
    """A single step keeps all. And where every code is about as uncertain as any other, sums over levels order
    depth by depth whatever is drawn, as long as no noise is added (method 7.2)."""
    lean, even = data_law(lean=1.2), data_law()
    config = {"schedule": "linear", "order": "confidence"}
    one = SamplerConfig(steps=1, choice_temperature=0.0, **config)
    assert follows(state_counts(generate(one, law=lean, scored=True)), lean)
    assert torch.allclose(law_of_two_confident_steps(even), even)
    two = SamplerConfig(steps=2, choice_temperature=0.0, **config)
    assert follows(state_counts(generate(two, law=even, scored=True)), even)


def test_much_choice_noise_takes_confident_order_back_to_the_data_law():
    law, distance = data_law(lean=1.2), []
    for temperature in (0.0, 2.0, 1e4):
        config = SamplerConfig(steps=2, schedule="linear", order="confidence", choice_temperature=temperature)
        seen = state_counts(generate(config, law=law, scored=True))
        distance.append(float((seen / ITEMS - law).abs().sum() / 2))
    assert distance[0] > 2 * distance[1] > 4 * distance[2]
    assert follows(seen, law)  # of the largest


def test_remasking_in_random_order_keeps_the_data_law():
    """Hiding codes again without looking at them, and drawing them from their exact conditional, is a Gibbs step."""
    config = SamplerConfig(steps=4, schedule="linear", order="random", remask_share=0.5, remask_levels=2)
    assert follows(state_counts(generate(config)), data_law())


@pytest.mark.parametrize("schedule", ["circle", "exponential", "linear"])
def test_the_hidden_counts_of_random_order_have_the_forward_marginal_at_every_step(schedule):
    """The masks that the sampler shows its model are those that training draws, given their number (method 6)."""
    seen: list[torch.Tensor] = []
    config = SamplerConfig(steps=4, schedule=schedule, order="random")
    generate(config, on_step=lambda state: seen.append(state.num_hidden))
    plan = reveal_plan(schedule_by_name(schedule), torch.tensor([SLOTS]), 4)[0].unique().flip(0).tolist()
    assert [int(counts[0].sum()) for counts in seen] == sorted({SLOTS, *plan}, reverse=True)
    ways = {4: [1], 3: [2, 2], 2: [1, 4, 1], 1: [2, 2], 0: [1]}  # C(2, K_1) C(2, K_2), K_1 rising
    for counts in seen:
        number = int(counts[0].sum())
        first = torch.bincount(counts[:, 0] - max(0, number - DEPTH)).double()
        assert follows(first, torch.tensor(ways[number], dtype=torch.double))


# --- plans, prompts, padding ---


@dataclass
class Recorded:
    """A proposal that remembers which slots were taken from it."""

    inner: CodeProposal
    kept: list[torch.Tensor]

    def codes_at(self, slots):
        self.kept.append(slots)
        return self.inner.codes_at(slots)


def ragged(lengths: tuple[int, ...], prompts: tuple[int, ...], frames: int) -> torch.Tensor:
    place, start = torch.arange(frames), torch.tensor(prompts)[:, None]
    return (place >= start) & (place < start + torch.tensor(lengths)[:, None])


@pytest.mark.parametrize("schedule", ["circle", "exponential", "power:2"])
@pytest.mark.parametrize("remask_share", [0.0, 0.4])
def test_the_hidden_total_is_on_the_plan_after_every_step_of_every_item(schedule, remask_share):
    is_target, depth, steps = ragged((6, 1, 3, 8), (2, 0, 1, 0), 9), 5, 9
    codes = torch.randint(0, 50, (4, 9, depth), generator=rng())
    plan = reveal_plan(schedule_by_name(schedule), is_target.sum(1) * depth, steps)
    states: list[RevealState] = []
    kept: list[torch.Tensor] = []

    def propose(state):
        return Recorded(CodeProposal(torch.full_like(state.codes, 100), torch.zeros(state.codes.shape)), kept)

    config = SamplerConfig(
        steps=steps, schedule=schedule, order="random", remask_share=remask_share, remask_levels=2
    )  # fmt: skip
    done = reveal(propose, codes, is_target, config, rng(1), states.append)
    again = 0
    for state, slots, after in zip(states[:-1], kept, states[1:], strict=True):
        left = state.hidden_mask & ~slots
        assert (slots <= state.hidden_mask).all()
        assert torch.equal(left.sum((1, 2)), plan[:, state.step])
        assert (left.long().diff(dim=-1) >= 0)[is_target].all()
        assert (left <= after.hidden_mask).all()  # remasking only adds
        again += int((after.hidden_mask & ~left).sum())
    assert (again > 0) == (remask_share > 0)
    assert not states[-1].hidden_mask.any()
    assert torch.equal(done[~is_target], codes[~is_target])
    assert (done[is_target] == 100).all()


@pytest.mark.parametrize("order", ["random", "confidence"])
@pytest.mark.parametrize(("masking", "remask_share"), [*((masking, 0.0) for masking in MASKINGS), ("suffix", 0.4)])
def test_an_item_of_a_padded_batch_is_generated_as_if_it_were_alone(masking, order, remask_share):
    """With a generator each, codes do not depend on padding, on neighbours, nor on how many steps those need."""
    lengths, prompts, depth = (6, 1, 3, 8), (2, 0, 1, 0), 4
    is_target = ragged(lengths, prompts, 9)
    config = SamplerConfig(
        steps=8, order=order, choice_annealing=True, choice_temperature=1.0, remask_share=remask_share
    )  # fmt: skip
    prompt_codes = torch.randint(0, 50, (4, 9, depth), generator=rng())

    def run(codes, target, generators):
        def propose(state):
            drawn = (draw_uniform(state.is_drawn, (depth,), generators) * 90).long()
            of_step = 1000 * state.step // state.steps  # what guidance would depend on
            return CodeProposal(drawn + 100 * of_step, -(drawn % 7).float(), cumulative=masking == "suffix")

        return reveal(propose, codes, target, config, generators, masking=masking)

    together = run(prompt_codes, is_target, [rng(item) for item in range(4)])
    for item, (length, prompt) in enumerate(zip(lengths, prompts, strict=True)):
        own = slice(0, prompt + length)
        alone = run(prompt_codes[item : item + 1, own], is_target[item : item + 1, own], [rng(item)])
        assert torch.equal(together[item, own], alone[0])
        assert torch.equal(together[item, prompt + length :], prompt_codes[item, prompt + length :])
