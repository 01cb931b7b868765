"""The trunk and its parts: padding, positions, and the head's two ways to the same mean."""

import torch

from resgen_tts.core.mixture import squared_distances
from resgen_tts.nn.code_embedding import CodeEmbedding
from resgen_tts.nn.mixture_head import MixtureHead
from resgen_tts.nn.rotary import rotary_angles, rotate
from resgen_tts.nn.transformer import Transformer


def seeded(build):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def test_a_padded_batch_equals_the_unpadded_items():
    model = seeded(lambda: Transformer(16, 2, 2)).eval()
    x = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(1))
    is_padding = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
    both = model(x, is_padding)
    torch.testing.assert_close(both[0], model(x[:1])[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[1, :4], model(x[1:, :4])[0], atol=1e-5, rtol=1e-4)


def test_every_position_hears_every_other():
    model = seeded(lambda: Transformer(16, 1, 2)).eval()
    x = torch.randn(1, 5, 16, requires_grad=True)
    model(x)[0, 0, 0].backward()  # one channel: the sum over a normalized vector is constant
    assert (x.grad[0].abs().sum(-1) > 0).all()


def test_rotary_scores_depend_on_the_distance_alone():
    q, k = torch.randn(2, 8)
    angles = rotary_angles(12, 8, device=q.device)
    turned_q = rotate(q.expand(1, 1, 12, 8), angles)[0, 0]
    turned_k = rotate(k.expand(1, 1, 12, 8), angles)[0, 0]
    scores = turned_q @ turned_k.T
    for shift in range(-5, 6):
        diagonal = scores.diagonal(shift)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)


def test_one_drawn_mean_equals_the_one_of_the_whole_mixture():
    for rank in (3, None):
        head = seeded(lambda rank=rank: MixtureHead(10, 6, 5, rank))
        hidden = torch.randn(2, 4, 10, generator=torch.Generator().manual_seed(2))
        component = torch.randint(0, 5, (2, 4), generator=torch.Generator().manual_seed(3))
        mean, scale = head.component_mean(hidden, component)
        mixture = head(hidden)
        torch.testing.assert_close(scale, mixture.log_scale.exp())
        distance = squared_distances(mixture, mean).gather(-1, component[..., None])
        assert distance.abs().max() < 1e-8  # the drawn component's mean is at distance 0 from itself


def test_visible_count_tells_states_of_equal_sum_apart():
    embedding = seeded(lambda: CodeEmbedding(4, 0, 3, 8))
    visible = torch.zeros(1, 2, 4)
    rows = embedding(visible, torch.tensor([[0, 3]]), None)
    assert not torch.allclose(rows[0, 0], rows[0, 1])
