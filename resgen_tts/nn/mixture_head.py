"""From a hidden state to a mixture of Gaussians over the sum of the hidden embeddings."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resgen_tts.core.mixture import Mixture, variational_nll


class MixtureHead(nn.Module):
    """Weights, low-rank means, one scale and a full shift per position (method 5.1, 5.3).

    Args:
        width: O, channels of the hidden state.
        dim: C, latent channels.
        components: K.
        rank: h of ``mu_k = M m_k + s``; None for full-rank means (h = C, M the identity).
    """

    max_log_scale = 4.0  # |log a| stays below it, so that a density cannot collapse onto a finite set of codes

    def __init__(self, width: int, dim: int, components: int, rank: int | None):
        super().__init__()
        self.components, self.rank = components, rank or dim
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
        for layer in (self.log_weights, self.log_scale, self.shift):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        # Components start spread over the unit ball by their biases: none begins in another's place.
        nn.init.normal_(self.means.weight, std=0.02)
        nn.init.normal_(self.means.bias, std=1.0)

    def forward(self, hidden: Float[Tensor, "B T O"]) -> Mixture:
        """The whole mixture: for training and for likelihoods."""
        low_means = self.means(hidden).unflatten(-1, (self.components, self.rank))
        return Mixture(
            self.component_log_weights(hidden), low_means, self.basis, self.offset, self._log_scale(hidden),
            self._shift(hidden),
        )  # fmt: skip

    def nll(self, states: Float[Tensor, "N O"], target: Float[Tensor, "N C"]) -> dict[str, Float[Tensor, " N"]]:
        """variational bound"""
        return {name: value[0] for name, value in variational_nll(self(states[None]), target[None]).items()}

    def component_log_weights(self, hidden: Float[Tensor, "B T O"]) -> Float[Tensor, "B T K"]:
        """log pi alone."""
        return torch.log_softmax(self.log_weights(hidden).float(), dim=-1)

    def component_mean(
        self, hidden: Float[Tensor, "B T O"], component: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B T"]]:
        """``b + a mu_k`` and ``a`` of one drawn component per frame; no other mean is computed (method 13.1)."""
        weight = self.means.weight.view(self.components, self.rank, -1)[component]  # [B, T, h, O]
        low = torch.einsum("btho,bto->bth", weight, hidden.to(weight.dtype))
        low = low + self.means.bias.view(self.components, self.rank)[component]
        scale = self._log_scale(hidden).exp()
        mean = low.to(self.basis.dtype) @ self.basis.T + self.offset
        return self._shift(hidden) + scale[..., None] * mean, scale

    def component_outputs(
        self, states: Float[Tensor, "B T O"], component: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B T"], Float[Tensor, "B T C"]]:
        """Normalized mean mu_k, log a and b of one drawn component per frame."""
        mean, scale = self.component_mean(states, component)
        shift = self._shift(states)
        return (mean - shift) / scale[..., None], scale.log(), shift

    def _shift(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):  # an error here is scaled by 1 / a
            return self.shift(hidden.float())

    def _log_scale(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            raw = self.log_scale(hidden.float()).squeeze(-1)
        return self.max_log_scale * torch.tanh(raw / self.max_log_scale)
