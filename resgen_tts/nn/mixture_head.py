"""From a hidden state to a mixture of Gaussians over the sum of the hidden embeddings."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.component_energy import component_energies
from resgen_tts.core.mixture import Mixture, bound_parts, normalized_target, split_by_basis

_GATHERED = 2**24  # weights of drawn components held at once, in numbers: 64 MiB in fp32


class MixtureHead(nn.Module):
    """Weights, low-rank means, one scale and a full shift per position (method 5.1, 5.3).

    Means are ``mu_k = Q m_k + s`` with Q the orthonormal factor of the trained M = QR: the free m_k take R in, so the
    family of mixtures is that of ``M m_k + s``, and no product with R is needed.

    Args:
        width: O, channels of the hidden state.
        dim: C, latent channels.
        components: K.
        rank: h; None for full-rank means (h = C, M the identity).
    """

    max_log_scale = 4.0  # |log a| stays below it, so that a density cannot collapse onto a finite set of codes

    def __init__(self, width: int, dim: int, components: int, rank: int | None):
        super().__init__()
        if components < 1 or not (rank is None or 1 <= rank <= dim):
            raise ConfigError(
                f"a mixture needs components >= 1 and a rank of 1 to {dim}, the latent channels, or none; got "
                f"{components} and {rank}"
            )
        self.components, self.rank, self.is_full_rank = components, rank or dim, rank is None
        self.log_weights = nn.Linear(width, components)
        self.means = nn.Linear(width, components * self.rank)
        self.log_scale = nn.Linear(width, 1)
        self.shift = nn.Linear(width, dim)
        if rank is None:
            self.register_buffer("basis", torch.eye(dim))
            self.register_buffer("offset", torch.zeros(dim))
        else:
            self.basis = nn.Parameter(torch.empty(dim, rank))
            nn.init.orthogonal_(self.basis)
            self.offset = nn.Parameter(torch.zeros(dim))
        self._factor: tuple[tuple[int, int] | None, Tensor | None] = (None, None)  # of the basis, while sampling
        for layer in (self.log_weights, self.log_scale, self.shift):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        # Components start spread over the unit ball by their biases: none begins in another's place.
        nn.init.normal_(self.means.weight, std=0.02)
        nn.init.normal_(self.means.bias, std=1.0)

    def nll(self, states: Float[Tensor, "N O"], target: Float[Tensor, "N C"]) -> dict[str, Float[Tensor, " N"]]:
        """The paper's bound of -log p(target), in parts (see core.mixture.bound_parts): the path of training.

        Nothing of size N x K x C, nor of N x K x h, is kept for the gradient.
        """
        log_weights, log_scale = self.component_log_weights(states), self._log_scale(states)
        with torch.autocast(states.device.type, enabled=False):  # distances in fp32
            centred = normalized_target(target, self._shift(states), log_scale) - self.offset
            inside, outside = (centred, 0.0) if self.is_full_rank else split_by_basis(centred, self._orthonormal())
        energy = component_energies(states, inside, self.means.weight, self.means.bias)
        if not self.is_full_rank:
            energy = energy - outside[:, None] / 2
        return bound_parts(energy, log_weights, log_scale, target.shape[-1])

    def forward(self, states: Float[Tensor, "B T O"]) -> Mixture:
        """The whole mixture, for likelihoods."""
        low_means = self.means(states).unflatten(-1, (self.components, self.rank))
        return Mixture(
            self.component_log_weights(states), low_means, self._orthonormal(), self.offset, self._log_scale(states),
            self._shift(states),
        )  # fmt: skip

    def component_log_weights(self, states: Float[Tensor, "*shape O"]) -> Float[Tensor, "*shape K"]:
        """log pi alone."""
        return torch.log_softmax(self.log_weights(states).float(), dim=-1)

    def component_mean(
        self, states: Float[Tensor, "B T O"], component: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B T"]]:
        """``b + a mu_k`` and ``a`` of one drawn component per frame; no other mean is computed (method 13.1)."""
        mean, log_scale, shift = self.component_outputs(states, component)
        scale = log_scale.exp()
        return shift + scale[..., None] * mean, scale

    def component_outputs(
        self, states: Float[Tensor, "B T O"], component: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B T"], Float[Tensor, "B T C"]]:
        """``mu_k``, ``log a`` and ``b`` of one drawn component per frame."""
        weight = self.means.weight.unflatten(0, (self.components, self.rank))
        bias = self.means.bias.unflatten(0, (self.components, self.rank))
        with torch.autocast(states.device.type, enabled=False):  # casting the weights would cost more than the product
            products = _products_where_they_lie if states.device.type == "cpu" else _products_gathered
            low = products(weight, states.flatten(0, 1).to(weight.dtype), component.flatten())
            mean = low.unflatten(0, component.shape) + bias[component]
            if not self.is_full_rank:
                mean = mean.float() @ self._orthonormal().T + self.offset.float()
        return mean, self._log_scale(states), self._shift(states)

    def _orthonormal(self) -> Float[Tensor, "C h"]:
        """Q of M = QR with a positive diagonal of R, which makes it unique: no sign flips as M moves."""
        if self.is_full_rank:
            return self.basis
        # Sampling asks several times a step, for a basis that does not move: it is factorized once a version.
        version = None if torch.is_grad_enabled() else (self.basis.data_ptr(), self.basis._version)
        if version is None or self._factor[0] != version:
            with torch.autocast(self.basis.device.type, enabled=False):
                orthonormal, triangular = torch.linalg.qr(self.basis.float())
                orthonormal = orthonormal * torch.where(triangular.diagonal() < 0, -1.0, 1.0)
            if version is None:
                return orthonormal
            self._factor = (version, orthonormal)
        return self._factor[1]

    def _shift(self, states: Tensor) -> Tensor:
        with torch.autocast(states.device.type, enabled=False):  # an error here is scaled by 1 / a
            return _linear(self.shift, states)

    def _log_scale(self, states: Tensor) -> Tensor:
        with torch.autocast(states.device.type, enabled=False):
            raw = _linear(self.log_scale, states).squeeze(-1)
        return self.max_log_scale * torch.tanh(raw / self.max_log_scale)


def _products_where_they_lie(
    weight: Float[Tensor, "K h O"], states: Float[Tensor, "N O"], component: Int[Tensor, " N"]
) -> Float[Tensor, "N h"]:
    """``W_k s`` with one k per position, one after the other: a CPU takes up to eight times as long to gather first."""
    rows = [weight[k] @ s for k, s in zip(component.tolist(), states, strict=True)]
    return torch.stack(rows) if rows else states.new_zeros(0, weight.shape[1])


def _products_gathered(
    weight: Float[Tensor, "K h O"], states: Float[Tensor, "N O"], component: Int[Tensor, " N"]
) -> Float[Tensor, "N h"]:
    """The same in few launches, through copies of the weights, of which there are never more than ``_GATHERED``."""
    rows = max(1, _GATHERED // weight[0].numel())
    parts = zip(component.split(rows), states.split(rows), strict=True)
    return torch.cat([(weight[k] @ s[..., None])[..., 0] for k, s in parts])


def _linear(layer: nn.Linear, states: Tensor) -> Tensor:
    """A layer in fp32, whatever its weights are stored in; in double precision where they are."""
    precision = torch.promote_types(layer.weight.dtype, torch.float32)
    return nn.functional.linear(states.to(precision), layer.weight.to(precision), layer.bias.to(precision))
