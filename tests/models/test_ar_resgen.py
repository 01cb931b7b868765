"""AR-ResGen: its loss in closed form, its sampler against a plain loop, and regeneration of what it learnt."""

import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.draws import draw_uniform
from resgen_tts.core.masking import suffix_mask
from resgen_tts.core.schedule import SCHEDULES, num_hidden_slots
from tests.models.toys import AR_RESGEN, DEPTH, DIM, FRAMES, LIKELIEST, masks, overfit, rng, toy_model


def test_loss_of_one_standard_normal_is_its_closed_form():
    """K = 1, all weights 0: NLL = (C/2) log 2 pi + |z|^2 / 2 of the normalized target, per dimension."""
    model, codes, condition = toy_model(replace(AR_RESGEN, components=1, condition_dropout=0.0))
    for parameter in model.head.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        model.head.basis.copy_(torch.eye(DIM))
    is_target, is_padding = masks()
    loss, logs = model.loss(codes, is_target, is_padding, condition, rng(3))
    # The same masks again, by the same generator: every frame its own.
    ratio = draw_uniform(is_target, (), rng(3))
    num_hidden = num_hidden_slots(SCHEDULES["circle"], ratio, torch.full((8, FRAMES), DEPTH))
    hidden = suffix_mask(num_hidden, DEPTH)
    scale = model.hidden_scale(hidden)
    z = model.code_space.hidden_sum(codes, hidden) / scale[..., None]
    nll = math.log(2 * math.pi) * DIM / 2 + z.square().sum(-1) / 2
    torch.testing.assert_close(loss, nll.mean() / DIM)
    nll_of_sums = nll + DIM * scale.log()
    torch.testing.assert_close(logs["nats_per_code"], nll_of_sums.sum() / num_hidden.sum())
    by_count = torch.stack([nll_of_sums[num_hidden == count].sum() for count in range(DEPTH + 1)])
    torch.testing.assert_close(logs["nats_by_num_hidden"], by_count)
    assert logs["frames_by_num_hidden"].tolist() == num_hidden.flatten().bincount(minlength=DEPTH + 1).tolist()
    assert len(set(num_hidden[0].tolist())) > 1  # frames of one item differ


def test_only_target_frames_are_trained():
    model, codes, condition = toy_model(replace(AR_RESGEN, condition_dropout=0.0))
    is_target, is_padding = masks()
    is_target[:, :3] = False
    _, logs = model.loss(codes, is_target, is_padding, condition, rng())
    assert logs["frames_by_num_hidden"].sum() == 8


def plain_loop(model, codes, condition):
    """The likeliest codes, one level an inner step, everything computed anew for every code."""
    space, made = model.code_space, codes.clone()
    for frame in range(FRAMES):
        for level in range(DEPTH):
            state = model.states(made[:, :frame], condition[:, : frame + 1])[:, -1:]
            hidden = (torch.arange(DEPTH) >= level).expand(8, 1, DEPTH)
            states = model.depth(state, model.visible_input(made[:, frame : frame + 1], hidden), hidden)
            component = model.head.component_log_weights(states).argmax(-1)
            sums = model.head.component_mean(states, component)[0] * model.hidden_scale(hidden)[..., None]
            made[:, frame, level] = torch.cdist(sums[:, 0], space.codebooks[level]).argmin(-1)
    return made


def test_generation_equals_a_plain_loop():
    model, codes, condition = toy_model(AR_RESGEN)
    level_by_level = replace(LIKELIEST, steps=DEPTH, schedule="linear")
    with torch.no_grad():
        wanted = plain_loop(model, torch.zeros_like(codes), condition)
    made = model.generate(torch.full_like(codes, 3), *masks(), condition, level_by_level, rng())
    assert torch.equal(made, wanted)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_frame_takes_as_many_inner_steps_as_asked_for(steps):
    model, codes, condition = toy_model(AR_RESGEN)
    calls = []
    model.depth.register_forward_hook(lambda *_: calls.append(1))
    made = model.generate(codes, *masks(), condition, replace(LIKELIEST, steps=steps, schedule="linear"), rng())
    assert len(calls) == FRAMES * min(steps, DEPTH)  # a step that would reveal nothing is left out
    assert made.shape == codes.shape


def test_eight_items_are_learnt_and_regenerated_exactly():
    model, codes, condition = toy_model(replace(AR_RESGEN, condition_dropout=0.0))
    overfit(model, codes, condition, steps=400, rate=6e-3)
    is_target, is_padding = masks()
    for steps in (1, 3):
        mode = replace(LIKELIEST, steps=steps)
        assert torch.equal(
            model.generate(torch.zeros_like(codes), is_target, is_padding, condition, mode, rng()), codes
        )
    is_target[:, :2] = False  # a prompt is kept, and the rest follows it
    led = model.generate(codes * ~is_target[..., None], is_target, is_padding, condition, LIKELIEST, rng())
    assert torch.equal(led, codes)


def test_a_model_gone_wrong_is_told_not_decoded():
    model, codes, condition = toy_model(AR_RESGEN)
    with torch.no_grad():
        model.head.shift.bias[0] = torch.nan
    with pytest.raises(ResGenError, match="MODEL_NONFINITE"):
        model.generate(torch.zeros_like(codes), *masks(), condition, LIKELIEST, rng())


def test_nonsense_is_refused():
    with pytest.raises(ConfigError, match="mlp_layers"):
        replace(AR_RESGEN, mlp_layers=0)
    with pytest.raises(ConfigError, match="schedule"):
        replace(AR_RESGEN, schedule="square")
