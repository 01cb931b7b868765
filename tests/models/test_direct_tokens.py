"""Direct tokens, and what MaskGIT shares with them: closed-form losses, regeneration, seeds, guidance, padding."""

import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.masking import MASKINGS, draw_hidden_mask
from resgen_tts.core.objective import code_weights
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.core.schedule import SCHEDULES
from resgen_tts.models.catalog import build_generator
from resgen_tts.models.direct_tokens import DirectTokens, DirectTokensConfig
from resgen_tts.models.masked_tokens import MaskedTokens, MaskedTokensConfig
from resgen_tts.models.maskgit_rvq import MaskgitRvqConfig
from resgen_tts.models.trunk import TrunkConfig, measure_level_energy
from tests.models.toys import DEPTH, FRAMES, SIZE, masks, overfit, rng, toy_space

DIRECT = DirectTokensConfig(width=48, layers=2, heads=2, condition_dim=5)
MASKGIT = MaskgitRvqConfig(width=48, layers=2, heads=2, condition_dim=5)
FREE = replace(DIRECT, masking="full_random")
LIKELIEST = SamplerConfig(steps=8, temperature=0.0, choice_temperature=0.0)


def toy_model(config: TrunkConfig) -> tuple[MaskedTokens, torch.Tensor, torch.Tensor]:
    """A model, codes [8, 4, 3], and a condition that tells the items apart."""
    space = toy_space()
    codes = torch.randint(0, SIZE, (8, FRAMES, DEPTH), generator=rng(8))
    condition = torch.randn(8, FRAMES, 5, generator=rng(9)) if config.condition_dim else torch.arange(8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_generator(config, space, measure_level_energy(space, codes.flatten(0, 1)))
    return model, codes, condition


def know_nothing(model: MaskedTokens) -> None:
    for parameter in model.head.parameters():
        torch.nn.init.zeros_(parameter)


def null_model(config: MaskedTokensConfig) -> tuple[MaskedTokens, torch.Tensor, torch.Tensor]:
    """A model whose null condition is unlike the others."""
    model, codes, condition = toy_model(config)
    with torch.no_grad():
        model.trunk.conditioning.null_features.normal_(generator=rng(4))
        model.head.weight.mul_(10)  # far from uniform
    return model, codes, condition


def regenerated(model: MaskedTokens, codes: torch.Tensor, condition: torch.Tensor | None) -> bool:
    made = model.generate(torch.zeros_like(codes), *masks(), condition, LIKELIEST, rng())
    return torch.equal(made, codes)


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_a_model_that_knows_nothing_is_log_v(masking, smoothing):
    model, codes, condition = toy_model(replace(DIRECT, masking=masking, label_smoothing=smoothing))
    know_nothing(model)
    loss, logs = model.loss(codes, *masks(), condition, rng(3))
    torch.testing.assert_close(loss, torch.tensor(math.log(SIZE)))
    torch.testing.assert_close(logs["nats_per_code"], torch.tensor(math.log(SIZE)))
    # The same mask again, by the same generator: every hidden code costs log V.
    num_hidden = draw_hidden_mask(masking, SCHEDULES["circle"], masks()[0], DEPTH, rng(3)).sum(-1)
    frames = torch.tensor([int((num_hidden == number).sum()) for number in range(1, DEPTH + 1)])
    assert logs["frames_by_num_hidden"].tolist() == [0, *frames.tolist()]
    wanted = frames * torch.arange(1, DEPTH + 1) * math.log(SIZE)
    torch.testing.assert_close(logs["nats_by_num_hidden"][1:], wanted)


@pytest.mark.parametrize("masking", MASKINGS)
def test_the_weighted_objective_is_the_bound_per_code(masking):
    """For a model that knows nothing every mask's estimate is weights times log V; on average just log V."""
    model, codes, condition = toy_model(replace(DIRECT, masking=masking, objective="elbo"))
    know_nothing(model)
    loss, _ = model.loss(codes, *masks(), condition, rng(3))
    schedule, (is_target, _) = SCHEDULES["circle"], masks(3000)
    hidden = draw_hidden_mask(masking, schedule, is_target[:8], DEPTH, rng(3))
    weights = code_weights(schedule, hidden, is_target[:8], masking)
    torch.testing.assert_close(loss, weights.sum() / weights.numel() * math.log(SIZE))
    drawn = draw_hidden_mask(masking, schedule, is_target, DEPTH, rng(4))
    sums = code_weights(schedule, drawn, is_target, masking).sum((1, 2)) / (FRAMES * DEPTH)
    assert abs(float(sums.mean()) - 1) < 4 * float(sums.std()) / 3000**0.5


@pytest.mark.parametrize("masking", MASKINGS)
def test_eight_items_are_learnt_and_regenerated_exactly(masking):
    model, codes, condition = toy_model(replace(DIRECT, masking=masking, condition_dropout=0.0))
    overfit(model, codes, condition, steps=150, rate=1e-2)
    assert regenerated(model, codes, condition)
    # A prompt is kept, and the rest follows it.
    is_target, is_padding = masks()
    is_target[:, :2] = False
    led = model.generate(codes * ~is_target[..., None] + is_target[..., None], is_target, is_padding, condition,
                         LIKELIEST, rng())  # fmt: skip
    assert torch.equal(led, codes)


def test_eight_classes_are_learnt_and_regenerated_exactly():
    model, codes, classes = toy_model(replace(DIRECT, condition_dim=0, num_classes=8, grid_width=2))
    overfit(model, codes, classes, steps=200, rate=1e-2)
    assert regenerated(model, codes, classes)
    guided = replace(LIKELIEST, guidance_start=1.5, guidance_end=1.5)
    assert torch.equal(model.generate(torch.zeros_like(codes), *masks(), classes, guided, rng()), codes)


def test_an_unconditional_model_learns_what_all_items_share():
    model, codes, _ = toy_model(replace(DIRECT, condition_dim=0, label_smoothing=0.05))
    codes = codes[:1].expand(8, -1, -1)
    overfit(model, codes, None, steps=60, rate=1e-2)
    assert regenerated(model, codes, None)
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.numel())


