"""The two ways through the mixture head, training and sampling, against the whole mixture written out."""

import pytest
import torch

from resgen_tts.core.categorical import draw_index
from resgen_tts.core.mixture import exact_nll, squared_distances, variational_nll
from resgen_tts.nn import mixture_head
from resgen_tts.nn.mixture_head import MixtureHead

RANKS = (3, None)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_head(rank: int | None, components: int = 5) -> MixtureHead:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = MixtureHead(10, 6, components, rank)
        for layer in (head.log_weights, head.means, head.log_scale, head.shift):
            torch.nn.init.normal_(layer.weight, std=0.3)
        if rank is not None:
            torch.nn.init.normal_(head.basis)  # far from orthonormal, as training may make it
            torch.nn.init.normal_(head.offset)
    return head


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("components", [1, 5])
def test_the_training_path_is_the_bound_of_the_whole_mixture(rank, components):
    head = toy_head(rank, components)
    states, target = torch.randn(7, 10, generator=rng(1)), torch.randn(7, 6, generator=rng(2))
    parts, whole = head.nll(states, target), variational_nll(head(states[None]), target[None])
    for name, value in parts.items():
        torch.testing.assert_close(value, whole[name][0], rtol=1e-5, atol=1e-4)
    assert (parts["total"] >= exact_nll(head(states[None]), target[None])[0] - 1e-4).all()


