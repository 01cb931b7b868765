"""ResGen: closed-form loss, overfitting and regeneration, seeds, prompts, padding and every kind of guidance."""

import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.masking import draw_hidden_mask, suffix_mask
from resgen_tts.core.sampler_config import GUIDED_QUANTITIES, SamplerConfig
from resgen_tts.core.schedule import SCHEDULES
from resgen_tts.models.resgen import ResGen
from resgen_tts.models.trunk import measure_level_energy
from tests.models.toys import RESGEN, masks, overfit, rng, toy_model, toy_space

MODE = SamplerConfig(steps=8, top_p=1e-6, temperature=0.0, choice_temperature=0.0)  # the likeliest codes
RATE = 6e-3


def test_loss_of_one_standard_normal_is_its_closed_form():
    """K = 1, all weights 0: NLL = (C/2) log 2 pi + |z|^2 / 2 of the normalized target, per dimension."""
    model, codes, condition = toy_model(replace(RESGEN, components=1))
    for parameter in model.head.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        model.head.basis.copy_(torch.eye(6)[:, :6])
    loss, logs = model.loss(codes, *masks(), condition, rng(3))
    # The same mask again, by the same generator:
    hidden = draw_hidden_mask("suffix", SCHEDULES["circle"], masks()[0], 3, rng(3))
    is_hiding = hidden.any(-1)
    z = model.code_space.hidden_sum(codes, hidden)[is_hiding] / model.hidden_scale(hidden[is_hiding])[:, None]
    wanted = (math.log(2 * math.pi) * 6 + z.square().sum(-1)) / 2
    torch.testing.assert_close(loss, wanted.mean() / 6)
    assert float(logs["choice"]) == 0
    # In nats of z itself, per code and by the number of hidden codes of a frame:
    nats = wanted + 6 * model.hidden_scale(hidden[is_hiding]).log()
    torch.testing.assert_close(logs["nats_per_code"], nats.sum() / hidden.sum())
    counts = hidden.sum(-1)[is_hiding]
    for number in range(4):
        assert int(logs["frames_by_num_hidden"][number]) == int((counts == number).sum())
        torch.testing.assert_close(logs["nats_by_num_hidden"][number].float(), nats[counts == number].sum())


def test_the_scale_of_what_is_hidden_is_that_of_the_data():
    space = toy_space()
    codes = torch.randint(0, 12, (50, 3), generator=rng(1))
    model = ResGen(RESGEN, space, measure_level_energy(space, codes))
    scale = model.hidden_scale(suffix_mask(torch.arange(4), 3))
    assert float(scale[0]) == 1
    finest = space.codebooks[2][codes[:, 2]]
    torch.testing.assert_close(scale[1], finest.square().mean().sqrt())
    total = sum(space.codebooks[level][codes[:, level]] for level in range(3))
    torch.testing.assert_close(scale[3], total.square().mean().sqrt())
    torch.testing.assert_close(model.total_scale, scale[3])


def test_eight_items_are_learnt_and_regenerated_exactly():
    model, codes, condition = toy_model(replace(RESGEN, condition_dropout=0.0))
    is_target, is_padding = masks()
    assert overfit(model, codes, condition, 900, RATE) > 1.5
    made = model.generate(torch.zeros_like(codes), is_target, is_padding, condition, MODE, rng())
    assert torch.equal(made, codes)
    # A prompt is kept, and the rest follows it.
    is_target[:, :2] = False
    led = model.generate(codes * ~is_target[..., None], is_target, is_padding, condition, MODE, rng())
    assert torch.equal(led, codes)


def test_eight_classes_are_learnt_and_regenerated_exactly():
    config = replace(RESGEN, condition_dim=0, num_classes=8, grid_width=2, condition_dropout=0.0)
    model, codes, classes = toy_model(config)
    overfit(model, codes, classes, 1000, RATE)
    made = model.generate(torch.zeros_like(codes), *masks(), classes, MODE, rng())
    assert torch.equal(made, codes)


@pytest.mark.parametrize("masking", ["level", "full_random"])
def test_other_masks_train_and_regenerate_too(masking):
    model, codes, condition = toy_model(replace(RESGEN, condition_dropout=0.0, masking=masking))
    overfit(model, codes, condition, 600, RATE)
    made = model.generate(torch.zeros_like(codes), *masks(), condition, MODE, rng())
    assert float((made == codes).double().mean()) > 0.9


