"""MaskGIT over residual codes: its loss is of one level, and its sampler goes level after level.

What it shares with direct tokens (seeds, guidance, padding) is tested there.
"""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.masking import current_level, draw_hidden_mask
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.core.schedule import SCHEDULES
from tests.models.test_direct_tokens import LIKELIEST, MASKGIT, know_nothing, regenerated, toy_model
from tests.models.toys import DEPTH, SIZE, masks, overfit, rng


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_a_model_that_knows_nothing_is_log_v(smoothing):
    model, codes, condition = toy_model(replace(MASKGIT, label_smoothing=smoothing))
    know_nothing(model)
    loss, logs = model.loss(codes, *masks(), condition, rng(3))
    torch.testing.assert_close(loss, torch.tensor(math.log(SIZE)))
    torch.testing.assert_close(logs["nats_per_code"], torch.tensor(math.log(SIZE)))
    # One code a frame, of the level that the item has drawn; where it is hidden, D - q codes of the frame are.
    hidden = draw_hidden_mask("level", SCHEDULES["circle"], masks()[0], DEPTH, rng(3))
    partly = hidden.sum(1).gather(1, current_level(hidden)[:, None])[:, 0]
    frames = torch.zeros(DEPTH + 1).index_add(0, DEPTH - current_level(hidden), partly.float())
    assert torch.equal(logs["frames_by_num_hidden"], frames)
    torch.testing.assert_close(logs["nats_by_num_hidden"], frames * math.log(SIZE))


def test_only_the_drawn_level_is_learnt_from_and_finer_codes_are_never_seen():
    model, codes, condition = toy_model(replace(MASKGIT, condition_dropout=0.0))
    reached = set()
    for seed in range(16):
        draw = rng(seed)
        hidden = draw_hidden_mask("level", SCHEDULES["circle"], masks()[0][:1], DEPTH, rng(seed))
        level = int(current_level(hidden))
        model.zero_grad()
        loss, _ = model.loss(codes[:1], masks()[0][:1], masks()[1][:1], condition[:1], draw)
        loss.backward()
        assert [bool(grad.any()) for grad in model.head.weight.grad] == [one == level for one in range(DEPTH)]
        others = codes[:1].clone()
        others[..., level + 1 :] = (others[..., level + 1 :] + 1) % SIZE
        again, _ = model.loss(others, masks()[0][:1], masks()[1][:1], condition[:1], rng(seed))
        assert torch.equal(again, loss)
        reached.add(level)
    assert reached == set(range(DEPTH))


def test_eight_items_are_learnt_and_regenerated_exactly():
    model, codes, condition = toy_model(replace(MASKGIT, condition_dropout=0.0))
    overfit(model, codes, condition, steps=220, rate=1e-2)
    assert regenerated(model, codes, condition)
    is_target, is_padding = masks()
    is_target[:, :2] = False
    led = model.generate(codes * ~is_target[..., None] + is_target[..., None], is_target, is_padding, condition,
                         LIKELIEST, rng())  # fmt: skip
    assert torch.equal(led, codes)


def test_eight_classes_are_learnt_and_regenerated_exactly():
    model, codes, classes = toy_model(replace(MASKGIT, condition_dim=0, num_classes=8, grid_width=2))
    overfit(model, codes, classes, steps=300, rate=1e-2)
    assert regenerated(model, codes, classes)


def test_an_unconditional_model_learns_what_all_items_share():
    model, codes, _ = toy_model(replace(MASKGIT, condition_dim=0))
    codes = codes[:1].expand(8, -1, -1)
    overfit(model, codes, None, steps=60, rate=1e-2)
    assert regenerated(model, codes, None)


@pytest.mark.parametrize("level_steps", [None, (4, 2, 1)])
def test_levels_are_revealed_one_after_another_and_only_their_logits_are_computed(level_steps):
    model, codes, condition = toy_model(MASKGIT)
    states, calls, levels = [], [], []
    model.trunk.register_forward_hook(lambda *_: calls.append(1))
    at_level = model.head.at_level
    model.head.at_level = lambda hidden, level: levels.append(level) or at_level(hidden, level)
    sampler = SamplerConfig(steps=9, level_steps=level_steps, schedule="linear")
    model.generate(codes, *masks(), condition, sampler, rng(), on_step=states.append)
    allowed = level_steps or (3, 3, 3)
    assert levels == sorted(levels)
    assert [levels.count(level) for level in range(DEPTH)] == list(allowed)
    assert len(calls) == len(levels) == len(states) - 1 == sum(allowed)
    for before, after in itertools.pairwise(states):
        revealed = (before.hidden_mask & ~after.hidden_mask).any(1)  # [B, D]
        assert torch.equal(revealed.long().argmax(1), current_level(before.hidden_mask))
        assert (revealed.sum(1) == 1).all()
    assert not states[-1].hidden_mask.any()


def test_fewer_steps_than_levels_are_refused():
    model, codes, condition = toy_model(MASKGIT)
    with pytest.raises(ConfigError, match="at least one step for each of 3 levels, got 2"):
        model.generate(codes, *masks(), condition, SamplerConfig(steps=2), rng())
