"""The reveal loop's invariants, and its output law for a model whose posterior is known."""

import itertools

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.confidence import add_gumbel, quantization_confidence
from resgen_tts.core.guidance import guide, ramp
from resgen_tts.core.reveal import RevealState, SamplerConfig, reveal


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("order", ["random", "confidence"])
@pytest.mark.parametrize("schedule", ["circle", "exponential"])
def test_every_slot_is_revealed_exactly_once_and_the_prompt_is_untouched(order, schedule):
    depth, frames = 4, 9
    is_target = torch.ones(2, frames, dtype=torch.bool)
    is_target[0, :3] = False  # prompt
    is_target[1, 7:] = False  # padding
    codes = torch.randint(0, 50, (2, frames, depth), generator=rng())
    states: list[RevealState] = []
    draws = rng(1)

    def propose(state):
        # Codes that name the step they were made in, so that a revision would show.
        return torch.full_like(state.codes, 100 + state.step), torch.rand(state.codes.shape, generator=draws)

    config = SamplerConfig(steps=7, order=order, schedule=schedule)
    done = reveal(propose, codes, is_target, config, rng(2), states.append)
    assert torch.equal(done[~is_target], codes[~is_target])
    assert (done[is_target] >= 100).all()
    assert (states[-1].num_hidden == 0).all()
    for before, after in itertools.pairwise(states):
        newly = before.num_hidden - after.num_hidden
        assert (newly >= 0).all()
        level = torch.arange(depth)
        visible = level < (depth - before.num_hidden)[..., None]
        assert torch.equal(after.codes[visible], before.codes[visible])  # what is visible is final
    totals = torch.stack([state.num_hidden.sum(1) for state in states])
    assert (totals.diff(dim=0) < 0).any(dim=1).all()


def test_the_hidden_total_follows_the_plan():
    from resgen_tts.core.schedule import SCHEDULES, reveal_plan

    is_target = torch.ones(1, 8, dtype=torch.bool)
    totals = []
    reveal(
        lambda s: (s.codes, torch.zeros(s.codes.shape)), torch.zeros(1, 8, 6, dtype=torch.long), is_target,
        SamplerConfig(steps=16), rng(), lambda state: totals.append(int(state.num_hidden.sum())),
    )  # fmt: skip
    assert totals == [48, *reveal_plan(SCHEDULES["circle"], torch.tensor([48]), 16)[0].tolist()]


def test_confident_codes_come_first_and_coarse_before_fine():
    confidence = torch.tensor([[[0.0, -1.0], [-5.0, -6.0], [-2.0, -3.0]]])
    shown = []
    reveal(
        lambda s: (s.codes, confidence), torch.zeros(1, 3, 2, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool),
        SamplerConfig(steps=6, schedule="linear", choice_temperature=0.0), rng(),
        lambda state: shown.append((2 - state.num_hidden[0]).tolist()),
    )  # fmt: skip
    assert shown == [[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 0, 1], [2, 0, 2], [2, 1, 2], [2, 2, 2]]


def test_the_output_law_is_the_data_law_when_the_posterior_is_exact():
    """Two frames, one level, two codes; the data law is correlated. One slot a step, each drawn from its exact
    conditional, must give back the joint law: what a sampler that peeked or revised would miss."""
    joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]])
    items = 20_000
    draws = rng(3)

    def propose(state):
        visible = state.num_hidden == 0
        chance_of_one = torch.full((items, 2), 0.5)
        for frame, other in ((0, 1), (1, 0)):
            given = joint[state.codes[:, other, 0], 1] / joint[state.codes[:, other, 0]].sum(-1)
            chance_of_one[:, frame] = torch.where(visible[:, other], given, chance_of_one[:, frame])
        drawn = (torch.rand(items, 2, generator=draws) < chance_of_one).long()[..., None]
        return drawn, torch.zeros(items, 2, 1)

    done = reveal(
        propose, torch.zeros(items, 2, 1, dtype=torch.long), torch.ones(items, 2, dtype=torch.bool),
        SamplerConfig(steps=2, order="random", schedule="linear"), rng(4),
    )[..., 0]  # fmt: skip
    for first in range(2):
        for second in range(2):
            p = float(joint[first, second])
            seen = float(((done[:, 0] == first) & (done[:, 1] == second)).double().mean())
            assert abs(seen - p) < 4 * (p * (1 - p) / items) ** 0.5


def test_confidence_equals_a_plain_loop():
    generator = rng(5)
    space = CodeSpace(torch.randn(3, 6, 4, generator=generator), torch.tensor([1.0, 0.5, 0.25]))
    latents = torch.randn(1, 4, 4, generator=generator)
    codes = torch.randint(0, 6, (1, 4, 3), generator=generator)
    num_hidden = torch.tensor([[0, 1, 2, 3]])
    scores = quantization_confidence(space, latents, codes, num_hidden)
    for t in range(4):
        residual, running = latents[0, t].clone(), 0.0
        for level in range(3):
            if level < 3 - int(num_hidden[0, t]):
                assert scores[0, t, level] == 0
                continue
            residual = residual - space.codebooks[level, codes[0, t, level]]
            running += float(-residual.square().sum() / (2 * space.level_variance[level] * 4))
            assert abs(float(scores[0, t, level]) - running) < 1e-4


def test_gumbel_noise_has_its_mean_and_variance():
    noisy = add_gumbel(torch.zeros(1, 1000, 50), 2.0, rng(6)).double()
    assert abs(float(noisy.mean()) / 2 - 0.5772) < 0.02
    assert abs(float(noisy.var()) / 4 - torch.pi**2 / 6) < 0.05
    assert torch.equal(add_gumbel(noisy, 0.0, rng()), noisy)


def test_guidance_is_off_at_one_and_its_ramp_is_linear():
    null, cond = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0])
    assert torch.equal(guide(null, cond, 1.0), cond)
    assert guide(null, cond, 2.0).tolist() == [5.0, 0.0]
    assert [ramp(1.0, 2.0, step, 5) for step in range(5)] == [1.0, 1.25, 1.5, 1.75, 2.0]


def test_nonsense_settings_are_refused():
    for bad in ({"steps": 0}, {"top_p": 0.0}, {"order": "best"}, {"schedule": "square"}, {"noise_temperature": -1.0}):
        with pytest.raises(ConfigError):
            SamplerConfig(**bad)
