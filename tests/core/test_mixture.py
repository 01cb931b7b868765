"""The mixture's density, the bound that is trained, and drawing from it."""

import math

import torch

from resgen_tts.core.mixture import Mixture, exact_nll, squared_distances, variational_nll


def toy_mixture(components: int = 5, rank: int = 2, dim: int = 4, seed: int = 0, uniform: bool = False) -> Mixture:
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=rng)

    logits = torch.zeros(2, 3, components) if uniform else draw(2, 3, components)
    return Mixture(
        torch.log_softmax(logits, -1), draw(2, 3, components, rank), draw(dim, rank), draw(dim),
        0.3 * draw(2, 3), draw(2, 3, dim),
    )  # fmt: skip


def target(dim: int = 4, seed: int = 9) -> torch.Tensor:
    return torch.randn(2, 3, dim, generator=torch.Generator().manual_seed(seed))


def dense_means(mixture: Mixture) -> torch.Tensor:
    return mixture.low_means @ mixture.basis.T + mixture.offset  # [B, T, K, C]


def test_low_rank_distances_equal_the_dense_ones():
    mixture, z = toy_mixture(components=33, rank=3, dim=8), target(8)
    normalized = (z - mixture.shift) / mixture.log_scale.exp()[..., None]
    dense = (normalized[..., None, :] - dense_means(mixture)).square().sum(-1)
    torch.testing.assert_close(squared_distances(mixture, z), dense, rtol=1e-4, atol=1e-4)


def test_exact_density_equals_torch_distributions_in_data_space():
    """p(z) = sum_k pi_k N(z; b + a mu_k, a^2 I): the Jacobian of an affine map of C dimensions is C log a."""
    mixture, z = toy_mixture(), target()
    scale = mixture.log_scale.exp()[..., None]
    parts = torch.distributions.Normal((mixture.shift[..., None, :] + scale[..., None] * dense_means(mixture)), 1.0)
    parts = torch.distributions.Normal(parts.mean, scale[..., None].expand_as(parts.mean))
    log_p = torch.logsumexp(mixture.log_weights + parts.log_prob(z[..., None, :]).sum(-1), -1)
    torch.testing.assert_close(exact_nll(mixture, z), -log_p, rtol=1e-4, atol=1e-4)


def test_the_bound_is_never_below_the_exact_likelihood():
    for seed in range(20):
        mixture, z = toy_mixture(seed=seed), target(seed=seed + 100)
        assert (variational_nll(mixture, z)["total"] >= exact_nll(mixture, z) - 1e-4).all()


def test_the_bound_is_tight_for_uniform_weights_and_for_one_component():
    for mixture in (toy_mixture(uniform=True), toy_mixture(components=1)):
        z = target()
        torch.testing.assert_close(variational_nll(mixture, z)["total"], exact_nll(mixture, z), rtol=1e-4, atol=1e-4)


def test_the_bound_equals_its_definition_written_out():
    """J - sum q log N + KL(q || pi), term by term (method 5.2)."""
    mixture, z = toy_mixture(), target()
    half = squared_distances(mixture, z) / 2
    q = torch.softmax(-half, -1)
    log_normal = -half - 4 / 2 * math.log(2 * math.pi)
    kl = (q * (q.log() - mixture.log_weights)).sum(-1)
    written = 4 * mixture.log_scale - (q * log_normal).sum(-1) + kl
    torch.testing.assert_close(variational_nll(mixture, z)["total"], written, rtol=1e-4, atol=1e-4)


def test_the_geometry_gradient_is_that_of_fixed_responsibilities():
    """d/dmu of -logsumexp(-d^2/2) equals that of sum stopgrad(q) d^2/2 (method 5.2, identity iii)."""
    base = toy_mixture()
    gradients = []
    for form in ("logsumexp", "fixed"):
        means = base.low_means.clone().requires_grad_()
        mixture = Mixture(base.log_weights, means, base.basis, base.offset, base.log_scale, base.shift)
        half = squared_distances(mixture, target()) / 2
        loss = (
            -torch.logsumexp(-half, -1) if form == "logsumexp" else (torch.softmax(-half, -1).detach() * half).sum(-1)
        )
        gradients.append(torch.autograd.grad(loss.sum(), means)[0])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_weights_learn_by_cross_entropy_against_fixed_responsibilities():
    base = toy_mixture()
    log_weights = base.log_weights.clone().requires_grad_()
    mixture = Mixture(log_weights, base.low_means, base.basis, base.offset, base.log_scale, base.shift)
    gradient = torch.autograd.grad(variational_nll(mixture, target())["total"].sum(), log_weights)[0]
    torch.testing.assert_close(gradient, -torch.softmax(-squared_distances(base, target()) / 2, -1))


def test_mixed_precision_does_not_reach_the_distances():
    mixture, z = toy_mixture(components=33, rank=3, dim=8), target(8)
    plain = squared_distances(mixture, z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(squared_distances(mixture, z), plain)