def test_the_weighted_objective_is_the_plain_one_times_its_weights():
    """With the linear schedule every number of hidden codes weighs U, and a frame's whole z 1/n of it."""
    model, codes, condition = toy_model(replace(RESGEN, condition_dropout=0.0, objective="elbo", schedule="linear"))
    loss, logs = model.loss(codes[:1], *masks(1), condition[:1], rng(3))
    hidden = draw_hidden_mask("suffix", SCHEDULES["linear"], masks(1)[0], 3, rng(3))[0]
    nats = logs["nats_by_num_hidden"].sum() - 6 * model.hidden_scale(hidden[hidden.any(-1)]).log().sum()
    torch.testing.assert_close(loss, 12 / hidden.sum() * nats / 4 / 6, rtol=1e-4, atol=1e-4)
    for bad in ({"objective": "best"}, {"objective": "elbo", "schedule": "exponential"}):
        with pytest.raises(ConfigError, match=r"generator\.objective|never hides everything"):
            replace(RESGEN, **bad)


def test_seeds_reproduce_and_differ():
    model, codes, condition = toy_model(RESGEN)
    config = SamplerConfig(steps=4)
    runs = [model.eval().generate(torch.zeros_like(codes), *masks(), condition, config, rng(s)) for s in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def null_model() -> tuple[ResGen, torch.Tensor, torch.Tensor]:
    model, codes, condition = toy_model(RESGEN)
    with torch.no_grad():
        model.trunk.conditioning.null_features.normal_(generator=rng(4))
    return model.eval(), codes, condition


@pytest.mark.parametrize("on", GUIDED_QUANTITIES)
def test_guidance_at_one_is_no_guidance_and_changes_things_elsewhere(on):
    model, codes, condition = null_model()

    def made(**changes):
        config = replace(MODE, guidance_on=on, **changes)
        return model.generate(torch.zeros_like(codes), *masks(), condition, config, rng(5))

    plain = model.generate(torch.zeros_like(codes), *masks(), condition, MODE, rng(5))
    assert torch.equal(made(guidance_start=1.0, guidance_end=1.0), plain)
    # The formula itself at w = 1, not only the short cut around it:
    assert torch.equal(made(guidance_start=1.0 + 1e-9, guidance_end=1.0 + 1e-9), plain)
    assert not torch.equal(made(guidance_start=6.0, guidance_end=6.0), plain)
    if on in ("components", "outputs"):  # at w = 0 only the null is left
        null = model.trunk.conditioning.null_of(condition)
        without = model.generate(torch.zeros_like(codes), *masks(), null, MODE, rng(5))
        assert torch.equal(made(guidance_start=0.0, guidance_end=0.0), without)


def test_a_network_that_sees_fewer_levels_serves_as_the_null():
    model, codes, condition = toy_model(replace(RESGEN, condition_dropout=0.0))
    overfit(model, codes, condition, 500, RATE)
    calls = []
    model.trunk.register_forward_hook(lambda module, inputs, output: calls.append(inputs[1].sum(-1)))
    config = replace(MODE, guidance_null="levels", guidance_null_levels=2, guidance_start=1.3, guidance_end=1.3)
    made = model.generate(torch.zeros_like(codes), *masks(), condition, config, rng())
    for num_hidden in calls:
        seen, null = num_hidden.chunk(2)
        assert torch.equal(null, (seen + 2).clamp(max=3))
    assert float((made == codes).double().mean()) > 0.9  # both agree on what they have learnt
    with pytest.raises(ConfigError, match="guidance_null levels"):
        model.generate(codes, *masks(), condition, replace(config, guidance_on="hidden"), rng())


def test_guidance_is_refused_where_there_is_no_null():
    model, codes, condition = toy_model(replace(RESGEN, condition_dropout=0.0))
    with pytest.raises(ConfigError, match="condition_dropout"):
        model.generate(codes, *masks(), condition, SamplerConfig(guidance_end=2.0), rng())


def ragged() -> tuple[ResGen, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A model, and three items of 4, 2 and 3 frames, the second led by a prompt of one frame."""
    model, codes, condition = null_model()
    lengths = torch.tensor([4, 2, 3])
    is_padding = torch.arange(4) >= lengths[:, None]
    is_target = ~is_padding
    is_target[1, 0] = False
    codes, condition = codes[:3].clone(), condition[:3].clone()
    codes[is_padding], condition[is_padding] = 5, 7.0
    return model, codes, condition, is_target, is_padding


def test_a_padded_batch_gives_the_samples_of_its_items_alone():
    model, codes, condition, is_target, is_padding = ragged()
    config = SamplerConfig(steps=6, guidance_start=1.0, guidance_end=2.5, remask_share=0.2)
    together = model.generate(codes, is_target, is_padding, condition, config, [rng(10), rng(11), rng(12)])
    for item in range(3):
        own = slice(0, int((~is_padding[item]).sum()))
        alone = model.generate(
            codes[item : item + 1, own], is_target[item : item + 1, own], is_padding[item : item + 1, own],
            condition[item : item + 1, own], config, [rng(10 + item)],
        )  # fmt: skip
        assert torch.equal(together[item : item + 1, own], alone)
    assert torch.equal(together[~is_target], codes[~is_target])


def test_a_padded_batch_has_the_loss_of_its_items_alone():
    model, codes, condition, is_target, is_padding = ragged()
    _, together = model.loss(codes, is_target, is_padding, condition, [rng(20), rng(21), rng(22)])
    nats, frames = torch.zeros(4), torch.zeros(4)
    for item in range(3):
        own = slice(0, int((~is_padding[item]).sum()))
        _, alone = model.loss(
            codes[item : item + 1, own], is_target[item : item + 1, own], is_padding[item : item + 1, own],
            condition[item : item + 1, own], [rng(20 + item)],
        )  # fmt: skip
        nats += alone["nats_by_num_hidden"]
        frames += alone["frames_by_num_hidden"]
    assert torch.equal(frames, together["frames_by_num_hidden"].float())
    torch.testing.assert_close(nats, together["nats_by_num_hidden"].float(), rtol=1e-4, atol=1e-3)


def test_as_many_network_calls_as_steps_that_reveal_something():
    model, codes, condition = toy_model(RESGEN)
    calls = []
    model.trunk.register_forward_hook(lambda *_: calls.append(1))
    model.eval().generate(codes, *masks(), condition, SamplerConfig(steps=64), rng())
    # 12 slots cannot be revealed in 64 steps that all reveal something.
    plan = {math.ceil(math.sqrt(1 - (t / 64) ** 2) * 12 - 1e-9) for t in range(1, 65)} - {12}
    assert len(calls) == len(plan) < 12


def test_a_model_gone_wrong_is_told_not_decoded():
    model, codes, condition = toy_model(RESGEN)
    with torch.no_grad():
        model.head.shift.bias[0] = torch.nan
    with pytest.raises(ResGenError, match="MODEL_NONFINITE"):
        model.eval().generate(torch.zeros_like(codes), *masks(), condition, MODE, rng())


def test_an_unconditional_model_trains():
    model, codes, _ = toy_model(replace(RESGEN, condition_dim=0))
    loss, _ = model.loss(codes, *masks(), None, rng())
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.numel())
    with pytest.raises(ValueError, match="conditioned by nothing, but was given classes"):
        model.loss(codes, *masks(), torch.arange(8), rng())


def test_mixed_precision_changes_no_scale_and_no_search():
    """Under autocast the products of the network are rounded; scales of targets and codes of sums must not be."""
    model, codes, _ = toy_model(RESGEN)
    hidden = draw_hidden_mask("suffix", SCHEDULES["circle"], masks()[0], 3, rng())
    latents = torch.randn(8, 4, 6, generator=rng(1))
    plain = model.hidden_scale(hidden), model.code_space.quantize(latents, hidden, codes)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.hidden_scale(hidden), plain[0])
        assert torch.equal(model.code_space.quantize(latents, hidden, codes), plain[1])
        loss, _ = model.loss(codes, *masks(), torch.randn(8, 4, 5, generator=rng(9)), rng(3))
    loss.backward()
    assert loss.dtype == torch.float32 and all(
        torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None
    )
