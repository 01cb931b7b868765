"""The judge of pictures: its sizes and reach, hinge losses by hand, the adaptive weight in closed form."""

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.image_discriminator import (
    MAX_ADAPTIVE_WEIGHT,
    PatchDiscriminator,
    PatchDiscriminatorConfig,
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
)

SMALL = PatchDiscriminatorConfig(width=4)


def test_rq_vaes_judge_has_the_sizes_that_pix2pix_counts():
    """Kernels of 4: 3 -> 64, 64 -> 128, 128 -> 256, 256 -> 1; biases at both ends; a gain and a shift per norm."""
    judge = PatchDiscriminator(PatchDiscriminatorConfig(), 3, 256)
    count = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256) + 64 + 1 + 2 * (128 + 256)
    assert sum(parameter.numel() for parameter in judge.parameters()) == count
    assert judge(torch.zeros(2, 3, 32, 32)).shape == (2, 1, 6, 6)


@pytest.mark.parametrize(("layers", "reach"), [(1, 16), (2, 34)])
def test_a_score_sees_a_patch(layers, reach):
    torch.manual_seed(0)
    judge = PatchDiscriminator(PatchDiscriminatorConfig(layers=layers, width=4), 1, 64)
    # Norms see the whole batch; without them the reach is that of the convolutions.
    convolutions = torch.nn.Sequential(*(x for x in judge.layers if not isinstance(x, torch.nn.BatchNorm2d)))
    images = torch.zeros(1, 1, 64, 64, requires_grad=True)
    scores = convolutions(images)
    middle = scores.shape[-1] // 2
    (slope,) = torch.autograd.grad(scores[0, 0, middle, middle], images)
    rows = slope[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == reach


def test_a_judge_in_eval_mode_says_the_same():
    """Its norms keep no averages: nothing in it changes but by gradient."""
    judge = PatchDiscriminator(SMALL, 1, 16)
    images = torch.randn(3, 1, 16, 16, generator=generator(0))
    assert not list(judge.buffers())
    torch.testing.assert_close(judge.train()(images), judge.eval()(images))


def test_hinge_losses_by_hand():
    real, decoded = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, -0.5, 1.0])
    by_hand = ((0 + 0.5 + 2) / 3 + (0 + 0.5 + 2) / 3) / 2
    assert float(hinge_discriminator_loss(real, decoded)) == pytest.approx(by_hand)
    assert float(hinge_generator_loss(decoded)) == pytest.approx(2.5 / 3)


def test_the_adaptive_weight_in_closed_form():
    """Gradients 2 a w and 3 b of a |w|^2 and 3 b . w: their lengths are known."""
    w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    hidden = w * 1.0
    first, second = 0.7 * hidden.square().sum(), 3 * (hidden * torch.tensor([0.6, 0.8])).sum()
    weight = adaptive_weight(first, second, w)
    assert float(weight) == pytest.approx(0.7 * 2 * 5 / (3 + 1e-4), rel=1e-6)
    assert not weight.requires_grad and w.grad is None
    (weight * second + first).backward()  # both graphs are still there
    torch.testing.assert_close(w.grad, 1.4 * w.detach() + weight * 3 * torch.tensor([0.6, 0.8]))


def test_the_adaptive_weight_is_bounded():
    w = torch.nn.Parameter(torch.ones(1))
    assert float(adaptive_weight(5 * w.sum(), 0 * w.sum(), w)) == MAX_ADAPTIVE_WEIGHT
    assert float(adaptive_weight(0 * w.sum(), w.sum(), w)) == 0


def test_nonsense_is_refused():
    with pytest.raises(ConfigError, match="layers and width"):
        PatchDiscriminatorConfig(layers=0)
    with pytest.raises(ConfigError, match="leaves nothing of pictures of 8 x 8"):
        PatchDiscriminator(PatchDiscriminatorConfig(), 1, 8)
    smallest = PatchDiscriminator(SMALL, 1, 12)(torch.zeros(2, 1, 12, 12))
    assert smallest.shape == (2, 1, 1, 1)