@pytest.mark.parametrize("rank", RANKS)
def test_gradients_match_brute_force_in_double_precision(rank):
    """Every mean formed, every distance by subtraction, in float64, differentiated by autograd."""
    head = toy_head(rank)
    states, target = torch.randn(7, 10, generator=rng(1)), torch.randn(7, 6, generator=rng(2))
    weight = torch.rand(7, generator=rng(3))
    mine = states.clone().requires_grad_()
    (head.nll(mine, target)["total"] * weight).sum().backward()

    exact = {name: value.detach().double().requires_grad_() for name, value in head.state_dict().items()}
    s = states.double().requires_grad_()
    linear = torch.nn.functional.linear
    log_pi = torch.log_softmax(linear(s, exact["log_weights.weight"], exact["log_weights.bias"]), -1)
    low = linear(s, exact["means.weight"], exact["means.bias"]).unflatten(1, (5, -1))
    raw = linear(s, exact["log_scale.weight"], exact["log_scale.bias"])[:, 0]
    log_a = 4 * torch.tanh(raw / 4)
    b = linear(s, exact["shift.weight"], exact["shift.bias"])
    if rank is None:
        means = low
    else:  # Gram-Schmidt: the orthonormal factor with a positive diagonal
        columns = []
        for column in exact["basis"].T:
            for other in columns:
                column = column - (column @ other) * other
            columns.append(column / column.norm())
        means = low @ torch.stack(columns) + exact["offset"]
    half = ((target.double() - b)[:, None] / log_a.exp()[:, None, None] - means).square().sum(-1) / 2
    q = torch.softmax(-half.detach(), -1)
    total = 6 * log_a + 3 * torch.log(torch.tensor(2 * torch.pi)) - torch.logsumexp(-half, -1) - (q * log_pi).sum(-1)
    (total * weight.double()).sum().backward()

    torch.testing.assert_close(mine.grad.double(), s.grad, rtol=1e-4, atol=1e-4)
    for name, parameter in head.named_parameters():
        torch.testing.assert_close(parameter.grad.double(), exact[name].grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", RANKS)
def test_nothing_as_large_as_the_means_is_kept_for_the_gradient(rank):
    head = MixtureHead(16, 24, 64, 8 if rank else None)
    states, sizes = torch.randn(50, 16, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: sizes.append(kept.numel()) or kept, lambda kept: kept):
        head.nll(states, torch.randn(50, 24))
    means = 50 * 64 * head.rank
    assert max(sizes) == max(50 * 64, head.means.weight.numel()) < means


def test_mixed_precision_reaches_the_large_product_only():
    """Half-precision means shift an energy a little; half-precision distances at a small scale would ruin it."""
    head = toy_head(3)
    torch.nn.init.constant_(head.log_scale.bias, -3.0)  # a = 0.08 or so
    states, target = torch.randn(40, 10, generator=rng(1)), 0.3 * torch.randn(40, 6, generator=rng(2))
    plain = head.nll(states, target)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head.nll(states, target)
    assert mixed["total"].dtype == torch.float32
    torch.testing.assert_close(mixed["scale"], plain["scale"])
    # The same means in half precision, all else in full, must give the same energies to rounding:
    rounded = torch.nn.functional.linear(states.bfloat16(), head.means.weight.bfloat16()).float() + head.means.bias
    whole = head(states[None])
    low = type(whole)(whole.log_weights, rounded.view(1, 40, 5, 3), *(getattr(whole, n) for n in (
        "basis", "offset", "log_scale", "shift")))  # fmt: skip
    geometry = variational_nll(low, target[None])["geometry"][0]
    torch.testing.assert_close(mixed["geometry"], geometry, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("rank", RANKS)
def test_one_drawn_mean_equals_the_one_of_the_whole_mixture(rank):
    head = toy_head(rank)
    states = torch.randn(2, 4, 10, generator=rng(2))
    component = torch.randint(0, 5, (2, 4), generator=rng(3))
    mean, scale = head.component_mean(states, component)
    mixture = head(states)
    torch.testing.assert_close(scale, mixture.log_scale.exp())
    distance = squared_distances(mixture, mean).gather(-1, component[..., None])
    assert distance.abs().max() < 1e-8  # the drawn component's mean is at distance 0 from itself
    parts = head.component_outputs(states, component)
    torch.testing.assert_close(parts[2] + parts[1].exp()[..., None] * parts[0], mean)


def test_weights_are_gathered_a_few_at_a_time_to_the_same_end(monkeypatch):
    """What a device does, row by row, all at once and three rows at a time."""
    weight, states = torch.randn(5, 3, 10, generator=rng(1)), torch.randn(8, 10, generator=rng(2))
    component = torch.randint(0, 5, (8,), generator=rng(3))
    by_row = mixture_head._products_where_they_lie(weight, states, component)
    torch.testing.assert_close(by_row, torch.einsum("nho,no->nh", weight[component], states))
    torch.testing.assert_close(mixture_head._products_gathered(weight, states, component), by_row)
    monkeypatch.setattr(mixture_head, "_GATHERED", 3 * 10 * 3)
    torch.testing.assert_close(mixture_head._products_gathered(weight, states, component), by_row)


def test_nothing_drawn_and_nothing_trained_are_no_error():
    head = toy_head(3)
    assert head.component_mean(torch.zeros(1, 0, 10), torch.zeros(1, 0, dtype=torch.long))[0].shape == (1, 0, 6)
    head.nll(torch.zeros(0, 10), torch.zeros(0, 6))["total"].sum().backward()
    assert not head.means.weight.grad.any()


def test_a_small_step_of_the_basis_is_a_small_step_of_the_means():
    """The factor Q of M = QR is taken with a positive diagonal of R: no column changes its sign on the way."""
    head = toy_head(3)
    for seed in range(50):
        with torch.no_grad():
            head.basis.copy_(torch.randn(6, 3, generator=rng(seed)))
            before = head._orthonormal()
            head.basis += 1e-4 * torch.randn(6, 3, generator=rng(seed + 100))
            assert (head._orthonormal() - before).abs().max() < 0.02
        torch.testing.assert_close(before.T @ before, torch.eye(3), rtol=0, atol=1e-5)


def test_a_drawn_component_and_its_noise_have_the_law_of_the_mixture():
    """Moments in closed form, and two samples that a classifier of directions cannot tell apart."""
    head, draws = toy_head(3), 20_000
    states = torch.randn(1, 1, 10, generator=rng(5))
    mixture = head(states)
    many = states.expand(1, draws, -1)
    uniform = torch.rand(1, draws, generator=rng(6), dtype=torch.double)
    component = draw_index(head.component_log_weights(many), 1.0, uniform)
    mean, scale = head.component_mean(many, component)
    mine = (mean + scale[..., None] * torch.randn(mean.shape, generator=rng(7)))[0]
    a = mixture.log_scale.exp()[0, 0]
    means = mixture.shift[0, 0] + a * (mixture.low_means[0, 0] @ mixture.basis.T + mixture.offset)  # [K, C]
    weights = mixture.log_weights[0, 0].exp()
    expected = weights @ means
    spread = means - expected
    covariance = spread.T @ (weights[:, None] * spread) + a.square() * torch.eye(6)
    error = (covariance.diagonal() / draws).sqrt()
    assert ((mine.mean(0) - expected).abs() < 4.5 * error).all()
    scale_of = covariance.diagonal().sqrt()
    assert ((mine.T.cov() - covariance).abs() < 0.07 * scale_of[:, None] * scale_of).all()
    torch_law = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weights),
        torch.distributions.Independent(torch.distributions.Normal(means, a.expand_as(means)), 1),
    )
    with torch.random.fork_rng():
        torch.manual_seed(8)
        other = torch_law.sample((draws,))
    from scipy.stats import ks_2samp

    directions = torch.randn(6, 8, generator=rng(9))
    pairs = zip((mine @ directions).T.detach(), (other @ directions).T.detach(), strict=True)
    assert min(ks_2samp(one, two).pvalue for one, two in pairs) > 1e-3


def test_the_factor_kept_for_sampling_follows_the_weights():
    head = toy_head(3)
    states, component = torch.randn(1, 2, 10, generator=rng(1)), torch.tensor([[0, 3]])
    with torch.no_grad():
        before = head.component_mean(states, component)[0]
        torch.testing.assert_close(head.component_mean(states, component)[0], before)
        head.basis.normal_(generator=rng(2))
        after = head.component_mean(states, component)[0]
    assert not torch.allclose(before, after)
    torch.testing.assert_close(head.component_mean(states, component)[0].detach(), after)
