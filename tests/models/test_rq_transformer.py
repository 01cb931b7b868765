"""RQ-Transformer: its loss in closed form, its sampler against a plain loop, and regeneration of what it learnt."""

import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.categorical import draw_code
from resgen_tts.core.draws import draw_uniform
from resgen_tts.core.sampler_config import SamplerConfig
from tests.models.toys import (
    DEPTH,
    FRAMES,
    LIKELIEST,
    RQ_TRANSFORMER,
    SIZE,
    masks,
    overfit,
    rng,
    toy_model,
)  # fmt: skip


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_a_model_that_knows_nothing_is_log_v(smoothing):
    model, codes, condition = toy_model(replace(RQ_TRANSFORMER, label_smoothing=smoothing))
    for parameter in model.head.parameters():
        torch.nn.init.zeros_(parameter)
    loss, logs = model.loss(codes, *masks(), condition, rng(3))
    torch.testing.assert_close(loss, torch.tensor(math.log(SIZE)))
    torch.testing.assert_close(logs["nats_per_code"], torch.tensor(math.log(SIZE)))
    # A frame of which k codes are hidden still has k log V to tell.
    wanted = 8 * FRAMES * math.log(SIZE) * torch.arange(DEPTH + 1)
    torch.testing.assert_close(logs["nats_by_num_hidden"], wanted)
    assert logs["frames_by_num_hidden"].tolist() == [0] + [8 * FRAMES] * DEPTH


def log_prob_of(model, codes, condition):
    """log p of every code [B, T, D], one code at a time, everything computed anew."""
    found = torch.zeros(codes.shape)
    for frame in range(FRAMES):
        for level in range(DEPTH):
            log_probs = next_log_probs(model, codes, condition, frame, level)
            found[:, frame, level] = log_probs.gather(1, codes[:, frame, level, None])[:, 0]
    return found


def next_log_probs(model, codes, condition, frame, level):
    state = model.states(codes[:, :frame], condition[:, : frame + 1])[:, -1]
    sums = torch.zeros(len(codes), level + 1, model.code_space.dim)
    for coarser in range(level):
        sums[:, coarser + 1 :] += model.codebooks[coarser][codes[:, frame, coarser]][:, None] / model.total_scale
    hidden = model.depth(model.depth.project_state(state), sums)
    return torch.log_softmax(model.head.at_level(hidden[:, level], level), dim=-1)


def test_loss_is_the_chain_rule_of_the_codes_before():
    model, codes, condition = toy_model(replace(RQ_TRANSFORMER, condition_dropout=0.0))
    with torch.no_grad():
        wanted = -log_prob_of(model, codes, condition)
    is_target, is_padding = masks()
    is_target[:, 0] = False
    loss, logs = model.loss(codes, is_target, is_padding, condition, rng())
    torch.testing.assert_close(loss, wanted[:, 1:].mean(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logs["nats_by_num_hidden"][1], wanted[:, 1:, -1].sum(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(logs["nats_by_num_hidden"][-1], wanted[:, 1:].sum(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_generation_equals_a_plain_loop(weight):
    """With both caches, and guided: the same codes as without any, by the same random numbers."""
    model, codes, condition = toy_model(RQ_TRANSFORMER)
    with torch.no_grad():
        model.trunk.conditioning.null_features.normal_(generator=rng(4))
        null = model.trunk.conditioning.null_of(condition)
        uniform = draw_uniform(masks()[0], (DEPTH,), rng(5))
        wanted = torch.zeros_like(codes)
        for frame in range(FRAMES):
            for level in range(DEPTH):
                cond, other = (next_log_probs(model, wanted, one, frame, level) for one in (condition, null))
                guided = other + weight * (cond - other)
                wanted[:, frame, level] = draw_code(guided, 0.9, 0.7, uniform[:, frame, level])[0]
    sampler = SamplerConfig(top_p=0.9, temperature=0.7, guidance_start=weight, guidance_end=weight)
    assert torch.equal(model.generate(torch.full_like(codes, 3), *masks(), condition, sampler, rng(5)), wanted)


def test_the_depth_transformer_sees_every_level_once():
    model, codes, condition = toy_model(RQ_TRANSFORMER)
    calls = []
    model.depth.blocks.register_forward_pre_hook(lambda module, args: calls.append(args[0].shape[1]))
    model.generate(codes, *masks(), condition, LIKELIEST, rng())
    assert calls == [1] * (FRAMES * DEPTH)


@pytest.mark.parametrize("by", ["features", "classes"])
def test_eight_items_are_learnt_and_regenerated_exactly(by):
    config = replace(RQ_TRANSFORMER, condition_dropout=0.0)
    config = config if by == "features" else replace(config, condition_dim=0, num_classes=8)
    model, codes, condition = toy_model(config)
    condition = condition if by == "features" else torch.arange(8)
    overfit(model, codes, condition, steps=150, rate=5e-3)
    is_target, is_padding = masks()
    made = model.generate(torch.zeros_like(codes), is_target, is_padding, condition, LIKELIEST, rng())
    assert torch.equal(made, codes)
    is_target[:, :2] = False  # a prompt is kept, and the rest follows it
    led = model.generate(codes * ~is_target[..., None], is_target, is_padding, condition, LIKELIEST, rng())
    assert torch.equal(led, codes)


def test_a_model_gone_wrong_is_told_not_decoded():
    model, codes, condition = toy_model(RQ_TRANSFORMER)
    with torch.no_grad():
        next(model.head.parameters()).fill_(torch.nan)
    with pytest.raises(ResGenError, match="MODEL_NONFINITE"):
        model.generate(torch.zeros_like(codes), *masks(), condition, LIKELIEST, rng())


def test_nonsense_is_refused():
    with pytest.raises(ConfigError, match="depth_width"):
        replace(RQ_TRANSFORMER, depth_width=30)
    with pytest.raises(ConfigError, match="label_smoothing"):
        replace(RQ_TRANSFORMER, label_smoothing=1.0)
    with pytest.raises(ConfigError, match="depth_layers"):
        replace(RQ_TRANSFORMER, depth_layers=0)
