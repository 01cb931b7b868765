"""What both frame-by-frame schemes promise: causality, one pass a frame, and independence of padding and neighbours."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import pad

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models.conditioning import TextMemory, place_in_parts
from tests.models.toys import (
    AR_RESGEN,
    DEPTH,
    FRAMES,
    LIKELIEST,
    RQ_TRANSFORMER,
    masks,
    rng,
    toy_model,
)  # fmt: skip

both_schemes = pytest.mark.parametrize("config", [AR_RESGEN, RQ_TRANSFORMER], ids=["ar_resgen", "rq_transformer"])


def count_frames(model) -> list[int]:
    """Frames of every call of the trunk from now on."""
    calls: list[int] = []
    model.trunk.register_forward_pre_hook(lambda module, args: calls.append(args[0].shape[1]))
    return calls


def make_null_matter(model) -> None:
    with torch.no_grad():
        model.trunk.conditioning.null_features.normal_(generator=rng(4))


@both_schemes
def test_a_state_hears_the_frames_before_it_and_the_condition_up_to_its_own(config):
    model, codes, condition = toy_model(config)
    shown = []

    def probe(module, args):
        shown.append(args[0].detach().requires_grad_())
        return shown[-1], *args[1:]

    model.trunk.register_forward_pre_hook(probe)
    condition.requires_grad_()
    states = model.states(codes[:, :-1], condition)
    assert not shown[0][:, 0].any()  # place t shows frame t - 1
    torch.testing.assert_close(shown[0][:, 1:], model.visible_input(codes, torch.zeros_like(codes) > 0)[:, :-1])
    for frame in range(FRAMES):
        to_shown, to_condition = torch.autograd.grad(states[0, frame, 0], (shown[0], condition), retain_graph=True)
        earlier_or_own = [place <= frame for place in range(FRAMES)]
        assert (to_shown[0].abs().sum(-1) > 0).tolist() == earlier_or_own
        assert (to_condition[0].abs().sum(-1) > 0).tolist() == earlier_or_own
        assert not to_shown[1:].any() and not to_condition[1:].any()


@both_schemes
@pytest.mark.parametrize("prompt", [0, 2])
@pytest.mark.parametrize("grid_width", [0, 2])
def test_states_through_the_cache_equal_the_whole_pass(config, prompt, grid_width):
    model, codes, condition = toy_model(replace(config, grid_width=grid_width))
    with torch.no_grad():
        whole = model.states(codes[:, :-1], condition)
        advance = model.advance_by_cache(FRAMES, condition, is_guided=False)
        state = advance(codes[:, :prompt], 0)
        for frame in range(prompt, FRAMES):
            torch.testing.assert_close(state, whole[:, frame], atol=1e-5, rtol=1e-5)
            state = advance(codes[:, frame : frame + 1], frame) if frame + 1 < FRAMES else None


@both_schemes
def test_a_text_is_attended_to_through_the_cache_as_in_the_whole_pass(config):
    model, codes, _ = toy_model(replace(config, condition_dim=0, cross_dim=6))
    memory = TextMemory(
        features=torch.randn(8, 5, 6, generator=rng(3)),
        is_padding=torch.zeros(8, 5, dtype=torch.bool),
        symbol_place=place_in_parts(torch.full((8,), 5), torch.full((8,), 2), 5),
        frame_place=place_in_parts(torch.full((8,), FRAMES), torch.full((8,), 1), FRAMES),
    )
    with torch.no_grad():
        whole = model.states(codes[:, :-1], memory)
        advance = model.advance_by_cache(FRAMES, memory, is_guided=False)
        for frame in range(FRAMES):
            state = advance(codes[:, frame - 1 : frame] if frame else codes[:, :0], max(frame - 1, 0))
            torch.testing.assert_close(state, whole[:, frame], atol=1e-5, rtol=1e-5)
    make_null_matter(model)
    is_target, is_padding = masks()
    made = [
        model.generate(codes, is_target, is_padding, memory, replace(LIKELIEST, guidance_end=weight), rng())
        for weight in (1.0, 9.0)
    ]
    assert not torch.equal(*made)


@both_schemes
@pytest.mark.parametrize("guided", [False, True])
def test_the_trunk_sees_every_frame_once(config, guided):
    model, codes, condition = toy_model(config)
    sampler = replace(LIKELIEST, guidance_end=2.0) if guided else LIKELIEST
    is_target, is_padding = masks()
    calls = count_frames(model)
    model.generate(codes, is_target, is_padding, condition, sampler, rng())
    assert calls == [1] * FRAMES
    calls.clear()
    is_target[:, :2] = False
    model.generate(codes, is_target, is_padding, condition, sampler, rng())
    assert calls == [3, 1]  # the prompt at once


@both_schemes
def test_seeds_reproduce_and_differ(config):
    model, codes, condition = toy_model(config)
    runs = [
        model.generate(torch.zeros_like(codes), *masks(), condition, SamplerConfig(steps=2), rng(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@both_schemes
def test_guidance_at_one_is_no_guidance_and_changes_things_elsewhere(config):
    model, codes, condition = toy_model(config)
    make_null_matter(model)

    def made(given=condition, **changes):
        sampler = replace(SamplerConfig(steps=2, top_p=0.8), **changes)
        return model.generate(torch.zeros_like(codes), *masks(), given, sampler, rng(5))

    plain = made()
    assert torch.equal(plain, made(guidance_start=1.0, guidance_end=1.0))
    assert torch.equal(plain, made(guidance_start=5.0, guidance_end=5.0, guidance_from=0.5, guidance_to=0.5))
    assert not torch.equal(plain, made(guidance_start=8.0, guidance_end=8.0))
    # At 0 the null alone speaks (but for the scale of the noise, which stays the conditional one's).
    unconditional = made(model.trunk.conditioning.null_of(condition), temperature=0.0)
    assert torch.equal(unconditional, made(guidance_start=0.0, guidance_end=0.0, temperature=0.0))
    assert not torch.equal(unconditional, made(temperature=0.0))


@both_schemes
def test_a_class_is_guided_against_no_class(config):
    model, codes, _ = toy_model(replace(config, condition_dim=0, num_classes=8))
    with torch.no_grad():
        model.trunk.transformer.modulation.project.weight.normal_(generator=rng(4))  # it starts at 0
        model.trunk.conditioning.classes.weight.normal_(generator=rng(6))
    told, untold = torch.arange(8), torch.full((8,), 8)

    def made(classes, weight):
        sampler = replace(LIKELIEST, guidance_start=weight, guidance_end=weight)
        return model.generate(torch.zeros_like(codes), *masks(), classes, sampler, rng(5))

    assert torch.equal(made(told, 0.0), made(untold, 1.0))
    assert not torch.equal(made(told, 0.0), made(told, 1.0))


@both_schemes
def test_the_ramp_of_guidance_runs_over_an_items_own_frames(config):
    model, _, condition = toy_model(config)
    is_target = torch.tensor([[False, True, True, True], [True, True, False, False]])
    sampler = SamplerConfig(guidance_start=1.0, guidance_end=3.0)
    weights = model.guidance_weights(sampler, is_target, condition[:2])
    assert weights.tolist() == [[1, 1, 2, 3], [1, 3, 1, 1]]
    assert model.guidance_weights(SamplerConfig(), is_target, condition[:2]) is None


@both_schemes
def test_guidance_that_cannot_be_given_is_refused(config):
    guided = SamplerConfig(guidance_end=2.0)
    model, codes, condition = toy_model(config)
    for changes in ({"guidance_on": "hidden"}, {"guidance_null": "levels"}):
        with pytest.raises(ConfigError, match="frame by frame"):
            model.generate(codes, *masks(), condition, replace(guided, **changes), rng())
    model, codes, condition = toy_model(replace(config, condition_dropout=0.0))
    with pytest.raises(ConfigError, match="condition_dropout"):
        model.generate(codes, *masks(), condition, guided, rng())


def two_lengths(codes, condition):
    """Items of 4 and of 2 frames in one batch of 6, filled up with what must not be looked at."""
    is_padding = torch.arange(6) >= torch.tensor([[4], [2]])
    longer = pad(codes[:2], (0, 0, 0, 2), value=5).masked_fill(is_padding[..., None], 5)
    features = pad(condition[:2], (0, 0, 0, 2)).masked_fill(is_padding[..., None], 9.0)
    return longer, ~is_padding, is_padding, features


@both_schemes
def test_the_loss_of_a_padded_batch_is_that_of_its_items(config):
    model, codes, condition = toy_model(replace(config, condition_dropout=0.0))
    longer, is_target, is_padding, features = two_lengths(codes, condition)
    is_target[:, 0] = False  # a prompt
    _, batch = model.loss(longer, is_target, is_padding, features, [rng(1), rng(2)])
    items = []
    for item, length in enumerate((4, 2)):
        one = slice(item, item + 1), slice(0, length)
        items.append(model.loss(longer[one], is_target[one], is_padding[one], features[one], [rng(1 + item)])[1])
    for name in ("nats_by_num_hidden", "frames_by_num_hidden"):
        torch.testing.assert_close(batch[name], items[0][name] + items[1][name], atol=1e-4, rtol=1e-5)


@both_schemes
@pytest.mark.parametrize("end", [1.0, 3.0])
def test_samples_of_a_padded_batch_are_those_of_its_items(config, end):
    model, codes, condition = toy_model(config)
    make_null_matter(model)
    sampler = SamplerConfig(steps=2, guidance_end=end)
    longer, is_target, is_padding, features = two_lengths(codes, condition)
    is_target[0, :1] = False  # a prompt of one item alone
    made = model.generate(longer, is_target, is_padding, features, sampler, [rng(1), rng(2)])
    assert torch.equal(made[~is_target], longer[~is_target])
    for item, length in enumerate((4, 2)):
        one = slice(item, item + 1), slice(0, length)
        alone = model.generate(longer[one], is_target[one], is_padding[one], features[one], sampler, [rng(1 + item)])
        assert torch.equal(made[one], alone)


@both_schemes
def test_prompts_of_different_length_are_kept_and_the_trace_is_told(config):
    model, codes, condition = toy_model(config)
    is_target = torch.arange(FRAMES) >= (torch.arange(8) % 4)[:, None]
    states = []
    made = model.generate(codes, is_target, ~is_target & False, condition, LIKELIEST, rng(), on_step=states.append)
    assert torch.equal(made[~is_target], codes[~is_target])
    assert len(states) == FRAMES + 1 and not states[-1].hidden_mask.any()
    assert torch.equal(states[0].hidden_mask, is_target[..., None].expand(-1, -1, DEPTH))
    assert torch.equal(states[-1].codes, made)


@both_schemes
def test_an_unconditional_model_trains_all_of_its_weights(config):
    model, codes, _ = toy_model(replace(config, condition_dim=0))
    loss, _ = model.loss(codes, *masks(), None, rng())
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.numel())
