"""The reveal loop's invariants, and its output law for a model whose posterior is known."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.confidence import gumbel, search_by_confidence
from resgen_tts.core.guidance import guidance_at, guide, guide_gaussian, ramp
from resgen_tts.core.masking import suffix_mask
from resgen_tts.core.proposal import CodeProposal, LatentProposal
from resgen_tts.core.reveal import RevealState, reveal
from resgen_tts.core.sampler_config import SamplerConfig


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
        log_prob = torch.rand(state.codes.shape, generator=draws).log()
        return CodeProposal(torch.full_like(state.codes, 100 + state.step), log_prob)

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
        lambda s: CodeProposal(s.codes, torch.zeros(s.codes.shape)), torch.zeros(1, 8, 6, dtype=torch.long), is_target,
        SamplerConfig(steps=16), rng(), lambda state: totals.append(int(state.num_hidden.sum())),
    )  # fmt: skip
    plan = reveal_plan(SCHEDULES["circle"], torch.tensor([48]), 16)[0].unique(sorted=True).flip(0)
    assert totals == [48, *plan[plan < 48].tolist()]  # steps that reveal nothing are passed over


def test_confident_codes_come_first_and_coarse_before_fine():
    log_prob = torch.tensor([[[0.0, -1.0], [-5.0, -1.0], [-2.0, -1.0]]])  # -1 each for the finer codes
    shown = []
    reveal(
        lambda s: CodeProposal(s.codes, log_prob),
        torch.zeros(1, 3, 2, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool),
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
        return CodeProposal(drawn, torch.zeros(items, 2, 1))

    done = reveal(
        propose, torch.zeros(items, 2, 1, dtype=torch.long), torch.ones(items, 2, dtype=torch.bool),
        SamplerConfig(steps=2, order="random", schedule="linear"), rng(4),
    )[..., 0]  # fmt: skip
    for first in range(2):
        for second in range(2):
            p = float(joint[first, second])
            seen = float(((done[:, 0] == first) & (done[:, 1] == second)).double().mean())
            assert abs(seen - p) < 4 * (p * (1 - p) / items) ** 0.5


def toy_search(seed: int, batch: int = 3, frames: int = 5, depth: int = 6):
    generator = rng(seed)
    books = torch.randn(depth, 8, 4, generator=generator) * 0.6 ** torch.arange(depth)[:, None, None]
    space = CodeSpace(books, 0.3 * 0.36 ** torch.arange(depth))
    latents = torch.randn(batch, frames, 4, generator=generator)
    codes = torch.randint(0, 8, (batch, frames, depth), generator=generator)
    hidden = suffix_mask(torch.randint(0, depth + 1, (batch, frames), generator=generator), depth)
    return space, latents, codes, hidden


def test_confidence_equals_a_plain_loop():
    space, latents, codes, hidden = toy_search(5)
    offset = torch.randn(hidden.shape, generator=rng(6))
    found, scores = search_by_confidence(space, latents, codes, hidden, offset)
    assert torch.equal(found, space.quantize(latents, hidden, codes))
    for b, t in itertools.product(range(3), range(5)):
        residual, running = latents[b, t].clone(), 0.0
        for level in range(6):
            if not hidden[b, t, level]:
                assert scores[b, t, level] == -torch.inf
                continue
            residual = residual - space.codebooks[level, found[b, t, level]]
            running += float(-residual.square().sum() / (2 * space.level_variance[level] * 4))
            assert abs(float(scores[b, t, level] - offset[b, t, level]) - running) < 1e-4


@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_the_pruned_search_finds_the_same_best_codes(noise):
    """Leaving a frame as soon as it cannot hold one of the best scores must change nothing that is kept."""
    searched = 0
    for seed in range(30):
        space, latents, codes, hidden = toy_search(seed)
        offset = noise * gumbel(torch.rand(hidden.shape, generator=rng(seed))).float()
        num_kept = torch.stack([torch.randint(0, int(n) + 1, (), generator=rng(seed)) for n in hidden.sum((1, 2))])
        all_codes, all_scores = search_by_confidence(space, latents, codes, hidden, offset)
        found, scores = search_by_confidence(space, latents, codes, hidden, offset, num_kept)
        for item in range(3):
            best = all_scores[item].flatten().topk(int(num_kept[item])).indices
            same = scores[item].flatten().topk(int(num_kept[item])).indices
            assert torch.equal(best, same)
            assert torch.equal(all_codes[item].flatten()[best], found[item].flatten()[best])
        searched += float((scores > -torch.inf).sum()) / float(hidden.sum()) / 30
    assert searched < 0.95  # and it does leave something out


def test_latents_are_quantized_only_where_codes_are_wanted():
    space, latents, codes, hidden = toy_search(2)
    full = space.quantize(latents, hidden, codes)
    proposal = LatentProposal(space, latents, codes, hidden)
    wanted = hidden & (hidden.cumsum(-1) <= 2)
    assert torch.equal(proposal.codes_at(wanted)[wanted], full[wanted])
    assert torch.equal(proposal.codes_at(wanted)[~hidden], codes[~hidden])


def test_level_after_level_never_touches_a_finer_level_too_early():
    states = []
    reveal(
        lambda s: CodeProposal(s.codes + 1, -torch.rand(s.codes.shape, generator=rng(s.step))),
        torch.zeros(2, 4, 3, dtype=torch.long), torch.ones(2, 4, dtype=torch.bool),
        SamplerConfig(steps=7, schedule="linear"), rng(), states.append, masking="level",
    )  # fmt: skip
    assert len(states) == 8  # 3, 2, 2 steps of 4 frames, and the finished state
    for state in states:
        per_level = state.hidden_mask.sum(1)  # [B, D]
        for item in per_level.tolist():
            partly = [number for number in item if 0 < number < 4]
            assert len(partly) <= 1
            assert item == sorted(item)  # coarser levels are never behind finer ones
    with pytest.raises(ConfigError, match="at least one step for each of 3 levels, got 2"):
        reveal(lambda s: None, torch.zeros(1, 2, 3, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool),
               SamplerConfig(steps=2), rng(), masking="level")  # fmt: skip


def test_free_masks_keep_the_best_slots_wherever_they_are():
    log_prob = torch.tensor([[[-3.0, -1.0], [-2.0, -4.0]]])
    order = []
    config = SamplerConfig(steps=4, schedule="linear", choice_temperature=0.0)

    def propose(state):
        return CodeProposal(state.codes, log_prob, cumulative=False)

    reveal(
        propose, torch.zeros(1, 2, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool), config, rng(),
        lambda state: order.append(state.hidden_mask[0].flatten().tolist()), masking="full_random",
    )  # fmt: skip
    assert [sum(step) for step in order] == [4, 3, 2, 1, 0]
    assert order[1] == [True, False, True, True]  # -1 first, though it is the finer one
    assert order[2] == [True, False, False, True]
    coarse_first = replace(config, level_penalty=10.0)
    order.clear()
    reveal(
        propose, torch.zeros(1, 2, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool), coarse_first, rng(),
        lambda state: order.append(state.hidden_mask[0].flatten().tolist()), masking="full_random",
    )  # fmt: skip
    assert order[2] == [False, True, False, True]


@pytest.mark.parametrize("order", ["random", "confidence"])
def test_remasking_revises_codes_but_keeps_the_plan_and_the_prompt(order):
    is_target = torch.ones(2, 9, dtype=torch.bool)
    is_target[0, :3] = False
    codes = torch.randint(0, 50, (2, 9, 4), generator=rng())
    draws, states = rng(1), []

    def propose(state):
        return CodeProposal(
            torch.full_like(state.codes, 100 + state.step), torch.rand(state.codes.shape, generator=draws).log()
        )

    config = SamplerConfig(steps=8, order=order, remask_share=0.3, remask_levels=2)
    done = reveal(propose, codes, is_target, config, rng(2), states.append)
    assert torch.equal(done[~is_target], codes[~is_target])
    assert (done[is_target] >= 100).all()
    assert not states[-1].hidden_mask.any()
    plain = []
    reveal(propose, codes, is_target, replace(config, remask_share=0.0), rng(2), plain.append)
    revised = sum(int((after.hidden_mask & ~before.hidden_mask).sum()) for before, after in itertools.pairwise(states))
    assert revised > 0
    for state in states:  # still suffixes
        assert torch.equal(state.hidden_mask, suffix_mask(state.num_hidden, 4))
    with pytest.raises(ConfigError, match="remasking"):
        reveal(propose, codes, is_target, config, rng(2), masking="level")


def test_the_choice_noise_is_constant_or_falls_to_nothing():
    for annealing, expected in ((False, [3.0, 3.0, 3.0, 3.0]), (True, [2.25, 1.5, 0.75, 0.0])):
        seen = []

        class Spy(CodeProposal):
            def ranked(self, eligible, offset, num_kept, seen=seen):
                seen.append(float(offset[eligible].double().std()) / (math.pi / 6**0.5))
                return super().ranked(eligible, offset, num_kept)

        reveal(
            lambda s, spy=Spy: spy(s.codes, torch.zeros(s.codes.shape)), torch.zeros(1, 5000, 2, dtype=torch.long),
            torch.ones(1, 5000, dtype=torch.bool),
            SamplerConfig(steps=4, schedule="linear", choice_temperature=3.0, choice_annealing=annealing), rng(),
        )  # fmt: skip
        assert seen == pytest.approx(expected, rel=0.05)


def test_gumbel_noise_has_its_mean_and_variance():
    noise = gumbel(torch.rand(50_000, generator=rng(6), dtype=torch.double))
    assert abs(float(noise.mean()) - 0.5772) < 0.02
    assert abs(float(noise.var()) - torch.pi**2 / 6) < 0.05


def test_guidance_acts_within_its_interval():
    config = SamplerConfig(guidance_start=1.0, guidance_end=3.0, guidance_from=0.25, guidance_to=0.75)
    assert [guidance_at(config, step, 8) for step in range(8)] == pytest.approx(
        [1, 1, 1 + 4 / 7, 1 + 6 / 7, 1 + 8 / 7, 1 + 10 / 7, 1, 1]
    )
    assert not SamplerConfig().is_guided
    assert not SamplerConfig(guidance_end=2.0, guidance_from=0.5, guidance_to=0.5).is_guided


def test_the_guided_density_of_equal_scales_is_the_shifted_gaussian():
    mean, null = torch.randn(1, 2, 3, generator=rng(0)), torch.randn(1, 2, 3, generator=rng(1))
    scale = torch.full((1, 2), 0.7)
    guided, same = guide_gaussian((null, scale), (mean, scale), 2.5)
    torch.testing.assert_close(guided, guide(null, mean, 2.5))
    torch.testing.assert_close(same, scale)


def test_the_guided_density_is_the_quotient_of_powers():
    """log p_c^w / p_n^(w-1) and the returned Gaussian's log density differ by a constant only."""
    mean, null = torch.randn(1, 1, 3, generator=rng(2)), torch.randn(1, 1, 3, generator=rng(3))
    scale, null_scale, w = torch.tensor([[0.5]]), torch.tensor([[0.8]]), 1.7
    guided, guided_scale = guide_gaussian((null, null_scale), (mean, scale), w)
    points = torch.randn(50, 3, generator=rng(4))

    def log_density(m, s):
        return torch.distributions.Normal(m[0, 0], s[0, 0]).log_prob(points).sum(-1)

    gap = w * log_density(mean, scale) - (w - 1) * log_density(null, null_scale) - log_density(guided, guided_scale)
    torch.testing.assert_close(gap, gap[:1].expand(50), rtol=1e-4, atol=1e-4)
    # A null much narrower than the condition leaves no density: then as for equal scales.
    guided, kept = guide_gaussian((null, torch.tensor([[0.1]])), (mean, scale), w)
    torch.testing.assert_close(guided, guide(null, mean, w))
    assert torch.equal(kept, scale)


def test_guidance_is_off_at_one_and_its_ramp_is_linear():
    null, cond = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0])
    assert torch.equal(guide(null, cond, 1.0), cond)
    assert guide(null, cond, 2.0).tolist() == [5.0, 0.0]
    assert [ramp(1.0, 2.0, step, 5) for step in range(5)] == [1.0, 1.25, 1.5, 1.75, 2.0]


def test_nonsense_settings_are_refused():
    for bad in ({"steps": 0}, {"top_p": 0.0}, {"order": "best"}, {"schedule": "square"}, {"temperature": -1.0}):
        with pytest.raises(ConfigError):
            SamplerConfig(**bad)