@pytest.mark.parametrize("config", [DIRECT, FREE, MASKGIT])
def test_seeds_reproduce_and_differ(config):
    model, codes, condition = toy_model(config)
    made = [model.generate(codes, *masks(), condition, SamplerConfig(steps=6), rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize("config", [DIRECT, MASKGIT])
@pytest.mark.parametrize("on", ["components", "weights", "outputs", "hidden"])
def test_guidance_at_one_is_no_guidance_and_changes_things_elsewhere(config, on):
    model, codes, condition = null_model(config)

    def made(**changes):
        sampler = SamplerConfig(steps=6, guidance_on=on, **changes)
        return model.generate(codes, *masks(), condition, sampler, rng(5))

    plain = made()
    assert torch.equal(made(guidance_start=1.0, guidance_end=1.0), plain)
    assert not torch.equal(made(guidance_start=6.0, guidance_end=6.0), plain)
    if on != "hidden":  # the formula itself at w = 1, not only the short cut around it
        assert torch.equal(made(guidance_start=1.0 + 1e-9, guidance_end=1.0 + 1e-9), plain)


def test_guidance_at_zero_is_the_null():
    model, codes, condition = null_model(DIRECT)
    sampler = replace(LIKELIEST, guidance_start=0.0, guidance_end=0.0)
    made = model.generate(codes, *masks(), condition, sampler, rng())
    null = model.trunk.conditioning.null_of(condition)
    assert torch.equal(made, model.generate(codes, *masks(), null, LIKELIEST, rng()))


def test_guidance_is_refused_where_it_makes_no_sense():
    model, codes, condition = toy_model(DIRECT)
    for bad in ({"guidance_on": "density"}, {"guidance_null": "levels"}):
        with pytest.raises(ConfigError, match="null condition, prompt or both, on hidden, or on components, weights"):
            model.generate(codes, *masks(), condition, SamplerConfig(guidance_end=2.0, **bad), rng())
    model, codes, condition = toy_model(replace(DIRECT, condition_dropout=0.0))
    with pytest.raises(ConfigError, match="condition_dropout"):
        model.generate(codes, *masks(), condition, SamplerConfig(guidance_end=2.0), rng())


def ragged(config: MaskedTokensConfig) -> tuple:
    """A model, and three items of 4, 2 and 3 frames, the second led by a prompt of one frame."""
    model, codes, condition = null_model(config)
    is_padding = torch.arange(FRAMES) >= torch.tensor([4, 2, 3])[:, None]
    is_target = ~is_padding
    is_target[1, 0] = False
    codes, condition = codes[:3].clone(), condition[:3].clone()
    codes[is_padding], condition[is_padding] = 5, 7.0
    return model, codes, is_target, is_padding, condition


def alone(batch: tuple, is_padding: torch.Tensor, item: int) -> tuple:
    """One item of each tensor, without its padding."""
    own = int((~is_padding[item]).sum())
    return tuple(tensor[item : item + 1, :own] for tensor in batch)


@pytest.mark.parametrize("config", [DIRECT, replace(DIRECT, masking="level"), FREE, MASKGIT])
@pytest.mark.parametrize("order", ["confidence", "random"])
def test_a_padded_batch_gives_the_samples_of_its_items_alone(config, order):
    model, *batch = ragged(config)
    codes, is_target, is_padding, _ = batch
    sampler = SamplerConfig(steps=6, order=order, guidance_start=1.0, guidance_end=2.5)
    together = model.generate(*batch, sampler, [rng(10), rng(11), rng(12)])
    for item in range(3):
        made = model.generate(*alone(batch, is_padding, item), sampler, [rng(10 + item)])
        assert torch.equal(made, *alone((together,), is_padding, item))
    assert torch.equal(together[~is_target], codes[~is_target])


@pytest.mark.parametrize("config", [DIRECT, FREE, MASKGIT, replace(DIRECT, objective="elbo")])
def test_a_padded_batch_has_the_loss_of_its_items_alone(config):
    model, *batch = ragged(config)
    _, is_target, is_padding, _ = batch
    loss, together = model.loss(*batch, [rng(20), rng(21), rng(22)])
    nats, frames, bound = torch.zeros(DEPTH + 1), torch.zeros(DEPTH + 1), 0.0
    for item in range(3):
        own_loss, own = model.loss(*alone(batch, is_padding, item), [rng(20 + item)])
        nats += own["nats_by_num_hidden"]
        frames += own["frames_by_num_hidden"]
        bound += own_loss * is_target[item].sum()
    assert torch.equal(frames, together["frames_by_num_hidden"])
    torch.testing.assert_close(nats, together["nats_by_num_hidden"], rtol=1e-4, atol=1e-4)
    if isinstance(model, DirectTokens) and model.config.objective == "elbo":
        torch.testing.assert_close(loss, bound / is_target.sum())


def test_one_network_call_a_step_also_where_guided():
    model, codes, condition = toy_model(DIRECT)
    batches = []
    model.trunk.register_forward_hook(lambda module, inputs, output: batches.append(len(output)))
    sampler = SamplerConfig(steps=4, schedule="linear", guidance_start=1.0, guidance_end=2.0)
    model.generate(codes, *masks(), condition, sampler, rng())
    assert batches == [8, 16, 16, 16]  # guidance is off at the first step


@pytest.mark.parametrize("config", [DIRECT, FREE])
def test_the_likeliest_codes_are_kept_first(config):
    """Half of them at the first of two steps: by log-probabilities, for suffixes summed down the levels."""
    model, codes, condition = null_model(config)
    hidden = torch.ones_like(codes, dtype=torch.bool)
    with torch.no_grad():
        states = model.trunk(torch.zeros(8, FRAMES, 6), hidden, condition)
        logits = model.head(states[:, :, None].expand(-1, -1, DEPTH, -1))
    log_prob, likeliest = torch.log_softmax(logits, dim=-1).max(-1)
    score = log_prob if config is FREE else log_prob.cumsum(-1)
    best = score.flatten(1).topk(FRAMES * DEPTH // 2).indices
    kept = torch.zeros(8, FRAMES * DEPTH, dtype=torch.bool).scatter(1, best, True).view_as(hidden)
    seen = []
    sampler = replace(LIKELIEST, steps=2, schedule="linear")
    model.generate(torch.zeros_like(codes), *masks(), condition, sampler, rng(), on_step=seen.append)
    assert torch.equal(~seen[1].hidden_mask, kept)
    assert torch.equal(seen[1].codes[kept], likeliest[kept])


def test_the_level_penalty_lets_free_masks_go_level_after_level():
    model, codes, condition = null_model(FREE)
    for penalty, ordered in ((0.0, False), (100.0, True)):
        seen = []
        sampler = SamplerConfig(steps=6, level_penalty=penalty)
        model.generate(codes, *masks(), condition, sampler, rng(), on_step=seen.append)
        hidden = torch.stack([state.hidden_mask.sum(1) for state in seen])  # [S, B, D]
        finer_first = (hidden[..., :-1] > 0) & (hidden[..., 1:] < FRAMES)
        assert bool(finer_first.any()) is not ordered


def test_a_model_gone_wrong_is_told_not_decoded():
    model, codes, condition = toy_model(DIRECT)
    with torch.no_grad():
        model.head.bias[1, 3] = torch.nan
    for temperature in (0.0, 1.0):
        sampler = SamplerConfig(steps=4, temperature=temperature)
        with pytest.raises(ResGenError, match="MODEL_NONFINITE"):
            model.generate(codes, *masks(), condition, sampler, rng())


def test_nonsense_is_refused():
    for bad in ({"masking": "middle"}, {"objective": "best"}, {"label_smoothing": 1.0}, {"schedule": "square"}):
        with pytest.raises(ConfigError):
            replace(DIRECT, **bad)
