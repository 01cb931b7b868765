"""A mixture of Gaussians over one vector per frame, in a normalized space.

Per frame, with scale ``a`` and shift ``b`` (method 5.1):
``p(z) = a^-C sum_k pi_k N((z - b) / a; mu_k, I)``, and ``mu_k = M m_k + s`` of low rank h (method 5.3).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """The parameters of one mixture per frame.

    Args:
        log_weights: log pi, [B, T, K].
        low_means: m_k in the low-rank space, [B, T, K, h].
        basis: M, [C, h], shared by all components and frames.
        offset: s, [C].
        log_scale: log a, [B, T].
        shift: b, [B, T, C].
    """

    log_weights: Float[Tensor, "B T K"]
    low_means: Float[Tensor, "B T K h"]
    basis: Float[Tensor, "C h"]
    offset: Float[Tensor, " C"]
    log_scale: Float[Tensor, "B T"]
    shift: Float[Tensor, "B T C"]


def squared_distances(mixture: Mixture, target: Float[Tensor, "B T C"]) -> Float[Tensor, "B T K"]:
    """``|(z - b)/a - mu_k|^2`` for every component, without a tensor of size K x C.

    With the thin factorization M = QR the distance splits into a part outside the column space of M, common to
    all components, and ``|Q'(zt - s) - R m_k|^2`` (method 5.3), so no large terms cancel. In fp32.
    """
    with torch.autocast(target.device.type, enabled=False):  # it would turn the products back to half precision
        centred = normalized_target(target, mixture.shift, mixture.log_scale) - mixture.offset.float()
        orthonormal, triangular = torch.linalg.qr(mixture.basis.float())  # [C, h], [h, h]
        inside, outside = split_by_basis(centred, orthonormal)
        means = mixture.low_means.float() @ triangular.T  # [B, T, K, h]
        # Of all forms the one that keeps no tensor of differences [B, T, K, h] for the gradient.
        distance = torch.cdist(means, inside[..., None, :], compute_mode="donot_use_mm_for_euclid_dist")
        return outside[..., None] + distance.squeeze(-1).square()


def normalized_target(
    target: Float[Tensor, "*shape C"], shift: Float[Tensor, "*shape C"], log_scale: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape C"]:
    """``(z - b) / a``, in fp32."""
    return (target.float() - shift.float()) * torch.exp(-log_scale.float())[..., None]


def split_by_basis(
    centred: Float[Tensor, "*shape C"], orthonormal: Float[Tensor, "C h"]
) -> tuple[Float[Tensor, "*shape h"], Float[Tensor, "*shape"]]:
    """Coordinates in the span of an orthonormal basis, and the squared distance to it."""
    inside = centred @ orthonormal
    return inside, (centred - inside @ orthonormal.T).square().sum(-1)


def bound_parts(
    energy: Float[Tensor, "*shape K"], log_weights: Float[Tensor, "*shape K"], log_scale: Float[Tensor, "*shape"],
    dim: int,
) -> dict[str, Float[Tensor, "*shape"]]:  # fmt: skip
    """The paper's upper bound of the negative log-likelihood, in nats per frame, in three parts.

    ``C log a + (C/2) log 2 pi  -  logsumexp_k(-d_k^2 / 2)  -  sum_k q_k log pi_k`` with
    ``q = softmax(-d^2 / 2)`` held fixed (A7). The first two terms are ``scale``, the third, regression and
    negentropy of q together, is ``geometry``, the last ``choice``; ``total`` is their sum.

    Args:
        energy: ``-d_k^2 / 2``.
        dim: C.
    Source: ResGen (arXiv:2412.10208), mixture objective; identities in method 5.2; Jacobian by A6 (a).
    """
    scale = dim * log_scale.float() + dim / 2 * math.log(2 * math.pi)
    geometry = -torch.logsumexp(energy, dim=-1)
    responsibility = torch.softmax(energy.detach(), dim=-1)
    choice = -(responsibility * log_weights.float()).sum(-1)
    return {"total": scale + geometry + choice, "scale": scale, "geometry": geometry, "choice": choice}


def variational_nll(mixture: Mixture, target: Float[Tensor, "B T C"]) -> dict[str, Float[Tensor, "B T"]]:
    """:func:`bound_parts` of a mixture whose parameters are all at hand."""
    energy = -squared_distances(mixture, target) / 2
    return bound_parts(energy, mixture.log_weights, mixture.log_scale, target.shape[-1])


def exact_nll(mixture: Mixture, target: Float[Tensor, "B T C"]) -> Float[Tensor, "B T"]:
    """The exact negative log-likelihood of the mixture, in nats per frame."""
    energy = mixture.log_weights.float() - squared_distances(mixture, target) / 2
    dim = target.shape[-1]
    return dim * mixture.log_scale.float() + dim / 2 * math.log(2 * math.pi) - torch.logsumexp(energy, dim=-1)
