"""The networks over one frame's levels: causality by gradients, the cache, and what they are told."""

import torch

from resgen_tts.nn.depth_transformer import DepthMlp, DepthTransformer


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def depth_transformer() -> DepthTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DepthTransformer(state_width=10, latent_dim=6, depth=4, width=16, layers=2, heads=2).eval()


def test_a_level_hears_the_state_and_the_sums_up_to_its_own():
    model = depth_transformer()
    state = torch.randn(3, 10, generator=rng(1), requires_grad=True)
    sums = torch.randn(3, 4, 6, generator=rng(2), requires_grad=True)
    states = model(model.project_state(state), sums)
    for level in range(4):
        to_state, to_sums = torch.autograd.grad(states[0, level, 0], (state, sums), retain_graph=True)
        heard = to_sums[0].abs().sum(-1) > 0
        assert heard.tolist() == [earlier <= level for earlier in range(4)]
        assert to_state[0].abs().sum() > 0
        assert not to_sums[1:].any() and not to_state[1:].any()  # frames do not hear each other


def test_level_by_level_through_the_cache_equals_the_whole_frame():
    model = depth_transformer()
    sums = torch.randn(3, 4, 6, generator=rng(2))
    with torch.no_grad():
        state = model.project_state(torch.randn(3, 10, generator=rng(1)))
        whole, cache = model(state, sums), model.new_cache()
        stepwise = torch.cat([model(state, sums[:, level : level + 1], cache) for level in range(4)], dim=1)
    torch.testing.assert_close(stepwise, whole, atol=1e-5, rtol=1e-5)


def test_levels_of_equal_input_are_told_apart():
    model = depth_transformer()
    states = model(torch.zeros(1, 16), torch.zeros(1, 4, 6))[0]
    assert torch.pdist(states).min() > 1e-4


def test_the_mlp_hears_state_sum_and_mask_of_its_own_frame_alone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DepthMlp(width=10, latent_dim=6, depth=4, layers=2, hidden_width=20)
    state = torch.randn(2, 5, 10, generator=rng(1), requires_grad=True)
    visible = torch.randn(2, 5, 6, generator=rng(2), requires_grad=True)
    hidden_mask = torch.arange(4) >= 2
    made = model(state, visible, hidden_mask.expand(2, 5, 4))
    made[1, 3, 0].backward()
    for gradient in (state.grad, visible.grad):
        heard = gradient.abs().sum(-1) > 0
        assert heard.nonzero().tolist() == [[1, 3]]
    fewer = model(state, visible, (torch.arange(4) >= 3).expand(2, 5, 4))
    assert not torch.allclose(made, fewer)
    torch.testing.assert_close(model(state[0, 0], visible[0, 0], hidden_mask), made[0, 0])  # any leading axes
