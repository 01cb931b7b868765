"""How partly visible codes enter a network."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class CodeEmbedding(nn.Module):
    """One linear layer over the sum of the visible embeddings, beside the aligned condition.

    ``u_i = W [visible_i / scale ; condition_i] + sum_{hidden j} E_j`` (method section 4, A5 (a), A18). E, our addition,
    tells which levels are hidden; without it the sum leaves the scale of the target open. For suffix masks it is the
    design's table by count, written as running sums.
    """

    def __init__(self, latent_dim: int, condition_dim: int, depth: int, width: int):
        super().__init__()
        self.project = nn.Linear(latent_dim + condition_dim, width)
        self.hidden_level = nn.Parameter(torch.randn(depth, width) * 0.02)

    def forward(
        self,
        visible: Float[Tensor, "B T C"],
        hidden_mask: Bool[Tensor, "B T D"] | None,
        condition: Float[Tensor, "B T F"] | None,
    ) -> Float[Tensor, "B T O"]:
        """Embed; ``visible`` is already divided by the latents' scale, ``hidden_mask`` None where nothing is hidden."""
        joined = visible if condition is None else torch.cat([visible, condition], dim=-1)
        embedded = self.project(joined)
        if hidden_mask is None:
            return embedded
        return embedded + hidden_mask.to(self.hidden_level.dtype) @ self.hidden_level
