"""Components that start on the data: the likelihood before any step, against closed forms and the random start."""

import math
from dataclasses import replace

import pytest
import torch

from resgen_tts.models.component_start import start_components
from tests.models.toys import RESGEN, masks, rng, toy_model


def _bare(model):
    """Without what hidden states add: the head's biases alone decide."""
    for layer in (model.head.log_weights, model.head.log_scale, model.head.shift):
        torch.nn.init.zeros_(layer.weight)


def _nats(model, codes, condition) -> float:
    return float(model.loss(codes, *masks(len(codes)), condition, rng(3))[0].detach())


def test_one_component_is_the_gaussian_of_the_targets():
    """K = 1 at full rank: mean and scale of the targets, so the loss is (log 2 pi + 1) / 2 + log a."""
    model, codes, condition = toy_model(replace(RESGEN, components=1, rank=None))
    frames = codes.flatten(0, 1).repeat(64, 1)
    _bare(model)
    start_components(model, frames, rng(0))
    _bare(model)
    scale = float(model.head.log_scale.bias.detach().exp())
    wanted = (math.log(2 * math.pi) + 1) / 2 + math.log(scale)
    many = codes.repeat(40, 1, 1)
    loss = _nats(model, many, condition.repeat(40, 1, 1))
    assert abs(loss - wanted) < 0.06  # masks are drawn over other numbers of frames


def test_targets_are_likelier_than_under_one_gaussian_or_the_random_start():
    """Of the biases alone, on many masks; one Gaussian has no choice to pay for, and still loses."""
    figures = {}
    for name, components in (("random", 16), ("one", 1), ("sixteen", 16)):
        model, codes, condition = toy_model(replace(RESGEN, components=components, rank=None))
        if name != "random":
            start_components(model, codes.flatten(0, 1).repeat(8, 1), rng(0))
        _bare(model)
        figures[name] = _nats(model, codes.repeat(20, 1, 1), condition.repeat(20, 1, 1))
    assert figures["sixteen"] < figures["one"] - 0.05 < figures["random"] - 0.1


def test_the_start_is_a_function_of_codes_and_seed():
    model, codes, _ = toy_model(RESGEN)
    start_components(model, codes.flatten(0, 1), rng(5))
    first = {name: value.clone() for name, value in model.head.state_dict().items()}
    start_components(model, codes.flatten(0, 1), rng(5))
    for name, value in model.head.state_dict().items():
        torch.testing.assert_close(value, first[name], rtol=0, atol=0)


def test_fewer_frames_than_components_are_refused():
    model, codes, _ = toy_model(RESGEN)
    with pytest.raises(ValueError, match="8 frames for 16 components"):
        start_components(model, codes.flatten(0, 1)[:8], rng(0))


@pytest.mark.parametrize("frames", [16, 20, 33, 70])
def test_few_frames_and_equal_ones_give_a_finite_start(frames):
    """Masks that hide nothing give no target: they are drawn again until there are as many as components."""
    model, codes, condition = toy_model(RESGEN)
    few = codes.flatten(0, 1).repeat(4, 1)[:frames]
    for rows in (few, few[:1].expand(frames, -1).clone()):
        start_components(model, rows, rng(0))
        assert all(torch.isfinite(value).all() for value in model.head.state_dict().values())
        assert math.isfinite(_nats(model, codes, condition))
