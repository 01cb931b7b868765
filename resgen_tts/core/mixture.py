"""A mixture of Gaussians over one vector per frame, in a normalized space.

Per frame, with scale ``a`` and shift ``b`` (method 5.1):
``p(z) = a^-C sum_k pi_k N((z - b) / a; mu_k, I)``, and ``mu_k = M m_k + s`` of low rank h (method 5.3).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.categorical import draw_index


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
        basis, offset = mixture.basis.float(), mixture.offset.float()
        normalized = (target.float() - mixture.shift.float()) * torch.exp(-mixture.log_scale.float())[..., None]
        centred = normalized - offset  # [B, T, C]
        orthonormal, triangular = torch.linalg.qr(basis)  # [C, h], [h, h]
        inside = centred @ orthonormal  # [B, T, h]
        outside = (centred - inside @ orthonormal.T).square().sum(-1)  # [B, T]
        means = mixture.low_means.float() @ triangular.T  # [B, T, K, h]
        return outside[..., None] + (inside[..., None, :] - means).square().sum(-1)


def variational_nll(mixture: Mixture, target: Float[Tensor, "B T C"]) -> dict[str, Float[Tensor, "B T"]]:
    """The paper's upper bound of the negative log-likelihood, in nats per frame, in three parts.

    ``C log a + (C/2) log 2 pi  -  logsumexp_k(-d_k^2 / 2)  -  sum_k q_k log pi_k`` with
    ``q = softmax(-d^2 / 2)`` held fixed (A7). The first two terms are ``scale``, the third, regression and
    negentropy of q together, is ``geometry``, the last ``choice``; ``total`` is their sum.
    Source: ResGen (arXiv:2412.10208), mixture objective; identities in method 5.2; Jacobian by A6 (a).
    """
    energy = -squared_distances(mixture, target) / 2
    dim = target.shape[-1]
    scale = dim * mixture.log_scale.float() + dim / 2 * math.log(2 * math.pi)
    geometry = -torch.logsumexp(energy, dim=-1)
    responsibility = torch.softmax(energy.detach(), dim=-1)
    choice = -(responsibility * mixture.log_weights.float()).sum(-1)
    return {"total": scale + geometry + choice, "scale": scale, "geometry": geometry, "choice": choice}


def exact_nll(mixture: Mixture, target: Float[Tensor, "B T C"]) -> Float[Tensor, "B T"]:
    """The exact negative log-likelihood of the mixture, in nats per frame."""
    energy = mixture.log_weights.float() - squared_distances(mixture, target) / 2
    dim = target.shape[-1]
    return dim * mixture.log_scale.float() + dim / 2 * math.log(2 * math.pi) - torch.logsumexp(energy, dim=-1)


def draw_component(
    log_weights: Float[Tensor, "B T K"], top_p: float, uniform: Float[Tensor, "B T"]
) -> Int[Tensor, "B T"]:
    """Draw a component from the smallest set whose mass reaches ``top_p`` (method 7.1, steps 2a and 2b)."""
    return draw_index(log_weights, top_p, uniform)
