"""Discriminators of log-mels: their views, their gradients, and that they learn what they are for."""

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.tokenizers.losses import discriminator_loss, feature_matching, generator_loss
from resgen_tts.tokenizers.mel_discriminators import MEL_DISCRIMINATORS, MelDiscriminator, MelDiscriminatorConfig

SMALL = MelDiscriminatorConfig(window_frames=(8, 16), poolings=((1, 1), (4, 2)), width=4)


def small():
    torch.manual_seed(0)
    return MelDiscriminator(SMALL)


@pytest.mark.parametrize("frames", [4, 16, 41])
def test_every_window_and_resolution_is_judged(frames):
    judged = small()(torch.randn(2, frames, 80) - 5)
    assert len(judged) == 4
    assert judged[0].score.shape[0] == 2 * -(-frames // 8)
    assert judged[1].score.shape[0] == 2 * -(-frames // 16)
    assert judged[2].score.shape[0] == 2
    assert judged[3].score.shape[3] < judged[2].score.shape[3]
    assert all(len(each.features) == 3 for each in judged)


def test_a_window_is_judged_by_itself():
    """What lies in another window does not change a judgement, while the pooled views see across."""
    judge, mel = small(), torch.randn(1, 16, 80) - 5
    other = mel.clone()
    other[:, 8:] += 1
    before, after = judge(mel), judge(other)
    torch.testing.assert_close(before[0].score[0], after[0].score[0])
    assert not torch.equal(before[0].score[1], after[0].score[1])
    assert not torch.equal(before[1].score, after[1].score)


def test_every_judge_learns_from_least_squares_and_teaches_from_every_loss():
    judge, real = small(), torch.randn(2, 40, 80) - 5
    made = (torch.randn(2, 40, 80) - 5).requires_grad_()
    discriminator_loss(judge(real), judge(made.detach())).backward()
    for each in judge.judges:
        assert all(float(parameter.grad.abs().sum()) > 0 for parameter in each.parameters())
    for number, (truth, judged) in enumerate(zip(judge(real), judge(made), strict=True)):
        for loss in (generator_loss([judged]), feature_matching([truth], [judged])):
            (gradient,) = torch.autograd.grad(loss, made, retain_graph=True)
            seen = (gradient != 0).float().mean()
            assert seen > 0.9, f"judge {number} sees {seen:.0%} of the mel"


def test_they_learn_to_tell_a_blurred_mel_from_a_sharp_one():
    """A blurred mel is what L1 alone gives."""
    judge = small()
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        sharp = 2 * torch.randn(4, 32, 40) - 5
        blurred = torch.nn.functional.avg_pool1d(sharp.transpose(1, 2), 5, 1, 2, count_include_pad=False)
        loss = discriminator_loss(judge(sharp), judge(blurred.transpose(1, 2)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.25  # 0.5 is chance: every score 1/2


def test_presets():
    with torch.device("meta"):
        sizes = {
            name: [sum(p.numel() for p in judge.parameters()) for judge in MelDiscriminator(config).judges]
            for name, config in MEL_DISCRIMINATORS.items()
        }
    assert sum(sizes["mini"]) < 1e5
    assert 3e6 < sum(sizes["paper"]) < 3e7
    assert len(sizes["paper"]) == 6


@pytest.mark.parametrize(
    "wrong", [{"window_frames": (0,)}, {"window_frames": (), "poolings": ()}, {"width": 0}, {"layers": 0}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        MelDiscriminatorConfig(**wrong)
