"""ResGen: closed-form loss, overfitting and regeneration, seeds, prompts and guidance."""

import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.reveal import SamplerConfig
from resgen_tts.models.catalog import GENERATORS, generator_by_name
from resgen_tts.models.resgen import ResGen, ResGenConfig, measure_hidden_scale

TOY = ResGenConfig(width=48, layers=2, heads=2, components=16, rank=6, condition_dim=5)
MODE = SamplerConfig(steps=8, top_p=1e-6, noise_temperature=0.0, choice_temperature=0.0)  # the likeliest codes


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_space() -> CodeSpace:
    books = torch.randn(3, 12, 6, generator=rng(7)) * torch.tensor([1.0, 0.5, 0.25])[:, None, None]
    return CodeSpace(books, torch.tensor([0.4, 0.1, 0.02]))


def stable_codes(space: CodeSpace, count: int) -> torch.Tensor:
    """Codes that a greedy search gives back from their own sums, whatever number of levels is hidden."""
    codes = space.quantize(torch.randn(1, 40 * count, 6, generator=rng(8)))
    stable = torch.ones(codes.shape[1], dtype=torch.bool)
    for hidden in range(1, space.depth + 1):
        num_hidden = torch.full(codes.shape[:2], hidden)
        again = space.quantize(space.hidden_sum(codes, num_hidden), num_hidden, codes)
        stable &= (again == codes).all(-1)[0]
    return codes[0, stable][:count]


def toy_model(config: ResGenConfig = TOY) -> tuple[ResGen, torch.Tensor, torch.Tensor]:
    """A model, codes [8, 4, 3] and a condition that tells the items apart."""
    space = toy_space()
    codes = stable_codes(space, 32).reshape(8, 4, 3)
    condition = torch.randn(8, 4, 5, generator=rng(9))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ResGen(config, space, measure_hidden_scale(space, codes.reshape(-1, 3)))
    return model, codes, condition


def masks(batch: int = 8, frames: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(batch, frames, dtype=torch.bool), torch.zeros(batch, frames, dtype=torch.bool)


def test_loss_of_one_standard_normal_is_its_closed_form():
    """K = 1, all weights 0: NLL = (C/2) log 2 pi + |z|^2 / 2 of the normalized target, per dimension."""
    model, codes, condition = toy_model(replace(TOY, components=1))
    for parameter in model.head.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        model.head.basis.copy_(torch.eye(6)[:, :6])
    is_target, is_padding = masks()
    loss, logs = model.loss(codes, is_target, is_padding, condition, rng(3))
    # The same mask again, by the same generator:
    from resgen_tts.core.masking import draw_num_hidden
    from resgen_tts.core.schedule import SCHEDULES

    num_hidden = draw_num_hidden(SCHEDULES["circle"], is_target, 3, rng(3))
    z = model.code_space.hidden_sum(codes, num_hidden) / model.hidden_scale[num_hidden][..., None]
    wanted = (math.log(2 * math.pi) * 6 + z[num_hidden > 0].square().sum(-1)).mean() / 2 / 6
    torch.testing.assert_close(loss, wanted)
    assert float(logs["choice"]) == 0


def test_the_hidden_scale_is_that_of_the_data():
    space = toy_space()
    codes = torch.randint(0, 12, (50, 3), generator=rng(1))
    scale = measure_hidden_scale(space, codes)
    finest = space.codebooks[2][codes[:, 2]]
    torch.testing.assert_close(scale[1], finest.square().mean().sqrt())
    total = sum(space.codebooks[level][codes[:, level]] for level in range(3))
    torch.testing.assert_close(scale[3], total.square().mean().sqrt())


def test_eight_items_are_learnt_and_regenerated_exactly():
    model, codes, condition = toy_model(replace(TOY, condition_dropout=0.0))
    is_target, is_padding = masks()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    first = None
    for step in range(900):
        optimizer.param_groups[0]["lr"] = 6e-3 * (1 - step / 900)
        loss, _ = model.loss(codes, is_target, is_padding, condition, rng(step))
        first = float(loss.detach()) if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < first - 1.5
    made = model.eval().generate(torch.zeros_like(codes), is_target, is_padding, condition, MODE, rng())
    assert torch.equal(made, codes)
    # A prompt is kept, and the rest follows it.
    is_target[:, :2] = False
    led = model.generate(codes * ~is_target[..., None], is_target, is_padding, condition, MODE, rng())
    assert torch.equal(led, codes)


def test_seeds_reproduce_and_differ():
    model, codes, condition = toy_model()
    is_target, is_padding = masks()
    config = SamplerConfig(steps=4)
    runs = [
        model.eval().generate(torch.zeros_like(codes), is_target, is_padding, condition, config, rng(s))
        for s in (1, 1, 2)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_guidance_at_one_is_no_guidance_and_changes_things_elsewhere():
    model, codes, condition = toy_model()
    model.eval()
    with torch.no_grad():
        model.null_condition.normal_(generator=rng(4))
    is_target, is_padding = masks()

    def made(**changes):
        config = replace(MODE, **changes)
        return model.generate(torch.zeros_like(codes), is_target, is_padding, condition, config, rng(5))

    assert torch.equal(made(), made(guidance_start=1.0, guidance_end=1.0))
    assert not torch.equal(made(), made(guidance_start=4.0, guidance_end=4.0))


def test_padding_changes_neither_loss_nor_samples():
    model, codes, condition = toy_model(replace(TOY, condition_dropout=0.0))
    model.eval()
    pad = torch.nn.functional.pad
    is_target, is_padding = masks()
    longer = pad(codes, (0, 0, 0, 3), value=5), pad(is_target, (0, 3)), pad(is_padding, (0, 3), value=True)
    plain = model(codes, is_target.long() * 2, is_padding, condition)
    padded = model(longer[0], longer[1].long() * 2, longer[2], pad(condition, (0, 0, 0, 3)))
    torch.testing.assert_close(padded[:, :4], plain, atol=1e-5, rtol=1e-4)


def test_a_model_gone_wrong_is_told_not_decoded():
    model, codes, condition = toy_model()
    with torch.no_grad():
        model.head.shift.bias[0] = torch.nan
    with pytest.raises(ResGenError, match="MODEL_NONFINITE"):
        model.eval().generate(torch.zeros_like(codes), *masks(), condition, MODE, rng())


def test_an_unconditional_model_trains():
    model, codes, _ = toy_model(replace(TOY, condition_dim=0))
    is_target, is_padding = masks()
    loss, _ = model.loss(codes, is_target, is_padding, None, rng())
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.numel())


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_every_catalogued_size_can_be_built(name):
    config = generator_by_name(name)
    with torch.device("meta"):
        model = ResGen(config, CodeSpace(torch.empty(32, 1024, 512), torch.empty(32)))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    low, high = {"mini": (4, 9), "small": (15, 30), "paper": (440, 560)}[name]
    assert low < millions < high


def test_an_unknown_size_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match="mini"):
        generator_by_name("huge")
    with pytest.raises(ConfigError, match="heads"):
        ResGenConfig(width=100, heads=16)
